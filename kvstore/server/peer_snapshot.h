/* peer_snapshot.h - the state machine as a stream, for a member whose log is too far behind.
 *
 * RPC /coracle.Peer/Snapshot, a client stream of the leader. The first message is a HELLO frame and
 * a RAFT frame with the INSTALL_SNAPSHOT message (its meta is what the stream covers); the others
 * are parts of the stream that kv_snapshot_writer makes. The call ends with OK when the receiver
 * has all of it, verified and staged durably beside its present state. */
#ifndef KVSTORE_SERVER_PEER_SNAPSHOT_H
#define KVSTORE_SERVER_PEER_SNAPSHOT_H

#include "kvstore/server/core.h"
#include "proto/grpc_channel.h"
#include "proto/grpc_server.h"

/* Begin to stream to message->to; channel NULL: it is not reachable. core_on_snapshot_sent follows
 * in any case. */
void peer_snapshot_send(struct core *core, struct grpc_channel *channel,
                        const struct raft_message *message, struct metrics *metrics);

/* The receiving side, of calls of that method; the context of the gRPC server is the
 * struct peer_service. */
void peer_snapshot_on_message(struct grpc_call *call, struct bytes message);
void peer_snapshot_on_half_close(struct grpc_call *call);
void peer_snapshot_on_cancel(struct grpc_call *call);

#endif
