#include "kvstore/backend/backend_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "kvstore/backend/batch.h"

enum {
    BATCH_BYTES_DEFAULT = 4 << 20,
    SYNC_BYTES_DEFAULT = 64 << 20,
    SYNC_INTERVAL_MS_DEFAULT = 5000,
    NO_SPACE_RETRY_MS = 1000,
};

enum job_type {
    JOB_BATCH = 1,
    JOB_SYNC,
    JOB_DEFRAGMENT,
    JOB_RESTORE_START,
    JOB_RESTORE_BATCH,
    JOB_RESTORE_FINISH,
    JOB_RESTORE_CANCEL,
};

struct job {
    struct list link;
    enum job_type type;
    struct backend_batch *batch; /* of JOB_BATCH and JOB_RESTORE_BATCH */
};

struct done {
    struct list link;
    struct backend_done done;
};

struct backend_thread {
    struct backend *backend;
    struct backend_thread_options options;
    pthread_t thread;
    struct mailbox jobs;
    struct mailbox dones;
    atomic_uint_fast64_t pending_bytes;

    /* The thread's own. */
    struct list waiting; /* struct job, taken from the mailbox, oldest first */
    uint64_t waiting_bytes;
    uint64_t waiting_since_ns; /* when the oldest waiting batch arrived */
    uint64_t retry_at_ns;      /* after ERR_NO_SPACE; 0: none */
    bool is_no_space_reported;
    uint64_t unsynced_bytes;
    bool has_unsynced;
    uint64_t synced_at_ns;
    bool is_failed;
    bool is_restore_failed; /* ignore the rest of this restore */
    uint64_t sequence;
    struct backend_position applied;
    struct backend_position durable;
    struct backend_position restored; /* by the restore under way */
};

static uint64_t ms_to_ns(uint64_t ms)
{
    return ms * 1000000;
}

static void post(struct backend_thread *thread, enum backend_done_type type, int code,
                 const struct err *err, uint64_t started_ns)
{
    struct done *done = mem_zalloc(sizeof *done);
    done->done = (struct backend_done){.type = type,
                                       .code = code,
                                       .sequence = thread->sequence,
                                       .applied = thread->applied,
                                       .durable = thread->durable,
                                       .duration_us = (clock_monotonic_ns() - started_ns) / 1000};
    if (code != 0) {
        done->done.err = *err;
    }
    mailbox_put(&thread->dones, &done->link);
    if (thread->options.wake != NULL) {
        thread->options.wake(thread->options.context);
    }
}

static void fail(struct backend_thread *thread, int code, const struct err *err, uint64_t started)
{
    thread->is_failed = true;
    post(thread, BACKEND_DONE_FAILED, code, err, started);
}

static void free_job(struct job *job)
{
    backend_batch_free(job->batch);
    mem_free(job);
}

/* The leading batches that fit into one transaction. */
static uint32_t collect(struct backend_thread *thread, struct backend_batch ***ret_batches,
                        uint64_t *ret_bytes)
{
    struct backend_batch **batches = NULL;
    uint32_t count = 0;
    uint64_t bytes = 0;
    list_foreach (item, &thread->waiting) {
        struct job *job = container_of(item, struct job, link);
        if (job->type != JOB_BATCH || (bytes > 0 && bytes + backend_batch_bytes(job->batch) >
                                                        thread->options.batch_bytes_max)) {
            break;
        }
        if ((count & (count + 1)) == 0) { /* grow at 0, 1, 3, 7, ... */
            batches = mem_reallocarray(batches, (size_t)count * 2 + 2, sizeof(*batches));
        }
        batches[count++] = job->batch;
        bytes += backend_batch_bytes(job->batch);
    }
    *ret_batches = batches;
    *ret_bytes = bytes;
    return count;
}

static void finish_jobs(struct backend_thread *thread, uint32_t count, uint64_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        struct job *job = container_of(list_pop_front(&thread->waiting), struct job, link);
        thread->sequence = job->batch->sequence;
        if (job->batch->has_applied) {
            thread->applied = job->batch->applied;
        }
        free_job(job);
    }
    thread->waiting_bytes -= bytes;
    thread->waiting_since_ns = clock_monotonic_ns();
    atomic_fetch_sub(&thread->pending_bytes, bytes);
}

static void commit_some(struct backend_thread *thread)
{
    struct backend_batch **batches;
    uint64_t bytes;
    uint32_t count = collect(thread, &batches, &bytes);
    uint64_t started = clock_monotonic_ns();
    struct err err;
    int rc = backend_commit(thread->backend, batches, count, &err);
    mem_free(batches);
    if (rc == ERR_NO_SPACE) {
        thread->retry_at_ns = clock_monotonic_ns() + ms_to_ns(NO_SPACE_RETRY_MS);
        if (!thread->is_no_space_reported) {
            thread->is_no_space_reported = true;
            post(thread, BACKEND_DONE_NO_SPACE, rc, &err, started);
        }
        return;
    }
    if (rc != 0) {
        fail(thread, rc, &err, started);
        return;
    }
    thread->retry_at_ns = 0;
    thread->is_no_space_reported = false;
    thread->unsynced_bytes += bytes;
    thread->has_unsynced = true;
    finish_jobs(thread, count, bytes);
    post(thread, BACKEND_DONE_COMMIT, 0, NULL, started);
}

static void sync_now(struct backend_thread *thread)
{
    uint64_t started = clock_monotonic_ns();
    struct err err;
    int rc = backend_sync(thread->backend, &thread->durable, &err);
    if (rc != 0) {
        fail(thread, rc, &err, started);
        return;
    }
    thread->unsynced_bytes = 0;
    thread->has_unsynced = false;
    thread->synced_at_ns = clock_monotonic_ns();
    post(thread, BACKEND_DONE_SYNC, 0, NULL, started);
}

static bool is_final(int code)
{
    return code == ERR_IO || code == ERR_CORRUPT;
}

static void defragment(struct backend_thread *thread)
{
    uint64_t started = clock_monotonic_ns();
    struct err err;
    int rc = backend_defragment(thread->backend, &err);
    post(thread, BACKEND_DONE_DEFRAGMENT, rc, &err, started);
    if (rc == 0) {
        sync_now(thread); /* the copy is synced as a whole */
    } else if (is_final(rc)) {
        fail(thread, rc, &err, started);
    }
}

static int run_restore_step(struct backend_thread *thread, struct job *job, struct err *err)
{
    switch (job->type) {
    case JOB_RESTORE_START:
        thread->is_restore_failed = false;
        thread->restored = (struct backend_position){0, 0};
        return backend_restore_start(thread->backend, err);
    case JOB_RESTORE_BATCH:
        return backend_restore_write(thread->backend, &job->batch, 1, err);
    case JOB_RESTORE_FINISH:
        return backend_restore_finish(thread->backend, err);
    default:
        CHECK(job->type == JOB_RESTORE_CANCEL);
        backend_restore_cancel(thread->backend);
        return 0;
    }
}

static void restore(struct backend_thread *thread, struct job *job)
{
    if (thread->is_restore_failed && job->type != JOB_RESTORE_START) {
        return;
    }
    if (job->batch != NULL && job->batch->has_applied) {
        thread->restored = job->batch->applied;
    }
    uint64_t started = clock_monotonic_ns();
    struct err err;
    int rc = run_restore_step(thread, job, &err);
    if (rc != 0) {
        thread->is_restore_failed = true;
        backend_restore_cancel(thread->backend);
        post(thread, BACKEND_DONE_RESTORE, rc, &err, started);
        if (is_final(rc)) {
            fail(thread, rc, &err, started);
        }
        return;
    }
    if (job->type == JOB_RESTORE_FINISH) {
        thread->applied = thread->restored;
        thread->durable = thread->restored;
        thread->has_unsynced = false;
        thread->unsynced_bytes = 0;
        post(thread, BACKEND_DONE_RESTORE, 0, NULL, started);
    }
}

static void run_job(struct backend_thread *thread, struct job *job)
{
    switch (job->type) {
    case JOB_SYNC:
        sync_now(thread);
        return;
    case JOB_DEFRAGMENT:
        defragment(thread);
        return;
    default:
        restore(thread, job);
        return;
    }
}

static struct job *first_waiting(struct backend_thread *thread)
{
    return list_is_empty(&thread->waiting) ? NULL
                                           : container_of(thread->waiting.next, struct job, link);
}

/* A job of another kind behind the batches, or the end, lets them go at once. */
static bool has_reason_to_hurry(struct backend_thread *thread)
{
    list_foreach (item, &thread->waiting) {
        if (container_of(item, struct job, link)->type != JOB_BATCH) {
            return true;
        }
    }
    return mailbox_is_closed(&thread->jobs) ||
           thread->waiting_bytes >= thread->options.batch_bytes_max;
}

/* When the thread must act without a new job; UINT64_MAX: never. 0: now. */
static uint64_t next_deadline(struct backend_thread *thread)
{
    uint64_t deadline = UINT64_MAX;
    struct job *first = first_waiting(thread);
    if (first != NULL && first->type != JOB_BATCH) {
        return 0;
    }
    if (first != NULL && thread->retry_at_ns != 0) {
        deadline = thread->retry_at_ns;
    } else if (first != NULL) {
        deadline = has_reason_to_hurry(thread)
                       ? 0
                       : thread->waiting_since_ns + ms_to_ns(thread->options.batch_interval_ms);
    }
    if (thread->has_unsynced) {
        uint64_t sync_at = thread->synced_at_ns + ms_to_ns(thread->options.sync_interval_ms);
        deadline = sync_at < deadline ? sync_at : deadline;
    }
    return deadline;
}

static void take_jobs(struct backend_thread *thread)
{
    bool was_empty = list_is_empty(&thread->waiting);
    struct list arrived;
    list_init(&arrived);
    if (!mailbox_take_all(&thread->jobs, &arrived)) {
        return;
    }
    list_foreach (item, &arrived) {
        struct job *job = container_of(item, struct job, link);
        thread->waiting_bytes += job->type == JOB_BATCH ? backend_batch_bytes(job->batch) : 0;
    }
    list_splice_back(&thread->waiting, &arrived);
    if (was_empty) {
        thread->waiting_since_ns = clock_monotonic_ns();
    }
}

static void act(struct backend_thread *thread, uint64_t now_ns)
{
    struct job *first = first_waiting(thread);
    bool is_sync_due =
        thread->has_unsynced &&
        (thread->unsynced_bytes >= thread->options.sync_bytes_max ||
         now_ns >= thread->synced_at_ns + ms_to_ns(thread->options.sync_interval_ms));
    if (is_sync_due) {
        sync_now(thread);
        return;
    }
    if (first == NULL) {
        return;
    }
    if (first->type == JOB_BATCH) {
        bool is_due = thread->retry_at_ns != 0
                          ? now_ns >= thread->retry_at_ns
                          : has_reason_to_hurry(thread) ||
                                now_ns >= thread->waiting_since_ns +
                                              ms_to_ns(thread->options.batch_interval_ms);
        if (is_due) {
            commit_some(thread);
        }
        return;
    }
    list_remove(&first->link);
    run_job(thread, first);
    free_job(first);
}

static void discard_waiting(struct backend_thread *thread)
{
    list_foreach_safe (link, &thread->waiting) {
        list_remove(link);
        free_job(container_of(link, struct job, link));
    }
}

/* At the end a full disk is not waited for: the log still has what is lost here. */
static bool is_finished(struct backend_thread *thread)
{
    return mailbox_is_closed(&thread->jobs) &&
           (list_is_empty(&thread->waiting) || thread->retry_at_ns != 0 || thread->is_failed);
}

static void *run(void *context)
{
    struct backend_thread *thread = context;
    thread->synced_at_ns = clock_monotonic_ns();
    for (;;) {
        uint64_t deadline = thread->is_failed ? UINT64_MAX : next_deadline(thread);
        if (deadline > clock_monotonic_ns() && !mailbox_is_closed(&thread->jobs)) {
            (void)mailbox_wait(&thread->jobs, deadline);
        }
        take_jobs(thread);
        if (is_finished(thread)) {
            break;
        }
        if (thread->is_failed) {
            discard_waiting(thread);
        } else {
            act(thread, clock_monotonic_ns());
        }
    }
    if (!thread->is_failed && thread->has_unsynced) {
        sync_now(thread);
    }
    backend_restore_cancel(thread->backend);
    discard_waiting(thread);
    return NULL;
}

static void set_defaults(struct backend_thread_options *options)
{
    if (options->batch_bytes_max == 0) {
        options->batch_bytes_max = BATCH_BYTES_DEFAULT;
    }
    if (options->sync_bytes_max == 0) {
        options->sync_bytes_max = SYNC_BYTES_DEFAULT;
    }
    if (options->sync_interval_ms == 0) {
        options->sync_interval_ms = SYNC_INTERVAL_MS_DEFAULT;
    }
}

static void free_thread(struct backend_thread *thread)
{
    for (struct list *item; (item = mailbox_take(&thread->dones)) != NULL;) {
        mem_free(container_of(item, struct done, link));
    }
    mailbox_deinit(&thread->dones);
    mailbox_deinit(&thread->jobs);
    mem_free(thread);
}

int backend_thread_start(struct backend *backend, const struct backend_thread_options *options,
                         struct backend_thread **ret_thread, struct err *err)
{
    struct backend_thread *thread = mem_zalloc(sizeof *thread);
    thread->backend = backend;
    thread->options = *options;
    set_defaults(&thread->options);
    mailbox_init(&thread->jobs);
    mailbox_init(&thread->dones);
    list_init(&thread->waiting);
    atomic_init(&thread->pending_bytes, 0);
    thread->applied = backend_applied(backend);
    thread->durable = thread->applied; /* opened from the disk */
    int rc = pthread_create(&thread->thread, NULL, run, thread);
    if (rc != 0) {
        free_thread(thread);
        return err_set_errno(err, rc, "start the backend's thread");
    }
    (void)pthread_setname_np(thread->thread, "backend");
    *ret_thread = thread;
    return 0;
}

static bool try_join(struct backend_thread *thread)
{
    enum { PATIENCE_NS = 20 * 1000 * 1000 };
    struct timespec deadline;
    CHECK(clock_gettime(CLOCK_REALTIME, &deadline) == 0);
    deadline.tv_nsec += PATIENCE_NS;
    deadline.tv_sec += deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    int rc = pthread_timedjoin_np(thread->thread, NULL, &deadline);
    CHECK(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void backend_thread_stop(struct backend_thread *thread)
{
    if (thread == NULL) {
        return;
    }
    mailbox_close(&thread->jobs);
    /* The thread may wait for this one to let the map grow. */
    while (!try_join(thread)) {
        if (backend_renew(thread->backend, NULL) != 0) {
            continue; /* the thread ends all the same */
        }
    }
    free_thread(thread);
}

static void put_job(struct backend_thread *thread, enum job_type type, struct backend_batch *batch)
{
    struct job *job = mem_zalloc(sizeof *job);
    job->type = type;
    job->batch = batch;
    mailbox_put(&thread->jobs, &job->link);
}

void backend_thread_take_batch(struct backend_thread *thread, struct backend_batch *batch)
{
    atomic_fetch_add(&thread->pending_bytes, backend_batch_bytes(batch));
    put_job(thread, JOB_BATCH, batch);
}

void backend_thread_sync(struct backend_thread *thread)
{
    put_job(thread, JOB_SYNC, NULL);
}

void backend_thread_defragment(struct backend_thread *thread)
{
    put_job(thread, JOB_DEFRAGMENT, NULL);
}

void backend_thread_restore_start(struct backend_thread *thread)
{
    put_job(thread, JOB_RESTORE_START, NULL);
}

void backend_thread_restore_take_batch(struct backend_thread *thread, struct backend_batch *batch)
{
    put_job(thread, JOB_RESTORE_BATCH, batch);
}

void backend_thread_restore_finish(struct backend_thread *thread)
{
    put_job(thread, JOB_RESTORE_FINISH, NULL);
}

void backend_thread_restore_cancel(struct backend_thread *thread)
{
    put_job(thread, JOB_RESTORE_CANCEL, NULL);
}

bool backend_thread_take_done(struct backend_thread *thread, struct backend_done *ret_done)
{
    struct list *item = mailbox_take(&thread->dones);
    if (item == NULL) {
        return false;
    }
    struct done *done = container_of(item, struct done, link);
    *ret_done = done->done;
    mem_free(done);
    return true;
}

uint64_t backend_thread_pending_bytes(const struct backend_thread *thread)
{
    return atomic_load(&thread->pending_bytes);
}
