/* pods_watch.c - what the API tells about pods, services, and the objects that pods refer to. */
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/agent/pods_internal.h"
#include "orchestrator/agent/volume_files.h"
#include "orchestrator/objects/tree.h"

static struct work *find_uid(const struct pods *pods, const char *uid)
{
    list_foreach (item, &pods->works) {
        struct work *work = container_of(item, struct work, link);
        if (strcmp(work->record->uid, uid) == 0) {
            return work;
        }
    }
    return NULL;
}

void work_take_pod(struct work *work, const json_t *pod)
{
    struct pod_record *record = work->record;
    if (record->is_static) {
        json_decref(work->mirrored);
        work->mirrored = json_incref(tree_mutable(pod));
        return;
    }
    if (object_revision(pod) >= object_revision(record->pod)) {
        bool is_changed = !tree_equal(tree_find(pod, "metadata.labels"),
                                      tree_find(record->pod, "metadata.labels")) ||
                          !tree_equal(tree_find(pod, "metadata.annotations"),
                                      tree_find(record->pod, "metadata.annotations"));
        work->wants_refresh |= is_changed;
        pod_record_update(record, json_incref(tree_mutable(pod)));
        if (work->is_restored) {
            work->is_restored = false;
            work_restore_probes(work);
        }
    }
}

static bool is_mirror(const json_t *pod)
{
    return object_annotation(pod, "kubernetes.io/config.mirror") != NULL;
}

static void set_mirror(struct pods *pods, const json_t *pod)
{
    list_foreach (item, &pods->works) {
        struct work *work = container_of(item, struct work, link);
        const struct pod_record *record = work->record;
        if (record->is_static && strcmp(object_name(record->pod), object_name(pod)) == 0 &&
            strcmp(object_namespace(record->pod), object_namespace(pod)) == 0) {
            work_take_pod(work, pod);
            work_wake(work);
        }
    }
}

static void set_pod(struct pods *pods, const json_t *pod)
{
    if (is_mirror(pod)) {
        set_mirror(pods, pod);
        return;
    }
    struct work *work = find_uid(pods, object_uid(pod));
    if (work != NULL) {
        work_take_pod(work, pod);
    } else {
        const char *phase = tree_text_or(pod, "status.phase", "");
        bool is_over = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
        if (is_over && !object_is_deleting(pod)) {
            return; /* it ended before, elsewhere or here: nothing to do until it is deleted */
        }
        work = work_new(pods, json_incref(tree_mutable(pod)));
        if (is_over) {
            work->record->is_removed = true;
        }
    }
    work_wake(work);
}

static void on_list(void *context, const json_t *items)
{
    struct pods *pods = context;
    for (size_t i = 0; i < json_array_size(items); i++) {
        set_pod(pods, json_array_get(items, i));
    }
    pods->is_listed = true;
    list_foreach (item, &pods->works) {
        struct work *work = container_of(item, struct work, link);
        bool is_there = work->record->is_static;
        for (size_t i = 0; i < json_array_size(items) && !is_there; i++) {
            is_there = strcmp(object_uid(json_array_get(items, i)), work->record->uid) == 0;
        }
        work->record->is_gone |= !is_there;
        work_wake(work);
    }
    pods_mark_objects(pods);
}

static void on_change(void *context, const json_t *object, bool is_deleted)
{
    struct pods *pods = context;
    if (!is_deleted) {
        set_pod(pods, object);
        return;
    }
    struct work *work = find_uid(pods, object_uid(object));
    if (work != NULL) {
        work->record->is_gone = true;
        work_wake(work);
    } else if (is_mirror(object)) {
        static_pods_scan(pods);
    }
}

static const struct api_watch_events pod_events = {.on_list = on_list, .on_change = on_change};

static void set_service(struct pods *pods, const json_t *service, bool is_deleted)
{
    CLEANUP(free)
    char *key = mem_printf("%s/%s", object_namespace(service), object_name(service));
    if (is_deleted) {
        json_object_del(pods->services, key);
    } else {
        json_object_set(pods->services, key, tree_mutable(service));
    }
}

static void on_services(void *context, const json_t *items)
{
    struct pods *pods = context;
    json_object_clear(pods->services);
    for (size_t i = 0; i < json_array_size(items); i++) {
        set_service(pods, json_array_get(items, i), false);
    }
    if (pods->watch == NULL) {
        /* Environments need services: the pods come after them. */
        CLEANUP(free)
        char *query = mem_printf("fieldSelector=spec.nodeName%%3D%s", pods->options.node_name);
        pods->watch = api_watch_new(pods->options.api, "/api/v1/pods", query, &pod_events, pods);
    }
}

static void on_service(void *context, const json_t *object, bool is_deleted)
{
    set_service(context, object, is_deleted);
}

static const struct api_watch_events service_events = {.on_list = on_services,
                                                       .on_change = on_service};

/* ---- objects that pods refer to ---- */

struct search {
    struct pods *pods;
    struct work *work;
    const char *resource; /* NULL: mark */
    const char *name;
    bool found;
};

static void visit_reference(void *context, const char *resource, const char *name)
{
    struct search *search = context;
    const char *namespace = object_namespace(search->work->record->pod);
    if (search->resource != NULL) {
        search->found |= strcmp(resource, search->resource) == 0 && strcmp(name, search->name) == 0;
        return;
    }
    objects_mark(search->pods->objects, resource, namespace, name);
}

void pods_mark_objects(struct pods *pods)
{
    objects_begin_marks(pods->objects);
    list_foreach (item, &pods->works) {
        struct search search = {.pods = pods, .work = container_of(item, struct work, link)};
        pod_references(search.work->record, visit_reference, &search);
        /* The volumes behind its claims. */
        const char *name = NULL;
        json_t *volume = NULL;
        json_object_foreach(json_object_get(search.work->record->volume_paths, "..volumes"), name,
                            volume)
        {
            objects_mark(pods->objects, "persistentvolumes", "", name);
        }
    }
    objects_sweep(pods->objects);
}

void pods_on_object(void *context, const char *resource, const char *namespace, const char *name)
{
    struct pods *pods = context;
    list_foreach (item, &pods->works) {
        struct work *work = container_of(item, struct work, link);
        struct search search = {.pods = pods, .work = work, .resource = resource, .name = name};
        bool is_near =
            *namespace == '\0' || strcmp(namespace, object_namespace(work->record->pod)) == 0;
        if (is_near) {
            pod_references(work->record, visit_reference, &search);
        }
        if (search.found || *namespace == '\0') {
            work->wants_refresh = true;
            work->record->retry_ms = 0;
            for (size_t i = 0; i < work->record->unit_count; i++) {
                struct unit *unit = &work->record->units[i];
                if (unit->state == UNIT_WAITING && unit->waiting_reason != NULL &&
                    strcmp(unit->waiting_reason, "CreateContainerConfigError") == 0) {
                    unit->retry_ms = 0;
                }
            }
            work_wake(work);
        }
    }
}

void pods_watch(struct pods *pods)
{
    pods->services_watch =
        api_watch_new(pods->options.api, "/api/v1/services", "", &service_events, pods);
}
