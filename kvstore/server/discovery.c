#include "kvstore/server/discovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "kvstore/client/key_range.h"
#include "kvstore/client/rpc.h"
#include "kvstore/client/watch.h"
#include "kvstore/server/bootstrap.h"

#define REGISTRY "/_etcd/registry"

struct registry {
    struct config *config;
    struct wire_loop *wire;
    struct kv_client *client;
    char *members_prefix;
    char *own_key;
    uint64_t size;
    bool is_changed; /* the watch saw something */
};

/* One call, waited for. */
struct question {
    bool is_done;
    enum grpc_status status;
    const void *message;
    struct arena memory;
    char why[200];
};

static void on_answer(void *context, const struct kv_reply *reply)
{
    struct question *question = context;
    question->is_done = true;
    question->status = reply->status;
    if (reply->status == GRPC_OK) {
        kv_reply_take(reply, &question->memory);
        question->message = reply->message;
    } else {
        (void)snprintf(question->why, sizeof question->why, "%s", reply->text);
    }
}

static void run_until(struct wire_loop *wire, const bool *is_done)
{
    while (!*is_done) {
        (void)uv_run(wire_loop_uv(wire), UV_RUN_ONCE);
    }
}

static void on_pause_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void pause_ms(struct wire_loop *wire, uint64_t delay_ms)
{
    bool is_over = false;
    uv_timer_t timer;
    timer.data = &is_over;
    if (uv_timer_init(wire_loop_uv(wire), &timer) != 0 ||
        uv_timer_start(&timer, on_pause_over, delay_ms, 0) != 0) {
        return; /* cannot fail with a callback */
    }
    run_until(wire, &is_over);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(wire_loop_uv(wire), UV_RUN_NOWAIT);
}

/* Until it is answered: the registry may start later than we do. */
static int ask(struct registry *registry, const struct kv_method *method,
               const ProtobufCMessage *request, struct question *ret, struct err *err)
{
    const struct kv_call_options options = {
        .timeout_ms = (uint64_t)registry->config->discovery_request_timeout_ns / 1000000U,
    };
    for (;;) {
        *ret = (struct question){.status = GRPC_UNKNOWN};
        (void)kv_client_call(registry->client, method, request, &options, on_answer, ret);
        run_until(registry->wire, &ret->is_done);
        if (ret->status == GRPC_OK) {
            return 0;
        }
        if (ret->status != GRPC_UNAVAILABLE && ret->status != GRPC_DEADLINE_EXCEEDED) {
            return err_set(err, ERR_DENIED, "discovery: %s", ret->why);
        }
        log_warn("discovery: the registry does not answer", LOG_TEXT("error", ret->why));
        pause_ms(registry->wire, DISCOVERY_RETRY_MS);
    }
}

static ProtobufCBinaryData text_data(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static int read_size(struct registry *registry, struct err *err)
{
    CLEANUP(free)
    char *key = mem_printf(REGISTRY "/%s/_config/size", registry->config->discovery_token);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct question question;
    request.key = text_data(key);
    int code = ask(registry, &kv_range, &request.base, &question, err);
    if (code != 0) {
        return code;
    }
    const Etcdserverpb__RangeResponse *found = question.message;
    if (found->n_kvs == 0) {
        code = err_set(err, ERR_NOT_FOUND, "discovery: size key not found (%s)", key);
    } else {
        CLEANUP(free)
        char *text = mem_printf("%.*s", (int)found->kvs[0]->value.len,
                                (const char *)found->kvs[0]->value.data);
        char *end = NULL;
        errno = 0;
        long long size = strtoll(text, &end, 10);
        if (errno != 0 || *text == '\0' || *end != '\0' || size < 1 || size > CONFIG_MEMBERS_MAX) {
            code = err_set(err, ERR_INVALID, "discovery: size key is bad (%s: '%s')", key, text);
        }
        registry->size = (uint64_t)size;
    }
    arena_deinit(&question.memory);
    return code;
}

/* The first members by creation, joined; *ret_count may be below the size. */
static int list_members(struct registry *registry, const char **ret_text, uint64_t *ret_count,
                        int64_t *ret_revision, bool *ret_has_self, struct err *err)
{
    CLEANUP(buf) struct buf end = BUF_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct question question;
    key_range_append_prefix_end(&end, bytes_from_text(registry->members_prefix));
    request.key = text_data(registry->members_prefix);
    request.range_end = text_data(buf_text(&end));
    request.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    int code = ask(registry, &kv_range, &request.base, &question, err);
    if (code != 0) {
        return code;
    }
    const Etcdserverpb__RangeResponse *found = question.message;
    uint64_t count = found->n_kvs < registry->size ? found->n_kvs : registry->size;
    struct bytes own = bytes_from_text(registry->own_key);
    *ret_has_self = false;
    for (uint64_t i = 0; i < count; i++) {
        const Mvccpb__KeyValue *kv = found->kvs[i];
        buf_append_text(&text, i == 0 ? "" : ",");
        buf_append(&text, kv->value.data, kv->value.len);
        *ret_has_self = *ret_has_self || bytes_equal(bytes_make(kv->key.data, kv->key.len), own);
    }
    *ret_text = arena_strdup(&registry->config->arena, buf_text(&text));
    *ret_count = count;
    *ret_revision = found->header->revision;
    arena_deinit(&question.memory);
    if (!*ret_has_self && count == registry->size) {
        return err_set(err, ERR_TOO_LARGE, "discovery: cluster is full (%" PRIu64 " members)",
                       count);
    }
    return 0;
}

static int register_self(struct registry *registry, struct err *err)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct question question;
    request.key = text_data(registry->own_key);
    request.value = text_data(registry->config->initial_cluster_text);
    int code = ask(registry, &kv_put, &request.base, &question, err);
    if (code == 0) {
        arena_deinit(&question.memory);
        log_info("discovery: registered this member", LOG_TEXT("key", registry->own_key),
                 LOG_TEXT("value", registry->config->initial_cluster_text));
    }
    return code;
}

static void on_event(void *context, const struct kv_watch_event *event)
{
    struct registry *registry = context;
    if (event->type != KV_WATCH_CREATED && event->type != KV_WATCH_PROGRESS) {
        registry->is_changed = true; /* also when it ended: the list tells */
    }
}

static void wait_for_change(struct registry *registry, int64_t revision)
{
    CLEANUP(buf) struct buf end = BUF_INIT;
    key_range_append_prefix_end(&end, bytes_from_text(registry->members_prefix));
    const struct kv_watch_options options = {
        .key = bytes_from_text(registry->members_prefix),
        .range_end = buf_bytes(&end),
        .start_revision = revision + 1,
    };
    registry->is_changed = false;
    struct kv_watch *watch = kv_watch_open(registry->client, &options, on_event, registry);
    run_until(registry->wire, &registry->is_changed);
    kv_watch_close(watch);
}

static int wait_for_members(struct registry *registry, const char **ret_text, struct err *err)
{
    uint64_t count = 0;
    int64_t revision = 0;
    bool has_self = false;
    int code = read_size(registry, err);
    code = code != 0 ? code : list_members(registry, ret_text, &count, &revision, &has_self, err);
    if (code == 0 && !has_self) {
        code = register_self(registry, err);
    }
    while (code == 0) {
        code = list_members(registry, ret_text, &count, &revision, &has_self, err);
        if (code != 0 || count == registry->size) {
            return code;
        }
        log_info("discovery: waiting for other members", LOG_U64("found", count),
                 LOG_U64("size", registry->size));
        wait_for_change(registry, revision);
    }
    return code;
}

/* --- the client ------------------------------------------------------------------------------ */

static uint64_t random_seed(void)
{
    uint64_t seed;
    return getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed ? seed : clock_monotonic_ns();
}

static const char *or_null(const char *text)
{
    return *text == '\0' ? NULL : text;
}

static int open_client(struct registry *registry, struct err *err)
{
    struct config *config = registry->config;
    const char *endpoints[KV_CLIENT_ENDPOINTS_MAX];
    size_t count = 0;
    char *rest = arena_strdup(&config->arena, config->discovery_endpoints);
    for (char *word = strsep(&rest, ","); word != NULL; word = strsep(&rest, ",")) {
        if (*word != '\0' && count < KV_CLIENT_ENDPOINTS_MAX) {
            endpoints[count++] = word;
        }
    }
    const struct kv_client_options options = {
        .wire = registry->wire,
        .endpoints = endpoints,
        .endpoint_count = count,
        .ca_file = or_null(config->discovery_cacert),
        .cert_file = or_null(config->discovery_cert),
        .key_file = or_null(config->discovery_key),
        .insecure_skip_verify = config->discovery_insecure_skip_tls_verify,
        .secure_transport = !config->discovery_insecure_transport,
        .user = or_null(config->discovery_user),
        .password = or_null(config->discovery_password),
        .dial_timeout_ms = (uint32_t)(config->discovery_dial_timeout_ns / 1000000),
        .keepalive_time_ms = (uint32_t)(config->discovery_keepalive_time_ns / 1000000),
        .keepalive_timeout_ms = (uint32_t)(config->discovery_keepalive_timeout_ns / 1000000),
        .seed = random_seed(),
    };
    return kv_client_new(&options, &registry->client, err);
}

static void set_true(void *context)
{
    *(bool *)context = true;
}

static int run_registry(struct config *config, struct wire_loop *wire, const char **ret_text,
                        struct err *err)
{
    struct registry registry = {.config = config, .wire = wire};
    struct bootstrap self;
    config->initial_cluster_token = config->discovery_token;
    int code = bootstrap_new_cluster(config, &self, err); /* of us alone, for our id */
    code = code != 0 ? code : open_client(&registry, err);
    if (code != 0) {
        return code;
    }
    registry.members_prefix = mem_printf(REGISTRY "/%s/members/", config->discovery_token);
    registry.own_key = mem_printf("%s%" PRIx64, registry.members_prefix, self.member_id);
    code = wait_for_members(&registry, ret_text, err);
    bool is_closed = false;
    kv_client_close(registry.client, set_true, &is_closed);
    run_until(wire, &is_closed);
    mem_free(registry.members_prefix);
    mem_free(registry.own_key);
    return code;
}

bool discovery_is_wanted(const struct config *config)
{
    return config->discovery_endpoints[0] != '\0' || config->discovery_srv[0] != '\0';
}

int discovery_run(struct config *config, struct wire_loop *wire, struct err *err)
{
    const char *text = NULL;
    int code = config->discovery_endpoints[0] != '\0' ? run_registry(config, wire, &text, err)
                                                      : discovery_srv_cluster(config, &text, err);
    if (code != 0) {
        return code;
    }
    log_info("discovery: found the members", LOG_TEXT("initial-cluster", text));
    code = config_parse_cluster(config, text, err);
    for (unsigned i = 0; code == 0 && i < config->member_count; i++) {
        if (strcmp(config->members[i].name, config->name) == 0) {
            return 0;
        }
    }
    return code != 0 ? code
                     : err_set(err, ERR_NOT_FOUND,
                               "cannot find local etcd member \"%s\" in what discovery found (%s)",
                               config->name, text);
}
