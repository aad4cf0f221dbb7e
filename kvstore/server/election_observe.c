/* Election.Observe: the present leader's key, and each that follows.
 *
 *     look for the oldest --none--> watch the prefix for a put ---> tell, watch that key
 *          ^     '-----------one---> tell, watch that key: put: tell
 *          '---------------------------------------------- delete
 */
#include "base/check.h"
#include "kvstore/server/recipe.h"
#include "kvstore/server/service.h"
#include "proto/arena_allocator.h"
#include "proto/election.pb-c.h"

static void look(struct recipe *recipe);
static bool on_leader_event(struct recipe *recipe, const Etcdserverpb__WatchResponse *watched);

static void tell(struct recipe *recipe, Etcdserverpb__ResponseHeader *header, Mvccpb__KeyValue *kv)
{
    V3electionpb__LeaderResponse response;
    v3electionpb__leader_response__init(&response);
    response.header = header;
    response.kv = kv;
    service_send(recipe->call, proto_encode(&response.base, &recipe->step));
}

static void watch_leader(struct recipe *recipe, const Mvccpb__KeyValue *kv, int64_t since)
{
    const struct bytes none = {NULL, 0};
    recipe_watch(recipe, bytes_make(kv->key.data, kv->key.len), none, since,
                 RECIPE_PUTS | RECIPE_DELETES, on_leader_event);
}

/* The leader's key: a new value, or the end of its time. */
static bool on_leader_event(struct recipe *recipe, const Etcdserverpb__WatchResponse *watched)
{
    for (size_t i = 0; i < watched->n_events; i++) {
        const Mvccpb__Event *event = watched->events[i];
        if (event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
            recipe_unwatch(recipe);
            look(recipe);
            return false;
        }
        watched->header->revision = event->kv->mod_revision;
        tell(recipe, watched->header, event->kv);
    }
    if (watched->canceled != 0) {
        recipe_unwatch(recipe); /* compacted while we could not keep up */
        look(recipe);
        return false;
    }
    return true;
}

/* Nobody led: the first who puts a key does. */
static bool on_first_put(struct recipe *recipe, const Etcdserverpb__WatchResponse *watched)
{
    if (watched->n_events == 0) {
        recipe_unwatch(recipe);
        look(recipe);
        return false;
    }
    Mvccpb__KeyValue *kv = watched->events[0]->kv;
    recipe_unwatch(recipe);
    watched->header->revision = kv->mod_revision;
    tell(recipe, watched->header, kv);
    watch_leader(recipe, kv, kv->mod_revision + 1);
    return false;
}

static void on_looked(struct recipe *recipe, const ProtobufCMessage *reply)
{
    const Etcdserverpb__RangeResponse *found = (const Etcdserverpb__RangeResponse *)reply;
    int64_t since = found->header->revision + 1;
    if (found->n_kvs == 0) {
        recipe_watch(recipe, recipe->prefix, recipe_prefix_end(recipe->prefix, &recipe->step),
                     since, RECIPE_PUTS, on_first_put);
        return;
    }
    tell(recipe, found->header, found->kvs[0]);
    watch_leader(recipe, found->kvs[0], since);
}

static void look(struct recipe *recipe)
{
    recipe_request_first(recipe, RECIPE_OLDEST, 0);
    recipe_ask(recipe, NODE_RANGE, &etcdserverpb__range_response__descriptor, on_looked);
}

void election_observe_start(struct grpc_call *call, struct bytes body)
{
    struct recipe *recipe = recipe_new(call);
    const ProtobufCMessage *message =
        proto_decode(&v3electionpb__leader_request__descriptor, body, &recipe->arena);
    if (message == NULL) {
        recipe_fail(recipe, GRPC_INTERNAL, "malformed LeaderRequest");
        return;
    }
    const ProtobufCBinaryData *name = &((const V3electionpb__LeaderRequest *)message)->name;
    recipe_set_prefix(recipe, bytes_make(name->data, name->len));
    look(recipe);
}

void election_observe_writable(struct grpc_call *call)
{
    struct recipe *recipe = grpc_call_data(call);
    if (recipe != NULL) {
        recipe_take_events(recipe);
    }
}
