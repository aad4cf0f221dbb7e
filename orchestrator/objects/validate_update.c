/* validate_update.c - what may not change once it is there. */
#include <string.h>

#include "orchestrator/objects/validate.h"

static void require_same(const json_t *object, const json_t *old, const char *path,
                         struct causes *causes)
{
    const json_t *value = tree_find(object, path);
    if (!tree_equal(value, tree_find(old, path))) {
        causes_add_invalid(causes, path, value, "field is immutable");
    }
}

/* Both specs without what may change in a running pod. */
static void strip_mutable(json_t *spec)
{
    static const char *const lists[] = {"containers", "initContainers"};
    for (size_t l = 0; l < 2; l++) {
        const json_t *list = json_object_get(spec, lists[l]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            tree_remove(json_array_get(list, i), "image");
        }
    }
    static const char *const fields[] = {"activeDeadlineSeconds",         "tolerations",
                                         "terminationGracePeriodSeconds", "schedulingGates",
                                         "ephemeralContainers",           "nodeName"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        tree_remove(spec, fields[i]);
    }
}

static bool list_keeps(const json_t *list, const json_t *old)
{
    for (size_t i = 0; i < json_array_size(old); i++) {
        bool is_kept = false;
        for (size_t k = 0; k < json_array_size(list) && !is_kept; k++) {
            is_kept = tree_equal(json_array_get(list, k), json_array_get(old, i));
        }
        if (!is_kept) {
            return false;
        }
    }
    return true;
}

static void update_pod(const json_t *object, const json_t *old, struct causes *causes)
{
    CLEANUP(json) json_t *spec = tree_copy(tree_find(object, "spec"));
    CLEANUP(json) json_t *old_spec = tree_copy(tree_find(old, "spec"));
    strip_mutable(spec);
    strip_mutable(old_spec);
    if (!tree_equal(spec, old_spec)) {
        causes_add_forbidden(causes, "spec",
                             "pod updates may not change fields other than "
                             "`spec.containers[*].image`,`spec.initContainers[*].image`,"
                             "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
                             "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it "
                             "to be set to 1 if it was previously negative)");
    }
    if (!list_keeps(tree_find(object, "spec.tolerations"), tree_find(old, "spec.tolerations"))) {
        causes_add_forbidden(causes, "spec.tolerations",
                             "existing toleration can not be modified except its "
                             "tolerationSeconds");
    }
    const char *node = tree_text_or(old, "spec.nodeName", "");
    if (*node != '\0') {
        require_same(object, old, "spec.nodeName", causes);
    }
}

static void update_service(const json_t *object, const json_t *old, struct causes *causes)
{
    const char *old_type = tree_text_or(old, "spec.type", "");
    const char *type = tree_text_or(object, "spec.type", "");
    const char *old_ip = tree_text_or(old, "spec.clusterIP", "");
    if (strcmp(old_type, "ExternalName") != 0 && strcmp(type, "ExternalName") != 0 &&
        *old_ip != '\0' && !tree_has_text(object, "spec.clusterIP", old_ip)) {
        CLEANUP(json) json_t *shown = json_pack("[s?]", tree_text(object, "spec.clusterIP"));
        causes_add_invalid(causes, "spec.clusterIPs[0]", shown, "may not change once set");
    }
}

static void update_immutable_data(const json_t *object, const json_t *old, struct causes *causes)
{
    if (!tree_bool(old, "immutable", false)) {
        return;
    }
    static const char *const fields[] = {"data", "binaryData"};
    for (size_t i = 0; i < 2; i++) {
        if (!tree_equal(json_object_get(object, fields[i]), json_object_get(old, fields[i]))) {
            causes_add_forbidden(causes, fields[i], "field is immutable when `immutable` is set");
        }
    }
    if (!tree_bool(object, "immutable", false)) {
        causes_add_forbidden(causes, "immutable", "field is immutable when `immutable` is set");
    }
}

static void update_stateful_set(const json_t *object, const json_t *old, struct causes *causes)
{
    CLEANUP(json) json_t *spec = tree_copy(tree_find(object, "spec"));
    CLEANUP(json) json_t *old_spec = tree_copy(tree_find(old, "spec"));
    static const char *const fields[] = {"replicas",
                                         "template",
                                         "updateStrategy",
                                         "persistentVolumeClaimRetentionPolicy",
                                         "minReadySeconds",
                                         "ordinals",
                                         "revisionHistoryLimit"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        tree_remove(spec, fields[i]);
        tree_remove(old_spec, fields[i]);
    }
    if (!tree_equal(spec, old_spec)) {
        causes_add_forbidden(causes, "spec",
                             "updates to statefulset spec for fields other than 'replicas', "
                             "'ordinals', 'template', 'updateStrategy', "
                             "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                             "'minReadySeconds' are forbidden");
    }
}

static const struct {
    const char *storage;
    const char *path;
} immutable_fields[] = {
    {"deployments", "spec.selector"},
    {"replicasets", "spec.selector"},
    {"daemonsets", "spec.selector"},
    {"jobs", "spec.selector"},
    {"jobs", "spec.completionMode"},
    {"jobs", "spec.template"},
    {"rolebindings", "roleRef"},
    {"clusterrolebindings", "roleRef"},
    {"priorityclasses", "value"},
    {"storageclasses", "provisioner"},
    {"storageclasses", "parameters"},
    {"secrets", "type"},
    {"endpointslices", "addressType"},
    {"customresourcedefinitions", "spec.group"},
    {"customresourcedefinitions", "spec.scope"},
    {"controllerrevisions", "data"},
    {"ingressclasses", "spec.controller"},
};

static void update_metadata(const json_t *object, const json_t *old, struct causes *causes)
{
    /* While an object goes away its finalizers may leave but not come. */
    if (object_is_deleting(old) && !list_keeps(tree_find(old, "metadata.finalizers"),
                                               tree_find(object, "metadata.finalizers"))) {
        causes_add_forbidden(causes, "metadata.finalizers",
                             "no new finalizers can be added if the object is being deleted");
    }
}

json_t *validate_update(const json_t *object, const json_t *old, const struct kind *kind)
{
    CLEANUP(causes) struct causes causes = {0};
    const char *storage = kind->storage;
    update_metadata(object, old, &causes);
    for (size_t i = 0; i < sizeof(immutable_fields) / sizeof(immutable_fields[0]); i++) {
        if (strcmp(immutable_fields[i].storage, storage) == 0) {
            require_same(object, old, immutable_fields[i].path, &causes);
        }
    }
    if (strcmp(storage, "pods") == 0) {
        update_pod(object, old, &causes);
    } else if (strcmp(storage, "services") == 0) {
        update_service(object, old, &causes);
    } else if (strcmp(storage, "configmaps") == 0 || strcmp(storage, "secrets") == 0) {
        update_immutable_data(object, old, &causes);
    } else if (strcmp(storage, "statefulsets") == 0) {
        update_stateful_set(object, old, &causes);
    }
    const struct status_subject subject = kind_subject(kind, object_name(object));
    return status_invalid(&subject, &causes);
}
