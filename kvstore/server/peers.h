/* peers.h - the transport between members: one outgoing stream to each peer, over the same gRPC
 * stack that clients use.
 *
 * Wire: RPC /coracle.Peer/Stream, a stream of messages from the dialing member; each is a run of
 * frames {size (4), kind (1), payload}, integers little-endian. The first frame is HELLO. RPC
 * /coracle.Peer/Snapshot is described in peer_snapshot.h, /coracle.Peer/Members answers a
 * MemberListResponse to members that join. Everything sent may be lost; nothing is queued for a
 * peer that is not connected, and what waits for a slow one is bounded. */
#ifndef KVSTORE_SERVER_PEERS_H
#define KVSTORE_SERVER_PEERS_H

#include "kvstore/server/config.h"
#include "kvstore/server/core.h"
#include "kvstore/server/peer_registry.h"
#include "proto/grpc_channel.h"
#include "proto/grpc_server.h"

struct peers;

enum {
    PEER_QUEUE_BYTES_MAX = 64 << 20,   /* unsent to one peer; more is dropped, raft sends again */
    PEER_MESSAGE_BYTES_MAX = 96 << 20, /* one gRPC message of frames */
    PEER_RECONNECT_MS = 100
};

/* The answer to a member that the cluster has removed: it stops. */
#define PEER_REMOVED_TEXT "the member has been permanently removed from the cluster"
/* The answer to one whose disk is not the one it had: it stops, too. */
#define PEER_LOST_DATA_TEXT                                                                        \
    "this member's data is lost or an old copy: remove it from the cluster and add it again with " \
    "an empty data directory"

enum peer_frame {
    PEER_FRAME_HELLO = 1,
    PEER_FRAME_RAFT,
    PEER_FRAME_NODE,
    PEER_FRAME_PING,
    PEER_FRAME_PONG
};

enum { PEER_PING_BYTES = 8 }; /* the sender's clock; a pong carries the same back */

struct peers_options {
    struct wire_loop *wire;
    struct core *core;
    struct tls_context *tls; /* for https peer URLs; NULL: none can be reached */
    struct metrics *metrics;
    const char *local_address; /* to connect from; NULL: any. Outlives peers */
    uint64_t seed;
    /* This member was told that the cluster has removed it, or that its data is not what it was. */
    void (*on_removed)(void *context);
    void (*on_lost_data)(void *context);
    void *context;
};

struct peers *peers_new(const struct peers_options *options);
/* done runs from the loop when every connection is closed and the object is freed. */
void peers_close(struct peers *peers, void (*done)(void *context), void *context);

/* This peer is reached at these URLs from now on (copied). */
void peers_put(struct peers *peers, raft_id id, const struct config_urls *urls);
/* Only the peers in ids stay. */
void peers_keep(struct peers *peers, const raft_id *ids, uint32_t count);

void peers_send(struct peers *peers, const struct raft_message *message);
void peers_send_frame(struct peers *peers, raft_id to, struct bytes frame);
void peers_flush(struct peers *peers);
/* Measure the round trip to everybody. */
void peers_ping(struct peers *peers);
void peers_on_ping(struct peers *peers, raft_id from, struct bytes payload);
void peers_on_pong(struct peers *peers, raft_id from, struct bytes payload);
/* The channel to a peer, for other calls; NULL: unknown. */
struct grpc_channel *peers_channel(struct peers *peers, raft_id id);
uint32_t peers_connected_count(const struct peers *peers);

/* The first frame: who speaks to whom, and from which disk (peer_registry.h). */
struct peer_hello {
    uint64_t cluster_id;
    raft_id from;
    raft_id to;
    uint64_t log_id;
    uint64_t incarnation;
};
void peer_hello_encode(struct buf *out, const struct peer_hello *hello);
/* That of this member to another. */
struct peer_hello peer_hello_make(const struct core *core, raft_id to);
void peer_frame_append(struct buf *out, enum peer_frame kind, struct bytes payload);
/* Take the next frame off input; ERR_MALFORMED. */
MUST_USE int peer_frame_next(struct bytes *input, enum peer_frame *ret_kind,
                             struct bytes *ret_payload);
MUST_USE int peer_hello_decode(struct bytes payload, struct peer_hello *ret);

/* The services a peer listener offers; the context of the gRPC server. */
struct peer_service {
    struct core *core;
    struct peer_registry *registry;
    struct peers *peers; /* NULL until they are made */
    struct metrics *metrics;
    struct list streams; /* incoming ones that said hello */
};

/* Finish a call with what is wrong with its hello; true: it is fine. */
bool peer_hello_check(struct peer_service *service, struct grpc_call *call,
                      const struct peer_hello *hello);
/* Members were removed: tell those that are connected. */
void peer_service_drop_removed(struct peer_service *service);

extern const struct grpc_handler peer_service_handler;
extern const struct grpc_method peer_service_methods[];
extern const size_t peer_service_method_count;

#endif
