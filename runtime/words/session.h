/* session.h - a person attached to a process in a container: terminal, input, output, signals. */
#ifndef RUNTIME_WORDS_SESSION_H
#define RUNTIME_WORDS_SESSION_H

#include <stdbool.h>

#include "base/err.h"
#include "runtime/words/container.h"
#include "runtime/words/shim_client.h"

struct session {
    struct shim_client stream;  /* after attach or exec */
    struct shim_client control; /* signals and sizes */
    char exec_id[65];           /* "" for the container's own process */
    bool has_input;
    bool is_tty;
    bool forwards_signals;
    const char *detach_keys; /* "ctrl-p,ctrl-q" */
};

enum { SESSION_DETACHED = -1 };

/* Connect both; the stream is not attached yet. */
MUST_USE int session_open(struct session *session, const struct container *container,
                          struct err *err);
void session_close(struct session *session);

/* Attach to the container's own process. */
MUST_USE int session_attach(struct session *session, struct err *err);
/* Start another process; with is_attached its stream is this session. */
MUST_USE int session_exec(struct session *session, const char *process_json, bool is_attached,
                          struct err *err);

/* Carry bytes until the process ends: *ret_code is its exit code, or SESSION_DETACHED. */
MUST_USE int session_run(struct session *session, int *ret_code, struct err *err);

/* The size of the terminal on standard input or output; false when there is none. */
bool session_terminal_size(unsigned *ret_width, unsigned *ret_height);

#endif
