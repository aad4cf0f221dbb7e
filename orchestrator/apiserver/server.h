/* server.h - the Kubernetes API over HTTP: a skin over the registry that keeps no state of its own
 * beyond open connections. Any number of them may serve one store. */
#ifndef ORCHESTRATOR_APISERVER_SERVER_H
#define ORCHESTRATOR_APISERVER_SERVER_H

#include "base/err.h"
#include "orchestrator/registry/registry.h"
#include "proto/listener.h"

struct apiserver;
struct forwarder; /* forward.h */

struct apiserver_options {
    struct wire_loop *wire;    /* borrowed; outlives the server */
    struct registry *registry; /* borrowed; outlives the server */
    uint64_t seed;
    const char *token_file; /* lines "token,user,uid,\"group,group\""; NULL: none. Read once */
    /* Key that signs and checks the tokens of service accounts; at least 32 bytes. */
    struct bytes token_key;
    /* How to reach the nodes: logs, exec, attach, port-forward of pods, and metrics. NULL: nobody
     * can be reached. Borrowed. */
    const struct forwarder *forwarder;
    /* What the web page shows of the store's members: done takes the view, once, later or at once.
     * NULL: there is none. */
    void (*view_store)(void *context, void (*done)(void *call, json_t *take_view), void *call);
    void *view_store_context;
};

struct apiserver *apiserver_new(const struct apiserver_options *options, struct err *err);
/* Its listeners are closed before. Watches end. */
void apiserver_free(struct apiserver *server);

/* A static token of somebody in this group; NULL when there is none. The caller frees. */
char *apiserver_find_token(const struct apiserver *server, const char *group);

/* For listener_options.handler: with handler_data = a struct apiserver_entry. */
extern const struct http_handler apiserver_handler;

/* A way in. Borrowed by the listener. */
struct apiserver_entry {
    struct apiserver *server;
    bool is_trusted; /* who connects here is system:masters: a socket that only root reaches */
};

#endif
