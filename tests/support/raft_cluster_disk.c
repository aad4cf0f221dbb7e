#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/members.h"
#include "tests/support/raft_cluster_internal.h"

static void drop_batch(struct cluster_batch *batch)
{
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        blob_unref(batch->entries[i].data);
    }
    mem_free(batch->entries);
    mem_free(batch->messages);
}

void cluster_drop_batches(struct cluster_node *node)
{
    for (uint32_t i = 0; i < node->batch_count; i++) {
        drop_batch(&node->batches[i]);
    }
    node->batch_count = 0;
}

void cluster_drop_stored_entries(struct cluster_node *node, uint32_t from)
{
    for (uint32_t i = from; i < node->entry_count; i++) {
        blob_unref(node->entries[i].data);
    }
    node->entry_count = from < node->entry_count ? from : node->entry_count;
}

void cluster_queue_batch(struct raft_cluster *cluster, struct cluster_node *node,
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
        cluster_drop_stored_entries(node, 0);
        base = entries[0].at.index - 1;
    }
    uint32_t keep = (uint32_t)(entries[0].at.index - base - 1);
    if (keep > node->entry_count) {
        cluster_drop_stored_entries(node, 0); /* after a snapshot that never reached the log */
        keep = 0;
    }
    cluster_drop_stored_entries(node, keep);
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
        cluster_drop_stored_entries(node, 0);
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

void cluster_finish_batch(struct raft_cluster *cluster, struct cluster_node *node)
{
    struct cluster_batch batch = take_batch(node);
    store_batch(node, &batch);
    for (uint32_t i = 0; i < batch.message_count; i++) {
        cluster_send_message(cluster, node, &batch.messages[i]);
    }
    struct raft_event event = {.type = RAFT_PERSISTED, .persisted = {.sequence = batch.sequence}};
    drop_batch(&batch);
    (void)raft_cluster_step(cluster, node->id, event);
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
    cluster_drop_batches(node);
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
