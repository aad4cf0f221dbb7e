#include "orchestrator/objects/protobuf.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/schema.h"
#include "orchestrator/objects/timestamp.h"

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* One field of a message: what its wire type holds. */
struct element {
    uint32_t number;
    enum wire wire;
    uint64_t varint;      /* WIRE_VARINT, WIRE_FIXED64 */
    struct bytes content; /* WIRE_BYTES */
};

static bool read_varint(struct bytes *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && in->size > 0; shift += 7) {
        uint8_t byte = *in->data;
        *in = bytes_make(in->data + 1, in->size - 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool read_bytes(struct bytes *in, uint64_t size, struct bytes *ret)
{
    if (size > in->size) {
        return false;
    }
    *ret = bytes_make(in->data, (size_t)size);
    *in = bytes_make(in->data + size, in->size - (size_t)size);
    return true;
}

/* False for malformed bytes; call while in->size > 0. */
static bool read_element(struct bytes *in, struct element *element)
{
    uint64_t key = 0;
    uint64_t size = 0;
    if (!read_varint(in, &key) || key >> 3 == 0 || key >> 3 > UINT16_MAX) {
        return false;
    }
    *element = (struct element){.number = (uint32_t)(key >> 3), .wire = (enum wire)(key & 7)};
    switch (key & 7) {
    case WIRE_VARINT:
        return read_varint(in, &element->varint);
    case WIRE_BYTES:
        return read_varint(in, &size) && read_bytes(in, size, &element->content);
    case WIRE_FIXED64:
        if (!read_bytes(in, 8, &element->content)) {
            return false;
        }
        memcpy(&element->varint, element->content.data, 8);
        return true;
    case WIRE_FIXED32:
        return read_bytes(in, 4, &element->content);
    default:
        return false;
    }
}

static bool decode_message(struct bytes in, const struct schema *schema, json_t *object, int depth);

/* Seconds and nanoseconds; an empty message is no time at all. */
static json_t *decode_time(struct bytes in, bool is_micro)
{
    int64_t seconds = 0;
    int64_t nanos = 0;
    bool is_set = false;
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element)) {
            return NULL;
        }
        if (element.number == 1) {
            seconds = (int64_t)element.varint;
            is_set = true;
        } else if (element.number == 2) {
            nanos = (int64_t)element.varint;
        }
    }
    /* Go's zero time is year 1; it means "unset", too. */
    if (!is_set || seconds < -62135596800 + 1 || seconds > 253402300799) {
        return json_null();
    }
    char text[TIMESTAMP_SIZE];
    int64_t time_ms = seconds * 1000 + nanos / 1000000;
    return json_string(is_micro ? timestamp_format_micro(time_ms, text)
                                : timestamp_format(time_ms, text));
}

static json_t *text_of(struct bytes content)
{
    return json_stringn((const char *)content.data, content.size);
}

static json_t *decode_int_or_string(struct bytes in)
{
    uint64_t type = 0;
    uint64_t number = 0;
    struct bytes text = {NULL, 0};
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element)) {
            return NULL;
        }
        if (element.number == 1) {
            type = element.varint;
        } else if (element.number == 2) {
            number = element.varint;
        } else if (element.number == 3) {
            text = element.content;
        }
    }
    return type == 1 ? text_of(text.data == NULL ? BYTES_LITERAL("") : text)
                     : json_integer((json_int_t)(int32_t)number);
}

/* The bytes of field 1: Quantity's text, RawExtension's and FieldsV1's JSON. */
static bool first_bytes(struct bytes in, struct bytes *ret)
{
    *ret = BYTES_LITERAL("");
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element)) {
            return false;
        }
        if (element.number == 1 && element.wire == WIRE_BYTES) {
            *ret = element.content;
        }
    }
    return true;
}

static json_t *decode_texts(struct bytes in)
{
    json_t *list = json_array();
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element) || element.wire != WIRE_BYTES) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, text_of(element.content));
    }
    return list;
}

static json_t *decode_duration(struct bytes in)
{
    int64_t nanos = 0;
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element)) {
            return NULL;
        }
        nanos = element.number == 1 ? (int64_t)element.varint : nanos;
    }
    char text[DURATION_TEXT_SIZE];
    (void)snprintf(text, sizeof(text), "%lldms", (long long)(nanos / 1000000));
    return json_string(text);
}

static json_t *decode_bytes(struct bytes content)
{
    CLEANUP(free) char *encoded = base64_encode(content);
    return json_string(encoded);
}

static json_t *decode_json(struct bytes content)
{
    struct bytes raw;
    if (!first_bytes(content, &raw)) {
        return NULL;
    }
    return raw.size == 0 ? json_null()
                         : json_loadb((const char *)raw.data, raw.size, JSON_DECODE_ANY, NULL);
}

static json_t *decode_object(struct bytes content, const struct schema *schema, int depth)
{
    json_t *object = json_object();
    if (!decode_message(content, schema, object, depth + 1)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* NULL for malformed bytes. */
static json_t *decode_value(const struct element *element, const struct schema_field *field,
                            int depth)
{
    bool is_bytes = element->wire == WIRE_BYTES;
    bool is_number = element->wire == WIRE_VARINT;
    struct bytes content = element->content;
    double real = 0;
    switch ((enum schema_type)field->type) {
    case SCHEMA_BOOL:
        return is_number ? json_boolean(element->varint != 0) : NULL;
    case SCHEMA_INT32:
        return is_number ? json_integer((json_int_t)(int32_t)element->varint) : NULL;
    case SCHEMA_INT64:
        return is_number ? json_integer((json_int_t)(int64_t)element->varint) : NULL;
    case SCHEMA_DOUBLE:
        memcpy(&real, &element->varint, sizeof(real));
        return element->wire == WIRE_FIXED64 ? json_real(real) : NULL;
    default:
        break;
    }
    if (!is_bytes) {
        return NULL;
    }
    switch ((enum schema_type)field->type) {
    case SCHEMA_TEXT:
        return text_of(content);
    case SCHEMA_BYTES:
        return decode_bytes(content);
    case SCHEMA_QUANTITY:
        return first_bytes(content, &content) ? text_of(content) : NULL;
    case SCHEMA_INT_OR_STRING:
        return decode_int_or_string(content);
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        return decode_time(content, field->type == SCHEMA_MICRO_TIME);
    case SCHEMA_DURATION:
        return decode_duration(content);
    case SCHEMA_JSON:
        return decode_json(content);
    case SCHEMA_TEXTS:
        return decode_texts(content);
    case SCHEMA_OBJECT:
        return decode_object(content, field->object, depth);
    default:
        return NULL;
    }
}

/* A map is a list of messages with the key in field 1 and the value in field 2. */
static bool decode_entry(struct bytes in, const struct schema_field *field, json_t *map, int depth)
{
    CLEANUP(json) json_t *key = json_string("");
    CLEANUP(json) json_t *value = NULL;
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element)) {
            return false;
        }
        if (element.number == 1 && element.wire == WIRE_BYTES) {
            json_decref(key);
            key = text_of(element.content);
        } else if (element.number == 2) {
            json_decref(value);
            value = decode_value(&element, field, depth);
        }
    }
    if (value == NULL && field->type == SCHEMA_TEXT) {
        value = json_string("");
    }
    return key != NULL && value != NULL && json_object_set(map, json_string_value(key), value) == 0;
}

/* Zero values of fields that Go leaves out of JSON. */
static bool is_dropped(const json_t *value, const struct schema_field *field)
{
    return json_is_null(value) || (tree_is_empty(value) && (field->flags & SCHEMA_POINTER) == 0 &&
                                   field->type != SCHEMA_INT_OR_STRING);
}

static bool decode_field(const struct element *element, const struct schema_field *field,
                         json_t *object, int depth)
{
    if ((field->flags & SCHEMA_INLINE) != 0) {
        return element->wire == WIRE_BYTES &&
               decode_message(element->content, field->object, object, depth + 1);
    }
    if (field->shape == SCHEMA_MAP) {
        json_t *map = json_object_get(object, field->name);
        if (map == NULL) {
            map = json_object();
            json_object_set_new(object, field->name, map);
        }
        return element->wire == WIRE_BYTES && decode_entry(element->content, field, map, depth);
    }
    CLEANUP(json) json_t *value = decode_value(element, field, depth);
    if (value == NULL) {
        return false;
    }
    if (field->shape == SCHEMA_LIST) {
        json_t *list = json_object_get(object, field->name);
        if (list == NULL) {
            list = json_array();
            json_object_set_new(object, field->name, list);
        }
        return json_array_append(list, value) == 0;
    }
    return is_dropped(value, field) || json_object_set(object, field->name, value) == 0;
}

static bool decode_message(struct bytes in, const struct schema *schema, json_t *object, int depth)
{
    if (depth > PROTOBUF_DEPTH_MAX) {
        return false;
    }
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element)) {
            return false;
        }
        const struct schema_field *field = schema_field_by_number(schema, element.number);
        if (field != NULL && !decode_field(&element, field, object, depth)) {
            return false;
        }
    }
    return true;
}

bool protobuf_is_object(struct bytes data)
{
    return bytes_has_prefix(data, bytes_make("k8s\0", 4));
}

struct envelope {
    char api_version[256];
    char kind[128];
    struct bytes raw;
};

static bool copy_text(char *out, size_t size, struct bytes text)
{
    if (text.size >= size) {
        return false;
    }
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return true;
}

static bool read_type_meta(struct bytes in, struct envelope *envelope)
{
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element) || element.wire != WIRE_BYTES) {
            return false;
        }
        bool fits =
            element.number == 1
                ? copy_text(envelope->api_version, sizeof(envelope->api_version), element.content)
                : copy_text(envelope->kind, sizeof(envelope->kind), element.content);
        if (!fits) {
            return false;
        }
    }
    return true;
}

static bool read_envelope(struct bytes in, struct envelope *envelope)
{
    while (in.size > 0) {
        struct element element;
        if (!read_element(&in, &element)) {
            return false;
        }
        if (element.number == 1 && !read_type_meta(element.content, envelope)) {
            return false;
        }
        if (element.number == 2 && element.wire == WIRE_BYTES) {
            envelope->raw = element.content;
        }
    }
    return true;
}

/* The type of a body that is no resource of its own is named as its kind. */
static const struct schema *schema_of(const struct envelope *envelope)
{
    const struct kind *kind = kinds_find_kind(NULL, envelope->api_version, envelope->kind);
    return schema_find(kind == NULL || kind->schema == NULL ? envelope->kind : kind->schema);
}

json_t *protobuf_decode(struct bytes data, json_t **ret)
{
    struct envelope envelope = {.raw = {NULL, 0}};
    if (!protobuf_is_object(data) ||
        !read_envelope(bytes_make(data.data + 4, data.size - 4), &envelope)) {
        return status_bad_request("the body is not a Kubernetes protobuf object");
    }
    const struct schema *schema = schema_of(&envelope);
    if (schema == NULL) {
        return status_bad_request("no kind \"%s\" is registered for version \"%s\"", envelope.kind,
                                  envelope.api_version);
    }
    CLEANUP(json)
    json_t *object =
        json_pack("{s:s, s:s}", "apiVersion", envelope.api_version, "kind", envelope.kind);
    if (object == NULL || !decode_message(envelope.raw, schema, object, 0)) {
        return status_bad_request("the %s in the body is malformed", envelope.kind);
    }
    *ret = TAKE_PTR(object);
    return NULL;
}
