/* call.h - one HTTP request while it is served; for the files of this folder. */
#ifndef ORCHESTRATOR_APISERVER_CALL_H
#define ORCHESTRATOR_APISERVER_CALL_H

#include "base/buf.h"
#include "base/list.h"
#include "orchestrator/apiserver/route.h"
#include "orchestrator/apiserver/server.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/table.h"

enum { BODY_BYTES_MAX = 3 * 1024 * 1024 }; /* as kube-apiserver: MaxRequestBodyBytes */

/* How the client wants objects. */
enum call_form { CALL_JSON, CALL_TABLE, CALL_METADATA };

struct apiserver {
    struct apiserver_options options;
    struct prng prng;
    struct list watches; /* of struct watch */
    json_t *tokens;      /* static ones: token to {"name","uid","groups"} */
    struct {
        uint64_t requests[6]; /* by hundreds of the status */
        uint64_t watches;     /* started */
    } counts;
};

/* Holds a reference of the exchange until both the exchange is closed and nothing is under way. */
struct call {
    struct apiserver *server;
    struct http_exchange *x;
    struct route route;
    struct buf body;
    bool is_too_large;
    bool is_over; /* the exchange is closed */
    unsigned references;
    char *user_name;
    char *user_uid;
    json_t *user_groups;
    char *field_manager;
    enum call_form form;
    struct request request;
    json_t *decoded; /* the body as JSON; NULL for none */
    int64_t started_ms;
    /* Several writes at once: deletecollection. */
    json_t *deleted;
    size_t pending;
    struct list link;
};

void call_ref(struct call *call);
void call_unref(struct call *call);

/* Answering; each ends the call's work. */
void call_reply(struct call *call, unsigned code, const json_t *body);
void call_reply_typed(struct call *call, unsigned code, const char *content_type,
                      const json_t *body, const json_t *warnings);
void call_reply_page(struct call *call, const char *content_type, const char *policy,
                     struct bytes data);
void call_reply_text(struct call *call, unsigned code, const char *text);
void call_refuse(struct call *call, json_t *take_status);
/* One object, in the form the client asked for. */
void call_reply_object(struct call *call, unsigned code, const json_t *object,
                       const json_t *warnings);

/* The request's header, as text of the exchange's arena; "" when absent. */
const char *call_header(const struct call *call, const char *name);
enum table_include call_include(const struct call *call);

/* NULL, or 401. Fills the user. */
MUST_USE json_t *call_authenticate(struct call *call, const struct apiserver_entry *entry);
/* NULL, or 403. */
MUST_USE json_t *call_authorize(struct call *call);
/* The body as JSON into call->decoded: JSON, YAML or Kubernetes protobuf. NULL, or a refusal. */
MUST_USE json_t *call_decode_body(struct call *call);

void call_serve_list(struct call *call);
void call_serve_watch(struct call *call);
void call_serve_write(struct call *call);
void call_serve_metrics(struct call *call);
void call_serve_review(struct call *call);
void call_serve_token(struct call *call); /* serviceaccounts/token */
/* Everything that is not objects: discovery, OpenAPI, health, metrics, version. */
void call_serve_other(struct call *call);

/* What all watches of the server do when the cache moved on. */
void watches_init(struct apiserver *server);
void watches_close(struct apiserver *server);

#endif
