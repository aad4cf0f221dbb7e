#include "orchestrator/registry/plan.h"

#include <string.h>

#include "orchestrator/objects/defaults.h"
#include "orchestrator/objects/names.h"
#include "orchestrator/objects/patch.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/validate.h"
#include "orchestrator/registry/plan_parts.h"

void plan_init(struct plan *plan)
{
    *plan = (struct plan){.code = 200};
}

void plan_deinit(struct plan *plan)
{
    json_decref(plan->object);
    json_decref(plan->answer);
    json_decref(plan->warnings);
    json_decref(plan->claims);
    json_decref(plan->releases);
    json_decref(plan->also);
    plan_init(plan);
}

struct status_subject request_subject(const struct request *request)
{
    return kind_subject(request->kind, request->name);
}

bool plan_name_is_generated(const struct request *request)
{
    return request->verb == REQUEST_CREATE &&
           *tree_text_or(request->body, "metadata.name", "") == '\0' &&
           *tree_text_or(request->body, "metadata.generateName", "") != '\0';
}

static json_t *refuse_unknown(const struct request *request, json_t *take_unknown,
                              struct plan *plan)
{
    CLEANUP(json) json_t *unknown = take_unknown;
    if (json_array_size(unknown) == 0 || request->field_validation == FIELD_VALIDATION_IGNORE) {
        return NULL;
    }
    if (request->field_validation == FIELD_VALIDATION_WARN) {
        json_decref(plan->warnings);
        plan->warnings = TAKE_PTR(unknown);
        return NULL;
    }
    char *joined = mem_strdup("");
    for (size_t i = 0; i < json_array_size(unknown); i++) {
        char *more = mem_printf("%s%s%s", joined, i == 0 ? "" : ", ",
                                json_string_value(json_array_get(unknown, i)));
        mem_free(joined);
        joined = more;
    }
    json_t *status = status_bad_request(
        "%s in version \"%s\" cannot be handled as a %s: strict decoding "
        "error: %s",
        request->kind->kind, request->kind->version, request->kind->kind, joined);
    mem_free(joined);
    return status;
}

/* apiVersion and kind, when the body says them, are those of the path. */
static json_t *check_type(const struct request *request, const json_t *object)
{
    char expected[KIND_API_VERSION_SIZE];
    (void)kind_api_version(request->kind, expected);
    const char *api_version = tree_text(object, "apiVersion");
    const char *kind = tree_text(object, "kind");
    if (api_version != NULL && strcmp(api_version, expected) != 0) {
        return status_bad_request("the API version in the data (%s) does not match the expected "
                                  "API version (%s)",
                                  api_version, expected);
    }
    if (kind != NULL && strcmp(kind, request->kind->kind) != 0) {
        return status_bad_request("the kind in the data (%s) does not match the expected kind (%s)",
                                  kind, request->kind->kind);
    }
    return NULL;
}

json_t *plan_decode(const struct request *request, const json_t *body, struct plan *plan,
                    json_t **ret_object)
{
    if (!json_is_object(body)) {
        return status_bad_request("the request has no object in its body");
    }
    json_t *refusal = check_type(request, body);
    if (refusal != NULL) {
        return refusal;
    }
    CLEANUP(json) json_t *object = json_deep_copy(body);
    CLEANUP(json) json_t *unknown = json_array();
    refusal = conform_object(object, request->kind, unknown);
    if (refusal != NULL) {
        return refusal;
    }
    refusal = refuse_unknown(request, TAKE_PTR(unknown), plan);
    if (refusal != NULL) {
        return refusal;
    }
    char api_version[KIND_API_VERSION_SIZE];
    json_t *typed = json_object();
    json_object_set_new(typed, "apiVersion",
                        json_string(kind_api_version(request->kind, api_version)));
    json_object_set_new(typed, "kind", json_string(request->kind->kind));
    json_object_update_missing(typed, object);
    *ret_object = typed;
    return NULL;
}

static json_t *check_place(const struct request *request, json_t *object)
{
    const char *namespace = object_namespace(object);
    if (!kind_has(request->kind, KIND_NAMESPACED)) {
        tree_remove(object, "metadata.namespace");
        return NULL;
    }
    if (*namespace != '\0' && strcmp(namespace, request->namespace) != 0) {
        return status_bad_request("the namespace of the provided object does not match the "
                                  "namespace sent on the request");
    }
    tree_set_text(object, "metadata.namespace", request->namespace);
    return NULL;
}

static void drop_server_fields(json_t *object)
{
    static const char *const fields[] = {"uid",        "creationTimestamp",
                                         "generation", "deletionTimestamp",
                                         "selfLink",   "deletionGracePeriodSeconds"};
    json_t *metadata = tree_make_object(object, "metadata");
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        (void)json_object_del(metadata, fields[i]); /* absent is fine */
    }
}

static void reset_status(json_t *object, const struct kind *kind)
{
    if (kind_has(kind, KIND_STATUS)) {
        (void)json_object_del(object, "status"); /* absent is fine */
    }
    if (strcmp(kind->storage, "pods") == 0) {
        tree_set_text(object, "status.phase", "Pending");
        tree_set_text(object, "status.qosClass", pod_qos_class(json_object_get(object, "spec")));
    } else if (strcmp(kind->storage, "namespaces") == 0) {
        tree_set_text(object, "status.phase", "Active");
    }
}

/* A job makes up the labels by which it finds its pods. */
static void prepare_job(json_t *job)
{
    if (tree_bool(job, "spec.manualSelector", false)) {
        return;
    }
    const char *uid = object_uid(job);
    const char *name = object_name(job);
    json_t *labels = tree_make_object(job, "spec.template.metadata.labels");
    json_object_set_new(labels, "batch.kubernetes.io/controller-uid", json_string(uid));
    json_object_set_new(labels, "batch.kubernetes.io/job-name", json_string(name));
    json_object_set_new(labels, "controller-uid", json_string(uid));
    json_object_set_new(labels, "job-name", json_string(name));
    tree_set(job, "spec.selector",
             json_pack("{s:{s:s}}", "matchLabels", "batch.kubernetes.io/controller-uid", uid));
}

static json_t *prepare_kind(json_t *object, const struct plan_env *env, const struct kind *kind,
                            struct plan *plan)
{
    if (strcmp(kind->storage, "jobs") == 0) {
        prepare_job(object);
    } else if (strcmp(kind->storage, "namespaces") == 0) {
        tree_set(object, "spec.finalizers", json_pack("[s]", NAMESPACE_FINALIZER));
    } else if (strcmp(kind->storage, "services") == 0) {
        return service_allocate(object, NULL, env, plan);
    } else if (strcmp(kind->storage, "persistentvolumes") == 0) {
        json_array_append_new(tree_make_list(object, "metadata.finalizers"),
                              json_string("kubernetes.io/pv-protection"));
    } else if (strcmp(kind->storage, "persistentvolumeclaims") == 0) {
        json_array_append_new(tree_make_list(object, "metadata.finalizers"),
                              json_string("kubernetes.io/pvc-protection"));
    }
    return NULL;
}

json_t *plan_prepare_create(const struct request *request, json_t *object,
                            const struct plan_env *env, struct plan *plan)
{
    json_t *refusal = check_place(request, object);
    if (refusal != NULL) {
        return refusal;
    }
    if (*tree_text_or(object, "metadata.resourceVersion", "") != '\0') {
        return status_bad_request("resourceVersion should not be set on objects to be created");
    }
    tree_remove(object, "metadata.resourceVersion");
    drop_server_fields(object);
    const char *base = tree_text_or(object, "metadata.generateName", "");
    if (*tree_text_or(object, "metadata.name", "") == '\0' && *base != '\0') {
        char *name = name_generate(base, env->prng);
        tree_set_text(object, "metadata.name", name);
        mem_free(name);
    }
    char uid[UUID_SIZE];
    char time[TIMESTAMP_SIZE];
    tree_set_text(object, "metadata.uid", uuid_generate(env->prng, uid));
    tree_set_text(object, "metadata.creationTimestamp", timestamp_format(env->now_ms, time));
    if (kind_has(request->kind, KIND_GENERATION)) {
        tree_set_int(object, "metadata.generation", 1);
    }
    reset_status(object, request->kind);
    defaults_apply(object, request->kind);
    refusal = admit_create(request, object, env);
    if (refusal != NULL) {
        return refusal;
    }
    defaults_apply(object, request->kind);
    refusal = prepare_kind(object, env, request->kind, plan);
    if (refusal != NULL) {
        return refusal;
    }
    if (strcmp(request->kind->storage, "pods") == 0) {
        tree_set_text(object, "status.qosClass", pod_qos_class(json_object_get(object, "spec")));
    }
    refusal = validate_object(object, request->kind);
    return refusal != NULL ? refusal : admit_quota(request, object, env);
}

/* The identity and the life-cycle of old stay, whatever the client sent. */
static void keep_identity(json_t *object, const json_t *old)
{
    static const char *const fields[] = {
        "metadata.uid",      "metadata.creationTimestamp", "metadata.generation",
        "metadata.selfLink", "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds",
        "metadata.name",     "metadata.namespace",         "metadata.resourceVersion",
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        tree_set_copy(object, fields[i], tree_find(old, fields[i]));
    }
}

static json_t *check_version(const struct request *request, const json_t *object, const json_t *old)
{
    const struct status_subject subject = request_subject(request);
    const char *uid = tree_text_or(object, "metadata.uid", "");
    if (*uid != '\0' && object_uid(old) != NULL && strcmp(uid, object_uid(old)) != 0) {
        return status_conflict(&subject,
                               "Precondition failed: UID in precondition: %s, UID in object meta: "
                               "%s",
                               uid, object_uid(old));
    }
    const char *version = tree_text_or(object, "metadata.resourceVersion", "");
    if (*version != '\0' && strcmp(version, "0") != 0 &&
        !tree_has_text(old, "metadata.resourceVersion", version)) {
        return status_modified(&subject);
    }
    const char *name = tree_text_or(object, "metadata.name", request->name);
    if (strcmp(name, request->name) != 0) {
        return status_bad_request("the name of the object (%s) does not match the name on the URL "
                                  "(%s)",
                                  name, request->name);
    }
    return NULL;
}

/* Everything but metadata and status: a change of it is a new generation. */
static bool spec_changed(const json_t *object, const json_t *old)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(object), key, value)
    {
        bool is_spec = strcmp(key, "metadata") != 0 && strcmp(key, "status") != 0;
        if (is_spec && !tree_equal(value, json_object_get(old, key))) {
            return true;
        }
    }
    json_object_foreach(tree_mutable(old), key, value)
    {
        if (json_object_get(object, key) == NULL && strcmp(key, "status") != 0) {
            return true;
        }
    }
    return false;
}

json_t *plan_prepare_update(const struct request *request, json_t *object, const json_t *old,
                            const struct plan_env *env, struct plan *plan)
{
    const struct kind *kind = request->kind;
    json_t *refusal = check_place(request, object);
    refusal = refusal != NULL ? refusal : check_version(request, object, old);
    if (refusal != NULL) {
        return refusal;
    }
    keep_identity(object, old);
    if (kind_has(kind, KIND_STATUS)) {
        tree_set_copy(object, "status", json_object_get(old, "status"));
    }
    if (strcmp(kind->storage, "namespaces") == 0) {
        tree_set_copy(object, "spec", json_object_get(old, "spec"));
    }
    defaults_apply(object, kind);
    if (strcmp(kind->storage, "services") == 0) {
        refusal = service_allocate(object, old, env, plan);
        if (refusal != NULL) {
            return refusal;
        }
    }
    if (kind_has(kind, KIND_GENERATION) && spec_changed(object, old)) {
        tree_set_int(object, "metadata.generation", tree_int(old, "metadata.generation", 0) + 1);
    }
    refusal = validate_object(object, kind);
    return refusal != NULL ? refusal : validate_update(object, old, kind);
}

void plan_finish_update(struct plan *plan, json_t *take_object, const json_t *old)
{
    json_decref(plan->object);
    plan->object = take_object;
    bool is_last_step = object_is_deleting(take_object) &&
                        tree_count(take_object, "metadata.finalizers") == 0 &&
                        tree_int(take_object, "metadata.deletionGracePeriodSeconds", 0) == 0;
    if (is_last_step && tree_count(take_object, "spec.finalizers") == 0) {
        plan->change = PLAN_REMOVE;
    } else {
        plan->change = tree_equal(take_object, old) ? PLAN_NOTHING : PLAN_PUT;
    }
}

json_t *plan_patched(const struct request *request, const json_t *current, json_t **ret_object)
{
    const struct kind *kind = request->kind;
    switch (request->patch) {
    case REQUEST_PATCH_JSON:
        return patch_json(current, request->body, ret_object);
    case REQUEST_PATCH_STRATEGIC:
        if (kind->schema == NULL) {
            return status_new(415, "UnsupportedMediaType",
                              "the body of the request was in an unknown format - accepted media "
                              "types include: application/json-patch+json, "
                              "application/merge-patch+json, application/apply-patch+yaml");
        }
        return patch_strategic(current, request->body, schema_find(kind->schema), ret_object);
    case REQUEST_PATCH_MERGE:
        if (!json_is_object(request->body)) {
            return status_bad_request("error decoding patch: a merge patch is an object");
        }
        *ret_object = patch_merge(current, request->body);
        return NULL;
    }
    return status_internal("a patch of no type");
}

static json_t *plan_create(const struct request *request, const json_t *current,
                           const struct plan_env *env, struct plan *plan)
{
    CLEANUP(json) json_t *object = NULL;
    json_t *refusal = plan_decode(request, request->body, plan, &object);
    if (refusal != NULL) {
        return refusal;
    }
    if (current != NULL) {
        const struct status_subject subject = kind_subject(request->kind, object_name(current));
        return status_already_exists(&subject);
    }
    refusal = plan_prepare_create(request, object, env, plan);
    if (refusal != NULL) {
        return refusal;
    }
    plan->change = PLAN_PUT;
    plan->code = 201;
    plan->object = TAKE_PTR(object);
    return NULL;
}

static json_t *plan_update(const struct request *request, const json_t *current,
                           const struct plan_env *env, struct plan *plan)
{
    CLEANUP(json) json_t *patched = NULL;
    CLEANUP(json) json_t *object = NULL;
    json_t *refusal = NULL;
    if (request->verb == REQUEST_PATCH) {
        refusal = plan_patched(request, current, &patched);
    }
    if (refusal == NULL) {
        refusal = plan_decode(request, patched == NULL ? request->body : patched, plan, &object);
    }
    if (refusal == NULL) {
        refusal = plan_prepare_update(request, object, current, env, plan);
    }
    if (refusal == NULL) {
        plan_finish_update(plan, TAKE_PTR(object), current);
    }
    return refusal;
}

json_t *plan_write(const struct request *request, const json_t *current, const struct plan_env *env,
                   struct plan *plan)
{
    plan_init(plan);
    const struct status_subject subject = request_subject(request);
    bool makes = request->verb == REQUEST_CREATE || request->verb == REQUEST_APPLY;
    if (current == NULL && (!makes || *request->subresource != '\0')) {
        return status_not_found(&subject);
    }
    json_t *refusal = NULL;
    if (*request->subresource != '\0') {
        refusal = plan_subresource(request, current, env, plan);
    } else if (request->verb == REQUEST_CREATE) {
        refusal = plan_create(request, current, env, plan);
    } else if (request->verb == REQUEST_DELETE) {
        refusal = plan_delete(request, current, env, plan);
    } else if (request->verb == REQUEST_APPLY) {
        refusal = plan_apply(request, current, env, plan);
    } else {
        refusal = plan_update(request, current, env, plan);
    }
    if (refusal != NULL) {
        plan_deinit(plan);
        return refusal;
    }
    bool is_tracked = request->verb != REQUEST_APPLY && request->verb != REQUEST_DELETE;
    if (plan->change == PLAN_PUT && is_tracked) {
        plan_track_update(request, plan->object, current, env->now_ms);
    }
    bool is_service = strcmp(request->kind->storage, "services") == 0;
    if (plan->change == PLAN_REMOVE && is_service) {
        service_release(current, plan);
    }
    return NULL;
}
