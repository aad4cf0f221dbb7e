/* server.h - what the API server asks of this node: logs, exec, attach, port-forward, stats.
 *
 *     GET /log/NAMESPACE/POD?container=…&follow=…        /exec /attach /portforward likewise
 *     GET /stats                                          GET /healthz
 *
 * Queries are those of the pod's subresources. Who asks must know the token (forward.h). */
#ifndef ORCHESTRATOR_AGENT_SERVER_H
#define ORCHESTRATOR_AGENT_SERVER_H

#include "orchestrator/agent/pods.h"
#include "proto/listener.h"

struct server;

/* Borrowed. */
struct server_options {
    struct wire_loop *wire;
    struct api *api;
    struct pods *pods;
    const char *node_name;
    const char *host;
    uint16_t port;
    const char *data_dir;            /* keeps the token, so that a restart does not change it */
    json_t *(*stats)(void *context); /* new */
    void *stats_context;
};

/* Makes its token, or finds the one of before, and tells it to the API. */
struct server *server_new(const struct server_options *options, struct err *err);
uint16_t server_port(const struct server *server);

/* One request, for the files that answer it. Lives in the exchange's arena. */
struct server_call {
    struct server *server;
    struct pods *pods;
    struct wire_loop *wire;
    struct http_exchange *x;
    struct pod_record *record; /* at the time of the request */
    struct unit *unit;
    json_t *query; /* name to list of texts; owned by the one who answers */
};

const char *server_query(const struct server_call *call, const char *name); /* may be NULL */
bool server_query_bool(const struct server_call *call, const char *name);
/* A Status as the answer. */
__attribute__((format(printf, 4, 5))) void
server_refuse(struct server_call *call, int code, const char *reason, const char *format, ...);

/* Each takes over the exchange and call->query. */
void log_stream_start(struct server_call *call);
void exec_stream_start(struct server_call *call, bool is_attach);
void port_stream_start(struct server_call *call);

#endif
