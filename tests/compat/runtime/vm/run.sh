#!/bin/bash
# run.sh - the tests of kvrun in a virtual machine whose only cgroups are version 2's, with all controllers and as
# a root that lacks no capability: what the machine at hand cannot show.
# Needs qemu-system-x86 and the kernel of Debian's cloud image, in /boot, in $VM_KERNEL_PACKAGE (a .deb), or with
# VM_FETCH=yes from Debian (apt-get download). Else: SKIP (77). VM_ACCEL=kvm is faster where it works.
set -u
here=$(dirname "$(readlink -f "$0")")
skip() { echo "SKIP: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
command -v qemu-system-x86_64 >/dev/null || skip "needs qemu-system-x86"
for tool in busybox jq script unshare; do command -v "$tool" >/dev/null || skip "needs $tool"; done

work=$(mktemp -d /tmp/kvrun-vm.XXXXXX) || exit 1
qemu=
clean_up() {
    [ -n "$qemu" ] && kill "$qemu" 2>/dev/null
    rm -rf --one-file-system "${work:?}"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

# find_kernel: $work/kernel and, below $work/modules, its modules
find_kernel() {
    local package=${VM_KERNEL_PACKAGE:-} image
    if [ -z "$package" ]; then
        image=$(find /boot -name 'vmlinuz-*-cloud-amd64' 2>/dev/null | sort -V | tail -n 1)
        if [ -n "$image" ]; then
            cp "$image" "$work/kernel" && ln -s "/lib/modules/${image#/boot/vmlinuz-}" "$work/modules"
            return
        fi
        [ "${VM_FETCH:-}" = yes ] || skip "no kernel; VM_FETCH=yes fetches one from Debian"
        image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
        (cd "$work" && apt-get -q download "$image" >/dev/null 2>&1) || skip "the kernel cannot be fetched"
        package=$(find "$work" -name 'linux-image-*.deb' | head -n 1)
    fi
    dpkg-deb -x "$package" "$work/package" || skip "$package is no package"
    mv "$work"/package/boot/vmlinuz-* "$work/kernel"
    ln -s "$(find "$work/package/lib/modules" -mindepth 1 -maxdepth 1 | head -n 1)" "$work/modules"
}

# install PROGRAM...: each with the libraries that it links
install_programs() {
    local program path
    for program in "$@"; do
        path=$(type -P "$program") || skip "needs $program"
        path=$(readlink -f "$path")
        mkdir -p "$work/root/usr/bin"
        cp "$path" "$work/root/usr/bin/$program"
        for library in $(ldd "$path" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*'); do
            mkdir -p "$work/root$(dirname "$library")"
            cp -Ln "$library" "$work/root$library"
        done
    done
}

make_root() {
    local name module modules="overlay veth bridge dummy fuse loop"
    mkdir -p "$work/root"/{bin,etc,lib,lib64,usr,tests}
    cp "$(command -v busybox)" "$work/root/bin/busybox"
    for name in $(busybox --list); do
        case "$name" in busybox | init) ;; *) ln -s busybox "$work/root/bin/$name" ;; esac
    done
    # in /usr/bin, which comes first: what busybox does not have or does with fewer options
    install_programs bash jq script unshare setpriv nsenter timeout find grep sed stat ip ps rm date mktemp seq sort cut \
        head tail tr wc cat ls cp mv mkdir chmod chown touch id env dd mknod readlink sleep uniq mount umount \
        findmnt prlimit od
    printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/sh\n' >"$work/root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$work/root/etc/group"
    cp "$KVRUN" "$KVSHIM" "$SHIM_CLIENT" "$here"/../lib.sh "$here"/../test_*.sh "$work/root/tests/"
    for name in $modules; do
        module=$(find "$work/modules/" -name "$name.ko" | head -n 1)
        [ -n "$module" ] || continue
        cp "$module" "$work/root/tests/$name.ko"
        echo "/tests/$name.ko" >>"$work/root/tests/modules"
    done
    echo "${VM_TESTS:-lifecycle features limits escape terminal shim engines}" >"$work/root/tests/names"
    cp "$here/init.sh" "$work/root/init"
    chmod 755 "$work/root/init"
    (cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initramfs"
}

find_kernel
make_root
timeout -k 10 "${VM_TIMEOUT_S:-900}" qemu-system-x86_64 -machine q35 -accel "${VM_ACCEL:-tcg}" -cpu max -smp 2 -m 1536 -nodefaults \
    -display none -serial stdio -no-reboot -kernel "$work/kernel" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1 systemd.unified_cgroup_hierarchy=1" </dev/null >"$work/console" 2>"$work/errors" &
qemu=$!
wait "$qemu"
status=$?
qemu=
tr -d '\r' <"$work/console" | grep -a '^vm: \|^not ok\|^SKIP\|^tests/\|^/tests' 
if ! grep -aq '^vm: end' "$work/console"; then
    echo "the machine did not come to the end (status $status)"
    tail -n 30 "$work/console"
    cat "$work/errors"
    exit 1
fi
if grep -aq '^not ok' "$work/console" || ! grep -aq '^vm: .* status 0' "$work/console" ||
    grep -a '^vm: .* status ' "$work/console" | grep -avq -e 'status 0:' -e 'status 77:'; then
    exit 1
fi
