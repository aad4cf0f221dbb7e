#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/container/seccomp.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

unsigned seccomp_flags(const struct seccomp_program *program)
{
    unsigned flags = program->flags;
    flags &= ~(unsigned)SECCOMP_FILTER_FLAG_TSYNC; /* one thread: nothing to synchronise */
    if (program->has_notify) {
        return flags | SECCOMP_FILTER_FLAG_NEW_LISTENER;
    }
    return flags & ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
}

int seccomp_load(const struct seccomp_program *program)
{
    struct sock_fprog filter = {.len = (unsigned short)program->count,
                                .filter = program->instructions};
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, seccomp_flags(program), &filter);
    return rc < 0 ? -errno : (int)rc;
}
