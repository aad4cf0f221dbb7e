/* plan_delete.c - DELETE: preconditions, grace, propagation and finalizers (kubernetes-api 2.4). */
#include <string.h>

#include "orchestrator/objects/timestamp.h"
#include "orchestrator/registry/plan_parts.h"

#define FINALIZER_ORPHAN "orphan"
#define FINALIZER_FOREGROUND "foregroundDeletion"

static json_t *check_preconditions(const struct request *request, const json_t *current)
{
    const struct status_subject subject = request_subject(request);
    const char *uid = tree_text(request->body, "preconditions.uid");
    const char *version = tree_text(request->body, "preconditions.resourceVersion");
    if (uid != NULL && object_uid(current) != NULL && strcmp(uid, object_uid(current)) != 0) {
        return status_conflict(&subject,
                               "the UID in the precondition (%s) does not match the UID in record "
                               "(%s). The object might have been deleted and then recreated",
                               uid, object_uid(current));
    }
    if (version != NULL && !tree_has_text(current, "metadata.resourceVersion", version)) {
        return status_conflict(&subject,
                               "the ResourceVersion in the precondition (%s) does not match the "
                               "ResourceVersion in record (%s). The object might have been "
                               "modified",
                               version, tree_text_or(current, "metadata.resourceVersion", ""));
    }
    return NULL;
}

static void set_finalizer(json_t *object, const char *finalizer, bool is_wanted)
{
    json_t *list = tree_find(object, "metadata.finalizers");
    bool is_there = tree_list_has_text(list, finalizer);
    if (is_wanted && !is_there) {
        json_array_append_new(tree_make_list(object, "metadata.finalizers"),
                              json_string(finalizer));
    }
    for (size_t i = json_array_size(list); !is_wanted && i > 0; i--) {
        const char *text = json_string_value(json_array_get(list, i - 1));
        if (text != NULL && strcmp(text, finalizer) == 0) {
            (void)json_array_remove(list, i - 1);
        }
    }
    if (!is_wanted && json_array_size(list) == 0) {
        tree_remove(object, "metadata.finalizers");
    }
}

/* What happens to dependents is written down as a finalizer for the garbage collector. */
static json_t *set_propagation(const struct request *request, json_t *object)
{
    const char *policy = tree_text(request->body, "propagationPolicy");
    const json_t *orphan = tree_find(request->body, "orphanDependents");
    if (policy != NULL && orphan != NULL) {
        return status_bad_request("orphanDependents and deletionPropagation cannot be both set");
    }
    if (policy == NULL) {
        policy = json_is_true(orphan) ? "Orphan" : (orphan != NULL ? "Background" : NULL);
    }
    if (policy == NULL) {
        return NULL;
    }
    if (strcmp(policy, "Orphan") != 0 && strcmp(policy, "Foreground") != 0 &&
        strcmp(policy, "Background") != 0) {
        return status_new(422, "Invalid",
                          "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: "
                          "Unsupported value: \"%s\": supported values: \"Foreground\", "
                          "\"Background\", \"Orphan\", \"nil\"",
                          policy);
    }
    set_finalizer(object, FINALIZER_ORPHAN, strcmp(policy, "Orphan") == 0);
    set_finalizer(object, FINALIZER_FOREGROUND, strcmp(policy, "Foreground") == 0);
    return NULL;
}

/* Seconds a pod gets to end by itself. */
static int64_t pod_grace(const struct request *request, const json_t *pod)
{
    const char *phase = tree_text_or(pod, "status.phase", "");
    bool is_over = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
    int64_t wanted = tree_int(request->body, "gracePeriodSeconds",
                              tree_int(pod, "spec.terminationGracePeriodSeconds", 30));
    if (is_over || *tree_text_or(pod, "spec.nodeName", "") == '\0') {
        return 0;
    }
    return wanted < 0 ? 1 : wanted;
}

/* Mark the object as going away, or shorten the time it has. True when something changed. */
static bool mark(json_t *object, int64_t grace_s, int64_t now_ms)
{
    int64_t old_grace = tree_int(object, "metadata.deletionGracePeriodSeconds", 0);
    bool was_marked = object_is_deleting(object);
    if (was_marked && grace_s >= old_grace) {
        return false;
    }
    char text[TIMESTAMP_SIZE];
    int64_t end_ms = now_ms + grace_s * 1000;
    if (was_marked) {
        end_ms = timestamp_at(object, "metadata.deletionTimestamp", now_ms) -
                 (old_grace - grace_s) * 1000;
    }
    tree_set_text(object, "metadata.deletionTimestamp", timestamp_format(end_ms, text));
    tree_set_int(object, "metadata.deletionGracePeriodSeconds", grace_s);
    if (!was_marked && tree_find(object, "metadata.generation") != NULL) {
        tree_set_int(object, "metadata.generation", tree_int(object, "metadata.generation", 0) + 1);
    }
    return true;
}

static json_t *deleted_answer(const struct request *request, const json_t *object)
{
    json_t *status = status_success();
    const struct status_subject subject = request_subject(request);
    (void)json_object_del(status, "code");
    status_set_details(status, &subject, true);
    tree_set_text(status, "details.uid", object_uid(object) == NULL ? "" : object_uid(object));
    return status;
}

json_t *plan_delete(const struct request *request, const json_t *current,
                    const struct plan_env *env, struct plan *plan)
{
    json_t *refusal = check_preconditions(request, current);
    refusal = refusal != NULL ? refusal : admit_delete(request, current);
    if (refusal != NULL) {
        return refusal;
    }
    CLEANUP(json) json_t *object = json_deep_copy(current);
    refusal = set_propagation(request, object);
    if (refusal != NULL) {
        return refusal;
    }
    bool is_namespace = strcmp(request->kind->storage, "namespaces") == 0;
    int64_t grace_s = kind_has(request->kind, KIND_GRACEFUL) ? pod_grace(request, object) : 0;
    bool has_finalizers = tree_count(object, "metadata.finalizers") > 0 ||
                          (is_namespace && tree_count(object, "spec.finalizers") > 0);
    if (grace_s == 0 && !has_finalizers) {
        plan->change = PLAN_REMOVE;
        plan->answer =
            kind_has(request->kind, KIND_GRACEFUL) ? NULL : deleted_answer(request, object);
        plan->object = TAKE_PTR(object);
        return NULL;
    }
    (void)mark(object, grace_s, env->now_ms);
    if (is_namespace) {
        tree_set_text(object, "status.phase", "Terminating");
    }
    plan->change = tree_equal(object, current) ? PLAN_NOTHING : PLAN_PUT;
    plan->object = TAKE_PTR(object);
    return NULL;
}
