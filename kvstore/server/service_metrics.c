#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "kvstore/server/service.h"

enum { VERSION_SIZE_MAX = 8 };

struct service_counters {
    struct metric_child *started;
    struct metric_child *received;
    struct metric_child *sent;
    struct metric_child *handled_ok;
    struct metric_child *handling; /* --metrics=extensive; else NULL */
    struct metric_child *duration; /* of requests about keys and leases that succeed; else NULL */
    char labels[128];              /* type,service,method */
};

/* "unary,etcdserverpb.KV,Put" from "/etcdserverpb.KV/Put". */
static void make_labels(const struct grpc_method *method, char labels[static 128])
{
    const char *type = method->client_stream && method->server_stream ? "bidi_stream"
                       : method->client_stream                        ? "client_stream"
                       : method->server_stream                        ? "server_stream"
                                                                      : "unary";
    const char *service = method->path + 1;
    const char *slash = strchr(service, '/');
    (void)snprintf(labels, 128, "%s,%.*s,%s", type, (int)(slash - service), service, slash + 1);
}

static struct metric_child *
handled(struct metrics *metrics, const struct service_counters *counters, enum grpc_status status)
{
    char labels[160];
    (void)snprintf(labels, sizeof labels, "%s,%s", counters->labels, grpc_status_name(status));
    return metric_get(metrics, METRIC_GRPC_HANDLED, labels);
}

/* etcd_server_request_duration_seconds{type="put",success="true"}. */
static struct metric_child *make_duration(struct metrics *metrics, const struct grpc_method *method)
{
    char labels[64];
    const char *name = strrchr(method->path, '/') + 1;
    bool is_counted = method->id >= NODE_RANGE && method->id <= NODE_LEASE_REVOKE &&
                      !method->server_stream && !method->client_stream;
    if (!is_counted) {
        return NULL;
    }
    (void)snprintf(labels, sizeof labels, "%s,true", name);
    for (char *c = labels; *c != 0; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return metric_get(metrics, METRIC_REQUEST_DURATION, labels);
}

struct service_counters *service_counters_new(struct metrics *metrics, bool is_extensive)
{
    struct service_counters *all = mem_calloc(service_method_count, sizeof *all);
    for (size_t i = 0; i < service_method_count; i++) {
        struct service_counters *counters = &all[i];
        make_labels(&service_methods[i], counters->labels);
        counters->started = metric_get(metrics, METRIC_GRPC_STARTED, counters->labels);
        counters->received = metric_get(metrics, METRIC_GRPC_RECEIVED, counters->labels);
        counters->sent = metric_get(metrics, METRIC_GRPC_SENT, counters->labels);
        for (int status = GRPC_OK; status <= GRPC_UNAUTHENTICATED; status++) {
            (void)handled(metrics, counters, (enum grpc_status)status);
        }
        counters->handled_ok = handled(metrics, counters, GRPC_OK);
        counters->duration = make_duration(metrics, &service_methods[i]);
        counters->handling =
            is_extensive ? metric_get(metrics, METRIC_GRPC_HANDLING, counters->labels) : NULL;
    }
    for (const char *const *name = (const char *const[]){"unary", "stream", NULL}; *name != NULL;
         name++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "%s,unknown", *name);
        (void)metric_get(metrics, METRIC_CLIENT_REQUESTS, labels);
    }
    (void)metric_get(metrics, METRIC_RANGE_DURATION, "true");
    return all;
}

/* etcd_server_client_requests_total by what the client says of itself; only versions as they are
 * written, so that nobody can fill the memory with labels. */
static void count_client(struct grpc_call *call)
{
    const struct service *service = grpc_call_context(call);
    const struct grpc_method *method = grpc_call_method(call);
    struct bytes version = grpc_call_metadata(call, "client-api-version");
    char text[VERSION_SIZE_MAX + 1] = "unknown";
    bool is_version = version.size > 0 && version.size <= VERSION_SIZE_MAX;
    for (size_t i = 0; is_version && i < version.size; i++) {
        is_version = version.data[i] == '.' || isdigit(version.data[i]) != 0;
    }
    if (is_version) {
        memcpy(text, version.data, version.size);
        text[version.size] = 0;
    }
    char labels[32];
    (void)snprintf(labels, sizeof labels, "%s,%s",
                   method->client_stream || method->server_stream ? "stream" : "unary", text);
    metric_child_add(metric_get(service->metrics, METRIC_CLIENT_REQUESTS, labels), 1);
}

static struct service_counters *counters_of(struct grpc_call *call)
{
    const struct service *service = grpc_call_context(call);
    return &service->counters[grpc_call_method(call) - service_methods];
}

void service_count_start(struct grpc_call *call)
{
    metric_child_add(counters_of(call)->started, 1);
    count_client(call);
}

void service_count_received(struct grpc_call *call, size_t size)
{
    const struct service *service = grpc_call_context(call);
    metric_child_add(counters_of(call)->received, 1);
    metric_add(service->metrics, METRIC_CLIENT_RECEIVED, size);
}

/* What an operator wants to see of a request that took long. */
static void warn_if_slow(struct grpc_call *call, uint64_t age_ms)
{
    const struct service *service = grpc_call_context(call);
    const struct grpc_method *method = grpc_call_method(call);
    const struct http_peer *peer = grpc_call_peer(call);
    bool is_unary = !method->client_stream && !method->server_stream;
    bool may_wait = method->id == SERVICE_LOCK || method->id == SERVICE_CAMPAIGN;
    if (is_unary && !may_wait && age_ms > service->slow_request_ms) {
        log_warn("request stats", LOG_TEXT("remote", peer == NULL ? "" : peer->address),
                 LOG_TEXT("response type", method->path), LOG_U64("time-spent-ms", age_ms));
    }
}

static void observe_end(struct grpc_call *call, enum grpc_status status)
{
    const struct service *service = grpc_call_context(call);
    const struct service_counters *counters = counters_of(call);
    uint64_t age_ms = grpc_call_age_ms(call);
    double seconds = (double)age_ms / 1e3;
    int method = grpc_call_method(call)->id;
    if (counters->handling != NULL) {
        metric_child_observe(counters->handling, seconds);
    }
    if (counters->duration != NULL && status == GRPC_OK) {
        metric_child_observe(counters->duration, seconds);
    }
    if (method == NODE_RANGE) {
        metric_child_observe(metric_get(service->metrics, METRIC_RANGE_DURATION,
                                        status == GRPC_OK ? "true" : "false"),
                             seconds);
    } else if (method == NODE_HASH || method == NODE_HASH_KV) {
        metric_observe(service->metrics,
                       method == NODE_HASH ? METRIC_HASH_DURATION : METRIC_HASH_REV_DURATION,
                       seconds);
    } else if (method == NODE_MEMBER_PROMOTE && status == GRPC_OK) {
        metric_add(service->metrics, METRIC_PROMOTE_SUCCESSES, 1);
    }
    warn_if_slow(call, age_ms);
}

void service_count_end(struct grpc_call *call, enum grpc_status status)
{
    const struct service *service = grpc_call_context(call);
    const struct service_counters *counters = counters_of(call);
    observe_end(call, status);
    metric_child_add(
        status == GRPC_OK ? counters->handled_ok : handled(service->metrics, counters, status), 1);
}

void service_send(struct grpc_call *call, struct bytes message)
{
    const struct service *service = grpc_call_context(call);
    metric_child_add(counters_of(call)->sent, 1);
    metric_add(service->metrics, METRIC_CLIENT_SENT, message.size);
    grpc_call_send(call, message);
}

void service_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
    service_count_end(call, status);
    grpc_call_finish(call, status, text);
}
