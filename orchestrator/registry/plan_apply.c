/* plan_apply.c - server-side apply, and who owns which fields (metadata.managedFields). */
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/field_set.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/registry/plan_parts.h"

enum { UPDATE_MANAGERS_MAX = 10, MANAGER_SIZE_MAX = 128 };

static const struct schema *schema_of(const struct kind *kind)
{
    return kind->schema == NULL ? NULL : schema_find(kind->schema);
}

static const json_t *fields_of(const json_t *entry)
{
    return json_object_get(entry, "fieldsV1");
}

static bool entry_is(const json_t *entry, const struct request *request, const char *operation)
{
    return tree_has_text(entry, "manager", request->field_manager) &&
           tree_has_text(entry, "operation", operation) &&
           strcmp(tree_text_or(entry, "subresource", ""), request->subresource) == 0;
}

static json_t *find_entry(const json_t *entries, const struct request *request,
                          const char *operation)
{
    for (size_t i = 0; i < json_array_size(entries); i++) {
        if (entry_is(json_array_get(entries, i), request, operation)) {
            return json_array_get(entries, i);
        }
    }
    return NULL;
}

static json_t *make_entry(const struct request *request, const char *operation)
{
    char api_version[KIND_API_VERSION_SIZE];
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s, s:{}}", "manager", request->field_manager, "operation",
                  operation, "apiVersion", kind_api_version(request->kind, api_version),
                  "fieldsType", "FieldsV1", "fieldsV1");
    if (*request->subresource != '\0') {
        json_object_set_new(entry, "subresource", json_string(request->subresource));
    }
    return entry;
}

static void set_fields(json_t *entry, json_t *take_fields, int64_t now_ms)
{
    char time[TIMESTAMP_SIZE];
    if (tree_equal(fields_of(entry), take_fields)) {
        json_decref(take_fields);
        return; /* the time says when it last changed */
    }
    json_object_set_new(entry, "fieldsV1", take_fields);
    json_object_set_new(entry, "time", json_string(timestamp_format(now_ms, time)));
}

static void drop_empty_entries(json_t *object)
{
    json_t *entries = tree_find(object, "metadata.managedFields");
    for (size_t i = json_array_size(entries); i > 0; i--) {
        if (field_set_is_empty(fields_of(json_array_get(entries, i - 1)))) {
            (void)json_array_remove(entries, i - 1);
        }
    }
    if (json_array_size(entries) == 0) {
        tree_remove(object, "metadata.managedFields");
    }
}

/* The oldest Update entries become one, so that their number stays bounded. */
static void cap_entries(json_t *entries)
{
    size_t updates = 0;
    for (size_t i = json_array_size(entries); i > 0; i--) {
        json_t *entry = json_array_get(entries, i - 1);
        if (!tree_has_text(entry, "operation", "Update") || ++updates < UPDATE_MANAGERS_MAX) {
            continue;
        }
        for (size_t k = i - 1; k > 0; k--) {
            json_t *older = json_array_get(entries, k - 1);
            if (tree_has_text(older, "operation", "Update")) {
                json_object_set_new(entry, "manager", json_string("ancient-changes"));
                json_object_set_new(entry, "fieldsV1",
                                    field_set_union(fields_of(entry), fields_of(older)));
                (void)json_array_remove(entries, k - 1);
            }
        }
        return;
    }
}

void plan_track_update(const struct request *request, json_t *object, const json_t *old,
                       int64_t now_ms)
{
    const struct schema *schema = schema_of(request->kind);
    if (strcmp(request->kind->storage, "leases") == 0 ||
        strcmp(request->kind->storage, "events") == 0) {
        return; /* written too often by too few for ownership to matter */
    }
    tree_set_copy(object, "metadata.managedFields", tree_find(old, "metadata.managedFields"));
    CLEANUP(json) json_t *changed = field_set_changed(old, object, schema);
    CLEANUP(json) json_t *present = field_set_of(object, schema);
    json_t *entries = tree_make_list(object, "metadata.managedFields");
    for (size_t i = 0; i < json_array_size(entries); i++) {
        json_t *entry = json_array_get(entries, i);
        CLEANUP(json) json_t *left = field_set_intersection(fields_of(entry), present);
        if (!entry_is(entry, request, "Update")) {
            json_t *kept = field_set_difference(left, changed);
            json_decref(left);
            left = kept;
        }
        json_object_set(entry, "fieldsV1", left);
    }
    if (!field_set_is_empty(changed) && *request->field_manager != '\0') {
        json_t *entry = find_entry(entries, request, "Update");
        if (entry == NULL) {
            entry = make_entry(request, "Update");
            json_array_append_new(entries, entry);
        }
        set_fields(entry, field_set_union(fields_of(entry), changed), now_ms);
    }
    drop_empty_entries(object);
    cap_entries(tree_find(object, "metadata.managedFields"));
}

static json_t *conflict_causes(const json_t *entries, const struct request *request,
                               const json_t *changed)
{
    json_t *causes = json_array();
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        if (entry_is(entry, request, "Apply")) {
            continue;
        }
        CLEANUP(json) json_t *shared = field_set_intersection(changed, fields_of(entry));
        CLEANUP(json) json_t *paths = json_array();
        field_set_append_paths(shared, paths);
        const char *manager = tree_text_or(entry, "manager", "");
        const char *using = tree_has_text(entry, "operation", "Update") ? " using " : "";
        const char *version = *using == '\0' ? "" : tree_text_or(entry, "apiVersion", "");
        for (size_t k = 0; k < json_array_size(paths); k++) {
            CLEANUP(free)
            char *message = mem_printf("conflict with \"%s\"%s%s", manager, using, version);
            json_array_append_new(causes,
                                  json_pack("{s:s, s:s, s:O}", "reason", "FieldManagerConflict",
                                            "message", message, "field", json_array_get(paths, k)));
        }
    }
    return causes;
}

static json_t *refuse_conflicts(json_t *take_causes)
{
    CLEANUP(json) json_t *causes = take_causes;
    size_t count = json_array_size(causes);
    if (count == 0) {
        return NULL;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_format(&text, "Apply failed with %zu conflict%s: ", count, count == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++) {
        const json_t *cause = json_array_get(causes, i);
        buf_append_format(&text, "%s%s: %s", i == 0 ? "" : ", ", tree_text_or(cause, "message", ""),
                          tree_text_or(cause, "field", ""));
    }
    json_t *status = status_new(409, "Conflict", "%s", buf_text(&text));
    tree_set(status, "details.causes", TAKE_PTR(causes));
    return status;
}

/* Forced: the others lose what changes. */
static void take_over(json_t *entries, const struct request *request, const json_t *changed)
{
    for (size_t i = 0; i < json_array_size(entries); i++) {
        json_t *entry = json_array_get(entries, i);
        if (!entry_is(entry, request, "Apply")) {
            json_object_set_new(entry, "fieldsV1", field_set_difference(fields_of(entry), changed));
        }
    }
}

/* Fields that this manager applied before, applies no more, and nobody else owns. */
static void drop_abandoned(json_t *merged, const json_t *entries, const struct request *request,
                           const json_t *applied)
{
    const json_t *mine = find_entry(entries, request, "Apply");
    json_t *abandoned = field_set_difference(fields_of(mine), applied);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        if (entry != mine) {
            json_t *left = field_set_difference(abandoned, fields_of(entry));
            json_decref(abandoned);
            abandoned = left;
        }
    }
    field_remove(merged, abandoned, schema_of(request->kind));
    json_decref(abandoned);
}

static void record_apply(const struct request *request, json_t *object, json_t *take_applied,
                         int64_t now_ms)
{
    json_t *entries = tree_make_list(object, "metadata.managedFields");
    json_t *entry = find_entry(entries, request, "Apply");
    if (entry == NULL) {
        entry = make_entry(request, "Apply");
        json_array_append_new(entries, entry);
    }
    set_fields(entry, take_applied, now_ms);
    drop_empty_entries(object);
}

static json_t *check_apply(const struct request *request, const json_t *object)
{
    if (*request->field_manager == '\0' || strlen(request->field_manager) > MANAGER_SIZE_MAX) {
        CLEANUP(causes) struct causes causes = {0};
        causes_add_required(&causes, "fieldManager", "is required for apply patch");
        const struct status_subject subject = {
            .group = "meta.k8s.io", .resource = "patchoptions", .kind = "PatchOptions", .name = ""};
        return status_invalid(&subject, &causes);
    }
    if (tree_text(request->body, "apiVersion") == NULL ||
        tree_text(request->body, "kind") == NULL) {
        return status_bad_request("apiVersion and kind must be set in an apply configuration");
    }
    if (tree_count(object, "metadata.managedFields") > 0) {
        return status_bad_request("metadata.managedFields must be nil");
    }
    return NULL;
}

static json_t *apply_create(const struct request *request, json_t *object, json_t *take_applied,
                            const struct plan_env *env, struct plan *plan)
{
    CLEANUP(json) json_t *applied = take_applied;
    if (*tree_text_or(object, "metadata.name", "") == '\0') {
        tree_set_text(object, "metadata.name", request->name);
    }
    json_t *refusal = plan_prepare_create(request, object, env, plan);
    if (refusal != NULL) {
        return refusal;
    }
    record_apply(request, object, TAKE_PTR(applied), env->now_ms);
    plan->change = PLAN_PUT;
    plan->code = 201;
    plan->object = json_incref(object);
    return NULL;
}

json_t *plan_apply(const struct request *request, const json_t *current, const struct plan_env *env,
                   struct plan *plan)
{
    CLEANUP(json) json_t *object = NULL;
    json_t *refusal = plan_decode(request, request->body, plan, &object);
    refusal = refusal != NULL ? refusal : check_apply(request, object);
    if (refusal != NULL) {
        return refusal;
    }
    const struct schema *schema = schema_of(request->kind);
    CLEANUP(json) json_t *applied = field_set_of(object, schema);
    if (current == NULL) {
        return apply_create(request, object, TAKE_PTR(applied), env, plan);
    }
    CLEANUP(json) json_t *merged = field_merge(current, object, schema);
    CLEANUP(json) json_t *entries = tree_copy(tree_find(current, "metadata.managedFields"));
    CLEANUP(json) json_t *changed = field_set_changed(current, merged, schema);
    if (!request->force) {
        refusal = refuse_conflicts(conflict_causes(entries, request, changed));
        if (refusal != NULL) {
            return refusal;
        }
    }
    take_over(entries, request, changed);
    drop_abandoned(merged, entries, request, applied);
    tree_set_copy(merged, "metadata.resourceVersion",
                  tree_find(object, "metadata.resourceVersion"));
    tree_remove(merged, "metadata.managedFields");
    CLEANUP(json) json_t *conformed = NULL;
    refusal = plan_decode(request, merged, plan, &conformed);
    refusal =
        refusal != NULL ? refusal : plan_prepare_update(request, conformed, current, env, plan);
    if (refusal != NULL) {
        return refusal;
    }
    tree_set_copy(conformed, "metadata.managedFields", entries);
    record_apply(request, conformed, TAKE_PTR(applied), env->now_ms);
    plan_finish_update(plan, TAKE_PTR(conformed), current);
    return NULL;
}
