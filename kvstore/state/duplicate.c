/* A transaction changes a key once: no key is put twice in one branch, and no put lies in a deleted
 * range of the same branch. The two branches of one nested transaction exclude each other, so they
 * may touch the same keys. */
#include "kvstore/state/kv_internal.h"

struct touched {
    struct key_range range; /* of a put: only the start */
    uint32_t op;            /* which operation of the branch */
    uint32_t next_other;    /* of puts in order: the next one of another operation */
    bool is_delete;
};

struct touched_list {
    struct touched *items;
    uint32_t count;
};

static uint32_t count_touched(const struct txn_ops *ops)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ops->count; i++) {
        const struct txn_op *op = &ops->ops[i];
        if (op->kind == TXN_OP_PUT || op->kind == TXN_OP_DELETE) {
            count += 1;
        } else if (op->kind == TXN_OP_TXN) {
            count += count_touched(&op->txn->success) + count_touched(&op->txn->failure);
        }
    }
    return count;
}

static int compare_touched(const struct touched *a, const struct touched *b)
{
    if (a->is_delete != b->is_delete) {
        return a->is_delete ? 1 : -1; /* puts first */
    }
    return bytes_compare(a->range.start, b->range.start);
}

/* Stable merge sort; sorted input, the usual case, costs one pass. */
static void sort_touched(struct touched *items, uint32_t count, struct arena *arena)
{
    bool is_sorted = true;
    for (uint32_t i = 1; i < count; i++) {
        is_sorted = is_sorted && compare_touched(&items[i - 1], &items[i]) <= 0;
    }
    if (is_sorted) {
        return;
    }
    uint32_t half = count / 2;
    sort_touched(items, half, arena);
    sort_touched(items + half, count - half, arena);
    struct touched *left = arena_dup(arena, items, half * sizeof *items);
    uint32_t a = 0;
    uint32_t b = half;
    for (uint32_t to = 0; a < half; to++) {
        bool take_left = b == count || compare_touched(&left[a], &items[b]) <= 0;
        items[to] = take_left ? left[a] : items[b];
        a += take_left ? 1 : 0;
        b += take_left ? 0 : 1;
    }
}

static bool is_deleted(const struct touched *deleted, struct bytes key)
{
    if (deleted->range.end.size == 0 && !deleted->range.is_unbounded) {
        return bytes_equal(deleted->range.start, key);
    }
    return key_range_contains(&deleted->range, key);
}

/* The first put at or behind key. */
static uint32_t first_put(const struct touched *items, uint32_t puts, struct bytes key)
{
    uint32_t low = 0;
    uint32_t high = puts;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(items[middle].range.start, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Does a put of another operation lie in the deleted range? */
static bool deletes_other_put(const struct touched *items, uint32_t puts,
                              const struct touched *deleted)
{
    uint32_t at = first_put(items, puts, deleted->range.start);
    if (at < puts && items[at].op == deleted->op) {
        at = items[at].next_other;
    }
    return at < puts && is_deleted(deleted, items[at].range.start);
}

/* items is sorted: puts by key, then deletes. O(n log n), whatever a client sends. */
static bool has_conflict(struct touched *items, uint32_t count)
{
    uint32_t puts = 0;
    while (puts < count && !items[puts].is_delete) {
        puts += 1;
    }
    for (uint32_t i = puts; i > 0; i--) {
        struct touched *item = &items[i - 1];
        bool same = i < puts && items[i].op == item->op;
        item->next_other = same ? items[i].next_other : i;
        if (i < puts && !same && bytes_equal(item->range.start, items[i].range.start)) {
            return true;
        }
    }
    for (uint32_t i = puts; i < count; i++) {
        if (deletes_other_put(items, puts, &items[i])) {
            return true;
        }
    }
    return false;
}

static bool collect(const struct txn_ops *ops, struct arena *arena, struct touched_list *list);

static bool collect_op(const struct txn_op *op, uint32_t number, struct arena *arena,
                       struct touched_list *list)
{
    if (op->kind == TXN_OP_PUT) {
        list->items[list->count++] =
            (struct touched){.range = {.start = op->put.key}, .op = number};
        return true;
    }
    if (op->kind == TXN_OP_DELETE) {
        struct touched touched = {.op = number, .is_delete = true};
        if (!request_range(op->delete_range.key, op->delete_range.range_end, &touched.range)) {
            touched.range = (struct key_range){.start = op->delete_range.key};
        }
        list->items[list->count++] = touched;
        return true;
    }
    if (op->kind != TXN_OP_TXN) {
        return true;
    }
    uint32_t first = list->count;
    if (!collect(&op->txn->success, arena, list) || !collect(&op->txn->failure, arena, list)) {
        return false;
    }
    for (uint32_t i = first; i < list->count; i++) {
        list->items[i].op = number;
    }
    return true;
}

/* Append what the branch touches; false: it conflicts with itself. */
static bool collect(const struct txn_ops *ops, struct arena *arena, struct touched_list *list)
{
    uint32_t first = list->count;
    for (uint32_t i = 0; i < ops->count; i++) {
        if (!collect_op(&ops->ops[i], i, arena, list)) {
            return false;
        }
    }
    sort_touched(list->items + first, list->count - first, arena);
    return !has_conflict(list->items + first, list->count - first);
}

enum etcd_error check_duplicate_keys(const struct txn_request *request, struct arena *arena)
{
    uint32_t success = count_touched(&request->success);
    uint32_t failure = count_touched(&request->failure);
    uint32_t most = success > failure ? success : failure;
    struct touched_list list = {.items = arena_alloc(arena, most * sizeof *list.items)};
    if (!collect(&request->success, arena, &list)) {
        return ETCD_DUPLICATE_KEY;
    }
    list.count = 0;
    return collect(&request->failure, arena, &list) ? ETCD_OK : ETCD_DUPLICATE_KEY;
}
