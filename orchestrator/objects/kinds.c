#include "orchestrator/objects/kinds.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

void kinds_init(struct kinds *kinds)
{
    *kinds = (struct kinds){0};
}

static void custom_free(struct kind *kind)
{
    const char *owned[] = {kind->group,    kind->version,     kind->resource,
                           kind->singular, kind->kind,        kind->list_kind,
                           kind->storage,  kind->short_names, kind->categories};
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
        mem_free((void *)(uintptr_t)owned[i]);
    }
    json_decref(tree_mutable(kind->custom));
    mem_free(kind);
}

void kinds_deinit(struct kinds *kinds)
{
    for (size_t i = 0; i < kinds->custom_count; i++) {
        custom_free(kinds->custom[i]);
    }
    for (size_t i = 0; i < kinds->retired_count; i++) {
        custom_free(kinds->retired[i]);
    }
    mem_free(kinds->custom);
    mem_free(kinds->retired);
    kinds_init(kinds);
}

static void append(struct kind ***list, size_t *count, struct kind *kind)
{
    *list = mem_reallocarray(*list, *count + 1, sizeof((*list)[0]));
    (*list)[(*count)++] = kind;
}

/* The storage of a custom kind is its definition's name: "widgets.example.com". */
static void remove_custom(struct kinds *kinds, const char *definition_name)
{
    size_t kept = 0;
    for (size_t i = 0; i < kinds->custom_count; i++) {
        if (strcmp(kinds->custom[i]->storage, definition_name) == 0) {
            append(&kinds->retired, &kinds->retired_count, kinds->custom[i]);
        } else {
            kinds->custom[kept++] = kinds->custom[i];
        }
    }
    kinds->custom_count = kept;
}

static char *join_texts(const json_t *list)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));
        buf_append_format(&text, "%s%s", i == 0 ? "" : ",", item == NULL ? "" : item);
    }
    return mem_strdup(buf_text(&text));
}

static struct kind *make_custom(const json_t *definition, const json_t *version)
{
    const char *kind = tree_text_or(definition, "spec.names.kind", "");
    const char *list_kind = tree_text(definition, "spec.names.listKind");
    const char *singular = tree_text(definition, "spec.names.singular");
    unsigned flags = KIND_CUSTOM | KIND_GENERATION;
    flags |= tree_has_text(definition, "spec.scope", "Namespaced") ? KIND_NAMESPACED : 0;
    flags |= tree_find(version, "subresources.status") != NULL ? KIND_STATUS : 0;
    flags |= tree_find(version, "subresources.scale") != NULL ? KIND_SCALE : 0;
    struct kind *made = mem_zalloc(sizeof(*made));
    *made = (struct kind){
        .group = mem_strdup(tree_text_or(definition, "spec.group", "")),
        .version = mem_strdup(tree_text_or(version, "name", "")),
        .resource = mem_strdup(tree_text_or(definition, "spec.names.plural", "")),
        .singular = mem_strdup(singular == NULL ? "" : singular),
        .kind = mem_strdup(kind),
        .list_kind = list_kind == NULL ? mem_printf("%sList", kind) : mem_strdup(list_kind),
        .storage = mem_strdup(object_name(definition)),
        .short_names = join_texts(tree_find(definition, "spec.names.shortNames")),
        .categories = join_texts(tree_find(definition, "spec.names.categories")),
        .verbs = VERBS_ALL,
        .flags = (uint16_t)flags,
        .custom = tree_copy(version),
    };
    return made;
}

void kinds_set_custom(struct kinds *kinds, const char *definition_name, const json_t *definition)
{
    remove_custom(kinds, definition_name);
    const json_t *versions = tree_find(definition, "spec.versions");
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const json_t *version = json_array_get(versions, i);
        if (!tree_bool(version, "served", false)) {
            continue;
        }
        append(&kinds->custom, &kinds->custom_count, make_custom(definition, version));
    }
}

size_t kinds_count(const struct kinds *kinds)
{
    return kinds_builtin_count + (kinds == NULL ? 0 : kinds->custom_count);
}

const struct kind *kinds_at(const struct kinds *kinds, size_t index)
{
    if (index < kinds_builtin_count) {
        return &kinds_builtin[index];
    }
    return kinds->custom[index - kinds_builtin_count];
}

const struct kind *kinds_find_resource(const struct kinds *kinds, const char *group,
                                       const char *version, const char *resource)
{
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if (strcmp(kind->resource, resource) == 0 && strcmp(kind->group, group) == 0 &&
            strcmp(kind->version, version) == 0) {
            return kind;
        }
    }
    return NULL;
}

const struct kind *kinds_find_kind(const struct kinds *kinds, const char *api_version,
                                   const char *name)
{
    char text[KIND_API_VERSION_SIZE];
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if (strcmp(kind->kind, name) == 0 &&
            strcmp(kind_api_version(kind, text), api_version) == 0) {
            return kind;
        }
    }
    return NULL;
}

const struct kind *kinds_find_group_kind(const struct kinds *kinds, const char *group,
                                         const char *name)
{
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if (strcmp(kind->kind, name) == 0 && strcmp(kind->group, group) == 0) {
            return kind;
        }
    }
    return NULL;
}

const struct kind *kinds_find_storage(const struct kinds *kinds, const char *storage)
{
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if (strcmp(kind->storage, storage) == 0 && kind_stored(kind) == kind) {
            return kind;
        }
    }
    return NULL;
}

const char *kind_api_version(const struct kind *kind, char *text)
{
    const char *slash = *kind->group == '\0' ? "" : "/";
    (void)snprintf(text, KIND_API_VERSION_SIZE, "%s%s%s", kind->group, slash, kind->version);
    return text;
}

struct status_subject kind_subject(const struct kind *kind, const char *name)
{
    return (struct status_subject){.group = kind->group,
                                   .resource = kind->resource,
                                   .kind = kind->kind,
                                   .name = name == NULL ? "" : name};
}

const struct kind *kind_stored(const struct kind *kind)
{
    if (strcmp(kind->storage, "horizontalpodautoscalers") == 0) {
        return kinds_find_resource(NULL, "autoscaling", "v2", kind->resource);
    }
    if (strcmp(kind->storage, "events") == 0) {
        return kinds_find_resource(NULL, "", "v1", kind->resource);
    }
    return kind;
}
