#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/server/peer_snapshot.h"
#include "kvstore/server/peers.h"
#include "raft/message_codec.h"

enum peer_method { PEER_METHOD_STREAM = 1, PEER_METHOD_SNAPSHOT, PEER_METHOD_MEMBERS };

const struct grpc_method peer_service_methods[] = {
    {.path = "/coracle.Peer/Stream", .client_stream = true, .id = PEER_METHOD_STREAM},
    {.path = "/coracle.Peer/Snapshot", .client_stream = true, .id = PEER_METHOD_SNAPSHOT},
    {.path = "/coracle.Peer/Members", .id = PEER_METHOD_MEMBERS},
};
const size_t peer_service_method_count =
    sizeof peer_service_methods / sizeof peer_service_methods[0];

/* One incoming stream. */
struct peer_stream {
    struct list link;
    struct metric_child *received_bytes; /* NULL before the hello */
    struct grpc_call *call;
    raft_id from; /* 0: no hello yet */
    struct raft_decoder decoder;
};

struct peer_hello peer_hello_make(const struct core *core, raft_id to)
{
    return (struct peer_hello){.cluster_id = core_cluster_id(core),
                               .from = core_member_id(core),
                               .to = to,
                               .log_id = core_log_id(core),
                               .incarnation = core_incarnation(core)};
}

static bool is_removed(struct peer_service *service, raft_id id)
{
    return cluster_is_removed(kv_cluster(node_kv(core_node(service->core))), id);
}

bool peer_hello_check(struct peer_service *service, struct grpc_call *call,
                      const struct peer_hello *hello)
{
    struct core *core = service->core;
    struct err err = {0};
    if (hello->cluster_id != core_cluster_id(core)) {
        log_warn("refused a peer of another cluster", LOG_ID("remote-peer-id", hello->from),
                 LOG_ID("remote-cluster-id", hello->cluster_id),
                 LOG_ID("local-cluster-id", core_cluster_id(core)));
        grpc_call_finish(call, GRPC_FAILED_PRECONDITION, "cluster ID mismatch");
        return false;
    }
    if (hello->to != core_member_id(core)) {
        log_warn("refused a peer that looks for another member",
                 LOG_ID("remote-peer-id", hello->from), LOG_ID("wanted", hello->to));
        grpc_call_finish(call, GRPC_FAILED_PRECONDITION, "another member answers at this address");
        return false;
    }
    if (is_removed(service, hello->from)) {
        grpc_call_finish(call, GRPC_PERMISSION_DENIED, PEER_REMOVED_TEXT);
        return false;
    }
    int code = peer_registry_check(service->registry, hello->from, hello->log_id,
                                   hello->incarnation, &err);
    if (code != 0) {
        log_warn("refused a peer", LOG_ID("remote-peer-id", hello->from),
                 LOG_TEXT("error", err.text));
        grpc_call_finish(call, code == ERR_CORRUPT ? GRPC_DATA_LOSS : GRPC_UNAVAILABLE,
                         code == ERR_CORRUPT ? PEER_LOST_DATA_TEXT : err.text);
        return false;
    }
    return true;
}

static bool take_raft(struct core *core, struct peer_stream *stream, struct bytes payload)
{
    struct raft_message message;
    struct err err = {0};
    if (raft_message_decode(payload, &stream->decoder, &message, &err) != 0) {
        log_warn("a peer sent a message that cannot be read",
                 LOG_ID("remote-peer-id", stream->from), LOG_TEXT("error", err.text));
        return false;
    }
    if (message.from != stream->from || message.to != core_member_id(core)) {
        return false;
    }
    core_on_message(core, &message);
    raft_decoder_clear(&stream->decoder);
    return true;
}

/* False: the stream is not to be trusted (or was refused, and is finished). */
static bool take_frame(struct grpc_call *call, struct peer_stream *stream, enum peer_frame kind,
                       struct bytes payload)
{
    struct peer_service *service = grpc_call_context(call);
    struct core *core = service->core;
    if (kind == PEER_FRAME_HELLO) {
        struct peer_hello hello;
        if (stream->from != 0 || peer_hello_decode(payload, &hello) != 0 ||
            !peer_hello_check(service, call, &hello)) {
            return false;
        }
        stream->from = hello.from;
        char id[32];
        (void)snprintf(id, sizeof id, "%llx", (unsigned long long)hello.from);
        stream->received_bytes = metric_get(service->metrics, METRIC_PEER_RECEIVED, id);
        list_push_back(&service->streams, &stream->link);
        return true;
    }
    if (stream->from == 0) {
        return false;
    }
    if (kind == PEER_FRAME_RAFT) {
        return take_raft(core, stream, payload);
    }
    if (kind == PEER_FRAME_PING || kind == PEER_FRAME_PONG) {
        if (service->peers != NULL && kind == PEER_FRAME_PING) {
            peers_on_ping(service->peers, stream->from, payload);
        } else if (service->peers != NULL) {
            peers_on_pong(service->peers, stream->from, payload);
        }
        return true;
    }
    core_on_frame(core, stream->from, payload);
    return true;
}

static void on_stream_message(struct grpc_call *call, struct bytes input)
{
    struct peer_stream *stream = grpc_call_data(call);
    if (stream != NULL && stream->received_bytes != NULL) {
        metric_child_add(stream->received_bytes, input.size);
    }
    while (stream != NULL && input.size > 0) {
        enum peer_frame kind;
        struct bytes payload;
        if (peer_frame_next(&input, &kind, &payload) != 0 ||
            !take_frame(call, stream, kind, payload)) {
            grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "malformed frame");
            return;
        }
    }
}

static void answer_members(struct grpc_call *call)
{
    struct peer_service *service = grpc_call_context(call);
    struct kv_result result = {0};
    kv_list_members(node_kv(core_node(service->core)), &result);
    grpc_call_send(call, buf_bytes(&result.reply));
    grpc_call_finish(call, GRPC_OK, NULL);
    kv_result_deinit(&result);
}

static void stream_free(struct grpc_call *call)
{
    struct peer_stream *stream = grpc_call_data(call);
    if (stream != NULL) {
        list_remove(&stream->link);
        raft_decoder_deinit(&stream->decoder);
        mem_free(stream);
        grpc_call_set_data(call, NULL);
    }
}

void peer_service_drop_removed(struct peer_service *service)
{
    list_foreach_safe (link, &service->streams) {
        struct peer_stream *stream = container_of(link, struct peer_stream, link);
        if (is_removed(service, stream->from)) {
            struct grpc_call *call = stream->call;
            stream_free(call);
            grpc_call_finish(call, GRPC_PERMISSION_DENIED, PEER_REMOVED_TEXT);
        }
    }
}

static void on_call_start(struct grpc_call *call)
{
    if (grpc_call_method(call)->id == PEER_METHOD_STREAM) {
        struct peer_stream *stream = mem_zalloc(sizeof *stream);
        raft_decoder_init(&stream->decoder);
        list_init(&stream->link);
        stream->call = call;
        grpc_call_set_data(call, stream);
    }
}

static void on_message(struct grpc_call *call, const struct grpc_message *message)
{
    switch (grpc_call_method(call)->id) {
    case PEER_METHOD_STREAM:
        on_stream_message(call, message->raw);
        if (!grpc_call_is_open(call)) {
            stream_free(call);
        }
        break;
    case PEER_METHOD_SNAPSHOT:
        peer_snapshot_on_message(call, message->raw);
        break;
    default:
        answer_members(call);
        break;
    }
}

static void on_half_close(struct grpc_call *call)
{
    switch (grpc_call_method(call)->id) {
    case PEER_METHOD_STREAM:
        stream_free(call);
        grpc_call_send(call, (struct bytes){NULL, 0});
        grpc_call_finish(call, GRPC_OK, NULL);
        break;
    case PEER_METHOD_SNAPSHOT:
        peer_snapshot_on_half_close(call);
        break;
    default:
        break;
    }
}

static void on_cancel(struct grpc_call *call, enum grpc_status reason)
{
    (void)reason;
    if (grpc_call_method(call)->id == PEER_METHOD_STREAM) {
        stream_free(call);
    } else if (grpc_call_method(call)->id == PEER_METHOD_SNAPSHOT) {
        peer_snapshot_on_cancel(call);
    }
}

const struct grpc_handler peer_service_handler = {
    .on_call_start = on_call_start,
    .on_message = on_message,
    .on_half_close = on_half_close,
    .on_cancel = on_cancel,
};
