/* openapi.c - OpenAPI v3 documents from the field tables: what `kubectl explain` and the validation
 * probe of `kubectl apply` read.
 *
 * PATCH operations deliberately have no requestBody: kubectl then computes three-way patches with
 * the types it was built with (kubernetes-api 1.5). */
#include <stdio.h>
#include <string.h>

#include "orchestrator/apiserver/discovery.h"
#include "orchestrator/objects/schema.h"

static char *schema_name(const struct schema *schema)
{
    return mem_printf("io.k8s.%s", schema->name);
}

static json_t *reference(const struct schema *schema)
{
    CLEANUP(free) char *name = schema_name(schema);
    CLEANUP(free) char *path = mem_printf("#/components/schemas/%s", name);
    return json_pack("{s:s}", "$ref", path);
}

static json_t *scalar(const struct schema_field *field)
{
    switch ((enum schema_type)field->type) {
    case SCHEMA_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case SCHEMA_INT32:
        return json_pack("{s:s, s:s}", "type", "integer", "format", "int32");
    case SCHEMA_INT64:
        return json_pack("{s:s, s:s}", "type", "integer", "format", "int64");
    case SCHEMA_DOUBLE:
        return json_pack("{s:s, s:s}", "type", "number", "format", "double");
    case SCHEMA_BYTES:
        return json_pack("{s:s, s:s}", "type", "string", "format", "byte");
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
    case SCHEMA_INT_OR_STRING:
        return json_pack("{s:s, s:[{s:s}, {s:s}]}", "format", "int-or-string", "oneOf", "type",
                         "integer", "type", "string");
    case SCHEMA_JSON:
        return json_pack("{s:s}", "type", "object");
    case SCHEMA_TEXTS:
        return json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string");
    case SCHEMA_OBJECT:
        return reference(field->object);
    case SCHEMA_TEXT:
    case SCHEMA_QUANTITY:
    case SCHEMA_DURATION:
        break;
    }
    return json_pack("{s:s}", "type", "string");
}

static void describe(json_t *property, const struct schema_field *field)
{
    if (field->about != NULL) {
        json_object_set_new(property, "description", json_string(field->about));
    }
    if (field->fallback != NULL) {
        json_object_set_new(property, "default",
                            json_loads(field->fallback, JSON_DECODE_ANY, NULL));
    }
    if (field->values != NULL && field->shape == SCHEMA_SINGLE) {
        json_t *list = json_array();
        const char *start = field->values;
        while (start != NULL) {
            const char *bar = strchr(start, '|');
            size_t size = bar == NULL ? strlen(start) : (size_t)(bar - start);
            json_array_append_new(list, json_stringn(start, size));
            start = bar == NULL ? NULL : bar + 1;
        }
        json_object_set_new(property, "enum", list);
    }
    if (field->merge_key != NULL) {
        json_object_set_new(property, "x-kubernetes-patch-merge-key",
                            json_string(field->merge_key));
        json_object_set_new(property, "x-kubernetes-patch-strategy", json_string("merge"));
    }
}

static json_t *property_of(const struct schema_field *field)
{
    json_t *value = scalar(field);
    if (field->shape == SCHEMA_LIST) {
        value = json_pack("{s:s, s:o}", "type", "array", "items", value);
    } else if (field->shape == SCHEMA_MAP) {
        value = json_pack("{s:s, s:o}", "type", "object", "additionalProperties", value);
    } else if (field->type == SCHEMA_OBJECT) {
        /* A reference alone can carry no description. */
        value = json_pack("{s:[o]}", "allOf", value);
    }
    describe(value, field);
    return value;
}

static void add_schema(json_t *schemas, const struct schema *schema);

static void add_properties(json_t *schemas, json_t *properties, json_t *required,
                           const struct schema *schema)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        if ((field->flags & SCHEMA_INLINE) != 0) {
            add_properties(schemas, properties, required, field->object);
            continue;
        }
        json_object_set_new(properties, field->name, property_of(field));
        if ((field->flags & SCHEMA_REQUIRED) != 0) {
            json_array_append_new(required, json_string(field->name));
        }
        if (field->type == SCHEMA_OBJECT) {
            add_schema(schemas, field->object);
        }
    }
}

static void add_schema(json_t *schemas, const struct schema *schema)
{
    CLEANUP(free) char *name = schema_name(schema);
    if (json_object_get(schemas, name) != NULL) {
        return;
    }
    json_t *properties = json_object();
    json_t *required = json_array();
    json_t *document =
        json_pack("{s:s, s:s, s:o}", "type", "object", "description",
                  schema->about == NULL ? "" : schema->about, "properties", properties);
    json_object_set_new(schemas, name, document);
    add_properties(schemas, properties, required, schema);
    if (json_array_size(required) > 0) {
        json_object_set(document, "required", required);
    }
    json_decref(required);
}

static json_t *kind_identity(const struct kind *kind)
{
    return json_pack("{s:s, s:s, s:s}", "group", kind->group, "version", kind->version, "kind",
                     kind->kind);
}

static char *custom_name(const struct kind *kind)
{
    return mem_printf("%s.%s.%s", kind->group, kind->version, kind->kind);
}

static void add_kind_schema(json_t *schemas, const struct kind *kind)
{
    char *name = NULL;
    if (kind->schema != NULL) {
        const struct schema *schema = schema_find(kind->schema);
        add_schema(schemas, schema);
        name = schema_name(schema);
    } else if (kind->custom != NULL) {
        name = custom_name(kind);
        const json_t *given = tree_find(kind->custom, "schema.openAPIV3Schema");
        json_t *document = given == NULL ? json_object() : json_deep_copy(given);
        json_object_set_new(schemas, name, document);
        json_t *properties = tree_make_object(document, "properties");
        json_object_set_new(properties, "apiVersion", json_pack("{s:s}", "type", "string"));
        json_object_set_new(properties, "kind", json_pack("{s:s}", "type", "string"));
        json_object_set_new(properties, "metadata", reference(schema_find("ObjectMeta")));
        add_schema(schemas, schema_find("ObjectMeta"));
    } else {
        return;
    }
    json_t *document = json_object_get(schemas, name);
    json_t *list = json_object_get(document, "x-kubernetes-group-version-kind");
    if (list == NULL) {
        list = json_array();
        json_object_set_new(document, "x-kubernetes-group-version-kind", list);
    }
    json_array_append_new(list, kind_identity(kind));
    mem_free(name);
}

static json_t *operation(const struct kind *kind, const char *action)
{
    CLEANUP(free) char *name = NULL;
    if (kind->schema != NULL) {
        name = schema_name(schema_find(kind->schema));
    } else {
        name = custom_name(kind);
    }
    CLEANUP(free) char *path = mem_printf("#/components/schemas/%s", name);
    return json_pack("{s:s, s:o, s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}], "
                     "s:{s:{s:s, s:{s:{s:{s:s}}}}}}",
                     "x-kubernetes-action", action, "x-kubernetes-group-version-kind",
                     kind_identity(kind), "parameters", "name", "fieldValidation", "in", "query",
                     "name", "fieldManager", "in", "query", "name", "dryRun", "in", "query",
                     "responses", "200", "description", "OK", "content", "application/json",
                     "schema", "$ref", path);
}

static void add_paths(json_t *paths, const struct kind *kind)
{
    if (kind->schema == NULL && kind->custom == NULL) {
        return;
    }
    const char *scope = kind_has(kind, KIND_NAMESPACED) ? "namespaces/{namespace}/" : "";
    const char *root = *kind->group == '\0' ? "/api" : "/apis/";
    CLEANUP(free)
    char *list =
        mem_printf("%s%s/%s/%s%s", root, kind->group, kind->version, scope, kind->resource);
    CLEANUP(free) char *one = mem_printf("%s/{name}", list);
    json_t *list_path = json_object();
    if ((kind->verbs & VERB_LIST) != 0) {
        json_object_set_new(list_path, "get", operation(kind, "list"));
    }
    json_object_set_new(list_path, "post", operation(kind, "post"));
    json_object_set_new(paths, list, list_path);
    if ((kind->verbs & VERB_PATCH) == 0) {
        return;
    }
    json_object_set_new(paths, one,
                        json_pack("{s:o, s:o, s:o, s:o}", "get", operation(kind, "get"), "put",
                                  operation(kind, "put"), "patch", operation(kind, "patch"),
                                  "delete", operation(kind, "delete")));
}

json_t *openapi_document(const struct kinds *kinds, const char *group, const char *version)
{
    CLEANUP(json) json_t *paths = json_object();
    CLEANUP(json) json_t *schemas = json_object();
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        if (strcmp(kind->group, group) == 0 && strcmp(kind->version, version) == 0) {
            add_kind_schema(schemas, kind);
            add_paths(paths, kind);
        }
    }
    if (json_object_size(paths) == 0) {
        return NULL;
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:O, s:{s:O}}", "openapi", "3.0.0", "info", "title",
                     "Kubernetes", "version", DISCOVERY_GIT_VERSION, "paths", paths, "components",
                     "schemas", schemas);
}

/* Built-in documents change with the program alone; custom ones with their definitions. */
static uint64_t hash_group(const struct kinds *kinds, const char *group)
{
    uint64_t hash = 14695981039346656037ULL;
    for (const char *c = DISCOVERY_GIT_VERSION; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 1099511628211ULL;
    }
    for (size_t i = kinds_builtin_count; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        CLEANUP(free)
        char *text =
            strcmp(kind->group, group) == 0 ? json_dumps(kind->custom, JSON_COMPACT) : NULL;
        for (const char *c = text == NULL ? "" : text; *c != '\0'; c++) {
            hash = (hash ^ (uint8_t)*c) * 1099511628211ULL;
        }
    }
    return hash;
}

json_t *openapi_index(const struct kinds *kinds)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < kinds_count(kinds); i++) {
        const struct kind *kind = kinds_at(kinds, i);
        const char *root = *kind->group == '\0' ? "api" : "apis/";
        CLEANUP(free) char *name = mem_printf("%s%s/%s", root, kind->group, kind->version);
        if (json_object_get(paths, name) != NULL ||
            (kind->schema == NULL && kind->custom == NULL)) {
            continue;
        }
        CLEANUP(free)
        char *url = mem_printf("/openapi/v3/%s?hash=%016llX", name,
                               (unsigned long long)hash_group(kinds, kind->group));
        json_object_set_new(paths, name, json_pack("{s:s}", "serverRelativeURL", url));
    }
    return json_pack("{s:o}", "paths", paths);
}
