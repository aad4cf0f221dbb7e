#include "orchestrator/objects/structural.h"

#include <regex.h>
#include <string.h>

#include "base/buf.h"

static bool preserves(const json_t *schema)
{
    return tree_bool(schema, "x-kubernetes-preserve-unknown-fields", false);
}

static const json_t *property_of(const json_t *schema, const char *name)
{
    return json_object_get(json_object_get(schema, "properties"), name);
}

static void prune(json_t *value, const json_t *schema, const char *path, bool is_root,
                  json_t *unknown, int depth)
{
    if (depth > STRUCTURAL_DEPTH_MAX) {
        return;
    }
    const json_t *items = json_object_get(schema, "items");
    for (size_t i = 0; i < json_array_size(value) && items != NULL; i++) {
        CLEANUP(free) char *item_path = mem_printf("%s[%zu]", path, i);
        prune(json_array_get(value, i), items, item_path, false, unknown, depth + 1);
    }
    const json_t *additional = json_object_get(schema, "additionalProperties");
    const char *key = NULL;
    json_t *child = NULL;
    void *next = NULL;
    json_object_foreach_safe(value, next, key, child)
    {
        const json_t *property = property_of(schema, key);
        bool is_meta = is_root && (strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0 ||
                                   strcmp(key, "metadata") == 0);
        CLEANUP(free)
        char *child_path = *path == '\0' ? mem_strdup(key) : mem_printf("%s.%s", path, key);
        if (is_meta) {
            continue;
        }
        if (property == NULL && json_is_object(additional)) {
            property = additional;
        }
        if (property != NULL) {
            prune(child, property, child_path, false, unknown, depth + 1);
        } else if (!preserves(schema) && !json_is_true(additional)) {
            if (unknown != NULL) {
                CLEANUP(free) char *text = mem_printf("unknown field \"%s\"", child_path);
                json_array_append_new(unknown, json_string(text));
            }
            (void)json_object_del(value, key);
        }
    }
}

void structural_prune(json_t *object, const json_t *schema, json_t *unknown)
{
    if (schema != NULL) {
        prune(object, schema, "", true, unknown, 0);
    }
}

static void fill(json_t *value, const json_t *schema, int depth)
{
    if (depth > STRUCTURAL_DEPTH_MAX) {
        return;
    }
    const json_t *items = json_object_get(schema, "items");
    for (size_t i = 0; i < json_array_size(value) && items != NULL; i++) {
        fill(json_array_get(value, i), items, depth + 1);
    }
    if (!json_is_object(value)) {
        return;
    }
    const char *key = NULL;
    json_t *property = NULL;
    json_object_foreach(json_object_get(schema, "properties"), key, property)
    {
        const json_t *found = json_object_get(value, key);
        json_t *fallback = json_object_get(property, "default");
        bool is_null = json_is_null(found) && !tree_bool(property, "nullable", false);
        if ((found == NULL || is_null) && fallback != NULL) {
            json_object_set_new(value, key, json_deep_copy(fallback));
        } else if (is_null) {
            (void)json_object_del(value, key);
        }
        fill(json_object_get(value, key), property, depth + 1);
    }
    const json_t *additional = json_object_get(schema, "additionalProperties");
    json_t *child = NULL;
    json_object_foreach(value, key, child)
    {
        if (json_is_object(additional) && property_of(schema, key) == NULL) {
            fill(child, additional, depth + 1);
        }
    }
}

void structural_default(json_t *object, const json_t *schema)
{
    if (schema != NULL) {
        fill(object, schema, 0);
    }
}

static bool type_fits(const json_t *value, const char *type)
{
    if (strcmp(type, "object") == 0) {
        return json_is_object(value);
    }
    if (strcmp(type, "array") == 0) {
        return json_is_array(value);
    }
    if (strcmp(type, "string") == 0) {
        return json_is_string(value);
    }
    if (strcmp(type, "boolean") == 0) {
        return json_is_boolean(value);
    }
    if (strcmp(type, "integer") == 0) {
        return json_is_integer(value);
    }
    return strcmp(type, "number") != 0 || json_is_number(value);
}

static const char *type_of(const json_t *value)
{
    static const char *const names[] = {"object", "array",   "string",  "integer",
                                        "number", "boolean", "boolean", "null"};
    return names[json_typeof(value)];
}

static void check_enum(const json_t *value, const json_t *schema, const char *path,
                       struct causes *causes)
{
    const json_t *allowed = json_object_get(schema, "enum");
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (size_t i = 0; i < json_array_size(allowed); i++) {
        const json_t *item = json_array_get(allowed, i);
        if (tree_equal(item, value)) {
            return;
        }
        const char *shown = json_string_value(item);
        buf_append_format(&text, "%s%s", i == 0 ? "" : "|", shown == NULL ? "" : shown);
    }
    if (json_array_size(allowed) > 0) {
        const char *given = json_string_value(value);
        causes_add_not_supported(causes, path, given == NULL ? "" : given, buf_text(&text));
    }
}

static void check_number(const json_t *value, const json_t *schema, const char *path,
                         struct causes *causes)
{
    const json_t *minimum = json_object_get(schema, "minimum");
    const json_t *maximum = json_object_get(schema, "maximum");
    double number = json_number_value(value);
    bool no_equal_min = tree_bool(schema, "exclusiveMinimum", false);
    bool no_equal_max = tree_bool(schema, "exclusiveMaximum", false);
    if (minimum != NULL && (number < json_number_value(minimum) ||
                            (no_equal_min && number <= json_number_value(minimum)))) {
        CLEANUP(free) char *shown = json_dumps(minimum, JSON_ENCODE_ANY);
        CLEANUP(free)
        char *detail = mem_printf("%s in body should be greater than %s%s", path,
                                  no_equal_min ? "" : "or equal to ", shown);
        causes_add_invalid(causes, path, value, detail);
    }
    if (maximum != NULL && (number > json_number_value(maximum) ||
                            (no_equal_max && number >= json_number_value(maximum)))) {
        CLEANUP(free) char *shown = json_dumps(maximum, JSON_ENCODE_ANY);
        CLEANUP(free)
        char *detail = mem_printf("%s in body should be less than %s%s", path,
                                  no_equal_max ? "" : "or equal to ", shown);
        causes_add_invalid(causes, path, value, detail);
    }
}

static void check_size(const json_t *schema, const char *least_name, const char *most_name,
                       size_t size, const char *path, const json_t *value, struct causes *causes)
{
    int64_t least = tree_int(schema, least_name, 0);
    int64_t most = tree_int(schema, most_name, INT64_MAX);
    if ((int64_t)size < least) {
        CLEANUP(free)
        char *detail =
            mem_printf("%s in body should be at least %lld long", path, (long long)least);
        causes_add_invalid(causes, path, value, detail);
    }
    if ((int64_t)size > most) {
        CLEANUP(free)
        char *detail = mem_printf("%s in body should be at most %lld long", path, (long long)most);
        causes_add_invalid(causes, path, value, detail);
    }
}

/* Patterns are RE2 in Kubernetes; what POSIX cannot compile is not checked. */
static void check_pattern(const json_t *value, const json_t *schema, const char *path,
                          struct causes *causes)
{
    const char *pattern = tree_text(schema, "pattern");
    regex_t compiled;
    if (pattern == NULL || regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return;
    }
    if (regexec(&compiled, json_string_value(value), 0, NULL, 0) != 0) {
        CLEANUP(free) char *detail = mem_printf("%s in body should match '%s'", path, pattern);
        causes_add_invalid(causes, path, value, detail);
    }
    regfree(&compiled);
}

static void validate(const json_t *value, const json_t *schema, const char *path,
                     struct causes *causes, int depth);

static void check_object(const json_t *value, const json_t *schema, const char *path,
                         struct causes *causes, int depth)
{
    const json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (name != NULL && json_object_get(value, name) == NULL) {
            CLEANUP(free)
            char *field = *path == '\0' ? mem_strdup(name) : mem_printf("%s.%s", path, name);
            causes_add_required(causes, field, NULL);
        }
    }
    const json_t *additional = json_object_get(schema, "additionalProperties");
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(tree_mutable(value), key, child)
    {
        const json_t *property = property_of(schema, key);
        property = property == NULL && json_is_object(additional) ? additional : property;
        CLEANUP(free)
        char *child_path = *path == '\0' ? mem_strdup(key) : mem_printf("%s.%s", path, key);
        bool is_meta = *path == '\0' && strcmp(key, "metadata") == 0;
        if (property != NULL && !is_meta) {
            validate(child, property, child_path, causes, depth + 1);
        }
    }
}

static void validate(const json_t *value, const json_t *schema, const char *path,
                     struct causes *causes, int depth)
{
    const char *type = tree_text_or(schema, "type", "");
    bool is_int_or_text = tree_bool(schema, "x-kubernetes-int-or-string", false);
    if (depth > STRUCTURAL_DEPTH_MAX ||
        (json_is_null(value) && tree_bool(schema, "nullable", false))) {
        return;
    }
    bool fits =
        is_int_or_text ? json_is_integer(value) || json_is_string(value) : type_fits(value, type);
    if (!fits) {
        CLEANUP(free)
        char *message = mem_printf("Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
                                   type_of(value), path, type, type_of(value));
        causes_add(causes, "FieldValueTypeInvalid", path, message);
        return;
    }
    check_enum(value, schema, path, causes);
    if (json_is_number(value)) {
        check_number(value, schema, path, causes);
    } else if (json_is_string(value)) {
        check_size(schema, "minLength", "maxLength", json_string_length(value), path, value,
                   causes);
        check_pattern(value, schema, path, causes);
    } else if (json_is_array(value)) {
        check_size(schema, "minItems", "maxItems", json_array_size(value), path, value, causes);
        const json_t *items = json_object_get(schema, "items");
        for (size_t i = 0; i < json_array_size(value) && items != NULL; i++) {
            CLEANUP(free) char *item_path = mem_printf("%s[%zu]", path, i);
            validate(json_array_get(value, i), items, item_path, causes, depth + 1);
        }
    } else if (json_is_object(value)) {
        check_object(value, schema, path, causes, depth);
    }
}

void structural_validate(const json_t *object, const json_t *schema, struct causes *causes)
{
    if (schema != NULL) {
        validate(object, schema, "", causes, 0);
    }
}
