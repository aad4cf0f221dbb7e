/* loopback.h - a gRPC server and a channel to it on one loop, for tests with real sockets. */
#ifndef TESTS_UNIT_PROTO_LOOPBACK_H
#define TESTS_UNIT_PROTO_LOOPBACK_H

#include "base/buf.h"
#include "proto/grpc_channel.h"
#include "proto/grpc_server.h"
#include "proto/listener.h"

enum loopback_method {
    LOOPBACK_RANGE,  /* unary, typed: the key comes back as a KeyValue */
    LOOPBACK_ECHO,   /* bidirectional, raw */
    LOOPBACK_HANG,   /* unary, never answered */
    LOOPBACK_FAIL,   /* unary, NotFound with a text that needs encoding */
    LOOPBACK_FLOOD,  /* server stream of LOOPBACK_FLOOD_COUNT messages of 10000 bytes */
    LOOPBACK_COLLECT /* client stream: answers the number of bytes, as text */
};

enum { LOOPBACK_FLOOD_COUNT = 1000, LOOPBACK_FLOOD_BYTES = 10000 };

struct loopback {
    uv_loop_t loop;
    struct wire_loop *wire;
    struct grpc_server *server;
    struct listener *listener;
    struct grpc_channel *channel;
    struct blob *flood;
    uv_timer_t guard;
    unsigned closing;
    /* What the server saw. */
    unsigned cancel_count;
    enum grpc_status cancel_reason;
    unsigned trouble_count;
    char trouble[300];
    char peer_name[100]; /* common name of the last call's client */
};

struct loopback_options {
    struct tls_context *server_tls;
    struct tls_context *client_tls;
    struct http_limits server_limits;
    struct http_limits client_limits;
    const char *client_host; /* NULL: 127.0.0.1 */
    size_t send_bytes_max;
    uint32_t handshakes_max;
    uint32_t connections_max;
    bool use_unix;
};

void loopback_open(struct loopback *loopback, const struct loopback_options *options);
void loopback_close(struct loopback *loopback);
/* Run the loop until *flag is not 0; fails the test after 20 s. */
void loopback_run(struct loopback *loopback, const unsigned *flag);

/* The result of a call. */
struct outcome {
    unsigned done;
    unsigned message_count;
    enum grpc_status status;
    char text[500];
    bool was_sent;
    struct buf received; /* raw messages, one after the other */
};

extern const struct grpc_client_handler outcome_handler; /* data is a struct outcome */
void outcome_unary_done(void *data, enum grpc_status status, const char *text,
                        const struct grpc_message *response, bool was_sent);
void outcome_deinit(struct outcome *outcome);

#endif
