/* What is refused before it is proposed. The same requests on any member give the same answer; only
 * size, quota and the number of operations depend on configuration, so they are not looked at when
 * an entry is applied. */
#include "base/check.h"
#include "base/pb.h"
#include "kvstore/state/kv_internal.h"

enum {
    COST_PUT = 256, /* what etcd's quota adds for one key */
    COST_LEASE = 64,
    ENTRY_OVERHEAD = 64, /* header of an entry, about */
};

enum etcd_error check_range_request(const struct range_request *request)
{
    if (request->key.size == 0) {
        return ETCD_EMPTY_KEY;
    }
    bool valid = request->sort_order >= SORT_NONE && request->sort_order <= SORT_DESCEND &&
                 request->sort_target >= SORT_KEY && request->sort_target <= SORT_VALUE;
    return valid ? ETCD_OK : ETCD_INVALID_SORT_OPTION;
}

enum etcd_error check_put_request(const struct put_request *request)
{
    if (request->key.size == 0) {
        return ETCD_EMPTY_KEY;
    }
    if (request->ignore_value && request->value.size > 0) {
        return ETCD_VALUE_PROVIDED;
    }
    if (request->ignore_lease && request->lease != 0) {
        return ETCD_LEASE_PROVIDED;
    }
    return ETCD_OK;
}

enum etcd_error check_delete_request(const struct delete_request *request)
{
    return request->key.size == 0 ? ETCD_EMPTY_KEY : ETCD_OK;
}

static enum etcd_error check_ops(const struct txn_ops *ops, uint32_t ops_max, struct arena *arena);

static enum etcd_error check_op(const struct txn_op *op, uint32_t ops_max, struct arena *arena)
{
    switch (op->kind) {
    case TXN_OP_RANGE:
        return check_range_request(&op->range);
    case TXN_OP_PUT:
        return check_put_request(&op->put);
    case TXN_OP_DELETE:
        return check_delete_request(&op->delete_range);
    case TXN_OP_TXN:
        return check_txn_request(op->txn, ops_max, arena);
    case TXN_OP_NONE:
        break;
    }
    return ETCD_KEY_NOT_FOUND; /* etcd's answer to an operation that is not set */
}

static enum etcd_error check_ops(const struct txn_ops *ops, uint32_t ops_max, struct arena *arena)
{
    for (uint32_t i = 0; i < ops->count; i++) {
        enum etcd_error error = check_op(&ops->ops[i], ops_max, arena);
        if (error != ETCD_OK) {
            return error;
        }
    }
    return ETCD_OK;
}

enum etcd_error check_txn_request(const struct txn_request *request, uint32_t ops_max,
                                  struct arena *arena)
{
    uint32_t most = request->compare_count;
    most = request->success.count > most ? request->success.count : most;
    most = request->failure.count > most ? request->failure.count : most;
    if (most > ops_max) {
        return ETCD_TOO_MANY_OPS;
    }
    for (uint32_t i = 0; i < request->compare_count; i++) {
        if (request->compares[i].key.size == 0) {
            return ETCD_EMPTY_KEY;
        }
    }
    enum etcd_error error = check_ops(&request->success, ops_max - most, arena);
    return error != ETCD_OK ? error : check_ops(&request->failure, ops_max - most, arena);
}

uint64_t put_cost(const struct put_request *request)
{
    return COST_PUT + request->key.size + request->value.size;
}

static uint64_t ops_cost(const struct txn_ops *ops)
{
    uint64_t cost = 0;
    for (uint32_t i = 0; i < ops->count; i++) {
        if (ops->ops[i].kind == TXN_OP_PUT) {
            cost += put_cost(&ops->ops[i].put);
        } else if (ops->ops[i].kind == TXN_OP_TXN) {
            cost += txn_cost(ops->ops[i].txn);
        }
    }
    return cost;
}

uint64_t txn_cost(const struct txn_request *request)
{
    uint64_t success = ops_cost(&request->success);
    uint64_t failure = ops_cost(&request->failure);
    return success > failure ? success : failure;
}

static enum etcd_error check_quota(const struct kv *kv, uint64_t cost, struct kv_result *result)
{
    if (cost == 0) {
        return ETCD_OK;
    }
    if (alarms_any(&kv->alarms, KV_ALARM_NO_SPACE)) {
        return ETCD_NO_SPACE;
    }
    uint64_t size = kv->db_size_bytes + mvcc_pending_bytes(kv->mvcc) + cost;
    if (kv->options.quota_bytes < 0 || size < (uint64_t)kv->options.quota_bytes) {
        return ETCD_OK;
    }
    if (result != NULL) {
        result->raise_no_space = true;
    }
    return ETCD_NO_SPACE;
}

static enum etcd_error check_put(struct kv *kv, struct bytes message, uint64_t *ret_cost)
{
    (void)kv;
    struct put_request put;
    if (put_request_decode(message, &put) != 0) {
        return ETCD_INVALID_REQUEST;
    }
    *ret_cost = put_cost(&put);
    return check_put_request(&put);
}

static enum etcd_error check_txn(struct kv *kv, struct bytes message, uint64_t *ret_cost)
{
    struct txn_request txn;
    arena_reset(&kv->check_arena);
    int code = txn_request_decode(message, &kv->check_arena, &txn);
    if (code != 0) {
        return code == ERR_TOO_LARGE ? ETCD_TXN_TOO_DEEP : ETCD_INVALID_REQUEST;
    }
    *ret_cost = txn_cost(&txn);
    enum etcd_error error = check_txn_request(&txn, kv->options.txn_ops_max, &kv->check_arena);
    return error != ETCD_OK ? error : check_duplicate_keys(&txn, &kv->check_arena);
}

static enum etcd_error check_small(enum kv_op op, struct bytes message, uint64_t *ret_cost)
{
    struct range_request range;
    struct delete_request delete_range;
    switch (op) {
    case KV_OP_RANGE:
    case KV_OP_RANGE_STREAM:
        return range_request_decode(message, &range) != 0 ? ETCD_INVALID_REQUEST
                                                          : check_range_request(&range);
    case KV_OP_DELETE_RANGE:
        return delete_request_decode(message, &delete_range) != 0
                   ? ETCD_INVALID_REQUEST
                   : check_delete_request(&delete_range);
    case KV_OP_LEASE_GRANT:
        *ret_cost = COST_LEASE;
        return ETCD_OK;
    default:
        return ETCD_OK;
    }
}

static bool is_key_value_op(enum kv_op op)
{
    return op == KV_OP_RANGE || op == KV_OP_RANGE_STREAM || op == KV_OP_PUT ||
           op == KV_OP_DELETE_RANGE || op == KV_OP_TXN || op == KV_OP_COMPACTION ||
           op == KV_OP_LEASE_GRANT || op == KV_OP_LEASE_REVOKE;
}

enum etcd_error kv_check_request(struct kv *kv, enum kv_op op, struct bytes request,
                                 struct kv_result *result)
{
    uint64_t cost = 0;
    enum etcd_error error = op == KV_OP_PUT   ? check_put(kv, request, &cost)
                            : op == KV_OP_TXN ? check_txn(kv, request, &cost)
                                              : check_small(op, request, &cost);
    if (error != ETCD_OK) {
        return error;
    }
    if (request.size + ENTRY_OVERHEAD > kv->options.request_bytes_max) {
        return ETCD_REQUEST_TOO_LARGE;
    }
    if (is_key_value_op(op) && kv_is_fenced(kv)) {
        return ETCD_CORRUPT;
    }
    return check_quota(kv, cost, result);
}
