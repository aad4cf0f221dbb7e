#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "proto/arena_allocator.h"
#include "proto/base64.h"
#include "proto/json_codec.h"
#include "proto/json_number.h"
#include "proto/json_reader.h"

struct decoder {
    struct json_reader reader;
    struct arena *arena;
    struct err *err;
};

/* The largest value of any field type, as it lies in a message. */
union value {
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float real32;
    double real64;
    protobuf_c_boolean boolean;
    int enumerated;
    char *text;
    ProtobufCBinaryData data;
    ProtobufCMessage *message;
};

static bool refuse(struct decoder *decoder, const char *what, const char *name)
{
    (void)err_set(decoder->err, ERR_MALFORMED, "json: %s%s%s at byte %zu", what,
                  name == NULL ? "" : " ", name == NULL ? "" : name,
                  json_reader_position(&decoder->reader));
    return false;
}

static ProtobufCMessage *decode_object(struct decoder *decoder,
                                       const ProtobufCMessageDescriptor *type, unsigned depth);

/* A number as a number, or as a number in a string. */
static bool take_number_text(struct decoder *decoder, struct bytes *ret_text)
{
    struct bytes text = {NULL, 0};
    if (json_peek(&decoder->reader) != JSON_STRING) {
        return json_take_number(&decoder->reader, ret_text);
    }
    if (!json_take_string(&decoder->reader, &text)) {
        return false;
    }
    struct json_reader inner = json_reader_make(text, decoder->arena);
    /* No white space inside the quotes. */
    return text.size > 0 && json_peek(&inner) == JSON_NUMBER && inner.left.size == text.size &&
           json_take_number(&inner, ret_text) && inner.left.size == 0;
}

static bool decode_signed(struct decoder *decoder, const char *name, int64_t min, int64_t max,
                          int64_t *ret_value)
{
    struct bytes text = {NULL, 0};
    bool is_negative = false;
    uint64_t magnitude = 0;
    if (!take_number_text(decoder, &text) || !json_number_whole(text, &is_negative, &magnitude)) {
        return refuse(decoder, "invalid whole number for", name);
    }
    uint64_t limit = is_negative ? (uint64_t)max + 1 : (uint64_t)max;
    if (magnitude > limit) {
        return refuse(decoder, "number out of range for", name);
    }
    *ret_value = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return *ret_value >= min;
}

static bool decode_unsigned(struct decoder *decoder, const char *name, uint64_t max,
                            uint64_t *ret_value)
{
    struct bytes text = {NULL, 0};
    bool is_negative = false;
    uint64_t magnitude = 0;
    if (!take_number_text(decoder, &text) || !json_number_whole(text, &is_negative, &magnitude)) {
        return refuse(decoder, "invalid whole number for", name);
    }
    if (magnitude > max || (is_negative && magnitude != 0)) {
        return refuse(decoder, "number out of range for", name);
    }
    *ret_value = magnitude;
    return true;
}

static bool decode_real(struct decoder *decoder, const char *name, double *ret_value)
{
    struct bytes text = {NULL, 0};
    struct json_reader before = decoder->reader;
    if (take_number_text(decoder, &text)) {
        *ret_value = strtod(arena_text(decoder->arena, text), NULL);
        return true;
    }
    decoder->reader = before;
    if (json_take_string(&decoder->reader, &text)) {
        if (bytes_equal(text, BYTES_LITERAL("NaN"))) {
            *ret_value = (double)NAN;
            return true;
        }
        if (bytes_equal(text, BYTES_LITERAL("Infinity"))) {
            *ret_value = (double)INFINITY;
            return true;
        }
        if (bytes_equal(text, BYTES_LITERAL("-Infinity"))) {
            *ret_value = -(double)INFINITY;
            return true;
        }
    }
    return refuse(decoder, "invalid number for", name);
}

static bool decode_enum(struct decoder *decoder, const ProtobufCFieldDescriptor *field,
                        int *ret_value)
{
    struct bytes text = {NULL, 0};
    if (json_peek(&decoder->reader) == JSON_STRING && json_take_string(&decoder->reader, &text)) {
        const ProtobufCEnumValue *known = memchr(text.data, 0, text.size) != NULL
                                              ? NULL
                                              : protobuf_c_enum_descriptor_get_value_by_name(
                                                    field->descriptor, (const char *)text.data);
        if (known == NULL) {
            return refuse(decoder, "unknown enum value for", field->name);
        }
        *ret_value = known->value;
        return true;
    }
    int64_t number = 0;
    if (json_peek(&decoder->reader) != JSON_NUMBER ||
        !decode_signed(decoder, field->name, INT32_MIN, INT32_MAX, &number)) {
        return refuse(decoder, "invalid enum value for", field->name);
    }
    *ret_value = (int)number;
    return true;
}

static bool decode_text(struct decoder *decoder, const ProtobufCFieldDescriptor *field,
                        union value *value)
{
    struct bytes text = {NULL, 0};
    if (!json_take_string(&decoder->reader, &text)) {
        return refuse(decoder, "invalid string for", field->name);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (memchr(text.data, 0, text.size) != NULL) { /* a C string cannot hold it */
            return refuse(decoder, "NUL in the string for", field->name);
        }
        value->text = (char *)(uintptr_t)text.data; /* NUL-terminated by the reader, in the arena */
        return true;
    }
    struct bytes data = {NULL, 0};
    if (!base64_parse(text, decoder->arena, &data)) {
        return refuse(decoder, "invalid base64 for", field->name);
    }
    value->data = (ProtobufCBinaryData){data.size, (uint8_t *)(uintptr_t)data.data};
    return true;
}

/* Decode one value; *ret_size is how much of the union it is. */
static bool decode_value(struct decoder *decoder, const ProtobufCFieldDescriptor *field,
                         unsigned depth, union value *value, size_t *ret_size)
{
    int64_t number = 0;
    uint64_t magnitude = 0;
    double real = 0;
    bool boolean = false;
    bool is_good = false;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        is_good = decode_signed(decoder, field->name, INT32_MIN, INT32_MAX, &number);
        value->i32 = (int32_t)number;
        *ret_size = sizeof value->i32;
        return is_good;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        *ret_size = sizeof value->i64;
        return decode_signed(decoder, field->name, INT64_MIN, INT64_MAX, &value->i64);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        is_good = decode_unsigned(decoder, field->name, UINT32_MAX, &magnitude);
        value->u32 = (uint32_t)magnitude;
        *ret_size = sizeof value->u32;
        return is_good;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        *ret_size = sizeof value->u64;
        return decode_unsigned(decoder, field->name, UINT64_MAX, &value->u64);
    case PROTOBUF_C_TYPE_FLOAT:
        is_good = decode_real(decoder, field->name, &real);
        value->real32 = (float)real;
        *ret_size = sizeof value->real32;
        return is_good;
    case PROTOBUF_C_TYPE_DOUBLE:
        *ret_size = sizeof value->real64;
        return decode_real(decoder, field->name, &value->real64);
    case PROTOBUF_C_TYPE_BOOL:
        is_good = json_take_bool(&decoder->reader, &boolean);
        value->boolean = boolean;
        *ret_size = sizeof value->boolean;
        return is_good || refuse(decoder, "invalid bool for", field->name);
    case PROTOBUF_C_TYPE_ENUM:
        *ret_size = sizeof value->enumerated;
        return decode_enum(decoder, field, &value->enumerated);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        *ret_size = field->type == PROTOBUF_C_TYPE_STRING ? sizeof value->text : sizeof value->data;
        return decode_text(decoder, field, value);
    case PROTOBUF_C_TYPE_MESSAGE:
        value->message = decode_object(decoder, field->descriptor, depth + 1);
        *ret_size = sizeof value->message;
        return value->message != NULL;
    }
    return false;
}

static bool decode_list(struct decoder *decoder, const ProtobufCFieldDescriptor *field,
                        unsigned depth, uint8_t *message)
{
    if (!json_take_mark(&decoder->reader, '[')) {
        return refuse(decoder, "not an array for", field->name);
    }
    size_t count = 0;
    size_t capacity = 0;
    uint8_t *list = NULL;
    bool more = !json_take_mark(&decoder->reader, ']');
    while (more) {
        union value value = {0};
        size_t size = 0;
        if (!decode_value(decoder, field, depth, &value, &size)) {
            return false;
        }
        if (count == capacity) {
            capacity = capacity == 0 ? 8 : capacity * 2;
            uint8_t *grown = arena_alloc(decoder->arena, capacity * size);
            if (count > 0) {
                memcpy(grown, list, count * size);
            }
            list = grown;
        }
        memcpy(list + count * size, &value, size);
        count++;
        more = json_take_mark(&decoder->reader, ',');
        if (!more && !json_take_mark(&decoder->reader, ']')) {
            return refuse(decoder, "array not closed for", field->name);
        }
    }
    memcpy(message + field->quantifier_offset, &count, sizeof count);
    memcpy(message + field->offset, &list, sizeof list);
    return true;
}

static bool decode_field(struct decoder *decoder, const ProtobufCFieldDescriptor *field,
                         unsigned depth, uint8_t *message)
{
    if (json_take_null(&decoder->reader)) {
        return true;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return decode_list(decoder, field, depth, message);
    }
    bool is_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    uint32_t chosen = 0;
    if (is_oneof) {
        memcpy(&chosen, message + field->quantifier_offset, sizeof chosen);
        if (chosen != 0) {
            return refuse(decoder, "another choice is already made:", field->name);
        }
    }
    union value value = {0};
    size_t size = 0;
    if (!decode_value(decoder, field, depth, &value, &size)) {
        return false;
    }
    memcpy(message + field->offset, &value, size);
    if (is_oneof) {
        chosen = field->id;
        memcpy(message + field->quantifier_offset, &chosen, sizeof chosen);
    }
    return true;
}

/* "member_ID" is "memberID" in lowerCamelCase. */
static bool is_camel_of(struct bytes given, const char *original)
{
    size_t at = 0;
    bool raises = false;
    for (const char *c = original; *c != 0; c++) {
        if (*c == '_') {
            raises = true;
            continue;
        }
        char wanted = raises && *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        raises = false;
        if (at == given.size || given.data[at] != (uint8_t)wanted) {
            return false;
        }
        at++;
    }
    return at == given.size;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  struct bytes name)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (bytes_equal(name, bytes_from_text(field->name)) || is_camel_of(name, field->name)) {
            return field;
        }
    }
    return NULL;
}

enum { FIELDS_MAX = 128 };

static bool decode_member(struct decoder *decoder, const ProtobufCMessageDescriptor *type,
                          unsigned depth, uint8_t *message, uint8_t seen[FIELDS_MAX / 8])
{
    struct bytes name = {NULL, 0};
    if (!json_take_string(&decoder->reader, &name) || !json_take_mark(&decoder->reader, ':')) {
        return refuse(decoder, "expected a field name", NULL);
    }
    const ProtobufCFieldDescriptor *field = find_field(type, name);
    if (field == NULL) {
        return json_skip_value(&decoder->reader, depth) || refuse(decoder, "malformed value", NULL);
    }
    size_t number = (size_t)(field - type->fields);
    uint8_t bit = (uint8_t)(1U << (number % 8));
    if ((seen[number / 8] & bit) != 0) {
        return refuse(decoder, "duplicate field", field->name);
    }
    seen[number / 8] |= bit;
    return decode_field(decoder, field, depth, message);
}

static ProtobufCMessage *decode_object(struct decoder *decoder,
                                       const ProtobufCMessageDescriptor *type, unsigned depth)
{
    CHECK(type->n_fields <= FIELDS_MAX);
    if (depth > PROTO_DEPTH_MAX) {
        (void)refuse(decoder, "nested too deep", NULL);
        return NULL;
    }
    if (!json_take_mark(&decoder->reader, '{')) {
        (void)refuse(decoder, "expected an object", NULL);
        return NULL;
    }
    ProtobufCMessage *message = arena_alloc(decoder->arena, type->sizeof_message);
    protobuf_c_message_init(type, message);
    if (json_take_mark(&decoder->reader, '}')) {
        return message;
    }
    uint8_t seen[FIELDS_MAX / 8] = {0};
    do {
        if (!decode_member(decoder, type, depth, (uint8_t *)message, seen)) {
            return NULL;
        }
    } while (json_take_mark(&decoder->reader, ','));
    if (!json_take_mark(&decoder->reader, '}')) {
        (void)refuse(decoder, "object not closed", NULL);
        return NULL;
    }
    return message;
}

ProtobufCMessage *json_decode(const ProtobufCMessageDescriptor *type, struct bytes text,
                              struct arena *arena, struct err *err)
{
    struct decoder decoder = {.reader = json_reader_make(text, arena), .arena = arena, .err = err};
    if (text.size == 0 || json_peek(&decoder.reader) == JSON_END) {
        ProtobufCMessage *empty = arena_alloc(arena, type->sizeof_message);
        protobuf_c_message_init(type, empty);
        return empty;
    }
    ProtobufCMessage *message = decode_object(&decoder, type, 1);
    if (message != NULL && json_peek(&decoder.reader) != JSON_END) {
        (void)refuse(&decoder, "text after the message", NULL);
        return NULL;
    }
    return message;
}
