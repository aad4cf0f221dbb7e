/* container.h - the operations of kvrun, one function each; main.c only reads the command line. */
#ifndef RUNTIME_CONTAINER_CONTAINER_H
#define RUNTIME_CONTAINER_CONTAINER_H

#include "runtime/container/cgroup.h"
#include "runtime/container/state.h"

struct container_options {
    struct arena *arena;
    const char *root; /* of the states */
    bool is_root_given;
    bool no_cgroup;  /* --cgroup-manager disabled */
    bool is_systemd; /* --systemd-cgroup */
};

struct container_create_options {
    const char *id;
    const char *bundle; /* directory; NULL: "." */
    const char *config; /* NULL: config.json of the bundle */
    const char *pid_file;
    const char *console_socket;
    const char *pidfd_socket;
    unsigned preserve_fds;
    bool no_pivot;
    bool no_new_keyring;
    bool is_run;
    bool detach; /* run */
    bool keep;   /* run: do not delete afterwards */
};

/* create, or run. *ret_exit: exit status of a run in the foreground. On failure nothing is left. */
MUST_USE int container_create(const struct container_options *options,
                              const struct container_create_options *create, int *ret_exit,
                              struct err *err);

/* A container that exists: its directory, state and cgroup. */
struct container {
    const struct container_options *options;
    int directory;
    struct state state;
    struct cgroup cgroup;
};
MUST_USE int container_open(const struct container_options *options, const char *id, bool lock,
                            struct container *ret, struct err *err);
void container_close(struct container *container);

MUST_USE int container_start(const struct container_options *options, const char *id,
                             struct err *err);
MUST_USE int container_kill(const struct container_options *options, const char *id, int signal,
                            bool all, struct err *err);
MUST_USE int container_delete(const struct container_options *options, const char *id, bool force,
                              struct err *err);
/* The action for each container whose id matches the extended regular expression. */
MUST_USE int container_each(const struct container_options *options, const char *pattern,
                            int (*action)(const struct container_options *, const char *, void *,
                                          struct err *),
                            void *context, struct err *err);
MUST_USE int container_pause(const struct container_options *options, const char *id, bool pause,
                             struct err *err);
MUST_USE int container_update(const struct container_options *options, const char *id,
                              const struct spec_resources *resources, struct err *err);

/* Print to out. */
MUST_USE int container_print_state(const struct container_options *options, const char *id,
                                   struct buf *out, struct err *err);
MUST_USE int container_list(const struct container_options *options, bool is_json, bool is_quiet,
                            struct buf *out, struct err *err);
/* arguments: for ps(1); none: -ef. */
MUST_USE int container_ps(const struct container_options *options, const char *id,
                          const struct text_list *arguments, bool is_json, struct buf *out,
                          struct err *err);
/* One line of `events --stats`. */
MUST_USE int container_stats(const struct container_options *options, const char *id,
                             struct buf *out, struct err *err);
/* Lines until the container ends; interval in seconds. */
MUST_USE int container_events(const struct container_options *options, const char *id,
                              unsigned interval_s, struct err *err);
void container_print_features(struct buf *out);
void container_print_spec(struct buf *out, bool is_rootless);

struct container_exec_options {
    const char *id;
    const char *process_file; /* NULL: the fields below */
    struct text_list args;
    struct text_list env; /* added to the container's */
    const char *cwd;
    const char *user;
    struct text_list capabilities;
    struct text_list additional_gids;
    const char *pid_file;
    const char *console_socket;
    const char *pidfd_socket;
    struct text_list cgroups; /* below the container's: "PATH" or "CONTROLLERS:PATH" */
    unsigned preserve_fds;
    bool terminal;
    bool detach;
    bool no_new_privs;
    bool ignore_paused;
};
/* exec_cgroup.c: let container->cgroup stand for "PATH" or "CONTROLLERS:PATH" below it.
 * ERR_INVALID, ERR_NOT_FOUND. */
MUST_USE int container_enter_sub_cgroup(struct container *container, const char *text,
                                        struct err *err);
MUST_USE int container_exec(const struct container_options *options,
                            const struct container_exec_options *exec, int *ret_exit,
                            struct err *err);

/* run.c: in the foreground until the process has ended: signals and, with master >= 0, the terminal
 * are forwarded. Returns the exit status (128 + signal). */
int container_wait(pid_t pid, int pidfd, int master);
/* run.c: everything of a container that has ended goes: poststop hooks, cgroup, state. */
MUST_USE int container_destroy(struct container *container, struct err *err);
/* run.c: write a pid as decimal text. */
MUST_USE int container_write_pid_file(const char *path, pid_t pid, struct err *err);
/* run.c: connect to a socket and send a pidfd. */
MUST_USE int container_send_pidfd(const char *path, int pidfd, struct err *err);

#endif
