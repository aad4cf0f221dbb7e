#!/bin/bash
# containers.sh BIN - kvctl-container from end to end, in network and mount namespaces of its own.
# Needs root and Debian's busybox-static; leaves nothing behind, and checks that.
set -u
bin=$1
if [ "$(id -u)" -ne 0 ]; then echo "skipped: needs root"; exit 77; fi
if ! /bin/busybox true 2>/dev/null; then echo "skipped: needs busybox-static"; exit 77; fi
if [ "${CORACLE_TEST_INSIDE:-}" != yes ]; then
    exec env CORACLE_TEST_INSIDE=yes unshare -n -m --propagation private "$0" "$@"
fi

work=$(mktemp -d /tmp/coracle-words.XXXXXX) || exit 1
export CORACLE_ROOT=$work/root CORACLE_RUN=$work/run
ip link set lo up
failures=0
registry=

k() { timeout 300 "$bin/kvctl-container" "$@"; }

fail() { echo "FAILED: $1"; failures=$((failures + 1)); }
# equal WHAT EXPECTED ACTUAL
equal() { if [ "$2" != "$3" ]; then fail "$1: expected '$2', got '$3'"; else echo "ok: $1"; fi; }
# contains WHAT PART TEXT
contains() { case "$3" in *"$2"*) echo "ok: $1" ;; *) fail "$1: no '$2' in '$3'" ;; esac; }
# code WHAT EXPECTED COMMAND...: exit code of a command
code() { local what=$1 expected=$2; shift 2; "$@" >/dev/null 2>&1; equal "$what" "$expected" $?; }
# eventually WHAT COMMAND...: within two minutes, however busy the machine is
eventually() {
    local what=$1 deadline=$((SECONDS + 120)); shift
    while [ "$SECONDS" -lt "$deadline" ]; do
        if "$@" >/dev/null 2>&1; then echo "ok: $what"; return; fi
        sleep 0.05
    done
    fail "$what"
}
# becomes WHAT EXPECTED COMMAND...: its output, eventually
prints() { [ "$("${@:2}" 2>/dev/null)" = "$1" ]; }
becomes() { eventually "$1" prints "${@:2}"; }

# get HOST PORT OPTIONS...: fetch /seed from a container (busybox-static's wget crashes in an image without libc)
get() {
    local host=$1 port=$2; shift 2
    k run --rm "$@" bb sh -c "printf 'GET /seed HTTP/1.0\r\n\r\n' | nc -w ${CONNECT_S:-60} $host $port | tail -n 1"
}

# count COMMAND...: lines that it prints
count() { "$@" | wc -l; }

clean_up() {
    ids=$(k ps -aq 2>/dev/null)
    [ -n "$ids" ] && k rm -f $ids >/dev/null
    [ -n "$registry" ] && kill "$registry" 2>/dev/null
    rm -rf --one-file-system "${work:?}"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

make_rootfs() {
    local root=$work/rootfs
    mkdir -p "$root"/{bin,etc,tmp,root,data,home/user}
    cp /bin/busybox "$root/bin/"
    for name in $(/bin/busybox --list); do [ "$name" = busybox ] || ln -sf busybox "$root/bin/$name"; done
    printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' >"$root/etc/group"
    echo seed >"$root/data/seed"
    tar -C "$root" -cf "$work/rootfs.tar" .
}

images() {
    make_rootfs
    equal "import prints an id" sha256: "$(k import -c 'CMD ["sh"]' -c 'ENV PATH=/bin' "$work/rootfs.tar" bb | cut -c1-7)"
    k save -o "$work/bb.tar" bb
    gzip -c "$work/bb.tar" >"$work/bb.tar.gz"
    id=$(k images -q bb)
    equal "rmi removes the last name and the image" 0 "$(k rmi bb >/dev/null; k images -q | wc -l)"
    equal "rmi leaves no blob and no layer" 0 "$(find "$work/root/oci/blobs" "$work/root/layers" -mindepth 2 | wc -l)"
    equal "load of a compressed archive from a pipe" "Loaded image: bb:latest" "$(k load <"$work/bb.tar.gz")"
    equal "a saved and loaded image keeps its id" "$id" "$(k images -q bb)"
    k tag bb other:1
    equal "tag adds a name" 2 "$(k images -q | wc -l)"
    equal "rmi of one of two names keeps the image" 1 "$(k rmi other:1 >/dev/null; k images -q | wc -l)"
    contains "a misspelled name gets a proposal" "did you mean bb" "$(k run --pull never b 2>&1; k save -o /dev/null bbb 2>&1)"
    contains "inspect has docker's fields" '"RepoTags"' "$(k inspect bb)"
}

load_survives_kill() {
    head -c 60000000 /dev/urandom >"$work/rootfs/big"
    tar -C "$work/rootfs" -cf "$work/big.tar" . && rm "$work/rootfs/big"
    local victim
    # At whatever step it is then; waited for, because until it is gone it holds the store.
    for step in 0.01 0.03 0.06 0.1 0.15; do
        "$bin/kvimage" import "$work/big.tar" big >/dev/null 2>&1 &
        victim=$!
        sleep "$step"
        kill -9 "$victim" 2>/dev/null
        wait "$victim" 2>/dev/null
    done
    k rmi big >/dev/null 2>&1
    k image-prune >/dev/null
    equal "killed imports leave no temporary layers" 0 "$(find "$work/root/layers" -maxdepth 1 -name 'tmp*' | wc -l)"
    equal "killed imports leave no temporary files" 0 "$(find "$work/root/oci/ingest" -type f | wc -l)"
    equal "the other image is whole" hi "$(k run --rm --network none bb echo hi)"
    rm -f "$work/big.tar"
}

power_failure() {
    local layer
    becomes "what was added is settled" 0 count ls -A "$work/root/unsynced"
    layer=$(ls "$work/root/layers" | head -1)
    echo -n another-boot >"$work/root/unsynced/layer.$layer"
    code "a layer that was not synced before the machine stopped is not trusted" 125 k run --rm --pull never bb true
    equal "and is removed" 0 "$(ls "$work/root/layers" | wc -l)"
    k load -q -i "$work/bb.tar" >/dev/null
    equal "loading again repairs the image" hi "$(k run --rm --network none bb echo hi)"
}

running() {
    equal "output" out "$(k run --rm bb echo out)"
    code "exit code of the command" 7 k run --rm bb sh -c 'exit 7'
    code "exit code of a killed command" 137 k run --rm --init bb sh -c 'kill -9 $$'
    code "a missing program is 127" 127 k run --rm bb /no/such
    code "a program that cannot be executed is 126" 126 k run --rm bb /etc/passwd
    code "a missing image is 125" 125 k run --rm --pull never nosuch
    code "a bad option is 125" 125 k run --no-such-option bb
    equal "a failed start leaves no container" 0 "$(k ps -aq | wc -l)"
    equal "input" hello "$(echo hello | k run --rm -i bb cat)"
    head -c 5000000 /dev/urandom >"$work/stream"
    equal "megabytes of input arrive" "$(sha256sum <"$work/stream")" "$(k run --rm -i bb sha256sum <"$work/stream")"
    equal "also where nobody reads them for a while" "$(sha256sum <"$work/stream")" "$(k run --rm -i bb sh -c 'sleep 1; sha256sum' <"$work/stream")"
    equal "megabytes of output arrive at a slow reader" 5000000 "$(k run --rm bb head -c 5000000 /dev/zero | dd bs=256 2>/dev/null | wc -c)"
    rm "$work/stream"
    equal "user by name" 1000 "$(k run --rm -u user bb id -u)"
    contains "supplementary groups" 2000 "$(k run --rm -u user bb id -G)"
    equal "working directory is made" /new/dir "$(k run --rm -w /new/dir bb pwd)"
    equal "environment" b "$(k run --rm -e A=b bb sh -c 'echo $A')"
    equal "host name" named "$(k run --rm --hostname named bb hostname)"
    equal "entrypoint" x "$(k run --rm --entrypoint echo bb x)"
    code "the root is read-only" 1 k run --rm --read-only bb touch /x
    code "a tmpfs can be written" 0 k run --rm --read-only --tmpfs /t bb touch /t/x
    equal "no capabilities" 0000000000000000 "$(k run --rm --cap-drop ALL bb sed -n 's/^CapBnd:\t//p' /proc/self/status)"
    equal "docker's capabilities" 00000000a80425fb "$(k run --rm bb sed -n 's/^CapEff:\t//p' /proc/self/status)"
    equal "seccomp is on" 2 "$(k run --rm bb sed -n 's/^Seccomp:\t//p' /proc/self/status)"
    equal "no new privileges" 1 "$(k run --rm --security-opt no-new-privileges bb sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)"
    code "unshare is refused" 1 k run --rm bb unshare -m true
    equal "ulimit" 77 "$(k run --rm --ulimit nofile=77:88 bb sh -c 'ulimit -n')"
    equal "sysctl" 9 "$(k run --rm --sysctl net.ipv4.tcp_fin_timeout=9 bb cat /proc/sys/net/ipv4/tcp_fin_timeout)"
    code "a sysctl of the host is refused" 125 k run --rm --sysctl kernel.core_pattern=x bb true
    code "too much memory is killed" 137 k run --rm -m 16m --memory-swap 16m bb sh -c 'x=$(head -c 60000000 /dev/zero | tr "\0" x)'
    equal "--init is process 1" "/sbin/docker-init" "$(k run --rm --init bb sh -c 'tr "\0" "\n" </proc/1/cmdline | head -1')"
    equal "a terminal" yes "$(script -qec "$bin/kvctl-container run --rm -t bb sh -c 'test -t 1 && echo yes'" /dev/null | tr -d '\r\n')"
}

volumes() {
    mkdir "$work/bound"; echo text >"$work/bound/file"
    equal "bind mount" text "$(k run --rm -v "$work/bound:/b" bb cat /b/file)"
    code "read-only bind mount" 1 k run --rm -v "$work/bound:/b:ro" bb touch /b/x
    equal "a new volume is filled from the image" seed "$(k run --rm -v vol:/data bb cat /data/seed)"
    k run --rm -v vol:/data bb sh -c 'echo kept >/data/more'
    equal "a volume outlives its container" kept "$(k run --rm -v vol:/data bb cat /data/more)"
    k volume rm vol >/dev/null
    k run --rm -v /anonymous bb true
    equal "anonymous volumes go with --rm" "" "$(k volume ls -q)"
}

lifecycle() {
    id=$(k run -d --name web bb sh -c 'echo started; trap "exit 5" TERM; while :; do sleep 1000 & wait; done')
    eventually "logs show the output" sh -c "[ \"\$($bin/kvctl-container logs web)\" = started ]"
    contains "ps shows it" "web" "$(k ps)"
    code "the name is taken" 125 k run -d --name web bb true
    equal "exec" 0 "$(k exec web id -u)"
    equal "exec with input" abc "$(echo abc | k exec -i web cat)"
    code "exit code of exec" 3 k exec web sh -c 'exit 3'
    code "exec of a missing program is 127" 127 k exec web nosuch
    contains "top" "sleep" "$(k top web)"
    contains "stats" "web" "$(k stats --no-stream)"
    equal "inspect" running "$(k inspect -f '{{.State.Status}}' web)"
    echo content >"$work/put"
    k cp "$work/put" web:/tmp/put
    equal "cp in" content "$(k exec web cat /tmp/put)"
    k exec web sh -c 'echo inside >/tmp/get; ln -s /etc/passwd /tmp/escape'
    k cp web:/tmp/get "$work/got"
    equal "cp out" inside "$(cat "$work/got")"
    k pause web >/dev/null; contains "pause" Paused "$(k ps)"; k unpause web >/dev/null
    code "rm of a running container is refused" 1 k rm web
    k stop -t 120 web >/dev/null
    equal "stop lets it end by itself" 5 "$(k inspect -f '{{.State.ExitCode}}' web)"
    k start web >/dev/null
    equal "start runs it again" running "$(k inspect -f '{{.State.Status}}' web)"
    equal "what was written stays" content "$(k exec web cat /tmp/put)"
    kill -9 "$(k inspect -f '{{.State.Pid}}' web)"
    eventually "a crash is seen" sh -c "$bin/kvctl-container ps -a | grep -q 'Exited (137)'"
    k cp web:/tmp/put "$work/got2" && equal "cp from a stopped container" content "$(cat "$work/got2")"
    k rm web >/dev/null
    equal "rm" 0 "$(k ps -aq | wc -l)"
}

changing() {
    k run -d --name old --pids-limit 50 -l tier=front bb sleep 1000 >/dev/null
    id=$(k inspect -f '{{.Id}}' old)
    k run -d --name other bb sleep 1000 >/dev/null
    code "a name that is taken cannot be given" 1 k rename old other
    code "rename" 0 k rename old new
    equal "it is found by its new name" running "$(k inspect -f '{{.State.Status}}' new)"
    code "and not by the old one" 1 k inspect old
    k rm -f other >/dev/null
    code "update" 0 k update --pids-limit 77 new
    contains "update changes a running container" 77 "$(k inspect -f '{{.HostConfig.PidsLimit}}' new)"
    if [ -e /sys/fs/cgroup/pids ]; then
        equal "and its cgroup" 77 "$(cat "/sys/fs/cgroup/pids/coracle/$(k inspect -f '{{.Id}}' new)/pids.max")"
    fi
    code "an impossible limit is refused" 1 k update --memory 1k new
    code "wait ends with the container" 0 k kill new
    equal "wait prints the exit code" 137 "$(k wait new)"
    code "restart" 0 k restart new
    equal "it runs again" running "$(k inspect -f '{{.State.Status}}' new)"
    code "kill with another signal" 0 k kill -s HUP new
    k stop -t 0 new >/dev/null
    equal "events" "create start rename update kill die start kill die" \
        "$(k events --since 1h --until 0s -f "container=$id" -f label=tier=front --format '{{.Action}}' | grep -v -e oom | tr '\n' ' ' | sed 's/ $//')"
    contains "df" "Containers" "$(k system df)"
    k network create unused >/dev/null
    k volume create kept >/dev/null
    contains "prune removes what does not run" "unused" "$(k system prune -f)"
    equal "all of it" 0 "$(k ps -aq | wc -l)"
    equal "but not volumes" kept "$(k volume ls -q)"
    k volume prune >/dev/null
    equal "an image with a name stays" 1 "$(k images -q bb | wc -l)"
    contains "kvctl passes words on" "Usage: kvctl rename" "$("$bin/kvctl" rename --help)"
}

restarting() {
    k run -d --name again --restart on-failure:2 bb sh -c 'echo run; exit 3' >/dev/null
    eventually "restarted twice" sh -c "[ \"\$($bin/kvctl-container logs again | wc -l)\" = 3 ]"
    eventually "then it stays down" sh -c "[ \"\$($bin/kvctl-container inspect -f '{{.State.Status}}' again)\" = exited ]"
    k rm again >/dev/null
    k run -d --rm --name gone bb true >/dev/null
    eventually "--rm -d removes itself" sh -c "[ -z \"\$($bin/kvctl-container ps -aq)\" ]"
    k run -d --name lost bb sleep 1000 >/dev/null
    shim=$(sed 's/.*"ShimPid":\([0-9]*\).*/\1/' "$work"/root/containers/*/state.json)
    pid=$(k inspect -f '{{.State.Pid}}' lost)
    kill -9 "$shim" "$pid"
    eventually "ps is right after shim and container were killed" sh -c "$bin/kvctl-container ps -a | grep -q Exited"
    k rm lost >/dev/null
}

# What went wrong in other engines (docs/containers.md has the table).
escapes() {
    mkdir "$work/host"; echo secret >"$work/host/secret"
    k run -d --name evil bb sh -c "mkdir -p '$work'; ln -s '$work/host' /tmp/out; ln -s '$work/host/secret' /tmp/link; echo ready; sleep 1000" >/dev/null
    becomes "a container with links to places of the host" ready k logs evil
    echo planted >"$work/put"
    k cp "$work/put" evil:/tmp/out/planted >/dev/null 2>&1
    equal "2018-15664: cp follows no link out of the container" secret "$(ls "$work/host")"
    k cp evil:/tmp/link "$work/stolen" >/dev/null
    equal "and copies a link as a link" "$work/host/secret" "$(readlink "$work/stolen")"
    equal "2022-1227: top runs nothing of the image" 0 "$(k top evil | grep -c 'nsenter\|/bin/ps')"
    k rm -f evil >/dev/null
    mkdir "$work/empty"
    printf 'FROM bb\nVOLUME ["/../../../..%s/host"]\n' "$work" | k build -q -t volumes -f - "$work/empty" >/dev/null
    equal "2022-23648: a volume's path does not lead to the host" "" "$(k run --rm --entrypoint sh volumes -c "ls '$work/host'" 2>/dev/null)"
    code "2024-40635: a user beyond 32 bits is not root" 125 k run --rm -u 4294967296:0 bb id -u
    socket() { k run --rm -v /:/host:ro bb chroot /host /usr/bin/perl -e "socket(my \$s, $1, 0) or exit 9"; }
    code "2026-31431: no AF_ALG sockets" 9 socket "38, 5"
    code "other sockets can be made" 0 socket "2, 1"
    equal "2020-15257: no abstract sockets" 0 "$(grep -ac '@.*\(coracle\|kvshim\)' /proc/net/unix)"
    equal "2021-41091: layers and blobs are only for their owner" "700 700" "$(stat -c %a "$work/root/layers" "$work/root/oci" | tr '\n' ' ' | sed 's/ $//')"
    k rmi -f volumes >/dev/null 2>&1
    k volume prune >/dev/null
}

networks() {
    k run -d --name web -p 18080:80 -p 127.0.0.1::81 bb httpd -f -p 80 -h /data >/dev/null
    eventually "a published port answers on the host" sh -c "[ \"\$(wget -T 20 -qO- http://127.0.0.1:18080/seed)\" = seed ]"
    contains "port" "0.0.0.0:18080" "$(k port web 80)"
    code "a port is published once" 125 k run -d --name second -p 18080:80 bb true
    k rm -f second >/dev/null 2>&1
    address=$(k inspect -f '{{.NetworkSettings.IPAddress}}' web)
    equal "containers reach each other" seed "$(get "$address" 80)"
    equal "and the published port" seed "$(get 172.17.0.1 18080)"
    equal "none has only loopback" 1 "$(k run --rm --network none bb sh -c 'ls /proc/sys/net/ipv4/conf | grep -c -v -e all -e default')"
    equal "container: shares" "$address" "$(k run --rm --network container:web bb ip -4 -o addr show eth0 | sed 's/.*inet \([0-9.]*\).*/\1/')"
    k rm -f web >/dev/null
    k network create --subnet 10.99.0.0/24 app >/dev/null
    k run -d --name db --network app --network-alias data bb httpd -f -p 80 -h /data >/dev/null
    equal "names in a network of one's own" seed "$(get db 80 --network app)"
    equal "aliases" seed "$(get data 80 --network app)"
    equal "a fixed address" 10.99.0.77 "$(k run --rm --network app --ip 10.99.0.77 bb hostname -i)"
    address=$(k inspect -f '{{.NetworkSettings.IPAddress}}' db)
    equal "networks are apart" "" "$(CONNECT_S=1 get "$address" 80 2>/dev/null)"
    code "a network in use stays" 1 k network rm app
    k rm -f db >/dev/null
    code "then it can go" 0 k network rm app
    nft list table ip coracle >"$work/nft"
    equal "no published port is left" 0 "$(grep -c 'tcp \. ' "$work/nft")"
}

registries() {
    if ! command -v docker-registry >/dev/null; then echo "skipped: no docker-registry"; return; fi
    mkdir "$work/registry"
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:21200"}\n' \
        "$work/registry" >"$work/registry.yml"
    docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
    registry=$!
    eventually "docker-registry runs" wget -T 20 -qO- http://127.0.0.1:21200/v2/
    k tag bb localhost:21200/team/bb:1
    contains "push" "digest: sha256:" "$(k push localhost:21200/team/bb:1)"
    contains "pushing again sends no layer" "already exists" "$(k push localhost:21200/team/bb:1)"
    id=$(k images -q bb)
    k rmi localhost:21200/team/bb:1 bb >/dev/null
    contains "pull" "Downloaded newer image" "$(k pull localhost:21200/team/bb:1)"
    equal "the pulled image is the pushed one" "$id" "$(k images -q localhost:21200/team/bb)"
    contains "pull of what is there" "up to date" "$(k pull localhost:21200/team/bb:1)"
    code "an unknown tag" 1 k pull localhost:21200/team/bb:none
    blob=$(find "$work/root/oci/blobs" -type f -size +500k -printf '%f\n')
    cp "$work/root/oci/blobs/sha256/$blob" "$work/blob"
    k rmi localhost:21200/team/bb:1 >/dev/null
    head -c 300000 "$work/blob" >"$work/root/oci/ingest/$blob.partial"
    equal "an interrupted pull is continued" "$id" "$(k pull -q localhost:21200/team/bb:1 >/dev/null; k images -q localhost:21200/team/bb)"
    k rmi localhost:21200/team/bb:1 >/dev/null
    head -c 300000 /dev/zero >"$work/root/oci/ingest/$blob.partial"
    equal "a damaged partial file is fetched anew" "$id" "$(k pull -q localhost:21200/team/bb:1 >/dev/null; k images -q localhost:21200/team/bb)"
    eventually "with a range request" grep -q '" 206 ' "$work/registry.log"
    k rmi localhost:21200/team/bb:1 >/dev/null
    file=$(find "$work/registry" -path "*$blob*" -name data)
    printf x | dd of="$file" bs=1 seek=1000 conv=notrunc 2>/dev/null
    contains "a blob that was tampered with is refused" "digest" "$(k pull localhost:21200/team/bb:1 2>&1)"
    kill "$registry"; wait "$registry" 2>/dev/null; registry=
    code "an absent registry" 1 k pull localhost:21200/team/bb:1
    k load -q -i "$work/bb.tar" >/dev/null
}

builds() {
    local context=$work/context
    mkdir -p "$context/src/deep"; echo a >"$context/src/a"; echo b >"$context/src/deep/b"; echo no >"$context/left.out"
    echo 'left.out' >"$context/.dockerignore"
    tar -C "$context/src" -cf "$context/archive.tar" .
    ln -s /etc/passwd "$context/escape"
    cat >"$context/Dockerfile" <<'END'
ARG BASE=bb
FROM $BASE AS maker
ARG WORD=unset
ENV PAIR="two words"
WORKDIR /made/here
RUN echo "$WORD $PAIR" >words && rm -r /data && id -u >uid
COPY . ./context/
COPY --chown=user --chmod=640 src/a src/deep/b /owned/
RUN <<SCRIPT
set -e
echo body >heredoc
SCRIPT
FROM bb AS never
RUN exit 9
FROM maker
COPY --from=maker /made/here/words /copied/
ADD archive.tar /unpacked/
COPY <<NOTE /note
pair is $PAIR
NOTE
USER user
ENTRYPOINT ["cat"]
CMD ["/copied/words"]
END
    code "build" 0 k build -q -t made --build-arg WORD=mine "$context"
    id=$(k images -q made)
    equal "what was built runs" "mine two words" "$(k run --rm made)"
    sh() { k run --rm --entrypoint sh made -c "$1"; }
    equal "its user" 1000 "$(sh 'id -u')"
    equal "files that were removed are gone" no "$(sh 'test -e /data && echo yes || echo no')"
    equal "heredocs" "body/pair is two words" "$(sh 'echo $(cat /made/here/heredoc)/$(cat /note)')"
    equal "owner and mode" "1000 640" "$(sh 'stat -c "%u %a" /owned/b')"
    equal "archives are unpacked" b "$(sh 'cat /unpacked/deep/b')"
    equal ".dockerignore" no "$(sh 'test -e /made/here/context/left.out && echo yes || echo no')"
    equal "links are copied as links" /etc/passwd "$(sh 'readlink /made/here/context/escape')"
    unset -f sh
    equal "every step is cached" 8 "$(k build -t made --build-arg WORD=mine "$context" | grep -c 'Using cache')"
    equal "and the image is the same" "$id" "$(k images -q made)"
    echo changed >"$context/src/a"
    equal "a changed file makes its steps again" 2 "$(k build -t made --build-arg WORD=mine "$context" | grep -c 'Using cache')"
    code "--target of a stage that fails" 1 k build --target never "$context"
    printf 'FROM bb\nCOPY ../../etc/passwd /\n' >"$work/Dockerfile.up"
    code "the context cannot be left" 1 k build -f "$work/Dockerfile.up" "$context"
    contains "errors name the line" "Dockerfile:2: RUN: " "$(printf 'FROM bb\nRUN exit 3\n' | k build -f - "$context" 2>&1)"
    k rmi -f made >/dev/null; k image-prune >/dev/null
    equal "no directory of a build is left" 0 "$(ls "$work/root/build" | grep -vc -e cache -e mounts)"
}

# Shims and monitors of this test that still run.
helpers() {
    local environment pid
    for environment in $(grep -lz "CORACLE_ROOT=$work/root" /proc/[0-9]*/environ 2>/dev/null); do
        pid=${environment#/proc/}; pid=${pid%/environ}
        case "$(cat "/proc/$pid/comm" 2>/dev/null)" in kvshim|kvmonitor) echo "$pid" ;; esac
    done
}

# What the kernel or a process that is ending takes away itself may take its time.
nothing_left() {
    becomes "no processes" 0 count helpers
    equal "no containers" 0 "$(k ps -aq | wc -l)"
    equal "no container files" 0 "$(find "$work/root/containers" -mindepth 1 | wc -l)"
    equal "no names" "" "$(ls "$work/root/names")"
    equal "no sockets or states" 0 "$(find "$work/run" -type s -o -mindepth 2 | grep -vc '/kvrun$')"
    equal "no mounts" 0 "$(grep -c "$work" /proc/self/mountinfo)"
    becomes "no links" 0 count sh -c "ip -o link | grep ' kv[0-9a-f]\\{12\\}'"
}

for part in images load_survives_kill power_failure running volumes lifecycle changing escapes restarting networks registries builds nothing_left; do
    [ $# -gt 1 ] && [ "$part" != images ] && [[ " ${*:2} " != *" $part "* ]] && continue
    echo "== $part"
    $part
done
echo "$failures failures"
[ "$failures" -eq 0 ]
