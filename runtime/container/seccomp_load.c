#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/container/seccomp.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

int seccomp_load(const struct seccomp_program *program)
{
    struct sock_fprog filter = {.len = (unsigned short)program->count,
                                .filter = program->instructions};
    unsigned flags = program->flags;
    if (program->has_notify) {
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
        if ((flags & SECCOMP_FILTER_FLAG_TSYNC) != 0) {
            flags &= ~(unsigned)SECCOMP_FILTER_FLAG_TSYNC; /* one thread: nothing to synchronise */
        }
    } else {
        flags &= ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    }
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    return rc < 0 ? -errno : (int)rc;
}
