#!/bin/busybox sh
# init.sh - first process of the virtual machine: version 2 cgroups only, then the tests of kvrun, then off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ "$1" != switched ]; then
    # pivot_root does not work on an initramfs: move to a tmpfs, as a real system's first stage does.
    /bin/busybox mkdir -p /new
    /bin/busybox mount -t tmpfs -o mode=755 tmpfs /new
    /bin/busybox cp -a /bin /lib /lib64 /usr /etc /tests /init /new/
    exec /bin/busybox switch_root /new /init switched
fi
bb() { /bin/busybox "$@"; }
bb mkdir -p /proc /sys /dev /tmp /run /root
bb mount -t proc proc /proc
bb mount -t sysfs sysfs /sys
bb mount -t devtmpfs devtmpfs /dev
bb mkdir -p /dev/pts /dev/shm
bb mount -t devpts devpts /dev/pts
bb mount -t tmpfs tmpfs /tmp
bb mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in $(bb cat /tests/modules 2>/dev/null); do bb insmod "$module"; done
bb ip link set lo up
ulimit -n 4096
echo "vm: $(bb uname -r), controllers: $(bb cat /sys/fs/cgroup/cgroup.controllers)"
export KVRUN=/tests/kvrun KVSHIM=/tests/kvshim SHIM_CLIENT=/tests/shim_client CI=true
for name in $(bb cat /tests/names); do
    timeout 300 bash "/tests/test_$name.sh" </dev/null >/tmp/log 2>&1
    status=$?
    bb grep '^not ok\|^SKIP' /tmp/log
    [ "$status" = 0 ] || [ "$status" = 77 ] || bb tail -n 5 /tmp/log
    echo "vm: $name status $status: $(bb grep -c '^ok' /tmp/log) ok, $(bb grep -c '^not ok' /tmp/log) not ok"
done
echo "vm: end"
bb sync
bb poweroff -f
