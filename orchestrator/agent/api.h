/* api.h - the node agent's way to the API server: requests and watches on one HTTP/2 connection.
 *
 * The connection is opened when it is needed and again when it is lost. A request that cannot be
 * sent or answered ends with code 0: who asked decides whether to ask again. Callbacks come from
 * the loop, never inside the call that asks. */
#ifndef ORCHESTRATOR_AGENT_API_H
#define ORCHESTRATOR_AGENT_API_H

#include <jansson.h>

#include "base/bytes.h"
#include "orchestrator/remote/kubeconfig.h"
#include "proto/tls.h"
#include "proto/wire_loop.h"

struct api;

/* Both are borrowed and outlive the object. */
struct api *api_new(struct wire_loop *wire, const struct kubeconfig *config, struct err *err);
/* Nothing more is called back. */
void api_free(struct api *api);

/* code is HTTP's, or 0; body is an object, a Status or NULL; borrowed. */
typedef void api_done(void *context, int code, const json_t *body);

struct api_request {
    const char *method; /* "GET" */
    const char *path;   /* with the query */
    const char *type;   /* of the body; NULL: application/json */
    const json_t *body; /* NULL: none */
};

#define API_MERGE_PATCH "application/merge-patch+json"
#define API_STRATEGIC_PATCH "application/strategic-merge-patch+json"

/* Everything is copied. */
void api_call(struct api *api, const struct api_request *request, api_done *done, void *context);

/* A resource that is listed and then watched, for ever. */
struct api_watch_events {
    /* All of it; items is a list of objects, complete with apiVersion and kind. */
    void (*on_list)(void *context, const json_t *items);
    void (*on_change)(void *context, const json_t *object, bool is_deleted);
};

struct api_watch;

/* path without a query: "/api/v1/pods"; query without '?': "fieldSelector=…", or "". Copied. */
struct api_watch *api_watch_new(struct api *api, const char *path, const char *query,
                                const struct api_watch_events *events, void *context);
void api_watch_free(struct api_watch *watch); /* NULL is fine */

/* A request that can be cancelled; with line its answer is given line by line as it comes. */
/* line NULL: the answer is given to done as a whole. */
typedef void api_line(void *context, struct bytes line);
struct api_exchange;
struct api_exchange *api_stream(struct api *api, const char *path, api_line *line, api_done *done,
                                void *context);
void api_stream_cancel(struct api_exchange *exchange); /* done is not called */
struct timers *api_timers(struct api *api);

#endif
