#include "tests/unit/kvstore/kv_model.h"

#include "base/mem.h"
#include "base/prng.h"
#include "tests/unit/kvstore/kv_world.h"

enum { KEYS = 10, REVISIONS_MAX = 4096, OPS_MAX = 6 };

static const char *const NAMES[KEYS + 1] = {"a", "aa", "ab", "b", "ba", "c",
                                            "d", "da", "db", "e", "f"};

struct pair {
    int64_t create; /* 0: no such key */
    int64_t mod;
    int64_t version;
    int64_t lease;
    uint32_t value;
};

struct state {
    struct pair pair[KEYS];
};

struct model {
    struct kv_world *world;
    struct prng prng;
    struct state *at; /* by revision */
    int64_t revision;
    int64_t compacted;
    uint32_t next_value;
    bool lease[3]; /* ids 1 to 3 */
    const char *violation;
};

static void expect(struct model *model, bool holds, const char *violation)
{
    if (!holds && model->violation == NULL) {
        model->violation = violation;
    }
}

static uint64_t below(struct model *model, uint64_t bound)
{
    return prng_below(&model->prng, bound);
}

static bool is_pair(const Mvccpb__KeyValue *found, unsigned key, const struct pair *pair,
                    bool keys_only)
{
    char value[16];
    (void)snprintf(value, sizeof value, "%u", pair->value);
    return bytes_equal(binary_bytes(found->key), bytes_from_text(NAMES[key])) &&
           found->create_revision == pair->create && found->mod_revision == pair->mod &&
           found->version == pair->version &&
           (keys_only ? found->value.len == 0
                      : found->lease == pair->lease &&
                            bytes_equal(binary_bytes(found->value), bytes_from_text(value)));
}

/* --- ranges ---------------------------------------------------------------------------------- */

struct range_case {
    unsigned first;
    unsigned end; /* exclusive */
    int64_t revision;
    int64_t limit;
    unsigned order;
    unsigned target;
    int64_t min_mod;
    int64_t max_create;
    bool keys_only;
    bool count_only;
};

static void build_range(struct buf *out, const struct range_case *range)
{
    pb_put_text(out, 1, NAMES[range->first]);
    pb_put_text(out, 2, range->end == range->first + 1 ? "" : NAMES[range->end]);
    pb_put_i64(out, 3, range->limit);
    pb_put_i64(out, 4, range->revision);
    pb_put_u64(out, 5, range->order);
    pb_put_u64(out, 6, range->target);
    pb_put_u64(out, 8, range->keys_only);
    pb_put_u64(out, 9, range->count_only);
    pb_put_i64(out, 10, range->min_mod);
    pb_put_i64(out, 13, range->max_create);
}

static int compare_pairs(const struct pair *a, const struct pair *b, unsigned target)
{
    char left[16];
    char right[16];
    switch (target) {
    case 1:
        return (a->version > b->version) - (a->version < b->version);
    case 2:
        return (a->create > b->create) - (a->create < b->create);
    case 3:
        return (a->mod > b->mod) - (a->mod < b->mod);
    case 4:
        (void)snprintf(left, sizeof left, "%u", a->value);
        (void)snprintf(right, sizeof right, "%u", b->value);
        return strcmp(left, right);
    default:
        return 0;
    }
}

/* What the answer has to be: keys in order, and the total. */
static unsigned expected_range(const struct range_case *range, const struct state *state,
                               unsigned *keys, bool *ret_more, int64_t *ret_count)
{
    unsigned count = 0;
    *ret_count = 0;
    *ret_more = false;
    for (unsigned key = range->first; key < range->end; key++) {
        const struct pair *pair = &state->pair[key];
        *ret_count += pair->create != 0 ? 1 : 0;
        if (pair->create == 0 || (range->min_mod != 0 && pair->mod < range->min_mod) ||
            (range->max_create != 0 && pair->create > range->max_create)) {
            continue;
        }
        unsigned at = count++;
        /* Insertion keeps ties in key order. */
        for (; at > 0; at--) {
            int order = range->target == 0
                            ? (range->order == 2 ? 1 : 0)
                            : compare_pairs(&state->pair[keys[at - 1]], pair, range->target) *
                                  (range->order == 2 ? -1 : 1);
            if (order <= 0) {
                break;
            }
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
    if (range->count_only) {
        return 0;
    }
    if (range->limit > 0 && count > (uint64_t)range->limit) {
        count = (unsigned)range->limit;
        *ret_more = true;
    }
    return count;
}

static void check_range(struct model *model, const struct range_case *range,
                        const struct state *state, const Etcdserverpb__RangeResponse *response)
{
    unsigned keys[KEYS];
    bool more;
    int64_t count;
    unsigned expected = expected_range(range, state, keys, &more, &count);
    expect(model, response->count == count, "range: another count");
    expect(model, response->more == more, "range: another more");
    expect(model, response->n_kvs == expected, "range: another number of pairs");
    for (unsigned i = 0; model->violation == NULL && i < expected; i++) {
        expect(model, is_pair(response->kvs[i], keys[i], &state->pair[keys[i]], range->keys_only),
               "range: another pair");
    }
}

static struct range_case random_range(struct model *model)
{
    struct range_case range = {0};
    range.first = (unsigned)below(model, KEYS);
    range.end = range.first + 1 + (unsigned)below(model, KEYS - range.first);
    range.limit = prng_chance(&model->prng, 1, 2) ? (int64_t)below(model, 5) : 0;
    range.keys_only = prng_chance(&model->prng, 1, 5);
    range.count_only = prng_chance(&model->prng, 1, 6);
    if (prng_chance(&model->prng, 1, 3)) {
        range.order = (unsigned)below(model, 3);
        range.target = (unsigned)below(model, 5);
    }
    if (prng_chance(&model->prng, 1, 5)) {
        range.min_mod = (int64_t)below(model, (uint64_t)model->revision + 2);
        range.max_create = (int64_t)below(model, (uint64_t)model->revision + 2);
    }
    return range;
}

static void read_range(struct model *model)
{
    struct range_case range = random_range(model);
    if (prng_chance(&model->prng, 2, 3)) {
        range.revision = (int64_t)below(model, (uint64_t)model->revision + 3);
    }
    buf_clear(&model->world->request);
    build_range(&model->world->request, &range);
    enum etcd_error error = world_read(model->world, KV_OP_RANGE, (uint32_t)below(model, 4));
    int64_t at = range.revision == 0 ? model->revision : range.revision;
    if (at > model->revision || at < model->compacted) {
        expect(model, error == (at > model->revision ? ETCD_FUTURE_REVISION : ETCD_COMPACTED),
               "range: another error");
        return;
    }
    expect(model, error == ETCD_OK, "range: an error");
    if (model->violation != NULL) {
        return;
    }
    Etcdserverpb__RangeResponse *response = world_range_response(model->world);
    expect(model, response->header->revision == model->revision, "range: another revision");
    check_range(model, &range, &model->at[at], response);
    world_free_message(response);
}

/* --- transactions ---------------------------------------------------------------------------- */

/* A transaction being made: requests, and what they do to a copy of the state. */
struct txn {
    struct buf request;
    struct state before;
    struct state state;
    bool touched[KEYS];
    bool changed;
    bool refused; /* an unknown lease or a missing key: nothing may happen */
    enum etcd_error error;
    struct range_case range[OPS_MAX];
    struct state range_state[OPS_MAX];
    bool is_range[OPS_MAX];
    unsigned ops;
    bool succeeded;
};

static void refuse(struct txn *txn, enum etcd_error error)
{
    if (!txn->refused) {
        txn->refused = true;
        txn->error = error;
    }
}

static void put_pair(struct model *model, struct txn *txn, unsigned key, struct buf *out)
{
    struct pair *pair = &txn->state.pair[key];
    int64_t lease = prng_chance(&model->prng, 1, 3) ? 1 + (int64_t)below(model, 3) : 0;
    bool ignore_value = prng_chance(&model->prng, 1, 10);
    bool ignore_lease = prng_chance(&model->prng, 1, 10);
    bool prev_kv = prng_chance(&model->prng, 1, 4);
    char value[16];
    uint32_t number = ++model->next_value;
    (void)snprintf(value, sizeof value, "%u", number);
    lease = ignore_lease ? 0 : lease;
    pb_put_text(out, 1, NAMES[key]);
    pb_put_text(out, 2, ignore_value ? "" : value);
    pb_put_i64(out, 3, lease);
    pb_put_u64(out, 4, prev_kv);
    pb_put_u64(out, 5, ignore_value);
    pb_put_u64(out, 6, ignore_lease);
    if (lease != 0 && !model->lease[lease - 1]) {
        refuse(txn, ETCD_LEASE_NOT_FOUND);
    } else if ((ignore_value || ignore_lease) && txn->before.pair[key].create == 0) {
        refuse(txn, ETCD_KEY_NOT_FOUND);
    }
    bool is_new = pair->create == 0;
    *pair = (struct pair){
        .create = is_new ? model->revision + 1 : pair->create,
        .mod = model->revision + 1,
        .version = is_new ? 1 : pair->version + 1,
        .lease = ignore_lease ? pair->lease : lease,
        .value = ignore_value ? pair->value : number,
    };
    txn->touched[key] = true;
    txn->changed = true;
}

static void delete_pairs(struct model *model, struct txn *txn, struct buf *out)
{
    unsigned first = (unsigned)below(model, KEYS);
    unsigned end = first + 1 + (unsigned)below(model, 3);
    end = end > KEYS ? KEYS : end;
    for (unsigned key = first; key < end; key++) {
        if (txn->touched[key]) {
            end = key; /* a key may be changed once */
        }
    }
    if (end == first) { /* something that is not there */
        pb_put_text(out, 1, "nothing");
        return;
    }
    pb_put_text(out, 1, NAMES[first]);
    pb_put_text(out, 2, end == first + 1 ? "" : NAMES[end]);
    pb_put_u64(out, 3, prng_chance(&model->prng, 1, 2));
    for (unsigned key = first; key < end; key++) {
        txn->changed = txn->changed || txn->state.pair[key].create != 0;
        txn->state.pair[key] = (struct pair){0};
        txn->touched[key] = true;
    }
}

static void add_compares(struct model *model, struct txn *txn)
{
    txn->succeeded = true;
    for (uint64_t i = below(model, 3); i > 0; i--) {
        unsigned key = (unsigned)below(model, KEYS);
        unsigned result = (unsigned)below(model, 4);
        const struct pair *pair = &txn->before.pair[key];
        int64_t number = (int64_t)below(model, 4);
        const int64_t fields[3] = {pair->version, pair->create, pair->lease};
        const unsigned targets[3] = {0, 1, 4};
        const uint32_t numbers[3] = {4, 5, 8};
        unsigned target = (unsigned)below(model, 3);
        size_t mark = pb_begin_message(&txn->request, 1);
        pb_put_u64(&txn->request, 1, result);
        pb_put_u64(&txn->request, 2, targets[target]);
        pb_put_text(&txn->request, 3, NAMES[key]);
        pb_put_i64(&txn->request, numbers[target], number);
        pb_end_message(&txn->request, mark);
        int order = (fields[target] > number) - (fields[target] < number);
        bool holds = result == 0   ? order == 0
                     : result == 1 ? order > 0
                     : result == 2 ? order < 0
                                   : order != 0;
        txn->succeeded = txn->succeeded && holds;
    }
}

/* An operation of the taken branch, and its effect on the copy. */
static void add_op(struct model *model, struct txn *txn)
{
    uint64_t kind = below(model, 4);
    unsigned key = (unsigned)below(model, KEYS);
    if (kind >= 2 && txn->touched[key]) {
        kind = 0;
    }
    size_t op = pb_begin_message(&txn->request, txn->succeeded ? 2 : 3);
    size_t body = pb_begin_message(&txn->request, kind == 0 ? 1 : kind == 1 ? 3 : 2);
    if (kind == 0) {
        txn->range[txn->ops] = random_range(model);
        txn->range_state[txn->ops] = txn->state;
        txn->is_range[txn->ops] = true;
        build_range(&txn->request, &txn->range[txn->ops]);
    } else if (kind == 1) {
        delete_pairs(model, txn, &txn->request);
    } else {
        put_pair(model, txn, key, &txn->request);
    }
    pb_end_message(&txn->request, body);
    pb_end_message(&txn->request, op);
    txn->ops += 1;
}

static void check_txn(struct model *model, const struct txn *txn)
{
    Etcdserverpb__TxnResponse *response = world_txn_response(model->world);
    expect(model, response->succeeded == txn->succeeded, "txn: the other branch");
    expect(model, response->header->revision == model->revision, "txn: another revision");
    expect(model, response->n_responses == txn->ops, "txn: another number of responses");
    for (unsigned i = 0; model->violation == NULL && i < txn->ops; i++) {
        const Etcdserverpb__RangeResponse *range = response->responses[i]->response_range;
        if (!txn->is_range[i]) {
            continue;
        }
        expect(model, range != NULL, "txn: another kind of response");
        if (range != NULL) {
            check_range(model, &txn->range[i], &txn->range_state[i], range);
        }
    }
    world_free_message(response);
}

static void run_txn(struct model *model)
{
    struct txn *txn = mem_zalloc(sizeof *txn);
    txn->before = model->at[model->revision];
    txn->state = txn->before;
    add_compares(model, txn);
    for (uint64_t i = below(model, OPS_MAX); i > 0; i--) {
        add_op(model, txn);
    }
    /* The other branch must not matter. */
    size_t op = pb_begin_message(&txn->request, txn->succeeded ? 3 : 2);
    size_t body = pb_begin_message(&txn->request, 3);
    pb_put_text(&txn->request, 1, "a");
    pb_put_text(&txn->request, 2, "zz");
    pb_end_message(&txn->request, body);
    pb_end_message(&txn->request, op);
    buf_clear(&model->world->request);
    buf_append_bytes(&model->world->request, buf_bytes(&txn->request));
    expect(model,
           kv_check_request(model->world->kv, KV_OP_TXN, buf_bytes(&txn->request), NULL) == ETCD_OK,
           "txn: refused before it is proposed");
    enum etcd_error error = world_apply(model->world, KV_OP_TXN);
    if (txn->refused) {
        expect(model, error == txn->error, "txn: another error");
    } else {
        expect(model, error == ETCD_OK, "txn: an error");
        if (txn->changed) {
            model->revision += 1;
            model->at[model->revision] = txn->state;
        }
        if (model->violation == NULL) {
            check_txn(model, txn);
        }
    }
    buf_deinit(&txn->request);
    mem_free(txn);
}

/* --- the rest -------------------------------------------------------------------------------- */

static void change_lease(struct model *model)
{
    unsigned lease = (unsigned)below(model, 3);
    if (!model->lease[lease]) {
        expect(model, world_grant(model->world, lease + 1, 100) == ETCD_OK, "lease: not granted");
        model->lease[lease] = true;
        return;
    }
    expect(model, world_grant(model->world, lease + 1, 100) == ETCD_LEASE_EXISTS,
           "lease: granted twice");
    world_number_request(model->world, 1, (int64_t)lease + 1);
    expect(model, world_apply(model->world, KV_OP_LEASE_REVOKE) == ETCD_OK, "lease: not revoked");
    model->lease[lease] = false;
    struct state state = model->at[model->revision];
    bool changed = false;
    for (unsigned key = 0; key < KEYS; key++) {
        if (state.pair[key].lease == (int64_t)lease + 1) {
            state.pair[key] = (struct pair){0};
            changed = true;
        }
    }
    if (changed) {
        model->revision += 1;
        model->at[model->revision] = state;
    }
}

static void compact(struct model *model)
{
    int64_t at = (int64_t)below(model, (uint64_t)model->revision + 2);
    enum etcd_error error = world_compact(model->world, at);
    if (at <= model->compacted) {
        expect(model, error == ETCD_COMPACTED, "compact: below the last one");
    } else if (at > model->revision) {
        expect(model, error == ETCD_FUTURE_REVISION, "compact: the future");
    } else {
        expect(model, error == ETCD_OK, "compact: refused");
        model->compacted = at;
    }
}

static void step(struct model *model)
{
    uint64_t choice = below(model, 100);
    if (choice < 40) {
        run_txn(model);
    } else if (choice < 80) {
        read_range(model);
    } else if (choice < 84) {
        change_lease(model);
    } else if (choice < 86) {
        compact(model);
    } else if (choice < 93) {
        (void)kv_step(model->world->kv, (struct kv_budget){.items = 1 + (uint32_t)below(model, 9)});
    } else if (choice < 99) {
        world_store(model->world);
    } else {
        uint32_t hash = world_hash(model->world, 0);
        world_restart(model->world);
        expect(model, world_hash(model->world, 0) == hash, "restart: another hash");
    }
    expect(model, kv_revision(model->world->kv) == model->revision, "another revision");
    expect(model, kv_compact_revision(model->world->kv) == model->compacted,
           "another compact revision");
}

const char *kv_model_run(uint64_t seed, uint32_t steps)
{
    struct model *model = mem_zalloc(sizeof *model);
    model->world = world_new();
    model->at = mem_calloc(REVISIONS_MAX, sizeof *model->at);
    model->revision = 1;
    prng_init(&model->prng, seed);
    for (uint32_t i = 0; i < steps && model->violation == NULL; i++) {
        step(model);
        if (model->revision + 2 >= REVISIONS_MAX) {
            break;
        }
        if (i % 32 == 0) {
            kv_check(model->world->kv);
        }
    }
    const char *violation = model->violation;
    world_free(model->world);
    mem_free(model->at);
    mem_free(model);
    return violation;
}
