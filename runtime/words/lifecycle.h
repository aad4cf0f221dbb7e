/* lifecycle.h - what happens to a container: created by its shim, started, ended, removed.
 *
 * Who restarts: a container with a restart policy or a detached one with --rm has a monitor, a
 * small process of its own (lifecycle_spawn_monitor) that waits for the end and does what is due.
 * All others are cleaned up by whoever waits for them, or by the next command that looks. */
#ifndef RUNTIME_WORDS_LIFECYCLE_H
#define RUNTIME_WORDS_LIFECYCLE_H

#include <stdbool.h>

#include "base/err.h"
#include "runtime/image/store.h"
#include "runtime/words/container.h"

struct lifecycle_options {
    bool keeps_input_open; /* detached: input stays open when an attached client leaves */
    unsigned width;        /* of the terminal; 0: unknown */
    unsigned height;
};

/* Everything up to the process that waits to be started: mounts, files, config.json, shim, network.
 * Isolates the mount namespace of the calling process. The caller holds the container's lock. On
 * failure nothing runs and nothing is mounted; err->code ENOENT or EACCES tells that the program to
 * run does not exist or cannot be executed. */
MUST_USE int lifecycle_create(const struct store *store, struct container *container,
                              const struct lifecycle_options *options, struct err *err);
/* Let the process go. */
MUST_USE int lifecycle_start(const struct store *store, struct container *container,
                             struct err *err);
/* After the end (or a failed start): state, network, shim. */
MUST_USE int lifecycle_finish(const struct store *store, struct container *container,
                              struct err *err);
/* Files, name and anonymous volumes of a container that does not run. */
MUST_USE int lifecycle_remove(const struct store *store, struct container *container,
                              bool removes_volumes, struct err *err);

/* Wait for the end of a run and get its exit code; at once when it does not run. timeout_ms < 0:
 * for ever. ERR_TIMEOUT. */
MUST_USE int lifecycle_wait(struct container *container, int timeout_ms, int *ret_code,
                            struct err *err);
/* Signal it, wait, kill it. timeout_s < 0: the container's own or 10. The caller does not hold the
 * lock. */
MUST_USE int lifecycle_stop(const struct store *store, struct container *container, int timeout_s,
                            struct err *err);

/* True when somebody has to wait for this container's end. */
bool lifecycle_needs_monitor(const struct container *container, bool is_detached);
MUST_USE int lifecycle_spawn_monitor(const struct store *store, const struct container *container,
                                     struct err *err);

/* Bring what is on disk up to date with what is true for every container: ended ones give back
 * their network, forgotten --rm ones are removed. */
MUST_USE int lifecycle_reconcile(const struct store *store, struct err *err);

/* Docker's exit code for a container that could not be started. */
int lifecycle_exit_code(const struct err *err);

/* "TERM", "SIGTERM", "15". ERR_INVALID. */
MUST_USE int signal_parse(const char *text, int *ret, struct err *err);

#endif
