/* shim_state.h - a running kvshim: one loop, one thread, no globals.
 *
 * Everything that waits is a descriptor in one epoll set. Calls of kvrun are short and made one at
 * a time, synchronously. */
#ifndef RUNTIME_CONTAINER_SHIM_SHIM_STATE_H
#define RUNTIME_CONTAINER_SHIM_SHIM_STATE_H

#include <sys/types.h>

#include "base/check.h"
#include "base/list.h"
#include "runtime/container/container.h"
#include "runtime/container/shim.h"
#include "runtime/container/shim/shim_log.h"
#include "shim.pb-c.h"

struct shim;

/* What epoll's data points to. */
struct shim_watch {
    void (*on_ready)(struct shim *shim, struct shim_watch *watch, uint32_t events);
    int fd;            /* -1: not in use */
    bool is_suspended; /* not in the epoll set, which would report hang-ups all the time */
};

/* A process with its streams: the container's first one, or one of exec. */
struct shim_process {
    struct list link; /* of shim.execs; the container's own is in none */
    char *id;         /* of the exec; "" for the container's own */
    pid_t pid;        /* 0 once it has ended */
    bool has_exited;
    bool has_terminal;
    bool input_closing; /* close standard input when input is written */
    int exit_code;
    int signal;
    bool oom_killed;
    int64_t started_at_ns;
    int64_t finished_at_ns;
    struct shim_watch input; /* write end; with a terminal the master for writing is output[0].fd */
    bool is_output_held;     /* an attached client is slow: nothing is read for now */
    struct shim_watch output[2]; /* stdout (or the terminal's master), stderr */
    struct buf input_waiting;
};

struct shim_client {
    struct list link;
    struct shim_watch watch;
    struct buf received;
    struct buf to_send;
    struct shim_process *stream; /* attached to; NULL: none */
    uint64_t stream_id;          /* request id of the attach */
    bool wants_output;
    bool gives_input;
    bool is_closing;     /* close when everything is sent */
    bool is_input_held;  /* the process does not read: nothing is read from the client for now */
    int64_t moved_at_ns; /* when it last took something, while something waits for it */
};

struct shim_waiter {
    struct list link;
    struct shim_client *client;
    uint64_t id;
    struct shim_process *process;
};

struct shim_options {
    const char *id;
    const char *bundle;
    const char *root;
    const char *runtime;
    struct text_list runtime_args;
    const char *socket;
    const char *exit_file;
    const char *log;
    const char *pid_file;
    const char *preserve_fds;
    unsigned kept_fds; /* preserve_fds as a number */
    uint64_t log_size_max;
    unsigned log_files_max;
    uint32_t console_width;
    uint32_t console_height;
    bool has_input;
    bool input_once;
    bool start;
    bool delete_at_end;
    bool no_pivot;
    bool no_new_keyring;
};

struct shim {
    struct shim_options options;
    struct arena *arena;
    int epoll;
    struct shim_watch listener;
    struct shim_watch signals;
    struct shim_process main;
    struct list execs;
    struct list clients;
    struct list waiters;
    unsigned client_count;
    unsigned exec_count;
    unsigned exec_next; /* for ids that the shim chooses */
    struct shim_log log;
    struct cgroup cgroup; /* to see whether the container ran out of memory */
    bool has_cgroup;
    bool is_started;
    bool is_deleted;
    bool should_end;
    int64_t created_at_ns;
};

int64_t shim_now_ns(void); /* CLOCK_REALTIME */

/* shim_io.c */
void shim_watch_add(struct shim *shim, struct shim_watch *watch, int fd, uint32_t events,
                    void (*on_ready)(struct shim *, struct shim_watch *, uint32_t));
void shim_watch_change(struct shim *shim, struct shim_watch *watch, uint32_t events);
void shim_watch_close(struct shim *shim, struct shim_watch *watch);
void shim_process_init(struct shim_process *process, const char *id);
void shim_process_deinit(struct shim *shim, struct shim_process *process);
/* Take these ends and serve them; -1: none. With a terminal, output is the master. */
void shim_process_serve(struct shim *shim, struct shim_process *process, int input, int output,
                        int errors);
/* Read its output again, if nobody who is attached is slow. */
void shim_process_release_output(struct shim *shim, struct shim_process *process);
void shim_process_give_input(struct shim *shim, struct shim_process *process, struct bytes data);
void shim_process_close_input(struct shim *shim, struct shim_process *process);
MUST_USE int shim_process_resize(struct shim_process *process, uint32_t width, uint32_t height);
/* It has ended: what it wrote is read, clients are told. */
void shim_process_finish(struct shim *shim, struct shim_process *process, int status);

/* shim_runtime.c: calls of kvrun. */
struct shim_streams { /* for the new process; closed by the caller */
    int input, output, errors;
};
MUST_USE int shim_runtime_create(struct shim *shim, struct err *err);
MUST_USE int shim_runtime_start(struct shim *shim, struct err *err);
MUST_USE int shim_runtime_exec(struct shim *shim, struct shim_process *process,
                               const Coracle__Shim__ShimExecRequest *request, struct err *err);
/* "kill", "pause" ... with up to three more words; input: text for standard input, or NULL. */
MUST_USE int shim_runtime_call(struct shim *shim, const char *const words[], const char *input,
                               struct err *err);

/* shim_server.c */
MUST_USE int shim_server_listen(struct shim *shim, struct err *err);
void shim_server_close(struct shim *shim);
void shim_client_send(struct shim *shim, struct shim_client *client,
                      const Coracle__Shim__ShimReply *reply);
void shim_client_drop(struct shim *shim, struct shim_client *client);
/* Is anyone attached to it for whom more than size bytes wait? */
bool shim_server_is_slow(const struct shim *shim, const struct shim_process *process, size_t size);
/* The process has room for input again, or wants none any more. */
void shim_server_release_input(struct shim *shim, const struct shim_process *process);
/* Drop clients that hold up a process and take nothing. Returns when to look again (ms); -1: no
 * need. */
int shim_server_drop_stalled(struct shim *shim);
/* Output of a process for everyone attached to it. */
void shim_server_output(struct shim *shim, struct shim_process *process, unsigned stream,
                        struct bytes data);
/* Answer those who wait for the process; end the streams attached to it. */
void shim_server_exited(struct shim *shim, struct shim_process *process);

/* shim_request.c: carry out one request. */
void shim_request_handle(struct shim *shim, struct shim_client *client,
                         const Coracle__Shim__ShimRequest *request);
void shim_request_fill_exited(const struct shim_process *process,
                              Coracle__Shim__ShimExited *exited);

#endif
