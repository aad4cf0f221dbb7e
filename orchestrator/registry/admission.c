/* admission.c - the policies that are on by default (kubernetes-api 2.7), in their order. */
#include <string.h>

#include "orchestrator/objects/names.h"
#include "orchestrator/registry/plan_parts.h"

enum { TOLERATION_SECONDS = 300, TOKEN_SECONDS = 3607 };

static json_t *admit_namespace(const struct request *request, const struct plan_env *env)
{
    if (!kind_has(request->kind, KIND_NAMESPACED)) {
        return NULL;
    }
    const json_t *namespace = cache_find(env->cache, "namespaces", "", request->namespace);
    if (namespace == NULL) {
        const struct status_subject subject = {
            .group = "", .resource = "namespaces", .kind = "Namespace", .name = request->namespace};
        return status_not_found(&subject);
    }
    /* What ends a namespace's content may still be said in it. */
    if (!object_is_deleting(namespace) || strcmp(request->kind->storage, "events") == 0) {
        return NULL;
    }
    struct status_subject subject = request_subject(request);
    subject.name = tree_text_or(request->body, "metadata.name", "");
    json_t *status = status_forbidden(
        &subject, "unable to create new content in namespace %s because it is being terminated",
        request->namespace);
    CLEANUP(free)
    char *message = mem_printf("namespace %s is being terminated", request->namespace);
    tree_set(status, "details.causes",
             json_pack("[{s:s, s:s, s:s}]", "reason", "NamespaceTerminating", "message", message,
                       "field", "metadata.namespace"));
    return status;
}

static bool mounts_token(const json_t *container)
{
    const json_t *mounts = json_object_get(container, "volumeMounts");
    return tree_find_item(mounts, "mountPath", "/var/run/secrets/kubernetes.io/serviceaccount") !=
           NULL;
}

static void mount_token(json_t *pod, const char *list_path, const char *volume)
{
    json_t *list = tree_find(pod, list_path);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *container = json_array_get(list, i);
        if (!mounts_token(container)) {
            json_array_append_new(tree_make_list(container, "volumeMounts"),
                                  json_pack("{s:s, s:b, s:s}", "name", volume, "readOnly", 1,
                                            "mountPath",
                                            "/var/run/secrets/kubernetes.io/serviceaccount"));
        }
    }
}

static bool all_mount_token(const json_t *pod)
{
    static const char *const lists[] = {"spec.containers", "spec.initContainers"};
    for (size_t l = 0; l < 2; l++) {
        const json_t *list = tree_find(pod, lists[l]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (!mounts_token(json_array_get(list, i))) {
                return false;
            }
        }
    }
    return true;
}

/* A token, the cluster's certificate and the namespace, as files for every container. */
static void add_token_volume(json_t *pod, const struct plan_env *env)
{
    if (all_mount_token(pod)) {
        return;
    }
    CLEANUP(free) char *volume = name_generate("kube-api-access-", env->prng);
    json_t *sources =
        json_pack("[{s:{s:i, s:s}}, {s:{s:s, s:[{s:s, s:s}]}}, {s:{s:[{s:s, s:{s:s, s:s}}]}}]",
                  "serviceAccountToken", "expirationSeconds", TOKEN_SECONDS, "path", "token",
                  "configMap", "name", "kube-root-ca.crt", "items", "key", "ca.crt", "path",
                  "ca.crt", "downwardAPI", "items", "path", "namespace", "fieldRef", "apiVersion",
                  "v1", "fieldPath", "metadata.namespace");
    json_array_append_new(tree_make_list(pod, "spec.volumes"),
                          json_pack("{s:s, s:{s:o, s:i}}", "name", volume, "projected", "sources",
                                    sources, "defaultMode", 420));
    mount_token(pod, "spec.initContainers", volume);
    mount_token(pod, "spec.containers", volume);
}

static json_t *admit_service_account(const struct request *request, json_t *pod,
                                     const struct plan_env *env)
{
    if (object_annotation(pod, "kubernetes.io/config.mirror") != NULL) {
        return NULL; /* the node's own static pod */
    }
    const char *name = tree_text_or(pod, "spec.serviceAccountName", "");
    if (*name == '\0') {
        name = "default";
        tree_set_text(pod, "spec.serviceAccountName", name);
        tree_set_text(pod, "spec.serviceAccount", name);
    }
    const json_t *account = cache_find(env->cache, "serviceaccounts", request->namespace, name);
    if (account == NULL) {
        struct status_subject subject = request_subject(request);
        subject.name = tree_text_or(pod, "metadata.name", "");
        return status_forbidden(&subject,
                                "error looking up service account %s/%s: serviceaccount \"%s\" not "
                                "found",
                                request->namespace, name, name);
    }
    bool wants_token = tree_bool(pod, "spec.automountServiceAccountToken",
                                 tree_bool(account, "automountServiceAccountToken", true));
    if (wants_token) {
        add_token_volume(pod, env);
    }
    const json_t *secrets = json_object_get(account, "imagePullSecrets");
    if (tree_count(pod, "spec.imagePullSecrets") == 0 && json_array_size(secrets) > 0) {
        tree_set_copy(pod, "spec.imagePullSecrets", secrets);
    }
    return NULL;
}

static const json_t *find_default_priority(const struct plan_env *env)
{
    struct cache_cursor c = cache_list(env->cache, "priorityclasses", "");
    const json_t *found = NULL;
    while (cache_next(&c)) {
        bool is_default = tree_bool(c.object, "globalDefault", false);
        if (is_default &&
            (found == NULL || tree_int(c.object, "value", 0) < tree_int(found, "value", 0))) {
            found = c.object;
        }
    }
    return found;
}

/* Classes that need no object (k8s.io/kubernetes pkg/apis/scheduling). */
static int64_t system_priority(const char *name)
{
    if (strcmp(name, "system-node-critical") == 0) {
        return 2000001000;
    }
    return strcmp(name, "system-cluster-critical") == 0 ? 2000000000 : -1;
}

static json_t *admit_priority(const struct request *request, json_t *pod,
                              const struct plan_env *env)
{
    const char *name = tree_text_or(pod, "spec.priorityClassName", "");
    int64_t priority = system_priority(name);
    const char *preemption = "PreemptLowerPriority";
    const json_t *class = *name == '\0' ? find_default_priority(env)
                                        : cache_find(env->cache, "priorityclasses", "", name);
    if (class != NULL) {
        priority = tree_int(class, "value", 0);
        preemption = tree_text_or(class, "preemptionPolicy", preemption);
        tree_set_text(pod, "spec.priorityClassName", object_name(class));
    } else if (*name == '\0') {
        priority = 0;
    } else if (priority < 0) {
        struct status_subject subject = request_subject(request);
        subject.name = tree_text_or(pod, "metadata.name", "");
        return status_forbidden(&subject, "no PriorityClass with name %s was found", name);
    }
    tree_set_int(pod, "spec.priority", priority);
    tree_set_text(pod, "spec.preemptionPolicy", preemption);
    return NULL;
}

static bool tolerates(const json_t *pod, const char *key)
{
    const json_t *list = tree_find(pod, "spec.tolerations");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *toleration = json_array_get(list, i);
        const char *effect = tree_text_or(toleration, "effect", "");
        const char *found = tree_text_or(toleration, "key", "");
        if ((*found == '\0' || strcmp(found, key) == 0) &&
            (*effect == '\0' || strcmp(effect, "NoExecute") == 0)) {
            return true;
        }
    }
    return false;
}

static void add_default_tolerations(json_t *pod)
{
    static const char *const keys[] = {"node.kubernetes.io/not-ready",
                                       "node.kubernetes.io/unreachable"};
    for (size_t i = 0; i < 2; i++) {
        if (!tolerates(pod, keys[i])) {
            json_array_append_new(tree_make_list(pod, "spec.tolerations"),
                                  json_pack("{s:s, s:s, s:s, s:i}", "key", keys[i], "operator",
                                            "Exists", "effect", "NoExecute", "tolerationSeconds",
                                            TOLERATION_SECONDS));
        }
    }
}

static json_t *admit_pod(const struct request *request, json_t *pod, const struct plan_env *env)
{
    json_t *refusal = admit_limits(request, pod, env);
    refusal = refusal != NULL ? refusal : admit_service_account(request, pod, env);
    refusal = refusal != NULL ? refusal : admit_priority(request, pod, env);
    if (refusal == NULL) {
        add_default_tolerations(pod);
    }
    return refusal;
}

/* A claim without a class gets the default one, if there is any. */
static void set_default_class(json_t *claim, const struct plan_env *env)
{
    if (tree_find(claim, "spec.storageClassName") != NULL) {
        return;
    }
    struct cache_cursor c = cache_list(env->cache, "storageclasses", "");
    while (cache_next(&c)) {
        const char *mark =
            object_annotation(c.object, "storageclass.kubernetes.io/is-default-class");
        if (mark != NULL && strcmp(mark, "true") == 0) {
            tree_set_text(claim, "spec.storageClassName", object_name(c.object));
            return;
        }
    }
}

/* A node is not used before its agent says that it is ready. */
static void taint_new_node(json_t *node)
{
    json_t *taints = tree_make_list(node, "spec.taints");
    if (tree_find_item(taints, "key", "node.kubernetes.io/not-ready") == NULL) {
        json_array_append_new(taints, json_pack("{s:s, s:s}", "key", "node.kubernetes.io/not-ready",
                                                "effect", "NoSchedule"));
    }
}

json_t *admit_create(const struct request *request, json_t *object, const struct plan_env *env)
{
    json_t *refusal = admit_namespace(request, env);
    if (refusal != NULL) {
        return refusal;
    }
    const char *storage = request->kind->storage;
    if (strcmp(storage, "pods") == 0) {
        return admit_pod(request, object, env);
    }
    if (strcmp(storage, "persistentvolumeclaims") == 0) {
        set_default_class(object, env);
        return admit_limits(request, object, env);
    }
    if (strcmp(storage, "nodes") == 0) {
        taint_new_node(object);
    }
    return NULL;
}

json_t *admit_delete(const struct request *request, const json_t *current)
{
    static const char *const immortal[] = {"default", "kube-system", "kube-public"};
    if (strcmp(request->kind->storage, "namespaces") != 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(immortal) / sizeof(immortal[0]); i++) {
        if (strcmp(object_name(current), immortal[i]) == 0) {
            const struct status_subject subject = request_subject(request);
            return status_forbidden(&subject, "this namespace may not be deleted");
        }
    }
    return NULL;
}
