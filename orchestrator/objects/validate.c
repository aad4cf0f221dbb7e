#include "orchestrator/objects/validate.h"

#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/names.h"
#include "orchestrator/objects/structural.h"

void validate_not_negative(const json_t *object, const char *path, struct causes *causes)
{
    const json_t *value = tree_find(object, path);
    if (json_is_integer(value) && json_integer_value(value) < 0) {
        causes_add_invalid(causes, path, value, "must be greater than or equal to 0");
    }
}

void validate_port(const json_t *value, const char *field, struct causes *causes)
{
    if (json_is_string(value)) {
        if (!name_is_port_name(json_string_value(value))) {
            causes_add_invalid(causes, field, value,
                               "must be at most 15 lower case alphanumeric characters or '-', "
                               "with at least one letter");
        }
        return;
    }
    int64_t port = json_is_integer(value) ? json_integer_value(value) : 0;
    if (port < 1 || port > 65535) {
        CLEANUP(json) json_t *shown = json_integer(port);
        causes_add_invalid(causes, field, shown, "must be between 1 and 65535, inclusive");
    }
}

bool validate_is_ipv4(const char *text)
{
    for (int part = 0; part < 4; part++) {
        int value = 0;
        int digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 4; text++, digits++) {
            value = value * 10 + (*text - '0');
        }
        if (digits == 0 || digits > 3 || value > 255 || *text != (part == 3 ? '\0' : '.')) {
            return false;
        }
        text++;
    }
    return true;
}

static void validate_owners(const json_t *owners, struct causes *causes)
{
    int controllers = 0;
    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *owner = json_array_get(owners, i);
        static const char *const required[] = {"apiVersion", "kind", "name", "uid"};
        for (size_t k = 0; k < 4; k++) {
            if (*tree_text_or(owner, required[k], "") == '\0') {
                CLEANUP(free)
                char *field = mem_printf("metadata.ownerReferences[%zu].%s", i, required[k]);
                causes_add_required(causes, field, "must not be empty");
            }
        }
        controllers += tree_bool(owner, "controller", false);
    }
    if (controllers > 1) {
        causes_add_invalid(causes, "metadata.ownerReferences", owners,
                           "Only one reference can have Controller set to true");
    }
}

static void validate_finalizers(const json_t *finalizers, struct causes *causes)
{
    for (size_t i = 0; i < json_array_size(finalizers); i++) {
        const json_t *value = json_array_get(finalizers, i);
        const char *text = json_string_value(value);
        if (text == NULL || !name_is_label_key(text)) {
            causes_add_invalid(causes, "metadata.finalizers", value,
                               "name part must consist of alphanumeric characters, '-', '_' or "
                               "'.', and must start and end with an alphanumeric character");
        }
    }
}

void validate_metadata(const json_t *object, const struct kind *kind, struct causes *causes)
{
    const char *name = object_name(object);
    if (name == NULL || *name == '\0') {
        causes_add_required(causes, "metadata.name", "name or generateName is required");
    } else {
        const char *problem = name_problem(kind, name);
        if (problem != NULL) {
            causes_add_invalid(causes, "metadata.name", tree_find(object, "metadata.name"),
                               problem);
        }
    }
    names_validate_labels(object_labels(object), "metadata.labels", causes);
    names_validate_annotations(tree_find(object, "metadata.annotations"), "metadata.annotations",
                               causes);
    validate_owners(tree_find(object, "metadata.ownerReferences"), causes);
    validate_finalizers(tree_find(object, "metadata.finalizers"), causes);
}

static char *join(const char *parent, const char *name)
{
    return *parent == '\0' ? mem_strdup(name) : mem_printf("%s.%s", parent, name);
}

static void validate_value(const json_t *value, const struct schema_field *field, const char *path,
                           struct causes *causes)
{
    if (field->type == SCHEMA_OBJECT) {
        validate_fields(value, field->object, path, causes);
        return;
    }
    const char *text = json_string_value(value);
    if (text != NULL && *text != '\0' && !schema_field_allows(field, text)) {
        causes_add_not_supported(causes, path, text, field->values);
    }
}

static bool is_required(const struct schema_field *field)
{
    bool is_checked = field->type == SCHEMA_TEXT || field->type == SCHEMA_INT_OR_STRING;
    return (field->flags & SCHEMA_REQUIRED) != 0 && field->shape == SCHEMA_SINGLE && is_checked;
}

static void validate_members(const json_t *value, const struct schema_field *field,
                             const char *path, struct causes *causes)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        CLEANUP(free) char *item_path = mem_printf("%s[%zu]", path, i);
        validate_value(json_array_get(value, i), field, item_path, causes);
    }
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(tree_mutable(value), key, child)
    {
        CLEANUP(free) char *child_path = mem_printf("%s[%s]", path, key);
        validate_value(child, field, child_path, causes);
    }
}

void validate_fields(const json_t *value, const struct schema *schema, const char *parent,
                     struct causes *causes)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        if ((field->flags & SCHEMA_INLINE) != 0) {
            validate_fields(value, field->object, parent, causes);
            continue;
        }
        bool is_top = *parent == '\0';
        if (is_top &&
            (strcmp(field->name, "status") == 0 || strcmp(field->name, "metadata") == 0)) {
            continue; /* a status is written by components; metadata has rules of its own */
        }
        CLEANUP(free) char *path = join(parent, field->name);
        const json_t *found = json_object_get(value, field->name);
        bool is_empty = found == NULL || (json_is_string(found) && json_string_length(found) == 0);
        if (is_empty && is_required(field)) {
            causes_add_required(causes, path, field->values == NULL ? NULL : "");
        } else if (found != NULL && field->shape == SCHEMA_SINGLE) {
            validate_value(found, field, path, causes);
        } else if (found != NULL) {
            validate_members(found, field, path, causes);
        }
    }
}

json_t *validate_object(const json_t *object, const struct kind *kind)
{
    CLEANUP(causes) struct causes causes = {0};
    validate_metadata(object, kind, &causes);
    const struct schema *schema = kind->schema == NULL ? NULL : schema_find(kind->schema);
    if (schema != NULL) {
        validate_fields(object, schema, "", &causes);
        validate_kind(object, kind, &causes);
    } else {
        structural_validate(object, tree_find(kind->custom, "schema.openAPIV3Schema"), &causes);
    }
    const struct status_subject subject = kind_subject(kind, object_name(object));
    return status_invalid(&subject, &causes);
}
