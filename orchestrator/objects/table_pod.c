/* table_pod.c - the one status word of a pod, and its other columns. */
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/table.h"
#include "orchestrator/objects/timestamp.h"

static char *terminated_word(const json_t *terminated)
{
    const char *reason = tree_text_or(terminated, "reason", "");
    int64_t signal = tree_int(terminated, "signal", 0);
    if (*reason != '\0') {
        return mem_strdup(reason);
    }
    return signal != 0 ? mem_printf("Signal:%d", (int)signal)
                       : mem_printf("ExitCode:%d", (int)tree_int(terminated, "exitCode", 0));
}

static bool is_sidecar(const json_t *pod, const char *name)
{
    const json_t *container = tree_find_item(tree_find(pod, "spec.initContainers"), "name", name);
    return tree_has_text(container, "restartPolicy", "Always");
}

/* What the first init container that is not done says; NULL when all are. The caller frees. */
static char *init_word(const json_t *pod)
{
    const json_t *statuses = tree_find(pod, "status.initContainerStatuses");
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *status = json_array_get(statuses, i);
        const json_t *terminated = tree_find(status, "state.terminated");
        const char *waiting = tree_text_or(status, "state.waiting.reason", "");
        if (terminated != NULL && tree_int(terminated, "exitCode", 0) == 0) {
            continue;
        }
        bool is_up = tree_bool(status, "started", false);
        if (is_sidecar(pod, tree_text_or(status, "name", "")) && is_up) {
            continue;
        }
        if (terminated != NULL) {
            CLEANUP(free) char *word = terminated_word(terminated);
            return mem_printf("Init:%s", word);
        }
        if (*waiting != '\0' && strcmp(waiting, "PodInitializing") != 0) {
            return mem_printf("Init:%s", waiting);
        }
        return mem_printf("Init:%zu/%zu", i, tree_count(pod, "spec.initContainers"));
    }
    return NULL;
}

/* The last container that is not simply running decides; the caller frees. */
static char *container_word(const json_t *pod, const char *phase_word)
{
    const json_t *statuses = tree_find(pod, "status.containerStatuses");
    char *word = mem_strdup(phase_word);
    bool has_running = false;
    for (size_t i = json_array_size(statuses); i > 0; i--) {
        const json_t *status = json_array_get(statuses, i - 1);
        const char *waiting = tree_text_or(status, "state.waiting.reason", "");
        const json_t *terminated = tree_find(status, "state.terminated");
        if (*waiting != '\0') {
            mem_free(word);
            word = mem_strdup(waiting);
        } else if (terminated != NULL) {
            mem_free(word);
            word = terminated_word(terminated);
        } else if (tree_bool(status, "ready", false) &&
                   tree_find(status, "state.running") != NULL) {
            has_running = true;
        }
    }
    if (strcmp(word, "Completed") == 0 && has_running) {
        mem_free(word);
        word = mem_strdup(object_condition_is(pod, "Ready", "True") ? "Running" : "NotReady");
    }
    return word;
}

static json_t *pod_status(const json_t *pod, int64_t now_ms)
{
    (void)now_ms;
    const char *reason = tree_text_or(pod, "status.reason", "");
    const char *phase = tree_text_or(pod, "status.phase", "");
    const json_t *scheduled = object_condition(pod, "PodScheduled");
    if (tree_has_text(scheduled, "reason", "SchedulingGated")) {
        reason = "SchedulingGated";
    }
    CLEANUP(free) char *word = init_word(pod);
    if (word == NULL) {
        word = container_word(pod, *reason == '\0' ? phase : reason);
    }
    if (object_is_deleting(pod)) {
        return json_string(strcmp(reason, "NodeLost") == 0 ? "Unknown" : "Terminating");
    }
    return json_string(word);
}

static json_t *pod_ready(const json_t *pod, int64_t now_ms)
{
    (void)now_ms;
    size_t total = tree_count(pod, "spec.containers");
    size_t ready = 0;
    const json_t *statuses = tree_find(pod, "status.containerStatuses");
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *status = json_array_get(statuses, i);
        ready += tree_bool(status, "ready", false) && tree_find(status, "state.running") != NULL;
    }
    const json_t *inits = tree_find(pod, "status.initContainerStatuses");
    const json_t *specs = tree_find(pod, "spec.initContainers");
    for (size_t i = 0; i < json_array_size(specs); i++) {
        total += tree_has_text(json_array_get(specs, i), "restartPolicy", "Always");
    }
    for (size_t i = 0; i < json_array_size(inits); i++) {
        const json_t *status = json_array_get(inits, i);
        ready +=
            is_sidecar(pod, tree_text_or(status, "name", "")) && tree_bool(status, "ready", false);
    }
    CLEANUP(free) char *text = mem_printf("%zu/%zu", ready, total);
    return json_string(text);
}

static json_t *pod_restarts(const json_t *pod, int64_t now_ms)
{
    int64_t count = 0;
    int64_t last_ms = -1;
    const json_t *statuses = tree_find(pod, "status.containerStatuses");
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *status = json_array_get(statuses, i);
        int64_t time_ms = timestamp_at(status, "lastState.terminated.finishedAt", -1);
        count += tree_int(status, "restartCount", 0);
        last_ms = time_ms > last_ms ? time_ms : last_ms;
    }
    char age[DURATION_TEXT_SIZE];
    CLEANUP(free)
    char *text =
        count > 0 && last_ms >= 0
            ? mem_printf("%d (%s ago)", (int)count, duration_format_short(now_ms - last_ms, age))
            : mem_printf("%d", (int)count);
    return json_string(text);
}

static json_t *pod_ip(const json_t *pod, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(pod, "status.podIP"), "<none>");
}

static json_t *pod_node(const json_t *pod, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(pod, "spec.nodeName"), "<none>");
}

static json_t *pod_nominated(const json_t *pod, int64_t now_ms)
{
    (void)now_ms;
    return cell_text(tree_text(pod, "status.nominatedNodeName"), "<none>");
}

static json_t *pod_gates(const json_t *pod, int64_t now_ms)
{
    (void)now_ms;
    const json_t *gates = tree_find(pod, "spec.readinessGates");
    size_t ready = 0;
    for (size_t i = 0; i < json_array_size(gates); i++) {
        ready += object_condition_is(
            pod, tree_text_or(json_array_get(gates, i), "conditionType", ""), "True");
    }
    CLEANUP(free) char *text = mem_printf("%zu/%zu", ready, json_array_size(gates));
    return cell_text(json_array_size(gates) == 0 ? NULL : text, "<none>");
}

const struct table_column table_pod[] = {{"Name", "string", 0, cell_name},
                                         {"Ready", "string", 0, pod_ready},
                                         {"Status", "string", 0, pod_status},
                                         {"Restarts", "string", 0, pod_restarts},
                                         {"Age", "string", 0, cell_age},
                                         {"IP", "string", 1, pod_ip},
                                         {"Node", "string", 1, pod_node},
                                         {"Nominated Node", "string", 1, pod_nominated},
                                         {"Readiness Gates", "string", 1, pod_gates},
                                         {0}};
