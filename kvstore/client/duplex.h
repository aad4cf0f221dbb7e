/* duplex.h - a two-way stream that is opened again whenever it breaks (Watch, LeaseKeepAlive).
 *
 *   IDLE --start--> WAITING --endpoint--> OPEN
 *                    ^   ^                  | broke, worth another attempt
 *                    |   +--- first time ---+
 *                    +--- PAUSED <----------+ again and again: with a growing delay
 *
 * Internal to the client library; embedded in its owner. */
#ifndef KVSTORE_CLIENT_DUPLEX_H
#define KVSTORE_CLIENT_DUPLEX_H

#include "kvstore/client/client_internal.h"

struct duplex;
struct duplex_link;

struct duplex_handler {
    const char *path;
    const ProtobufCMessageDescriptor *response;
    bool needs_leader; /* the server ends the stream when it has had no leader for a while */
    void (*on_open)(struct duplex *duplex);
    /* May stop or deinit the duplex. */
    void (*on_message)(struct duplex *duplex, const struct grpc_message *message);
    /* The stream ended. It is opened again unless the handler stops it. status is the reason why
     * not, when is_final: an answer that another attempt would not change. */
    void (*on_broken)(struct duplex *duplex, enum grpc_status status, const char *text,
                      bool is_final);
};

enum duplex_state { DUPLEX_IDLE, DUPLEX_WAITING, DUPLEX_OPEN, DUPLEX_PAUSED };

struct duplex {
    struct kv_client *client;
    const struct duplex_handler *handler;
    enum duplex_state state;
    struct client_waiter waiter;
    struct timer timer;       /* PAUSED */
    struct duplex_link *link; /* OPEN: outlives us until gRPC lets go of it */
    uint32_t failures;        /* since duplex_note_success */
    uint64_t token_generation;
};

void duplex_init(struct duplex *duplex, struct kv_client *client,
                 const struct duplex_handler *handler);
void duplex_start(struct duplex *duplex); /* if idle */
void duplex_stop(struct duplex *duplex);  /* no callback comes until the next start */
/* Stop and start: e.g. to use a new token. on_broken is not called. */
void duplex_restart(struct duplex *duplex);
void duplex_send(struct duplex *duplex, const ProtobufCMessage *message); /* OPEN only */
void duplex_note_success(struct duplex *duplex);

#endif
