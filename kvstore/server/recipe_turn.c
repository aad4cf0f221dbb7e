/* Into the queue, and to its head:
 *
 *   [grant a lease] -> enter -> (oldest? yes: turn)
 *                                  no: look for the youngest older key
 *                                        none: is the lease alive? is the key there? -> turn
 *                                        one: watch it, and the own key -> look again
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/pb.h"
#include "kvstore/server/recipe.h"
#include "kvstore/server/service.h"

static void look(struct recipe *recipe);

static struct bytes join(struct arena *arena, struct bytes head, const char *tail)
{
    size_t size = strlen(tail);
    uint8_t *whole = arena_alloc(arena, head.size + size);
    if (head.size > 0) {
        memcpy(whole, head.data, head.size);
    }
    memcpy(whole + head.size, tail, size);
    return bytes_make(whole, head.size + size);
}

void recipe_set_prefix(struct recipe *recipe, struct bytes name)
{
    recipe->prefix = join(&recipe->arena, name, "/");
}

/* The whole prefix is one queue, and a lease stands in it once. */
static void name_key(struct recipe *recipe)
{
    char lease[32];
    (void)snprintf(lease, sizeof lease, "%" PRIx64, (uint64_t)recipe->lease);
    recipe->key = join(&recipe->arena, recipe->prefix, lease);
}

static bool is_own(const struct recipe *recipe, const Mvccpb__KeyValue *kv)
{
    return kv->create_revision == recipe->revision;
}

static void on_own_key(struct recipe *recipe, const ProtobufCMessage *reply)
{
    const Etcdserverpb__RangeResponse *response = (const Etcdserverpb__RangeResponse *)reply;
    if (response->n_kvs == 0 || !is_own(recipe, response->kvs[0])) {
        recipe_fail(recipe, GRPC_UNKNOWN, recipe->expired_text);
        return;
    }
    recipe->on_turn(recipe, response->header);
}

/* The leader knows leases that are due and not revoked yet: who holds one of those has lost. */
static void on_lease(struct recipe *recipe, const ProtobufCMessage *reply)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *response =
        (const Etcdserverpb__LeaseTimeToLiveResponse *)reply;
    if (response->ttl <= 0) {
        recipe_fail(recipe, GRPC_UNKNOWN, recipe->expired_text);
        return;
    }
    recipe_request_key(recipe, recipe->key);
    recipe_ask(recipe, NODE_RANGE, &etcdserverpb__range_response__descriptor, on_own_key);
}

static void check_lease(struct recipe *recipe)
{
    buf_clear(&recipe->request);
    pb_put_i64(&recipe->request, 1, recipe->lease);
    recipe_ask(recipe, NODE_LEASE_TIME_TO_LIVE,
               &etcdserverpb__lease_time_to_live_response__descriptor, on_lease);
}

static bool on_gone(struct recipe *recipe, const Etcdserverpb__WatchResponse *response)
{
    (void)response; /* whichever key went, or if the watch was cancelled: what is there now? */
    recipe_unwatch(recipe);
    look(recipe);
    return false;
}

static void on_predecessor(struct recipe *recipe, const ProtobufCMessage *reply)
{
    const Etcdserverpb__RangeResponse *response = (const Etcdserverpb__RangeResponse *)reply;
    if (response->n_kvs == 0) {
        check_lease(recipe);
        return;
    }
    const struct bytes none = {NULL, 0};
    const ProtobufCBinaryData *key = &response->kvs[0]->key;
    int64_t since = response->header->revision + 1;
    recipe_watch(recipe, bytes_make(key->data, key->len), none, since, RECIPE_DELETES, on_gone);
    recipe_watch(recipe, recipe->key, none, since, RECIPE_DELETES, on_gone);
}

/* The own key first: it goes with its lease, and then nobody is to be waited for. */
static void on_still_there(struct recipe *recipe, const ProtobufCMessage *reply)
{
    const Etcdserverpb__RangeResponse *response = (const Etcdserverpb__RangeResponse *)reply;
    if (response->n_kvs == 0 || !is_own(recipe, response->kvs[0])) {
        recipe_fail(recipe, GRPC_UNKNOWN, recipe->expired_text);
        return;
    }
    recipe_request_first(recipe, RECIPE_NEWEST, recipe->revision - 1);
    recipe_ask(recipe, NODE_RANGE, &etcdserverpb__range_response__descriptor, on_predecessor);
}

static void look(struct recipe *recipe)
{
    recipe_request_key(recipe, recipe->key);
    recipe_ask(recipe, NODE_RANGE, &etcdserverpb__range_response__descriptor, on_still_there);
}

static void on_value_put(struct recipe *recipe, const ProtobufCMessage *reply)
{
    if (((const Etcdserverpb__TxnResponse *)reply)->succeeded == 0) {
        recipe_fail(recipe, GRPC_UNKNOWN, recipe->expired_text);
        return;
    }
    look(recipe);
}

static void on_entered(struct recipe *recipe, const ProtobufCMessage *reply)
{
    const Etcdserverpb__TxnResponse *response = (const Etcdserverpb__TxnResponse *)reply;
    if (response->succeeded != 0) {
        recipe->has_made_key = true;
        recipe->revision = response->header->revision;
        const Mvccpb__KeyValue *oldest = response->responses[1]->response_range->kvs[0];
        if (is_own(recipe, oldest)) {
            recipe->on_turn(recipe, response->header); /* the lease was alive in this very entry */
        } else {
            look(recipe);
        }
        return;
    }
    CHECK(response->n_responses == 2 && response->responses[0]->response_range->n_kvs == 1);
    const Mvccpb__KeyValue *own = response->responses[0]->response_range->kvs[0];
    recipe->revision = own->create_revision;
    if (bytes_equal(bytes_make(own->value.data, own->value.len), recipe->value)) {
        look(recipe);
        return;
    }
    recipe_request_put_own(recipe, recipe->key, recipe->revision, recipe->lease, recipe->value);
    recipe_ask(recipe, NODE_TXN, &etcdserverpb__txn_response__descriptor, on_value_put);
}

static void enter(struct recipe *recipe)
{
    name_key(recipe);
    recipe_request_enter(recipe);
    recipe->is_entering = true;
    recipe_ask(recipe, NODE_TXN, &etcdserverpb__txn_response__descriptor, on_entered);
}

static void on_granted(struct recipe *recipe, const ProtobufCMessage *reply)
{
    recipe->lease = ((const Etcdserverpb__LeaseGrantResponse *)reply)->id;
    enter(recipe);
}

void recipe_enter(struct recipe *recipe, struct bytes name, int64_t lease, recipe_turn *on_turn)
{
    recipe_set_prefix(recipe, name);
    recipe->lease = lease;
    recipe->on_turn = on_turn;
    if (lease != 0) {
        enter(recipe);
        return;
    }
    buf_clear(&recipe->request);
    pb_put_i64(&recipe->request, 1, RECIPE_TTL_S);
    recipe_ask(recipe, NODE_LEASE_GRANT, &etcdserverpb__lease_grant_response__descriptor,
               on_granted);
}
