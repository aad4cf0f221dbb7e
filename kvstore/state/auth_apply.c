#include "kvstore/state/kv_internal.h"

/* The RPC whose rule an entry falls under. AUTH_RPC_NONE with is_internal: made by members. */
static const struct {
    enum kv_op op;
    enum auth_rpc rpc;
} rpcs[] = {
    {KV_OP_PUT, AUTH_RPC_PUT},
    {KV_OP_DELETE_RANGE, AUTH_RPC_DELETE_RANGE},
    {KV_OP_TXN, AUTH_RPC_TXN},
    {KV_OP_COMPACTION, AUTH_RPC_COMPACT},
    {KV_OP_LEASE_GRANT, AUTH_RPC_LEASE_GRANT},
    {KV_OP_LEASE_REVOKE, AUTH_RPC_LEASE_REVOKE},
    {KV_OP_AUTH_ENABLE, AUTH_RPC_AUTH_ENABLE},
    {KV_OP_AUTH_DISABLE, AUTH_RPC_AUTH_DISABLE},
    {KV_OP_AUTH_AUTHENTICATE, AUTH_RPC_AUTHENTICATE},
    {KV_OP_AUTH_STATUS, AUTH_RPC_AUTH_STATUS},
    {KV_OP_AUTH_USER_ADD, AUTH_RPC_USER_ADD},
    {KV_OP_AUTH_USER_DELETE, AUTH_RPC_USER_DELETE},
    {KV_OP_AUTH_USER_GET, AUTH_RPC_USER_GET},
    {KV_OP_AUTH_USER_CHANGE_PASSWORD, AUTH_RPC_USER_CHANGE_PASSWORD},
    {KV_OP_AUTH_USER_GRANT_ROLE, AUTH_RPC_USER_GRANT_ROLE},
    {KV_OP_AUTH_USER_REVOKE_ROLE, AUTH_RPC_USER_REVOKE_ROLE},
    {KV_OP_AUTH_USER_LIST, AUTH_RPC_USER_LIST},
    {KV_OP_AUTH_ROLE_LIST, AUTH_RPC_ROLE_LIST},
    {KV_OP_AUTH_ROLE_ADD, AUTH_RPC_ROLE_ADD},
    {KV_OP_AUTH_ROLE_DELETE, AUTH_RPC_ROLE_DELETE},
    {KV_OP_AUTH_ROLE_GET, AUTH_RPC_ROLE_GET},
    {KV_OP_AUTH_ROLE_GRANT_PERMISSION, AUTH_RPC_ROLE_GRANT_PERMISSION},
    {KV_OP_AUTH_ROLE_REVOKE_PERMISSION, AUTH_RPC_ROLE_REVOKE_PERMISSION},
};

static enum auth_rpc rpc_of(enum kv_op op)
{
    for (size_t i = 0; i < sizeof rpcs / sizeof rpcs[0]; i++) {
        if (rpcs[i].op == op) {
            return rpcs[i].rpc;
        }
    }
    return AUTH_RPC_NONE;
}

/* What members propose themselves. A client's alarm was authorised before it was proposed; a
 * member's own (NOSPACE) has no user. */
static bool is_internal(enum kv_op op)
{
    return op == KV_OP_NONE || op == KV_OP_LEASE_REVOKE_MANY || op == KV_OP_LEASE_CHECKPOINT ||
           op == KV_OP_MEMBER_ATTR_SET || op == KV_OP_CLUSTER_VERSION_SET ||
           op == KV_OP_DOWNGRADE_INFO_SET || op == KV_OP_ALARM;
}

enum etcd_error authorize_entry(struct kv *kv, enum kv_op op,
                                const struct kv_apply_context *context)
{
    if (is_internal(op)) {
        return ETCD_OK;
    }
    /* A password that was checked against older users must be checked again. */
    if (op == KV_OP_AUTH_AUTHENTICATE && auth_is_enabled(kv->auth) &&
        context->header->auth_revision < auth_revision(kv->auth)) {
        return ETCD_AUTH_OLD_REVISION;
    }
    const struct auth_caller caller = {.username = context->header->username,
                                       .auth_revision = context->header->auth_revision};
    return kv_authorize(kv, &caller, (int)rpc_of(op), context->request);
}

bool is_auth_op(enum kv_op op)
{
    return op >= KV_OP_AUTH_ENABLE && op <= KV_OP_AUTH_ROLE_REVOKE_PERMISSION;
}

enum etcd_error apply_auth(struct kv *kv, enum kv_op op, const struct kv_apply_context *context)
{
    if (context->reply != NULL) {
        reply_header(kv, context->reply, mvcc_revision(kv->mvcc));
    }
    return auth_apply(kv->auth, (enum auth_op)op, context->request, kv->job.at.index,
                      lessor_now(kv->lessor), mvcc_batch(kv->mvcc), context->reply);
}
