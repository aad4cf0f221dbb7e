#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kvstore/server/service.h"

struct service_counters {
    struct metric_child *started;
    struct metric_child *received;
    struct metric_child *sent;
    struct metric_child *handled_ok;
    char labels[128]; /* type,service,method */
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

struct service_counters *service_counters_new(struct metrics *metrics)
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
    }
    return all;
}

static struct service_counters *counters_of(struct grpc_call *call)
{
    const struct service *service = grpc_call_context(call);
    return &service->counters[grpc_call_method(call) - service_methods];
}

void service_count_start(struct grpc_call *call)
{
    metric_child_add(counters_of(call)->started, 1);
}

void service_count_received(struct grpc_call *call)
{
    metric_child_add(counters_of(call)->received, 1);
}

void service_count_end(struct grpc_call *call, enum grpc_status status)
{
    const struct service *service = grpc_call_context(call);
    const struct service_counters *counters = counters_of(call);
    metric_child_add(
        status == GRPC_OK ? counters->handled_ok : handled(service->metrics, counters, status), 1);
}

void service_send(struct grpc_call *call, struct bytes message)
{
    metric_child_add(counters_of(call)->sent, 1);
    grpc_call_send(call, message);
}

void service_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
    service_count_end(call, status);
    grpc_call_finish(call, status, text);
}
