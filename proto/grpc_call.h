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

/* Lives in its exchange's arena. */
struct grpc_call {
    struct grpc_server *server;
    const struct grpc_method *method;
    struct http_exchange *exchange;
    void *data;
    struct list link;
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

/* Deliver what has arrived, unless paused. */
void grpc_call_receive(struct grpc_call *call, struct bytes data);
/* No callbacks any more; what the answer is has been said. */
void grpc_call_close(struct grpc_call *call);

#endif
