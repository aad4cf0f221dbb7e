#include "kvstore/node/node_internal.h"

void node_reply_status(struct node *node, uint64_t token, raft_id peer, uint64_t peer_id,
                       enum etcd_error status)
{
    if (peer != 0) {
        node_send_reply_frame(node, peer, peer_id, status, (struct bytes){NULL, 0});
    } else if (token != 0) {
        const struct node_reply reply = {.status = status};
        node->io.reply(node->io.context, token, &reply);
    }
}

void node_reply_bytes(struct node *node, uint64_t token, raft_id peer, uint64_t peer_id,
                      struct bytes body)
{
    if (peer != 0) {
        node_send_reply_frame(node, peer, peer_id, ETCD_OK, body);
    } else if (token != 0) {
        const struct node_reply reply = {.status = ETCD_OK, .body = body};
        node->io.reply(node->io.context, token, &reply);
    }
}
