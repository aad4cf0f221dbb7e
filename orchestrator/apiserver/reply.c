/* reply.c - how answers are written. */
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/apiserver/discovery.h"

enum { WARNINGS_MAX = 16 };

static struct http_header make_header(const char *name, const char *value)
{
    return (struct http_header){.name = bytes_from_text(name), .value = bytes_from_text(value)};
}

/* Warning: 299 - "text", with quotes and backslashes escaped (RFC 7234 section 5.5). */
static char *warning_text(struct arena *arena, const char *text)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    buf_append_text(&out, "299 - \"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            buf_append_u8(&out, '\\');
        }
        buf_append_u8(&out, (uint8_t)(*text < ' ' ? ' ' : *text));
    }
    buf_append_u8(&out, '"');
    return arena_strdup(arena, buf_text(&out));
}

static void send_whole(struct call *call, unsigned code, const struct http_header *headers,
                       size_t count, struct bytes body)
{
    call->server->counts.requests[code / 100 < 6 ? code / 100 : 5]++;
    http_exchange_respond(call->x, code, headers, count);
    if (!bytes_equal(call->x->method, BYTES_LITERAL("HEAD"))) {
        http_exchange_send(call->x, body);
    }
    http_exchange_finish(call->x, NULL, 0);
}

static void reply_bytes(struct call *call, unsigned code, const char *content_type,
                        struct bytes body, const json_t *warnings)
{
    struct arena *arena = &call->x->arena;
    struct http_header headers[WARNINGS_MAX + 4];
    size_t count = 0;
    headers[count++] = make_header("content-type", content_type);
    headers[count++] = make_header("content-length", arena_printf(arena, "%zu", body.size));
    headers[count++] = make_header("cache-control", "no-cache, private");
    headers[count++] = make_header("vary", "Accept");
    for (size_t i = 0; i < json_array_size(warnings) && i < WARNINGS_MAX; i++) {
        const char *text = json_string_value(json_array_get(warnings, i));
        headers[count++] = make_header("warning", warning_text(arena, text == NULL ? "" : text));
    }
    send_whole(call, code, headers, count, body);
}

void call_reply_typed(struct call *call, unsigned code, const char *content_type,
                      const json_t *body, const json_t *warnings)
{
    char *text = json_dumps(body, JSON_COMPACT);
    const char *shown = text == NULL ? "{}" : text;
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_text(&line, shown);
    buf_append_u8(&line, '\n');
    reply_bytes(call, code, content_type, buf_bytes(&line), warnings);
    mem_free(text);
}

void call_reply(struct call *call, unsigned code, const json_t *body)
{
    call_reply_typed(call, code, "application/json", body, NULL);
}

void call_reply_text(struct call *call, unsigned code, const char *text)
{
    reply_bytes(call, code, "text/plain; charset=utf-8", bytes_from_text(text), NULL);
}

void call_reply_page(struct call *call, const char *content_type, const char *policy,
                     struct bytes data)
{
    const struct http_header headers[] = {
        make_header("content-type", content_type),
        make_header("content-length", arena_printf(&call->x->arena, "%zu", data.size)),
        make_header("content-security-policy", policy),
        make_header("x-content-type-options", "nosniff"),
        make_header("referrer-policy", "no-referrer"),
        make_header("cache-control", "no-cache"),
    };
    send_whole(call, 200, headers, sizeof(headers) / sizeof(headers[0]), data);
}

void call_refuse(struct call *call, json_t *take_status)
{
    CLEANUP(json) json_t *status = take_status;
    int code = status_code(status);
    call_reply(call, (unsigned)code, status);
}

enum table_include call_include(const struct call *call)
{
    const char *include = route_query(&call->route, "includeObject");
    if (include != NULL && strcmp(include, "Object") == 0) {
        return TABLE_INCLUDE_OBJECT;
    }
    return include != NULL && strcmp(include, "None") == 0 ? TABLE_INCLUDE_NONE
                                                           : TABLE_INCLUDE_METADATA;
}

void call_reply_object(struct call *call, unsigned code, const json_t *object,
                       const json_t *warnings)
{
    bool is_object = code < 400 && !tree_has_text(object, "kind", "Status") &&
                     !tree_has_text(object, "kind", "Scale");
    if (!is_object || call->form == CALL_JSON) {
        call_reply_typed(call, code, "application/json", object, warnings);
        return;
    }
    CLEANUP(json) json_t *shown = NULL;
    if (call->form == CALL_TABLE) {
        CLEANUP(json) json_t *list = json_pack("[O]", object);
        CLEANUP(json)
        json_t *metadata = json_pack("{s:s}", "resourceVersion",
                                     tree_text_or(object, "metadata.resourceVersion", ""));
        shown = table_new(call->request.kind, list, metadata, call_include(call), true,
                          registry_now_ms(call->server->options.registry));
    } else {
        shown = json_pack("{s:s, s:s, s:O}", "kind", "PartialObjectMetadata", "apiVersion",
                          "meta.k8s.io/v1", "metadata", json_object_get(object, "metadata"));
    }
    call_reply_typed(call, code, "application/json", shown, warnings);
}
