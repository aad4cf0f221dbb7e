#include "kvstore/node/node_internal.h"

/* A method without a line here is denied while auth is on. */
static const enum auth_rpc rpcs[NODE_METHOD_COUNT] = {
    [NODE_RANGE] = AUTH_RPC_RANGE,
    [NODE_RANGE_STREAM] = AUTH_RPC_RANGE_STREAM,
    [NODE_PUT] = AUTH_RPC_PUT,
    [NODE_DELETE_RANGE] = AUTH_RPC_DELETE_RANGE,
    [NODE_TXN] = AUTH_RPC_TXN,
    [NODE_COMPACT] = AUTH_RPC_COMPACT,
    [NODE_LEASE_GRANT] = AUTH_RPC_LEASE_GRANT,
    [NODE_LEASE_REVOKE] = AUTH_RPC_LEASE_REVOKE,
    [NODE_LEASE_KEEP_ALIVE] = AUTH_RPC_LEASE_KEEP_ALIVE,
    [NODE_LEASE_TIME_TO_LIVE] = AUTH_RPC_LEASE_TIME_TO_LIVE,
    [NODE_LEASE_LEASES] = AUTH_RPC_LEASE_LEASES,
    [NODE_MEMBER_ADD] = AUTH_RPC_MEMBER_ADD,
    [NODE_MEMBER_REMOVE] = AUTH_RPC_MEMBER_REMOVE,
    [NODE_MEMBER_UPDATE] = AUTH_RPC_MEMBER_UPDATE,
    [NODE_MEMBER_LIST] = AUTH_RPC_MEMBER_LIST,
    [NODE_MEMBER_PROMOTE] = AUTH_RPC_MEMBER_PROMOTE,
    [NODE_ALARM] = AUTH_RPC_ALARM,
    [NODE_STATUS] = AUTH_RPC_STATUS,
    [NODE_HASH] = AUTH_RPC_HASH,
    [NODE_HASH_KV] = AUTH_RPC_HASH_KV,
    [NODE_MOVE_LEADER] = AUTH_RPC_MOVE_LEADER,
    [NODE_DOWNGRADE] = AUTH_RPC_DOWNGRADE,
    [NODE_AUTH_ENABLE] = AUTH_RPC_AUTH_ENABLE,
    [NODE_AUTH_DISABLE] = AUTH_RPC_AUTH_DISABLE,
    [NODE_AUTH_STATUS] = AUTH_RPC_AUTH_STATUS,
    [NODE_AUTHENTICATE] = AUTH_RPC_AUTHENTICATE,
    [NODE_USER_ADD] = AUTH_RPC_USER_ADD,
    [NODE_USER_GET] = AUTH_RPC_USER_GET,
    [NODE_USER_LIST] = AUTH_RPC_USER_LIST,
    [NODE_USER_DELETE] = AUTH_RPC_USER_DELETE,
    [NODE_USER_CHANGE_PASSWORD] = AUTH_RPC_USER_CHANGE_PASSWORD,
    [NODE_USER_GRANT_ROLE] = AUTH_RPC_USER_GRANT_ROLE,
    [NODE_USER_REVOKE_ROLE] = AUTH_RPC_USER_REVOKE_ROLE,
    [NODE_ROLE_ADD] = AUTH_RPC_ROLE_ADD,
    [NODE_ROLE_GET] = AUTH_RPC_ROLE_GET,
    [NODE_ROLE_LIST] = AUTH_RPC_ROLE_LIST,
    [NODE_ROLE_DELETE] = AUTH_RPC_ROLE_DELETE,
    [NODE_ROLE_GRANT_PERMISSION] = AUTH_RPC_ROLE_GRANT_PERMISSION,
    [NODE_ROLE_REVOKE_PERMISSION] = AUTH_RPC_ROLE_REVOKE_PERMISSION,
};

enum etcd_error node_authorize(struct node *node, const struct node_request *request)
{
    if (request->is_internal) {
        return ETCD_OK;
    }
    return kv_authorize(node->kv, &request->caller, (int)rpcs[request->method], request->body);
}

/* Asked again where the answer is final: when the entry is applied, when the read point is
 * reached. What this member knows now may be older than what the client has seen. */
static bool is_decided_later(enum node_method method)
{
    switch (method) {
    case NODE_LEASE_KEEP_ALIVE:
    case NODE_LEASE_TIME_TO_LIVE:
    case NODE_MEMBER_ADD:
    case NODE_MEMBER_REMOVE:
    case NODE_MEMBER_UPDATE:
    case NODE_MEMBER_PROMOTE:
    case NODE_STATUS:
    case NODE_MOVE_LEADER:
    case NODE_ALARM:
    case NODE_MEMBER_ATTR_SET:
    case NODE_CLUSTER_VERSION_SET:
        return false;
    default:
        return true;
    }
}

enum etcd_error node_authorize_early(struct node *node, const struct node_request *request)
{
    if (!is_decided_later(request->method)) {
        return node_authorize(node, request);
    }
    /* Nobody at all gets no entry into the log. */
    enum etcd_error error = node_authorize(node, request);
    return error == ETCD_USER_EMPTY ? error : ETCD_OK;
}
