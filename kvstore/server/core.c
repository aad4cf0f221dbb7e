#include "kvstore/server/core.h"

#include "base/check.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "kvstore/server/core_internal.h"

enum {
    WAL_LOW_BYTES = 4 << 20,            /* below it writes are refused: the disk is nearly full */
    STAGE_PENDING_BYTES_MAX = 32 << 20, /* of a received snapshot, not written yet */
    COMPACTION_LOG_MS = 60000,          /* under load the log is compacted every few seconds */
    WAL_STUCK_MS = 20000                /* a log write that takes longer ends the process (R37) */
};

static struct metrics *metrics_of(struct core *core)
{
    return core->options.metrics;
}

/* --- what the node asks for ---------------------------------------------------------------- */

static void io_send(void *context, const struct raft_message *message)
{
    struct core *core = context;
    core->options.events.send(core->options.events.context, message);
}

static void io_send_frame(void *context, raft_id to, struct bytes frame)
{
    struct core *core = context;
    core->options.events.send_frame(core->options.events.context, to, frame);
}

static void io_persist(void *context, const struct node_persist *batch)
{
    struct core *core = context;
    core->last_sequence = batch->sequence;
    metric_observe(metrics_of(core), METRIC_KVD_BATCH_ENTRIES, batch->entry_count);
    wal_thread_take_batch(core->wal_thread,
                          wal_batch_new(batch->sequence, batch->hard_state, batch->snapshot,
                                        batch->entries, batch->entry_count));
}

static void io_store(void *context, struct backend_batch *batch)
{
    struct core *core = context;
    metric_observe(metrics_of(core), METRIC_KVD_STORE_BATCH, backend_batch_count(batch));
    core->last_store_sequence = backend_batch_sequence(batch);
    backend_thread_take_batch(core->backend_thread, batch);
}

static void io_compact_log(void *context, const struct raft_snapshot_meta *meta)
{
    struct core *core = context;
    wal_thread_take_batch(core->wal_thread,
                          wal_batch_new(core->last_sequence, NULL, meta, NULL, 0));
    wal_thread_release(core->wal_thread, meta->last.index);
    uint64_t now = core_now(core);
    if (now >= core->compaction_logged_ms + COMPACTION_LOG_MS || core->compaction_logged_ms == 0) {
        core->compaction_logged_ms = now;
        log_info("compacted the log", LOG_U64("index", meta->last.index));
    }
}

static void io_install_snapshot(void *context, const struct raft_snapshot_meta *meta)
{
    struct core *core = context;
    log_info("applying snapshot", LOG_U64("index", meta->last.index),
             LOG_U64("term", meta->last.term));
    metric_set(metrics_of(core), METRIC_SNAPSHOT_APPLYING, 1);
    core->is_staged = false;
    backend_thread_restore_finish(core->backend_thread);
}

static void io_reply(void *context, uint64_t token, const struct node_reply *reply)
{
    (void)context;
    struct core_call *call = (struct core_call *)(uintptr_t)token;
    call->is_submitted = reply->more;
    call->on_reply(call, reply);
}

static void io_watch_ready(void *context, void *stream)
{
    struct core *core = context;
    core->options.events.watch_ready(core->options.events.context, stream);
}

static void io_role_changed(void *context, enum raft_role role, raft_id leader, raft_term term)
{
    struct core *core = context;
    core->options.events.role_changed(core->options.events.context, role, leader, term);
}

static void io_members_changed(void *context)
{
    struct core *core = context;
    core->options.events.members_changed(core->options.events.context);
}

static void fail(struct core *core, int exit_code, const char *text)
{
    core->options.events.failed(core->options.events.context, exit_code, text);
}

static void io_stop(void *context, enum node_stop reason, const char *text)
{
    struct core *core = context;
    switch (reason) {
    case NODE_STOP_REMOVED:
        fail(core, EXIT_MEMBER_REMOVED, "the cluster has removed this member");
        break;
    case NODE_STOP_LOST_LOG:
        fail(core, EXIT_CORRUPT_LOG,
             "this member's log is older than what it acknowledged (a lost or restored disk): "
             "remove it from the cluster and add it again with an empty data directory");
        break;
    case NODE_STOP_CORRUPT:
        fail(core, EXIT_CORRUPT_STORE, text);
        break;
    }
}

/* --- completions of the disk threads ------------------------------------------------------- */

static void note_space(struct core *core, bool is_log_full, bool is_store_full)
{
    bool was_full = core->is_log_full || core->is_store_full;
    bool is_full = is_log_full || is_store_full;
    core->is_log_full = is_log_full;
    core->is_store_full = is_store_full;
    if (is_full != was_full) {
        node_set_disk_full(core->node, is_full);
        log_warn(is_full ? "the disk is full or nearly full: writes are refused"
                         : "the disk has space again");
    }
}

/* Once low, only a whole spare segment counts as space again: not what one release gives. */
static bool is_log_low(const struct core *core, const struct wal_done *done)
{
    bool is_below = done->capacity.available_bytes < WAL_LOW_BYTES || core->is_log_full;
    return done->code == ERR_NO_SPACE || (is_below && !done->capacity.is_spare_ready);
}

static void on_wal_done(struct core *core, const struct wal_done *done)
{
    note_space(core, is_log_low(core, done), core->is_store_full);
    if (done->code == ERR_NO_SPACE) {
        log_error("no space for the log; trying again", LOG_TEXT("error", done->err.text));
        return;
    }
    if (done->code != 0) {
        fail(core, exit_code_from_error(done->code, /* is_log= */ true), done->err.text);
        return;
    }
    metric_observe(metrics_of(core), METRIC_WAL_FSYNC, (double)done->sync_us / 1e6);
    metric_observe(metrics_of(core), METRIC_WAL_WRITE, (double)done->write_us / 1e6);
    node_on_persisted(core->node, core_now(core), done->sequence);
}

static bool renew(struct core *core)
{
    struct err err = {0};
    int code = backend_renew(core->backend, &err);
    if (code != 0) {
        fail(core, exit_code_from_error(code, /* is_log= */ false), err.text);
    }
    return code == 0;
}

static void on_defragmented(struct core *core, const struct backend_done *done)
{
    metric_observe(metrics_of(core), METRIC_BACKEND_DEFRAG, (double)done->duration_us / 1e6);
    metric_set(metrics_of(core), METRIC_DEFRAG_INFLIGHT, 0);
    kv_look_at_size(node_kv(core->node)); /* before the answer: the next write may fit now */
    if (core->defragment_done != NULL) {
        core_defragment_done *callback = core->defragment_done;
        core->defragment_done = NULL;
        callback(core->defragment_data, done->code, done->err.text);
    }
}

static void on_restored(struct core *core, const struct backend_done *done)
{
    metric_set(metrics_of(core), METRIC_SNAPSHOT_APPLYING, 0);
    if (done->code != 0 && node_is_installing(core->node)) {
        fail(core, exit_code_from_error(done->code, /* is_log= */ false), done->err.text);
    } else if (done->code == 0 && renew(core)) {
        node_on_installed(core->node, core_now(core), core->backend);
        log_info("applied snapshot", LOG_U64("index", done->applied.index));
    }
}

/* Hand over what is applied; who waits learns which batch is the last of it. The store may be too
 * busy to take everything at once: then again after the next sync. */
static void push_store(struct core *core)
{
    node_store_now(core->node, core_now(core));
    if (kv_unstored_bytes(node_kv(core->node)) == 0) {
        list_foreach (link, &core->store_waiters) {
            struct core_store_waiter *waiter = container_of(link, struct core_store_waiter, link);
            if (waiter->sequence == UINT64_MAX) {
                waiter->sequence = core->last_store_sequence;
            }
        }
    }
    backend_thread_sync(core->backend_thread);
}

static void release_store_waiters(struct core *core, uint64_t stored_sequence)
{
    list_foreach_safe (link, &core->store_waiters) {
        struct core_store_waiter *waiter = container_of(link, struct core_store_waiter, link);
        if (waiter->sequence <= stored_sequence) {
            list_remove(link);
            waiter->done(waiter);
        }
    }
    if (!list_is_empty(&core->store_waiters)) {
        push_store(core);
    }
}

void core_store_all(struct core *core, struct core_store_waiter *waiter)
{
    waiter->sequence = UINT64_MAX;
    list_push_back(&core->store_waiters, &waiter->link);
    push_store(core);
}

void core_store_cancel(struct core_store_waiter *waiter)
{
    list_remove(&waiter->link);
}

static void on_backend_done(struct core *core, const struct backend_done *done)
{
    switch (done->type) {
    case BACKEND_DONE_COMMIT:
        metric_observe(metrics_of(core), METRIC_BACKEND_COMMIT, (double)done->duration_us / 1e6);
        note_space(core, core->is_log_full, false);
        node_on_stored(core->node, core_now(core), done->sequence);
        break;
    case BACKEND_DONE_SYNC:
        node_on_durable(core->node, core_now(core), done->durable.index);
        release_store_waiters(core, done->sequence);
        break;
    case BACKEND_DONE_DEFRAGMENT:
        (void)renew(core); /* a failure has ended the process's work */
        on_defragmented(core, done);
        break;
    case BACKEND_DONE_RESTORE:
        on_restored(core, done);
        break;
    case BACKEND_DONE_NO_SPACE:
        log_error("no space for the store; trying again", LOG_TEXT("error", done->err.text));
        note_space(core, core->is_log_full, true);
        break;
    case BACKEND_DONE_FAILED:
        fail(core, exit_code_from_error(done->code, /* is_log= */ false), done->err.text);
        break;
    }
}

static void take_completions(struct core *core)
{
    struct wal_done wal_done;
    while (wal_thread_take_done(core->wal_thread, &wal_done)) {
        on_wal_done(core, &wal_done);
    }
    struct backend_done backend_done;
    while (backend_thread_take_done(core->backend_thread, &backend_done)) {
        on_backend_done(core, &backend_done);
    }
    if (atomic_exchange_explicit(&core->is_renew_wanted, false, memory_order_acq_rel)) {
        (void)renew(core);
    }
}

/* --- the run -------------------------------------------------------------------------------- */

static void submit_inbox(struct core *core)
{
    for (struct list *link = list_pop_front(&core->inbox); link != NULL;
         link = list_pop_front(&core->inbox)) {
        struct core_call *call = container_of(link, struct core_call, link);
        const struct node_request request = {.token = (uint64_t)(uintptr_t)call,
                                             .method = call->method,
                                             .body = call->body,
                                             .fresh_id = call->fresh_id,
                                             .member = call->member,
                                             .caller = call->caller,
                                             .is_internal = call->is_internal};
        call->is_submitted = true;
        node_submit(core->node, core_now(core), &request);
    }
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer; /* it only ended the wait: the prepare phase follows */
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* it only keeps the loop from waiting */
}

static void set_timer(struct core *core)
{
    raft_time_ms deadline = node_deadline(core->node);
    if (deadline == core->timer_deadline) {
        return;
    }
    core->timer_deadline = deadline;
    uint64_t now = core_now(core);
    uint64_t wait = deadline <= now ? 0 : deadline - now;
    (void)uv_timer_start(&core->timer, on_timer, wait, 0); /* fails only for a closing handle */
}

static void offer_room(struct core *core);

/* R37: a leader with a stuck disk steps down by raft's own rule; a process whose disk does not come
 * back makes room for one that may start elsewhere. */
static void check_disk(struct core *core)
{
    if (wal_thread_oldest_ms(core->wal_thread) > WAL_STUCK_MS) {
        fail(core, EXIT_DISK_FAILED, "the log's disk has not finished a write for 20 s");
    }
}

static void run(struct core *core)
{
    uint64_t started = uv_hrtime();
    core->is_running = true;
    take_completions(core);
    submit_inbox(core);
    raft_index applied = node_applied(core->node);
    uint64_t advance_started = uv_hrtime();
    bool has_more = node_advance(core->node, core_now(core));
    if (node_applied(core->node) != applied) {
        metric_child_observe(core->apply_time, (double)(uv_hrtime() - advance_started) / 1e9);
    }
    if (core->is_staged && !node_is_installing(core->node)) {
        core_stage_cancel(core); /* complete, told to the node, and not wanted */
    }
    offer_room(core);
    core->options.events.flush(core->options.events.context);
    core->is_running = false;
    if (has_more || !list_is_empty(&core->inbox)) {
        (void)uv_idle_start(&core->idle, on_idle);
    } else {
        (void)uv_idle_stop(&core->idle);
    }
    set_timer(core);
    check_disk(core);
    metric_observe(metrics_of(core), METRIC_KVD_LOOP, (double)(uv_hrtime() - started) / 1e9);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct core *core = prepare->data;
    bool is_due = core_now(core) >= core->timer_deadline;
    if (core->is_dirty || is_due || uv_is_active((uv_handle_t *)&core->idle) != 0) {
        core->is_dirty = false;
        if (is_due) {
            core->timer_deadline = 0; /* the timer has fired or is about to: set it again */
        }
        run(core);
    }
}

static void on_async(uv_async_t *async)
{
    struct core *core = async->data;
    core->is_dirty = true;
}

void core_wake_from_thread(void *context)
{
    struct core *core = context;
    (void)uv_async_send(&core->async); /* fails only for a closing handle */
}

void core_renew_wanted(void *context)
{
    struct core *core = context;
    atomic_store_explicit(&core->is_renew_wanted, true, memory_order_release);
    core_wake_from_thread(core);
}

void core_start_loop(struct core *core)
{
    uv_loop_t *loop = core->options.loop;
    int code = uv_prepare_init(loop, &core->prepare);
    code = code != 0 ? code : uv_idle_init(loop, &core->idle);
    code = code != 0 ? code : uv_timer_init(loop, &core->timer);
    code = code != 0 ? code : uv_async_init(loop, &core->async, on_async);
    CHECK(code == 0); /* only the eventfd can fail, and then nothing can run */
    core->prepare.data = core;
    core->async.data = core;
    code = uv_prepare_start(&core->prepare, on_prepare);
    CHECK(code == 0);
    core_wake(core);
}

void core_stop_loop(struct core *core, uv_close_cb freed)
{
    /* libuv runs close callbacks last in, first out: the first handle's comes after all others. */
    uv_close((uv_handle_t *)&core->prepare, freed);
    uv_close((uv_handle_t *)&core->idle, NULL);
    uv_close((uv_handle_t *)&core->timer, NULL);
    uv_close((uv_handle_t *)&core->async, NULL);
}

struct node_io core_node_io(struct core *core)
{
    return (struct node_io){
        .context = core,
        .send = io_send,
        .send_frame = io_send_frame,
        .persist = io_persist,
        .store = io_store,
        .compact_log = io_compact_log,
        .install_snapshot = io_install_snapshot,
        .reply = io_reply,
        .watch_ready = io_watch_ready,
        .role_changed = io_role_changed,
        .members_changed = io_members_changed,
        .stop = io_stop,
    };
}

/* --- calls ---------------------------------------------------------------------------------- */

void core_wake(struct core *core)
{
    core->is_dirty = true;
    if (core->is_running) {
        (void)uv_idle_start(&core->idle, on_idle);
    }
}

void core_submit(struct core *core, struct core_call *call)
{
    call->is_submitted = false;
    list_push_back(&core->inbox, &call->link);
    core_wake(core);
}

void core_abandon(struct core *core, struct core_call *call)
{
    if (call->is_submitted) {
        node_cancel(core->node, (uint64_t)(uintptr_t)call);
        core_wake(core);
    }
}

void core_resume(struct core *core, struct core_call *call)
{
    node_resume(core->node, (uint64_t)(uintptr_t)call);
    core_wake(core);
}

void core_on_message(struct core *core, const struct raft_message *message)
{
    node_on_message(core->node, core_now(core), message);
    core_wake(core);
}

void core_on_frame(struct core *core, raft_id from, struct bytes frame)
{
    node_on_frame(core->node, core_now(core), from, frame);
    core_wake(core);
}

void core_on_peer(struct core *core, raft_id peer, bool is_connected)
{
    node_on_peer(core->node, core_now(core), peer, is_connected);
    core_wake(core);
}

void core_on_snapshot_sent(struct core *core, raft_id peer, raft_index index, bool ok)
{
    node_on_snapshot_sent(core->node, core_now(core), peer, index, ok);
    core_wake(core);
}

void core_stage_start(struct core *core, core_stage_room *has_room, void *data)
{
    CHECK(!core->is_staging && !core->is_staged);
    core->is_staging = true;
    core->stage_room = has_room;
    core->stage_data = data;
    core->is_room_wanted = false;
    backend_thread_restore_start(core->backend_thread);
}

static bool has_stage_room(const struct core *core)
{
    return backend_thread_pending_bytes(core->backend_thread) <= STAGE_PENDING_BYTES_MAX;
}

bool core_stage_is_full(struct core *core)
{
    bool is_full = !has_stage_room(core);
    core->is_room_wanted = core->is_room_wanted || is_full; /* until it was said that there is */
    return is_full;
}

/* What was staged has been written: whoever waits to hand over more may go on. */
static void offer_room(struct core *core)
{
    if (core->is_staging && core->is_room_wanted && has_stage_room(core)) {
        core->is_room_wanted = false;
        core->stage_room(core->stage_data);
    }
}

void core_stage_take_batch(struct core *core, struct backend_batch *batch)
{
    CHECK(core->is_staging);
    backend_thread_restore_take_batch(core->backend_thread, batch);
}

void core_stage_finish(struct core *core, const struct raft_message *message)
{
    CHECK(core->is_staging);
    core->is_staging = false;
    core->is_staged = true;
    core_on_message(core, message);
}

void core_stage_cancel(struct core *core)
{
    if (core->is_staging || core->is_staged) {
        core->is_staging = false;
        core->is_staged = false;
        backend_thread_restore_cancel(core->backend_thread);
    }
}

bool core_is_staging(const struct core *core)
{
    return core->is_staging || core->is_staged || node_is_installing(core->node);
}

int core_defragment(struct core *core, core_defragment_done *done, void *data)
{
    if (core->defragment_done != NULL) {
        return ERR_BUSY;
    }
    core->defragment_done = done;
    core->defragment_data = data;
    metric_set(metrics_of(core), METRIC_DEFRAG_INFLIGHT, 1);
    backend_thread_defragment(core->backend_thread);
    return 0;
}
