#include "kvstore/server/peer_snapshot.h"

#include <stdio.h>
#include <uv.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "kvstore/node/start.h"
#include "kvstore/server/peers.h"
#include "kvstore/state/kv_snapshot.h"
#include "raft/message_codec.h"

enum {
    PART_BYTES = 256 << 10,
    VIEW_AGE_MAX_MS = 30 * 60 * 1000 /* how long one stream may pin old pages of the store */
};

/* --- sending -------------------------------------------------------------------------------- */

struct snapshot_sending {
    struct core *core;
    struct metrics *metrics;
    raft_id to;
    raft_index index;
    struct backend_snapshot *view;
    struct kv_snapshot_writer *writer;
    struct grpc_client_call *call;
    uint64_t sent_bytes;
    uint64_t started_ns;
    bool is_done;
};

static void sending_free(struct snapshot_sending *sending)
{
    kv_snapshot_writer_free(sending->writer);
    backend_snapshot_close(sending->view);
    mem_free(sending);
}

static void pump(struct snapshot_sending *sending)
{
    struct buf part = BUF_INIT;
    while (!sending->is_done && grpc_client_call_is_writable(sending->call)) {
        struct err err = {0};
        buf_clear(&part);
        if (kv_snapshot_writer_next(sending->writer, &part, PART_BYTES, &sending->is_done, &err) !=
            0) {
            log_warn("cannot go on sending a snapshot", LOG_TEXT("error", err.text));
            sending->is_done = true;
            grpc_client_call_cancel(sending->call, GRPC_CANCELED);
            break;
        }
        sending->sent_bytes += buf_size(&part);
        grpc_client_call_send(sending->call, buf_bytes(&part));
        if (sending->is_done) {
            grpc_client_call_half_close(sending->call);
        }
    }
    buf_deinit(&part);
}

static void on_writable(struct grpc_client_call *call)
{
    pump(grpc_client_call_data(call));
}

static void on_message(struct grpc_client_call *call, const struct grpc_message *message)
{
    (void)call; /* an empty answer; its status says it all */
    (void)message;
}

static void on_finish(struct grpc_client_call *call, enum grpc_status status, const char *text,
                      const struct http_headers *trailers, bool was_sent)
{
    (void)trailers;
    (void)was_sent;
    struct snapshot_sending *sending = grpc_client_call_data(call);
    char to[32];
    (void)snprintf(to, sizeof to, "%llx", (unsigned long long)sending->to);
    bool ok = status == GRPC_OK;
    metric_child_set(metric_get(sending->metrics, METRIC_SNAPSHOT_SENDING, to), 0);
    metric_child_add(
        metric_get(sending->metrics, ok ? METRIC_SNAPSHOT_SENT : METRIC_SNAPSHOT_SEND_FAILURES, to),
        1);
    if (ok) {
        double seconds = (double)(uv_hrtime() - sending->started_ns) / 1e9;
        metric_child_observe(metric_get(sending->metrics, METRIC_SNAPSHOT_SEND_TIME, to), seconds);
        log_info("sent database snapshot", LOG_ID("remote-peer-id", sending->to),
                 LOG_U64("index", sending->index), LOG_U64("bytes", sending->sent_bytes));
    } else {
        log_warn("failed to send database snapshot", LOG_ID("remote-peer-id", sending->to),
                 LOG_TEXT("error", text));
    }
    core_on_snapshot_sent(sending->core, sending->to, sending->index, ok);
    sending_free(sending);
}

/* HELLO, and the message with what the stream really covers. */
static void send_introduction(struct snapshot_sending *sending, struct raft_message message)
{
    struct buf out = BUF_INIT;
    struct buf encoded = BUF_INIT;
    const struct peer_hello hello = peer_hello_make(sending->core, message.to);
    peer_hello_encode(&out, &hello);
    raft_message_encode(&message, &encoded);
    peer_frame_append(&out, PEER_FRAME_RAFT, buf_bytes(&encoded));
    grpc_client_call_send(sending->call, buf_bytes(&out));
    buf_deinit(&encoded);
    buf_deinit(&out);
}

void peer_snapshot_send(struct core *core, struct grpc_channel *channel,
                        const struct raft_message *message, struct metrics *metrics)
{
    static const struct grpc_client_handler handler = {
        .on_message = on_message, .on_writable = on_writable, .on_finish = on_finish};
    struct backend_snapshot *view = NULL;
    struct err err = {0};
    if (channel == NULL ||
        backend_snapshot_open(core_backend(core), VIEW_AGE_MAX_MS, &view, &err) != 0) {
        core_on_snapshot_sent(core, message->to, message->install_snapshot.meta.last.index, false);
        return;
    }
    struct backend_position applied = backend_snapshot_applied(view);
    struct raft_message introduction = *message;
    struct raft_snapshot_meta *meta = &introduction.install_snapshot.meta;
    if (applied.index > meta->last.index) {
        meta->last = (struct raft_position){.index = applied.index, .term = applied.term};
        meta->members = node_members_at(core_node(core), applied.index);
    }
    struct snapshot_sending *sending = mem_zalloc(sizeof *sending);
    *sending = (struct snapshot_sending){.core = core,
                                         .metrics = metrics,
                                         .to = message->to,
                                         .index = meta->last.index,
                                         .view = view,
                                         .started_ns = uv_hrtime()};
    const struct kv_snapshot_header header = {.cluster_id = core_cluster_id(core),
                                              .size_bytes = backend_snapshot_size_bytes(view)};
    sending->writer = kv_snapshot_writer_new(view, &header);
    char to[32];
    (void)snprintf(to, sizeof to, "%llx", (unsigned long long)sending->to);
    metric_child_set(metric_get(metrics, METRIC_SNAPSHOT_SENDING, to), 1);
    log_info("sending database snapshot", LOG_ID("remote-peer-id", message->to),
             LOG_U64("index", meta->last.index), LOG_U64("size-bytes", header.size_bytes));
    sending->call = grpc_channel_start(channel, &(struct grpc_call_options){
                                                    .path = "/coracle.Peer/Snapshot",
                                                    .handler = &handler,
                                                    .data = sending,
                                                });
    send_introduction(sending, introduction);
    pump(sending);
}

/* --- receiving ------------------------------------------------------------------------------ */

struct snapshot_receiving {
    struct peer_service *service;
    struct core *core;
    struct grpc_call *call;
    struct raft_decoder decoder;
    struct raft_message message;
    struct kv_snapshot_reader *reader; /* NULL: not introduced yet */
    bool is_paused;
};

static void receiving_free(struct snapshot_receiving *receiving, bool is_cancelled)
{
    if (is_cancelled && receiving->reader != NULL) {
        core_stage_cancel(receiving->core);
    }
    grpc_call_set_data(receiving->call, NULL);
    kv_snapshot_reader_free(receiving->reader);
    raft_decoder_deinit(&receiving->decoder);
    mem_free(receiving);
}

static void refuse(struct snapshot_receiving *receiving, enum grpc_status status, const char *text)
{
    struct grpc_call *call = receiving->call;
    log_warn("did not take a snapshot", LOG_TEXT("error", text));
    receiving_free(receiving, /* is_cancelled= */ true);
    if (grpc_call_is_open(call)) {
        grpc_call_finish(call, status, text);
    }
}

static void has_room(void *data)
{
    struct snapshot_receiving *receiving = data;
    if (receiving->is_paused) {
        receiving->is_paused = false;
        grpc_call_resume(receiving->call);
    }
}

/* The first message. True: go on. */
static bool introduce(struct snapshot_receiving *receiving, struct bytes input)
{
    struct core *core = receiving->core;
    struct peer_hello hello;
    enum peer_frame kind;
    struct bytes payload;
    struct err err = {0};
    if (peer_frame_next(&input, &kind, &payload) != 0 || kind != PEER_FRAME_HELLO ||
        peer_hello_decode(payload, &hello) != 0) {
        refuse(receiving, GRPC_INVALID_ARGUMENT, "a snapshot must start with a hello");
        return false;
    }
    if (!peer_hello_check(receiving->service, receiving->call, &hello)) {
        receiving_free(receiving, /* is_cancelled= */ true);
        return false;
    }
    if (peer_frame_next(&input, &kind, &payload) != 0 || kind != PEER_FRAME_RAFT ||
        raft_message_decode(payload, &receiving->decoder, &receiving->message, &err) != 0 ||
        receiving->message.type != RAFT_MESSAGE_INSTALL_SNAPSHOT ||
        receiving->message.from != hello.from || receiving->message.to != core_member_id(core)) {
        refuse(receiving, GRPC_INVALID_ARGUMENT, "a snapshot must start with its message");
        return false;
    }
    if (core_is_staging(core)) {
        refuse(receiving, GRPC_UNAVAILABLE, "another snapshot is being received");
        return false;
    }
    if (!node_wants_snapshot(core_node(core), receiving->message.install_snapshot.meta.last)) {
        refuse(receiving, GRPC_FAILED_PRECONDITION, "the snapshot is older than what is here");
        return false;
    }
    receiving->reader = kv_snapshot_reader_new(core_cluster_id(core));
    core_stage_start(core, has_room, receiving);
    log_info("receiving database snapshot", LOG_ID("remote-peer-id", hello.from),
             LOG_U64("index", receiving->message.install_snapshot.meta.last.index));
    return true;
}

static void take_batches(struct snapshot_receiving *receiving)
{
    for (struct backend_batch *batch = kv_snapshot_reader_take_batch(receiving->reader);
         batch != NULL; batch = kv_snapshot_reader_take_batch(receiving->reader)) {
        core_stage_take_batch(receiving->core, batch);
    }
    if (core_stage_is_full(receiving->core) && !receiving->is_paused) {
        receiving->is_paused = true;
        grpc_call_pause(receiving->call);
    }
}

void peer_snapshot_on_message(struct grpc_call *call, struct bytes message)
{
    struct snapshot_receiving *receiving = grpc_call_data(call);
    struct err err = {0};
    if (receiving == NULL) {
        receiving = mem_zalloc(sizeof *receiving);
        receiving->service = grpc_call_context(call);
        receiving->core = receiving->service->core;
        receiving->call = call;
        raft_decoder_init(&receiving->decoder);
        grpc_call_set_data(call, receiving);
        (void)introduce(receiving, message);
        return;
    }
    int code = kv_snapshot_reader_feed(receiving->reader, message, &err);
    if (code != 0) {
        refuse(receiving, code == ERR_CORRUPT ? GRPC_DATA_LOSS : GRPC_INVALID_ARGUMENT, err.text);
        return;
    }
    take_batches(receiving);
}

void peer_snapshot_on_half_close(struct grpc_call *call)
{
    struct snapshot_receiving *receiving = grpc_call_data(call);
    if (receiving == NULL) {
        return;
    }
    if (receiving->reader == NULL || !kv_snapshot_reader_is_complete(receiving->reader)) {
        refuse(receiving, GRPC_DATA_LOSS, "the snapshot ends early");
        return;
    }
    const struct kv_snapshot_header *header = kv_snapshot_reader_header(receiving->reader);
    const struct raft_snapshot_meta *meta = &receiving->message.install_snapshot.meta;
    if (header->applied.index != meta->last.index || header->applied.term != meta->last.term) {
        refuse(receiving, GRPC_INVALID_ARGUMENT, "the snapshot is not what its message says");
        return;
    }
    take_batches(receiving);
    /* The store itself says that this content was installed, not applied (R34). */
    struct backend_batch *last = backend_batch_new(UINT64_MAX);
    start_add_installed(last, meta);
    core_stage_take_batch(receiving->core, last);
    log_info("received and saved database snapshot", LOG_U64("index", meta->last.index));
    core_stage_finish(receiving->core, &receiving->message);
    receiving_free(receiving, /* is_cancelled= */ false);
    grpc_call_send(call, (struct bytes){NULL, 0});
    grpc_call_finish(call, GRPC_OK, NULL);
}

void peer_snapshot_on_cancel(struct grpc_call *call)
{
    struct snapshot_receiving *receiving = grpc_call_data(call);
    if (receiving != NULL) {
        log_warn("a snapshot broke off");
        receiving_free(receiving, /* is_cancelled= */ true);
    }
}
