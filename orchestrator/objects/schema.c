#include "orchestrator/objects/schema.h"

#include <string.h>

const struct schema *schema_find(const char *name)
{
    size_t low = 0;
    size_t high = schema_type_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(schema_types[middle].name, name);
        if (order == 0) {
            return &schema_types[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const struct schema_field *schema_field_find(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        if ((field->flags & SCHEMA_INLINE) != 0) {
            const struct schema_field *inner = schema_field_find(field->object, name);
            if (inner != NULL) {
                return inner;
            }
        } else if (strcmp(field->name, name) == 0) {
            return field;
        }
    }
    return NULL;
}

const struct schema_field *schema_field_by_number(const struct schema *schema, uint32_t number)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        if (schema->fields[i].number == number) {
            return &schema->fields[i];
        }
    }
    return NULL;
}

bool schema_field_allows(const struct schema_field *field, const char *text)
{
    if (field->values == NULL) {
        return true;
    }
    size_t size = strlen(text);
    const char *start = field->values;
    while (start != NULL) {
        const char *bar = strchr(start, '|');
        size_t length = bar == NULL ? strlen(start) : (size_t)(bar - start);
        if (length == size && memcmp(start, text, size) == 0) {
            return true;
        }
        start = bar == NULL ? NULL : bar + 1;
    }
    return false;
}
