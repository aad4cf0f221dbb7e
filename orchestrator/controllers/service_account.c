/* service_account.c - every namespace has an account "default" and the cluster's certificate. */
#include <string.h>

#include "orchestrator/controllers/controllers.h"

#define ROOT_CA_NAME "kube-root-ca.crt"

static void reconcile(const struct reconcile *in, struct actions *out)
{
    const json_t *namespace = cache_find(in->cache, "namespaces", "", in->name);
    if (namespace == NULL || object_is_deleting(namespace)) {
        return;
    }
    if (cache_find(in->cache, "serviceaccounts", in->name, "default") == NULL) {
        actions_create(
            out, controller_kind("serviceaccounts"),
            json_pack("{s:{s:s, s:s}}", "metadata", "name", "default", "namespace", in->name));
    }
    const json_t *map = cache_find(in->cache, "configmaps", in->name, ROOT_CA_NAME);
    const char *ca = in->settings->root_ca;
    if (map == NULL) {
        actions_create(out, controller_kind("configmaps"),
                       json_pack("{s:{s:s, s:s}, s:{s:s}}", "metadata", "name", ROOT_CA_NAME,
                                 "namespace", in->name, "data", "ca.crt", ca));
        return;
    }
    const char *found = json_string_value(json_object_get(json_object_get(map, "data"), "ca.crt"));
    if (found == NULL || strcmp(found, ca) != 0) {
        actions_patch(out, controller_kind("configmaps"), map,
                      json_pack("{s:{s:s}}", "data", "ca.crt", ca));
    }
}

static void wake(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups)
{
    (void)cache;
    const char *name = object_name(event->object);
    if (strcmp(storage, "namespaces") == 0) {
        wake_key(wakeups, "", name);
    } else if (strcmp(storage, "serviceaccounts") == 0 && strcmp(name, "default") == 0) {
        wake_key(wakeups, "", object_namespace(event->object));
    } else if (strcmp(storage, "configmaps") == 0 && strcmp(name, ROOT_CA_NAME) == 0) {
        wake_key(wakeups, "", object_namespace(event->object));
    }
}

const struct controller controller_service_account = {.name = "service-account-controller",
                                                      .storage = "namespaces",
                                                      .wake = wake,
                                                      .reconcile = reconcile};
