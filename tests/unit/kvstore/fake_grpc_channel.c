#include "tests/unit/kvstore/fake_grpc_channel.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/arena_allocator.h"

struct grpc_channel {
    struct grpc_channel_options options;
    size_t connect_count;
    enum grpc_channel_state state;
    bool is_closing;
    bool is_closed;
    void (*closed)(void *context);
    void *closed_context;
};

/* The handle that the client sees is the fake itself. */
struct grpc_client_call {
    struct fake_call fake;
};

static struct grpc_channel channels[FAKE_CHANNELS_MAX];
static size_t channel_count;
static struct grpc_client_call calls[FAKE_CALLS_MAX];
static size_t call_count;

void fake_reset(void)
{
    for (size_t i = 0; i < call_count; i++) {
        for (size_t k = 0; k < calls[i].fake.sent_count; k++) {
            buf_deinit(&calls[i].fake.sent[k]);
        }
    }
    memset(channels, 0, sizeof channels);
    memset(calls, 0, sizeof calls);
    channel_count = 0;
    call_count = 0;
}

struct grpc_channel *grpc_channel_new(struct wire_loop *wire,
                                      const struct grpc_channel_options *options)
{
    (void)wire;
    CHECK(channel_count < FAKE_CHANNELS_MAX);
    channels[channel_count].options = *options;
    channel_count += 1;
    return &channels[channel_count - 1];
}

void grpc_channel_close(struct grpc_channel *channel, void (*done)(void *context), void *context)
{
    channel->is_closing = true;
    channel->closed = done;
    channel->closed_context = context;
}

void grpc_channel_connect(struct grpc_channel *channel)
{
    channel->connect_count += 1;
}

void grpc_channel_reset_backoff(struct grpc_channel *channel)
{
    (void)channel;
}

struct grpc_client_call *grpc_channel_start(struct grpc_channel *channel,
                                            const struct grpc_call_options *options)
{
    CHECK(call_count < FAKE_CALLS_MAX);
    struct fake_call *call = &calls[call_count].fake;
    call->channel = channel;
    call->options = *options;
    strcpy(call->path, options->path);
    for (size_t i = 0; i < options->metadata_count; i++) {
        const struct http_header *field = &options->metadata[i];
        if (bytes_equal(field->name, BYTES_LITERAL("token"))) {
            CHECK(field->value.size < sizeof call->token);
            memcpy(call->token, field->value.data, field->value.size);
        }
        call->has_leader_metadata |= bytes_equal(field->name, BYTES_LITERAL("hasleader"));
    }
    call_count += 1;
    return &calls[call_count - 1];
}

void *grpc_client_call_data(const struct grpc_client_call *call)
{
    return call->fake.options.data;
}

void grpc_client_call_send(struct grpc_client_call *call, struct bytes message)
{
    CHECK(call->fake.sent_count < FAKE_SENT_MAX && !call->fake.is_finished);
    buf_append_bytes(&call->fake.sent[call->fake.sent_count], message);
    call->fake.sent_count += 1;
}

void grpc_client_call_send_message(struct grpc_client_call *call, const ProtobufCMessage *message)
{
    struct arena arena = ARENA_INIT;
    grpc_client_call_send(call, proto_encode(message, &arena));
    arena_deinit(&arena);
}

void grpc_client_call_half_close(struct grpc_client_call *call)
{
    call->fake.is_half_closed = true;
}

void grpc_client_call_pause(struct grpc_client_call *call)
{
    (void)call;
}

void grpc_client_call_resume(struct grpc_client_call *call)
{
    (void)call;
}

void grpc_client_call_cancel(struct grpc_client_call *call, enum grpc_status status)
{
    (void)status;
    call->fake.is_cancelled = true;
}

size_t fake_connect_count(size_t channel)
{
    return channels[channel].connect_count;
}

void fake_set_state(size_t channel, enum grpc_channel_state state, const char *problem)
{
    struct err err = {.code = -111};
    if (problem != NULL) {
        strcpy(err.text, problem);
    }
    channels[channel].state = state;
    channels[channel].options.on_state(channels[channel].options.context, state,
                                       problem != NULL ? &err : NULL);
}

size_t fake_call_count(void)
{
    return call_count;
}

struct fake_call *fake_call_at(size_t index)
{
    CHECK(index < call_count);
    return &calls[index].fake;
}

struct fake_call *fake_call_open(const char *path)
{
    for (size_t i = call_count; i > 0; i--) {
        struct fake_call *call = &calls[i - 1].fake;
        if (!call->is_finished && !call->is_cancelled && strcmp(call->path, path) == 0) {
            return call;
        }
    }
    return NULL;
}

size_t fake_call_channel(const struct fake_call *call)
{
    return (size_t)(call->channel - channels);
}

static struct grpc_client_call *handle_of(struct fake_call *call)
{
    return container_of(call, struct grpc_client_call, fake);
}

void fake_call_reply(struct fake_call *call, const ProtobufCMessage *message)
{
    struct arena arena = ARENA_INIT;
    struct grpc_message reply = {.raw = proto_encode(message, &arena)};
    if (call->options.response != NULL) {
        reply.decoded = proto_decode(call->options.response, reply.raw, &arena);
    }
    call->options.handler->on_message(handle_of(call), &reply);
    arena_deinit(&arena);
}

void fake_call_finish(struct fake_call *call, enum grpc_status status, const char *text,
                      bool was_sent)
{
    CHECK(!call->is_finished);
    call->is_finished = true;
    call->options.handler->on_finish(handle_of(call), status, text, NULL, was_sent);
}

const void *fake_call_sent(const struct fake_call *call, size_t index,
                           const ProtobufCMessageDescriptor *type, struct arena *arena)
{
    CHECK(index < call->sent_count);
    return proto_decode(type, buf_bytes(&call->sent[index]), arena);
}

void fake_run(void)
{
    for (size_t i = 0; i < call_count; i++) {
        struct fake_call *call = &calls[i].fake;
        if (!call->is_finished && (call->is_cancelled || call->channel->is_closing)) {
            fake_call_finish(call, GRPC_CANCELED, "context canceled", true);
        }
    }
    for (size_t i = 0; i < channel_count; i++) {
        if (channels[i].is_closing && !channels[i].is_closed) {
            channels[i].is_closed = true;
            channels[i].closed(channels[i].closed_context);
        }
    }
}
