/* backend_thread.h - the one thread that writes the backend.
 *
 * The core hands over immutable batches; waiting ones are merged into one transaction; completions
 * are queued and fetched by the core. Nothing ever runs inside the call that asked for it. */
#ifndef KVSTORE_BACKEND_BACKEND_THREAD_H
#define KVSTORE_BACKEND_BACKEND_THREAD_H

#include "kvstore/backend/backend.h"

struct backend_thread_options {
    uint32_t batch_interval_ms; /* wait this long for company before a commit; etcd: 100; 0: none */
    uint64_t batch_bytes_max;   /* ... or until so much waits; 0: 4 MiB */
    uint64_t sync_bytes_max;    /* a real sync after so many bytes ...; 0: 64 MiB */
    uint32_t sync_interval_ms;  /* ... or after this time if anything is unsynced; 0: 5000 */

    /* Called on the backend thread after completions were queued: wake the core's loop
     * (uv_async_send, an eventfd). It must not call back in here. */
    void (*wake)(void *context);
    void *context;
};

enum backend_done_type {
    BACKEND_DONE_COMMIT = 1, /* every batch up to sequence is stored: renew the view */
    BACKEND_DONE_SYNC,       /* durable moved; the write-ahead log below it may be released */
    BACKEND_DONE_DEFRAGMENT,
    BACKEND_DONE_RESTORE,  /* a restore finished: renew, and load everything anew */
    BACKEND_DONE_NO_SPACE, /* commits wait for disk space and are tried again by themselves */
    BACKEND_DONE_FAILED,   /* final: the store is not written any more; stop the process */
};

struct backend_done {
    enum backend_done_type type;
    int code;                        /* 0, or why DEFRAGMENT, RESTORE, NO_SPACE or FAILED */
    uint64_t sequence;               /* highest batch stored so far */
    struct backend_position applied; /* stored */
    struct backend_position durable; /* stored and synced */
    uint64_t duration_us;            /* of the commit, sync, ... for metrics */
    struct err err;                  /* when code is not 0 */
};

struct backend_thread;

/* Borrows the backend, which must outlive the thread. */
MUST_USE int backend_thread_start(struct backend *backend,
                                  const struct backend_thread_options *options,
                                  struct backend_thread **ret_thread, struct err *err);
/* Store and sync what waits (unless failed), end the thread, free everything. Called on the core
 * thread, whose view it renews; close snapshots before. NULL is fine. */
void backend_thread_stop(struct backend_thread *thread);

/* The thread becomes the owner of the batch. */
void backend_thread_take_batch(struct backend_thread *thread, struct backend_batch *batch);
/* Commit what waits without waiting for company, then sync: BACKEND_DONE_SYNC follows. */
void backend_thread_sync(struct backend_thread *thread);
void backend_thread_defragment(struct backend_thread *thread);

/* As backend_restore_*; batches are taken. Ordered with the batches around them.
 * BACKEND_DONE_RESTORE answers finish, or the first step that failed (the rest of that restore is
 * then ignored). */
void backend_thread_restore_start(struct backend_thread *thread);
void backend_thread_restore_take_batch(struct backend_thread *thread, struct backend_batch *batch);
void backend_thread_restore_finish(struct backend_thread *thread);
void backend_thread_restore_cancel(struct backend_thread *thread);

/* The next completion, oldest first; false: none. Core thread, never blocks. */
bool backend_thread_take_done(struct backend_thread *thread, struct backend_done *ret_done);

/* Bytes handed over and not yet stored, for back-pressure. */
uint64_t backend_thread_pending_bytes(const struct backend_thread *thread);

#endif
