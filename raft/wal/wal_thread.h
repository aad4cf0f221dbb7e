/* wal_thread.h - the one thread that writes the log.
 *
 * The core hands over batches; all that wait are merged into one write and one fdatasync;
 * completions are queued and fetched by the core. Nothing ever runs inside the call that asked. */
#ifndef RAFT_WAL_WAL_THREAD_H
#define RAFT_WAL_WAL_THREAD_H

#include "raft/wal/wal.h"

struct wal_thread_options {
    uint64_t merge_bytes_max; /* at most so much in one write; 0: 8 MiB */

    /* Called on the log's thread after completions were queued: wake the core's loop
     * (uv_async_send, an eventfd). It must not call back in here. */
    void (*wake)(void *context);
    void *context;
};

struct wal_done {
    int code;          /* 0; ERR_NO_SPACE: sequence and later are not written, tried again by
                        * themselves every second; other: final, stop the process */
    uint64_t sequence; /* code 0: every batch up to this one is durable (RAFT_PERSISTED) */
    uint64_t write_us; /* of the write and of the sync, for metrics */
    uint64_t sync_us;
    struct wal_capacity capacity; /* after it */
    struct err err;               /* when code is not 0 */
};

struct wal_thread;

/* The thread owns wal from here on, also if starting fails. */
MUST_USE int wal_thread_start(struct wal *wal, const struct wal_thread_options *options,
                              struct wal_thread **ret_thread, struct err *err);
/* Write what waits (unless failed), end the thread, close the log. NULL is fine. */
void wal_thread_stop(struct wal_thread *thread);

/* The thread becomes the owner of the batch. */
void wal_thread_take_batch(struct wal_thread *thread, struct wal_batch *batch);
/* As wal_release(), in order with the batches. */
void wal_thread_release(struct wal_thread *thread, raft_index index);

/* The next completion, oldest first; false: none. Core thread, never blocks. */
bool wal_thread_take_done(struct wal_thread *thread, struct wal_done *ret_done);

/* Age of the batch that is being written (CLOCK_MONOTONIC milliseconds since it was handed over);
 * 0: nothing waits. A leader whose disk hangs longer than an election timeout steps down. */
uint64_t wal_thread_oldest_ms(const struct wal_thread *thread);

#endif
