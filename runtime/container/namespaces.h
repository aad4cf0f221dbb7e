/* namespaces.h - which namespaces a container gets anew, and which it joins. */
#ifndef RUNTIME_CONTAINER_NAMESPACES_H
#define RUNTIME_CONTAINER_NAMESPACES_H

#include <sys/types.h>

#include "runtime/container/spec.h"

enum { NAMESPACES_MAX = 8 };

struct namespaces {
    int new_flags; /* CLONE_NEW... to be made */
    struct {
        int flag;
        int fd;
    } joins[NAMESPACES_MAX];
    size_t join_count;
};

/* Open those with a path and check that each is of its type. The process's own are dropped. */
MUST_USE int namespaces_open(const struct spec *spec, struct namespaces *ret, struct err *err);
void namespaces_close(struct namespaces *namespaces);
/* The descriptor to join for the flag, -1: none. */
int namespaces_join_fd(const struct namespaces *namespaces, int flag);
/* setns to those in mask, user first. */
MUST_USE int namespaces_join(const struct namespaces *namespaces, int mask, struct err *err);

/* New cgroup and time namespaces, which must come after the process is in its cgroup and user
 * namespace. */
MUST_USE int namespaces_make_late(int flags, struct err *err);
/* From outside: in a user namespace the process may not write them itself. Then it enters. */
MUST_USE int namespaces_write_time_offsets(pid_t pid, const struct spec *spec, struct err *err);
MUST_USE int namespaces_enter_time(struct err *err);
/* The loopback interface of a new network namespace. */
MUST_USE int namespaces_raise_loopback(struct err *err);

#endif
