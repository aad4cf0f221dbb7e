#include "orchestrator/agent/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/status.h"

enum { TOKEN_BYTES = 32, PUBLISH_RETRY_MS = 500 };

struct server {
    struct server_options options;
    struct listener *listener;
    struct timer timer;
    char token[2 * TOKEN_BYTES + 1];
    bool is_present; /* the secret is there: patch it */
};

/* ---- the token ---- */

static void publish(struct server *server);

static void on_published(void *context, int code, const json_t *body)
{
    struct server *server = context;
    struct timers *timers = wire_loop_timers(server->options.wire);
    (void)body;
    server->is_present = code == 409 || (server->is_present && code != 404);
    if (code != 200 && code != 201) {
        timers_set(timers, &server->timer, timers->now_ms + PUBLISH_RETRY_MS);
    }
}

static void on_timer(struct timer *timer)
{
    publish(container_of(timer, struct server, timer));
}

static void publish(struct server *server)
{
    CLEANUP(free) char *encoded = base64_encode(bytes_from_text(server->token));
    CLEANUP(free) char *name = mem_printf("agent-%s", server->options.node_name);
    CLEANUP(json)
    json_t *body = json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:{s:s}}", "apiVersion", "v1", "kind",
                             "Secret", "metadata", "name", name, "namespace", "kube-system", "type",
                             "Opaque", "data", "token", encoded);
    CLEANUP(free)
    char *path = mem_printf("/api/v1/namespaces/kube-system/secrets%s%s",
                            server->is_present ? "/" : "", server->is_present ? name : "");
    const struct api_request request = {.method = server->is_present ? "PATCH" : "POST",
                                        .path = path,
                                        .type = server->is_present ? API_MERGE_PATCH : NULL,
                                        .body = body};
    api_call(server->options.api, &request, on_published, server);
}

static int make_token(struct server *server, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/token", server->options.data_dir);
    CLEANUP(buf) struct buf known = BUF_INIT;
    if (disk_read(path, sizeof(server->token), &known, NULL) == 0 &&
        buf_size(&known) == sizeof(server->token) - 1) {
        (void)snprintf(server->token, sizeof(server->token), "%s", buf_text(&known));
        return 0;
    }
    uint8_t bytes[TOKEN_BYTES] = {0};
    size_t done = 0;
    while (done < sizeof(bytes)) {
        ssize_t count = getrandom(bytes + done, sizeof(bytes) - done, 0);
        done += count > 0 ? (size_t)count : 0;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(server->token + 2 * i, 3, "%02x", bytes[i]);
    }
    return disk_write(path, bytes_from_text(server->token), 0600, err);
}

/* In a time that does not tell how much of it was right. */
static bool is_known(const struct server *server, const struct http_exchange *x)
{
    static const char prefix[] = "Bearer ";
    struct bytes given = http_headers_value(&x->headers, "authorization");
    size_t skip = sizeof(prefix) - 1;
    if (given.size != skip + sizeof(server->token) - 1 || memcmp(given.data, prefix, skip) != 0) {
        return false;
    }
    unsigned difference = 0;
    for (size_t i = 0; i + 1 < sizeof(server->token); i++) {
        difference |= (unsigned)(given.data[skip + i] ^ (uint8_t)server->token[i]);
    }
    return difference == 0;
}

/* ---- requests ---- */

static int hex_digit(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

/* In place. */
static void decode_percent(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
            *to++ = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
            at += 2;
        } else {
            *to++ = *at == '+' ? ' ' : *at;
        }
    }
    *to = '\0';
}

static json_t *parse_query(char *text)
{
    json_t *query = json_object();
    for (char *part = strsep(&text, "&"); part != NULL; part = strsep(&text, "&")) {
        char *value = strchr(part, '=');
        static char nothing[] = "";
        if (value != NULL) {
            *value++ = '\0';
        }
        decode_percent(part);
        value = value == NULL ? nothing : value;
        decode_percent(value);
        json_t *list = json_object_get(query, part);
        if (list == NULL && *part != '\0') {
            list = json_array();
            json_object_set_new(query, part, list);
        }
        json_t *item = json_string(value);
        if (item != NULL && list != NULL) {
            json_array_append_new(list, item);
        }
    }
    return query;
}

const char *server_query(const struct server_call *call, const char *name)
{
    return json_string_value(json_array_get(json_object_get(call->query, name), 0));
}

bool server_query_bool(const struct server_call *call, const char *name)
{
    const char *text = server_query(call, name);
    return text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

void server_refuse(struct server_call *call, int code, const char *reason, const char *format, ...)
{
    char message[1000];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    CLEANUP(json) json_t *status = status_new(code, reason, "%s", message);
    char *text = json_dumps(status, JSON_COMPACT);
    http_exchange_reply(call->x, (unsigned)code, "application/json", bytes_from_text(text));
    free(text);
    json_decref(call->query);
    call->query = NULL;
}

/* The container that is meant: named, or the only one. */
static bool find_unit(struct server_call *call)
{
    const char *name = server_query(call, "container");
    const struct pod_record *record = call->record;
    CLEANUP(buf) struct buf names = BUF_INIT;
    size_t count = 0;
    for (size_t i = 0; i < record->unit_count; i++) {
        struct unit *unit = &record->units[i];
        if (name != NULL && strcmp(unit->name, name) == 0) {
            call->unit = unit;
            return true;
        }
        if (unit->type == UNIT_MAIN) {
            buf_append_format(&names, "%s%s", count++ == 0 ? "" : " ", unit->name);
            call->unit = unit;
        }
    }
    if (name == NULL && count == 1) {
        return true;
    }
    if (name != NULL) {
        server_refuse(call, 400, "BadRequest", "container %s is not valid for pod %s", name,
                      object_name(record->pod));
    } else {
        server_refuse(call, 400, "BadRequest",
                      "a container name must be specified for pod %s, choose one of: [%s]",
                      object_name(record->pod), buf_text(&names));
    }
    return false;
}

static void serve_pod(struct server_call *call, const char *verb, const char *namespace,
                      const char *name)
{
    call->record = pods_find(call->pods, namespace, name);
    if (call->record == NULL) {
        server_refuse(call, 404, "NotFound", "pod %s/%s is not on this node", namespace, name);
    } else if (strcmp(verb, "portforward") == 0) {
        port_stream_start(call);
    } else if (!find_unit(call)) {
        return;
    } else if (strcmp(verb, "log") == 0) {
        log_stream_start(call);
    } else {
        exec_stream_start(call, strcmp(verb, "attach") == 0);
    }
}

static void serve_stats(struct server_call *call)
{
    CLEANUP(json) json_t *stats = call->server->options.stats(call->server->options.stats_context);
    char *text = json_dumps(stats, JSON_COMPACT);
    http_exchange_reply(call->x, 200, "application/json", bytes_from_text(text));
    free(text);
    json_decref(call->query);
}

static void on_headers(struct http_exchange *x)
{
    struct server *server = x->data;
    x->handler = NULL;
    x->data = NULL;
    if (bytes_equal(x->path, BYTES_LITERAL("/healthz"))) {
        http_exchange_reply(x, 200, "text/plain", BYTES_LITERAL("ok"));
        return;
    }
    if (!is_known(server, x)) {
        http_exchange_reply(x, 401, "text/plain", BYTES_LITERAL("Unauthorized\n"));
        return;
    }
    char *path = arena_text(&x->arena, x->path);
    char *mark = strchr(path, '?');
    static char no_query[] = "";
    if (mark != NULL) {
        *mark++ = '\0';
    }
    struct server_call *call = arena_alloc(&x->arena, sizeof(*call));
    *call = (struct server_call){.server = server,
                                 .pods = server->options.pods,
                                 .wire = server->options.wire,
                                 .x = x,
                                 .query = parse_query(mark == NULL ? no_query : mark)};
    char *rest = path + 1;
    const char *verb = strsep(&rest, "/");
    const char *namespace = strsep(&rest, "/");
    const char *name = strsep(&rest, "/");
    static const char *const verbs[] = {"log", "exec", "attach", "portforward"};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i]) == 0 && name != NULL) {
            serve_pod(call, verb, namespace, name);
            return;
        }
    }
    if (strcmp(verb, "stats") == 0 && server->options.stats != NULL) {
        serve_stats(call);
        return;
    }
    server_refuse(call, 404, "NotFound", "the agent does not serve this");
}

static const struct http_handler handler = {.on_headers = on_headers};

uint16_t server_port(const struct server *server)
{
    return listener_port(server->listener);
}

struct server *server_new(const struct server_options *options, struct err *err)
{
    struct server *server = mem_zalloc(sizeof(*server));
    server->options = *options;
    timer_init(&server->timer, on_timer);
    int status = make_token(server, err);
    const struct listener_options listen = {
        .host = options->host, .port = options->port, .handler = &handler, .handler_data = server};
    server->listener = status != 0 ? NULL : listener_open(options->wire, &listen, err);
    if (server->listener == NULL) {
        mem_free(server);
        return NULL;
    }
    publish(server);
    return server;
}
