/* create.h - a container in the making: shared by create*.c alone. */
#ifndef RUNTIME_CONTAINER_CREATE_H
#define RUNTIME_CONTAINER_CREATE_H

#include "runtime/container/container.h"
#include "runtime/container/init.h"

struct creation {
    const struct container_options *options;
    const struct container_create_options *create;
    struct spec spec;
    struct buf config_text;
    struct state state;
    struct cgroup cgroup;
    struct cgroup_join join;
    struct namespaces namespaces;
    struct seccomp_program seccomp;
    struct init init;
    int directory;      /* of the state */
    int sync;           /* to the container's process */
    int console_parent; /* run in the foreground: where the master arrives */
    pid_t pid;
    int pidfd;
    bool has_directory; /* what is to be undone */
    bool has_cgroup;
    bool has_hooks_run;
    bool has_pid_file;
};

/* create_prepare.c: everything that needs only to be read: mistakes are found before anything is
 * made. */
MUST_USE int creation_prepare(struct creation *creation, struct err *err);
/* create_clone.c: the container's first process, in its new namespaces. */
MUST_USE int creation_clone(struct creation *creation, struct err *err);

#endif
