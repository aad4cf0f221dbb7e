#include "orchestrator/apiserver/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/apiserver/forward.h"

static void on_headers(struct http_exchange *x);
static void on_body(struct http_exchange *x, struct bytes data);
static void on_end(struct http_exchange *x);
static void on_close(struct http_exchange *x, int reason);

const struct http_handler apiserver_handler = {
    .on_headers = on_headers,
    .on_body = on_body,
    .on_end = on_end,
    .on_close = on_close,
};

static void read_tokens(struct apiserver *server, FILE *file)
{
    char line[1024];
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        char *rest = line;
        const char *token = strsep(&rest, ",");
        const char *name = strsep(&rest, ",");
        const char *uid = strsep(&rest, ",");
        if (name == NULL || *token == '\0' || *token == '#') {
            continue;
        }
        json_t *groups = json_array();
        for (char *group = strsep(&rest, "\","); group != NULL; group = strsep(&rest, "\",")) {
            if (*group != '\0') {
                json_array_append_new(groups, json_string(group));
            }
        }
        json_object_set_new(server->tokens, token,
                            json_pack("{s:s, s:s, s:o}", "name", name, "uid",
                                      uid == NULL ? "" : uid, "groups", groups));
    }
}

struct apiserver *apiserver_new(const struct apiserver_options *options, struct err *err)
{
    struct apiserver *server = mem_zalloc(sizeof(*server));
    server->options = *options;
    server->tokens = json_object();
    prng_init(&server->prng, options->seed);
    list_init(&server->watches);
    if (options->token_file != NULL) {
        CLEANUP(file) FILE *file = fopen(options->token_file, "re");
        if (file == NULL) {
            (void)err_set_errno(err, errno, "read tokens from '%s'", options->token_file);
            json_decref(server->tokens);
            mem_free(server);
            return NULL;
        }
        read_tokens(server, file);
    }
    watches_init(server);
    return server;
}

void apiserver_free(struct apiserver *server)
{
    if (server == NULL) {
        return;
    }
    watches_close(server);
    json_decref(server->tokens);
    mem_free(server);
}

char *apiserver_find_token(const struct apiserver *server, const char *group)
{
    const char *token = NULL;
    json_t *user = NULL;
    json_object_foreach(server->tokens, token, user)
    {
        if (tree_list_has_text(json_object_get(user, "groups"), group)) {
            return mem_strdup(token);
        }
    }
    return NULL;
}

void call_ref(struct call *call)
{
    call->references++;
}

void call_unref(struct call *call)
{
    if (--call->references > 0) {
        return;
    }
    http_exchange_unref(call->x);
    route_deinit(&call->route);
    buf_deinit(&call->body);
    mem_free(call->user_name);
    mem_free(call->user_uid);
    mem_free(call->field_manager);
    json_decref(call->user_groups);
    json_decref(call->decoded);
    json_decref(call->deleted);
    mem_free(call);
}

const char *call_header(const struct call *call, const char *name)
{
    struct bytes value = http_headers_value(&call->x->headers, name);
    return value.data == NULL ? "" : arena_text(&call->x->arena, value);
}

/* Who writes, where the client does not say: the program's name in its User-Agent. */
static char *field_manager_of(const struct call *call)
{
    const char *given = route_query(&call->route, "fieldManager");
    if (given != NULL) {
        return mem_strdup(given);
    }
    const char *agent = call_header(call, "user-agent");
    size_t size = strcspn(agent, "/ ");
    return size == 0 ? mem_strdup("unknown") : mem_printf("%.*s", (int)size, agent);
}

static enum call_form form_of(const char *accept)
{
    if (strstr(accept, "as=Table") != NULL) {
        return CALL_TABLE;
    }
    return strstr(accept, "as=PartialObjectMetadata") != NULL ? CALL_METADATA : CALL_JSON;
}

static enum request_verb verb_of(const struct call *call)
{
    static const struct {
        const char *method;
        enum request_verb one;
        enum request_verb many;
    } verbs[] = {
        {"GET", REQUEST_GET, REQUEST_LIST},
        {"HEAD", REQUEST_GET, REQUEST_LIST},
        {"POST", REQUEST_CREATE, REQUEST_CREATE},
        {"PUT", REQUEST_UPDATE, 0},
        {"PATCH", REQUEST_PATCH, 0},
        {"DELETE", REQUEST_DELETE, REQUEST_DELETE_COLLECTION},
    };
    bool is_many = *call->route.name == '\0';
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (bytes_equal(call->x->method, bytes_from_text(verbs[i].method))) {
            enum request_verb verb = is_many ? verbs[i].many : verbs[i].one;
            bool watches = route_query_bool(&call->route, "watch");
            return verb == REQUEST_LIST && watches ? REQUEST_WATCH : verb;
        }
    }
    return 0;
}

static enum field_validation validation_of(const struct route *route)
{
    const char *text = route_query(route, "fieldValidation");
    if (text != NULL && strcmp(text, "Strict") == 0) {
        return FIELD_VALIDATION_STRICT;
    }
    return text != NULL && strcmp(text, "Ignore") == 0 ? FIELD_VALIDATION_IGNORE
                                                       : FIELD_VALIDATION_WARN;
}

static void fill_request(struct call *call)
{
    struct request *request = &call->request;
    const struct route *route = &call->route;
    const char *dry_run = route_query(route, "dryRun");
    call->field_manager = field_manager_of(call);
    *request = (struct request){
        .verb = verb_of(call),
        .kind = route->kind,
        .namespace = route->namespace,
        .name = route->name,
        .subresource = route->subresource,
        .field_manager = call->field_manager,
        .force = route_query_bool(route, "force"),
        .dry_run = dry_run != NULL && strcmp(dry_run, "All") == 0,
        .field_validation = validation_of(route),
        .user = {.name = call->user_name, .uid = call->user_uid, .groups = call->user_groups},
    };
}

static void on_headers(struct http_exchange *x)
{
    const struct apiserver_entry *entry = x->data;
    struct apiserver *server = entry->server;
    struct call *call = mem_zalloc(sizeof(*call));
    call->server = server;
    call->x = http_exchange_ref(x);
    call->references = 1;
    call->started_ms = registry_now_ms(server->options.registry);
    list_init(&call->link);
    x->data = call;
    route_parse(&call->route, x->path, registry_kinds(server->options.registry));
    call->form = form_of(call_header(call, "accept"));
    json_t *refusal = call_authenticate(call, entry);
    if (refusal != NULL) {
        call_refuse(call, refusal);
        x->handler = NULL;
        x->data = NULL;
        call_unref(call);
        return;
    }
    fill_request(call);
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct call *call = x->data;
    http_exchange_consume(x, data.size);
    if (buf_size(&call->body) + data.size > BODY_BYTES_MAX) {
        call->is_too_large = true;
        return;
    }
    buf_append_bytes(&call->body, data);
}

static bool is_stream(const struct call *call)
{
    static const char *const names[] = {"exec", "attach", "portforward", "log"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(call->route.subresource, names[i]) == 0) {
            return strcmp(call->route.kind->storage, "pods") == 0;
        }
    }
    return false;
}

static void streamed_object(void *context, const struct registry_reply *reply)
{
    struct call *call = context;
    const struct apiserver_options *options = &call->server->options;
    if (call->is_over || reply->code >= 400) {
        call_reply(call, (unsigned)reply->code, reply->body);
    } else if (options->forwarder != NULL) {
        forward_pod(options->forwarder, call->x, &call->request, reply->body);
        /* The exchange has another handler now, which hears of its end. */
        call->is_over = true;
        call_unref(call);
    } else {
        call_refuse(call, status_new(503, "ServiceUnavailable",
                                     "the node of pod %s cannot be reached", call->route.name));
    }
    call_unref(call);
}

/* Logs and the like come from the pod's node: first the pod, which says where that is. */
static void serve_stream(struct call *call)
{
    struct request request = call->request;
    request.verb = REQUEST_GET;
    request.subresource = "";
    call_ref(call);
    registry_submit(call->server->options.registry, &request, streamed_object, call);
}

static void got_object(void *context, const struct registry_reply *reply)
{
    struct call *call = context;
    call_reply_object(call, (unsigned)reply->code, reply->body, reply->warnings);
    call_unref(call);
}

static void serve_get(struct call *call)
{
    call_ref(call);
    registry_submit(call->server->options.registry, &call->request, got_object, call);
}

static bool kind_allows(const struct kind *kind, enum request_verb verb)
{
    switch (verb) {
    case REQUEST_GET:
        return (kind->verbs & VERB_GET) != 0;
    case REQUEST_LIST:
    case REQUEST_WATCH:
        return (kind->verbs & VERB_LIST) != 0;
    case REQUEST_CREATE:
        return (kind->verbs & VERB_CREATE) != 0;
    case REQUEST_UPDATE:
        return (kind->verbs & VERB_UPDATE) != 0;
    case REQUEST_PATCH:
    case REQUEST_APPLY:
        return (kind->verbs & VERB_PATCH) != 0;
    case REQUEST_DELETE:
        return (kind->verbs & VERB_DELETE) != 0;
    case REQUEST_DELETE_COLLECTION:
        return (kind->verbs & VERB_DELETE_COLLECTION) != 0;
    }
    return false;
}

static void serve_resource(struct call *call)
{
    const struct request *request = &call->request;
    if (!kind_allows(request->kind, request->verb)) {
        call_refuse(call, status_new(405, "MethodNotAllowed",
                                     "the server does not allow this method on the requested "
                                     "resource"));
        return;
    }
    if (kind_has(request->kind, KIND_NAMESPACED) && *request->namespace == '\0' &&
        request->verb != REQUEST_LIST && request->verb != REQUEST_WATCH) {
        call_refuse(call, status_unknown_path());
        return;
    }
    bool wants_token = strcmp(request->subresource, "token") == 0 &&
                       strcmp(request->kind->storage, "serviceaccounts") == 0;
    if (wants_token && request->verb == REQUEST_CREATE) {
        call_serve_token(call);
    } else if (is_stream(call)) {
        serve_stream(call);
    } else if (kind_has(request->kind, KIND_METRICS)) {
        call_serve_metrics(call);
    } else if (kind_has(request->kind, KIND_REVIEW) && *request->name == '\0') {
        call_serve_review(call);
    } else if (request->verb == REQUEST_GET) {
        serve_get(call);
    } else if (request->verb == REQUEST_LIST) {
        call_serve_list(call);
    } else if (request->verb == REQUEST_WATCH) {
        call_serve_watch(call);
    } else {
        call_serve_write(call);
    }
}

static void on_end(struct http_exchange *x)
{
    struct call *call = x->data;
    if (call->is_too_large) {
        call_refuse(call, status_new(413, "RequestEntityTooLarge",
                                     "Request entity too large: limit is %d", BODY_BYTES_MAX));
        return;
    }
    json_t *refusal = call_authorize(call);
    if (refusal != NULL) {
        call_refuse(call, refusal);
    } else if (call->route.type == ROUTE_RESOURCE) {
        serve_resource(call);
    } else {
        call_serve_other(call);
    }
}

static void on_close(struct http_exchange *x, int reason)
{
    (void)reason;
    struct call *call = x->data;
    if (call != NULL) {
        call->is_over = true;
        x->data = NULL;
        call_unref(call);
    }
}
