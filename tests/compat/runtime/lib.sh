# lib.sh - what the tests of kvrun share: a busybox bundle, checks, and a clean end whatever happens.
# Usage: . lib.sh; KVRUN, KVSHIM and SHIM_CLIENT come from ctest.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

skip() { echo "SKIP: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
command -v busybox >/dev/null || skip "needs busybox-static"
command -v jq >/dev/null || skip "needs jq"

W=$(mktemp -d /tmp/kvrun-test.XXXXXX) || exit 1
CG=kvrun-test-$$ # parent of all cgroups made here
failures=0
checks=0

run() { "$KVRUN" --root "$W/state" "$@"; }

clean_up() {
    for id in $(ls "$W/state" 2>/dev/null); do
        run delete --force "$id" >/dev/null 2>&1
    done
    # A shim ends with its container; one that a failed test left is ours to end.
    for file in "$W"/*.shim; do
        [ -e "$file" ] && kill "$(cat "$file")" 2>/dev/null
    done
    find /sys/fs/cgroup -depth -type d -path "*/$CG*" -exec rmdir {} + 2>/dev/null
    umount -R "${W:?}" 2>/dev/null
    rm -rf --one-file-system "${W:?}"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

ok() { # ok NAME COMMAND...
    local name=$1
    shift
    checks=$((checks + 1))
    if "$@"; then
        echo "ok $checks - $name"
    else
        echo "not ok $checks - $name"
        failures=$((failures + 1))
    fi
}
is() { # is NAME GOT WANTED
    checks=$((checks + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $checks - $1"
    else
        echo "not ok $checks - $1: got '$2', wanted '$3'"
        failures=$((failures + 1))
    fi
}
like() { # like NAME GOT PATTERN
    checks=$((checks + 1))
    if printf '%s' "$2" | grep -qE -- "$3"; then
        echo "ok $checks - $1"
    else
        echo "not ok $checks - $1: got '$2', wanted /$3/"
        failures=$((failures + 1))
    fi
}
finish() {
    echo "# $checks checks, $failures failed"
    [ "$failures" = 0 ]
    exit
}

# wait_until COMMAND...: no fixed sleeps; gives up after two minutes, however busy the machine is.
wait_until() {
    local deadline=$((SECONDS + 120))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.02
    done
}
# prints WANTED COMMAND...: for wait_until, which would evaluate "$(...)" only once
prints() { [ "$("${@:2}" 2>/dev/null)" = "$1" ]; }

make_rootfs() { # make_rootfs DIR
    mkdir -p "$1"/bin "$1"/proc "$1"/sys "$1"/dev "$1"/tmp "$1"/etc "$1"/root "$1"/home/bob
    cp "$(command -v busybox)" "$1/bin/busybox"
    for applet in sh true false cat ls sleep id echo mount ps stat env hostname kill touch dd head \
        grep tty mkdir ln readlink date uname mv rm chmod wc sed tail test printf seq stty umount \
        ip mknod rmdir pwd sort cut tr nc; do
        ln -sf busybox "$1/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000:bob:/home/bob:/bin/sh\n' >"$1/etc/passwd"
    printf 'root:x:0:\nbob:x:1000:\nextra:x:2000:bob\n' >"$1/etc/group"
    chown 1000:1000 "$1/home/bob"
    chmod 1777 "$1/tmp"
}

# bundle NAME [JQ FILTER]: a fresh bundle in $W/NAME, its cgroup below ours.
bundle() {
    local name=$1 filter=${2:-.}
    mkdir -p "$W/$name"
    [ -d "$W/rootfs" ] || make_rootfs "$W/rootfs"
    rm -f "$W/$name/config.json"
    "$KVRUN" spec --bundle "$W/$name"
    jq ".root.path = \"$W/rootfs\" | .root.readonly = false | .process.terminal = false
        | .linux.namespaces |= map(select(.type != \"cgroup\")) + [{\"type\": \"cgroup\"}]
        | .linux.cgroupsPath = \"/$CG/$name\" | $filter" "$W/$name/config.json" >"$W/$name/new" &&
        mv "$W/$name/new" "$W/$name/config.json"
}
sh_c() { # a jq filter: process.args = sh -c TEXT
    jq -n --arg text "$1" '["sh","-c",$text]' | sed '1s/^/.process.args = /' | tr '\n' ' '
}
status_of() { run state "$1" 2>/dev/null | jq -r .status; }
has_status() { [ "$(status_of "$1")" = "$2" ]; }
cgroups_left() { find /sys/fs/cgroup -type d -path "*/$CG/*" 2>/dev/null | wc -l; }
# The version 1 or version 2 directory of a controller for a container of ours.
cgroup_dir() { # cgroup_dir CONTROLLER NAME
    for d in "/sys/fs/cgroup/$1/$CG/$2" "/sys/fs/cgroup/$CG/$2" "/sys/fs/cgroup/unified/$CG/$2"; do
        [ -d "$d" ] && echo "$d" && return
    done
}
