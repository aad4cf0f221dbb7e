/* server.h - one kvd process: opens everything from a configuration, runs, and shuts down. */
#ifndef KVSTORE_SERVER_SERVER_H
#define KVSTORE_SERVER_SERVER_H

#include "kvstore/server/bootstrap.h"
#include "kvstore/server/http_service.h"
#include "kvstore/server/memory_keeper.h"
#include "kvstore/server/peers.h"
#include "kvstore/server/upkeep.h"
#include "proto/listener.h"
#include "proto/service_watchdog.h"

#define KVD_VERSION "3.7.1" /* the etcd version whose interface this is */

enum {
    SERVER_LISTENERS_MAX = 3 * CONFIG_URLS_MAX,
    SERVER_HAND_OVER_MS = 500, /* of the 1.5 s that a shutdown may take */
    SERVER_DRAIN_MS = 500,
    SERVER_RELOAD_MS = 5000 /* how often certificate files are looked at */
};

/*
 *   STARTING --> RUNNING --(signal)--> HANDING_OVER --> DRAINING --> CLOSING --> CLOSED
 *                   |                                                   ^
 *                   +-----------------(failure)-------------------------+
 */
enum server_state {
    SERVER_STARTING,
    SERVER_RUNNING,
    SERVER_HANDING_OVER,
    SERVER_DRAINING,
    SERVER_CLOSING,
    SERVER_CLOSED
};

struct server {
    struct config *config;
    unsigned state; /* enum server_state */
    int exit_code;

    uv_loop_t *loop;
    struct wire_loop *wire;
    struct metrics *metrics;
    struct tls_context *client_tls; /* of client listeners */
    struct tls_context *peer_tls;   /* of peer listeners */
    struct tls_context *dial_tls;   /* to peers */
    struct core *core;
    struct peers *peers;
    struct peer_service peer_service;
    struct service service;
    struct upkeep upkeep;
    struct grpc_server *client_grpc;
    struct grpc_server *peer_grpc;
    struct http_service client_http;
    struct http_service client_http_only; /* --listen-client-http-urls */
    struct http_service metrics_http;     /* --listen-metrics-urls */
    struct http_service peer_http;
    struct listener *listeners[SERVER_LISTENERS_MAX];
    unsigned listener_count;
    unsigned open_parts; /* listeners, peers, wire: being closed */

    struct bootstrap bootstrap; /* of the first start; else empty */
    bool has_leader;

    uv_signal_t sigterm;
    uv_signal_t sigint;
    struct timer shutdown_timer;
    struct timer progress_timer;
    struct timer reload_timer;
    struct service_watchdog watchdog;

    struct memory_keeper memory_keeper;
    struct core_call publish_call;
    struct timer publish_timer;
    struct buf publish_body;
    bool is_published;
};

/* Everything up to and including the listeners. On failure *err says why and *ret_exit_code what
 * the process should exit with; server_close is still to be called. */
MUST_USE int server_open(struct server *server, struct config *config, uv_loop_t *loop,
                         int *ret_exit_code, struct err *err);
/* Until a signal or a failure; returns the exit code. */
int server_run(struct server *server);
void server_close(struct server *server); /* after server_run, or after a failed server_open */

/* server_events.c: what the core tells */
struct core_events server_core_events(struct server *server);
void server_update_peers(struct server *server);
void server_refresh_metrics(void *context);
void server_fail(struct server *server, int exit_code, const char *text);
void server_on_removed(void *context); /* a peer says so */
void server_on_lost_data(void *context);

/* publish.c: tell the cluster this member's name and client URLs, then be ready */
void publish_start(struct server *server);
void publish_stop(struct server *server);

/* server_tls.c */
MUST_USE int server_make_tls(struct server *server, struct err *err);

#endif
