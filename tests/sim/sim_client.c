#include <stdio.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "proto/arena_allocator.h"
#include "proto/rpc.pb-c.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_history.h"

enum { CALM_OPERATIONS = 30, CLIENT_TIMEOUT_MS = 9000, STEP_MAX_MS = 60, KEYS = 6 };

struct sim_client {
    struct sim_operation *open; /* NULL: idle */
    uint32_t member;
    int64_t seen_mod[KEYS]; /* mod revisions that it read, for compare-and-set */
};

struct sim_clients {
    struct sim *sim;
    struct sim_history *history;
    struct sim_client client[SIM_CLIENTS_MAX];
    struct sim_watches *watches;
    uint64_t next_value;
    uint64_t acknowledged;
    uint64_t calm_acknowledged;
};

struct sim_clients *sim_clients_new(struct sim *sim)
{
    struct sim_clients *clients = mem_zalloc(sizeof *clients);
    clients->sim = sim;
    clients->history = sim_history_new(sim);
    clients->watches = sim_watches_new(sim);
    for (uint32_t i = 0; i < SIM_CLIENTS_MAX; i++) {
        (void)sim_schedule(sim, 1000 + i, SIM_CLIENT, i);
    }
    for (uint32_t i = 0; i < SIM_WATCHES; i++) {
        (void)sim_schedule(sim, 2000 + i, SIM_WATCH, i);
    }
    return clients;
}

void sim_clients_free(struct sim_clients *clients)
{
    sim_history_free(clients->history);
    sim_watches_free(clients->watches);
    mem_free(clients);
}

uint64_t sim_clients_acknowledged(const struct sim_clients *clients)
{
    return clients->acknowledged;
}

/* --- requests --------------------------------------------------------------------------------- */

static ProtobufCBinaryData binary(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}

static struct bytes encode_txn(const struct sim_operation *operation, struct arena *arena)
{
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__PutRequest other = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp second = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp third = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *ops[] = {&op, &second, &third};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare.key = binary(bytes_from_text(operation->key));
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare.mod_revision = operation->compared;
    put.key = compare.key;
    put.value = binary(bytes_from_text(operation->value));
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    /* A second key, and a read of what was just put. */
    other.key = binary(bytes_from_text(operation->key_index % 2 == 0 ? "key1" : "key0"));
    other.value = put.value;
    second.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    second.request_put = &other;
    range.key = put.key;
    third.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    third.request_range = &range;
    txn.compare = compares;
    txn.n_compare = 1;
    txn.success = ops;
    txn.n_success = 3;
    return proto_encode(&txn.base, arena);
}

static struct bytes encode(const struct sim_operation *operation, struct arena *arena)
{
    switch (operation->kind) {
    case SIM_OP_PUT: {
        Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
        put.key = binary(bytes_from_text(operation->key));
        put.value = binary(bytes_from_text(operation->value));
        put.lease = operation->lease;
        return proto_encode(&put.base, arena);
    }
    case SIM_OP_READ:
    case SIM_OP_STALE_READ: {
        Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
        range.key = binary(bytes_from_text(operation->key));
        range.serializable = operation->kind == SIM_OP_STALE_READ;
        return proto_encode(&range.base, arena);
    }
    case SIM_OP_DELETE: {
        Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
        del.key = binary(bytes_from_text(operation->key));
        return proto_encode(&del.base, arena);
    }
    case SIM_OP_COMPACT: {
        Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
        compact.revision = operation->compared;
        return proto_encode(&compact.base, arena);
    }
    case SIM_OP_GRANT: {
        Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
        grant.ttl = 2;
        grant.id = operation->lease;
        return proto_encode(&grant.base, arena);
    }
    case SIM_OP_KEEP_ALIVE: {
        Etcdserverpb__LeaseKeepAliveRequest keep = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
        keep.id = operation->lease;
        return proto_encode(&keep.base, arena);
    }
    case SIM_OP_DELETE_ALL: {
        Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
        del.key = binary(bytes_from_text("key0"));
        del.range_end = binary(bytes_from_text("key3"));
        return proto_encode(&del.base, arena);
    }
    case SIM_OP_CAS:
        return encode_txn(operation, arena);
    }
    CHECK_UNREACHABLE();
}

static enum node_method method_of(enum sim_operation_kind kind)
{
    static const enum node_method methods[] = {[SIM_OP_PUT] = NODE_PUT,
                                               [SIM_OP_READ] = NODE_RANGE,
                                               [SIM_OP_STALE_READ] = NODE_RANGE,
                                               [SIM_OP_CAS] = NODE_TXN,
                                               [SIM_OP_DELETE] = NODE_DELETE_RANGE,
                                               [SIM_OP_COMPACT] = NODE_COMPACT,
                                               [SIM_OP_GRANT] = NODE_LEASE_GRANT,
                                               [SIM_OP_KEEP_ALIVE] = NODE_LEASE_KEEP_ALIVE,
                                               [SIM_OP_DELETE_ALL] = NODE_DELETE_RANGE};
    return methods[kind];
}

static enum sim_operation_kind draw_kind(struct prng *prng)
{
    uint64_t dice = prng_below(prng, 100);
    return dice < 50   ? SIM_OP_PUT
           : dice < 70 ? SIM_OP_READ
           : dice < 76 ? SIM_OP_STALE_READ
           : dice < 88 ? SIM_OP_CAS
           : dice < 92 ? SIM_OP_DELETE
           : dice < 94 ? SIM_OP_DELETE_ALL
           : dice < 96 ? SIM_OP_GRANT
           : dice < 98 ? SIM_OP_KEEP_ALIVE
                       : SIM_OP_COMPACT;
}

static void start_operation(struct sim_clients *clients, struct sim_client *client)
{
    struct sim *sim = clients->sim;
    struct prng *prng = &sim->prng_client;
    uint32_t index = (uint32_t)prng_below(prng, sim->member_count);
    struct sim_member *member = &sim->members[index];
    enum sim_operation_kind kind = draw_kind(prng);
    uint32_t key = (uint32_t)prng_below(prng, KEYS);
    uint64_t lease = prng_chance(prng, 1, 20) ? prng_between(prng, 1, 5) : 0;
    if (member->epoch == 0 || member->is_paused) {
        return; /* nobody accepts the connection */
    }
    struct sim_operation *operation = sim_history_add(clients->history);
    operation->kind = kind;
    operation->key_index = key;
    (void)snprintf(operation->key, sizeof operation->key, "key%u", key);
    (void)snprintf(operation->value, sizeof operation->value, "value%llu",
                   (unsigned long long)clients->next_value++);
    operation->compared = client->seen_mod[key];
    bool is_of_lease = kind == SIM_OP_GRANT || kind == SIM_OP_KEEP_ALIVE;
    operation->lease = is_of_lease ? (int64_t)prng_between(prng, 1, 5) : (int64_t)lease;
    if (kind == SIM_OP_COMPACT) {
        operation->compared = sim_truth_revision(sim->truth) - (int64_t)prng_below(prng, 30);
        if (operation->compared < 1) {
            operation->compared = 1;
        }
    }
    operation->invoked_us = sim->now_us;
    operation->invoked_jumped_us = sim->jumped_us;
    client->open = operation;
    client->member = index;
    struct arena arena = ARENA_INIT;
    const struct node_request request = {.token = operation->token,
                                         .method = method_of(kind),
                                         .body = encode(operation, &arena),
                                         .fresh_id = prng_next(prng) >> 2 | 1};
    node_submit(member->node, sim_member_now(member), &request);
    arena_deinit(&arena);
    sim_member_run(member);
}

void sim_clients_step(struct sim_clients *clients, uint32_t index)
{
    struct sim *sim = clients->sim;
    struct sim_client *client = &clients->client[index];
    if (client->open != NULL &&
        sim->now_us > client->open->invoked_us + CLIENT_TIMEOUT_MS * 1000ULL) {
        client->open->outcome = SIM_UNKNOWN;
        client->open = NULL;
    }
    bool is_enough = sim->is_calm && clients->calm_acknowledged >= CALM_OPERATIONS;
    if (client->open == NULL && !is_enough) {
        start_operation(clients, client);
    }
    (void)sim_schedule(sim, prng_between(&sim->prng_client, 1, STEP_MAX_MS) * 1000, SIM_CLIENT,
                       index);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void read_answer(struct sim_operation *operation, struct bytes body, struct arena *arena)
{
    switch (operation->kind) {
    case SIM_OP_READ:
    case SIM_OP_STALE_READ: {
        const Etcdserverpb__RangeResponse *range =
            (const void *)proto_decode(&etcdserverpb__range_response__descriptor, body, arena);
        CHECK(range != NULL && range->n_kvs <= 1);
        operation->revision = range->header->revision;
        operation->has_value = range->n_kvs == 1;
        if (range->n_kvs == 1) {
            operation->mod = range->kvs[0]->mod_revision;
            (void)snprintf(operation->value, sizeof operation->value, "%.*s",
                           (int)range->kvs[0]->value.len, (const char *)range->kvs[0]->value.data);
        }
        break;
    }
    case SIM_OP_CAS: {
        const Etcdserverpb__TxnResponse *txn =
            (const void *)proto_decode(&etcdserverpb__txn_response__descriptor, body, arena);
        CHECK(txn != NULL);
        operation->revision = txn->header->revision;
        operation->succeeded = txn->succeeded != 0;
        if (operation->succeeded) {
            CHECK(txn->n_responses == 3 && txn->responses[2]->response_range != NULL);
            const Etcdserverpb__RangeResponse *range = txn->responses[2]->response_range;
            operation->is_torn =
                range->n_kvs != 1 || range->kvs[0]->mod_revision != operation->revision ||
                !bytes_equal(bytes_make(range->kvs[0]->value.data, range->kvs[0]->value.len),
                             bytes_from_text(operation->value));
        }
        break;
    }
    case SIM_OP_DELETE_ALL:
    case SIM_OP_DELETE: {
        const Etcdserverpb__DeleteRangeResponse *del = (const void *)proto_decode(
            &etcdserverpb__delete_range_response__descriptor, body, arena);
        CHECK(del != NULL);
        operation->revision = del->header->revision;
        operation->succeeded = del->deleted != 0;
        break;
    }
    case SIM_OP_KEEP_ALIVE: {
        const Etcdserverpb__LeaseKeepAliveResponse *keep = (const void *)proto_decode(
            &etcdserverpb__lease_keep_alive_response__descriptor, body, arena);
        CHECK(keep != NULL);
        operation->succeeded = keep->ttl > 0;
        break;
    }
    case SIM_OP_GRANT:
    case SIM_OP_COMPACT:
        break; /* no key, no place in the order that is checked */
    case SIM_OP_PUT: {
        const Etcdserverpb__PutResponse *put =
            (const void *)proto_decode(&etcdserverpb__put_response__descriptor, body, arena);
        CHECK(put != NULL && put->header != NULL);
        operation->revision = put->header->revision;
        break;
    }
    }
}

/* Only errors that prove that nothing was done are definite (reliability.md 4.2). */
static bool is_definite(enum etcd_error status)
{
    return status == ETCD_LEADER_CHANGED || status == ETCD_TOO_MANY_REQUESTS ||
           status == ETCD_LEASE_NOT_FOUND || status == ETCD_LEASE_EXISTS ||
           status == ETCD_COMPACTED || status == ETCD_NO_SPACE || status == ETCD_FUTURE_REVISION;
}

void sim_clients_reply(struct sim_clients *clients, uint64_t token, const struct node_reply *reply)
{
    struct sim *sim = clients->sim;
    struct sim_operation *operation = sim_history_find(clients->history, token);
    CHECK(operation != NULL);
    sim_trace(sim, token ^ (uint64_t)reply->status << 32);
    if (operation->outcome != SIM_OPEN) {
        return; /* the client has given up on it */
    }
    operation->returned_us = sim->now_us;
    if (reply->status == ETCD_OK) {
        struct arena arena = ARENA_INIT;
        read_answer(operation, reply->body, &arena);
        arena_deinit(&arena);
        operation->outcome = SIM_DONE;
        if (operation->kind == SIM_OP_KEEP_ALIVE && operation->succeeded) {
            sim_truth_renewed(sim->truth, operation->lease, operation->invoked_us,
                              operation->invoked_jumped_us);
        }
        clients->acknowledged += 1;
        clients->calm_acknowledged += sim->is_calm;
    } else {
        operation->outcome = is_definite(reply->status) ? SIM_REFUSED : SIM_UNKNOWN;
    }
    for (uint32_t i = 0; i < SIM_CLIENTS_MAX; i++) {
        struct sim_client *client = &clients->client[i];
        if (client->open == operation) {
            client->open = NULL;
            if (operation->kind == SIM_OP_READ && operation->outcome == SIM_DONE) {
                client->seen_mod[operation->key_index] = operation->has_value ? operation->mod : 0;
            }
        }
    }
}

void sim_clients_member_gone(struct sim_clients *clients, uint32_t member)
{
    for (uint32_t i = 0; i < SIM_CLIENTS_MAX; i++) {
        struct sim_client *client = &clients->client[i];
        if (client->open != NULL && client->member == member) {
            client->open->outcome = SIM_UNKNOWN;
            client->open = NULL;
        }
    }
    sim_watches_member_gone(clients->watches, member);
}

void sim_clients_watch(struct sim_clients *clients, uint32_t index)
{
    sim_watches_step(clients->watches, index);
}

void sim_clients_watch_ready(struct sim_clients *clients, void *stream)
{
    (void)clients;
    sim_watches_ready(stream);
}

bool sim_clients_are_done(const struct sim_clients *clients)
{
    for (uint32_t i = 0; i < SIM_CLIENTS_MAX; i++) {
        if (clients->client[i].open != NULL) {
            return false;
        }
    }
    return clients->calm_acknowledged >= CALM_OPERATIONS;
}

bool sim_clients_watches_reached(const struct sim_clients *clients, int64_t revision)
{
    return sim_watches_reached(clients->watches, revision);
}

void sim_clients_check(struct sim_clients *clients)
{
    sim_history_check(clients->history);
    clients->sim->result->events = sim_watches_check(clients->watches);
}
