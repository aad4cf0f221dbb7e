/* volume_binder.c - claims get volumes: one that is there and fits, or a directory made for them by
 * the class "hostpath" (provisioner coracle.io/hostpath). Keys are claims. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"
#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/selector.h"

#define PROVISIONER "coracle.io/hostpath"

static bool offers_modes(const json_t *volume, const json_t *claim)
{
    const json_t *wanted = tree_find(claim, "spec.accessModes");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const char *mode = json_string_value(json_array_get(wanted, i));
        if (mode == NULL || !tree_list_has_text(tree_find(volume, "spec.accessModes"), mode)) {
            return false;
        }
    }
    return true;
}

static bool is_reserved_for(const json_t *volume, const json_t *claim)
{
    const char *uid = tree_text(volume, "spec.claimRef.uid");
    return tree_has_text(volume, "spec.claimRef.name", object_name(claim)) &&
           tree_has_text(volume, "spec.claimRef.namespace", object_namespace(claim)) &&
           (uid == NULL || strcmp(uid, object_uid(claim)) == 0);
}

static bool fits(const json_t *volume, const json_t *claim)
{
    const json_t *selector = tree_find(claim, "spec.selector");
    const char *class = tree_text_or(claim, "spec.storageClassName", "");
    const char *name = tree_text_or(claim, "spec.volumeName", "");
    if (*name != '\0' && strcmp(name, object_name(volume)) != 0) {
        return false;
    }
    if (tree_find(volume, "spec.claimRef") != NULL) {
        return is_reserved_for(volume, claim);
    }
    return !object_is_deleting(volume) &&
           strcmp(tree_text_or(volume, "spec.storageClassName", ""), class) == 0 &&
           offers_modes(volume, claim) &&
           quantity_in(tree_find(volume, "spec.capacity"), "storage") >=
               quantity_in(tree_find(claim, "spec.resources.requests"), "storage") &&
           (selector == NULL || label_selector_object_matches(selector, object_labels(volume)));
}

/* The smallest volume that fits; one that is reserved for the claim goes first. */
static const json_t *find_volume(const struct reconcile *in, const json_t *claim)
{
    const json_t *best = NULL;
    struct cache_cursor c = cache_list(in->cache, "persistentvolumes", "");
    while (cache_next(&c)) {
        if (!fits(c.object, claim)) {
            continue;
        }
        if (tree_find(c.object, "spec.claimRef") != NULL) {
            return c.object;
        }
        if (best == NULL || quantity_in(tree_find(c.object, "spec.capacity"), "storage") <
                                quantity_in(tree_find(best, "spec.capacity"), "storage")) {
            best = c.object;
        }
    }
    return best;
}

static json_t *claim_reference(const json_t *claim)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "PersistentVolumeClaim", "apiVersion",
                     "v1", "namespace", object_namespace(claim), "name", object_name(claim), "uid",
                     object_uid(claim));
}

static void provision(const struct reconcile *in, const json_t *claim, struct actions *out)
{
    const char *class_name = tree_text_or(claim, "spec.storageClassName", "");
    const json_t *class = cache_find(in->cache, "storageclasses", "", class_name);
    CLEANUP(free) char *name = mem_printf("pvc-%s", object_uid(claim));
    if (!tree_has_text(class, "provisioner", PROVISIONER) ||
        cache_find(in->cache, "persistentvolumes", "", name) != NULL) {
        return;
    }
    CLEANUP(free) char *path = mem_printf("/var/lib/coracle/volumes/%s", name);
    json_t *volume = json_pack(
        "{s:{s:s, s:{s:s}}, s:{s:{s:O}, s:O, s:s, s:s, s:o, s:{s:s, s:s}}}", "metadata", "name",
        name, "annotations", "pv.kubernetes.io/provisioned-by", PROVISIONER, "spec", "capacity",
        "storage", tree_find(claim, "spec.resources.requests.storage"), "accessModes",
        tree_find(claim, "spec.accessModes"), "storageClassName", class_name,
        "persistentVolumeReclaimPolicy", tree_text_or(class, "reclaimPolicy", "Delete"), "claimRef",
        claim_reference(claim), "hostPath", "path", path, "type", "DirectoryOrCreate");
    actions_create(out, controller_kind("persistentvolumes"), volume);
}

static void bind(const struct reconcile *in, const json_t *claim, const json_t *volume,
                 struct actions *out)
{
    (void)in;
    if (tree_find(volume, "spec.claimRef.uid") == NULL) {
        actions_patch(out, controller_kind("persistentvolumes"), volume,
                      json_pack("{s:{s:s}, s:{s:o}}", "metadata", "resourceVersion",
                                tree_text_or(volume, "metadata.resourceVersion", ""), "spec",
                                "claimRef", claim_reference(claim)));
    }
    if (*tree_text_or(claim, "spec.volumeName", "") == '\0') {
        actions_patch(out, controller_kind("persistentvolumeclaims"), claim,
                      json_pack("{s:{s:{s:s}}, s:{s:s}}", "metadata", "annotations",
                                "pv.kubernetes.io/bind-completed", "yes", "spec", "volumeName",
                                object_name(volume)));
    }
    if (!tree_has_text(volume, "status.phase", "Bound")) {
        actions_patch_status(out, controller_kind("persistentvolumes"), volume,
                             json_pack("{s:{s:s}}", "status", "phase", "Bound"));
    }
    if (!tree_has_text(claim, "status.phase", "Bound")) {
        actions_patch_status(out, controller_kind("persistentvolumeclaims"), claim,
                             json_pack("{s:{s:s, s:O, s:O}}", "status", "phase", "Bound",
                                       "accessModes", tree_find(volume, "spec.accessModes"),
                                       "capacity", tree_find(volume, "spec.capacity")));
    }
}

/* Volumes whose claim is gone: deleted with it, or kept for somebody to look after. */
static void release(const struct reconcile *in, struct actions *out)
{
    struct cache_cursor c = cache_list(in->cache, "persistentvolumes", "");
    while (cache_next(&c)) {
        const json_t *volume = c.object;
        if (!tree_has_text(volume, "spec.claimRef.namespace", in->namespace) ||
            !tree_has_text(volume, "spec.claimRef.name", in->name) ||
            tree_find(volume, "spec.claimRef.uid") == NULL) {
            continue;
        }
        if (tree_has_text(volume, "spec.persistentVolumeReclaimPolicy", "Delete")) {
            json_t *no_finalizers =
                json_pack("{s:{s:s, s:[]}}", "metadata", "uid", object_uid(volume), "finalizers");
            actions_delete(out, controller_kind("persistentvolumes"), volume, NULL);
            actions_patch(out, controller_kind("persistentvolumes"), volume, no_finalizers);
        } else if (!tree_has_text(volume, "status.phase", "Released")) {
            actions_patch_status(out, controller_kind("persistentvolumes"), volume,
                                 json_pack("{s:{s:s}}", "status", "phase", "Released"));
        }
    }
}

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *claim = cache_find(in->cache, "persistentvolumeclaims", in->namespace, in->name);
    if (*in->namespace == '\0') {
        /* A volume that nobody claims is available. */
        const json_t *volume = cache_find(in->cache, "persistentvolumes", "", in->name);
        if (volume != NULL && tree_find(volume, "spec.claimRef") == NULL &&
            !tree_has_text(volume, "status.phase", "Available")) {
            actions_patch_status(out, controller_kind("persistentvolumes"), volume,
                                 json_pack("{s:{s:s}}", "status", "phase", "Available"));
        }
        return;
    }
    if (claim == NULL) {
        release(in, out);
        return;
    }
    if (object_is_deleting(claim)) {
        return;
    }
    const json_t *volume = find_volume(in, claim);
    if (volume != NULL) {
        bind(in, claim, volume, out);
    } else {
        provision(in, claim, out);
    }
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    if (strcmp(storage, "persistentvolumeclaims") == 0) {
        wake_object(wakeups, event->object);
    } else if (strcmp(storage, "persistentvolumes") == 0 && event->type != CACHE_DELETED) {
        const char *name = tree_text(event->object, "spec.claimRef.name");
        if (name != NULL) {
            wake_key(wakeups, tree_text_or(event->object, "spec.claimRef.namespace", ""), name);
            return;
        }
        wake_key(wakeups, "", object_name(event->object));
        struct cache_cursor c = cache_list(cache, "persistentvolumeclaims", "");
        while (cache_next(&c)) {
            if (!tree_has_text(c.object, "status.phase", "Bound")) {
                wake_object(wakeups, c.object);
            }
        }
    }
}

const struct controller controller_volume_binder = {.name = "persistentvolume-binder",
                                                    .storage = "persistentvolumeclaims",
                                                    .wake = wake,
                                                    .reconcile = reconcile};
