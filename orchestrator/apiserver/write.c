/* write.c - create, update, patch, apply, delete, and deletecollection. */
#include <string.h>

#include "orchestrator/apiserver/call.h"

static void written(void *context, const struct registry_reply *reply)
{
    struct call *call = context;
    call_reply_object(call, (unsigned)reply->code, reply->body, reply->warnings);
    call_unref(call);
}

static json_t *unsupported_patch(void)
{
    return status_new(415, "UnsupportedMediaType",
                      "the body of the request was in an unknown format - accepted media types "
                      "include: application/json-patch+json, application/merge-patch+json, "
                      "application/strategic-merge-patch+json, application/apply-patch+yaml");
}

static json_t *read_patch_type(struct call *call)
{
    static const struct {
        const char *type;
        enum request_patch patch; /* 0: apply */
    } types[] = {
        {"application/json-patch+json", REQUEST_PATCH_JSON},
        {"application/merge-patch+json", REQUEST_PATCH_MERGE},
        {"application/strategic-merge-patch+json", REQUEST_PATCH_STRATEGIC},
        {"application/apply-patch+yaml", 0},
    };
    const char *type = call_header(call, "content-type");
    size_t size = strcspn(type, "; ");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strlen(types[i].type) == size && strncmp(types[i].type, type, size) == 0) {
            call->request.patch = types[i].patch;
            call->request.verb = types[i].patch == 0 ? REQUEST_APPLY : REQUEST_PATCH;
            return NULL;
        }
    }
    return unsupported_patch();
}

/* Options of a DELETE come in the body or in the query; the body has precedence. */
static void read_delete_options(struct call *call)
{
    const struct route *route = &call->route;
    if (!json_is_object(call->decoded)) {
        json_decref(call->decoded);
        call->decoded = json_object();
    }
    int64_t grace = route_query_int(route, "gracePeriodSeconds", -1);
    const char *policy = route_query(route, "propagationPolicy");
    if (grace >= 0 && json_object_get(call->decoded, "gracePeriodSeconds") == NULL) {
        tree_set_int(call->decoded, "gracePeriodSeconds", grace);
    }
    if (policy != NULL && json_object_get(call->decoded, "propagationPolicy") == NULL) {
        tree_set_text(call->decoded, "propagationPolicy", policy);
    }
    if (tree_list_has_text(json_object_get(call->decoded, "dryRun"), "All")) {
        call->request.dry_run = true;
    }
}

static void collection_step(void *context, const struct registry_reply *reply)
{
    struct call *call = context;
    if (reply->code < 300 && reply->body != NULL) {
        json_array_append(call->deleted, tree_mutable(reply->body));
    }
    if (--call->pending == 0) {
        const struct kind *kind = call->request.kind;
        char api_version[KIND_API_VERSION_SIZE];
        CLEANUP(json)
        json_t *body = json_pack("{s:s, s:s, s:{s:s}, s:O}", "kind", kind->list_kind, "apiVersion",
                                 kind_api_version(kind, api_version), "metadata", "resourceVersion",
                                 "", "items", call->deleted);
        call_reply(call, 200, body);
    }
    call_unref(call);
}

static void delete_selected(struct call *call, const struct label_selector *labels,
                            const struct field_selector *fields)
{
    struct registry *registry = call->server->options.registry;
    struct cache_cursor cursor =
        cache_list(registry_cache(registry), call->request.kind->storage, call->request.namespace);
    while (cache_next(&cursor)) {
        if (!label_selector_matches(labels, object_labels(cursor.object)) ||
            !field_selector_matches(fields, cursor.object)) {
            continue;
        }
        struct request request = call->request;
        request.verb = REQUEST_DELETE;
        request.namespace = object_namespace(cursor.object);
        request.name = object_name(cursor.object);
        call->pending++;
        call_ref(call);
        registry_submit(registry, &request, collection_step, call);
    }
}

static void collection_synced(void *context, const json_t *status)
{
    struct call *call = context;
    const char *labels_text = route_query(&call->route, "labelSelector");
    const char *fields_text = route_query(&call->route, "fieldSelector");
    CLEANUP(label_selector) struct label_selector labels = {0};
    CLEANUP(field_selector) struct field_selector fields = {0};
    json_t *refusal = status == NULL ? NULL : json_deep_copy(status);
    if (refusal == NULL) {
        refusal = label_selector_parse(&labels, labels_text == NULL ? "" : labels_text);
    }
    if (refusal == NULL) {
        refusal = field_selector_parse(&fields, call->request.kind,
                                       fields_text == NULL ? "" : fields_text);
    }
    if (refusal != NULL) {
        call_refuse(call, refusal);
        call_unref(call);
        return;
    }
    call->deleted = json_array();
    call->pending = 1; /* this function's own, so that the answer comes after the last */
    delete_selected(call, &labels, &fields);
    const struct registry_reply none = {.code = 500};
    collection_step(call, &none);
}

void call_serve_write(struct call *call)
{
    struct registry *registry = call->server->options.registry;
    json_t *refusal = call->request.verb == REQUEST_PATCH ? read_patch_type(call) : NULL;
    if (refusal == NULL) {
        refusal = call_decode_body(call);
    }
    if (refusal != NULL) {
        call_refuse(call, refusal);
        return;
    }
    bool deletes =
        call->request.verb == REQUEST_DELETE || call->request.verb == REQUEST_DELETE_COLLECTION;
    if (deletes) {
        read_delete_options(call);
    }
    call->request.body = call->decoded;
    call_ref(call);
    if (call->request.verb == REQUEST_DELETE_COLLECTION) {
        registry_sync(registry, collection_synced, call);
        return;
    }
    registry_submit(registry, &call->request, written, call);
}
