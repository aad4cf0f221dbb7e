/* v3electionpb.Election, but for Observe: the leader is who made the oldest key of a prefix. */
#include "kvstore/server/recipe.h"
#include "kvstore/server/service.h"
#include "proto/arena_allocator.h"
#include "proto/election.pb-c.h"

static ProtobufCBinaryData data_of(struct recipe *recipe, struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, arena_dup(&recipe->arena, bytes.data, bytes.size)};
}

static struct bytes bytes_of(ProtobufCBinaryData data)
{
    return bytes_make(data.data, data.len);
}

/* The decoded request in a recipe's arena; NULL: the call is finished. */
static const ProtobufCMessage *start(struct grpc_call *call, struct bytes body,
                                     const ProtobufCMessageDescriptor *type,
                                     struct recipe **ret_recipe)
{
    struct recipe *recipe = recipe_new(call);
    const ProtobufCMessage *message = proto_decode(type, body, &recipe->arena);
    if (message == NULL) {
        recipe_fail(recipe, GRPC_INTERNAL, "malformed election request");
        return NULL;
    }
    *ret_recipe = recipe;
    return message;
}

static bool lacks_leader(struct recipe *recipe, const V3electionpb__LeaderKey *leader)
{
    if (leader != NULL) {
        return false;
    }
    recipe_fail(recipe, GRPC_UNKNOWN, "\"leader\" field must be provided");
    return true;
}

static void on_elected(struct recipe *recipe, Etcdserverpb__ResponseHeader *header)
{
    V3electionpb__LeaderKey leader;
    v3electionpb__leader_key__init(&leader);
    leader.name =
        data_of(recipe, bytes_make(recipe->prefix.data, recipe->prefix.size - 1)); /* no "/" */
    leader.key = data_of(recipe, recipe->key);
    leader.rev = recipe->revision;
    leader.lease = recipe->lease;
    V3electionpb__CampaignResponse response;
    v3electionpb__campaign_response__init(&response);
    response.header = header;
    response.leader = &leader;
    recipe_finish(recipe, &response.base);
}

void election_service_campaign(struct grpc_call *call, struct bytes body)
{
    struct recipe *recipe = NULL;
    const ProtobufCMessage *message =
        start(call, body, &v3electionpb__campaign_request__descriptor, &recipe);
    if (message == NULL) {
        return;
    }
    const V3electionpb__CampaignRequest *request = (const V3electionpb__CampaignRequest *)message;
    recipe->expired_text = "election: session is expired";
    recipe->value = bytes_of(request->value);
    recipe_enter(recipe, bytes_of(request->name), request->lease, on_elected);
}

static void on_proclaimed(struct recipe *recipe, const ProtobufCMessage *reply)
{
    const Etcdserverpb__TxnResponse *done = (const Etcdserverpb__TxnResponse *)reply;
    if (done->succeeded == 0) {
        recipe_fail(recipe, GRPC_UNKNOWN, "election: not leader");
        return;
    }
    V3electionpb__ProclaimResponse response;
    v3electionpb__proclaim_response__init(&response);
    response.header = done->header;
    recipe_finish(recipe, &response.base);
}

void election_service_proclaim(struct grpc_call *call, struct bytes body)
{
    struct recipe *recipe = NULL;
    const ProtobufCMessage *message =
        start(call, body, &v3electionpb__proclaim_request__descriptor, &recipe);
    const V3electionpb__ProclaimRequest *request = (const V3electionpb__ProclaimRequest *)message;
    if (message == NULL || lacks_leader(recipe, request->leader)) {
        return;
    }
    recipe_request_put_own(recipe, bytes_of(request->leader->key), request->leader->rev,
                           request->leader->lease, bytes_of(request->value));
    recipe_ask(recipe, NODE_TXN, &etcdserverpb__txn_response__descriptor, on_proclaimed);
}

static void on_leader(struct recipe *recipe, const ProtobufCMessage *reply)
{
    const Etcdserverpb__RangeResponse *found = (const Etcdserverpb__RangeResponse *)reply;
    if (found->n_kvs == 0) {
        recipe_fail(recipe, GRPC_UNKNOWN, "election: no leader");
        return;
    }
    V3electionpb__LeaderResponse response;
    v3electionpb__leader_response__init(&response);
    response.header = found->header;
    response.kv = found->kvs[0];
    recipe_finish(recipe, &response.base);
}

void election_service_leader(struct grpc_call *call, struct bytes body)
{
    struct recipe *recipe = NULL;
    const ProtobufCMessage *message =
        start(call, body, &v3electionpb__leader_request__descriptor, &recipe);
    if (message == NULL) {
        return;
    }
    recipe_set_prefix(recipe, bytes_of(((const V3electionpb__LeaderRequest *)message)->name));
    recipe_request_first(recipe, RECIPE_OLDEST, 0);
    recipe_ask(recipe, NODE_RANGE, &etcdserverpb__range_response__descriptor, on_leader);
}

/* Not to lead any more is no error. */
static void on_resigned(struct recipe *recipe, const ProtobufCMessage *reply)
{
    V3electionpb__ResignResponse response;
    v3electionpb__resign_response__init(&response);
    response.header = ((const Etcdserverpb__TxnResponse *)reply)->header;
    recipe_finish(recipe, &response.base);
}

void election_service_resign(struct grpc_call *call, struct bytes body)
{
    struct recipe *recipe = NULL;
    const ProtobufCMessage *message =
        start(call, body, &v3electionpb__resign_request__descriptor, &recipe);
    const V3electionpb__ResignRequest *request = (const V3electionpb__ResignRequest *)message;
    if (message == NULL || lacks_leader(recipe, request->leader)) {
        return;
    }
    recipe_request_delete_own(recipe, bytes_of(request->leader->key), request->leader->rev);
    recipe_ask(recipe, NODE_TXN, &etcdserverpb__txn_response__descriptor, on_resigned);
}
