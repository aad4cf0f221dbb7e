#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "orchestrator/controllers/controller.h"
#include "orchestrator/objects/timestamp.h"

void actions_init(struct actions *actions)
{
    *actions = (struct actions){0};
}

void actions_deinit(struct actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        mem_free(actions->items[i].namespace);
        mem_free(actions->items[i].name);
        json_decref(actions->items[i].body);
    }
    mem_free(actions->items);
    actions_init(actions);
}

const struct kind *controller_kind(const char *storage)
{
    const struct kind *kind = kinds_find_storage(NULL, storage);
    CHECK(kind != NULL);
    return kind;
}

void actions_append(struct actions *actions, struct action *take_action)
{
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? 8 : actions->capacity * 2;
        actions->items =
            mem_reallocarray(actions->items, actions->capacity, sizeof(actions->items[0]));
    }
    actions->items[actions->count++] = *take_action;
    *take_action = (struct action){0};
}

static void add(struct actions *actions, enum action_type type, const struct kind *kind,
                const char *namespace, const char *name, json_t *take_body)
{
    struct action action = {.type = type,
                            .kind = kind,
                            .namespace = mem_strdup(namespace),
                            .name = mem_strdup(name),
                            .body = take_body};
    actions_append(actions, &action);
}

static void set_type(json_t *object, const struct kind *kind)
{
    char text[KIND_API_VERSION_SIZE];
    json_object_set_new(object, "apiVersion", json_string(kind_api_version(kind, text)));
    json_object_set_new(object, "kind", json_string(kind->kind));
}

void actions_create(struct actions *actions, const struct kind *kind, json_t *take_object)
{
    set_type(take_object, kind);
    add(actions, ACTION_CREATE, kind, object_namespace(take_object), "", take_object);
}

void actions_update(struct actions *actions, const struct kind *kind, json_t *take_object)
{
    add(actions, ACTION_UPDATE, kind, object_namespace(take_object), object_name(take_object),
        take_object);
}

void actions_set_status(struct actions *actions, const struct kind *kind, const json_t *current,
                        json_t *take_status)
{
    if (tree_equal(json_object_get(current, "status"), take_status)) {
        json_decref(take_status);
        return;
    }
    json_t *object = json_copy(tree_mutable(current));
    json_object_set_new(object, "status", take_status);
    add(actions, ACTION_UPDATE_STATUS, kind, object_namespace(current), object_name(current),
        object);
}

void actions_patch(struct actions *actions, const struct kind *kind, const json_t *object,
                   json_t *take_patch)
{
    add(actions, ACTION_PATCH, kind, object_namespace(object), object_name(object), take_patch);
}

void actions_patch_status(struct actions *actions, const struct kind *kind, const json_t *object,
                          json_t *take_patch)
{
    add(actions, ACTION_PATCH_STATUS, kind, object_namespace(object), object_name(object),
        take_patch);
}

void actions_delete(struct actions *actions, const struct kind *kind, const json_t *object,
                    const char *policy)
{
    json_t *options = json_pack("{s:{s:s}}", "preconditions", "uid", object_uid(object));
    if (policy != NULL) {
        json_object_set_new(options, "propagationPolicy", json_string(policy));
    }
    add(actions, ACTION_DELETE, kind, object_namespace(object), object_name(object), options);
}

void actions_delete_now(struct actions *actions, const struct kind *kind, const json_t *object)
{
    json_t *options = json_pack("{s:{s:s}, s:i}", "preconditions", "uid", object_uid(object),
                                "gracePeriodSeconds", 0);
    add(actions, ACTION_DELETE, kind, object_namespace(object), object_name(object), options);
}

void actions_finalize(struct actions *actions, const json_t *namespace)
{
    json_t *object = json_deep_copy(namespace);
    json_t *list = tree_find(object, "spec.finalizers");
    for (size_t i = json_array_size(list); i > 0; i--) {
        const char *text = json_string_value(json_array_get(list, i - 1));
        if (text != NULL && strcmp(text, NAMESPACE_FINALIZER) == 0) {
            (void)json_array_remove(list, i - 1);
        }
    }
    add(actions, ACTION_FINALIZE, controller_kind("namespaces"), "", object_name(namespace),
        object);
}

void actions_bind(struct actions *actions, const json_t *pod, const char *node)
{
    json_t *binding = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}}", "apiVersion",
                                "v1", "kind", "Binding", "metadata", "name", object_name(pod),
                                "namespace", object_namespace(pod), "uid", object_uid(pod),
                                "target", "apiVersion", "v1", "kind", "Node", "name", node);
    add(actions, ACTION_BIND, controller_kind("pods"), object_namespace(pod), object_name(pod),
        binding);
}

void actions_event(struct actions *actions, const struct reconcile *in, const json_t *object,
                   const char *type, const char *reason, const char *format, ...)
{
    char time[TIMESTAMP_SIZE];
    CLEANUP(buf) struct buf message = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(&message, format, arguments);
    va_end(arguments);
    const char *namespace = object_namespace(object);
    CLEANUP(free)
    char *name = mem_printf("%s.%08x%08x", object_name(object), (unsigned)(in->now_ms & 0xffffffff),
                            (unsigned)(prng_next(in->prng) & 0xffffffff));
    (void)timestamp_format(in->now_ms, time);
    json_t *event = json_pack(
        "{s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:i, s:s}",
        "metadata", "name", name, "namespace", *namespace == '\0' ? "default" : namespace,
        "involvedObject", "kind", tree_text_or(object, "kind", ""), "namespace", namespace, "name",
        object_name(object), "uid", object_uid(object), "apiVersion",
        tree_text_or(object, "apiVersion", ""), "resourceVersion",
        tree_text_or(object, "metadata.resourceVersion", ""), "reason", reason, "message",
        buf_text(&message), "type", type, "firstTimestamp", time, "lastTimestamp", time, "count", 1,
        "reportingComponent", "coracle");
    if (event != NULL) {
        json_object_set_new(event, "source", json_pack("{s:s}", "component", "coracle"));
        actions_create(actions, controller_kind("events"), event);
    }
}

void actions_requeue(struct actions *actions, int64_t delay_ms)
{
    int64_t wanted = delay_ms < 1 ? 1 : delay_ms;
    if (actions->requeue_ms == 0 || wanted < actions->requeue_ms) {
        actions->requeue_ms = wanted;
    }
}

void wake_controller_of(const struct wakeups *wakeups, const json_t *object, const char *kind)
{
    const json_t *owner = object_controller(object);
    if (owner != NULL && tree_has_text(owner, "kind", kind)) {
        wake_key(wakeups, object_namespace(object), tree_text_or(owner, "name", ""));
    }
}
