#include "tests/support/raft_cluster_internal.h"

#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "raft/members.h"

struct raft_options raft_cluster_options(void)
{
    return (struct raft_options){
        .election_timeout_ms = 100,
        .heartbeat_interval_ms = 20,
        .append_bytes_max = 512,
        .inflight_bytes_max = 2048,
        .uncommitted_bytes_max = 1 << 16,
        .log_bytes_max = 1 << 20,
    };
}

struct cluster_node *raft_cluster_node(struct raft_cluster *cluster, raft_id id)
{
    CHECK(id > 0 && id < CLUSTER_NODES_MAX);
    return &cluster->nodes[id];
}

struct raft *raft_cluster_raft(struct raft_cluster *cluster, raft_id id)
{
    struct raft *raft = raft_cluster_node(cluster, id)->raft;
    CHECK(raft != NULL);
    return raft;
}

void cluster_start_node(struct raft_cluster *cluster, struct cluster_node *node)
{
    CHECK(node->raft == NULL);
    node->starts++;
    struct raft_options options = cluster->options;
    options.id = node->id;
    options.seed = prng_next(&cluster->prng);
    struct raft_restored restored = {
        .hard_state = node->hard_state,
        .snapshot = node->snapshot,
        .entries = node->entries,
        .entry_count = node->entry_count,
        .applied = node->stored.at.index,
    };
    if (node->stored_is_installed && node->stored.at.index > node->snapshot.last.index) {
        restored.snapshot = (struct raft_snapshot_meta){node->stored.at, node->stored.members};
    }
    struct err err;
    if (raft_restored_check(&restored, &err) != 0) {
        raft_cluster_fail(cluster, "%llu cannot restart: %s", (unsigned long long)node->id,
                          err.text);
        return;
    }
    node->raft = raft_new(&options, &restored, cluster->now);
    node->machine = node->stored;
    node->role_seen = RAFT_FOLLOWER;
    node->term_seen = 0;
    node->leader_seen = 0;
    node->commit_seen = 0;
}

struct raft_cluster *raft_cluster_new(uint32_t voters, uint32_t learners, uint64_t seed,
                                      const struct raft_options *options)
{
    CHECK(voters + learners < CLUSTER_NODES_MAX);
    struct raft_cluster *cluster = mem_zalloc(sizeof *cluster);
    cluster->options = *options;
    cluster->next_token = 1;
    prng_init(&cluster->prng, seed);
    raft_decoder_init(&cluster->decoder);
    buf_init(&cluster->scratch);
    struct raft_members members = {0};
    for (uint32_t i = 1; i <= voters + learners; i++) {
        members.member[members.count++] = (struct raft_member){i, i <= voters};
    }
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        cluster->nodes[i].id = i;
        if (i <= members.count) {
            cluster->nodes[i].exists = true;
            cluster->nodes[i].snapshot.members = members;
            cluster->nodes[i].stored.members = members;
            cluster_start_node(cluster, &cluster->nodes[i]);
        }
    }
    return cluster;
}

void raft_cluster_free(struct raft_cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        raft_free(node->raft);
        cluster_drop_batches(node);
        mem_free(node->batches);
        cluster_drop_stored_entries(node, 0);
        mem_free(node->entries);
    }
    for (uint32_t i = 0; i < cluster->wire_count; i++) {
        blob_unref(cluster->wires[i].bytes);
    }
    mem_free(cluster->wires);
    mem_free(cluster->chosen);
    mem_free(cluster->chosen_hash);
    mem_free(cluster->chosen_in);
    raft_decoder_deinit(&cluster->decoder);
    buf_deinit(&cluster->scratch);
    mem_free(cluster);
}

raft_id raft_cluster_leader(const struct raft_cluster *cluster)
{
    raft_id leader = 0;
    raft_term term = 0;
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        const struct raft *raft = cluster->nodes[i].raft;
        if (raft != NULL && raft_role(raft) == RAFT_LEADER && raft_term_current(raft) > term) {
            leader = i;
            term = raft_term_current(raft);
        }
    }
    return leader;
}

static void add_wire(struct raft_cluster *cluster, struct cluster_wire wire)
{
    if (cluster->wire_count == cluster->wire_capacity) {
        cluster->wire_capacity = cluster->wire_capacity == 0 ? 64 : cluster->wire_capacity * 2;
        cluster->wires =
            mem_reallocarray(cluster->wires, cluster->wire_capacity, sizeof *cluster->wires);
    }
    raft_time_ms delay_max = cluster->faults.delay_max;
    wire.at = cluster->now + (delay_max == 0 ? 0 : 1 + prng_below(&cluster->prng, delay_max));
    wire.order = cluster->next_order++;
    cluster->wires[cluster->wire_count++] = wire;
}

static struct cluster_wire take_wire(struct raft_cluster *cluster, uint32_t place)
{
    struct cluster_wire wire = cluster->wires[place];
    cluster->wire_count--;
    memmove(&cluster->wires[place], &cluster->wires[place + 1],
            (cluster->wire_count - place) * sizeof *cluster->wires);
    return wire;
}

static void report_sent(struct raft_cluster *cluster, const struct cluster_wire *wire, bool ok)
{
    struct raft_event event = {
        .type = RAFT_SNAPSHOT_SENT,
        .snapshot_sent = {.peer = wire->to, .index = wire->state.at.index, .ok = ok},
    };
    if (raft_cluster_node(cluster, wire->from)->raft != NULL) {
        (void)raft_cluster_step(cluster, wire->from, event);
    }
}

void cluster_lose_wire(struct raft_cluster *cluster, uint32_t place)
{
    struct cluster_wire wire = take_wire(cluster, place);
    if (wire.is_stream) {
        report_sent(cluster, &wire, false);
    }
    blob_unref(wire.bytes);
}

void cluster_send_message(struct raft_cluster *cluster, struct cluster_node *node,
                          const struct raft_message *message)
{
    struct raft_message out = *message;
    struct cluster_wire wire = {.from = out.from, .to = out.to};
    if (out.type == RAFT_MESSAGE_INSTALL_SNAPSHOT) {
        /* As the node does: stream the state machine as it is now. */
        wire.is_stream = true;
        wire.state = node->machine;
        out.install_snapshot.meta =
            (struct raft_snapshot_meta){node->machine.at, node->machine.members};
    }
    buf_clear(&cluster->scratch);
    raft_message_encode(&out, &cluster->scratch);
    bool is_known = out.to < CLUSTER_NODES_MAX;
    uint32_t copies = prng_chance(&cluster->prng, cluster->faults.duplicate_percent, 100) ? 2 : 1;
    if (wire.is_stream) {
        copies = 1;
    } else if (prng_chance(&cluster->prng, cluster->faults.loss_percent, 100)) {
        copies = 0;
    }
    for (uint32_t i = 0; is_known && i < copies; i++) {
        wire.bytes = buf_to_blob(&cluster->scratch);
        add_wire(cluster, wire);
    }
}

static void arrive(struct raft_cluster *cluster, const struct cluster_wire *wire)
{
    struct cluster_node *node = raft_cluster_node(cluster, wire->to);
    struct raft_message message;
    struct err err;
    if (raft_message_decode(blob_bytes(wire->bytes), &cluster->decoder, &message, &err) != 0) {
        raft_cluster_fail(cluster, "a message does not decode: %s", err.text);
        return;
    }
    if (cluster->trace != NULL) {
        raft_trace_message(cluster->trace, &message);
        buf_append_text(cluster->trace, "\n");
    }
    if (wire->is_stream) {
        node->staged = wire->state;
        node->has_staged = true;
    }
    struct raft_event event = {.type = RAFT_RECEIVED, .received = &message};
    (void)raft_cluster_step(cluster, node->id, event);
    node->has_staged = false; /* used by now, or of no use */
}

/* Deliver or lose it, as link and receiver are. */
void cluster_deliver_place(struct raft_cluster *cluster, uint32_t place)
{
    const struct cluster_wire *wire = &cluster->wires[place];
    if (cluster->links[wire->from][wire->to] == CLUSTER_LINK_CUT ||
        cluster->nodes[wire->to].raft == NULL) {
        cluster_lose_wire(cluster, place);
        return;
    }
    struct cluster_wire taken = take_wire(cluster, place);
    arrive(cluster, &taken);
    if (taken.is_stream) {
        report_sent(cluster, &taken, true);
    }
    blob_unref(taken.bytes);
}

static void apply_entries(struct raft_cluster *cluster, struct cluster_node *node,
                          const struct raft_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_entry *entry = &entries[i];
        struct bytes data = blob_bytes(entry->data);
        if (entry->at.index != node->machine.at.index + 1) {
            raft_cluster_fail(cluster, "%llu applies %llu after %llu", (unsigned long long)node->id,
                              (unsigned long long)entry->at.index,
                              (unsigned long long)node->machine.at.index);
            return;
        }
        uint64_t mixed = node->machine.hash * 1099511628211ULL + entry->at.term;
        node->machine.hash = mixed ^ crc32c((uint32_t)entry->type, data.data, data.size);
        node->machine.at = entry->at;
        if (entry->type == RAFT_ENTRY_CONFIG) {
            int rc = raft_members_decode(data, &node->machine.members, NULL);
            CHECK(rc == 0);
        }
        raft_cluster_check_applied(cluster, node, entry, node->machine.hash);
    }
}

static void trace_ready(struct raft_cluster *cluster, const struct cluster_node *node,
                        const struct raft_ready *ready)
{
    if (cluster->trace == NULL) {
        return;
    }
    unsigned long long id = node->id;
    if (ready->snapshot != NULL) {
        buf_append_format(cluster->trace, "%llu installs snapshot %llu/%llu\n", id,
                          (unsigned long long)ready->snapshot->last.index,
                          (unsigned long long)ready->snapshot->last.term);
    }
    if (ready->committed_count > 0) {
        buf_append_format(cluster->trace, "%llu applies", id);
        raft_trace_entries(cluster->trace, ready->committed, ready->committed_count);
        buf_append_text(cluster->trace, "\n");
    }
    for (uint32_t i = 0; i < ready->read_count; i++) {
        buf_append_format(cluster->trace, "%llu may answer read %llu at %llu\n", id,
                          (unsigned long long)ready->reads[i].token,
                          (unsigned long long)ready->reads[i].index);
    }
    for (uint32_t i = 0; i < ready->failed_read_count; i++) {
        buf_append_format(cluster->trace, "%llu gives up read %llu\n", id,
                          (unsigned long long)ready->failed_reads[i]);
    }
}

static void install_staged(struct raft_cluster *cluster, struct cluster_node *node,
                           const struct raft_snapshot_meta *meta)
{
    if (!node->has_staged || node->staged.at.index != meta->last.index) {
        raft_cluster_fail(cluster, "%llu asked for a snapshot that is not staged",
                          (unsigned long long)node->id);
        return;
    }
    node->machine = node->staged;
    node->stored = node->staged; /* the state machine is switched first, durably (R34) */
    node->stored_is_installed = true;
    raft_index at = meta->last.index;
    if (at <= cluster->chosen_count && cluster->chosen_hash[at - 1] != node->machine.hash) {
        raft_cluster_fail(cluster, "%llu installed a state that nobody had",
                          (unsigned long long)node->id);
    }
}

void cluster_drain(struct raft_cluster *cluster, struct cluster_node *node)
{
    struct raft_ready ready;
    while (raft_take_ready(node->raft, &ready)) {
        trace_ready(cluster, node, &ready);
        for (uint32_t i = 0; i < ready.message_count; i++) {
            cluster_send_message(cluster, node, &ready.messages[i]);
        }
        if (ready.snapshot != NULL) {
            install_staged(cluster, node, ready.snapshot);
        }
        if (ready.sequence > 0) {
            cluster_queue_batch(cluster, node, &ready);
        }
        for (uint32_t i = 0; i < ready.read_count; i++) {
            raft_cluster_check_read(cluster, node->id, &ready.reads[i]);
        }
        for (uint32_t i = 0; i < ready.failed_read_count; i++) {
            cluster->reads[ready.failed_reads[i] % CLUSTER_READS_MAX].is_open = false;
            cluster->reads_failed++;
        }
        if (ready.committed_count > 0) {
            apply_entries(cluster, node, ready.committed, ready.committed_count);
            struct raft_event event = {
                .type = RAFT_APPLIED,
                .now = cluster->now,
                .applied = {.index = node->machine.at.index},
            };
            int rc = raft_step(node->raft, &event);
            CHECK(rc == 0);
        }
    }
}

void cluster_trace_changes(struct raft_cluster *cluster, struct cluster_node *node)
{
    enum raft_role role = raft_role(node->raft);
    raft_term term = raft_term_current(node->raft);
    raft_id leader = raft_leader(node->raft);
    static const char *const roles[] = {"follower", "pre-candidate", "candidate", "leader"};
    if (cluster->trace != NULL && (role != node->role_seen || term != node->term_seen)) {
        buf_append_format(cluster->trace, "%llu is %s in term %llu\n", (unsigned long long)node->id,
                          roles[role], (unsigned long long)term);
    }
    node->role_seen = role;
    node->term_seen = term;
    node->leader_seen = leader;
}

int raft_cluster_step(struct raft_cluster *cluster, raft_id id, struct raft_event event)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    CHECK(node->raft != NULL);
    event.now = cluster->now;
    int rc = raft_step(node->raft, &event);
    raft_cluster_check_node(cluster, node);
    cluster_trace_changes(cluster, node);
    cluster_drain(cluster, node);
    raft_cluster_check_node(cluster, node);
    cluster_trace_changes(cluster, node);
    return rc;
}
