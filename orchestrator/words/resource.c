#include "orchestrator/words/resource.h"

#include <string.h>

#include "orchestrator/objects/tree.h"

static bool is_in_list(const char *list, const char *text, size_t size)
{
    for (const char *item = list; *item != '\0';) {
        size_t item_size = strcspn(item, ",");
        if (item_size == size && strncasecmp(item, text, size) == 0) {
            return true;
        }
        item += item_size + (item[item_size] == ',');
    }
    return false;
}

static bool is_called(const struct kind *kind, const char *text, size_t size, const char *group)
{
    return (group == NULL || strcmp(kind->group, group) == 0) &&
           (is_in_list(kind->resource, text, size) || is_in_list(kind->singular, text, size) ||
            is_in_list(kind->short_names, text, size)) &&
           (kind->verbs & VERB_GET) != 0;
}

static const struct kind *find(const struct cluster *cluster, const char *text)
{
    size_t size = strcspn(text, ".");
    const char *group = text[size] == '.' ? text + size + 1 : NULL;
    for (size_t i = 0; i < kinds_count(&cluster->kinds); i++) {
        const struct kind *kind = kinds_at(&cluster->kinds, i);
        if (is_called(kind, text, size, group) && kind_stored(kind) == kind) {
            return kind;
        }
    }
    return NULL;
}

static int read_custom_kinds(struct cluster *cluster, struct err *err)
{
    CLEANUP(json) json_t *list = NULL;
    if (cluster->has_custom_kinds) {
        return 0;
    }
    int result =
        cluster_get(cluster, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &list, err);
    if (result != 0) {
        return result;
    }
    const json_t *items = json_object_get(list, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *definition = json_array_get(items, i);
        kinds_set_custom(&cluster->kinds, object_name(definition), definition);
    }
    cluster->has_custom_kinds = true;
    return 0;
}

int resource_find_kind(struct cluster *cluster, const char *text, const struct kind **ret_kind,
                       struct err *err)
{
    const struct kind *kind = find(cluster, text);
    if (kind == NULL) {
        int result = read_custom_kinds(cluster, err);
        if (result != 0) {
            return result;
        }
        kind = find(cluster, text);
    }
    if (kind == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the cluster has no kind '%s'", text);
    }
    *ret_kind = kind;
    return 0;
}

int resource_parse(struct cluster *cluster, const char *text, struct resource *ret, struct err *err)
{
    const char *slash = strchr(text, '/');
    size_t size = slash == NULL ? strlen(text) : (size_t)(slash - text);
    CLEANUP(free) char *kind = mem_printf("%.*s", (int)size, text);
    if (slash != NULL && (slash[1] == '\0' || strchr(slash + 1, '/') != NULL)) {
        return err_set(err, ERR_INVALID, "'%s' is not KIND/NAME", text);
    }
    int result = resource_find_kind(cluster, kind, &ret->kind, err);
    if (result == 0) {
        ret->name = slash == NULL ? "" : slash + 1;
    }
    return result;
}

int resource_parse_named(struct cluster *cluster, const char *text, struct resource *ret,
                         struct err *err)
{
    int result = resource_parse(cluster, text, ret, err);
    if (result == 0 && *ret->name == '\0') {
        result = err_set(err, ERR_INVALID, "'%s': which one? write KIND/NAME", text);
    }
    return result;
}

int resource_of_object(struct cluster *cluster, const json_t *object, struct resource *ret,
                       struct err *err)
{
    const char *api_version = tree_text_or(object, "apiVersion", "");
    const char *name = tree_text_or(object, "kind", "");
    const struct kind *kind = kinds_find_kind(&cluster->kinds, api_version, name);
    if (kind == NULL) {
        int result = read_custom_kinds(cluster, err);
        if (result != 0) {
            return result;
        }
        kind = kinds_find_kind(&cluster->kinds, api_version, name);
    }
    if (kind == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the cluster has no kind '%s' in '%s'", name,
                       api_version);
    }
    *ret = (struct resource){.kind = kind, .name = tree_text_or(object, "metadata.name", "")};
    return 0;
}

char *resource_path(const struct kind *kind, const char *namespace, const char *name,
                    const char *subresource)
{
    char api_version[KIND_API_VERSION_SIZE];
    bool has_namespace = kind_has(kind, KIND_NAMESPACED) && *namespace != '\0';
    return mem_printf("%s/%s%s%s/%s%s%s%s%s", *kind->group == '\0' ? "/api" : "/apis",
                      kind_api_version(kind, api_version), has_namespace ? "/namespaces/" : "",
                      has_namespace ? namespace : "", kind->resource, *name == '\0' ? "" : "/",
                      name, *subresource == '\0' ? "" : "/", subresource);
}

char *resource_title(const struct kind *kind, const char *name)
{
    return mem_printf("%s%s%s/%s", kind->singular, *kind->group == '\0' ? "" : ".", kind->group,
                      name);
}
