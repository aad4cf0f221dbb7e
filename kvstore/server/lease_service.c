#include "base/mem.h"
#include "kvstore/server/service.h"

enum { KEEP_ALIVES_OPEN_MAX = 128 }; /* of one stream; then its client waits */

/* One LeaseKeepAlive call: each message is a request of its own, answered in any order, as in etcd
 * where a client tells answers apart by lease id. */
struct keep_alive_call {
    struct list link;
    struct service *service;
    struct grpc_call *call; /* NULL: ended */
    uint32_t open_count;
    bool is_half_closed;
    bool is_paused;
};

struct keep_alive {
    struct core_call core_call;
    struct keep_alive_call *stream;
    uint8_t body[];
};

void lease_service_start(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    struct keep_alive_call *stream = mem_zalloc(sizeof *stream);
    stream->service = service;
    stream->call = call;
    list_push_back(&service->keep_alives, &stream->link);
    grpc_call_set_data(call, stream);
}

static void free_if_unused(struct keep_alive_call *stream)
{
    if (stream->call == NULL && stream->open_count == 0) {
        list_remove(&stream->link);
        mem_free(stream);
    }
}

static void end(struct keep_alive_call *stream)
{
    grpc_call_set_data(stream->call, NULL);
    stream->call = NULL;
}

static void on_reply(struct core_call *core_call, const struct node_reply *reply)
{
    struct keep_alive *keep_alive = container_of(core_call, struct keep_alive, core_call);
    struct keep_alive_call *stream = keep_alive->stream;
    mem_free(keep_alive);
    stream->open_count -= 1;
    struct grpc_call *call = stream->call;
    if (call == NULL) {
        free_if_unused(stream);
        return;
    }
    if (reply->status != ETCD_OK) {
        end(stream);
        service_fail(call, reply->status);
        free_if_unused(stream);
        return;
    }
    service_send(call, reply->body);
    if (stream->is_paused) {
        stream->is_paused = false;
        grpc_call_resume(call);
    }
    if (stream->is_half_closed && stream->open_count == 0) {
        end(stream);
        service_finish(call, GRPC_OK, NULL);
        free_if_unused(stream);
    }
}

void lease_service_message(struct grpc_call *call, struct bytes message)
{
    struct keep_alive_call *stream = grpc_call_data(call);
    if (stream == NULL) {
        return;
    }
    struct auth_caller caller;
    enum etcd_error error = auth_service_identify(call, &caller);
    if (error != ETCD_OK) {
        end(stream);
        service_fail(call, error);
        free_if_unused(stream);
        return;
    }
    struct bytes name = caller.username;
    struct keep_alive *keep_alive = mem_alloc(sizeof *keep_alive + message.size + name.size);
    if (name.size > 0) {
        memcpy(keep_alive->body + message.size, name.data, name.size);
    }
    caller.username = bytes_make(keep_alive->body + message.size, name.size);
    keep_alive->stream = stream;
    keep_alive->core_call = (struct core_call){.method = NODE_LEASE_KEEP_ALIVE,
                                               .body = bytes_make(keep_alive->body, message.size),
                                               .caller = caller,
                                               .on_reply = on_reply};
    if (message.size > 0) {
        memcpy(keep_alive->body, message.data, message.size);
    }
    stream->open_count += 1;
    if (stream->open_count >= KEEP_ALIVES_OPEN_MAX && !stream->is_paused) {
        stream->is_paused = true;
        grpc_call_pause(call);
    }
    core_submit(stream->service->core, &keep_alive->core_call);
}

void lease_service_half_close(struct grpc_call *call)
{
    struct keep_alive_call *stream = grpc_call_data(call);
    if (stream == NULL) {
        return;
    }
    stream->is_half_closed = true;
    if (stream->open_count == 0) {
        end(stream);
        service_finish(call, GRPC_OK, NULL);
        free_if_unused(stream);
    }
}

void lease_service_cancel(struct grpc_call *call)
{
    struct keep_alive_call *stream = grpc_call_data(call);
    if (stream != NULL) {
        end(stream);
        free_if_unused(stream);
    }
}
