#include "kvstore/server/peer_snapshot.h"
void peer_snapshot_send(struct core *core, struct grpc_channel *channel,
                        const struct raft_message *message, struct metrics *metrics)
{
    (void)core;
    (void)channel;
    (void)message;
    (void)metrics;
}
void peer_snapshot_on_message(struct grpc_call *call, struct bytes message)
{
    (void)message;
    grpc_call_finish(call, GRPC_UNIMPLEMENTED, "");
}
void peer_snapshot_on_half_close(struct grpc_call *call)
{
    (void)call;
}
void peer_snapshot_on_cancel(struct grpc_call *call)
{
    (void)call;
}
