/* grpc_channel.h - gRPC calls to one endpoint.
 *
 * The channel connects at its first call (or grpc_channel_connect) and again when a call finds it
 * without a connection; after a failure it waits before it tries again (back-off, doubling, with
 * jitter). Calls that start while it connects wait for it; calls that start during the back-off
 * fail at once with Unavailable and the last error, unless they wait_for_ready. Which endpoint to
 * use instead is the caller's policy. Calls that are under way when the connection breaks end with
 * Unavailable; nothing is ever sent twice by this layer.
 *
 * Callbacks run from the loop, never inside the function that asked for the work. */
#ifndef PROTO_GRPC_CHANNEL_H
#define PROTO_GRPC_CHANNEL_H

#include "proto/grpc.h"
#include "proto/http_exchange.h"
#include "proto/tls.h"
#include "proto/wire_loop.h"

struct grpc_channel;
struct grpc_client_call;

enum grpc_channel_state {
    GRPC_CHANNEL_IDLE, /* no connection, none wanted */
    GRPC_CHANNEL_CONNECTING,
    GRPC_CHANNEL_READY,
    GRPC_CHANNEL_BACKOFF, /* the last attempt failed */
};

struct grpc_channel_options {
    const char *host; /* name or address; names are resolved at each attempt */
    uint16_t port;
    const char *unix_path;     /* instead of host and port */
    const char *local_address; /* to connect from; NULL: the system chooses. Outlives the channel */
    const char *authority;     /* NULL: host:port */
    const char *user_agent;    /* NULL: "grpc-c-coracle" */
    struct tls_context *tls;   /* NULL: plaintext. A reference is taken; verifies host unless the
                                  context has a server_name */
    const struct http_header *metadata; /* sent with every call; copied */
    size_t metadata_count;
    struct http_limits limits;   /* keepalive_time_ms: 0 means never for a client */
    uint32_t connect_timeout_ms; /* with TLS and SETTINGS; 0: 5 s */
    uint32_t backoff_min_ms;     /* 0: 100 */
    uint32_t backoff_max_ms;     /* 0: 5000 */
    uint64_t seed;               /* of the jitter */
    size_t receive_bytes_max;    /* of one message; 0: INT32_MAX, as etcd's client */
    /* May be NULL. err is set for GRPC_CHANNEL_BACKOFF, and for IDLE after a lost connection. */
    void (*on_state)(void *context, enum grpc_channel_state state, const struct err *err);
    void *context;
};

struct grpc_channel *grpc_channel_new(struct wire_loop *wire,
                                      const struct grpc_channel_options *options);
/* Calls end with Canceled; done (may be NULL) runs from the loop when all is freed. */
void grpc_channel_close(struct grpc_channel *channel, void (*done)(void *context), void *context);
void grpc_channel_connect(struct grpc_channel *channel);
/* Forget the back-off, try at once if something waits. */
void grpc_channel_reset_backoff(struct grpc_channel *channel);
enum grpc_channel_state grpc_channel_state(const struct grpc_channel *channel);

struct grpc_client_handler {
    /* The response's initial metadata. May be NULL. */
    void (*on_headers)(struct grpc_client_call *call, const struct http_headers *headers);
    void (*on_message)(struct grpc_client_call *call, const struct grpc_message *message);
    void (*on_writable)(struct grpc_client_call *call); /* may be NULL */
    /* Exactly once, the last callback; the pointer is dead when it returns. text is never NULL.
     * was_sent is false if the server cannot have seen the call: safe to try elsewhere. */
    void (*on_finish)(struct grpc_client_call *call, enum grpc_status status, const char *text,
                      const struct http_headers *trailers, bool was_sent);
};

struct grpc_call_options {
    const char *path;                           /* "/etcdserverpb.KV/Put" */
    const ProtobufCMessageDescriptor *response; /* NULL: messages stay raw */
    const struct http_header *metadata;         /* copied */
    size_t metadata_count;
    uint64_t timeout_ms; /* 0: none. Ends with DeadlineExceeded "context deadline exceeded" */
    bool wait_for_ready;
    const struct grpc_client_handler *handler;
    void *data;
};

/* Never NULL: a failure is told by on_finish. Valid until on_finish returns. */
struct grpc_client_call *grpc_channel_start(struct grpc_channel *channel,
                                            const struct grpc_call_options *options);
void *grpc_client_call_data(const struct grpc_client_call *call);
struct grpc_channel *grpc_client_call_channel(const struct grpc_client_call *call);

/* Before on_finish. Messages are queued while the channel connects. */
void grpc_client_call_send(struct grpc_client_call *call, struct bytes message);
void grpc_client_call_send_message(struct grpc_client_call *call, const ProtobufCMessage *message);
void grpc_client_call_send_blob(struct grpc_client_call *call, struct bytes head, struct blob *blob,
                                size_t offset, size_t size);
void grpc_client_call_half_close(struct grpc_client_call *call);
size_t grpc_client_call_queued_bytes(const struct grpc_client_call *call);
bool grpc_client_call_is_writable(const struct grpc_client_call *call);
/* As in grpc_server.h: no on_message while paused. */
void grpc_client_call_pause(struct grpc_client_call *call);
void grpc_client_call_resume(struct grpc_client_call *call);
/* Ends the call; on_finish follows from the loop with this status ("context canceled" for
 * GRPC_CANCELED). */
void grpc_client_call_cancel(struct grpc_client_call *call, enum grpc_status status);

/* One request, one response. done runs exactly once; response is NULL unless status is GRPC_OK, and
 * valid during the call. The returned call may be cancelled until then. */
typedef void grpc_unary_done(void *data, enum grpc_status status, const char *text,
                             const struct grpc_message *response, bool was_sent);
struct grpc_client_call *grpc_channel_unary(struct grpc_channel *channel,
                                            const struct grpc_call_options *options,
                                            const ProtobufCMessage *request, grpc_unary_done *done,
                                            void *data);

#endif
