#include "base/check.h"
#include "base/mem.h"
#include "kvstore/node/node_internal.h"
#include "raft/planted.h"

/* The life of a proposal:
 *
 *   queued --(leader: raft takes it)------> in the log --> applied here --> answered
 *      |---(follower: sent to the leader)-> under way ---> applied here --> answered
 *
 * A proposal leaves the queue once and is never proposed again: after that its outcome is unknown
 * until it is applied or another entry took its place (R39). */

static struct node_waiter *waiter_new(struct node *node, const struct node_request *request,
                                      raft_id peer, uint64_t peer_id)
{
    struct node_waiter *waiter = mem_zalloc(sizeof *waiter);
    waiter->request_id = node->next_request_id++;
    waiter->token = request->token;
    waiter->peer = peer;
    waiter->peer_id = peer_id;
    waiter->method = request->method;
    waiter->deadline = node->now + node->options.request_timeout_ms;
    list_push_back(&node->waiters_by_deadline, &waiter->by_deadline);
    list_init(&waiter->by_position);
    void *before = u64_map_set(&node->waiters, waiter->request_id, waiter);
    CHECK(before == NULL);
    return waiter;
}

struct node_waiter *node_waiter_find(struct node *node, uint64_t request_id)
{
    return u64_map_find(&node->waiters, request_id);
}

void node_waiter_free(struct node *node, struct node_waiter *waiter)
{
    list_remove(&waiter->by_deadline);
    list_remove(&waiter->by_position);
    (void)u64_map_remove(&node->waiters, waiter->request_id);
    blob_unref(waiter->answer);
    mem_free(waiter);
}

static void answer(struct node *node, struct node_waiter *waiter, enum etcd_error status)
{
    node_reply_status(node, waiter->token, waiter->peer, waiter->peer_id, status);
    node->stats.proposals_failed += 1;
    node_waiter_free(node, waiter);
}

static void enqueue(struct node *node, enum raft_entry_type type, struct blob *data,
                    uint64_t request_id, raft_id from)
{
    struct node_proposal *proposal = mem_alloc(sizeof *proposal);
    *proposal =
        (struct node_proposal){.type = type, .data = data, .request_id = request_id, .from = from};
    list_push_back(&node->proposals, &proposal->link);
    node->proposal_bytes += data->size;
}

static void proposal_free(struct node *node, struct node_proposal *proposal)
{
    list_remove(&proposal->link);
    node->proposal_bytes -= proposal->data->size;
    blob_unref(proposal->data);
    mem_free(proposal);
}

static bool is_overloaded(const struct node *node)
{
    raft_index gap = raft_commit(node->raft) - kv_applied(node->kv).index;
    return gap > node->options.applied_gap_max || node->proposal_bytes > NODE_PROPOSAL_BYTES_MAX;
}

void node_propose(struct node *node, const struct node_request *request, raft_id peer,
                  uint64_t peer_id, enum kv_op op, struct bytes body)
{
    if (is_overloaded(node)) {
        node_reply_status(node, request->token, peer, peer_id, ETCD_TOO_MANY_REQUESTS);
        return;
    }
    struct node_waiter *waiter = waiter_new(node, request, peer, peer_id);
    const struct kv_entry_header header = {.request_id = waiter->request_id,
                                           .username = request->caller.username,
                                           .auth_revision = request->caller.auth_revision};
    buf_clear(&node->scratch);
    kv_entry_encode(&node->scratch, &header, op, body);
    enqueue(node, RAFT_ENTRY_COMMAND, buf_to_blob(&node->scratch), waiter->request_id, 0);
}

void node_propose_config(struct node *node, const struct node_request *request, raft_id peer,
                         uint64_t peer_id, struct blob *data)
{
    struct node_waiter *waiter = waiter_new(node, request, peer, peer_id);
    enqueue(node, RAFT_ENTRY_CONFIG, data, waiter->request_id, 0);
}

void node_propose_silently(struct node *node, struct blob *data)
{
    enqueue(node, RAFT_ENTRY_COMMAND, data, 0, 0);
}

void node_take_forwarded_proposal(struct node *node, raft_id from, uint64_t request_id,
                                  struct bytes entry)
{
    enum etcd_error refusal = !node_leads(node)     ? ETCD_LEADER_CHANGED
                              : is_overloaded(node) ? ETCD_TOO_MANY_REQUESTS
                                                    : ETCD_OK;
    if (refusal != ETCD_OK) {
        node_send_refusal_frame(node, from, request_id, refusal);
        return;
    }
    enqueue(node, RAFT_ENTRY_COMMAND, blob_new_copy(entry.data, entry.size), request_id, from);
}

/* A refusal before raft took it: certainly not applied. */
static void refuse(struct node *node, struct node_proposal *proposal, enum etcd_error status)
{
    if (proposal->from != 0) {
        node_send_refusal_frame(node, proposal->from, proposal->request_id, status);
    } else if (proposal->request_id != 0) {
        struct node_waiter *waiter = node_waiter_find(node, proposal->request_id);
        if (waiter != NULL) {
            answer(node, waiter, status);
        }
    }
    proposal_free(node, proposal);
}

/* The proposals that go into one raft_step: commands together, a membership change alone. */
static uint32_t gather(struct node *node, struct raft_entry *entries)
{
    uint32_t count = 0;
    size_t bytes = 0;
    list_foreach (link, &node->proposals) {
        const struct node_proposal *proposal = container_of(link, struct node_proposal, link);
        bool is_config = proposal->type == RAFT_ENTRY_CONFIG;
        if (count == NODE_PROPOSE_COUNT_MAX || (count > 0 && is_config) ||
            (count > 0 && bytes + proposal->data->size > NODE_PROPOSE_BYTES_MAX)) {
            break;
        }
        entries[count++] = (struct raft_entry){.type = proposal->type, .data = proposal->data};
        bytes += proposal->data->size;
        if (is_config) {
            break;
        }
    }
    return count;
}

/* raft has the first count proposals, the last of them at its log's end. */
static void on_proposed(struct node *node, uint32_t count)
{
    struct raft_position at = raft_last(node->raft);
    CHECK(at.index >= count);
    at.index -= count;
    for (uint32_t i = 0; i < count; i++) {
        at.index += 1;
        struct node_proposal *proposal =
            container_of(node->proposals.next, struct node_proposal, link);
        struct node_waiter *waiter = proposal->from != 0 || proposal->request_id == 0
                                         ? NULL
                                         : node_waiter_find(node, proposal->request_id);
        if (waiter != NULL) {
            waiter->is_sent = true;
            waiter->at = at;
            list_push_back(&node->waiters_by_position, &waiter->by_position);
        }
        proposal_free(node, proposal);
    }
}

static void propose_as_leader(struct node *node)
{
    static const enum etcd_error config_refused = ETCD_UNHEALTHY;
    struct raft_entry entries[NODE_PROPOSE_COUNT_MAX];
    while (!list_is_empty(&node->proposals)) {
        uint32_t count = gather(node, entries);
        const struct raft_event event = {.type = RAFT_PROPOSE,
                                         .now = node->now,
                                         .propose = {.entries = entries, .count = count}};
        int code = raft_step(node->raft, &event);
        if (code == 0) {
            on_proposed(node, count);
            continue;
        }
        struct node_proposal *first =
            container_of(node->proposals.next, struct node_proposal, link);
        if (first->type == RAFT_ENTRY_CONFIG && code != ERR_NOT_LEADER) {
            refuse(node, first, config_refused);
            continue;
        }
        return; /* busy or no longer leader: they wait for the next chance or their deadline */
    }
}

static void send_to_leader(struct node *node, raft_id leader)
{
    while (!list_is_empty(&node->proposals)) {
        struct node_proposal *proposal =
            container_of(node->proposals.next, struct node_proposal, link);
        if (proposal->from != 0 || proposal->type == RAFT_ENTRY_CONFIG) {
            refuse(node, proposal, ETCD_LEADER_CHANGED);
            continue;
        }
        struct node_waiter *waiter = node_waiter_find(node, proposal->request_id);
        if (waiter != NULL) { /* else nobody waits, and only a leader's own work is silent */
            waiter->is_sent = true;
            node_send_proposal_frame(node, leader, proposal->request_id,
                                     blob_bytes(proposal->data));
            if (PLANTED(62)) { /* proposed again, though the first may have been taken */
                node_send_proposal_frame(node, leader, proposal->request_id,
                                         blob_bytes(proposal->data));
            }
        }
        proposal_free(node, proposal);
    }
}

void node_flush_proposals(struct node *node)
{
    if (list_is_empty(&node->proposals)) {
        return;
    }
    if (node_leads(node)) {
        propose_as_leader(node);
        return;
    }
    raft_id leader = raft_leader(node->raft);
    if (leader != 0 && node_peer_is_connected(node, leader)) {
        send_to_leader(node, leader); /* else they wait here, where nothing can have happened */
    }
}

/* What was proposed at or below the applied index will not be answered by its entry any more. */
static void fail_passed_proposals(struct node *node, enum etcd_error status)
{
    raft_index applied = kv_applied(node->kv).index;
    while (!list_is_empty(&node->waiters_by_position)) {
        struct node_waiter *waiter =
            container_of(node->waiters_by_position.next, struct node_waiter, by_position);
        if (waiter->at.index > applied) {
            return;
        }
        answer(node, waiter, status);
    }
}

/* Another entry stands where these were proposed: certainly lost. */
void node_fail_lost_proposals(struct node *node)
{
    fail_passed_proposals(node, ETCD_LEADER_CHANGED);
}

/* A snapshot came instead of the entries: nobody here knows which they were. */
void node_fail_unknown_proposals(struct node *node)
{
    fail_passed_proposals(node, ETCD_TIMEOUT);
}

static void drop_queued(struct node *node, uint64_t request_id)
{
    list_foreach_safe (link, &node->proposals) {
        struct node_proposal *proposal = container_of(link, struct node_proposal, link);
        if (proposal->request_id == request_id && proposal->from == 0) {
            proposal_free(node, proposal);
        }
    }
}

void node_expire_waiters(struct node *node)
{
    while (!list_is_empty(&node->waiters_by_deadline)) {
        struct node_waiter *waiter =
            container_of(node->waiters_by_deadline.next, struct node_waiter, by_deadline);
        if (waiter->deadline > node->now) {
            return;
        }
        if (!waiter->is_sent) {
            drop_queued(node, waiter->request_id); /* so the client may be sure: not applied */
        }
        /* 67: an unknown outcome is called certain. */
        answer(node, waiter, PLANTED(67) ? ETCD_LEADER_CHANGED : ETCD_TIMEOUT);
    }
}

raft_time_ms node_waiters_deadline(const struct node *node)
{
    if (list_is_empty(&node->waiters_by_deadline)) {
        return RAFT_TIME_NEVER;
    }
    return container_of(node->waiters_by_deadline.next, struct node_waiter, by_deadline)->deadline;
}
