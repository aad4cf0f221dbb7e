/* kernel.h - system calls that glibc 2.36 does not wrap, as thin functions: -errno on failure.
 *
 * kvrun needs Linux 5.12 (openat2, clone3 into a cgroup, mount_setattr, close_range, pidfd). */
#ifndef RUNTIME_CONTAINER_KERNEL_H
#define RUNTIME_CONTAINER_KERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

/* -errno of a call that returns -1. */
static inline int kernel_result(long rc)
{
    return rc < 0 ? -errno : (int)rc;
}

static inline int kernel_openat2(int dir, const char *path, uint64_t flags, uint64_t mode,
                                 uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    for (;;) {
        long rc = syscall(SYS_openat2, dir, path, &how, sizeof how);
        /* EAGAIN: someone renamed something above us meanwhile; the kernel asks for another try. */
        if (rc >= 0 || errno != EAGAIN) {
            return kernel_result(rc);
        }
    }
}

/* Like fork; cgroup_fd -1: stay in the parent's cgroup. Returns the pid, 0 in the child. */
static inline int kernel_clone(uint64_t flags, int cgroup_fd, int *ret_pidfd, int exit_signal)
{
    struct clone_args args = {.flags = flags, .exit_signal = (unsigned)exit_signal};
    if (cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)cgroup_fd;
    }
    if (ret_pidfd != NULL) {
        args.flags |= CLONE_PIDFD;
        args.pidfd = (uint64_t)(uintptr_t)ret_pidfd;
    }
    int rc = kernel_result(syscall(SYS_clone3, &args, sizeof args));
    if (rc == -ENOSYS && cgroup_fd < 0) {
        /* A filter like Docker's hides clone3; the older call has the same flags. */
        rc = kernel_result(
            syscall(SYS_clone, args.flags | args.exit_signal, NULL, ret_pidfd, NULL, NULL));
    }
    return rc;
}

static inline int kernel_pivot_root(const char *new_root, const char *old_root)
{
    return kernel_result(syscall(SYS_pivot_root, new_root, old_root));
}

#endif
