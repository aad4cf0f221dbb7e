#include "kvstore/server/recipe.h"

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/server/service.h"
#include "proto/arena_allocator.h"

enum { LENGTH_BYTES = 4 };

static void on_ready(struct watch_target *target)
{
    recipe_take_events(container_of(target, struct recipe, target));
}

struct recipe *recipe_new(struct grpc_call *call)
{
    struct recipe *recipe = mem_zalloc(sizeof *recipe);
    recipe->target.ready = on_ready;
    recipe->service = grpc_call_context(call);
    recipe->call = call;
    recipe->request = (struct buf)BUF_INIT;
    recipe->caller_name = (struct buf)BUF_INIT;
    arena_init(&recipe->step);
    arena_init(&recipe->arena);
    list_init(&recipe->link);
    grpc_call_set_data(call, recipe);
    return recipe;
}

static void recipe_free(struct recipe *recipe)
{
    CHECK(!recipe->is_asking);
    if (recipe->call != NULL) {
        grpc_call_set_data(recipe->call, NULL);
    }
    recipe_unwatch(recipe);
    buf_deinit(&recipe->request);
    buf_deinit(&recipe->caller_name);
    arena_deinit(&recipe->step);
    arena_deinit(&recipe->arena);
    mem_free(recipe);
}

void recipe_finish(struct recipe *recipe, const ProtobufCMessage *response)
{
    struct grpc_call *call = recipe->call;
    service_send(call, proto_encode(response, &recipe->arena));
    recipe_free(recipe);
    service_finish(call, GRPC_OK, NULL);
}

void recipe_fail(struct recipe *recipe, int status, const char *text)
{
    struct grpc_call *call = recipe->call;
    recipe_free(recipe);
    service_finish(call, (enum grpc_status)status, text);
}

/* --- requests -------------------------------------------------------------------------------- */

static void submit(struct recipe *recipe, enum node_method method, core_reply *on_reply,
                   uint64_t auth_revision)
{
    recipe->core_call = (struct core_call){
        .method = method,
        .body = buf_bytes(&recipe->request),
        .caller = {.username = buf_bytes(&recipe->caller_name), .auth_revision = auth_revision},
        .fresh_id = method == NODE_LEASE_GRANT ? service_fresh_id() : 0,
        .on_reply = on_reply};
    recipe->is_asking = true;
    core_submit(recipe->service->core, &recipe->core_call);
}

static void on_left(struct core_call *core_call, const struct node_reply *reply)
{
    (void)reply; /* if it could not be deleted, its lease will take it */
    struct recipe *recipe = container_of(core_call, struct recipe, core_call);
    recipe->is_asking = false;
    recipe_free(recipe);
}

/* Nobody waits any more: what this call put into the queue leaves it. */
static void leave(struct recipe *recipe, enum etcd_error last)
{
    recipe_unwatch(recipe);
    if (!recipe->has_made_key || recipe->service->is_stopping || last == ETCD_STOPPED) {
        recipe_free(recipe);
        return;
    }
    uint64_t auth_revision = recipe->core_call.caller.auth_revision;
    recipe_request_delete_own(recipe, recipe->key, recipe->revision);
    submit(recipe, NODE_TXN, on_left, auth_revision);
}

/* The client went while its key was being made: has it been? */
static void note_entered(struct recipe *recipe, struct bytes body)
{
    const ProtobufCMessage *message =
        proto_decode(&etcdserverpb__txn_response__descriptor, body, &recipe->step);
    if (message != NULL) {
        const Etcdserverpb__TxnResponse *response = (const Etcdserverpb__TxnResponse *)message;
        recipe->has_made_key = response->succeeded != 0 && response->header != NULL;
        recipe->revision = recipe->has_made_key ? response->header->revision : 0;
    }
}

static void on_reply(struct core_call *core_call, const struct node_reply *reply)
{
    struct recipe *recipe = container_of(core_call, struct recipe, core_call);
    recipe->is_asking = false;
    arena_reset(&recipe->step);
    if (recipe->call == NULL) {
        if (recipe->is_entering && reply->status == ETCD_OK) {
            note_entered(recipe, reply->body);
        }
        leave(recipe, reply->status);
        return;
    }
    recipe->is_entering = false;
    if (reply->status != ETCD_OK) {
        recipe_fail(recipe, etcd_error_grpc_code(reply->status), etcd_error_text(reply->status));
        return;
    }
    const ProtobufCMessage *message = proto_decode(recipe->reply_type, reply->body, &recipe->step);
    CHECK(message != NULL); /* the node made it */
    recipe->next(recipe, message);
}

void recipe_ask(struct recipe *recipe, enum node_method method,
                const ProtobufCMessageDescriptor *reply_type, recipe_next *next)
{
    /* Asked each time: a token may have run out while the call waited. */
    struct auth_caller caller = {0};
    enum etcd_error error = auth_service_identify(recipe->call, &caller);
    if (error != ETCD_OK) {
        recipe_fail(recipe, etcd_error_grpc_code(error), etcd_error_text(error));
        return;
    }
    buf_clear(&recipe->caller_name);
    buf_append_bytes(&recipe->caller_name, caller.username);
    recipe->reply_type = reply_type;
    recipe->next = next;
    submit(recipe, method, on_reply, caller.auth_revision);
}

void recipe_cancel(struct grpc_call *call)
{
    struct recipe *recipe = grpc_call_data(call);
    if (recipe == NULL) {
        return;
    }
    grpc_call_set_data(call, NULL);
    recipe->call = NULL;
    recipe_unwatch(recipe);
    if (recipe->is_asking) {
        core_abandon(recipe->service->core, &recipe->core_call); /* its answer ends the recipe */
    } else {
        leave(recipe, ETCD_OK);
    }
}

/* --- waiting --------------------------------------------------------------------------------- */

void recipe_watch(struct recipe *recipe, struct bytes key, struct bytes range_end,
                  int64_t start_revision, unsigned events, recipe_event *on_event)
{
    struct core *core = recipe->service->core;
    if (recipe->stream == NULL) {
        recipe->stream = watch_stream_new(kv_watch_hub(node_kv(core_node(core))), &recipe->target);
    }
    recipe->on_event = on_event;
    buf_clear(&recipe->request);
    size_t mark = pb_begin_message(&recipe->request, 1); /* WatchRequest.create_request */
    pb_put_bytes(&recipe->request, 1, key);
    pb_put_bytes(&recipe->request, 2, range_end);
    pb_put_i64(&recipe->request, 3, start_revision);
    if (events != (RECIPE_PUTS | RECIPE_DELETES)) {
        static const uint8_t no_put[] = {0};
        static const uint8_t no_delete[] = {1};
        pb_put_bytes(&recipe->request, 5,
                     bytes_make(events == RECIPE_PUTS ? no_delete : no_put, 1));
    }
    pb_end_message(&recipe->request, mark);
    int code = watch_stream_request(recipe->stream, buf_bytes(&recipe->request));
    CHECK(code == 0); /* well formed, and the first of few */
    core_wake(core);
}

void recipe_unwatch(struct recipe *recipe)
{
    watch_stream_free(recipe->stream);
    recipe->stream = NULL;
}

void recipe_take_events(struct recipe *recipe)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    bool goes_on = true;
    while (goes_on && recipe->stream != NULL && grpc_call_is_writable(recipe->call) &&
           watch_stream_has_output(recipe->stream)) {
        buf_clear(&out);
        (void)watch_stream_take(recipe->stream, &out, /* max_bytes= */ 1); /* one response */
        struct bytes message = buf_bytes(&out);
        CHECK(message.size >= LENGTH_BYTES);
        arena_reset(&recipe->step);
        const ProtobufCMessage *response = proto_decode(
            &etcdserverpb__watch_response__descriptor,
            bytes_make(message.data + LENGTH_BYTES, message.size - LENGTH_BYTES), &recipe->step);
        CHECK(response != NULL); /* the hub made it */
        const Etcdserverpb__WatchResponse *watched = (const Etcdserverpb__WatchResponse *)response;
        if (watched->n_events > 0 || watched->canceled != 0) {
            goes_on = recipe->on_event(recipe, watched);
        }
    }
}
