#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/node/node_internal.h"
#include "proto/arena_allocator.h"
#include "proto/rpc.pb-c.h"
#include "raft/members.h"

/* Membership changes are made by the leader: it alone knows the newest member set and who keeps up.
 * The rules of strict reconfiguration are etcd's (server/etcdserver: mayAddMember and its kin). */

static bool is_peer_url(const char *url)
{
    static const char schemes[][9] = {"http://", "https://", "unix://", "unixs://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t length = strlen(schemes[i]);
        if (strncmp(url, schemes[i], length) != 0) {
            continue;
        }
        const char *rest = url + length;
        const char *colon = strrchr(rest, ':');
        return colon != NULL && colon[1] != 0 && colon[1 + strspn(colon + 1, "0123456789")] == 0 &&
               strlen(url) <= CLUSTER_URL_SIZE_MAX;
    }
    return false;
}

static enum etcd_error take_urls(struct cluster_urls *urls, char *const *texts, size_t count)
{
    if (count == 0 || count > CLUSTER_URLS_MAX) {
        return ETCD_BAD_MEMBER_URLS;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_peer_url(texts[i])) {
            return ETCD_BAD_MEMBER_URLS;
        }
        urls->url[urls->count++] = mem_strdup(texts[i]);
    }
    return ETCD_OK;
}

/* The change that a request asks for; change is to be deinitialised in any case. */
static enum etcd_error decode_change(const struct node_request *request, struct arena *arena,
                                     struct cluster_change *change)
{
    *change = (struct cluster_change){0};
    change->member.name = mem_strdup("");
    switch (request->method) {
    case NODE_MEMBER_ADD: {
        const Etcdserverpb__MemberAddRequest *add = (const void *)proto_decode(
            &etcdserverpb__member_add_request__descriptor, request->body, arena);
        if (add == NULL) {
            return ETCD_INVALID_REQUEST;
        }
        change->kind = CLUSTER_ADD;
        change->member.id = request->fresh_id;
        change->member.is_learner = add->islearner != 0;
        return take_urls(&change->member.peer_urls, add->peerurls, add->n_peerurls);
    }
    case NODE_MEMBER_UPDATE: {
        const Etcdserverpb__MemberUpdateRequest *update = (const void *)proto_decode(
            &etcdserverpb__member_update_request__descriptor, request->body, arena);
        if (update == NULL) {
            return ETCD_INVALID_REQUEST;
        }
        change->kind = CLUSTER_UPDATE;
        change->member.id = update->id;
        return take_urls(&change->member.peer_urls, update->peerurls, update->n_peerurls);
    }
    default: {
        /* MemberRemoveRequest and MemberPromoteRequest have the same shape. */
        const Etcdserverpb__MemberRemoveRequest *remove = (const void *)proto_decode(
            &etcdserverpb__member_remove_request__descriptor, request->body, arena);
        if (remove == NULL) {
            return ETCD_INVALID_REQUEST;
        }
        change->kind = request->method == NODE_MEMBER_REMOVE ? CLUSTER_REMOVE : CLUSTER_PROMOTE;
        change->member.id = remove->id;
        return ETCD_OK;
    }
    }
}

static bool is_connected_long(const struct node *node, raft_id id)
{
    if (id == node_id(node)) {
        return true;
    }
    for (uint32_t i = 0; i < NODE_PEERS_MAX; i++) {
        const struct node_peer *peer = &node->peers[i];
        if (peer->id == id) {
            return peer->is_connected && node->now >= peer->connected_since + NODE_CONNECTED_MIN_MS;
        }
    }
    return false;
}

/* Voters and started voters of the cluster, without one of them (0: with all). */
struct census {
    uint32_t voters;
    uint32_t started;
    uint32_t connected; /* long enough */
};

static struct census count_voters(const struct node *node, uint64_t without)
{
    const struct cluster *cluster = kv_cluster(node->kv);
    struct census census = {0};
    for (uint32_t i = 0; i < cluster_count(cluster); i++) {
        const struct cluster_member *member = cluster_at(cluster, i);
        if (member->is_learner || member->id == without) {
            continue;
        }
        census.voters += 1;
        census.started += member->name[0] != 0;
        census.connected += is_connected_long(node, member->id);
    }
    return census;
}

static enum etcd_error check_add(const struct node *node, bool is_learner)
{
    struct census census = count_voters(node, 0);
    uint32_t voters = census.voters + 1;
    /* One started member may get a second one: that is how a lost cluster is rebuilt. */
    bool is_rebuild = census.started == 1 && voters == 2;
    if (!is_learner && !is_rebuild && census.started < voters / 2 + 1) {
        return ETCD_NOT_ENOUGH_STARTED;
    }
    /* The new member counts as one that is down (etcd 3.7; before, all had to be connected). */
    bool is_safe = census.voters == 1 || census.connected >= voters / 2 + 1;
    return is_safe ? ETCD_OK : ETCD_UNHEALTHY;
}

static enum etcd_error check_remove(const struct node *node, const struct cluster_member *member)
{
    if (member->is_learner) {
        return ETCD_OK;
    }
    struct census rest = count_voters(node, member->id);
    if (rest.voters == 0 || rest.started < rest.voters / 2 + 1) {
        return ETCD_NOT_ENOUGH_STARTED;
    }
    if (member->id != node_id(node) && !node_peer_is_connected(node, member->id)) {
        return ETCD_OK; /* it is down: the quorum that works does not need it */
    }
    struct census all = count_voters(node, 0);
    return all.connected < 2 + (all.voters - 1) / 2 ? ETCD_UNHEALTHY : ETCD_OK;
}

static enum etcd_error check_promote(const struct node *node, uint64_t id)
{
    struct raft_status status;
    raft_get_status(node->raft, &status);
    for (uint32_t i = 0; i < status.peer_count; i++) {
        const struct raft_peer_status *peer = &status.peer[i];
        if (peer->id == id) {
            bool is_ready = peer->has_contact &&
                            peer->match * 100 >= status.last.index * NODE_LEARNER_READY_PERCENT;
            return is_ready ? ETCD_OK : ETCD_LEARNER_NOT_READY;
        }
    }
    return ETCD_LEARNER_NOT_READY;
}

static enum etcd_error check_promote_strictly(const struct node *node)
{
    struct census census = count_voters(node, 0);
    return census.started + 1 < (census.voters + 1) / 2 + 1 ? ETCD_NOT_ENOUGH_STARTED : ETCD_OK;
}

static enum etcd_error check_change(const struct node *node, const struct cluster_change *change)
{
    const struct cluster *cluster = kv_cluster(node->kv);
    enum etcd_error error = cluster_check(cluster, change, node->options.max_learners);
    bool is_strict = node->options.strict_reconfig_check;
    if (error != ETCD_OK) {
        return error;
    }
    switch (change->kind) {
    case CLUSTER_ADD:
        if (cluster_count(cluster) >= CLUSTER_MEMBERS_MAX) {
            return ETCD_UNHEALTHY;
        }
        return is_strict ? check_add(node, change->member.is_learner) : ETCD_OK;
    case CLUSTER_REMOVE:
        return is_strict ? check_remove(node, cluster_find(cluster, change->member.id)) : ETCD_OK;
    case CLUSTER_PROMOTE:
        error = check_promote(node, change->member.id);
        return error == ETCD_OK && is_strict ? check_promote_strictly(node) : error;
    case CLUSTER_UPDATE:
        return ETCD_OK;
    }
    return ETCD_OK;
}

static struct blob *encode_config(struct node *node, const struct cluster_change *change)
{
    struct raft_members members = *raft_members(node->raft);
    int code = 0;
    switch (change->kind) {
    case CLUSTER_ADD:
        code = raft_members_put(&members, change->member.id, !change->member.is_learner);
        break;
    case CLUSTER_PROMOTE:
        code = raft_members_put(&members, change->member.id, /* voter= */ true);
        break;
    case CLUSTER_REMOVE:
        code = raft_members_remove(&members, change->member.id);
        break;
    case CLUSTER_UPDATE:
        break;
    }
    if (code != 0) {
        return NULL; /* raft's set is ahead of what is applied: a change is under way */
    }
    if (raft_members_voter_count(&members) == 0) {
        return NULL; /* somebody has to be left who can decide, with strict checks or without */
    }
    struct buf rest = BUF_INIT;
    cluster_change_encode(&rest, change);
    struct blob *data = raft_members_encode(&members, buf_bytes(&rest));
    buf_deinit(&rest);
    return data;
}

void node_member_change(struct node *node, const struct node_request *request, raft_id peer,
                        uint64_t peer_id)
{
    struct arena arena = ARENA_INIT;
    struct cluster_change change;
    enum etcd_error error = decode_change(request, &arena, &change);
    if (error == ETCD_OK) {
        error = check_change(node, &change);
    }
    struct blob *data = error == ETCD_OK ? encode_config(node, &change) : NULL;
    if (data != NULL) {
        node_propose_config(node, request, peer, peer_id, data);
    } else {
        node_reply_status(node, request->token, peer, peer_id,
                          error == ETCD_OK ? ETCD_UNHEALTHY : error);
    }
    cluster_change_deinit(&change);
    arena_deinit(&arena);
}
