#include "orchestrator/apiserver/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { SEGMENTS_MAX = 16 };

struct segments {
    char *items[SEGMENTS_MAX];
    size_t count;
};

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded text; NULL for a bad escape or a NUL. The caller frees. */
static char *decode(struct bytes text, bool plus_is_space)
{
    char *out = mem_alloc(text.size + 1);
    size_t at = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '%') {
            int high = i + 1 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                mem_free(out);
                return NULL;
            }
            c = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[at++] = (char)c;
    }
    out[at] = '\0';
    return out;
}

static struct bytes take_until(struct bytes *text, char end)
{
    const uint8_t *found = text->size == 0 ? NULL : memchr(text->data, end, text->size);
    size_t size = found == NULL ? text->size : (size_t)(found - text->data);
    struct bytes part = bytes_make(text->data, size);
    size_t used = found == NULL ? size : size + 1;
    *text = bytes_make(text->data == NULL ? NULL : text->data + used, text->size - used);
    return part;
}

static void parse_query(struct route *route, struct bytes query)
{
    for (int count = 0; query.size > 0 && count < ROUTE_QUERY_COUNT_MAX; count++) {
        struct bytes pair = take_until(&query, '&');
        struct bytes name_part = take_until(&pair, '=');
        CLEANUP(free) char *name = decode(name_part, true);
        CLEANUP(free) char *value = decode(pair, true);
        json_t *text = name == NULL || value == NULL ? NULL : json_string(value);
        if (text == NULL || *name == '\0') {
            json_decref(text);
            continue;
        }
        json_t *list = json_object_get(route->query, name);
        if (list == NULL) {
            list = json_array();
            json_object_set_new(route->query, name, list);
        }
        json_array_append_new(list, text);
    }
}

static bool split_path(struct segments *segments, struct bytes path)
{
    while (path.size > 0) {
        struct bytes part = take_until(&path, '/');
        if (part.size == 0) {
            continue;
        }
        char *text = segments->count == SEGMENTS_MAX ? NULL : decode(part, false);
        if (text == NULL) {
            return false;
        }
        segments->items[segments->count++] = text;
    }
    return true;
}

static void set_text(char **field, const char *text)
{
    mem_free(*field);
    *field = mem_strdup(text);
}

static const char *segment(const struct segments *segments, size_t index)
{
    return index < segments->count ? segments->items[index] : "";
}

static void join_rest(struct route *route, const struct segments *segments, size_t from)
{
    CLEANUP(buf) struct buf rest = BUF_INIT;
    for (size_t i = from; i < segments->count; i++) {
        buf_append_format(&rest, "/%s", segments->items[i]);
    }
    set_text(&route->rest, buf_text(&rest));
}

/* From the segment after the version: [namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE[/...]]]. */
static void parse_resource(struct route *route, const struct segments *segments, size_t at,
                           const struct kinds *kinds)
{
    /* A namespace's own subresources look like resources in it; they are few. */
    static const char *const of_namespace[] = {"status", "finalize"};
    if (strcmp(segment(segments, at), "namespaces") == 0 && segments->count > at + 2) {
        bool is_own = false;
        for (size_t i = 0; i < 2; i++) {
            is_own = is_own || strcmp(segment(segments, at + 2), of_namespace[i]) == 0;
        }
        if (!is_own) {
            set_text(&route->namespace, segment(segments, at + 1));
            at += 2;
        }
    }
    route->kind = kinds_find_resource(kinds, route->group, route->version, segment(segments, at));
    if (route->kind == NULL) {
        return;
    }
    set_text(&route->name, segment(segments, at + 1));
    set_text(&route->subresource, segment(segments, at + 2));
    join_rest(route, segments, at + 3);
    bool has_namespace = *route->namespace != '\0';
    bool is_cluster_path = !has_namespace && *route->name == '\0';
    bool is_right =
        kind_has(route->kind, KIND_NAMESPACED) ? has_namespace || is_cluster_path : !has_namespace;
    route->type = is_right ? ROUTE_RESOURCE : ROUTE_UNKNOWN;
}

static void parse_api(struct route *route, const struct segments *segments,
                      const struct kinds *kinds, size_t version_at)
{
    set_text(&route->version, segment(segments, version_at));
    if (segments->count == version_at + 1) {
        route->type = ROUTE_API_RESOURCES;
    } else {
        parse_resource(route, segments, version_at + 1, kinds);
    }
}

static void parse_openapi(struct route *route, const struct segments *segments)
{
    if (strcmp(segment(segments, 1), "v3") != 0) {
        return;
    }
    bool is_core = strcmp(segment(segments, 2), "api") == 0;
    bool is_group = strcmp(segment(segments, 2), "apis") == 0;
    if (segments->count == 2) {
        route->type = ROUTE_OPENAPI_INDEX;
    } else if ((is_core && segments->count == 4) || (is_group && segments->count == 5)) {
        set_text(&route->group, is_core ? "" : segment(segments, 3));
        set_text(&route->version, segment(segments, is_core ? 3 : 4));
        route->type = ROUTE_OPENAPI;
    }
}

static void parse_segments(struct route *route, const struct segments *segments,
                           const struct kinds *kinds)
{
    const char *first = segment(segments, 0);
    if (strcmp(first, "api") == 0) {
        route->type = ROUTE_API_VERSIONS;
        if (segments->count > 1) {
            route->type = ROUTE_UNKNOWN;
            parse_api(route, segments, kinds, 1);
        }
    } else if (strcmp(first, "apis") == 0) {
        route->type = segments->count == 1 ? ROUTE_API_GROUPS : ROUTE_API_GROUP;
        set_text(&route->group, segment(segments, 1));
        if (segments->count > 2) {
            route->type = ROUTE_UNKNOWN;
            parse_api(route, segments, kinds, 2);
        }
    } else if (strcmp(first, "openapi") == 0) {
        parse_openapi(route, segments);
    } else if (strcmp(first, "version") == 0 && segments->count == 1) {
        route->type = ROUTE_VERSION;
    } else if (strcmp(first, "metrics") == 0 && segments->count == 1) {
        route->type = ROUTE_METRICS;
    } else if (strcmp(first, "ui") == 0 && segments->count <= 2) {
        set_text(&route->name, segment(segments, 1));
        route->type = strcmp(route->name, "store") == 0 ? ROUTE_UI_STORE : ROUTE_UI;
    } else if (strcmp(first, "healthz") == 0 || strcmp(first, "livez") == 0 ||
               strcmp(first, "readyz") == 0) {
        route->type = ROUTE_HEALTH;
        set_text(&route->name, first);
    }
}

void route_parse(struct route *route, struct bytes target, const struct kinds *kinds)
{
    *route = (struct route){.query = json_object()};
    char **texts[] = {&route->group, &route->version,     &route->namespace,
                      &route->name,  &route->subresource, &route->rest};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i] = mem_strdup("");
    }
    struct segments segments = {0};
    struct bytes path = take_until(&target, '?');
    if (path.size <= ROUTE_PATH_SIZE_MAX && split_path(&segments, path)) {
        parse_segments(route, &segments, kinds);
    }
    parse_query(route, target);
    for (size_t i = 0; i < segments.count; i++) {
        mem_free(segments.items[i]);
    }
}

void route_deinit(struct route *route)
{
    mem_free(route->group);
    mem_free(route->version);
    mem_free(route->namespace);
    mem_free(route->name);
    mem_free(route->subresource);
    mem_free(route->rest);
    json_decref(route->query);
    *route = (struct route){0};
}

const char *route_query(const struct route *route, const char *name)
{
    return json_string_value(json_array_get(json_object_get(route->query, name), 0));
}

bool route_query_bool(const struct route *route, const char *name)
{
    const char *text = route_query(route, name);
    return text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

int64_t route_query_int(const struct route *route, const char *name, int64_t fallback)
{
    const char *text = route_query(route, name);
    if (text == NULL || *text == '\0') {
        return fallback;
    }
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    return *end == '\0' ? value : fallback;
}
