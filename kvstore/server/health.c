#include <stdio.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "kvstore/server/http_service.h"

/* Checks of /livez and /readyz, in the order in which they are listed. */
enum check { CHECK_DATA_CORRUPTION, CHECK_SERIALIZABLE, CHECK_LINEARIZABLE, CHECK_NON_LEARNER };

static const char *const check_names[] = {"data_corruption", "serializable_read",
                                          "linearizable_read", "non_learner"};
enum { CHECK_COUNT = 4 };

/* RangeRequest{key: "health", count_only} and the same with serializable. */
static const uint8_t linearizable_range[] = {0x0a, 6, 'h', 'e', 'a', 'l', 't', 'h', 0x48, 1};
static const uint8_t serializable_range[] = {0x0a, 6,   'h',  'e', 'a',  'l',
                                             't',  'h', 0x38, 1,   0x48, 1};

/* One probe that waits for a read. */
struct health_probe {
    struct core_call call;
    struct http_service *http;
    struct http_exchange *x;
    bool is_health; /* /health, else /livez or /readyz */
    bool is_verbose;
    unsigned wanted;  /* bit set of enum check */
    const char *kind; /* "livez" or "readyz" */
};

static bool is_excluded(struct http_exchange *x, const char *name)
{
    struct bytes value;
    for (unsigned i = 0; http_query_find(x->path, "exclude", i, &value); i++) {
        if (bytes_equal(value, bytes_from_text(name))) {
            return true;
        }
    }
    return false;
}

static bool query_is_true(struct http_exchange *x, const char *name)
{
    struct bytes value;
    return http_query_find(x->path, name, 0, &value) &&
           (value.size == 0 || bytes_equal(value, BYTES_LITERAL("true")));
}

static void answer_health(struct http_service *http, struct http_exchange *x, const char *reason)
{
    CLEANUP(buf) struct buf body = BUF_INIT;
    bool is_healthy = reason[0] == 0;
    metric_add(http->metrics, is_healthy ? METRIC_HEALTH_SUCCESS : METRIC_HEALTH_FAILURES, 1);
    buf_append_format(&body, "{\"health\":\"%s\",\"reason\":\"%s\"}%s",
                      is_healthy ? "true" : "false", reason, is_healthy ? "" : "\n");
    http_exchange_reply(x, is_healthy ? 200 : 503, "application/json", buf_bytes(&body));
}

/* The alarm that makes this member unhealthy; "" for none. */
static const char *alarm_reason(struct http_service *http, struct http_exchange *x)
{
    struct kv_alarm_member alarms[2 * RAFT_MEMBERS_MAX];
    uint32_t count =
        kv_alarms(node_kv(core_node(http->service->core)), alarms, 2 * RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < count && i < 2 * RAFT_MEMBERS_MAX; i++) {
        bool is_space = alarms[i].alarm == KV_ALARM_NO_SPACE;
        if (!is_space && !kv_is_fenced(node_kv(core_node(http->service->core)))) {
            continue; /* another member's data is wrong, and it says so itself */
        }
        if (!is_excluded(x, is_space ? "NOSPACE" : "CORRUPT")) {
            return is_space ? "ALARM NOSPACE" : "ALARM CORRUPT";
        }
    }
    return "";
}

static const char *check_error(const struct health_probe *probe, enum check check,
                               enum etcd_error read_error)
{
    struct http_service *http = probe->http;
    switch (check) {
    case CHECK_DATA_CORRUPTION:
        return kv_is_fenced(node_kv(core_node(http->service->core))) ? "alarm activated: CORRUPT"
                                                                     : "";
    case CHECK_SERIALIZABLE:
    case CHECK_LINEARIZABLE:
        return read_error == ETCD_OK ? "" : etcd_error_text(read_error);
    case CHECK_NON_LEARNER:
        return node_is_learner(core_node(http->service->core)) ? "the member is a learner" : "";
    }
    return "";
}

static void answer_checks(struct health_probe *probe, enum etcd_error read_error)
{
    CLEANUP(buf) struct buf body = BUF_INIT;
    bool is_ok = true;
    for (unsigned check = 0; check < CHECK_COUNT; check++) {
        if ((probe->wanted & (1U << check)) == 0) {
            continue;
        }
        const char *error = check_error(probe, (enum check)check, read_error);
        bool has_failed = error[0] != 0;
        is_ok = is_ok && !has_failed;
        char values[96];
        (void)snprintf(values, sizeof values, "%s,%s,%s", probe->kind, check_names[check],
                       has_failed ? "error" : "success");
        metric_child_add(metric_get(probe->http->metrics, METRIC_HEALTHCHECKS, values), 1);
        (void)snprintf(values, sizeof values, "%s,%s", probe->kind, check_names[check]);
        metric_child_set(metric_get(probe->http->metrics, METRIC_HEALTHCHECK, values),
                         has_failed ? 0 : 1);
        if (has_failed) {
            buf_append_format(&body, "[-]%s failed: %s\n", check_names[check], error);
        } else {
            buf_append_format(&body, "[+]%s ok\n", check_names[check]);
        }
    }
    if (is_ok && !probe->is_verbose) {
        buf_clear(&body);
    }
    buf_append_text(&body, is_ok ? "ok\n" : "");
    http_exchange_reply(probe->x, is_ok ? 200 : 503, "text/plain; charset=utf-8", buf_bytes(&body));
}

static void on_reply(struct core_call *call, const struct node_reply *reply)
{
    struct health_probe *probe = container_of(call, struct health_probe, call);
    if (!probe->is_health) {
        answer_checks(probe, reply->status);
    } else if (reply->status == ETCD_OK) {
        answer_health(probe->http, probe->x, "");
    } else {
        char reason[160];
        (void)snprintf(reason, sizeof reason, "RANGE ERROR:%s", etcd_error_text(reply->status));
        answer_health(probe->http, probe->x, reason);
    }
    http_exchange_unref(probe->x);
    mem_free(probe);
}

static void start_probe(struct http_service *http, struct http_exchange *x,
                        const struct health_probe *wanted, bool is_serializable)
{
    struct health_probe *probe = mem_alloc(sizeof *probe);
    *probe = *wanted;
    probe->http = http;
    probe->x = http_exchange_ref(x);
    probe->call = (struct core_call){
        .method = NODE_RANGE,
        .body = is_serializable ? bytes_make(serializable_range, sizeof serializable_range)
                                : bytes_make(linearizable_range, sizeof linearizable_range),
        .is_internal = true, /* it reads no value */
        .on_reply = on_reply,
    };
    core_submit(http->service->core, &probe->call);
}

static void serve_health(struct http_service *http, struct http_exchange *x)
{
    bool is_serializable = query_is_true(x, "serializable");
    const char *reason = alarm_reason(http, x);
    if (reason[0] == 0 && !is_serializable && node_leader(core_node(http->service->core)) == 0) {
        reason = "RAFT NO LEADER";
    }
    if (reason[0] != 0) {
        answer_health(http, x, reason);
        return;
    }
    const struct health_probe probe = {.is_health = true};
    start_probe(http, x, &probe, is_serializable);
}

/* "/readyz/<check>" asks for one check; false: no such check. */
static bool wanted_checks(struct http_exchange *x, struct bytes path, bool is_ready,
                          unsigned *ret_wanted)
{
    unsigned all = is_ready ? (1U << CHECK_COUNT) - 1 : 1U << CHECK_SERIALIZABLE;
    size_t base = strlen(is_ready ? "/readyz" : "/livez");
    *ret_wanted = 0;
    for (unsigned check = 0; check < CHECK_COUNT; check++) {
        if ((all & (1U << check)) == 0) {
            continue;
        }
        struct bytes name = bytes_from_text(check_names[check]);
        bool is_named = path.size > base + 1 &&
                        bytes_equal(bytes_make(path.data + base + 1, path.size - base - 1), name);
        if (path.size > base + 1 ? is_named : !is_excluded(x, check_names[check])) {
            *ret_wanted |= 1U << check;
        }
    }
    return *ret_wanted != 0 || path.size <= base + 1;
}

void health_serve(struct http_service *http, struct http_exchange *x, struct bytes path)
{
    if (bytes_equal(path, BYTES_LITERAL("/health"))) {
        serve_health(http, x);
        return;
    }
    bool is_ready = bytes_has_prefix(path, BYTES_LITERAL("/readyz"));
    struct health_probe probe = {.kind = is_ready ? "readyz" : "livez",
                                 .is_verbose = query_is_true(x, "verbose")};
    if (!wanted_checks(x, path, is_ready, &probe.wanted)) {
        http_exchange_reply(x, 404, "text/plain; charset=utf-8",
                            BYTES_LITERAL("404 page not found\n"));
        return;
    }
    bool is_serializable = (probe.wanted & (1U << CHECK_LINEARIZABLE)) == 0;
    start_probe(http, x, &probe, is_serializable);
}
