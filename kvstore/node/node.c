#include "kvstore/node/node.h"

#include "base/check.h"
#include "base/mem.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/node/node_internal.h"
#include "kvstore/watch/watch_hub.h"
#include "raft/members.h"
#include "raft/planted.h"

enum {
    REQUEST_TIMEOUT_BASE_MS = 5000,
    STORE_INTERVAL_MS = 100,
    STORE_BYTES = 1 << 20,
    COMPACT_BYTES = 32 << 20,
    RECENT_BYTES = 2 << 20,
    APPLY_ITEMS = 2000 /* about a millisecond or two */
};

/* Messages that may leave only when the batch with this sequence is durable (R1). */
struct node_held {
    struct list link;
    uint64_t sequence;
    uint32_t count;
    struct raft_message messages[];
};

static void set_defaults(struct node_options *options)
{
    if (options->request_timeout_ms == 0) {
        options->request_timeout_ms =
            REQUEST_TIMEOUT_BASE_MS + 2 * options->raft.election_timeout_ms;
    }
    if (options->applied_gap_max == 0) {
        options->applied_gap_max = 5000;
    }
    if (options->store_interval_ms == 0) {
        options->store_interval_ms = STORE_INTERVAL_MS;
    }
    if (options->compact_bytes == 0) {
        options->compact_bytes = COMPACT_BYTES;
    }
    if (options->recent_bytes == 0) {
        options->recent_bytes = RECENT_BYTES;
    }
    if (options->apply_items == 0) {
        options->apply_items = APPLY_ITEMS;
    }
    if (options->store_bytes_max == 0) {
        options->store_bytes_max = STORE_BYTES;
    }
}

int node_new(const struct node_options *options, const struct raft_restored *restored,
             raft_time_ms now, struct node **ret_node, struct err *err)
{
    struct node *node = mem_zalloc(sizeof *node);
    node->options = *options;
    set_defaults(&node->options);
    node->io = options->io;
    node->now = now;
    node->kv = kv_new(&options->kv);
    int code = kv_restore(node->kv, options->kv.backend, err);
    if (code != 0) {
        kv_free(node->kv);
        mem_free(node);
        return code;
    }
    node->raft = raft_new(&options->raft, restored, now);
    node->next_request_id = options->request_id_base + 1;
    node->next_forward_id = options->request_id_base + 1; /* a late answer is to an earlier start */
    node->next_read_token = 1;
    u64_map_init(&node->waiters);
    list_init(&node->waiters_by_deadline);
    list_init(&node->waiters_by_position);
    list_init(&node->waiters_for_compaction);
    list_init(&node->proposals);
    list_init(&node->new_reads);
    list_init(&node->read_batches);
    list_init(&node->ready_reads);
    list_init(&node->forwards);
    list_init(&node->asks);
    list_init(&node->held);
    node->store_at = RAFT_TIME_NEVER;
    node->apply_next = 1; /* nothing was handed out */
    node->term = raft_term_current(node->raft);
    node->compacted_index = restored->snapshot.last.index;
    node->durable_index = kv_applied(node->kv).index;
    kv_set_term(node->kv, node->term);
    *ret_node = node;
    return 0;
}

void node_free(struct node *node)
{
    if (node == NULL) {
        return;
    }
    node_free_reads(node);
    node_free_forwards(node);
    node_free_asks(node);
    list_splice_back(&node->waiters_by_deadline, &node->waiters_for_compaction);
    while (!list_is_empty(&node->waiters_by_deadline)) {
        struct node_waiter *waiter =
            container_of(node->waiters_by_deadline.next, struct node_waiter, by_deadline);
        node_reply_status(node, waiter->token, 0, 0, ETCD_STOPPED);
        node_waiter_free(node, waiter);
    }
    if (node->transfer.token != 0) {
        node_reply_status(node, node->transfer.token, 0, 0, ETCD_STOPPED);
    }
    list_foreach_safe (link, &node->proposals) {
        struct node_proposal *proposal = container_of(link, struct node_proposal, link);
        blob_unref(proposal->data);
        mem_free(proposal);
    }
    list_foreach_safe (held, &node->held) {
        mem_free(container_of(held, struct node_held, link));
    }
    u64_map_deinit(&node->waiters);
    kv_result_deinit(&node->result);
    kv_result_deinit(&node->apply_result);
    buf_deinit(&node->scratch);
    raft_free(node->raft);
    kv_free(node->kv);
    mem_free(node);
}

static void stop(struct node *node, enum node_stop reason, const char *text)
{
    if (!node->is_stopped) {
        node->is_stopped = true;
        node->io.stop(node->io.context, reason, text);
    }
}

static void step(struct node *node, struct raft_event *event)
{
    event->now = node->now;
    int code = raft_step(node->raft, event);
    CHECK(code == 0); /* only proposals, reads and transfers are ever refused */
}

void node_on_message(struct node *node, raft_time_ms now, const struct raft_message *message)
{
    node->now = now;
    step(node, &(struct raft_event){.type = RAFT_RECEIVED, .received = message});
}

static void send_held(struct node *node, uint64_t sequence)
{
    while (!list_is_empty(&node->held)) {
        struct node_held *held = container_of(node->held.next, struct node_held, link);
        if (held->sequence > sequence) {
            return;
        }
        for (uint32_t i = 0; i < held->count; i++) {
            node->io.send(node->io.context, &held->messages[i]);
        }
        list_remove(&held->link);
        mem_free(held);
    }
}

void node_on_persisted(struct node *node, raft_time_ms now, uint64_t sequence)
{
    node->now = now;
    send_held(node, sequence);
    step(node, &(struct raft_event){.type = RAFT_PERSISTED, .persisted = {.sequence = sequence}});
}

void node_on_stored(struct node *node, raft_time_ms now, uint64_t sequence)
{
    node->now = now;
    struct err err = {0};
    if (kv_on_stored(node->kv, sequence, &err) != 0) {
        stop(node, NODE_STOP_CORRUPT, err.text);
    }
    node_cut_log(node);
    if (PLANTED(33)) { /* the log is released before the store is durable */
        node_on_durable(node, now, kv_applied(node->kv).index);
    }
}

void node_on_snapshot_sent(struct node *node, raft_time_ms now, raft_id peer, raft_index index,
                           bool ok)
{
    node->now = now;
    step(node, &(struct raft_event){.type = RAFT_SNAPSHOT_SENT,
                                    .snapshot_sent = {.peer = peer, .index = index, .ok = ok}});
}

static struct node_peer *peer_slot(struct node *node, raft_id id)
{
    struct node_peer *unused = NULL;
    for (uint32_t i = 0; i < NODE_PEERS_MAX; i++) {
        struct node_peer *peer = &node->peers[i];
        if (peer->id == id) {
            return peer;
        }
        bool is_gone = peer->id != 0 && !peer->is_connected &&
                       raft_members_find(raft_members(node->raft), peer->id) == NULL;
        if (unused == NULL && (peer->id == 0 || is_gone)) {
            unused = peer;
        }
    }
    if (unused != NULL) {
        *unused = (struct node_peer){.id = id};
    }
    return unused;
}

void node_on_peer(struct node *node, raft_time_ms now, raft_id id, bool is_connected)
{
    node->now = now;
    struct node_peer *peer = peer_slot(node, id);
    if (peer != NULL && is_connected && !peer->is_connected) {
        peer->connected_since = now;
    }
    if (peer != NULL) {
        peer->is_connected = is_connected;
    }
    if (!is_connected) {
        node_ask_on_lost_peer(node, id);
        step(node,
             &(struct raft_event){.type = RAFT_PEER_UNREACHABLE, .unreachable = {.peer = id}});
    }
}

bool node_peer_is_connected(const struct node *node, raft_id id)
{
    for (uint32_t i = 0; i < NODE_PEERS_MAX; i++) {
        if (node->peers[i].id == id) {
            return node->peers[i].is_connected;
        }
    }
    return id == node_id(node);
}

void node_store_now(struct node *node, raft_time_ms now)
{
    node->now = now;
    node_store(node, /* is_forced= */ true);
}

void node_set_disk_full(struct node *node, bool is_full)
{
    node->is_disk_full = is_full;
}

/* --- one iteration ------------------------------------------------------------------------- */

static void persist(struct node *node, const struct raft_ready *ready)
{
    const struct node_persist batch = {.sequence = ready->sequence,
                                       .hard_state = ready->hard_state,
                                       .snapshot = ready->snapshot,
                                       .entries = ready->entries,
                                       .entry_count = ready->entry_count};
    node->io.persist(node->io.context, &batch);
}

static void hold(struct node *node, const struct raft_ready *ready)
{
    if (ready->message_durable_count == 0) {
        return;
    }
    if (PLANTED(1)) {
        for (uint32_t i = 0; i < ready->message_durable_count; i++) {
            node->io.send(node->io.context, &ready->messages_durable[i]);
        }
        return;
    }
    size_t bytes = ready->message_durable_count * sizeof ready->messages_durable[0];
    struct node_held *held = mem_alloc(sizeof *held + bytes);
    held->sequence = ready->sequence;
    held->count = ready->message_durable_count;
    memcpy(held->messages, ready->messages_durable, bytes);
    list_push_back(&node->held, &held->link);
}

/* Switch the state machine first; what raft wants durable follows in node_on_installed. */
static void start_install(struct node *node, const struct raft_ready *ready)
{
    CHECK(ready->entry_count == 0); /* nothing can follow a snapshot in the batch that brings it */
    node->is_installing = true;
    node_apply_abandon(node);
    node->install_sequence = ready->sequence;
    node->install_meta = *ready->snapshot;
    node->has_install_hard_state = ready->hard_state != NULL;
    if (ready->hard_state != NULL) {
        node->install_hard_state = *ready->hard_state;
    }
    node->io.install_snapshot(node->io.context, ready->snapshot);
}

void node_on_installed(struct node *node, raft_time_ms now, struct backend *backend)
{
    CHECK(node->is_installing);
    node->now = now;
    node->is_installing = false;
    node->options.kv.backend = backend;
    struct err err = {0};
    if (kv_restore(node->kv, backend, &err) != 0) {
        stop(node, NODE_STOP_CORRUPT, err.text);
        return;
    }
    CHECK(kv_applied(node->kv).index >= node->install_meta.last.index);
    node->compacted_index = node->install_meta.last.index;
    node_forget_cuts(node);
    node->durable_index = kv_applied(node->kv).index;
    const struct node_persist batch = {
        .sequence = node->install_sequence,
        .hard_state = node->has_install_hard_state ? &node->install_hard_state : NULL,
        .snapshot = &node->install_meta};
    node->io.persist(node->io.context, &batch);
    step(node, &(struct raft_event){.type = RAFT_APPLIED,
                                    .applied = {.index = node->install_meta.last.index}});
    node_fail_unknown_proposals(node);
    node->io.members_changed(node->io.context);
}

static void do_ready(struct node *node, const struct raft_ready *ready)
{
    for (uint32_t i = 0; i < ready->message_count; i++) {
        node->io.send(node->io.context, &ready->messages[i]);
    }
    if (ready->sequence != 0) {
        hold(node, ready);
        if (ready->snapshot != NULL) {
            start_install(node, ready);
        } else {
            persist(node, ready);
        }
    }
    for (uint32_t i = 0; i < ready->read_count; i++) {
        node_on_read_point(node, &ready->reads[i]);
    }
    for (uint32_t i = 0; i < ready->failed_read_count; i++) {
        node_on_read_failed(node, ready->failed_reads[i]);
    }
    if (ready->committed_count > 0) {
        CHECK(ready->snapshot == NULL);
        node_apply_committed(node, ready->committed, ready->committed_count);
    }
}

static void finish_transfer(struct node *node)
{
    struct node_transfer *transfer = &node->transfer;
    if (transfer->token == 0) {
        return;
    }
    if (node->leader == transfer->target) {
        node_reply_bytes(node, transfer->token, 0, 0, (struct bytes){NULL, 0});
    } else if (node->now >= transfer->deadline) {
        node_reply_status(node, transfer->token, 0, 0, ETCD_TIMEOUT);
    } else {
        return;
    }
    transfer->token = 0;
}

static void watch_role(struct node *node)
{
    enum raft_role role = raft_role(node->raft);
    raft_id leader = raft_leader(node->raft);
    raft_term term = raft_term_current(node->raft);
    if (role == node->role && leader == node->leader && term == node->term) {
        return;
    }
    if (leader != node->leader && leader != 0) {
        node->stats.leader_changes += 1;
        node->read_retry_at = 0;
    }
    node->role = role;
    node->leader = leader;
    node->term = term;
    kv_set_term(node->kv, term);
    if (role != RAFT_LEADER && node->is_lessor_primary) {
        lessor_demote(kv_lessor(node->kv));
        node->is_lessor_primary = false;
        node->is_promoting = false;
    }
    node->io.role_changed(node->io.context, role, leader, term);
}

/* A leader measures leases once everything of earlier terms is applied: then it knows them all. */
static void run_leases(struct node *node)
{
    struct lessor *lessor = kv_lessor(node->kv);
    if (!node_leads(node)) {
        return;
    }
    if (!node->is_lessor_primary) {
        if (kv_applied(node->kv).term != node->term) {
            return;
        }
        lessor_promote(lessor, node->now, node->options.raft.election_timeout_ms);
        node->is_lessor_primary = true;
        node->is_promoting = true;
    }
    if (node->is_promoting) {
        node->is_promoting = !lessor_promote_step(lessor, NODE_PROMOTE_LEASES_PER_SLICE);
    }
    while (lessor_deadline_ms(lessor) <= node->now) {
        struct buf request = BUF_INIT;
        uint32_t count = kv_prepare_expired(node->kv, node->now, NODE_EXPIRED_LEASES_MAX,
                                            NODE_EXPIRED_KEYS_MAX, NODE_EXPIRED_RETRY_MS, &request);
        if (count > 0) {
            const struct kv_entry_header header = {0};
            buf_clear(&node->scratch);
            kv_entry_encode(&node->scratch, &header, KV_OP_LEASE_REVOKE_MANY, buf_bytes(&request));
            node_propose_silently(node, buf_to_blob(&node->scratch));
            node->stats.lease_expired += count;
        }
        buf_deinit(&request);
        if (count == 0 || node->proposal_bytes > NODE_PROPOSE_BYTES_MAX) {
            return;
        }
    }
}

static void release_compactions(struct node *node)
{
    list_foreach_safe (link, &node->waiters_for_compaction) {
        struct node_waiter *waiter = container_of(link, struct node_waiter, by_deadline);
        if (waiter->wait_compacted <= kv_compacted(node->kv)) {
            node_reply_bytes(node, waiter->token, waiter->peer, waiter->peer_id,
                             blob_bytes(waiter->answer));
            node_waiter_free(node, waiter);
        }
    }
}

static void tell_watchers(struct node *node)
{
    struct watch_hub *hub = kv_watch_hub(node->kv);
    for (void *stream = watch_hub_next_ready(hub); stream != NULL;
         stream = watch_hub_next_ready(hub)) {
        node->io.watch_ready(node->io.context, stream);
    }
}

/* R7: the leader counts on entries that this member once acknowledged and no longer has. */
static void stop_if_log_is_lost(struct node *node)
{
    struct raft_status status;
    raft_get_status(node->raft, &status);
    if (status.has_lost_log) {
        stop(node, NODE_STOP_LOST_LOG, "");
    }
}

/* Raft's part: also while an entry is half applied, so that heartbeats, votes and the log go on. */
static void run_raft(struct node *node)
{
    struct raft_ready ready;
    node_flush_forwards(node);
    node_flush_proposals(node);
    node_flush_reads(node);
    while (!node->is_installing && !node->is_stopped && raft_take_ready(node->raft, &ready)) {
        do_ready(node, &ready);
    }
    watch_role(node);
}

/* What looks at the state: not while an entry is half applied. True: more to do. */
static bool run_state(struct node *node)
{
    node_release_reads(node);
    node_release_forwards(node);
    bool has_more = node_run_reads(node);
    node->has_background_work =
        kv_step(node->kv, (struct kv_budget){NODE_WORK_ITEMS_PER_SLICE, NODE_WORK_BYTES_PER_SLICE});
    release_compactions(node);
    node_store(node, /* is_forced= */ false);
    return has_more || node->has_background_work || node->is_promoting;
}

bool node_advance(struct node *node, raft_time_ms now)
{
    node->now = now;
    if (node->is_stopped) {
        return false;
    }
    if (now >= raft_deadline(node->raft)) {
        step(node, &(struct raft_event){.type = RAFT_TICK});
        stop_if_log_is_lost(node);
    }
    watch_role(node);
    bool is_applying = kv_is_applying(node->kv);
    if (is_applying && !node->is_installing) {
        is_applying = node_apply_more(node);
    }
    if (!is_applying) {
        run_leases(node);
    }
    run_raft(node);
    bool has_more = kv_is_applying(node->kv) ? !node->is_installing : run_state(node);
    node_expire_waiters(node);
    node_expire_reads(node);
    node_expire_forwards(node);
    node_expire_asks(node);
    finish_transfer(node);
    tell_watchers(node);
    struct err err = {0};
    if (kv_failure(node->kv, &err) != 0) {
        stop(node, NODE_STOP_CORRUPT, err.text);
    }
    return has_more;
}

static raft_time_ms earlier(raft_time_ms a, raft_time_ms b)
{
    return a < b ? a : b;
}

raft_time_ms node_deadline(const struct node *node)
{
    raft_time_ms deadline = raft_deadline(node->raft);
    deadline = earlier(deadline, node->store_at);
    deadline = earlier(deadline, node_waiters_deadline(node));
    deadline = earlier(deadline, node_reads_deadline(node));
    deadline = earlier(deadline, node_forwards_deadline(node));
    deadline = earlier(deadline, node_asks_deadline(node));
    if (node->is_lessor_primary) {
        deadline = earlier(deadline, lessor_deadline_ms(kv_lessor(node->kv)));
    }
    if (node->transfer.token != 0) {
        deadline = earlier(deadline, node->transfer.deadline);
    }
    return deadline;
}

bool node_hand_over(struct node *node, raft_time_ms now)
{
    node->now = now;
    if (!node_leads(node)) {
        return false;
    }
    struct raft_status status;
    raft_get_status(node->raft, &status);
    const struct raft_peer_status *best = NULL;
    for (uint32_t i = 0; i < status.peer_count; i++) {
        const struct raft_peer_status *peer = &status.peer[i];
        if (peer->voter && peer->has_contact && (best == NULL || peer->match > best->match)) {
            best = peer;
        }
    }
    if (best == NULL) {
        return false;
    }
    const struct raft_event event = {
        .type = RAFT_TRANSFER, .now = now, .transfer = {.peer = best->id}};
    return raft_step(node->raft, &event) == 0;
}
