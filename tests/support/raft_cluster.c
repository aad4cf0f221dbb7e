#include "tests/support/raft_cluster.h"

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

static void start_node(struct raft_cluster *cluster, struct cluster_node *node)
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
            start_node(cluster, &cluster->nodes[i]);
        }
    }
    return cluster;
}

static void drop_batch(struct cluster_batch *batch)
{
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        blob_unref(batch->entries[i].data);
    }
    mem_free(batch->entries);
    mem_free(batch->messages);
}

static void drop_batches(struct cluster_node *node)
{
    for (uint32_t i = 0; i < node->batch_count; i++) {
        drop_batch(&node->batches[i]);
    }
    node->batch_count = 0;
}

static void drop_stored_entries(struct cluster_node *node, uint32_t from)
{
    for (uint32_t i = from; i < node->entry_count; i++) {
        blob_unref(node->entries[i].data);
    }
    node->entry_count = from < node->entry_count ? from : node->entry_count;
}

void raft_cluster_free(struct raft_cluster *cluster)
{
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        raft_free(node->raft);
        drop_batches(node);
        mem_free(node->batches);
        drop_stored_entries(node, 0);
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

/* --- the network ------------------------------------------------------------------------------ */

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

static void lose_wire(struct raft_cluster *cluster, uint32_t place)
{
    struct cluster_wire wire = take_wire(cluster, place);
    if (wire.is_stream) {
        report_sent(cluster, &wire, false);
    }
    blob_unref(wire.bytes);
}

static void send_message(struct raft_cluster *cluster, struct cluster_node *node,
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
static void deliver_place(struct raft_cluster *cluster, uint32_t place)
{
    const struct cluster_wire *wire = &cluster->wires[place];
    if (cluster->links[wire->from][wire->to] == CLUSTER_LINK_CUT ||
        cluster->nodes[wire->to].raft == NULL) {
        lose_wire(cluster, place);
        return;
    }
    struct cluster_wire taken = take_wire(cluster, place);
    arrive(cluster, &taken);
    if (taken.is_stream) {
        report_sent(cluster, &taken, true);
    }
    blob_unref(taken.bytes);
}

/* --- the disks -------------------------------------------------------------------------------- */

static void queue_batch(struct raft_cluster *cluster, struct cluster_node *node,
                        const struct raft_ready *ready)
{
    struct cluster_batch batch = {.sequence = ready->sequence};
    raft_time_ms delay_max = cluster->faults.disk_delay_max;
    batch.done_at = cluster->now + (delay_max == 0 ? 0 : prng_below(&cluster->prng, delay_max));
    if (node->batch_count > 0 && node->batches[node->batch_count - 1].done_at > batch.done_at) {
        batch.done_at = node->batches[node->batch_count - 1].done_at;
    }
    if (ready->hard_state != NULL) {
        batch.has_hard_state = true;
        batch.hard_state = *ready->hard_state;
    }
    if (ready->snapshot != NULL) {
        batch.has_snapshot = true;
        batch.snapshot = *ready->snapshot;
    }
    if (ready->entry_count > 0) {
        batch.entry_count = ready->entry_count;
        batch.entries = mem_dup(ready->entries, ready->entry_count * sizeof *ready->entries);
        for (uint32_t i = 0; i < batch.entry_count; i++) {
            (void)blob_ref(batch.entries[i].data);
        }
    }
    if (ready->message_durable_count > 0) {
        batch.message_count = ready->message_durable_count;
        batch.messages =
            mem_dup(ready->messages_durable, ready->message_durable_count * sizeof *batch.messages);
    }
    node->batches = mem_reallocarray(node->batches, node->batch_count + 1, sizeof *node->batches);
    node->batches[node->batch_count++] = batch;
}

static void store_entries(struct cluster_node *node, const struct raft_entry *entries,
                          uint32_t count)
{
    if (count == 0) {
        return;
    }
    raft_index base =
        node->entry_count == 0 ? entries[0].at.index - 1 : node->entries[0].at.index - 1;
    if (entries[0].at.index <= base) {
        drop_stored_entries(node, 0);
        base = entries[0].at.index - 1;
    }
    uint32_t keep = (uint32_t)(entries[0].at.index - base - 1);
    if (keep > node->entry_count) {
        drop_stored_entries(node, 0); /* after a snapshot that never reached the log */
        keep = 0;
    }
    drop_stored_entries(node, keep);
    for (uint32_t i = 0; i < count; i++) {
        if (node->entry_count == node->entry_capacity) {
            node->entry_capacity = node->entry_capacity == 0 ? 64 : node->entry_capacity * 2;
            node->entries =
                mem_reallocarray(node->entries, node->entry_capacity, sizeof *node->entries);
        }
        node->entries[node->entry_count++] = entries[i];
        (void)blob_ref(entries[i].data);
    }
}

static void store_batch(struct cluster_node *node, const struct cluster_batch *batch)
{
    if (batch->has_snapshot) {
        drop_stored_entries(node, 0);
        node->snapshot = batch->snapshot;
    }
    store_entries(node, batch->entries, batch->entry_count);
    if (batch->has_hard_state) {
        node->hard_state = batch->hard_state;
    }
}

static struct cluster_batch take_batch(struct cluster_node *node)
{
    CHECK(node->batch_count > 0);
    struct cluster_batch batch = node->batches[0];
    node->batch_count--;
    memmove(&node->batches[0], &node->batches[1], node->batch_count * sizeof *node->batches);
    return batch;
}

static void finish_batch(struct raft_cluster *cluster, struct cluster_node *node)
{
    struct cluster_batch batch = take_batch(node);
    store_batch(node, &batch);
    for (uint32_t i = 0; i < batch.message_count; i++) {
        send_message(cluster, node, &batch.messages[i]);
    }
    struct raft_event event = {.type = RAFT_PERSISTED, .persisted = {.sequence = batch.sequence}};
    drop_batch(&batch);
    (void)raft_cluster_step(cluster, node->id, event);
}

/* --- a node's loop ---------------------------------------------------------------------------- */

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

static void drain(struct raft_cluster *cluster, struct cluster_node *node)
{
    struct raft_ready ready;
    while (raft_take_ready(node->raft, &ready)) {
        trace_ready(cluster, node, &ready);
        for (uint32_t i = 0; i < ready.message_count; i++) {
            send_message(cluster, node, &ready.messages[i]);
        }
        if (ready.snapshot != NULL) {
            install_staged(cluster, node, ready.snapshot);
        }
        if (ready.sequence > 0) {
            queue_batch(cluster, node, &ready);
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

static void trace_changes(struct raft_cluster *cluster, struct cluster_node *node)
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
    trace_changes(cluster, node);
    drain(cluster, node);
    raft_cluster_check_node(cluster, node);
    trace_changes(cluster, node);
    return rc;
}

/* --- by hand ---------------------------------------------------------------------------------- */

void raft_cluster_tick(struct raft_cluster *cluster, raft_id id)
{
    raft_time_ms deadline = raft_deadline(raft_cluster_raft(cluster, id));
    if (deadline > cluster->now && deadline != RAFT_TIME_NEVER) {
        cluster->now = deadline;
    }
    (void)raft_cluster_step(cluster, id, (struct raft_event){.type = RAFT_TICK});
}

void raft_cluster_disk_finish(struct raft_cluster *cluster, raft_id id, uint32_t count)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    for (uint32_t i = 0; i < count && node->batch_count > 0; i++) {
        finish_batch(cluster, node);
    }
}

static bool finish_some_disk(struct raft_cluster *cluster)
{
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (node->raft != NULL && node->batch_count > 0 && !node->is_disk_held) {
            finish_batch(cluster, node);
            return true;
        }
    }
    return false;
}

bool raft_cluster_deliver_one(struct raft_cluster *cluster, raft_id from, raft_id to)
{
    for (uint32_t i = 0; i < cluster->wire_count; i++) {
        if (cluster->wires[i].from == from && cluster->wires[i].to == to) {
            deliver_place(cluster, i);
            return true;
        }
    }
    return false;
}

static bool deliver_some_wire(struct raft_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->wire_count; i++) {
        const struct cluster_wire *wire = &cluster->wires[i];
        if (cluster->links[wire->from][wire->to] != CLUSTER_LINK_HELD) {
            deliver_place(cluster, i);
            return true;
        }
    }
    return false;
}

void raft_cluster_deliver(struct raft_cluster *cluster)
{
    uint32_t rounds = 0;
    while (finish_some_disk(cluster) || deliver_some_wire(cluster)) {
        if (cluster->violation[0] != '\0') {
            return;
        }
        if (++rounds > 100000) {
            raft_cluster_fail(cluster, "the messages never end");
            return;
        }
    }
}

void raft_cluster_drop(struct raft_cluster *cluster, raft_id from, raft_id to)
{
    for (uint32_t i = cluster->wire_count; i > 0; i--) {
        if (cluster->wires[i - 1].from == from && cluster->wires[i - 1].to == to) {
            lose_wire(cluster, i - 1);
        }
    }
}

void raft_cluster_elect(struct raft_cluster *cluster, raft_id id)
{
    for (int i = 0; i < 10 && raft_role(raft_cluster_raft(cluster, id)) != RAFT_LEADER; i++) {
        raft_cluster_tick(cluster, id);
        raft_cluster_deliver(cluster);
    }
    CHECK(raft_role(raft_cluster_raft(cluster, id)) == RAFT_LEADER);
}

int raft_cluster_propose(struct raft_cluster *cluster, raft_id id, const char *text)
{
    struct blob *data = blob_new_copy(text, strlen(text));
    struct raft_entry entry = {.type = RAFT_ENTRY_COMMAND, .data = data};
    struct raft_event event = {.type = RAFT_PROPOSE, .propose = {.entries = &entry, .count = 1}};
    int rc = raft_cluster_step(cluster, id, event);
    blob_unref(data);
    return rc;
}

int raft_cluster_change(struct raft_cluster *cluster, raft_id id,
                        const struct raft_members *members)
{
    struct blob *data = raft_members_encode(members, BYTES_LITERAL("names"));
    struct raft_entry entry = {.type = RAFT_ENTRY_CONFIG, .data = data};
    struct raft_event event = {.type = RAFT_PROPOSE, .propose = {.entries = &entry, .count = 1}};
    int rc = raft_cluster_step(cluster, id, event);
    blob_unref(data);
    return rc;
}

uint64_t raft_cluster_read(struct raft_cluster *cluster, raft_id id, int *ret_rc)
{
    uint64_t token = cluster->next_token++;
    struct cluster_read *read = &cluster->reads[token % CLUSTER_READS_MAX];
    *read = (struct cluster_read){
        .token = token, .node = id, .at_least = cluster->commit_max, .is_open = true};
    struct raft_event event = {.type = RAFT_READ, .read = {.token = token}};
    *ret_rc = raft_cluster_step(cluster, id, event);
    if (*ret_rc != 0) {
        read->is_open = false;
    }
    return token;
}

void raft_cluster_set_link(struct raft_cluster *cluster, raft_id from, raft_id to,
                           enum cluster_link link)
{
    CHECK(from < CLUSTER_NODES_MAX && to < CLUSTER_NODES_MAX);
    cluster->links[from][to] = link;
}

void raft_cluster_isolate(struct raft_cluster *cluster, raft_id id)
{
    for (raft_id other = 1; other < CLUSTER_NODES_MAX; other++) {
        raft_cluster_set_link(cluster, id, other, CLUSTER_LINK_CUT);
        raft_cluster_set_link(cluster, other, id, CLUSTER_LINK_CUT);
    }
}

void raft_cluster_heal(struct raft_cluster *cluster)
{
    memset(cluster->links, 0, sizeof cluster->links);
}

void raft_cluster_compact(struct raft_cluster *cluster, raft_id id, raft_index index)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    CHECK(node->raft != NULL && index <= node->machine.at.index);
    struct raft_status status;
    raft_get_status(node->raft, &status);
    if (index < status.first || index > status.stable) {
        return;
    }
    node->stored = node->machine;
    struct raft_position last = {.index = index};
    bool found = raft_find_term(node->raft, index, &last.term);
    CHECK(found);
    /* The log's own record of where it starts; its entries up to there are dropped with it. */
    raft_index on_disk = node->entry_count == 0 ? 0 : node->entries[0].at.index;
    uint32_t gone = 0;
    while (gone < node->entry_count && on_disk + gone <= index) {
        blob_unref(node->entries[gone].data);
        gone++;
    }
    node->entry_count -= gone;
    if (gone > 0) {
        memmove(node->entries, node->entries + gone, node->entry_count * sizeof *node->entries);
    }
    node->snapshot = (struct raft_snapshot_meta){last, raft_members_at(node->raft, last.index)};
    node->stored_is_installed = false;
    struct raft_event event = {.type = RAFT_COMPACTED, .compacted = {.index = index}};
    (void)raft_cluster_step(cluster, id, event);
}

void raft_cluster_crash(struct raft_cluster *cluster, raft_id id, uint32_t keep,
                        uint32_t keep_entries)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    CHECK(node->raft != NULL);
    for (uint32_t i = 0; i < keep && node->batch_count > 0; i++) {
        struct cluster_batch batch = take_batch(node);
        store_batch(node, &batch);
        drop_batch(&batch);
    }
    if (node->batch_count > 0 && keep_entries > 0 && !node->batches[0].has_snapshot) {
        const struct cluster_batch *torn = &node->batches[0];
        uint32_t count = keep_entries < torn->entry_count ? keep_entries : torn->entry_count;
        store_entries(node, torn->entries, count);
    }
    drop_batches(node);
    raft_free(node->raft);
    node->raft = NULL;
    node->has_staged = false;
    node->is_paused = false;
    node->is_disk_held = false;
    for (uint32_t i = 0; i < CLUSTER_READS_MAX; i++) {
        if (cluster->reads[i].node == id) {
            cluster->reads[i].is_open = false;
        }
    }
    if (cluster->trace != NULL) {
        buf_append_format(cluster->trace, "%llu crashes\n", (unsigned long long)id);
    }
}

void raft_cluster_restart(struct raft_cluster *cluster, raft_id id)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    start_node(cluster, node);
    if (node->raft == NULL) {
        return;
    }
    trace_changes(cluster, node);
    drain(cluster, node);
    raft_cluster_check_node(cluster, node);
}

void raft_cluster_join(struct raft_cluster *cluster, raft_id id)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    CHECK(!node->exists);
    node->exists = true;
    raft_cluster_restart(cluster, id);
}

/* --- by the clock ----------------------------------------------------------------------------- */

struct next_event {
    raft_time_ms at;
    int kind; /* 0 none, 1 wire, 2 disk, 3 deadline */
    uint32_t place;
};

static void consider(struct next_event *next, raft_time_ms at, int kind, uint32_t place)
{
    if (next->kind == 0 || at < next->at) {
        *next = (struct next_event){at, kind, place};
    }
}

static struct next_event find_next(const struct raft_cluster *cluster)
{
    struct next_event next = {.at = RAFT_TIME_NEVER};
    for (uint32_t i = 0; i < cluster->wire_count; i++) {
        const struct cluster_wire *wire = &cluster->wires[i];
        if (cluster->links[wire->from][wire->to] != CLUSTER_LINK_HELD &&
            !cluster->nodes[wire->to].is_paused) {
            consider(&next, wire->at, 1, i);
        }
    }
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        if (node->raft == NULL || node->is_paused) {
            continue;
        }
        if (node->batch_count > 0 && !node->is_disk_held) {
            consider(&next, node->batches[0].done_at, 2, i);
        }
        consider(&next, raft_deadline(node->raft), 3, i);
    }
    return next;
}

void raft_cluster_run(struct raft_cluster *cluster, raft_time_ms until)
{
    while (cluster->violation[0] == '\0') {
        struct next_event next = find_next(cluster);
        if (next.kind == 0 || next.at > until) {
            break;
        }
        if (next.at > cluster->now) {
            cluster->now = next.at;
        }
        if (next.kind == 1) {
            deliver_place(cluster, next.place);
        } else if (next.kind == 2) {
            finish_batch(cluster, &cluster->nodes[next.place]);
        } else {
            (void)raft_cluster_step(cluster, next.place, (struct raft_event){.type = RAFT_TICK});
        }
    }
    if (until > cluster->now) {
        cluster->now = until;
    }
}
