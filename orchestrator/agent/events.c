#include "orchestrator/agent/events.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

enum { MESSAGE_BYTES_MAX = 1024 };

static void on_done(void *context, int code, const json_t *body)
{
    (void)context; /* an event that is lost is lost */
    (void)code;
    (void)body;
}

void events_add(struct events *events, const json_t *object, const char *unit, const char *type,
                const char *reason, const char *format, ...)
{
    CLEANUP(buf) struct buf message = BUF_INIT;
    char time[TIMESTAMP_SIZE];
    const char *namespace = object_namespace(object);
    const char *where = *namespace == '\0' ? "default" : namespace;
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(&message, format, arguments);
    va_end(arguments);
    if (buf_size(&message) > MESSAGE_BYTES_MAX) {
        buf_truncate(&message, MESSAGE_BYTES_MAX);
    }
    timestamp_format(clock_realtime_ms(), time);
    bool is_node = tree_has_text(object, "kind", "Node");
    CLEANUP(free)
    char *name = mem_printf("%.200s.%llx%04llx", object_name(object),
                            (unsigned long long)clock_realtime_ms(),
                            (unsigned long long)(events->count++ & 0xffff));
    CLEANUP(json)
    json_t *event = json_pack(
        "{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:{s:s, s:s}, s:s, "
        "s:s, s:i, s:s, s:s}",
        "apiVersion", "v1", "kind", "Event", "metadata", "name", name, "namespace", where,
        "involvedObject", "kind", tree_text_or(object, "kind", "Pod"), "apiVersion", "v1", "name",
        object_name(object), "namespace", namespace, "uid",
        is_node ? object_name(object) : object_uid(object), "type", type, "reason", reason,
        "message", buf_text(&message), "source", "component", "kubelet", "host", events->node_name,
        "firstTimestamp", time, "lastTimestamp", time, "count", 1, "reportingComponent", "kubelet",
        "reportingInstance", events->node_name);
    if (event == NULL) {
        return; /* a message that is not UTF-8 */
    }
    if (unit != NULL) {
        tree_set(event, "involvedObject.fieldPath", json_sprintf("spec.containers{%s}", unit));
    }
    CLEANUP(free) char *path = mem_printf("/api/v1/namespaces/%s/events", where);
    const struct api_request request = {.method = "POST", .path = path, .body = event};
    api_call(events->api, &request, on_done, NULL);
}
