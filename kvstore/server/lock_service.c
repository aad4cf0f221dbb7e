/* v3lockpb.Lock: a lock that is held as long as a key exists. */
#include "base/pb.h"
#include "kvstore/server/recipe.h"
#include "kvstore/server/service.h"
#include "proto/arena_allocator.h"
#include "proto/lock.pb-c.h"

static void on_turn(struct recipe *recipe, Etcdserverpb__ResponseHeader *header)
{
    V3lockpb__LockResponse response;
    v3lockpb__lock_response__init(&response);
    response.header = header;
    response.key = (ProtobufCBinaryData){
        recipe->key.size, arena_dup(&recipe->arena, recipe->key.data, recipe->key.size)};
    recipe_finish(recipe, &response.base);
}

void lock_service_lock(struct grpc_call *call, struct bytes body)
{
    struct recipe *recipe = recipe_new(call);
    const ProtobufCMessage *message =
        proto_decode(&v3lockpb__lock_request__descriptor, body, &recipe->arena);
    if (message == NULL) {
        recipe_fail(recipe, GRPC_INTERNAL, "malformed LockRequest");
        return;
    }
    const V3lockpb__LockRequest *request = (const V3lockpb__LockRequest *)message;
    recipe->expired_text = "mutex: session is expired";
    recipe_enter(recipe, bytes_make(request->name.data, request->name.len), request->lease,
                 on_turn);
}

static void on_unlocked(struct recipe *recipe, const ProtobufCMessage *reply)
{
    V3lockpb__UnlockResponse response;
    v3lockpb__unlock_response__init(&response);
    response.header = ((const Etcdserverpb__DeleteRangeResponse *)reply)->header;
    recipe_finish(recipe, &response.base);
}

void lock_service_unlock(struct grpc_call *call, struct bytes body)
{
    struct recipe *recipe = recipe_new(call);
    const ProtobufCMessage *message =
        proto_decode(&v3lockpb__unlock_request__descriptor, body, &recipe->arena);
    if (message == NULL) {
        recipe_fail(recipe, GRPC_INTERNAL, "malformed UnlockRequest");
        return;
    }
    const ProtobufCBinaryData *key = &((const V3lockpb__UnlockRequest *)message)->key;
    recipe_request_key(recipe, bytes_make(key->data, key->len));
    recipe_ask(recipe, NODE_DELETE_RANGE, &etcdserverpb__delete_range_response__descriptor,
               on_unlocked);
}
