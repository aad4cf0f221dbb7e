/* The compares of a transaction, against the state before it. */
#include "kvstore/state/kv_internal.h"

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static bool is_result(int64_t wanted, int order)
{
    switch (wanted) {
    case COMPARE_EQUAL:
        return order == 0;
    case COMPARE_GREATER:
        return order > 0;
    case COMPARE_LESS:
        return order < 0;
    case COMPARE_NOT_EQUAL:
        return order != 0;
    default:
        return true; /* as etcd does with a number it does not know */
    }
}

/* A key that does not exist is compared as zeros; its value never compares well. */
static bool compare_missing(const struct compare_request *compare)
{
    if (compare->target == COMPARE_VALUE) {
        return false;
    }
    bool is_known = compare->target >= COMPARE_VERSION && compare->target <= COMPARE_LEASE;
    return is_result(compare->result, is_known ? compare_i64(0, compare->number) : 0);
}

static enum etcd_error compare_entry(struct kv *kv, const struct compare_request *compare,
                                     const struct key_entry *entry, bool *ret_holds)
{
    int order = 0;
    struct bytes encoded;
    struct key_value record;
    switch (compare->target) {
    case COMPARE_VERSION:
        order = compare_i64(entry->version, compare->number);
        break;
    case COMPARE_CREATE:
        order = compare_i64(entry->create, compare->number);
        break;
    case COMPARE_MOD:
        order = compare_i64(entry->mod, compare->number);
        break;
    case COMPARE_VALUE:
        if (mvcc_get(kv->mvcc, (struct revision){entry->mod, entry->sub}, &encoded) != 0 ||
            key_value_decode(encoded, &record) != 0) {
            return ETCD_CORRUPT;
        }
        order = bytes_compare(record.value, compare->value);
        break;
    case COMPARE_LEASE:
        order =
            compare_i64(entry->has_lease ? lessor_lease_of(kv->lessor, key_entry_key(entry)) : 0,
                        compare->number);
        break;
    default:
        break;
    }
    *ret_holds = is_result(compare->result, order);
    return ETCD_OK;
}

/* All keys of the range must hold; an empty range counts as one missing key. */
static enum etcd_error compare_range(struct kv *kv, const struct compare_request *compare,
                                     const struct key_range *range, bool *ret_holds)
{
    bool found = false;
    bool holds = true;
    struct key_cursor cursor = key_index_seek(mvcc_index(kv->mvcc), range->start);
    for (const struct key_entry *entry = key_cursor_next_live(&cursor); entry != NULL && holds;
         entry = key_cursor_next_live(&cursor)) {
        if (!key_range_contains(range, key_entry_key(entry))) {
            break;
        }
        found = true;
        enum etcd_error error = compare_entry(kv, compare, entry, &holds);
        if (error != ETCD_OK) {
            return error;
        }
    }
    *ret_holds = found ? holds : compare_missing(compare);
    return ETCD_OK;
}

static enum etcd_error evaluate_one(struct kv *kv, const struct compare_request *compare,
                                    bool *ret_holds)
{
    struct key_range range;
    if (request_range(compare->key, compare->range_end, &range)) {
        return compare_range(kv, compare, &range, ret_holds);
    }
    const struct key_entry *entry = key_index_find(mvcc_index(kv->mvcc), compare->key);
    if (entry == NULL || entry->is_tombstone) {
        *ret_holds = compare_missing(compare);
        return ETCD_OK;
    }
    return compare_entry(kv, compare, entry, ret_holds);
}

enum etcd_error evaluate_compares(struct kv *kv, struct txn_request *txn)
{
    txn->succeeded = true;
    for (uint32_t i = 0; i < txn->compare_count && txn->succeeded; i++) {
        enum etcd_error error = evaluate_one(kv, &txn->compares[i], &txn->succeeded);
        if (error != ETCD_OK) {
            return error;
        }
    }
    const struct txn_ops *ops = txn->succeeded ? &txn->success : &txn->failure;
    for (uint32_t i = 0; i < ops->count; i++) {
        if (ops->ops[i].kind == TXN_OP_TXN) {
            enum etcd_error error = evaluate_compares(kv, ops->ops[i].txn);
            if (error != ETCD_OK) {
                return error;
            }
        }
    }
    return ETCD_OK;
}
