#include "base/check.h"
#include "base/mem.h"
#include "kvstore/server/service.h"
#include "kvstore/server/watch_target.h"
#include "kvstore/watch/watch_hub.h"

enum { TAKE_BYTES = 64 * 1024 };

/* One Watch call of a client. */
struct watch_call {
    struct watch_target target; /* the hub's context: first */
    struct list link;
    struct service *service;
    struct grpc_call *call;
    struct watch_stream *stream;
    bool wants_leader;
};

static struct watch_call *data_of(struct grpc_call *call)
{
    return grpc_call_data(call);
}

/* Move finished responses to the connection while it takes them. */
static void pump(struct watch_call *watch)
{
    if (kv_is_fenced(node_kv(core_node(watch->service->core)))) {
        return; /* the stream is about to be closed */
    }
    struct buf out = BUF_INIT;
    while (grpc_call_is_writable(watch->call) && watch_stream_has_output(watch->stream)) {
        buf_clear(&out);
        (void)watch_stream_take(watch->stream, &out, TAKE_BYTES);
        struct bytes rest = buf_bytes(&out);
        struct bytes message;
        while (watch_take_next(&rest, &message)) {
            service_send(watch->call, message);
        }
    }
    buf_deinit(&out);
}

static void on_ready(struct watch_target *target)
{
    pump(container_of(target, struct watch_call, target));
}

void watch_service_start(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    if (kv_is_fenced(node_kv(core_node(service->core)))) {
        service_fail(call, ETCD_CORRUPT);
        return;
    }
    struct watch_call *watch = mem_zalloc(sizeof *watch);
    watch->target.ready = on_ready;
    watch->service = service;
    watch->call = call;
    watch->wants_leader = bytes_equal(grpc_call_metadata(call, "hasleader"), BYTES_LITERAL("true"));
    struct kv *kv = node_kv(core_node(service->core));
    watch->stream = watch_stream_new(kv_watch_hub(kv), &watch->target);
    list_push_back(&service->watch_streams, &watch->link);
    grpc_call_set_data(call, watch);
}

static void watch_free(struct watch_call *watch)
{
    grpc_call_set_data(watch->call, NULL);
    watch_stream_free(watch->stream);
    list_remove(&watch->link);
    mem_free(watch);
}

/* As the text of a Go status error, which clients compare. */
static void refuse(struct watch_call *watch, enum etcd_error error)
{
    char reason[256];
    (void)snprintf(reason, sizeof reason, "rpc error: code = %s desc = %s",
                   grpc_status_name((enum grpc_status)etcd_error_grpc_code(error)),
                   etcd_error_text(error));
    watch_stream_refuse(watch->stream, reason);
    core_wake(watch->service->core);
}

void watch_service_message(struct grpc_call *call, struct bytes message)
{
    struct watch_call *watch = data_of(call);
    if (watch == NULL) {
        return;
    }
    enum etcd_error error = auth_service_authorize(call, message);
    if (error != ETCD_OK) {
        refuse(watch, error);
        return;
    }
    int code = watch_stream_request(watch->stream, message);
    if (code == ERR_MALFORMED) {
        watch_free(watch);
        service_finish(call, GRPC_INVALID_ARGUMENT, "malformed watch request");
        return;
    }
    if (code == ERR_BUSY) {
        /* A client that asks and does not read its answers. */
        watch_free(watch);
        service_finish(call, GRPC_RESOURCE_EXHAUSTED, "too many watch requests unanswered");
        return;
    }
    core_wake(watch->service->core);
}

void watch_service_ready(void *stream)
{
    struct watch_target *target = stream;
    target->ready(target);
}

void watch_service_writable(struct grpc_call *call)
{
    struct watch_call *watch = data_of(call);
    if (watch != NULL) {
        pump(watch);
        core_wake(watch->service->core); /* watchers that were blocked may go on */
    }
}

/* As etcd: a client that will ask no more goes on being told (curl on the gateway does so). */
void watch_service_half_close(struct grpc_call *call)
{
    (void)call;
}

void watch_service_cancel(struct grpc_call *call)
{
    struct watch_call *watch = data_of(call);
    if (watch != NULL) {
        watch_free(watch);
    }
}

void service_close_watches(struct service *service, enum etcd_error error)
{
    list_foreach_safe (link, &service->watch_streams) {
        struct watch_call *watch = container_of(link, struct watch_call, link);
        struct grpc_call *call = watch->call;
        watch_free(watch);
        service_fail(call, error);
    }
}

void service_on_leader(struct service *service, bool has_leader)
{
    if (has_leader) {
        return;
    }
    list_foreach_safe (link, &service->watch_streams) {
        struct watch_call *watch = container_of(link, struct watch_call, link);
        if (watch->wants_leader) {
            struct grpc_call *call = watch->call;
            watch_free(watch);
            service_fail(call, ETCD_NO_LEADER);
        }
    }
}
