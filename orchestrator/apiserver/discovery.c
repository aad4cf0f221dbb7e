#include "orchestrator/apiserver/discovery.h"

#include <string.h>

struct subresource {
    const char *storage; /* NULL: of every kind with the flag */
    uint16_t flag;
    const char *name;
    const char *group;
    const char *version;
    const char *kind;  /* NULL: the kind itself */
    const char *verbs; /* joined by commas */
};

static const struct subresource subresources[] = {
    {"pods", 0, "attach", "", "v1", "PodAttachOptions", "create,get"},
    {"pods", 0, "binding", "", "v1", "Binding", "create"},
    {"pods", 0, "ephemeralcontainers", "", "v1", NULL, "get,patch,update"},
    {"pods", 0, "eviction", "policy", "v1", "Eviction", "create"},
    {"pods", 0, "exec", "", "v1", "PodExecOptions", "create,get"},
    {"pods", 0, "log", "", "v1", NULL, "get"},
    {"pods", 0, "portforward", "", "v1", "PodPortForwardOptions", "create,get"},
    {"serviceaccounts", 0, "token", "authentication.k8s.io", "v1", "TokenRequest", "create"},
    {"namespaces", 0, "finalize", "", "v1", NULL, "update"},
    {"certificatesigningrequests", 0, "approval", "certificates.k8s.io", "v1", NULL,
     "get,patch,update"},
    {NULL, KIND_SCALE, "scale", "autoscaling", "v1", "Scale", "get,patch,update"},
    {NULL, KIND_STATUS, "status", "", "", NULL, "get,patch,update"},
};

static bool has_subresource(const struct kind *kind, const struct subresource *sub)
{
    return sub->storage == NULL ? (kind->flags & sub->flag) != 0
                                : strcmp(sub->storage, kind->storage) == 0;
}

static json_t *split(const char *commas)
{
    json_t *list = json_array();
    while (*commas != '\0') {
        size_t size = strcspn(commas, ",");
        json_array_append_new(list, json_stringn(commas, size));
        commas += size + (commas[size] == ',');
    }
    return list;
}

static json_t *verbs_of(const struct kind *kind)
{
    static const struct {
        uint16_t verb;
        const char *name;
    } names[] = {
        {VERB_CREATE, "create"},
        {VERB_DELETE, "delete"},
        {VERB_DELETE_COLLECTION, "deletecollection"},
        {VERB_GET, "get"},
        {VERB_LIST, "list"},
        {VERB_PATCH, "patch"},
        {VERB_UPDATE, "update"},
        {VERB_WATCH, "watch"},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((kind->verbs & names[i].verb) != 0) {
            json_array_append_new(list, json_string(names[i].name));
        }
    }
    return list;
}

static json_t *gvk(const char *group, const char *version, const char *kind)
{
    return json_pack("{s:s, s:s, s:s}", "group", group, "version", version, "kind", kind);
}

static json_t *sub_gvk(const struct kind *kind, const struct subresource *sub)
{
    return sub->kind == NULL ? gvk(kind->group, kind->version, kind->kind)
                             : gvk(sub->group, sub->version, sub->kind);
}

static json_t *aggregated_resource(const struct kind *kind)
{
    json_t *resource =
        json_pack("{s:s, s:o, s:s, s:s, s:o}", "resource", kind->resource, "responseKind",
                  gvk(kind->group, kind->version, kind->kind), "scope",
                  kind_has(kind, KIND_NAMESPACED) ? "Namespaced" : "Cluster", "singularResource",
                  kind->singular, "verbs", verbs_of(kind));
    if (*kind->short_names != '\0') {
        json_object_set_new(resource, "shortNames", split(kind->short_names));
    }
    if (*kind->categories != '\0') {
        json_object_set_new(resource, "categories", split(kind->categories));
    }
    json_t *subs = json_array();
    for (size_t i = 0; i < sizeof(subresources) / sizeof(subresources[0]); i++) {
        const struct subresource *sub = &subresources[i];
        if (has_subresource(kind, sub)) {
            json_array_append_new(subs, json_pack("{s:s, s:o, s:o}", "subresource", sub->name,
                                                  "responseKind", sub_gvk(kind, sub), "verbs",
                                                  split(sub->verbs)));
        }
    }
    if (json_array_size(subs) > 0) {
        json_object_set(resource, "subresources", subs);
    }
    json_decref(subs);
    return resource;
}

static json_t *find_named(const json_t *list, const char *key, const char *name)
{
    return tree_find_item(list, key, name);
}

static json_t *group_of(json_t *items, const char *group)
{
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        if (strcmp(tree_text_or(item, "metadata.name", ""), group) == 0) {
            return item;
        }
    }
    json_t *item = *group == '\0'
                       ? json_pack("{s:{}, s:[]}", "metadata", "versions")
                       : json_pack("{s:{s:s}, s:[]}", "metadata", "name", group, "versions");
    json_array_append_new(items, item);
    return item;
}

json_t *discovery_aggregated(const struct kinds *kinds, bool is_core, const char *version)
{
    json_t *items = json_array();
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if ((*kind->group == '\0') != is_core) {
            continue;
        }
        json_t *versions = json_object_get(group_of(items, kind->group), "versions");
        json_t *entry = find_named(versions, "version", kind->version);
        if (entry == NULL) {
            entry = json_pack("{s:s, s:s, s:[]}", "version", kind->version, "freshness", "Current",
                              "resources");
            json_array_append_new(versions, entry);
        }
        json_array_append_new(json_object_get(entry, "resources"), aggregated_resource(kind));
    }
    CLEANUP(free) char *api_version = mem_printf("apidiscovery.k8s.io/%s", version);
    return json_pack("{s:s, s:s, s:{}, s:o}", "kind", "APIGroupDiscoveryList", "apiVersion",
                     api_version, "metadata", "items", items);
}

json_t *discovery_versions(void)
{
    return json_pack("{s:s, s:[s], s:[{s:s, s:s}]}", "kind", "APIVersions", "versions", "v1",
                     "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress", "");
}

static json_t *make_group(const struct kinds *kinds, const char *group)
{
    json_t *versions = json_array();
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if (strcmp(kind->group, group) == 0 &&
            find_named(versions, "version", kind->version) == NULL) {
            CLEANUP(free) char *name = mem_printf("%s/%s", group, kind->version);
            json_array_append_new(
                versions, json_pack("{s:s, s:s}", "groupVersion", name, "version", kind->version));
        }
    }
    json_t *first = json_array_get(versions, 0);
    return json_pack("{s:s, s:o, s:O}", "name", group, "versions", versions, "preferredVersion",
                     first);
}

json_t *discovery_groups(const struct kinds *kinds)
{
    json_t *groups = json_array();
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const char *group = kinds_at(kinds, i)->group;
        if (*group != '\0' && find_named(groups, "name", group) == NULL) {
            json_array_append_new(groups, make_group(kinds, group));
        }
    }
    return json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups",
                     groups);
}

json_t *discovery_group(const struct kinds *kinds, const char *group)
{
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        if (*group != '\0' && strcmp(kinds_at(kinds, i)->group, group) == 0) {
            json_t *found = make_group(kinds, group);
            json_object_set_new(found, "kind", json_string("APIGroup"));
            json_object_set_new(found, "apiVersion", json_string("v1"));
            return found;
        }
    }
    return NULL;
}

static void append_legacy(json_t *resources, const struct kind *kind)
{
    json_t *resource = json_pack(
        "{s:s, s:s, s:b, s:s, s:o}", "name", kind->resource, "singularName", kind->singular,
        "namespaced", kind_has(kind, KIND_NAMESPACED), "kind", kind->kind, "verbs", verbs_of(kind));
    if (*kind->short_names != '\0') {
        json_object_set_new(resource, "shortNames", split(kind->short_names));
    }
    if (*kind->categories != '\0') {
        json_object_set_new(resource, "categories", split(kind->categories));
    }
    json_array_append_new(resources, resource);
    for (size_t i = 0; i < sizeof(subresources) / sizeof(subresources[0]); i++) {
        const struct subresource *sub = &subresources[i];
        if (!has_subresource(kind, sub)) {
            continue;
        }
        CLEANUP(free) char *name = mem_printf("%s/%s", kind->resource, sub->name);
        json_t *entry =
            json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name, "singularName", "", "namespaced",
                      kind_has(kind, KIND_NAMESPACED), "kind",
                      sub->kind == NULL ? kind->kind : sub->kind, "verbs", split(sub->verbs));
        if (sub->kind != NULL) {
            json_object_set_new(entry, "group", json_string(sub->group));
            json_object_set_new(entry, "version", json_string(sub->version));
        }
        json_array_append_new(resources, entry);
    }
}

json_t *discovery_resources(const struct kinds *kinds, const char *group, const char *version)
{
    CLEANUP(json) json_t *resources = json_array();
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if (strcmp(kind->group, group) == 0 && strcmp(kind->version, version) == 0) {
            append_legacy(resources, kind);
        }
    }
    if (json_array_size(resources) == 0) {
        return NULL;
    }
    CLEANUP(free)
    char *name = *group == '\0' ? mem_strdup(version) : mem_printf("%s/%s", group, version);
    return json_pack("{s:s, s:s, s:s, s:O}", "kind", "APIResourceList", "apiVersion", "v1",
                     "groupVersion", name, "resources", resources);
}

json_t *discovery_version(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major", "1", "minor", "32",
                     "gitVersion", DISCOVERY_GIT_VERSION, "gitCommit", "", "gitTreeState", "clean",
                     "buildDate", "2026-01-01T00:00:00Z", "goVersion", "none", "compiler", "c17",
                     "platform", "linux/amd64");
}
