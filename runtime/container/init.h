/* init.h - the process that becomes the container's first one, from its birth to exec. */
#ifndef RUNTIME_CONTAINER_INIT_H
#define RUNTIME_CONTAINER_INIT_H

#include "runtime/container/cgroup.h"
#include "runtime/container/namespaces.h"
#include "runtime/container/process.h"
#include "runtime/container/rootfs.h"

struct init {
    const struct spec *spec;
    const char *id;
    const char *bundle;
    struct arena *arena;
    struct rootfs rootfs;
    struct namespaces *namespaces;
    struct cgroup_join *join;
    const struct seccomp_program *seccomp;
    int sync;           /* to kvrun */
    int start_socket;   /* listening; -1: the start is told over sync (run) */
    int console_socket; /* connected; -1: none */
    unsigned preserve_fds;
    struct process_label label;
    unsigned console_flags; /* of console_open */
    bool no_pivot;
    bool no_new_keyring;
    bool has_runtime_hooks; /* kvrun has hooks to run, or the pid to tell to ours, when the mounts
                               are made */
    bool joined_early;      /* an intermediate process has joined namespaces and cgroup already */
    pid_t pid;              /* this process, as kvrun sees it; known after the first question */
    bool parent_maps;       /* a new user namespace: wait until kvrun has written the maps */
};

/* Never returns: execs, or reports the error over sync and ends. */
_Noreturn void init_main(struct init *init);

#endif
