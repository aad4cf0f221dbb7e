#include "kvstore/auth/authorize.h"

#include <string.h>

#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/auth/auth_internal.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/mvcc/request.h"

enum auth_rule {
    RULE_NONE = 0, /* nobody */
    RULE_STEPS,
    RULE_PUBLIC,
    RULE_USER,
    RULE_ADMIN,
    RULE_ALARM,
    RULE_USER_SELF,
    RULE_ROLE_OWN,
    RULE_RANGE,
    RULE_PUT,
    RULE_DELETE,
    RULE_TXN,
    RULE_WATCH,
    RULE_LEASE_WRITE,
    RULE_LEASE_READ,
    RULE_LEASES_READ,
};

static const struct {
    const char *path;
    enum auth_rule rule;
} rpcs[AUTH_RPC_END] = {
#define X(name, path, rule) [AUTH_RPC_##name] = {path, RULE_##rule},
    AUTH_RPC_MAP(X)
#undef X
};

enum auth_rpc auth_rpc_find(const char *path)
{
    for (int rpc = AUTH_RPC_NONE + 1; rpc < AUTH_RPC_END; rpc++) {
        if (strcmp(rpcs[rpc].path, path) == 0) {
            return (enum auth_rpc)rpc;
        }
    }
    return AUTH_RPC_NONE;
}

const char *auth_rpc_path(enum auth_rpc rpc)
{
    return rpcs[rpc].path == NULL ? "" : rpcs[rpc].path;
}

/* One decision: who asks and what the answer may depend on. */
struct decision {
    struct auth *auth;
    const struct lessor *lessor;
    struct arena *arena;
    struct auth_user *user;
};

static enum etcd_error allow_if(bool is_allowed)
{
    return is_allowed ? ETCD_OK : ETCD_PERMISSION_DENIED;
}

static enum etcd_error may_read(const struct decision *decision, struct bytes key,
                                struct bytes range_end)
{
    struct interval interval = interval_make(key, range_end);
    return allow_if(interval_set_covers(&decision->user->readable, &interval));
}

static enum etcd_error may_write(const struct decision *decision, struct bytes key,
                                 struct bytes range_end)
{
    struct interval interval = interval_make(key, range_end);
    return allow_if(interval_set_covers(&decision->user->writable, &interval));
}

/* Every key on the lease; an unknown lease has none. */
static enum etcd_error check_lease(const struct decision *decision, int64_t id, bool is_write)
{
    struct lease *lease = lessor_find(decision->lessor, id);
    if (lease == NULL) {
        return ETCD_OK;
    }
    uint32_t count = 0;
    const struct bytes *keys = lease_keys_sorted(lease, &count);
    enum etcd_error error = ETCD_OK;
    for (uint32_t i = 0; error == ETCD_OK && i < count; i++) {
        error = is_write ? may_write(decision, keys[i], (struct bytes){NULL, 0})
                         : may_read(decision, keys[i], (struct bytes){NULL, 0});
    }
    return error;
}

static enum etcd_error check_put(const struct decision *decision, const struct put_request *put)
{
    const struct bytes none = {NULL, 0};
    enum etcd_error error = may_write(decision, put->key, none);
    if (error == ETCD_OK && put->prev_kv) {
        error = may_read(decision, put->key, none);
    }
    if (error == ETCD_OK && put->lease != 0) {
        error = check_lease(decision, put->lease, /* is_write= */ true);
    }
    return error;
}

static enum etcd_error check_delete(const struct decision *decision,
                                    const struct delete_request *request)
{
    enum etcd_error error = may_write(decision, request->key, request->range_end);
    if (error == ETCD_OK && request->prev_kv) {
        error = may_read(decision, request->key, request->range_end);
    }
    return error;
}

static enum etcd_error check_txn(const struct decision *decision, const struct txn_request *txn);

static enum etcd_error check_ops(const struct decision *decision, const struct txn_ops *ops)
{
    for (uint32_t i = 0; i < ops->count; i++) {
        const struct txn_op *op = &ops->ops[i];
        enum etcd_error error = ETCD_OK;
        switch (op->kind) {
        case TXN_OP_NONE:
            break; /* touches nothing; the request is refused for it elsewhere */
        case TXN_OP_RANGE:
            error = may_read(decision, op->range.key, op->range.range_end);
            break;
        case TXN_OP_PUT:
            error = check_put(decision, &op->put);
            break;
        case TXN_OP_DELETE:
            error = check_delete(decision, &op->delete_range);
            break;
        case TXN_OP_TXN:
            error = check_txn(decision, op->txn); /* the decoder bounds the depth */
            break;
        }
        if (error != ETCD_OK) {
            return error;
        }
    }
    return ETCD_OK;
}

static enum etcd_error check_txn(const struct decision *decision, const struct txn_request *txn)
{
    for (uint32_t i = 0; i < txn->compare_count; i++) {
        enum etcd_error error =
            may_read(decision, txn->compares[i].key, txn->compares[i].range_end);
        if (error != ETCD_OK) {
            return error;
        }
    }
    enum etcd_error error = check_ops(decision, &txn->success);
    return error != ETCD_OK ? error : check_ops(decision, &txn->failure);
}

/* The fields that rules look at, by number and wire type exactly as the handlers decode them. */
struct plain_fields {
    uint64_t number; /* field 1 as a varint */
    struct bytes first;
    uint64_t second_number;
    struct bytes second;
};

static bool decode_plain(struct bytes body, struct plain_fields *ret)
{
    struct pb_reader reader = pb_reader_make(body);
    struct pb_field field;
    *ret = (struct plain_fields){0};
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            ret->number = field.value;
        } else if (field.key == PB_VARINT(2)) {
            ret->second_number = field.value;
        } else if (field.key == PB_BYTES(1)) {
            ret->first = field.bytes;
        } else if (field.key == PB_BYTES(2)) {
            ret->second = field.bytes;
        }
    }
    return !reader.failed;
}

/* Only creating a watch shows data. */
static enum etcd_error check_watch(const struct decision *decision, struct bytes body)
{
    struct pb_reader reader = pb_reader_make(body);
    struct pb_field field;
    enum etcd_error error = ETCD_OK;
    while (error == ETCD_OK && pb_next(&reader, &field)) {
        if (field.key != PB_BYTES(1)) {
            continue;
        }
        struct plain_fields create;
        error = decode_plain(field.bytes, &create) ? may_read(decision, create.first, create.second)
                                                   : ETCD_INVALID_REQUEST;
    }
    return reader.failed ? ETCD_INVALID_REQUEST : error;
}

static enum etcd_error check_leases(const struct decision *decision)
{
    uint32_t count = lessor_count(decision->lessor);
    int64_t *ids = mem_calloc(count + 1, sizeof *ids);
    enum etcd_error error = ETCD_OK;
    lessor_ids(decision->lessor, ids);
    for (uint32_t i = 0; error == ETCD_OK && i < count; i++) {
        error = check_lease(decision, ids[i], /* is_write= */ false);
    }
    mem_free(ids);
    return error;
}

static enum etcd_error check_range_body(const struct decision *decision, struct bytes body)
{
    struct range_request range;
    return range_request_decode(body, &range) != 0 ? ETCD_INVALID_REQUEST
                                                   : may_read(decision, range.key, range.range_end);
}

static enum etcd_error check_put_body(const struct decision *decision, struct bytes body)
{
    struct put_request put;
    return put_request_decode(body, &put) != 0 ? ETCD_INVALID_REQUEST : check_put(decision, &put);
}

static enum etcd_error check_delete_body(const struct decision *decision, struct bytes body)
{
    struct delete_request request;
    return delete_request_decode(body, &request) != 0 ? ETCD_INVALID_REQUEST
                                                      : check_delete(decision, &request);
}

static enum etcd_error check_txn_body(const struct decision *decision, struct bytes body)
{
    struct txn_request txn;
    arena_reset(decision->arena);
    int code = txn_request_decode(body, decision->arena, &txn);
    enum etcd_error error = code != 0
                                ? (code == ERR_TOO_LARGE ? ETCD_TXN_TOO_DEEP : ETCD_INVALID_REQUEST)
                                : check_txn(decision, &txn);
    arena_reset(decision->arena);
    return error;
}

static enum etcd_error decide(const struct decision *decision, enum auth_rule rule,
                              struct bytes body)
{
    struct plain_fields fields;
    switch (rule) {
    case RULE_USER:
        return ETCD_OK;
    case RULE_RANGE:
        return check_range_body(decision, body);
    case RULE_PUT:
        return check_put_body(decision, body);
    case RULE_DELETE:
        return check_delete_body(decision, body);
    case RULE_TXN:
        return check_txn_body(decision, body);
    case RULE_WATCH:
        return check_watch(decision, body);
    case RULE_LEASES_READ:
        return check_leases(decision);
    default:
        break;
    }
    if (!decode_plain(body, &fields)) {
        return ETCD_INVALID_REQUEST;
    }
    switch (rule) {
    case RULE_ALARM:
        return allow_if(fields.number == 0); /* AlarmRequest.GET */
    case RULE_USER_SELF:
        return allow_if(bytes_equal(fields.first, decision->user->name));
    case RULE_ROLE_OWN:
        return allow_if(auth_user_has_role(decision->user, fields.first));
    case RULE_LEASE_WRITE:
        return check_lease(decision, (int64_t)fields.number, /* is_write= */ true);
    case RULE_LEASE_READ:
        /* Without its keys a lease shows nothing but time, as in etcd. */
        return fields.second_number == 0
                   ? ETCD_OK
                   : check_lease(decision, (int64_t)fields.number, /* is_write= */ false);
    default:
        return ETCD_PERMISSION_DENIED;
    }
}

/* What depends on keys must have been established against the present permissions. */
static bool needs_fresh_revision(enum auth_rule rule)
{
    return rule >= RULE_RANGE;
}

enum etcd_error auth_authorize(struct auth *auth, const struct lessor *lessor, struct arena *arena,
                               const struct auth_caller *caller, enum auth_rpc rpc,
                               struct bytes body)
{
    if (!auth->enabled) {
        return ETCD_OK;
    }
    enum auth_rule rule = rpc < AUTH_RPC_END ? rpcs[rpc].rule : RULE_NONE;
    if (rule == RULE_PUBLIC) {
        return ETCD_OK;
    }
    if (caller->username.size == 0) {
        return ETCD_USER_EMPTY;
    }
    if (needs_fresh_revision(rule) && caller->auth_revision < auth->revision) {
        return ETCD_AUTH_OLD_REVISION;
    }
    struct auth_user *user = auth_find_user(auth, caller->username);
    if (user == NULL || rule == RULE_NONE) {
        return ETCD_PERMISSION_DENIED;
    }
    if (auth_user_has_role(user, BYTES_LITERAL("root"))) {
        return ETCD_OK;
    }
    auth_merge_permissions(auth, user);
    const struct decision decision = {.auth = auth, .lessor = lessor, .arena = arena, .user = user};
    return decide(&decision, rule, body);
}
