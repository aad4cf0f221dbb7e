/* forward.h - requests that only a node can answer: logs, exec, attach, port-forward.
 *
 * The API server has authenticated and authorized the client; what follows is a byte tunnel to the
 * node's agent (agent/server.h), which speaks WebSocket itself. The agent believes who knows the
 * token that it keeps in the Secret kube-system/agent-<node>. */
#ifndef ORCHESTRATOR_APISERVER_FORWARD_H
#define ORCHESTRATOR_APISERVER_FORWARD_H

#include "orchestrator/registry/registry.h"
#include "proto/http_exchange.h"
#include "proto/wire_loop.h"

#define FORWARD_SECRET_NAMESPACE "kube-system"
#define FORWARD_SECRET_PREFIX "agent-"
#define FORWARD_SECRET_KEY "token"

/* Borrowed; all outlive every exchange. */
struct forwarder {
    struct wire_loop *wire;
    struct registry *registry;
};

/* How to reach a node's agent. */
struct forward_target {
    char host[64];
    uint16_t port;
    char *token; /* owned */
};
/* NULL, or a Status that says why it cannot be reached. */
MUST_USE json_t *forward_find(const struct forwarder *forwarder, const char *node,
                              struct forward_target *ret);

/* Logs and the like of a pod: takes over the exchange (handler and data). The request is borrowed
 * for the call. */
void forward_pod(const struct forwarder *forwarder, struct http_exchange *x,
                 const struct request *request, const json_t *pod);

/* A whole JSON answer of an agent; code 0 when it cannot be had. done runs once, from the loop. */
typedef void forward_done(void *context, int code, const json_t *body);
void forward_get(const struct forwarder *forwarder, const char *node, const char *path,
                 forward_done *done, void *context);

#endif
