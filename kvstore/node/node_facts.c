#include "base/check.h"
#include "kvstore/node/node_internal.h"
#include "raft/members.h"

struct kv *node_kv(struct node *node)
{
    return node->kv;
}

raft_id node_id(const struct node *node)
{
    return node->options.raft.id;
}

raft_id node_leader(const struct node *node)
{
    return raft_leader(node->raft);
}

bool node_is_leader(const struct node *node)
{
    return node_leads(node);
}

bool node_is_learner(const struct node *node)
{
    const struct raft_member *self = raft_members_find(raft_members(node->raft), node_id(node));
    return self != NULL && !self->voter;
}

uint64_t node_connections(const struct node *node)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < NODE_PEERS_MAX; i++) {
        const struct node_peer *peer = &node->peers[i];
        sum += peer->is_connected ? peer->id * (2 * peer->connected_since + 1) : 0;
    }
    return sum;
}

void node_get_status(const struct node *node, struct raft_status *status)
{
    raft_get_status(node->raft, status);
}

raft_index node_applied(const struct node *node)
{
    return kv_applied(node->kv).index;
}

struct raft_members node_members_at(const struct node *node, raft_index index)
{
    return raft_members_at(node->raft, index);
}

bool node_wants_snapshot(const struct node *node, struct raft_position last)
{
    return !node->is_installing && raft_wants_snapshot(node->raft, last);
}

bool node_is_installing(const struct node *node)
{
    return node->is_installing;
}

void node_get_stats(const struct node *node, struct node_stats *ret_stats)
{
    *ret_stats = node->stats;
    ret_stats->proposals_pending = node->waiters.count;
}

void node_check(const struct node *node)
{
    raft_check(node->raft);
    kv_check(node->kv);
    CHECK(kv_applied(node->kv).index <= raft_commit(node->raft) || node->is_installing);
}
