/* cgroup.h - a container's control groups, on version 2, version 1 and hybrid hosts alike.
 *
 * One path, the same in each hierarchy. All work is relative to descriptors of the hierarchies'
 * roots, each of which was checked to be a cgroup file system: nothing is ever made on a bare
 * tmpfs.
 *
 * What costs time is avoided (containers.md 0.2): a process joins version 1 by writing "0" to
 * `tasks` itself while it has one thread, and version 2 by CLONE_INTO_CGROUP; writing a pid into
 * cgroup.procs would wait for a grace period of 10 ms and more. */
#ifndef RUNTIME_CONTAINER_CGROUP_H
#define RUNTIME_CONTAINER_CGROUP_H

#include <signal.h>
#include <sys/types.h>

#include "runtime/container/cgroup_values.h"

enum { CGROUP_HIERARCHIES_MAX = 24, CGROUP_PATH_SIZE = 1024 };

struct cgroup_hierarchy {
    char name[64];        /* directory below /sys/fs/cgroup; "" for a pure version 2 host */
    uint32_t controllers; /* CGROUP_BIT mask; 0 for a named hierarchy */
    bool is_v2;
    int root;          /* the mounted root, O_DIRECTORY */
    int dir;           /* this container's directory; -1: none */
    unsigned existing; /* components of the path that were there before cgroup_create */
};

struct cgroup {
    struct cgroup_hierarchy items[CGROUP_HIERARCHIES_MAX];
    size_t count; /* 0: cgroups are not used */
    bool is_v2_only;
    char path[CGROUP_PATH_SIZE]; /* "/a/b" */
};

/* Find the hierarchies of this machine. No cgroups at all is count = 0, not an error. */
void cgroup_init(struct cgroup *cgroup);
MUST_USE int cgroup_detect(struct cgroup *cgroup, struct err *err);
void cgroup_deinit(struct cgroup *cgroup); /* closes; the cgroups stay */

/* Make the directories. Refuses one that has processes in it or is frozen. On failure what was made
 * is removed again. needs_v2_controllers: enable version 2's controllers down the path. */
MUST_USE int cgroup_create(struct cgroup *cgroup, const char *path, bool needs_v2_controllers,
                           struct err *err);
/* Open those that exist (a missing one is skipped). */
MUST_USE int cgroup_open(struct cgroup *cgroup, const char *path, struct err *err);

/* Write limits. is_update: values may replace older ones. */
MUST_USE int cgroup_apply(struct cgroup *cgroup, const struct spec_resources *resources,
                          struct err *err);

/* For clone: the version 2 directory, -1: none. */
int cgroup_v2_dir(const struct cgroup *cgroup);
/* The version 2 directory that a process is in. -errno. */
MUST_USE int cgroup_open_v2_of(const struct cgroup *cgroup, pid_t pid);
/* The directory with the controller, -1: none. *ret_is_v2 may be NULL. */
int cgroup_controller_dir(const struct cgroup *cgroup, enum cgroup_controller controller,
                          bool *ret_is_v2);

struct cgroup_join {
    int tasks[CGROUP_HIERARCHIES_MAX];
    size_t count;
    int v2_dir; /* borrowed */
};
/* Before clone: open what the child will need. After it, in the child: enter. */
MUST_USE int cgroup_join_prepare(const struct cgroup *cgroup, struct cgroup_join *join,
                                 struct err *err);
MUST_USE int cgroup_join_enter(struct cgroup_join *join, struct err *err);
void cgroup_join_close(struct cgroup_join *join);

MUST_USE int cgroup_freeze(const struct cgroup *cgroup, bool freeze, struct err *err);
bool cgroup_is_frozen(const struct cgroup *cgroup);

/* Pids of the cgroup and those below it, as this process sees them. */
struct cgroup_pids {
    pid_t *items; /* mem_free */
    size_t count;
};
MUST_USE int cgroup_read_pids(const struct cgroup *cgroup, struct cgroup_pids *ret);
/* Signal every process of the cgroup; with SIGKILL none escapes by forking. */
MUST_USE int cgroup_kill(const struct cgroup *cgroup, int signal);
/* Kill what is left and remove the directories. -EBUSY when processes do not die within 10 s. */
MUST_USE int cgroup_remove(struct cgroup *cgroup, unsigned created_depth, struct err *err);
/* Components of the path that cgroup_create made, the most in any hierarchy. */
unsigned cgroup_created_depth(const struct cgroup *cgroup);

/* How often the kernel's out-of-memory killer was at work in the cgroup. */
uint64_t cgroup_oom_kills(const struct cgroup *cgroup);

#endif
