/* http_service.h - what a client listener serves beside gRPC: /health, /livez, /readyz, /version,
 * /metrics, and on peer listeners /members and /version. Paths and bodies are etcd's. */
#ifndef KVSTORE_SERVER_HTTP_SERVICE_H
#define KVSTORE_SERVER_HTTP_SERVICE_H

#include "kvstore/server/service.h"
#include "proto/grpc_gateway.h"
#include "proto/http_exchange.h"

struct http_service {
    struct service *service;
    struct grpc_server *grpc;     /* NULL: this listener has none */
    struct grpc_gateway *gateway; /* of grpc as JSON below /v3/; NULL: none */
    struct metrics *metrics;
    /* Gauges that are read when somebody looks. */
    void (*refresh_metrics)(void *context);
    void *context;
    const char *version;
    bool has_peer_paths;
    const char *cors;           /* --cors; NULL: a peer listener, to which browsers do not speak */
    const char *host_whitelist; /* --host-whitelist */
};

/* For listener_options: handler_data is the struct http_service. */
extern const struct http_handler http_service_handler;

/* The value of a query parameter: "?a=1&b" gives "1" for a, "" for b; false if it is not there.
 * nth counts equal names from 0. Not percent-decoded: the names and values used here have none. */
bool http_query_find(struct bytes path, const char *name, unsigned nth, struct bytes *ret);

/* health.c */
void health_serve(struct http_service *http, struct http_exchange *x, struct bytes path);

#endif
