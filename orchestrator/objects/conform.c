#include "orchestrator/objects/conform.h"

#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/structural.h"
#include "orchestrator/objects/timestamp.h"

/* Where the walk is: a chain on the stack, printed only when there is something to say. */
struct place {
    const struct place *parent;
    const char *field; /* NULL: an index */
    size_t index;
};

struct walk {
    const struct kind *kind;
    json_t *unknown;
};

static void append_place(struct buf *text, const struct place *place)
{
    if (place == NULL) {
        return;
    }
    append_place(text, place->parent);
    if (place->field == NULL) {
        buf_append_format(text, "[%zu]", place->index);
    } else {
        buf_append_format(text, "%s%s", buf_size(text) == 0 ? "" : ".", place->field);
    }
}

static const char *type_name(const struct schema_field *field)
{
    switch ((enum schema_type)field->type) {
    case SCHEMA_BOOL:
        return "bool";
    case SCHEMA_INT32:
        return "int32";
    case SCHEMA_INT64:
        return "int64";
    case SCHEMA_DOUBLE:
        return "float64";
    case SCHEMA_BYTES:
        return "[]uint8";
    case SCHEMA_QUANTITY:
        return "resource.Quantity";
    case SCHEMA_INT_OR_STRING:
        return "intstr.IntOrString";
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        return "v1.Time";
    case SCHEMA_DURATION:
        return "v1.Duration";
    case SCHEMA_OBJECT:
        return field->object->name;
    case SCHEMA_TEXT:
    case SCHEMA_TEXTS:
    case SCHEMA_JSON:
        break;
    }
    return "string";
}

static const char *json_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_NULL:
        return "null";
    }
    return "value";
}

static json_t *wrong_type(const struct walk *walk, const struct place *place, const json_t *value,
                          const char *wanted)
{
    CLEANUP(buf) struct buf path = BUF_INIT;
    append_place(&path, place);
    const struct kind *kind = walk->kind;
    return status_bad_request("%s in version \"%s\" cannot be handled as a %s: json: cannot "
                              "unmarshal %s into Go struct field %s.%s of type %s",
                              kind->kind, kind->version, kind->kind, json_name(value), kind->kind,
                              buf_text(&path), wanted);
}

static bool scalar_fits(const json_t *value, enum schema_type type)
{
    quantity amount = 0;
    int64_t number = 0;
    switch (type) {
    case SCHEMA_TEXT:
    case SCHEMA_BYTES:
        return json_is_string(value);
    case SCHEMA_BOOL:
        return json_is_boolean(value);
    case SCHEMA_INT32:
        return json_is_integer(value) && json_integer_value(value) <= INT32_MAX &&
               json_integer_value(value) >= INT32_MIN;
    case SCHEMA_INT64:
        return json_is_integer(value);
    case SCHEMA_DOUBLE:
        return json_is_number(value);
    case SCHEMA_QUANTITY:
        return quantity_from_json(value, &amount) == 0;
    case SCHEMA_INT_OR_STRING:
        return json_is_string(value) || json_is_integer(value);
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        return json_is_string(value) && timestamp_parse(json_string_value(value), &number) == 0;
    case SCHEMA_DURATION:
        return json_is_string(value) && duration_parse(json_string_value(value), &number) == 0;
    case SCHEMA_TEXTS:
        return json_is_array(value);
    case SCHEMA_JSON:
        return true;
    case SCHEMA_OBJECT:
        return json_is_object(value);
    }
    return false;
}

static json_t *conform_fields(const struct walk *walk, const struct place *place, json_t *object,
                              const struct schema *schema, int depth);

static json_t *conform_one(const struct walk *walk, const struct place *place, json_t *value,
                           const struct schema_field *field, int depth)
{
    if (!scalar_fits(value, (enum schema_type)field->type)) {
        return wrong_type(walk, place, value, type_name(field));
    }
    if (field->type != SCHEMA_OBJECT) {
        return NULL;
    }
    return conform_fields(walk, place, value, field->object, depth + 1);
}

static json_t *conform_list(const struct walk *walk, const struct place *place, json_t *list,
                            const struct schema_field *field, int depth)
{
    if (!json_is_array(list)) {
        CLEANUP(free) char *wanted = mem_printf("[]%s", type_name(field));
        return wrong_type(walk, place, list, wanted);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const struct place item_place = {.parent = place, .index = i};
        json_t *item = json_array_get(list, i);
        json_t *refusal = conform_one(walk, &item_place, item, field, depth);
        if (refusal != NULL) {
            return refusal;
        }
    }
    return NULL;
}

static json_t *conform_map(const struct walk *walk, const struct place *place, json_t *map,
                           const struct schema_field *field, int depth)
{
    if (!json_is_object(map)) {
        CLEANUP(free) char *wanted = mem_printf("map[string]%s", type_name(field));
        return wrong_type(walk, place, map, wanted);
    }
    const char *key = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(map, next, key, value)
    {
        const struct place value_place = {.parent = place, .field = key};
        if (json_is_null(value) && field->type == SCHEMA_TEXT) {
            json_object_set_new(map, key, json_string(""));
            continue;
        }
        json_t *refusal = conform_one(walk, &value_place, value, field, depth);
        if (refusal != NULL) {
            return refusal;
        }
    }
    return NULL;
}

static void tell_unknown(const struct walk *walk, const struct place *place)
{
    CLEANUP(buf) struct buf path = BUF_INIT;
    append_place(&path, place);
    CLEANUP(free) char *text = mem_printf("unknown field \"%s\"", buf_text(&path));
    if (walk->unknown != NULL) {
        json_array_append_new(walk->unknown, json_string(text));
    }
}

/* Go leaves out what is empty, unless the field is a pointer or always written. */
static bool is_omitted(const json_t *value, const struct schema_field *field)
{
    if ((field->flags & (SCHEMA_POINTER | SCHEMA_REQUIRED)) != 0 || field->type == SCHEMA_JSON) {
        return false;
    }
    return tree_is_empty(value) && field->fallback == NULL;
}

static json_t *conform_field(const struct walk *walk, const struct place *place, json_t *value,
                             const struct schema_field *field, int depth)
{
    switch ((enum schema_shape)field->shape) {
    case SCHEMA_LIST:
        return conform_list(walk, place, value, field, depth);
    case SCHEMA_MAP:
        return conform_map(walk, place, value, field, depth);
    case SCHEMA_SINGLE:
        break;
    }
    return conform_one(walk, place, value, field, depth);
}

static json_t *conform_fields(const struct walk *walk, const struct place *parent, json_t *object,
                              const struct schema *schema, int depth)
{
    if (depth > CONFORM_DEPTH_MAX) {
        return status_bad_request("the object is nested more than %d levels deep",
                                  CONFORM_DEPTH_MAX);
    }
    const char *key = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(object, next, key, value)
    {
        const struct place place = {.parent = parent, .field = key};
        const struct schema_field *field = schema_field_find(schema, key);
        if (field == NULL) {
            tell_unknown(walk, &place);
        }
        if (field == NULL || json_is_null(value)) {
            (void)json_object_del(object, key);
            continue;
        }
        json_t *refusal = conform_field(walk, &place, value, field, depth);
        if (refusal != NULL) {
            return refusal;
        }
        if (is_omitted(value, field)) {
            (void)json_object_del(object, key);
        }
    }
    return NULL;
}

/* A custom object: its metadata as every object's, the rest by its definition. */
static json_t *conform_custom(const struct walk *walk, json_t *object)
{
    json_t *metadata = json_object_get(object, "metadata");
    structural_prune(object, tree_find(walk->kind->custom, "schema.openAPIV3Schema"),
                     walk->unknown);
    const struct place place = {.field = "metadata"};
    if (metadata == NULL) {
        return NULL;
    }
    if (!json_is_object(metadata)) {
        return wrong_type(walk, &place, metadata, "ObjectMeta");
    }
    return conform_fields(walk, &place, metadata, schema_find("ObjectMeta"), 1);
}

json_t *conform_object(json_t *object, const struct kind *kind, json_t *unknown)
{
    const struct walk walk = {.kind = kind, .unknown = unknown};
    const struct schema *schema = kind->schema == NULL ? NULL : schema_find(kind->schema);
    if (!json_is_object(object)) {
        return status_bad_request("the body is not an object");
    }
    return schema == NULL ? conform_custom(&walk, object)
                          : conform_fields(&walk, NULL, object, schema, 0);
}
