#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "base/json_text.h"
#include "proto/base64.h"
#include "proto/json_codec.h"

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(ProtobufCMessage *);
    default:
        return 4;
    }
}

static void append_real(struct buf *out, double value)
{
    if (isnan(value)) {
        buf_append_text(out, "\"NaN\"");
    } else if (isinf(value)) {
        buf_append_text(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    } else {
        buf_append_format(out, "%.17g", value);
    }
}

static void append_enum(struct buf *out, const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, value);
    if (known == NULL) {
        buf_append_format(out, "%d", value);
    } else {
        buf_append_format(out, "\"%s\"", known->name);
    }
}

static void append_value(struct buf *out, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        buf_append_format(out, "%" PRId32, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buf_append_format(out, "%" PRIu32, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        buf_append_format(out, "\"%" PRId64 "\"", *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buf_append_format(out, "\"%" PRIu64 "\"", *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        append_real(out, (double)*(const float *)at);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        append_real(out, *(const double *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        buf_append_text(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        append_enum(out, field->descriptor, *(const int *)at);
        break;
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)at;
        json_text_append_quoted(out, bytes_from_text(text == NULL ? "" : text));
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *data = at;
        buf_append_u8(out, '"');
        base64_append(out, bytes_make(data->data, data->len));
        buf_append_u8(out, '"');
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        json_encode(out, *(ProtobufCMessage *const *)at);
        break;
    }
}

/* Is the single value at its default, so that proto3 does not mention it? */
static bool is_default(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)at == NULL;
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)at;
        return text == NULL || *text == 0;
    }
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len == 0;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    default: {
        static const uint8_t zeros[8];
        return memcmp(at, zeros, element_size(field->type)) == 0;
    }
    }
}

static void append_list(struct buf *out, const ProtobufCFieldDescriptor *field,
                        const uint8_t *first, size_t count)
{
    buf_append_u8(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_u8(out, ',');
        }
        append_value(out, field, first + i * element_size(field->type));
    }
    buf_append_u8(out, ']');
}

static bool is_present(const ProtobufCFieldDescriptor *field, const uint8_t *message)
{
    const uint8_t *quantifier = message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return *(const size_t *)quantifier > 0;
    }
    const void *at = message + field->offset;
    bool is_set = field->type == PROTOBUF_C_TYPE_MESSAGE ? !is_default(field, at) : true;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return *(const uint32_t *)quantifier == field->id && is_set;
    }
    return !is_default(field, at);
}

void json_encode(struct buf *out, const ProtobufCMessage *message)
{
    const uint8_t *bytes = (const uint8_t *)message;
    bool is_first = true;
    buf_append_u8(out, '{');
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_present(field, bytes)) {
            continue;
        }
        buf_append_format(out, "%s\"%s\":", is_first ? "" : ",", field->name);
        is_first = false;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            append_list(out, field, *(uint8_t *const *)(bytes + field->offset),
                        *(const size_t *)(bytes + field->quantifier_offset));
        } else {
            append_value(out, field, bytes + field->offset);
        }
    }
    buf_append_u8(out, '}');
}
