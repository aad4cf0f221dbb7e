/* Questions to one named member, whoever leads: the hash of its store. Sent at once or refused; an
 * answer that does not come in time is a time-out. */
#include "base/check.h"
#include "base/mem.h"
#include "kvstore/node/node_internal.h"

enum { ASK_TIMEOUT_MS = 10 * 60 * 1000 }; /* a large store takes long to hash */

struct node_ask {
    struct list link; /* all have the same time-out: in the order of their deadlines */
    uint64_t id;
    uint64_t token;
    raft_id member;
    raft_time_ms deadline;
};

bool node_is_askable(enum node_method method)
{
    return method == NODE_HASH_KV;
}

void node_ask(struct node *node, const struct node_request *request)
{
    if (!node_is_askable(request->method) || !node_peer_is_connected(node, request->member)) {
        node_reply_status(node, request->token, 0, 0, ETCD_UNHEALTHY);
        return;
    }
    struct node_ask *ask = mem_zalloc(sizeof *ask);
    ask->id = node->next_forward_id++;
    ask->token = request->token;
    ask->member = request->member;
    ask->deadline = node->now + ASK_TIMEOUT_MS;
    list_push_back(&node->asks, &ask->link);
    node_send_request_frame(node, request->member, ask->id, request->method, request->body);
}

static void finish(struct node *node, struct node_ask *ask, enum etcd_error status,
                   struct bytes body)
{
    uint64_t token = ask->token;
    list_remove(&ask->link);
    mem_free(ask);
    if (status != ETCD_OK) {
        node_reply_status(node, token, 0, 0, status);
    } else {
        node_reply_bytes(node, token, 0, 0, body);
    }
}

bool node_ask_on_reply(struct node *node, raft_id from, uint64_t id, enum etcd_error status,
                       struct bytes body)
{
    list_foreach_safe (link, &node->asks) {
        struct node_ask *ask = container_of(link, struct node_ask, link);
        if (ask->id == id && ask->member == from) {
            finish(node, ask, status, body);
            return true;
        }
    }
    return false;
}

void node_ask_on_lost_peer(struct node *node, raft_id member)
{
    list_foreach_safe (link, &node->asks) {
        struct node_ask *ask = container_of(link, struct node_ask, link);
        if (ask->member == member) {
            finish(node, ask, ETCD_UNHEALTHY, (struct bytes){NULL, 0});
        }
    }
}

static void fail_until(struct node *node, raft_time_ms end, enum etcd_error status)
{
    list_foreach_safe (link, &node->asks) {
        struct node_ask *ask = container_of(link, struct node_ask, link);
        if (ask->deadline <= end) {
            finish(node, ask, status, (struct bytes){NULL, 0});
        }
    }
}

void node_expire_asks(struct node *node)
{
    fail_until(node, node->now, ETCD_TIMEOUT);
}

raft_time_ms node_asks_deadline(const struct node *node)
{
    return list_is_empty(&node->asks)
               ? RAFT_TIME_NEVER
               : container_of(node->asks.next, struct node_ask, link)->deadline;
}

void node_free_asks(struct node *node)
{
    fail_until(node, RAFT_TIME_NEVER, ETCD_STOPPED);
}
