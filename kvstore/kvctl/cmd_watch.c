/* watch: print events, or run a command for each; -i takes many watches from standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "kvstore/client/watch.h"
#include "kvstore/kvctl/argify.h"
#include "kvstore/kvctl/child.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/line_reader.h"
#include "kvstore/kvctl/session.h"
#include "kvstore/kvctl/watch_text.h"

struct watching {
    struct invocation *inv;
    const char *key_default;
    const char *end_default;
    int code;
    bool is_interactive;
};

struct one_watch {
    struct watching *watching;
    struct kv_watch *watch;
    const char *const *command; /* NULL: only print */
};

static void stop(struct watching *watching, int code)
{
    watching->code = code;
    uv_stop(&watching->inv->session->loop);
}

static const char *quoted_variable(struct arena *arena, const char *name, ProtobufCBinaryData data)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_format(&text, "%s=", name);
    go_text_append_quoted(&text, bytes_make(data.data, data.len));
    return arena_text(arena, buf_bytes(&text));
}

static int run_for_event(const char *const *command, int64_t revision, const Mvccpb__Event *event)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    const char *type = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE ? "DELETE" : "PUT";
    const char *const extra[] = {
        arena_printf(&arena, "ETCD_WATCH_REVISION=%lld", (long long)revision),
        arena_printf(&arena, "ETCD_WATCH_EVENT_TYPE=\"%s\"", type),
        quoted_variable(&arena, "ETCD_WATCH_KEY", event->kv->key),
        quoted_variable(&arena, "ETCD_WATCH_VALUE", event->kv->value),
        NULL,
    };
    struct err err;
    int status;
    if (child_run(command, extra, &status, &err) < 0) {
        fprintf(stderr, "command [%s] error (%s)\n", command[0], err.text);
        return EXIT_CODE_ERROR;
    }
    if (status != 0) {
        fprintf(stderr, "command [%s] error (exit status %d)\n", command[0], status);
        return EXIT_CODE_ERROR;
    }
    return EXIT_CODE_OK;
}

static int show(struct watching *watching, const Etcdserverpb__WatchResponse *response)
{
    struct err err;
    int result = print_watch(&watching->inv->session->printer, response, &err);
    return session_show(watching->inv, result, &err);
}

static void on_end(struct watching *watching, const struct kv_watch_event *event)
{
    Etcdserverpb__WatchResponse ended;
    etcdserverpb__watch_response__init(&ended);
    ended.canceled = true;
    CLEANUP(buf) struct buf reason = BUF_INIT;
    if (event->type == KV_WATCH_COMPACTED) {
        buf_append_text(&reason, "etcdserver: mvcc: required revision has been compacted");
    } else if (event->status != GRPC_OK) {
        kv_error_append_text(&reason, event->status, event->reason);
    } else {
        buf_append_text(&reason, event->reason);
    }
    fprintf(stderr, "watch was canceled (%s)\n", buf_text(&reason));
    int code = show(watching, event->response != NULL ? event->response : &ended);
    if (!watching->is_interactive) {
        (void)code; /* the cancellation is the news */
        stop(watching, command_fail(EXIT_CODE_INTERRUPTED, "watch is canceled by the server"));
    }
}

static void on_event(void *context, const struct kv_watch_event *event)
{
    struct one_watch *one = context;
    struct watching *watching = one->watching;
    int code = EXIT_CODE_OK;
    switch (event->type) {
    case KV_WATCH_CREATED:
        return;
    case KV_WATCH_PROGRESS:
        printf("progress notify: %lld\n", (long long)event->revision);
        code = show(watching, event->response);
        break;
    case KV_WATCH_EVENTS:
        code = show(watching, event->response);
        for (size_t i = 0;
             code == EXIT_CODE_OK && one->command != NULL && i < event->response->n_events; i++) {
            code = run_for_event(one->command, event->revision, event->response->events[i]);
        }
        break;
    case KV_WATCH_COMPACTED:
    case KV_WATCH_CANCELED:
        on_end(watching, event);
        return;
    }
    if (code != EXIT_CODE_OK) {
        stop(watching, code);
    }
}

/* A watch goes on trying for ever, but not without a word. */
static void on_patience_over(uv_timer_t *timer)
{
    const struct watching *watching = timer->data;
    struct kv_client *client = watching->inv->session->client;
    if (kv_client_endpoint(client) == NULL) {
        fprintf(stderr, "No endpoint can be reached yet, trying on: %s\n",
                kv_client_problems(client));
    }
}

/* Run until something stops the watching. */
static void run_loop(struct watching *watching)
{
    struct invocation *inv = watching->inv;
    uv_timer_t patience = {.data = watching};
    CHECK(uv_timer_init(&inv->session->loop, &patience) == 0);
    uv_update_time(&inv->session->loop);
    CHECK(uv_timer_start(&patience, on_patience_over, flag_duration_ms(&inv->flags, "dial-timeout"),
                         0) == 0);
    (void)uv_run(&inv->session->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&patience, NULL);
    session_close(inv); /* the timer's memory ends here */
}

static int start_watch(struct watching *watching, const struct watch_request *request)
{
    struct one_watch *one = arena_zalloc(watching->inv->arena, sizeof *one);
    one->watching = watching;
    one->command = request->command;
    one->watch = kv_watch_open(watching->inv->session->client, &request->options, on_event, one);
    return EXIT_CODE_OK;
}

/* A line of the interactive mode; a bad one is told and forgotten. */
static void on_line(void *context, const char *line)
{
    struct watching *watching = context;
    struct arena *arena = watching->inv->arena;
    struct err err;
    if (line == NULL) {
        stop(watching,
             command_fail(EXIT_CODE_INVALID_INPUT, "error reading watch request line: EOF"));
        return;
    }
    const char *const *words;
    int count;
    if (argify(line, arena, &words, &count, &err) < 0) {
        fprintf(stderr, "Invalid command %s (%s)\n", line, err.text);
        return;
    }
    if (count > 0 && strcmp(words[0], "progress") == 0) {
        kv_client_request_progress(watching->inv->session->client);
        return;
    }
    if (count == 0 || strcmp(words[0], "watch") != 0) {
        fprintf(stderr, "Invalid command %s (only support watch and progress)\n", line);
        return;
    }
    struct watch_request request;
    if (watch_request_build(words + 1, count - 1, watching->key_default, watching->end_default,
                            NULL, arena, &request, &err) < 0) {
        fprintf(stderr, "Invalid command %s (%s)\n", line, err.text);
        return;
    }
    (void)start_watch(watching, &request);
}

static int run_interactive(struct watching *watching)
{
    struct session *session = watching->inv->session;
    struct line_reader reader;
    struct err err;
    if (line_reader_start(&reader, &session->loop, on_line, watching, &err) < 0) {
        return command_fail(EXIT_CODE_IO, "%s", err.text);
    }
    (void)uv_run(&session->loop, UV_RUN_DEFAULT);
    line_reader_stop(&reader);
    session_close(watching->inv); /* the reader's handles must be gone before it is */
    return watching->code;
}

static const char *watch_variable(const char *suffix)
{
    static const char *const prefixes[] = {"KVCTL_WATCH_", "ETCDCTL_WATCH_"};
    for (size_t i = 0; i < 2; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s%s", prefixes[i], suffix);
        const char *value = getenv(name);
        if (value != NULL && *value != '\0') {
            return value;
        }
    }
    return NULL;
}

static int run_watch(struct invocation *inv)
{
    struct watching watching = {
        .inv = inv,
        .key_default = watch_variable("KEY"),
        .end_default = watch_variable("RANGE_END"),
        .is_interactive = flag_bool(&inv->flags, "interactive"),
    };
    if (watching.key_default == NULL && watching.end_default != NULL) {
        return command_fail(EXIT_CODE_BAD_ARGS, "WATCH_KEY is empty but got WATCH_RANGE_END=\"%s\"",
                            watching.end_default);
    }
    struct watch_request request;
    struct err err;
    if (!watching.is_interactive &&
        watch_request_build(inv->raw, inv->raw_count, watching.key_default, watching.end_default,
                            &inv->flags, inv->arena, &request, &err) < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "%s", err.text);
    }
    int code = session_connect(inv);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (watching.is_interactive) {
        return run_interactive(&watching);
    }
    (void)start_watch(&watching, &request);
    run_loop(&watching);
    return watching.code;
}

const struct command watch_commands[] = {
    {
        .path = "watch",
        .group = "keys",
        .summary = "Print changes of keys as they happen",
        .arguments = "<key> [range_end] [-- command...]",
        .flags = watch_flags,
        .run = run_watch,
        .examples = "$ kvctl watch greeting\n"
                    "$ kvctl watch --prefix /jobs/ --rev 1      # the whole history, then on\n"
                    "$ kvctl watch greeting -- sh -c 'echo $ETCD_WATCH_VALUE'\n"
                    "$ kvctl watch -i\n"
                    "watch --prefix /jobs/\n"
                    "progress",
        .more =
            "The watch goes on from its last revision when a connection breaks, on any endpoint.\n"
            "The command gets ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and\n"
            "ETCD_WATCH_VALUE (the last three quoted) in its environment.",
    },
    {.path = NULL},
};
