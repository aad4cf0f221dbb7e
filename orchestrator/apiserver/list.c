/* list.c - lists, with selectors, pages and resourceVersion rules (kubernetes-api 2.3). */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/registry/plan_parts.h"

struct page {
    struct label_selector labels;
    struct field_selector fields;
    int64_t limit;     /* 0: none */
    char *after;       /* key of the last object of the page before; NULL for the first page */
    uint64_t revision; /* of the first page; 0 on it */
};

static void cleanup_page(struct page *page)
{
    label_selector_deinit(&page->labels);
    field_selector_deinit(&page->fields);
    mem_free(page->after);
}

static json_t *expired(void)
{
    return status_expired("The provided continue parameter is too old to display a consistent list "
                          "result. You can start a new list without the continue parameter.");
}

/* Tokens are etcd3's: base64url of {"v":"meta.k8s.io/v1","rv":R,"start":"key\u0000"}. */
static json_t *read_token(struct page *page, const char *text)
{
    CLEANUP(buf) struct buf decoded = BUF_INIT;
    if (base64_decode(text, &decoded) != 0) {
        return status_bad_request("continue key is not valid");
    }
    CLEANUP(json)
    json_t *token = json_loadb((const char *)decoded.data + decoded.start, buf_size(&decoded),
                               JSON_ALLOW_NUL, NULL);
    const char *start = tree_text(token, "start");
    int64_t revision = tree_int(token, "rv", 0);
    if (start == NULL || !tree_has_text(token, "v", "meta.k8s.io/v1") || revision == 0) {
        return status_bad_request("continue key is not valid");
    }
    page->after = mem_strdup(start);
    page->revision = revision < 0 ? 0 : (uint64_t)revision;
    return NULL;
}

static char *write_token(const char *key, uint64_t revision)
{
    CLEANUP(json)
    json_t *token = json_pack("{s:s, s:I, s:s#}", "v", "meta.k8s.io/v1", "rv", (json_int_t)revision,
                              "start", key, (int)strlen(key) + 1);
    CLEANUP(free) char *text = json_dumps(token, JSON_COMPACT);
    return base64_encode_url(bytes_from_text(text));
}

static json_t *read_page(struct call *call, struct page *page)
{
    const struct route *route = &call->route;
    const char *labels = route_query(route, "labelSelector");
    const char *fields = route_query(route, "fieldSelector");
    const char *token = route_query(route, "continue");
    const char *version = route_query(route, "resourceVersion");
    json_t *refusal = label_selector_parse(&page->labels, labels == NULL ? "" : labels);
    if (refusal == NULL) {
        refusal = field_selector_parse(&page->fields, route->kind, fields == NULL ? "" : fields);
    }
    page->limit = route_query_int(route, "limit", 0);
    if (refusal == NULL && token != NULL && *token != '\0') {
        refusal = read_token(page, token);
        if (refusal == NULL && version != NULL && *version != '\0' && strcmp(version, "0") != 0) {
            refusal = status_bad_request("specifying resource version is not allowed when using "
                                         "continue");
        }
    }
    return refusal;
}

static bool is_wanted(const struct page *page, const json_t *object)
{
    return label_selector_matches(&page->labels, object_labels(object)) &&
           field_selector_matches(&page->fields, object);
}

static json_t *show(const struct call *call, const json_t *object)
{
    const struct kind *kind = call->request.kind;
    return kind_stored(kind) == kind && !kind_has(kind, KIND_CUSTOM)
               ? json_incref(tree_mutable(object))
               : convert_from_stored(object, kind);
}

/* Where the objects of a page come from: the cache as it is, or, for later pages, the list as it
 * was when the first page was read. */
struct source {
    struct cache_cursor cursor;
    json_t *past; /* owned; NULL: the cursor */
    size_t index;
    char *key; /* of the object that was read last; owned */
};

static void cleanup_source(struct source *source)
{
    json_decref(source->past);
    mem_free(source->key);
}

static char *key_of(const json_t *object)
{
    const char *namespace = object_namespace(object);
    return *namespace == '\0' ? mem_strdup(object_name(object))
                              : mem_printf("%s/%s", namespace, object_name(object));
}

static const json_t *source_next(struct source *source)
{
    const json_t *object = NULL;
    if (source->past != NULL) {
        object = json_array_get(source->past, source->index++);
    } else if (cache_next(&source->cursor)) {
        object = source->cursor.object;
    }
    return object;
}

static size_t count_rest(struct source *source)
{
    size_t count = 0;
    while (source_next(source) != NULL) {
        count++;
    }
    return count;
}

static void source_skip(struct source *source, const char *after)
{
    while (source->index < json_array_size(source->past)) {
        CLEANUP(free) char *key = key_of(json_array_get(source->past, source->index));
        if (strcmp(key, after) > 0) {
            return;
        }
        source->index++;
    }
}

/* NULL, or 410 when the moment of the first page is too long ago. */
static json_t *source_open(struct source *source, const struct call *call, const struct page *page)
{
    const struct cache *cache = registry_cache(call->server->options.registry);
    const char *storage = call->request.kind->storage;
    const char *namespace = call->request.namespace;
    if (page->after == NULL) {
        source->cursor = cache_list(cache, storage, namespace);
        return NULL;
    }
    if (page->revision == 0) {
        source->cursor = cache_list_after(cache, storage, namespace, page->after);
        return NULL;
    }
    if (cache_list_at(cache, storage, namespace, page->revision, &source->past) != 0) {
        json_t *refusal = expired();
        CLEANUP(free) char *token = write_token(page->after, UINT64_MAX);
        tree_set_text(refusal, "metadata.continue", token);
        return refusal;
    }
    source_skip(source, page->after);
    return NULL;
}

static json_t *collect(struct call *call, const struct page *page, struct source *source,
                       json_t *metadata)
{
    const struct cache *cache = registry_cache(call->server->options.registry);
    json_t *items = json_array();
    uint64_t revision = page->revision == 0 ? cache_revision(cache) : page->revision;
    CLEANUP(free) char *version = mem_printf("%llu", (unsigned long long)revision);
    json_object_set_new(metadata, "resourceVersion", json_string(version));
    const json_t *object = NULL;
    while ((object = source_next(source)) != NULL) {
        if (!is_wanted(page, object)) {
            continue;
        }
        if (page->limit > 0 && (int64_t)json_array_size(items) == page->limit) {
            CLEANUP(free) char *token = write_token(source->key, revision);
            json_object_set_new(metadata, "continue", json_string(token));
            if (page->labels.terms == NULL && page->fields.terms == NULL) {
                json_object_set_new(metadata, "remainingItemCount",
                                    json_integer((json_int_t)count_rest(source) + 1));
            }
            break;
        }
        mem_free(source->key);
        source->key = key_of(object);
        json_array_append_new(items, show(call, object));
    }
    return items;
}

static void reply_list(struct call *call, json_t *items, json_t *metadata)
{
    const struct kind *kind = call->request.kind;
    char api_version[KIND_API_VERSION_SIZE];
    CLEANUP(json) json_t *body = NULL;
    if (call->form == CALL_TABLE) {
        body = table_new(kind, items, metadata, call_include(call), true,
                         registry_now_ms(call->server->options.registry));
    } else if (call->form == CALL_METADATA) {
        json_t *partial = json_array();
        for (size_t i = 0; i < json_array_size(items); i++) {
            json_array_append_new(partial,
                                  json_pack("{s:O}", "metadata",
                                            json_object_get(json_array_get(items, i), "metadata")));
        }
        body = json_pack("{s:s, s:s, s:O, s:o}", "kind", "PartialObjectMetadataList", "apiVersion",
                         "meta.k8s.io/v1", "metadata", metadata, "items", partial);
    } else {
        body = json_pack("{s:s, s:s, s:O, s:O}", "kind", kind->list_kind, "apiVersion",
                         kind_api_version(kind, api_version), "metadata", metadata, "items", items);
    }
    call_reply(call, 200, body);
}

static void list_now(struct call *call)
{
    CLEANUP(page) struct page page = {0};
    CLEANUP(source) struct source source = {0};
    json_t *refusal = read_page(call, &page);
    refusal = refusal != NULL ? refusal : source_open(&source, call, &page);
    if (refusal != NULL) {
        call_refuse(call, refusal);
        return;
    }
    CLEANUP(json) json_t *metadata = json_object();
    CLEANUP(json) json_t *items = collect(call, &page, &source, metadata);
    reply_list(call, items, metadata);
}

static void synced(void *context, const json_t *status)
{
    struct call *call = context;
    if (status != NULL) {
        call_reply(call, (unsigned)status_code(status), status);
    } else {
        list_now(call);
    }
    call_unref(call);
}

/* rv=0, and any revision that the cache has seen, need no question to the store. */
void call_serve_list(struct call *call)
{
    struct registry *registry = call->server->options.registry;
    const char *version = route_query(&call->route, "resourceVersion");
    uint64_t wanted = version == NULL ? 0 : strtoull(version, NULL, 10);
    bool is_any = version != NULL && *version != '\0';
    uint64_t have = cache_revision(registry_cache(registry));
    if (is_any && wanted <= have && registry_is_synced(registry)) {
        list_now(call);
        return;
    }
    if (is_any && wanted > have + 1000000) {
        json_t *status =
            status_new(504, "Timeout", "Too large resource version: %llu, current: %llu",
                       (unsigned long long)wanted, (unsigned long long)have);
        tree_set(status, "details.causes",
                 json_pack("[{s:s, s:s}]", "reason", "ResourceVersionTooLarge", "message",
                           "Too large resource version"));
        call_refuse(call, status);
        return;
    }
    call_ref(call);
    registry_sync(registry, synced, call);
}
