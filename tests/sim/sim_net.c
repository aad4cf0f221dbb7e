#include "base/check.h"
#include "base/mem.h"
#include "kvstore/node/start.h"
#include "kvstore/state/kv_snapshot.h"
#include "tests/sim/sim.h"

static uint64_t delay_us(struct sim *sim)
{
    uint64_t most = sim->is_calm ? 5 : sim->dials.delay_max_ms;
    return prng_between(&sim->prng_net, 100, most * 1000 + 100);
}

static bool is_lost(struct sim *sim, uint32_t from, uint32_t to)
{
    return to >= sim->member_count || sim->cut[from][to] ||
           (!sim->is_calm && prng_chance(&sim->prng_net, sim->dials.drop, 1000));
}

/* Messages are encoded and decoded on the way, so that the codec is tried, too. */
static void transmit(struct sim *sim, enum sim_event_type type, uint32_t from, uint32_t to,
                     struct bytes data)
{
    /* Node frames travel on one stream: lost or late, never twice. */
    bool may_double = type == SIM_RAFT && !sim->is_calm;
    uint32_t copies = may_double && prng_chance(&sim->prng_net, sim->dials.duplicate, 1000) ? 2 : 1;
    for (uint32_t i = 0; i < copies; i++) {
        uint64_t after = delay_us(sim);
        CHECK(to < SIM_MEMBERS_MAX);
        if (is_lost(sim, from, to)) {
            continue;
        }
        struct sim_event *event = sim_schedule(sim, after, type, to);
        event->from = from;
        event->data = blob_new_copy(data.data, data.size);
    }
}

/* The whole stream as one arrival, or a broken one. */
static void send_snapshot(struct sim_member *from, const struct raft_message *message)
{
    struct sim *sim = from->sim;
    uint32_t to = (uint32_t)(message->to - sim_member_id(0));
    struct backend_snapshot *view = NULL;
    struct err err = {0};
    if (backend_snapshot_open(from->backend, 0, &view, &err) != 0) {
        node_on_snapshot_sent(from->node, sim_member_now(from), message->to, 0, false);
        return;
    }
    struct raft_message introduction = *message;
    struct raft_snapshot_meta *meta = &introduction.install_snapshot.meta;
    struct backend_position applied = backend_snapshot_applied(view);
    if (applied.index > meta->last.index) {
        meta->last = (struct raft_position){.index = applied.index, .term = applied.term};
        meta->members = node_members_at(from->node, applied.index);
    }
    const struct kv_snapshot_header header = {.cluster_id = SIM_CLUSTER_ID};
    struct kv_snapshot_writer *writer = kv_snapshot_writer_new(view, &header);
    struct buf stream = BUF_INIT;
    bool is_done = false;
    int code = 0;
    while (code == 0 && !is_done) {
        code = kv_snapshot_writer_next(writer, &stream, 64 << 10, &is_done, &err);
    }
    kv_snapshot_writer_free(writer);
    backend_snapshot_close(view);
    struct buf whole = BUF_INIT;
    struct buf head = BUF_INIT;
    raft_message_encode(&introduction, &head);
    uint32_t size = (uint32_t)buf_size(&head);
    buf_append(&whole, &size, sizeof size);
    buf_append_bytes(&whole, buf_bytes(&head));
    buf_append_bytes(&whole, buf_bytes(&stream));
    struct sim_event *event = sim_schedule(sim, delay_us(sim) * 4, SIM_SNAPSHOT, to);
    event->from = from->index;
    event->epoch = from->epoch; /* the sender's: it hears how it went */
    event->number = meta->last.index;
    event->data = is_lost(sim, from->index, to) ? NULL : buf_to_blob(&whole);
    buf_deinit(&head);
    buf_deinit(&whole);
    buf_deinit(&stream);
}

void sim_net_send(struct sim_member *from, const struct raft_message *message)
{
    uint32_t to = (uint32_t)(message->to - sim_member_id(0));
    if (message->type == RAFT_MESSAGE_INSTALL_SNAPSHOT) {
        send_snapshot(from, message);
        return;
    }
    struct buf out = BUF_INIT;
    raft_message_encode(message, &out);
    transmit(from->sim, SIM_RAFT, from->index, to, buf_bytes(&out));
    buf_deinit(&out);
}

void sim_net_send_frame(struct sim_member *from, raft_id to, struct bytes frame)
{
    transmit(from->sim, SIM_FRAME, from->index, (uint32_t)(to - sim_member_id(0)), frame);
}

void sim_net_tell(struct sim *sim, uint32_t about)
{
    for (uint32_t i = 0; i < sim->member_count; i++) {
        if (i != about) {
            struct sim_event *event = sim_schedule(sim, delay_us(sim), SIM_PEER, i);
            event->from = about;
        }
    }
}
