/* plan_subresource.c - status, scale, binding, eviction, finalize and ephemeral containers. */
#include <string.h>

#include "orchestrator/objects/defaults.h"
#include "orchestrator/objects/selector.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/validate.h"
#include "orchestrator/registry/plan_parts.h"

/* The next state that an update or a patch of the whole object asks for. */
static json_t *decode_next(const struct request *request, const json_t *current, struct plan *plan,
                           json_t **ret_object)
{
    if (request->verb == REQUEST_UPDATE) {
        return plan_decode(request, request->body, plan, ret_object);
    }
    if (request->verb != REQUEST_PATCH) {
        return status_new(405, "MethodNotAllowed",
                          "the server does not allow this method on the requested resource");
    }
    CLEANUP(json) json_t *patched = NULL;
    json_t *refusal = plan_patched(request, current, &patched);
    return refusal != NULL ? refusal : plan_decode(request, patched, plan, ret_object);
}

static json_t *check_unchanged(const struct request *request, const json_t *object,
                               const json_t *current)
{
    const struct status_subject subject = request_subject(request);
    const char *version = tree_text_or(object, "metadata.resourceVersion", "");
    const char *uid = tree_text_or(object, "metadata.uid", "");
    bool is_other = *uid != '\0' && !tree_has_text(current, "metadata.uid", uid);
    bool is_stale = *version != '\0' && strcmp(version, "0") != 0 &&
                    !tree_has_text(current, "metadata.resourceVersion", version);
    return is_other || is_stale ? status_modified(&subject) : NULL;
}

static json_t *plan_status(const struct request *request, const json_t *current, struct plan *plan)
{
    CLEANUP(json) json_t *object = NULL;
    json_t *refusal = decode_next(request, current, plan, &object);
    refusal = refusal != NULL ? refusal : check_unchanged(request, object, current);
    if (refusal != NULL) {
        return refusal;
    }
    CLEANUP(json) json_t *next = json_deep_copy(current);
    tree_set_copy(next, "status", json_object_get(object, "status"));
    /* Labels and annotations may travel with a status. */
    tree_set_copy(next, "metadata.annotations", tree_find(object, "metadata.annotations"));
    if (!kind_has(request->kind, KIND_CUSTOM)) {
        tree_set_copy(next, "metadata.labels", tree_find(object, "metadata.labels"));
    }
    plan_finish_update(plan, TAKE_PTR(next), current);
    return NULL;
}

static json_t *check_scale(const struct request *request, const json_t *scale)
{
    CLEANUP(causes) struct causes causes = {0};
    validate_not_negative(scale, "spec.replicas", &causes);
    const json_t *replicas = tree_find(scale, "spec.replicas");
    if (replicas != NULL && !json_is_integer(replicas)) {
        return status_bad_request("Scale in version \"v1\" cannot be handled as a Scale: json: "
                                  "cannot unmarshal into Go struct field ScaleSpec.spec.replicas "
                                  "of type int32");
    }
    const struct status_subject subject = {
        .group = "autoscaling", .resource = "scale", .kind = "Scale", .name = request->name};
    return status_invalid(&subject, &causes);
}

static json_t *plan_scale(const struct request *request, const json_t *current,
                          const struct plan_env *env, struct plan *plan)
{
    if (request->verb != REQUEST_UPDATE && request->verb != REQUEST_PATCH) {
        return status_new(405, "MethodNotAllowed",
                          "the server does not allow this method on the requested resource");
    }
    CLEANUP(json) json_t *scale = scale_from_object(current, request->kind);
    if (request->verb == REQUEST_PATCH) {
        CLEANUP(json) json_t *patched = NULL;
        json_t *refusal = plan_patched(request, scale, &patched);
        if (refusal != NULL) {
            return refusal;
        }
        json_decref(scale);
        scale = TAKE_PTR(patched);
    } else if (json_is_object(request->body)) {
        json_decref(scale);
        scale = json_deep_copy(request->body);
    } else {
        return status_bad_request("the request has no Scale in its body");
    }
    json_t *refusal = check_scale(request, scale);
    refusal = refusal != NULL ? refusal : check_unchanged(request, scale, current);
    if (refusal != NULL) {
        return refusal;
    }
    struct request main_request = *request;
    main_request.subresource = "";
    CLEANUP(json) json_t *object = json_deep_copy(current);
    scale_to_object(scale, object, request->kind);
    refusal = plan_prepare_update(&main_request, object, current, env, plan);
    if (refusal != NULL) {
        return refusal;
    }
    plan->answer = scale_from_object(object, request->kind);
    plan_finish_update(plan, TAKE_PTR(object), current);
    return NULL;
}

/* The scheduler's decision. */
static json_t *plan_binding(const struct request *request, const json_t *current,
                            const struct plan_env *env, struct plan *plan)
{
    const struct status_subject subject = request_subject(request);
    const char *node = tree_text_or(request->body, "target.name", "");
    const char *bound = tree_text_or(current, "spec.nodeName", "");
    if (*node == '\0') {
        return status_bad_request("target.name: Required value");
    }
    if (object_is_deleting(current)) {
        return status_conflict(&subject, "pod %s is being deleted, cannot be assigned to a host",
                               request->name);
    }
    if (*bound != '\0') {
        return status_conflict(&subject, "pod %s is already assigned to node \"%s\"", request->name,
                               bound);
    }
    const char *uid = tree_text(request->body, "metadata.uid");
    if (uid != NULL && *uid != '\0' && !tree_has_text(current, "metadata.uid", uid)) {
        return status_modified(&subject);
    }
    json_t *object = json_deep_copy(current);
    char time[TIMESTAMP_SIZE];
    tree_set_text(object, "spec.nodeName", node);
    json_t *conditions = tree_make_list(object, "status.conditions");
    json_t *scheduled = tree_find_item(conditions, "type", "PodScheduled");
    if (scheduled == NULL) {
        scheduled = json_pack("{s:s}", "type", "PodScheduled");
        json_array_append_new(conditions, scheduled);
    }
    tree_remove(scheduled, "reason");
    tree_remove(scheduled, "message");
    tree_set_text(scheduled, "status", "True");
    tree_set_text(scheduled, "lastTransitionTime", timestamp_format(env->now_ms, time));
    const json_t *annotations = tree_find(request->body, "metadata.annotations");
    if (annotations != NULL) {
        json_object_update(tree_make_object(object, "metadata.annotations"),
                           tree_mutable(annotations));
    }
    plan->answer = status_success();
    tree_set_int(plan->answer, "code", 201);
    plan->code = 201;
    plan_finish_update(plan, object, current);
    return NULL;
}

/* A disruption budget that covers the pod; NULL for none. */
static const json_t *find_budget(const struct plan_env *env, const json_t *pod)
{

    struct cache_cursor c = cache_list(env->cache, "poddisruptionbudgets", object_namespace(pod));
    while (cache_next(&c)) {
        if (label_selector_object_matches(tree_find(c.object, "spec.selector"),
                                          object_labels(pod))) {
            return c.object;
        }
    }
    return NULL;
}

static bool pod_is_over_or_pending(const json_t *pod)
{
    const char *phase = tree_text_or(pod, "status.phase", "");
    return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0 ||
           strcmp(phase, "Pending") == 0 || object_is_deleting(pod);
}

/* One disruption less; the budget is written in the same transaction, so that two evictions cannot
 * spend the same one. */
static json_t *spend_budget(const json_t *budget, const json_t *pod, const struct plan_env *env,
                            struct plan *plan)
{
    int64_t allowed = tree_int(budget, "status.disruptionsAllowed", 0);
    bool is_current = tree_int(budget, "status.observedGeneration", 0) >=
                      tree_int(budget, "metadata.generation", 0);
    if (allowed <= 0 || !is_current) {
        json_t *status =
            status_too_many("Cannot evict pod as it would violate the pod's disruption budget.", 0);
        tree_set(status, "details.causes",
                 json_pack("[{s:s, s:s}]", "reason", "DisruptionBudget", "message",
                           "The disruption budget does not allow a further disruption now"));
        return status;
    }
    char time[TIMESTAMP_SIZE];
    json_t *next = json_deep_copy(budget);
    tree_set_int(next, "status.disruptionsAllowed", allowed - 1);
    json_object_set_new(tree_make_object(next, "status.disruptedPods"), object_name(pod),
                        json_string(timestamp_format(env->now_ms, time)));
    plan->also = json_pack("{s:s, s:s, s:s, s:o}", "storage", "poddisruptionbudgets", "namespace",
                           object_namespace(budget), "name", object_name(budget), "object", next);
    return NULL;
}

static json_t *plan_eviction(const struct request *request, const json_t *current,
                             const struct plan_env *env, struct plan *plan)
{
    const json_t *budget = pod_is_over_or_pending(current) ? NULL : find_budget(env, current);
    if (budget != NULL) {
        json_t *refusal = spend_budget(budget, current, env, plan);
        if (refusal != NULL) {
            return refusal;
        }
    }
    struct request deletion = *request;
    deletion.verb = REQUEST_DELETE;
    deletion.subresource = "";
    deletion.body = json_object_get(request->body, "deleteOptions");
    json_t *refusal = plan_delete(&deletion, current, env, plan);
    if (refusal != NULL) {
        return refusal;
    }
    json_decref(plan->answer);
    plan->answer = status_success();
    tree_set_int(plan->answer, "code", 201);
    plan->code = 201;
    return NULL;
}

/* A namespace whose content is gone loses its last finalizer. */
static json_t *plan_finalize(const struct request *request, const json_t *current,
                             struct plan *plan)
{
    CLEANUP(json) json_t *object = NULL;
    json_t *refusal = decode_next(request, current, plan, &object);
    refusal = refusal != NULL ? refusal : check_unchanged(request, object, current);
    if (refusal != NULL) {
        return refusal;
    }
    json_t *next = json_deep_copy(current);
    tree_set_copy(next, "spec.finalizers", tree_find(object, "spec.finalizers"));
    plan_finish_update(plan, next, current);
    return NULL;
}

static json_t *plan_ephemeral(const struct request *request, const json_t *current,
                              struct plan *plan)
{
    CLEANUP(json) json_t *object = NULL;
    json_t *refusal = decode_next(request, current, plan, &object);
    refusal = refusal != NULL ? refusal : check_unchanged(request, object, current);
    if (refusal != NULL) {
        return refusal;
    }
    CLEANUP(json) json_t *next = json_deep_copy(current);
    tree_set_copy(next, "spec.ephemeralContainers", tree_find(object, "spec.ephemeralContainers"));
    defaults_apply(next, request->kind);
    refusal = validate_object(next, request->kind);
    if (refusal == NULL) {
        plan_finish_update(plan, TAKE_PTR(next), current);
    }
    return refusal;
}

json_t *plan_subresource(const struct request *request, const json_t *current,
                         const struct plan_env *env, struct plan *plan)
{
    const char *name = request->subresource;
    const char *storage = request->kind->storage;
    bool is_pod = strcmp(storage, "pods") == 0;
    if (strcmp(name, "status") == 0 && kind_has(request->kind, KIND_STATUS)) {
        return plan_status(request, current, plan);
    }
    if (strcmp(name, "scale") == 0 && kind_has(request->kind, KIND_SCALE)) {
        return plan_scale(request, current, env, plan);
    }
    if (strcmp(name, "binding") == 0 && is_pod && request->verb == REQUEST_CREATE) {
        return plan_binding(request, current, env, plan);
    }
    if (strcmp(name, "eviction") == 0 && is_pod && request->verb == REQUEST_CREATE) {
        return plan_eviction(request, current, env, plan);
    }
    if (strcmp(name, "ephemeralcontainers") == 0 && is_pod) {
        return plan_ephemeral(request, current, plan);
    }
    if (strcmp(name, "finalize") == 0 && strcmp(storage, "namespaces") == 0) {
        return plan_finalize(request, current, plan);
    }
    if (strcmp(name, "approval") == 0 && strcmp(storage, "certificatesigningrequests") == 0) {
        return plan_status(request, current, plan);
    }
    return status_unknown_path();
}
