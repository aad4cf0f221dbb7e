#include "raft/wal/wal_thread.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "base/mem.h"

enum {
    MERGE_BYTES_DEFAULT = 8 << 20,
    SETTLE_AFTER_MS = 1000,  /* quiet for so long: make the last acknowledgement's record durable */
    RETRY_AFTER_MS = 1000,   /* full disk */
    PREPARE_BYTES = 1 << 20, /* of the next segment at a time: about a millisecond */
};

struct job {
    struct list link;
    struct wal_batch *batch; /* or NULL: release up to */
    raft_index release_index;
    uint64_t arrived_ms;
};

struct done {
    struct list link;
    struct wal_done done;
};

struct wal_thread {
    struct wal *wal;
    struct wal_thread_options options;
    pthread_t thread;
    struct mailbox jobs;
    struct mailbox dones;
    atomic_uint_fast64_t oldest_arrived_ms; /* 0: nothing waits */

    /* The thread's own. */
    struct list waiting;
    uint64_t retry_at_ns; /* 0: none */
    bool is_no_space_reported;
    bool is_unsettled;
    bool is_failed;
    bool is_spare_missing;  /* reserve it again after a while */
    bool is_spare_prepared; /* see wal_prepare_spare */
    uint64_t prepare_bytes; /* of it, owed for what was written */
    uint64_t sequence;
};

static void post(struct wal_thread *thread, int code, const struct err *err,
                 const struct wal_stats *before)
{
    struct wal_stats after = wal_stats(thread->wal);
    struct done *done = mem_zalloc(sizeof *done);
    done->done = (struct wal_done){.code = code,
                                   .sequence = thread->sequence,
                                   .write_us = (after.write_ns - before->write_ns) / 1000,
                                   .sync_us = (after.sync_ns - before->sync_ns) / 1000,
                                   .capacity = wal_capacity(thread->wal)};
    if (code != 0) {
        done->done.err = *err;
    }
    mailbox_put(&thread->dones, &done->link);
    if (thread->options.wake != NULL) {
        thread->options.wake(thread->options.context);
    }
}

static void fail(struct wal_thread *thread, int code, const struct err *err)
{
    const struct wal_stats now = wal_stats(thread->wal);
    thread->is_failed = true;
    post(thread, code, err, &now);
}

static struct job *job_of(struct list *item)
{
    return container_of(item, struct job, link);
}

static void free_job(struct job *job)
{
    wal_batch_free(job->batch);
    mem_free(job);
}

/* The leading batches that go into one write. */
static uint32_t collect(struct wal_thread *thread, struct wal_batch ***ret_batches)
{
    struct wal_batch **batches = NULL;
    uint32_t count = 0;
    uint64_t bytes = 0;
    list_foreach (item, &thread->waiting) {
        struct wal_batch *batch = job_of(item)->batch;
        if (batch == NULL ||
            (count > 0 && bytes + wal_batch_bytes(batch) > thread->options.merge_bytes_max)) {
            break;
        }
        if ((count & (count + 1)) == 0) { /* grow at 0, 1, 3, 7, ... */
            batches = mem_reallocarray(batches, (size_t)count * 2 + 2, sizeof(*batches));
        }
        batches[count++] = batch;
        bytes += wal_batch_bytes(batch);
    }
    *ret_batches = batches;
    return count;
}

static void note_oldest(struct wal_thread *thread)
{
    atomic_store(&thread->oldest_arrived_ms,
                 list_is_empty(&thread->waiting) ? 0 : job_of(thread->waiting.next)->arrived_ms);
}

static void refuse_for_space(struct wal_thread *thread, const struct err *err)
{
    const struct wal_stats now = wal_stats(thread->wal);
    thread->retry_at_ns = clock_monotonic_ns() + (uint64_t)RETRY_AFTER_MS * 1000000;
    if (!thread->is_no_space_reported) {
        thread->is_no_space_reported = true;
        post(thread, ERR_NO_SPACE, err, &now);
    }
}

static void write_some(struct wal_thread *thread)
{
    struct wal_batch **batches;
    uint32_t count = collect(thread, &batches);
    const struct wal_stats before = wal_stats(thread->wal);
    struct err err;
    int rc = wal_append(thread->wal, batches, count, &err);
    mem_free(batches);
    if (rc == ERR_NO_SPACE) {
        refuse_for_space(thread, &err);
        return;
    }
    if (rc != 0) {
        fail(thread, rc, &err);
        return;
    }
    thread->retry_at_ns = 0;
    thread->is_no_space_reported = false;
    thread->is_unsettled = true;
    for (uint32_t i = 0; i < count; i++) {
        struct job *job = job_of(list_pop_front(&thread->waiting));
        thread->sequence = wal_batch_sequence(job->batch);
        free_job(job);
    }
    note_oldest(thread);
    post(thread, 0, NULL, &before);
}

/* After the answer, not before it: the next segment is reserved while nobody waits for it. The core
 * hears when there is one again after there was none. */
static void reserve(struct wal_thread *thread)
{
    if (wal_capacity(thread->wal).is_spare_ready) {
        return;
    }
    struct err err;
    int rc = wal_reserve(thread->wal, &err);
    bool was_missing = thread->is_spare_missing;
    thread->is_spare_missing = rc == ERR_NO_SPACE;
    thread->is_spare_prepared = rc != 0;
    thread->prepare_bytes = 0;
    if (rc != 0 && rc != ERR_NO_SPACE) {
        fail(thread, rc, &err);
    } else if (rc == 0 && was_missing) {
        const struct wal_stats now = wal_stats(thread->wal);
        post(thread, 0, NULL, &now);
    }
}

static void prepare(struct wal_thread *thread, uint64_t bytes)
{
    struct err err;
    int rc = wal_prepare_spare(thread->wal, bytes, &thread->is_spare_prepared, &err);
    if (rc != 0) {
        fail(thread, rc, &err);
    }
}

/* Under load the spare is prepared twice as fast as the present segment fills. */
static void prepare_some(struct wal_thread *thread, uint64_t written_bytes)
{
    thread->prepare_bytes += 2 * written_bytes;
    if (!thread->is_spare_prepared && thread->prepare_bytes >= PREPARE_BYTES) {
        thread->prepare_bytes -= PREPARE_BYTES;
        prepare(thread, PREPARE_BYTES);
    }
}

static void release(struct wal_thread *thread, raft_index index)
{
    struct err err;
    int rc = wal_release(thread->wal, index, &err);
    if (rc != 0) {
        fail(thread, rc, &err);
    }
}

static void settle(struct wal_thread *thread)
{
    struct err err;
    int rc = wal_settle(thread->wal, &err);
    thread->is_unsettled = false;
    if (rc != 0) {
        fail(thread, rc, &err);
    }
}

static void act(struct wal_thread *thread)
{
    struct job *job = job_of(thread->waiting.next);
    if (job->batch != NULL) {
        uint64_t written = wal_stats(thread->wal).written_bytes;
        write_some(thread);
        if (!thread->is_failed && thread->retry_at_ns == 0) {
            reserve(thread);
        }
        if (!thread->is_failed) {
            prepare_some(thread, wal_stats(thread->wal).written_bytes - written);
        }
        return;
    }
    list_remove(&job->link);
    release(thread, job->release_index);
    free_job(job);
    note_oldest(thread);
}

static void discard_waiting(struct wal_thread *thread)
{
    while (!list_is_empty(&thread->waiting)) {
        free_job(job_of(list_pop_front(&thread->waiting)));
    }
}

/* Wait for work; false: it is time for something else, or over. */
static bool wait_for_jobs(struct wal_thread *thread)
{
    uint64_t deadline = UINT64_MAX;
    bool is_work_ready = !list_is_empty(&thread->waiting) && thread->retry_at_ns == 0;
    if (thread->retry_at_ns != 0) {
        deadline = thread->retry_at_ns;
    } else if (!thread->is_spare_prepared && !thread->is_failed) {
        deadline = 0; /* only look */
    } else if (thread->is_unsettled) {
        deadline = clock_monotonic_ns() + (uint64_t)SETTLE_AFTER_MS * 1000000;
    } else if (thread->is_spare_missing) {
        deadline = clock_monotonic_ns() + (uint64_t)RETRY_AFTER_MS * 1000000;
    }
    bool has_arrived = !is_work_ready && mailbox_wait(&thread->jobs, deadline);
    (void)mailbox_take_all(&thread->jobs, &thread->waiting);
    note_oldest(thread);
    if (thread->retry_at_ns != 0 && clock_monotonic_ns() < thread->retry_at_ns &&
        !mailbox_is_closed(&thread->jobs)) {
        return false;
    }
    return is_work_ready || has_arrived || !list_is_empty(&thread->waiting);
}

/* Nothing waits. */
static void use_quiet(struct wal_thread *thread)
{
    if (!thread->is_spare_prepared) {
        prepare(thread, PREPARE_BYTES);
    } else if (thread->is_unsettled) {
        settle(thread);
    } else if (thread->is_spare_missing) {
        reserve(thread);
    }
}

static void *run(void *context)
{
    struct wal_thread *thread = context;
    for (;;) {
        bool has_work = wait_for_jobs(thread);
        bool is_closed = mailbox_is_closed(&thread->jobs);
        if (thread->is_failed) {
            discard_waiting(thread);
            has_work = false;
        }
        if (has_work) {
            act(thread);
            if (!is_closed || thread->retry_at_ns == 0) {
                continue;
            }
            break; /* no space, and nobody will make some for us */
        }
        if (is_closed) {
            break;
        }
        if (!thread->is_failed && thread->retry_at_ns == 0) {
            use_quiet(thread);
        }
    }
    (void)mailbox_take_all(&thread->jobs, &thread->waiting);
    discard_waiting(thread);
    return NULL;
}

static void free_thread(struct wal_thread *thread)
{
    for (struct list *item; (item = mailbox_take(&thread->dones)) != NULL;) {
        mem_free(container_of(item, struct done, link));
    }
    mailbox_deinit(&thread->dones);
    mailbox_deinit(&thread->jobs);
    wal_close(thread->wal);
    mem_free(thread);
}

int wal_thread_start(struct wal *wal, const struct wal_thread_options *options,
                     struct wal_thread **ret_thread, struct err *err)
{
    struct wal_thread *thread = mem_zalloc(sizeof *thread);
    thread->wal = wal;
    thread->options = *options;
    if (thread->options.merge_bytes_max == 0) {
        thread->options.merge_bytes_max = MERGE_BYTES_DEFAULT;
    }
    mailbox_init(&thread->jobs);
    mailbox_init(&thread->dones);
    list_init(&thread->waiting);
    atomic_init(&thread->oldest_arrived_ms, 0);
    int rc = pthread_create(&thread->thread, NULL, run, thread);
    if (rc != 0) {
        free_thread(thread);
        return err_set_errno(err, rc, "start the log's thread");
    }
    (void)pthread_setname_np(thread->thread, "wal");
    *ret_thread = thread;
    return 0;
}

void wal_thread_stop(struct wal_thread *thread)
{
    if (thread == NULL) {
        return;
    }
    mailbox_close(&thread->jobs);
    CHECK(pthread_join(thread->thread, NULL) == 0);
    free_thread(thread);
}

static void put_job(struct wal_thread *thread, struct wal_batch *batch, raft_index release_index)
{
    struct job *job = mem_zalloc(sizeof *job);
    job->batch = batch;
    job->release_index = release_index;
    job->arrived_ms = clock_monotonic_ms();
    if (batch != NULL) {
        uint_fast64_t none = 0;
        (void)atomic_compare_exchange_strong(&thread->oldest_arrived_ms, &none, job->arrived_ms);
    }
    mailbox_put(&thread->jobs, &job->link);
}

void wal_thread_take_batch(struct wal_thread *thread, struct wal_batch *batch)
{
    CHECK(batch != NULL);
    put_job(thread, batch, 0);
}

void wal_thread_release(struct wal_thread *thread, raft_index index)
{
    put_job(thread, NULL, index);
}

bool wal_thread_take_done(struct wal_thread *thread, struct wal_done *ret_done)
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

uint64_t wal_thread_oldest_ms(const struct wal_thread *thread)
{
    uint64_t arrived = atomic_load(&thread->oldest_arrived_ms);
    uint64_t now = clock_monotonic_ms();
    return arrived == 0 || now < arrived ? 0 : now - arrived;
}
