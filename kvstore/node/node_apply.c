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
    if (node->apply_result.status != ETCD_OK) {
        node_reply_status(node, waiter->token, waiter->peer, waiter->peer_id,
                          node->apply_result.status);
    } else {
        node_reply_bytes(node, waiter->token, waiter->peer, waiter->peer_id,
                         buf_bytes(&node->apply_result.reply));
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

/* Answer who waits for the entry, which is applied now. */
static void finish_entry(struct node *node, const struct raft_entry *entry)
{
    struct node_waiter *waiter = find_waiter(node, entry);
    if (waiter == NULL) {
        return;
    }
    struct kv_result *result = &node->apply_result;
    if (node->has_apply_reply && result->wait_compacted > kv_compacted(node->kv)) {
        waiter->wait_compacted = result->wait_compacted;
        waiter->answer = buf_to_blob(&result->reply);
        list_remove(&waiter->by_position);
        list_remove(&waiter->by_deadline);
        list_push_back(&node->waiters_for_compaction, &waiter->by_deadline);
        return;
    }
    answer(node, waiter);
}

/* False: it needs more than one slice. */
static bool start_entry(struct node *node, const struct raft_entry *entry)
{
    const struct kv_position at = {.index = entry->at.index, .term = entry->at.term};
    if (node->io.applied != NULL) {
        node->io.applied(node->io.context, entry);
    }
    node->has_apply_reply = false;
    if (entry->type == RAFT_ENTRY_NOOP || (PLANTED(63) && node->now % 50 == 0)) { /* a clock */
        kv_apply_nothing(node->kv, at);
        return true;
    }
    const struct node_waiter *waiter = find_waiter(node, entry);
    node->has_apply_reply = waiter != NULL && (waiter->token != 0 || waiter->peer != 0);
    kv_result_clear(&node->apply_result);
    if (entry->type == RAFT_ENTRY_CONFIG) {
        apply_config(node, entry, at, &node->apply_result);
        return true;
    }
    return kv_apply_start(node->kv, at, blob_bytes(entry->data),
                          node->has_apply_reply ? &node->apply_result : NULL);
}

/* Tell raft how far the state machine is. */
static void note_applied(struct node *node, raft_index index)
{
    const struct raft_event event = {
        .type = RAFT_APPLIED, .now = node->now, .applied = {.index = index}};
    int code = raft_step(node->raft, &event);
    CHECK(code == 0);
    node_fail_lost_proposals(node);
}

bool node_apply_more(struct node *node)
{
    raft_index applied = 0;
    uint32_t items = node->options.apply_items;
    lessor_set_now(kv_lessor(node->kv), node->now);
    while (node->apply_next <= node->apply_end && !node->is_stopped) {
        const struct raft_entry *entry = raft_find_entry(node->raft, node->apply_next);
        if (entry == NULL) {
            node_apply_abandon(node); /* a snapshot has passed it and is about to be installed */
            break;
        }
        /* The store may have had it already when we started, or a snapshot covered it. */
        bool is_old = !kv_is_applying(node->kv) && entry->at.index <= kv_applied(node->kv).index;
        bool is_done = is_old || (!kv_is_applying(node->kv) && start_entry(node, entry)) ||
                       (items > 0 && kv_apply_step(node->kv, &items));
        if (!is_done) {
            break;
        }
        if (!is_old) {
            finish_entry(node, entry);
        }
        applied = node->apply_next;
        node->apply_next += 1;
    }
    if (applied != 0 && !node->is_stopped) {
        note_applied(node, applied);
    }
    return kv_is_applying(node->kv);
}

void node_apply_committed(struct node *node, const struct raft_entry *entries, uint32_t count)
{
    if (node->apply_next > node->apply_end) {
        node->apply_next = entries[0].at.index;
    }
    node->apply_end = entries[count - 1].at.index;
    if (!kv_is_applying(node->kv)) {
        (void)node_apply_more(node); /* node_advance asks how it went */
    }
}

void node_apply_abandon(struct node *node)
{
    node->apply_next = node->apply_end + 1;
}

void node_store(struct node *node, bool is_forced)
{
    uint64_t waiting = kv_unstored_bytes(node->kv);
    if (kv_is_applying(node->kv)) {
        return; /* half an entry is not stored */
    }
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
