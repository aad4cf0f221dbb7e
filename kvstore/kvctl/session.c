#include "kvstore/kvctl/session.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "kvstore/kvctl/password.h"

/* Closing runs the loop until the callback said so. */
static void set_true(void *context)
{
    *(bool *)context = true;
}

static void run_until(struct session *session, const bool *is_done)
{
    while (!*is_done) {
        (void)uv_run(&session->loop, UV_RUN_ONCE);
    }
}

static const char *const *split_list(const char *text, struct arena *arena, size_t *ret_count)
{
    const char **items = arena_zalloc(arena, (strlen(text) / 2 + 2) * sizeof *items);
    size_t count = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        struct bytes item = bytes_make(text, size);
        while (item.size > 0 && item.data[0] == ' ') {
            item = bytes_make(item.data + 1, item.size - 1);
        }
        while (item.size > 0 && item.data[item.size - 1] == ' ') {
            item.size -= 1;
        }
        if (item.size > 0) {
            items[count++] = arena_text(arena, item);
        }
        text += size + (text[size] == ',');
    }
    *ret_count = count;
    return items;
}

static void print_settings(const struct invocation *invocation)
{
    for (size_t i = 0; i < invocation->flags.count; i++) {
        const struct flag_value *value = &invocation->flags.values[i];
        bool is_secret = strcmp(value->flag->name, "password") == 0 ||
                         strcmp(value->flag->name, "user") == 0 ||
                         strcmp(value->flag->name, "auth-jwt-token") == 0;
        fprintf(stderr, "%s=%s\n", value->flag->name,
                is_secret && *value->text != '\0' ? "(hidden)" : value->text);
    }
}

int session_open(struct invocation *invocation)
{
    if (invocation->session != NULL) {
        return EXIT_CODE_OK;
    }
    const struct flag_set *flags = &invocation->flags;
    if (flag_bool(flags, "debug")) {
        print_settings(invocation);
    }
    struct session *session = arena_zalloc(invocation->arena, sizeof *session);
    buf_init(&session->output);
    session->printer.out = &session->output;
    session->printer.is_hex = flag_bool(flags, "hex");
    if (output_format_parse(flag_text(flags, "write-out"), &session->printer.format) < 0) {
        return command_fail(EXIT_CODE_BAD_FEATURE,
                            "unsupported output format \"%s\" (simple, json, fields, table, "
                            "protobuf)",
                            flag_text(flags, "write-out"));
    }
    if (session->printer.format == OUTPUT_TABLE && !invocation->command->has_table) {
        /* Said before anything is changed in the store. */
        return command_fail(EXIT_CODE_BAD_FEATURE, "table not supported as output format");
    }
    session->endpoints =
        split_list(flag_text(flags, "endpoints"), invocation->arena, &session->endpoint_count);
    int result = uv_loop_init(&session->loop);
    if (result < 0) {
        return command_fail(EXIT_CODE_ERROR, "event loop: %s", uv_strerror(result));
    }
    session->wire = wire_loop_new(&session->loop);
    CHECK(uv_async_init(&session->loop, &session->presence, NULL) == 0);
    invocation->session = session;
    return EXIT_CODE_OK;
}

void session_close_client(struct invocation *invocation, struct kv_client *client)
{
    bool is_closed = false;
    kv_client_close(client, set_true, &is_closed);
    run_until(invocation->session, &is_closed);
}

void session_close(struct invocation *invocation)
{
    struct session *session = TAKE_PTR(invocation->session);
    if (session == NULL) {
        return;
    }
    invocation->session = session;
    if (session->client != NULL) {
        session_close_client(invocation, TAKE_PTR(session->client));
    }
    bool is_closed = false;
    wire_loop_close(session->wire, set_true, &is_closed);
    run_until(session, &is_closed);
    uv_close((uv_handle_t *)&session->presence, NULL);
    (void)uv_run(&session->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&session->loop) == 0);
    buf_deinit(&session->output);
    invocation->session = NULL;
}

static const char *text_or_null(const struct flag_set *flags, const char *name)
{
    const char *text = flag_text(flags, name);
    return *text == '\0' ? NULL : text;
}

/* --user name:password, --user name with --password, or a question on the terminal. */
static int read_credentials(struct invocation *invocation, struct kv_client_options *options)
{
    const struct flag_set *flags = &invocation->flags;
    const char *user = text_or_null(flags, "user");
    const char *password = text_or_null(flags, "password");
    options->token = text_or_null(flags, "auth-jwt-token");
    if (user == NULL || options->token != NULL) {
        return EXIT_CODE_OK;
    }
    const char *colon = strchr(user, ':');
    options->user = user;
    options->password = password;
    if (password != NULL) {
        return EXIT_CODE_OK;
    }
    if (colon != NULL) {
        options->user = arena_text(invocation->arena, bytes_make(user, (size_t)(colon - user)));
        options->password = colon + 1;
        return EXIT_CODE_OK;
    }
    struct err err;
    if (password_ask("Password: ", invocation->arena, &options->password, &err) < 0) {
        return command_fail(EXIT_CODE_ERROR, "%s", err.text);
    }
    /* Asked once, also for further clients. */
    struct flag_value *value = flag_set_find(&invocation->flags, "password");
    value->text = options->password;
    return EXIT_CODE_OK;
}

static int check_file_flags(const struct invocation *invocation)
{
    static const char *const names[] = {"cert", "key", "cacert"};
    for (size_t i = 0; i < 3; i++) {
        if (flag_is_set(&invocation->flags, names[i]) &&
            *flag_text(&invocation->flags, names[i]) == '\0') {
            return command_fail(EXIT_CODE_BAD_ARGS, "empty string is passed to --%s option",
                                names[i]);
        }
    }
    return EXIT_CODE_OK;
}

static int new_client(struct invocation *invocation, const char *const *endpoints, size_t count,
                      struct kv_client **ret)
{
    const struct flag_set *flags = &invocation->flags;
    struct kv_client_options options = {
        .wire = invocation->session->wire,
        .endpoints = endpoints,
        .endpoint_count = count,
        .ca_file = text_or_null(flags, "cacert"),
        .cert_file = text_or_null(flags, "cert"),
        .key_file = text_or_null(flags, "key"),
        .server_name = text_or_null(flags, "server-name"),
        .insecure_skip_verify = flag_bool(flags, "insecure-skip-tls-verify"),
        .secure_transport = !flag_bool(flags, "insecure-transport"),
        .dial_timeout_ms = (uint32_t)flag_duration_ms(flags, "dial-timeout"),
        .keepalive_time_ms = (uint32_t)flag_duration_ms(flags, "keepalive-time"),
        .keepalive_timeout_ms = (uint32_t)flag_duration_ms(flags, "keepalive-timeout"),
        .seed = clock_monotonic_ns() ^ (uint64_t)uv_os_getpid() << 32,
    };
    int code = check_file_flags(invocation);
    if (code == EXIT_CODE_OK) {
        code = read_credentials(invocation, &options);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    if (kv_client_new(&options, ret, &err) < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "%s", err.text);
    }
    return EXIT_CODE_OK;
}

int session_new_client(struct invocation *invocation, const char *endpoint, struct kv_client **ret)
{
    return new_client(invocation, &endpoint, 1, ret);
}

int session_connect(struct invocation *invocation)
{
    int code = session_open(invocation);
    if (code != EXIT_CODE_OK || invocation->session->client != NULL) {
        return code;
    }
    return new_client(invocation, invocation->session->endpoints,
                      invocation->session->endpoint_count, &invocation->session->client);
}

void answer_deinit(struct answer *answer)
{
    mem_free(answer->text);
    arena_deinit(&answer->memory);
}

/* Calls that are under way together. */
struct pending {
    size_t left;
    bool is_done;
    uint64_t start_ns;
};

struct pending_call {
    struct pending *pending;
    struct answer *answer;
};

static void call_done(void *context, const struct kv_reply *reply)
{
    struct pending_call *call = context;
    struct pending *pending = call->pending;
    struct answer *answer = call->answer;
    pending->left -= 1;
    pending->is_done = pending->left == 0;
    answer->status = reply->status;
    answer->took_ns = clock_monotonic_ns() - pending->start_ns;
    if (reply->status == GRPC_OK) {
        kv_reply_take(reply, &answer->memory);
        answer->message = reply->message;
        return;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    kv_error_append_text(&text, reply->status, reply->text);
    answer->text = mem_strdup(buf_text(&text));
}

static void print_call(struct kv_client *client, const struct kv_method *method,
                       const struct answer *answer)
{
    const char *endpoint = kv_client_endpoint(client);
    fprintf(stderr, "%s via %s: %s%s%s, %.3f ms\n", method->path,
            endpoint != NULL ? endpoint : "no endpoint", grpc_status_name(answer->status),
            answer->text != NULL ? ": " : "", answer->text != NULL ? answer->text : "",
            (double)answer->took_ns / 1e6);
}

void session_ask_all(struct invocation *invocation, struct kv_client *const *clients, size_t count,
                     const struct kv_method *method, const ProtobufCMessage *request,
                     int64_t timeout_ms, struct answer *ret)
{
    struct pending pending = {.left = count, .is_done = count == 0};
    struct pending_call only; /* the usual case must not fill the arena of a long run */
    struct pending_call *calls =
        count == 1 ? &only : arena_alloc(invocation->arena, (count + 1) * sizeof *calls);
    const struct kv_call_options options = {
        .timeout_ms = timeout_ms == SESSION_COMMAND_TIMEOUT
                          ? flag_duration_ms(&invocation->flags, "command-timeout")
                          : (uint64_t)timeout_ms,
    };
    uv_update_time(&invocation->session->loop);
    pending.start_ns = clock_monotonic_ns();
    for (size_t i = 0; i < count; i++) {
        ret[i] = (struct answer){.status = GRPC_UNKNOWN};
        calls[i] = (struct pending_call){&pending, &ret[i]};
        (void)kv_client_call(clients[i], method, request, &options, call_done, &calls[i]);
    }
    run_until(invocation->session, &pending.is_done);
    for (size_t i = 0; i < count && flag_bool(&invocation->flags, "debug"); i++) {
        print_call(clients[i], method, &ret[i]);
    }
}

void session_ask(struct invocation *invocation, struct kv_client *client,
                 const struct kv_method *method, const ProtobufCMessage *request,
                 int64_t timeout_ms, struct answer *ret)
{
    session_ask_all(invocation, &client, 1, method, request, timeout_ms, ret);
}

int session_fail(struct invocation *invocation, struct kv_client *client, enum command_exit code,
                 const struct answer *answer)
{
    (void)invocation;
    static const char refused[] = "etcdserver: authentication failed, invalid user ID or password";
    if (code == EXIT_CODE_ERROR && strcmp(answer->text, refused) == 0) {
        code = EXIT_CODE_BAD_CONNECTION; /* etcdctl counts it to the connection, too */
    }
    (void)command_fail(code, "%s", answer->text);
    if (answer->status != GRPC_UNAVAILABLE && answer->status != GRPC_DEADLINE_EXCEEDED) {
        return (int)code;
    }
    const char *problems = kv_client_problems(client);
    if (*problems != '\0' && strstr(answer->text, problems) == NULL) {
        fprintf(stderr, "Connections: %s\n", problems);
    }
    if (kv_client_endpoint(client) == NULL) {
        fprintf(stderr, "Is the store running there? Set --endpoints or KVCTL_ENDPOINTS, and for "
                        "TLS --cacert, --cert, --key or https://.\n");
    }
    return (int)code;
}

int session_call_within(struct invocation *invocation, const struct kv_method *method,
                        const ProtobufCMessage *request, int64_t timeout_ms, struct answer *ret)
{
    *ret = (struct answer){.status = GRPC_UNKNOWN};
    int code = session_connect(invocation);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct kv_client *client = invocation->session->client;
    session_ask(invocation, client, method, request, timeout_ms, ret);
    return ret->status == GRPC_OK ? EXIT_CODE_OK
                                  : session_fail(invocation, client, EXIT_CODE_ERROR, ret);
}

int session_call(struct invocation *invocation, const struct kv_method *method,
                 const ProtobufCMessage *request, struct answer *ret)
{
    return session_call_within(invocation, method, request, SESSION_COMMAND_TIMEOUT, ret);
}

void session_flush(struct session *session)
{
    struct bytes bytes = buf_bytes(&session->output);
    if (bytes.size > 0) {
        (void)fwrite(bytes.data, 1, bytes.size, stdout); /* main checks stdout at the end */
    }
    (void)fflush(stdout);
    buf_clear(&session->output);
}

int session_show(struct invocation *invocation, int printed, const struct err *err)
{
    if (printed < 0) {
        return command_fail(EXIT_CODE_BAD_FEATURE, "%s", err->text);
    }
    session_flush(invocation->session);
    return EXIT_CODE_OK;
}

int session_endpoints(struct invocation *invocation, const char *const **ret, size_t *ret_count)
{
    int code = session_open(invocation);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (!flag_bool(&invocation->flags, "cluster")) {
        *ret = invocation->session->endpoints;
        *ret_count = invocation->session->endpoint_count;
        return EXIT_CODE_OK;
    }
    CLEANUP(answer) struct answer answer = {0};
    Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    request.linearizable = true;
    code = session_call(invocation, &kv_member_list, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        fprintf(stderr, "Error: failed to fetch endpoints from the cluster's member list\n");
        return code;
    }
    const Etcdserverpb__MemberListResponse *response = answer.message;
    size_t count = 0;
    for (size_t i = 0; i < response->n_members; i++) {
        count += response->members[i]->n_clienturls;
    }
    const char **endpoints = arena_alloc(invocation->arena, (count + 1) * sizeof *endpoints);
    count = 0;
    for (size_t i = 0; i < response->n_members; i++) {
        for (size_t k = 0; k < response->members[i]->n_clienturls; k++) {
            endpoints[count++] =
                arena_strdup(invocation->arena, response->members[i]->clienturls[k]);
        }
    }
    *ret = endpoints;
    *ret_count = count;
    return EXIT_CODE_OK;
}
