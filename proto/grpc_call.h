/* grpc_call.h - the server's call, shared by grpc_server.c (taking calls, receiving) and
 * grpc_call.c (what programs do with one). Not for users. */
#ifndef PROTO_GRPC_CALL_H
#define PROTO_GRPC_CALL_H

#include "base/map.h"
#include "proto/grpc_frame.h"
#include "proto/grpc_server.h"

struct grpc_server {
    struct grpc_server_options options;
    struct bytes_map methods; /* path -> const struct grpc_method */
    struct list calls;        /* open */
    uint64_t call_count;
};

struct grpc_gateway_call;

/* Lives in its exchange's arena. */
struct grpc_call {
    struct grpc_server *server;
    const struct grpc_method *method;
    struct http_exchange *exchange;
    struct grpc_gateway_call *gateway; /* NULL: the call came as gRPC */
    void *data;
    struct list link;
    uint64_t started_ms; /* timers' clock */
    struct timer deadline;
    struct timer resume;
    struct grpc_deframer in;
    struct arena message_arena; /* streams: of the message being handled */
    uint32_t message_count;     /* received */
    size_t held_bytes;          /* received while paused, not consumed */
    size_t oversize_bytes;      /* of a message that is too large to be sent; 0: none */
    bool is_open;
    bool is_paused;
    bool is_delivering; /* a callback for a message is running */
    bool has_end;       /* the client has half-closed */
    bool told_end;
};

/* A call on x, open; its deadline runs if there is one. */
struct grpc_call *grpc_call_open(struct grpc_server *server, struct http_exchange *x,
                                 const struct grpc_method *method, const uint64_t *timeout_ms);
/* One request message, complete. */
void grpc_call_deliver(struct grpc_call *call, struct bytes raw);
/* Tell the handler of the end of the requests, once, unless paused. */
void grpc_call_tell_end(struct grpc_call *call);
/* The layer's own end of a call: answered, and told to the handler. */
void grpc_call_fail(struct grpc_call *call, enum grpc_status status, const char *text);
/* The exchange is over: on_cancel if the call was not. */
void grpc_call_on_exchange_close(struct grpc_call *call);
/* Deliver what has arrived, unless paused. */
void grpc_call_receive(struct grpc_call *call, struct bytes data);

/* grpc_gateway.c: the same for a call that came as JSON. */
void grpc_gateway_receive(struct grpc_call *call);
void grpc_gateway_begin_message(struct grpc_call *call, size_t size);
void grpc_gateway_add(struct grpc_call *call, struct bytes piece);
void grpc_gateway_finish(struct grpc_call *call, enum grpc_status status, const char *text);

/* No callbacks any more; what the answer is has been said. */
void grpc_call_close(struct grpc_call *call);

#endif
