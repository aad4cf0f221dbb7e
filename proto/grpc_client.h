/* grpc_client.h - the client's call and channel, shared by grpc_channel.c (connections, which call
 * goes where) and grpc_client_call.c (one call). Not for users. */
#ifndef PROTO_GRPC_CLIENT_H
#define PROTO_GRPC_CLIENT_H

#include "base/prng.h"
#include "proto/dialer.h"
#include "proto/grpc_channel.h"
#include "proto/grpc_frame.h"

/* Waiting (in channel->waiting, no exchange) -> active (channel->active) -> finished
 * (channel->finished, on_finish is due) -> freed. */
struct grpc_client_call {
    struct grpc_channel *channel;
    const struct grpc_client_handler *handler;
    grpc_unary_done *unary_done; /* instead of handler */
    void *data;
    const ProtobufCMessageDescriptor *response;
    struct arena arena;
    struct arena message_arena; /* streams: of the message being handled */
    struct bytes path;
    struct http_header *metadata;
    size_t metadata_count;
    struct list link;
    struct timer deadline;
    struct wire_task resume_task;
    struct http_exchange *exchange; /* a reference; NULL while waiting */
    struct chain queued;            /* while waiting */
    struct grpc_deframer in;
    size_t held_bytes;
    struct grpc_message unary_response;
    uint32_t message_count;

    enum grpc_status status; /* of a finished call */
    const char *text;
    bool was_sent;

    bool wait_for_ready;
    bool has_timeout;
    bool is_half_closed;
    bool is_paused;
    bool has_end; /* the response is complete, on_finish waits for paused messages */
    bool is_finished;
};

struct grpc_channel {
    struct wire_loop *wire;
    struct grpc_channel_options options; /* texts are our own */
    char *host;
    char *unix_path;
    char *authority;
    char *user_agent;
    struct arena arena; /* channel metadata */
    struct http_header *metadata;
    size_t metadata_count;

    enum grpc_channel_state state;
    struct channel_link *link; /* the current connection or attempt; NULL in IDLE and BACKOFF */
    struct list retired;       /* connections that drain */
    struct list waiting;
    struct list active;
    struct list finished;
    struct wire_task finish_task;
    struct timer backoff;
    uint32_t backoff_ms;
    struct prng random;
    struct err last_error;
    bool is_closing;
    void (*closed)(void *context);
    void *closed_context;
};

/* Put the call's request on the connection. False: it takes no more, use another. */
bool grpc_client_call_begin(struct grpc_client_call *call, struct connection *connection);
/* The result; on_finish follows from the loop. text is copied. */
void grpc_client_call_end(struct grpc_client_call *call, enum grpc_status status, const char *text);
void grpc_client_call_init_tasks(struct grpc_client_call *call);
/* Runs on_finish and frees the call. */
void grpc_client_call_deliver(struct grpc_client_call *call);

#endif
