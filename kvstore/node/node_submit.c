#include "base/check.h"
#include "kvstore/node/node_internal.h"

static enum kv_op proposal_op(enum node_method method)
{
    switch (method) {
    case NODE_PUT:
        return KV_OP_PUT;
    case NODE_DELETE_RANGE:
        return KV_OP_DELETE_RANGE;
    case NODE_TXN:
        return KV_OP_TXN;
    case NODE_COMPACT:
        return KV_OP_COMPACTION;
    case NODE_LEASE_GRANT:
        return KV_OP_LEASE_GRANT;
    case NODE_LEASE_REVOKE:
        return KV_OP_LEASE_REVOKE;
    case NODE_ALARM:
        return KV_OP_ALARM;
    case NODE_AUTH_ENABLE:
        return KV_OP_AUTH_ENABLE;
    case NODE_AUTH_DISABLE:
        return KV_OP_AUTH_DISABLE;
    case NODE_AUTH_STATUS:
        return KV_OP_AUTH_STATUS;
    case NODE_AUTHENTICATE:
        return KV_OP_AUTH_AUTHENTICATE;
    case NODE_USER_ADD:
        return KV_OP_AUTH_USER_ADD;
    case NODE_USER_GET:
        return KV_OP_AUTH_USER_GET;
    case NODE_USER_LIST:
        return KV_OP_AUTH_USER_LIST;
    case NODE_USER_DELETE:
        return KV_OP_AUTH_USER_DELETE;
    case NODE_USER_CHANGE_PASSWORD:
        return KV_OP_AUTH_USER_CHANGE_PASSWORD;
    case NODE_USER_GRANT_ROLE:
        return KV_OP_AUTH_USER_GRANT_ROLE;
    case NODE_USER_REVOKE_ROLE:
        return KV_OP_AUTH_USER_REVOKE_ROLE;
    case NODE_ROLE_ADD:
        return KV_OP_AUTH_ROLE_ADD;
    case NODE_ROLE_GET:
        return KV_OP_AUTH_ROLE_GET;
    case NODE_ROLE_LIST:
        return KV_OP_AUTH_ROLE_LIST;
    case NODE_ROLE_DELETE:
        return KV_OP_AUTH_ROLE_DELETE;
    case NODE_ROLE_GRANT_PERMISSION:
        return KV_OP_AUTH_ROLE_GRANT_PERMISSION;
    case NODE_ROLE_REVOKE_PERMISSION:
        return KV_OP_AUTH_ROLE_REVOKE_PERMISSION;
    case NODE_MEMBER_ATTR_SET:
        return KV_OP_MEMBER_ATTR_SET;
    case NODE_CLUSTER_VERSION_SET:
        return KV_OP_CLUSTER_VERSION_SET;
    default:
        return KV_OP_NONE;
    }
}

static bool is_serializable_range(const struct node_request *request)
{
    return (request->method == NODE_RANGE || request->method == NODE_RANGE_STREAM) &&
           kv_range_is_serializable(request->body);
}

/* The only things a learner answers (etcd-api.md 1.1). */
static bool is_for_learners(const struct node_request *request)
{
    return request->method == NODE_STATUS || request->method == NODE_HASH ||
           request->method == NODE_HASH_KV || request->method == NODE_MEMBER_ATTR_SET ||
           is_serializable_range(request);
}

/* The first write that meets the quota raises the alarm that stops all later ones. */
static void raise_no_space(struct node *node)
{
    if (node->is_alarm_proposed) {
        return;
    }
    node->is_alarm_proposed = true;
    struct buf body = BUF_INIT;
    kv_encode_alarm_no_space(node->kv, &body);
    const struct node_request request = {.method = NODE_ALARM};
    node_propose(node, &request, 0, 0, KV_OP_ALARM, buf_bytes(&body));
    buf_deinit(&body);
}

static bool needs_space(enum node_method method)
{
    return method == NODE_PUT || method == NODE_TXN || method == NODE_LEASE_GRANT;
}

static void propose_checked(struct node *node, const struct node_request *request, raft_id peer,
                            uint64_t peer_id)
{
    enum kv_op op = proposal_op(request->method);
    kv_result_clear(&node->result);
    enum etcd_error status = kv_check_request(node->kv, op, request->body, &node->result);
    if (status == ETCD_OK && node->is_disk_full && needs_space(request->method)) {
        status = ETCD_NO_SPACE;
    }
    if (status != ETCD_OK) {
        if (node->result.raise_no_space) {
            raise_no_space(node);
        }
        node_reply_status(node, request->token, peer, peer_id, status);
        return;
    }
    if (request->method != NODE_LEASE_GRANT) {
        node_propose(node, request, peer, peer_id, op, request->body);
        return;
    }
    /* etcd: no lease shorter than one and a half election timeouts, in whole seconds. */
    int64_t min_ttl_s = (3 * (int64_t)node->options.raft.election_timeout_ms / 2 + 999) / 1000;
    struct buf body = BUF_INIT;
    status = kv_prepare_lease_grant(node->kv, request->body, (int64_t)request->fresh_id, min_ttl_s,
                                    &body);
    if (status != ETCD_OK) {
        node_reply_status(node, request->token, peer, peer_id, status);
    } else {
        node_propose(node, request, peer, peer_id, op, buf_bytes(&body));
    }
    buf_deinit(&body);
}

static void submit_txn(struct node *node, const struct node_request *request, raft_id peer,
                       uint64_t peer_id)
{
    bool is_serializable = false;
    if (!kv_txn_is_read_only(request->body, &is_serializable)) {
        propose_checked(node, request, peer, peer_id);
        return;
    }
    enum etcd_error status = kv_check_request(node->kv, KV_OP_TXN, request->body, NULL);
    if (status != ETCD_OK) {
        node_reply_status(node, request->token, peer, peer_id, status);
        return;
    }
    node_read_start(node, request, peer, peer_id, !is_serializable);
}

/* Deadlines of leases are known to the leader only. */
static void lease_on_leader(struct node *node, const struct node_request *request, raft_id peer,
                            uint64_t peer_id)
{
    if (!node->is_lessor_primary) {
        if (peer != 0) {
            node_reply_status(node, 0, peer, peer_id, ETCD_LEADER_CHANGED);
        } else {
            node_forward_request(node, request);
        }
        return;
    }
    kv_result_clear(&node->result);
    if (request->method == NODE_LEASE_KEEP_ALIVE) {
        kv_lease_keep_alive(node->kv, request->body, node->now, &node->result);
    } else {
        kv_lease_remaining(node->kv, request->body, node->now, &node->result);
    }
    if (node->result.status != ETCD_OK) {
        node_reply_status(node, request->token, peer, peer_id, node->result.status);
    } else {
        node_reply_bytes(node, request->token, peer, peer_id, buf_bytes(&node->result.reply));
    }
}

static void move_leader(struct node *node, const struct node_request *request)
{
    raft_id target = node_decode_move_leader(node, request->body);
    if (!node_leads(node)) {
        node_reply_status(node, request->token, 0, 0, ETCD_NOT_LEADER);
        return;
    }
    if (target == node_id(node)) {
        node_reply_bytes(node, request->token, 0, 0, (struct bytes){NULL, 0});
        return;
    }
    const struct raft_event event = {
        .type = RAFT_TRANSFER, .now = node->now, .transfer = {.peer = target}};
    int code = raft_step(node->raft, &event);
    if (code != 0) {
        enum etcd_error status = code == ERR_BUSY ? ETCD_TOO_MANY_REQUESTS : ETCD_BAD_TRANSFEREE;
        node_reply_status(node, request->token, 0, 0, status);
        return;
    }
    if (node->transfer.token != 0) {
        node_reply_status(node, node->transfer.token, 0, 0, ETCD_TIMEOUT);
    }
    node->transfer = (struct node_transfer){
        .token = request->token,
        .target = target,
        .deadline = node->now + 2 * (raft_time_ms)node->options.raft.election_timeout_ms};
}

void node_execute(struct node *node, const struct node_request *request, raft_id peer,
                  uint64_t peer_id)
{
    switch (request->method) {
    case NODE_RANGE:
    case NODE_RANGE_STREAM:
        node_read_start(node, request, peer, peer_id, !is_serializable_range(request));
        break;
    case NODE_HASH:
    case NODE_HASH_KV:
        node_read_start(node, request, peer, peer_id, /* is_linearizable= */ false);
        break;
    case NODE_LEASE_LEASES:
    case NODE_DOWNGRADE:
        node_read_start(node, request, peer, peer_id, /* is_linearizable= */ true);
        break;
    case NODE_MEMBER_LIST:
        node_read_start(node, request, peer, peer_id, node_decode_is_linearizable(node, request));
        break;
    case NODE_ALARM:
        if (node_decode_is_alarm_get(node, request->body)) {
            node_read_start(node, request, peer, peer_id, /* is_linearizable= */ true);
        } else {
            propose_checked(node, request, peer, peer_id);
        }
        break;
    case NODE_TXN:
        submit_txn(node, request, peer, peer_id);
        break;
    case NODE_LEASE_KEEP_ALIVE:
    case NODE_LEASE_TIME_TO_LIVE:
        lease_on_leader(node, request, peer, peer_id);
        break;
    case NODE_MEMBER_ADD:
    case NODE_MEMBER_REMOVE:
    case NODE_MEMBER_UPDATE:
    case NODE_MEMBER_PROMOTE:
        if (node_leads(node)) {
            node_member_change(node, request, peer, peer_id);
        } else if (peer != 0) {
            node_reply_status(node, 0, peer, peer_id, ETCD_LEADER_CHANGED);
        } else {
            node_forward_request(node, request);
        }
        break;
    case NODE_STATUS:
        node_status_reply(node, request->token);
        break;
    case NODE_MOVE_LEADER:
        move_leader(node, request);
        break;
    default:
        propose_checked(node, request, peer, peer_id);
        break;
    }
}

void node_submit(struct node *node, raft_time_ms now, const struct node_request *request)
{
    CHECK(request->token != 0);
    CHECK(request->method > 0 && request->method < NODE_METHOD_COUNT);
    node->now = now;
    if (node->is_stopped) {
        node_reply_status(node, request->token, 0, 0, ETCD_STOPPED);
        return;
    }
    if (node_is_learner(node) && !is_for_learners(request)) {
        node_reply_status(node, request->token, 0, 0, ETCD_LEARNER_UNSUPPORTED);
        return;
    }
    if (request->member != 0 && request->member != node_id(node)) {
        node_ask(node, request);
        return;
    }
    enum etcd_error error = node_authorize_early(node, request);
    if (error != ETCD_OK) {
        node_reply_status(node, request->token, 0, 0, error);
        return;
    }
    node_execute(node, request, 0, 0);
}
