#include "base/check.h"
#include "base/mem.h"
#include "kvstore/backend/memory.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/node/start.h"
#include "kvstore/state/kv_snapshot.h"
#include "kvstore/watch/watch_hub.h"
#include "raft/wal/disk_memory.h"
#include "tests/sim/sim.h"

enum {
    PAUSED_RETRY_US = 20000,
    ADVANCE_ROUNDS = 4,
    NO_SPACE_RESTART_US = 1000000, /* the service manager's patience */
    CLOCK_START_MAX_MS = 1000000   /* a monotonic clock counts from anywhere */
};

uint64_t sim_member_now(const struct sim_member *member)
{
    return (member->sim->now_us + member->clock_us) / 1000;
}

/* --- what the node asks for ----------------------------------------------------------------- */

static void io_send(void *context, const struct raft_message *message)
{
    sim_net_send(context, message);
}

static void io_send_frame(void *context, raft_id to, struct bytes frame)
{
    sim_net_send_frame(context, to, frame);
}

static void io_install(void *context, const struct raft_snapshot_meta *meta)
{
    struct sim_member *member = context;
    (void)meta;
    member->is_staged = false;
    struct sim_event *event = sim_schedule(member->sim, 1000, SIM_INSTALL, member->index);
    event->epoch = member->epoch;
}

static void io_reply(void *context, uint64_t token, const struct node_reply *reply)
{
    struct sim_member *member = context;
    if (member->epoch != 0 && sim_admin_owns(token)) {
        sim_admin_reply(member, token, reply->status);
    } else if (member->epoch != 0) { /* else it is being torn down: nobody hears it */
        sim_clients_reply(member->sim->clients, token, reply);
    }
}

static void io_watch_ready(void *context, void *stream)
{
    struct sim_member *member = context;
    if (stream == member) {
        sim_truth_record(member->sim->truth, member);
    } else {
        sim_clients_watch_ready(member->sim->clients, stream);
    }
}

static void io_role_changed(void *context, enum raft_role role, raft_id leader, raft_term term)
{
    struct sim_member *member = context;
    sim_trace(member->sim, term << 8 | (uint64_t)role << 4 | (leader & 15));
    sim_truth_role(member->sim->truth, member->index, role, term);
}

static void io_members_changed(void *context)
{
    (void)context; /* addresses are fixed here */
}

static void io_stop(void *context, enum node_stop reason, const char *text)
{
    struct sim_member *member = context;
    if (reason == NODE_STOP_REMOVED) {
        member->is_leaving = true;
        return;
    }
    sim_fail(member->sim, SIM_CORRECTNESS, "member %u stops (reason %d): %s", member->index,
             (int)reason, text);
}

static void io_applied(void *context, const struct raft_entry *entry)
{
    struct sim_member *member = context;
    sim_truth_applied(member->sim->truth, member->index, entry);
}

/* --- life ------------------------------------------------------------------------------------ */

void sim_member_init(struct sim *sim, uint32_t index)
{
    struct sim_member *member = &sim->members[index];
    member->sim = sim;
    member->index = index;
    member->disk = disk_memory_new(prng_split(&sim->prng_disk));
    member->backend = backend_memory_new();
    list_init(&member->persists);
    list_init(&member->stores);
    raft_decoder_init(&member->decoder);
}

static void stop(struct sim_member *member)
{
    member->epoch = 0;
    sim_clients_member_gone(member->sim->clients, member->index);
    watch_stream_free(member->recorder);
    member->recorder = NULL;
    node_free(member->node);
    member->node = NULL;
    wal_close(member->wal);
    member->wal = NULL;
    sim_disk_forget(member);
    backend_restore_cancel(member->backend);
    member->is_staged = false;
    member->is_paused = false;
    member->tick_at_us = 0;
}

void sim_member_deinit(struct sim_member *member)
{
    if (member->epoch != 0) {
        stop(member);
    }
    backend_close(member->backend);
    disk_memory_free(member->disk);
    raft_decoder_deinit(&member->decoder);
}

void sim_member_crash(struct sim_member *member)
{
    struct prng *prng = &member->sim->prng_disk;
    static const enum disk_memory_crash ways[] = {DISK_CRASH_LOSE_ALL, DISK_CRASH_KEEP_ALL,
                                                  DISK_CRASH_KEEP_SOME};
    if (prng_chance(&member->sim->prng_fault, 1, 2)) {
        sim_disk_tear(member); /* it was just writing */
    }
    stop(member);
    disk_memory_crash(member->disk, ways[prng_below(prng, 3)], prng_next(prng));
    backend_memory_crash(member->backend, prng_below(prng, 20));
    sim_net_tell(member->sim, member->index);
}

void sim_member_retire(struct sim_member *member)
{
    if (member->epoch != 0) {
        stop(member);
    }
    member->is_removed = true;
    sim_net_tell(member->sim, member->index);
}

static int seed(struct sim_member *member, struct wal_recovered *recovered,
                struct raft_snapshot_meta *installed, struct err *err)
{
    struct cluster_member members[SIM_FOUNDERS_MAX] = {0};
    for (uint32_t i = 0; i < member->sim->founder_count; i++) {
        members[i].id = sim_member_id(i);
        members[i].name = mem_printf("m%u", i);
        members[i].peer_urls.url[0] = mem_printf("http://127.0.0.1:%u", 1000 + i);
        members[i].peer_urls.count = 1;
    }
    int code = start_seed(member->backend, members, member->sim->founder_count, installed, err);
    for (uint32_t i = 0; i < member->sim->founder_count; i++) {
        cluster_member_deinit(&members[i]);
    }
    recovered->snapshot = *installed;
    recovered->hard_state = (struct raft_hard_state){.term = 1, .commit = 1};
    struct wal_batch *batch =
        wal_batch_new(0, &recovered->hard_state, &recovered->snapshot, NULL, 0);
    code = code != 0 ? code : wal_append(member->wal, &batch, 1, err);
    wal_batch_free(batch);
    return code;
}

static int open_node(struct sim_member *member, const struct wal_recovered *recovered,
                     const struct raft_snapshot_meta *installed, struct err *err)
{
    struct sim *sim = member->sim;
    struct raft_restored restored = {.hard_state = recovered->hard_state,
                                     .snapshot = recovered->snapshot,
                                     .entries = recovered->entries,
                                     .entry_count = recovered->entry_count};
    start_restore(&restored, installed, backend_applied(member->backend));
    int code = raft_restored_check(&restored, err);
    const struct node_options options = {
        .raft = {.id = sim_member_id(member->index),
                 .seed = prng_split(&sim->prng_fault),
                 .election_timeout_ms = SIM_ELECTION_MS,
                 .heartbeat_interval_ms = SIM_HEARTBEAT_MS,
                 .append_bytes_max = 4096,
                 .inflight_bytes_max = 64 << 10,
                 .uncommitted_bytes_max = 1 << 20,
                 .log_bytes_max = 8 << 20},
        .kv = {.backend = member->backend,
               .cluster_id = SIM_CLUSTER_ID,
               .member_id = sim_member_id(member->index)},
        .io = {.context = member,
               .send = io_send,
               .send_frame = io_send_frame,
               .persist = sim_disk_persist,
               .store = sim_disk_store,
               .compact_log = sim_disk_compact_log,
               .install_snapshot = io_install,
               .applied = io_applied,
               .reply = io_reply,
               .watch_ready = io_watch_ready,
               .role_changed = io_role_changed,
               .members_changed = io_members_changed,
               .stop = io_stop},
        .request_id_base = (uint64_t)(member->index + 1) << 48 | (uint64_t)member->epochs << 24,
        .catchup_entries = sim->dials.compact_entries / 2,
        .compact_entries = sim->dials.compact_entries,
        .compact_bytes = 256 << 10,
        .recent_bytes = 32 << 10,
        .apply_items = 1, /* nearly everything takes several slices */
        .store_interval_ms = 20,
        .store_bytes_max = 4096,
        .max_learners = 2,
        .strict_reconfig_check = sim->dials.is_strict,
        .version = "sim",
    };
    return code != 0 ? code
                     : node_new(&options, &restored, sim_member_now(member), &member->node, err);
}

void sim_member_start(struct sim_member *member)
{
    struct sim *sim = member->sim;
    struct raft_snapshot_meta installed = {0};
    struct wal_recovered recovered = {0};
    struct err err = {0};
    member->epoch = ++member->epochs;
    member->clock_us = prng_below(&sim->prng_fault, CLOCK_START_MAX_MS) * 1000;
    int code = start_read_installed(member->backend, &installed, &err);
    const struct wal_options options = {
        .disk = member->disk,
        .is_created = true,
        .cluster_id = SIM_CLUSTER_ID,
        .member_id = sim_member_id(member->index),
        .segment_bytes = 64 << 10,
        .alignment_bytes = 512,
        .durable_applied_index = backend_applied(member->backend).index,
        .installed = installed.last.index > 0 ? &installed : NULL,
    };
    code = code != 0 ? code : wal_open(&options, &member->wal, &recovered, &err);
    bool is_first = code == 0 && recovered.snapshot.last.index == 0 && recovered.entry_count == 0 &&
                    backend_applied(member->backend).index == 0;
    if (is_first && member->index < sim->founder_count) {
        code = seed(member, &recovered, &installed, &err);
    }
    code = code != 0 ? code
                     : start_check_identity(member->backend, SIM_CLUSTER_ID,
                                            sim_member_id(member->index), &err);
    code = code != 0 ? code : open_node(member, &recovered, &installed, &err);
    wal_recovered_deinit(&recovered);
    if (code != 0) {
        bool is_full = code == ERR_NO_SPACE && sim->space_ends_us[member->index] != 0;
        if (is_full) { /* it says so and ends: exit code 75 */
            (void)sim_schedule(sim, NO_SPACE_RESTART_US, SIM_RESTART, member->index);
        } else {
            sim_fail(sim, SIM_CORRECTNESS, "member %u cannot start: %s", member->index, err.text);
        }
        wal_close(member->wal);
        member->wal = NULL;
        member->epoch = 0;
        return;
    }
    sim_truth_record(sim->truth, member);
    sim_disk_schedule_sync(member);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        if (i != member->index && sim->members[i].epoch != 0) {
            node_on_peer(member->node, sim_member_now(member), sim_member_id(i), true);
        }
    }
    sim_net_tell(sim, member->index);
    sim_member_run(member);
}

/* --- events ---------------------------------------------------------------------------------- */

static void install(struct sim_member *member)
{
    struct err err = {0};
    while (!list_is_empty(&member->stores)) {
        if (!sim_disk_on_store(member)) { /* it waits its turn behind what waits for space */
            struct sim_event *event =
                sim_schedule(member->sim, PAUSED_RETRY_US, SIM_INSTALL, member->index);
            event->epoch = member->epoch;
            return;
        }
    }
    if (backend_restore_finish(member->backend, &err) != 0 ||
        backend_renew(member->backend, &err) != 0) {
        sim_fail(member->sim, SIM_CORRECTNESS, "a staged snapshot cannot be installed: %s",
                 err.text);
        return;
    }
    node_on_installed(member->node, sim_member_now(member), member->backend);
}

/* False: the stream is refused. */
static bool stage(struct sim_member *member, struct bytes stream,
                  const struct raft_snapshot_meta *meta)
{
    struct kv_snapshot_reader *reader = kv_snapshot_reader_new(SIM_CLUSTER_ID);
    struct err err = {0};
    int code = backend_restore_start(member->backend, &err);
    code = code != 0 ? code : kv_snapshot_reader_feed(reader, stream, &err);
    struct backend_batch *batch = kv_snapshot_reader_take_batch(reader);
    while (code == 0 && batch != NULL) {
        code = backend_restore_write(member->backend, &batch, 1, &err);
        backend_batch_free(batch);
        batch = kv_snapshot_reader_take_batch(reader);
    }
    if (code == 0 && kv_snapshot_reader_is_complete(reader)) {
        batch = backend_batch_new(UINT64_MAX);
        start_add_installed(batch, meta);
        code = backend_restore_write(member->backend, &batch, 1, &err);
        backend_batch_free(batch);
    } else {
        code = code != 0 ? code : ERR_CORRUPT;
    }
    kv_snapshot_reader_free(reader);
    if (code != 0) {
        sim_fail(member->sim, SIM_CORRECTNESS, "a whole snapshot stream is refused: %s", err.text);
    }
    return code == 0;
}

static bool receive_snapshot(struct sim_member *member, const struct blob *data)
{
    uint32_t size;
    struct raft_message message;
    struct err err = {0};
    memcpy(&size, data->data, sizeof size);
    int code = raft_message_decode(bytes_make(data->data + sizeof size, size), &member->decoder,
                                   &message, &err);
    CHECK(code == 0);
    if (member->is_staged || node_is_installing(member->node) ||
        !node_wants_snapshot(member->node, message.install_snapshot.meta.last)) {
        return false;
    }
    struct bytes stream =
        bytes_make(data->data + sizeof size + size, data->size - sizeof size - size);
    if (!stage(member, stream, &message.install_snapshot.meta)) {
        return false;
    }
    member->is_staged = true;
    node_on_message(member->node, sim_member_now(member), &message);
    return true;
}

/* The stream arrives (or broke), and its sender hears how it went. */
static void snapshot_arrives(struct sim_member *member, const struct sim_event *event)
{
    struct sim *sim = member->sim;
    bool ok = event->data != NULL && member->epoch != 0 && receive_snapshot(member, event->data);
    if (member->epoch != 0) {
        sim_member_run(member);
    }
    struct sim_member *sender = &sim->members[event->from];
    if (sender->epoch == event->epoch) {
        node_on_snapshot_sent(sender->node, sim_member_now(sender), sim_member_id(member->index),
                              event->number, ok);
        sim_member_run(sender);
    }
}

static void receive_raft(struct sim_member *member, const struct blob *data)
{
    struct raft_message message;
    struct err err = {0};
    if (raft_message_decode(blob_bytes(data), &member->decoder, &message, &err) != 0) {
        sim_fail(member->sim, SIM_CORRECTNESS, "a message cannot be read: %s", err.text);
        return;
    }
    node_on_message(member->node, sim_member_now(member), &message);
    raft_decoder_clear(&member->decoder);
}

static void handle_running(struct sim_member *member, const struct sim_event *event)
{
    switch (event->type) {
    case SIM_RAFT:
        receive_raft(member, event->data);
        break;
    case SIM_FRAME:
        node_on_frame(member->node, sim_member_now(member), sim_member_id(event->from),
                      blob_bytes(event->data));
        break;
    case SIM_PERSIST:
        sim_disk_on_persist(member);
        break;
    case SIM_STORE:
        if (!sim_disk_on_store(member)) {
            sim_disk_retry_store(member);
        }
        break;
    case SIM_SYNC:
        sim_disk_on_sync(member);
        break;
    case SIM_INSTALL:
        install(member);
        break;
    case SIM_TICK:
        member->tick_at_us = 0;
        break;
    case SIM_PEER:
        node_on_peer(member->node, sim_member_now(member), sim_member_id(event->from),
                     member->sim->members[event->from].epoch != 0); /* as it is now */
        break;
    default:
        CHECK_UNREACHABLE();
    }
    sim_member_run(member);
}

static void put_off(struct sim_member *member, const struct sim_event *event)
{
    struct sim_event *later =
        sim_schedule(member->sim, PAUSED_RETRY_US, event->type, event->member);
    later->from = event->from;
    later->epoch = event->epoch;
    later->number = event->number;
    later->data = blob_ref(event->data);
}

void sim_member_handle(struct sim_member *member, struct sim_event *event)
{
    if (event->type == SIM_RESTART) {
        if (member->epoch == 0 && !member->is_removed) {
            sim_member_start(member);
        }
        return;
    }
    if (event->type == SIM_SPACE) {
        sim_disk_free_space(member);
        return;
    }
    if (event->type == SIM_RESUME) {
        member->is_paused = false;
        return;
    }
    if (member->is_paused) {
        put_off(member, event); /* its sockets and threads stand still with it */
        return;
    }
    if (event->type == SIM_SNAPSHOT) {
        snapshot_arrives(member, event);
        return;
    }
    bool is_for_process = event->epoch != 0;
    if (member->epoch == 0 || (is_for_process && event->epoch != member->epoch)) {
        return;
    }
    handle_running(member, event);
}

void sim_member_run(struct sim_member *member)
{
    struct sim *sim = member->sim;
    bool has_more = true;
    for (uint32_t i = 0; i < ADVANCE_ROUNDS && has_more; i++) {
        has_more = node_advance(member->node, sim_member_now(member));
    }
    if (member->is_leaving) {
        sim_member_retire(member);
        return;
    }
    if (member->is_staged && !node_is_installing(member->node)) {
        member->is_staged = false;
        backend_restore_cancel(member->backend);
    }
    raft_time_ms deadline = has_more ? sim_member_now(member) : node_deadline(member->node);
    if (deadline == RAFT_TIME_NEVER) {
        return;
    }
    uint64_t own_us = sim->now_us + member->clock_us;
    uint64_t at_us = sim->now_us + (deadline * 1000 > own_us ? deadline * 1000 - own_us : 200);
    if (member->tick_at_us == 0 || at_us < member->tick_at_us) {
        member->tick_at_us = at_us;
        struct sim_event *event = sim_schedule(sim, at_us - sim->now_us, SIM_TICK, member->index);
        event->epoch = member->epoch;
    }
}
