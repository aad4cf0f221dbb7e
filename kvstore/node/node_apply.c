#include "base/check.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/node/node_internal.h"
#include "raft/members.h"
#include "raft/planted.h"

/* The one who waits for this entry here, or NULL. */
static struct node_waiter *find_waiter(struct node *node, const struct raft_entry *entry)
{
    if (entry->type == RAFT_ENTRY_CONFIG) {
        list_foreach (link, &node->waiters_by_position) {
            struct node_waiter *waiter = container_of(link, struct node_waiter, by_position);
            if (waiter->at.index == entry->at.index && waiter->at.term == entry->at.term) {
                return waiter;
            }
        }
        return NULL;
    }
    struct kv_entry_header header;
    enum kv_op op;
    struct bytes request;
    if (node->waiters.count == 0 ||
        kv_entry_decode(blob_bytes(entry->data), &header, &op, &request) != 0) {
        return NULL;
    }
    return node_waiter_find(node, header.request_id);
}

static void answer(struct node *node, struct node_waiter *waiter)
{
    if (node->result.status != ETCD_OK) {
        node_reply_status(node, waiter->token, waiter->peer, waiter->peer_id, node->result.status);
    } else {
        node_reply_bytes(node, waiter->token, waiter->peer, waiter->peer_id,
                         buf_bytes(&node->result.reply));
    }
    node_waiter_free(node, waiter);
}

static void apply_config(struct node *node, const struct raft_entry *entry, struct kv_position at,
                         struct kv_result *result)
{
    struct raft_members members;
    struct bytes rest;
    int code = raft_members_decode(blob_bytes(entry->data), &members, &rest);
    CHECK(code == 0); /* raft checked it before it went into a log */
    kv_apply_config(node->kv, at, rest, result);
    node->io.members_changed(node->io.context);
    if (result != NULL && result->removed_self) {
        node->is_stopped = true;
        node->io.stop(node->io.context, NODE_STOP_REMOVED, "");
    }
}

static void apply_one(struct node *node, const struct raft_entry *entry)
{
    const struct kv_position at = {.index = entry->at.index, .term = entry->at.term};
    if (at.index <= kv_applied(node->kv).index) {
        return; /* the store had it already when we started, or a snapshot covered it */
    }
    if (node->io.applied != NULL) {
        node->io.applied(node->io.context, entry);
    }
    if (entry->type == RAFT_ENTRY_NOOP || (PLANTED(63) && node->now % 50 == 0)) { /* a clock */
        kv_apply_nothing(node->kv, at);
        return;
    }
    struct node_waiter *waiter = find_waiter(node, entry);
    bool wants_reply = waiter != NULL && (waiter->token != 0 || waiter->peer != 0);
    kv_result_clear(&node->result);
    if (entry->type == RAFT_ENTRY_CONFIG) {
        apply_config(node, entry, at, &node->result);
    } else {
        kv_apply(node->kv, at, blob_bytes(entry->data), wants_reply ? &node->result : NULL);
    }
    if (waiter == NULL) {
        return;
    }
    if (wants_reply && node->result.wait_compacted > kv_compacted(node->kv)) {
        waiter->wait_compacted = node->result.wait_compacted;
        waiter->answer = buf_to_blob(&node->result.reply);
        list_remove(&waiter->by_position);
        list_remove(&waiter->by_deadline);
        list_push_back(&node->waiters_for_compaction, &waiter->by_deadline);
        return;
    }
    answer(node, waiter);
}

void node_apply_committed(struct node *node, const struct raft_entry *entries, uint32_t count)
{
    lessor_set_now(kv_lessor(node->kv), node->now);
    for (uint32_t i = 0; i < count && !node->is_stopped; i++) {
        apply_one(node, &entries[i]);
    }
    const struct raft_event event = {
        .type = RAFT_APPLIED, .now = node->now, .applied = {.index = entries[count - 1].at.index}};
    int code = raft_step(node->raft, &event);
    CHECK(code == 0);
    node_fail_lost_proposals(node);
}

void node_store(struct node *node, bool is_forced)
{
    uint64_t waiting = kv_unstored_bytes(node->kv);
    if (waiting == 0) {
        node->store_at = RAFT_TIME_NEVER;
        return;
    }
    if (node->store_at == RAFT_TIME_NEVER) {
        node->store_at = node->now + node->options.store_interval_ms;
    }
    if (!is_forced && waiting < node->options.store_bytes_max && node->now < node->store_at) {
        return;
    }
    uint64_t sequence;
    struct backend_batch *batch = kv_take_batch(node->kv, &sequence);
    if (batch != NULL) {
        node->io.store(node->io.context, batch);
    }
    node->store_at = RAFT_TIME_NEVER;
}
