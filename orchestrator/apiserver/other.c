/* other.c - what is not objects: discovery, OpenAPI, health, version and metrics. */
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/apiserver/discovery.h"
#include "orchestrator/ui/ui.h"

/* The first form of an aggregated list that Accept names; NULL when it names none. */
static const char *aggregated_version(const char *accept)
{
    CLEANUP(free) char *copy = mem_strdup(accept);
    char *rest = copy;
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        if (strstr(part, "g=apidiscovery.k8s.io") == NULL ||
            strstr(part, "as=APIGroupDiscoveryList") == NULL) {
            continue;
        }
        if (strstr(part, "v=v2beta1") != NULL) {
            return "v2beta1";
        }
        if (strstr(part, "v=v2") != NULL) {
            return "v2";
        }
    }
    return NULL;
}

static void reply_or_not_found(struct call *call, json_t *take_body)
{
    CLEANUP(json) json_t *body = take_body;
    if (body == NULL) {
        call_refuse(call, status_unknown_path());
        return;
    }
    call_reply(call, 200, body);
}

static void serve_discovery(struct call *call, const struct kinds *kinds, bool is_core)
{
    const char *version = aggregated_version(call_header(call, "accept"));
    if (version == NULL) {
        reply_or_not_found(call, is_core ? discovery_versions() : discovery_groups(kinds));
        return;
    }
    CLEANUP(json) json_t *body = discovery_aggregated(kinds, is_core, version);
    const char *type = strcmp(version, "v2") == 0
                           ? "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
                           : "application/json;g=apidiscovery.k8s.io;v=v2beta1;"
                             "as=APIGroupDiscoveryList";
    call_reply_typed(call, 200, type, body, NULL);
}

static void serve_health(struct call *call)
{
    bool is_live = strcmp(call->route.name, "livez") == 0;
    if (!is_live && !registry_is_synced(call->server->options.registry)) {
        call_reply_text(call, 500, "[-]store failed: the first listing is not complete\n");
        return;
    }
    call_reply_text(call, 200, "ok");
}

static void serve_metrics(struct call *call)
{
    const struct apiserver *server = call->server;
    const struct cache *cache = registry_cache(server->options.registry);
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "# TYPE apiserver_request_total counter\n");
    for (int i = 1; i < 6; i++) {
        buf_append_format(&text, "apiserver_request_total{code=\"%dxx\"} %llu\n", i,
                          (unsigned long long)server->counts.requests[i]);
    }
    buf_append_text(&text, "# TYPE apiserver_watches_started_total counter\n");
    buf_append_format(&text, "apiserver_watches_started_total %llu\n",
                      (unsigned long long)server->counts.watches);
    buf_append_text(&text, "# TYPE apiserver_storage_objects gauge\n");
    for (size_t i = 0; i < kinds_builtin_count; i++) {
        const struct kind *kind = &kinds_builtin[i];
        if (kind_stored(kind) == kind && (kind->verbs & VERB_LIST) != 0) {
            buf_append_format(&text, "apiserver_storage_objects{resource=\"%s\"} %zu\n",
                              kind->storage, cache_count(cache, kind->storage));
        }
    }
    buf_append_text(&text, "# TYPE coracle_cache_revision gauge\n");
    buf_append_format(&text, "coracle_cache_revision %llu\n",
                      (unsigned long long)cache_revision(cache));
    call_reply_text(call, 200, buf_text(&text));
}

static void serve_page(struct call *call)
{
    struct ui_file file;
    if (!ui_find(call->route.name, &file)) {
        call_refuse(call, status_unknown_path());
        return;
    }
    call_reply_page(call, file.content_type, ui_content_security_policy, file.data);
}

static void store_seen(void *context, json_t *take_view)
{
    struct call *call = context;
    CLEANUP(json) json_t *view = take_view;
    if (!call->is_over) {
        call_reply(call, 200, view);
    }
    call_unref(call);
}

static void serve_store(struct call *call)
{
    const struct apiserver_options *options = &call->server->options;
    if (options->view_store == NULL) {
        call_refuse(call, status_unknown_path());
        return;
    }
    call_ref(call);
    options->view_store(options->view_store_context, store_seen, call);
}

void call_serve_other(struct call *call)
{
    const struct kinds *kinds = registry_kinds(call->server->options.registry);
    const struct route *route = &call->route;
    if (!bytes_equal(call->x->method, BYTES_LITERAL("GET")) && route->type != ROUTE_HEALTH) {
        call_refuse(call, status_unknown_path());
        return;
    }
    switch (route->type) {
    case ROUTE_API_VERSIONS:
        serve_discovery(call, kinds, true);
        break;
    case ROUTE_API_GROUPS:
        serve_discovery(call, kinds, false);
        break;
    case ROUTE_API_GROUP:
        reply_or_not_found(call, discovery_group(kinds, route->group));
        break;
    case ROUTE_API_RESOURCES:
        reply_or_not_found(call, discovery_resources(kinds, route->group, route->version));
        break;
    case ROUTE_OPENAPI_INDEX:
        reply_or_not_found(call, openapi_index(kinds));
        break;
    case ROUTE_OPENAPI:
        reply_or_not_found(call, openapi_document(kinds, route->group, route->version));
        break;
    case ROUTE_VERSION:
        reply_or_not_found(call, discovery_version());
        break;
    case ROUTE_HEALTH:
        serve_health(call);
        break;
    case ROUTE_METRICS:
        serve_metrics(call);
        break;
    case ROUTE_UI:
        serve_page(call);
        break;
    case ROUTE_UI_STORE:
        serve_store(call);
        break;
    case ROUTE_RESOURCE:
    case ROUTE_UNKNOWN:
        call_refuse(call, status_unknown_path());
        break;
    }
}
