#include "orchestrator/remote/remote.h"

#include <string.h>

#include "base/check.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/remote/remote_internal.h"

struct pending {
    struct list link; /* in remote.failed */
    struct remote *remote;
    remote_done *done;
    void *context;
};

static uint64_t now(const struct remote *remote)
{
    return wire_loop_timers(remote->options.wire)->now_ms;
}

bool remote_is_synced(const struct remote *remote)
{
    for (size_t i = 0; i < remote->follower_count; i++) {
        if (!remote->followers[i].is_synced) {
            return false;
        }
    }
    return true;
}

static void run_changed(struct wire_task *task)
{
    struct remote *remote = container_of(task, struct remote, changed);
    if (remote_is_synced(remote) && remote->options.on_change != NULL) {
        remote->options.on_change(remote->options.context);
    }
}

void remote_note_change(struct remote *remote)
{
    wire_loop_defer(remote->options.wire, &remote->changed);
}

static void tell_state(struct remote *remote, const char *reason)
{
    if (remote->options.on_state != NULL) {
        remote->options.on_state(remote->options.context, reason);
    }
}

static void on_established(void *context, struct connection *connection)
{
    struct remote *remote = context;
    remote->connection = connection;
    remote->backoff_ms = REMOTE_BACKOFF_MS_MIN;
    for (size_t i = 0; i < remote->follower_count; i++) {
        follower_start(&remote->followers[i]);
    }
    tell_state(remote, NULL);
}

static void on_end(void *context, int code, const char *reason)
{
    struct remote *remote = context;
    remote->dialer = NULL;
    remote->connection = NULL;
    for (size_t i = 0; i < remote->follower_count; i++) {
        follower_stop(&remote->followers[i]);
    }
    tell_state(remote, code == 0 || reason == NULL ? "closed by the server" : reason);
    timers_set(wire_loop_timers(remote->options.wire), &remote->redial,
               now(remote) + remote->backoff_ms);
    uint32_t doubled_ms = remote->backoff_ms * 2;
    remote->backoff_ms = doubled_ms < REMOTE_BACKOFF_MS_MAX ? doubled_ms : REMOTE_BACKOFF_MS_MAX;
}

static void dial(struct remote *remote)
{
    const struct dialer_options options = {
        .host = remote->options.config->host,
        .port = remote->options.config->port,
        .tls = remote->tls,
        .limits = {.keepalive_time_ms = REMOTE_KEEPALIVE_MS,
                   .keepalive_timeout_ms = REMOTE_KEEPALIVE_MS},
        .on_established = on_established,
        .on_end = on_end,
        .context = remote,
    };
    remote->dialer = dialer_open(remote->options.wire, &options);
}

static void on_redial(struct timer *timer)
{
    dial(container_of(timer, struct remote, redial));
}

static void on_follower_retry(struct timer *timer)
{
    struct follower *follower = container_of(timer, struct follower, retry);
    if (follower->remote->connection != NULL) {
        follower_start(follower);
    }
}

static void run_failures(struct wire_task *task)
{
    struct remote *remote = container_of(task, struct remote, failures);
    struct list failed;
    list_init(&failed);
    list_splice_back(&failed, &remote->failed);
    for (struct list *item = list_pop_front(&failed); item != NULL;
         item = list_pop_front(&failed)) {
        struct pending *pending = container_of(item, struct pending, link);
        pending->done(pending->context, 0, NULL);
        mem_free(pending);
    }
}

static int open_tls(struct remote *remote, struct err *err)
{
    const struct kubeconfig *config = remote->options.config;
    const struct tls_options options = {
        .role = HTTP_CLIENT,
        .certificate_file = config->certificate_file,
        .key_file = config->key_file,
        .ca_file = config->ca_file,
        .skip_verify = config->skips_verify,
    };
    remote->tls = tls_context_new(&options, err);
    return remote->tls == NULL ? err->code : 0;
}

struct remote *remote_new(const struct remote_options *options, struct err *err)
{
    const struct kubeconfig *config = options->config;
    struct remote *remote = mem_zalloc(sizeof(*remote));
    remote->options = *options;
    remote->backoff_ms = REMOTE_BACKOFF_MS_MIN;
    list_init(&remote->calls);
    list_init(&remote->failed);
    wire_task_init(&remote->changed, run_changed);
    wire_task_init(&remote->failures, run_failures);
    timer_init(&remote->redial, on_redial);
    if (config->is_tls && open_tls(remote, err) != 0) {
        mem_free(remote);
        return NULL;
    }
    bool is_ip6 = strchr(config->host, ':') != NULL;
    remote->authority = mem_printf(is_ip6 ? "[%s]:%u" : "%s:%u", config->host, config->port);
    remote->authorization = config->token == NULL ? NULL : mem_printf("Bearer %s", config->token);
    dial(remote);
    return remote;
}

void remote_free(struct remote *remote)
{
    if (remote == NULL) {
        return;
    }
    for (size_t i = 0; i < remote->follower_count; i++) {
        struct follower *follower = &remote->followers[i];
        follower_stop(follower);
        mem_free(follower->path);
        mem_free(follower->storage);
        mem_free(follower->version);
    }
    remote->is_closing = true;
    if (remote->dialer != NULL) {
        dialer_close(remote->dialer); /* requests under way end here */
    }
    for (struct list *item = list_pop_front(&remote->failed); item != NULL;
         item = list_pop_front(&remote->failed)) {
        mem_free(container_of(item, struct pending, link));
    }
    timers_clear(wire_loop_timers(remote->options.wire), &remote->redial);
    wire_task_cancel(&remote->changed);
    wire_task_cancel(&remote->failures);
    tls_context_unref(remote->tls);
    mem_free(remote->authority);
    mem_free(remote->authorization);
    mem_free(remote);
}

void remote_follow(struct remote *remote, const char *path, const char *storage)
{
    CHECK(remote->follower_count < REMOTE_FOLLOWS_MAX);
    struct follower *follower = &remote->followers[remote->follower_count++];
    follower->remote = remote;
    follower->path = mem_strdup(path);
    follower->storage = mem_strdup(storage);
    follower->backoff_ms = REMOTE_BACKOFF_MS_MIN;
    timer_init(&follower->retry, on_follower_retry);
    if (remote->connection != NULL) {
        follower_start(follower);
    }
}

static void on_answer(void *context, unsigned code, struct bytes body)
{
    struct pending *pending = context;
    CLEANUP(json)
    json_t *answer =
        body.size == 0 ? NULL : json_loadb((const char *)body.data, body.size, 0, NULL);
    if (!pending->remote->is_closing) {
        pending->done(pending->context, (int)code, answer);
    }
    mem_free(pending);
}

void remote_request(struct remote *remote, const char *method, const char *path,
                    const char *content_type, const json_t *body, remote_done *done, void *context)
{
    struct pending *pending = mem_zalloc(sizeof(*pending));
    pending->remote = remote;
    pending->done = done;
    pending->context = context;
    list_init(&pending->link);
    CLEANUP(free) char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    const struct remote_call_options options = {
        .method = method,
        .path = path,
        .content_type = text == NULL ? NULL : content_type,
        .body = text == NULL ? bytes_make(NULL, 0) : bytes_from_text(text),
        .on_end = on_answer,
        .context = pending,
    };
    if (remote_call_begin(remote, &options) == NULL) {
        list_push_back(&remote->failed, &pending->link);
        wire_loop_defer(remote->options.wire, &remote->failures);
    }
}
