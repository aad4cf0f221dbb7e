/* grpc_server.h - answers gRPC calls that arrive as HTTP exchanges.
 *
 * One object per loop; no locks, no sockets, no clock of its own. The embedding program gives a
 * table of methods and a handler; calls come as
 *
 *     on_call_start -> on_message* -> on_half_close      and one end: grpc_call_finish, or
 * on_cancel
 *
 * A call pointer is valid until grpc_call_finish was called or on_cancel has returned. Who must
 * keep it longer (a reply that another thread makes) holds a reference; functions on an ended call
 * do nothing, so a late reply is harmless. Callbacks never run inside grpc_call_* functions.
 *
 * Unary methods and server streams: exactly one on_message, unless the call ends before. A missing
 * or second message is answered by this layer; so are unknown methods (Unimplemented), undecodable
 * requests (Internal, as grpc-go), too large ones (ResourceExhausted) and passed deadlines. */
#ifndef PROTO_GRPC_SERVER_H
#define PROTO_GRPC_SERVER_H

#include "proto/grpc.h"
#include "proto/http_exchange.h"
#include "proto/timers.h"

struct grpc_call;
struct grpc_server;

struct grpc_method {
    const char *path;                          /* "/etcdserverpb.KV/Range"; lives as the server */
    const ProtobufCMessageDescriptor *request; /* NULL: messages stay raw */
    bool client_stream;
    bool server_stream;
    int id; /* the program's */
};

struct grpc_handler {
    /* Path, metadata and peer are known; nothing was received yet. May finish the call (an
     * authentication failure). May be NULL. */
    void (*on_call_start)(struct grpc_call *call);
    void (*on_message)(struct grpc_call *call, const struct grpc_message *message);
    /* The client will send no more. May be NULL; finish a stream here or later. */
    void (*on_half_close)(struct grpc_call *call);
    /* The call is over without grpc_call_finish: GRPC_CANCELED (by the client, or its connection is
     * gone), GRPC_DEADLINE_EXCEEDED, or what this layer answered (GRPC_INTERNAL,
     * GRPC_RESOURCE_EXHAUSTED for a bad message on a stream). */
    void (*on_cancel)(struct grpc_call *call, enum grpc_status reason);
    /* grpc_call_is_writable became true again. May be NULL. */
    void (*on_writable)(struct grpc_call *call);
};

struct grpc_server_options {
    const struct grpc_method *methods; /* copied as pointers: must outlive the server */
    size_t method_count;
    const struct grpc_handler *handler;
    void *context;
    struct timers *timers;
    size_t receive_bytes_max; /* of one message; 0: GRPC_RECEIVE_BYTES_MAX */
    size_t send_bytes_max;    /* 0: INT32_MAX. A larger message ends its call with ResourceExhausted
                                 (on_cancel, unless grpc_call_finish comes first) */
};

struct grpc_server *grpc_server_new(const struct grpc_server_options *options);
void grpc_server_free(struct grpc_server *server); /* after its connections are closed */

/* For a router's on_headers: true if x was a gRPC request and is now this server's (it may already
 * be answered); false if it is not one and still the caller's. */
bool grpc_server_try_take(struct grpc_server *server, struct http_exchange *x);
/* A handler that takes everything: gRPC, or 404 for the rest; context is the server. */
extern const struct http_handler grpc_server_http_handler;

uint64_t grpc_server_call_count(const struct grpc_server *server); /* open calls */
/* End every open call with this status (a shutdown): on_cancel runs for each. */
void grpc_server_cancel_all(struct grpc_server *server, enum grpc_status status, const char *text);

/* What is known about a call; borrowed from it. */
const struct grpc_method *grpc_call_method(const struct grpc_call *call);
void *grpc_call_context(const struct grpc_call *call); /* of the server's options */
void *grpc_call_data(const struct grpc_call *call);
void grpc_call_set_data(struct grpc_call *call, void *data);
const struct http_peer *grpc_call_peer(const struct grpc_call *call); /* NULL once closed */
/* Request metadata by lower-case name; {NULL, 0} if absent. All of it: grpc_call_headers. */
struct bytes grpc_call_metadata(const struct grpc_call *call, const char *name);
const struct http_headers *grpc_call_headers(const struct grpc_call *call);
struct bytes grpc_call_authority(const struct grpc_call *call);
bool grpc_call_is_gateway(const struct grpc_call *call);      /* it came as JSON (grpc_gateway.h) */
uint64_t grpc_call_age_ms(const struct grpc_call *call);      /* since it was opened */
uint64_t grpc_call_deadline_ms(const struct grpc_call *call); /* timers' clock; UINT64_MAX: none */
/* Dropped with the call. For streams: what was decoded is not in it, the program may use it. */
struct arena *grpc_call_arena(struct grpc_call *call);
bool grpc_call_is_open(const struct grpc_call *call);

/* Send one message: bytes (copied), an encoded message, or head (copied) followed by shared
 * blob[offset, offset + size) as one message. */
void grpc_call_send(struct grpc_call *call, struct bytes message);
void grpc_call_send_message(struct grpc_call *call, const ProtobufCMessage *message);
void grpc_call_send_blob(struct grpc_call *call, struct bytes head, struct blob *blob,
                         size_t offset, size_t size);
/* One message of any make: begin with its exact size, then pieces that add up to it. */
void grpc_call_begin_message(struct grpc_call *call, size_t size);
void grpc_call_add(struct grpc_call *call, struct bytes piece);
void grpc_call_add_blob(struct grpc_call *call, struct blob *blob, size_t offset, size_t size);

/* End the call. text may be NULL, is UTF-8 and sent percent-encoded. The plain case is
 * grpc_call_finish(call, GRPC_OK, NULL). */
void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *text);
void grpc_call_finish_with_trailers(struct grpc_call *call, enum grpc_status status,
                                    const char *text, const struct http_header *trailers,
                                    size_t count);

/* Back-pressure, out: bytes the connection has not taken; writable below HTTP_QUEUE_HIGH_BYTES. */
size_t grpc_call_queued_bytes(const struct grpc_call *call);
bool grpc_call_is_writable(const struct grpc_call *call);
/* Of all calls of its connection. */
size_t grpc_call_connection_queued_bytes(const struct grpc_call *call);
/* Back-pressure, in: no on_message while paused (what has arrived waits, the client's window
 * closes). Nests not. */
void grpc_call_pause(struct grpc_call *call);
void grpc_call_resume(struct grpc_call *call);

struct grpc_call *grpc_call_ref(struct grpc_call *call);
void grpc_call_unref(struct grpc_call *call);

#endif
