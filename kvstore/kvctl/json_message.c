#include "kvstore/kvctl/json_message.h"

#include <string.h>

#include "base/check.h"
#include "kvstore/kvctl/go_text.h"
#include "proto/rpc.pb-c.h"

/* The member of the C struct that field describes: protobuf-c gives byte offsets. */
static const void *member_at(const ProtobufCMessage *message, unsigned offset)
{
    return (const uint8_t *)message + offset;
}

static void append_value(struct buf *out, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        buf_append_format(out, "%d", *(const int32_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT32:
        buf_append_format(out, "%u", *(const uint32_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT64:
        buf_append_format(out, "%lld", (long long)*(const int64_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT64:
        buf_append_format(out, "%llu", (unsigned long long)*(const uint64_t *)at);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        buf_append_text(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_STRING:
        go_text_append_json(out, bytes_from_text(*(char *const *)at));
        return;
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *data = at;
        go_text_append_json_base64(out, bytes_make(data->data, data->len));
        return;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        json_message_append(out, *(ProtobufCMessage *const *)at);
        return;
    default:
        CHECK_UNREACHABLE(); /* no message of the store has another type */
    }
}

static bool is_zero(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_UINT32:
        return *(const uint32_t *)at == 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return *(const uint64_t *)at == 0;
    case PROTOBUF_C_TYPE_BOOL:
        return !*(const protobuf_c_boolean *)at;
    case PROTOBUF_C_TYPE_STRING:
        return *(char *const *)at == NULL || **(char *const *)at == '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len == 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)at == NULL;
    default:
        CHECK_UNREACHABLE();
    }
}

static size_t element_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(uint64_t);
    default:
        return sizeof(uint32_t);
    }
}

static void append_name(struct buf *out, const char *name, bool *is_first)
{
    buf_append_format(out, "%s\"%s\":", *is_first ? "" : ",", name);
    *is_first = false;
}

static void append_repeated(struct buf *out, const ProtobufCMessage *message,
                            const ProtobufCFieldDescriptor *field, bool *is_first)
{
    size_t count = *(const size_t *)member_at(message, field->quantifier_offset);
    if (count == 0) {
        return;
    }
    const uint8_t *elements = *(uint8_t *const *)member_at(message, field->offset);
    append_name(out, field->name, is_first);
    for (size_t i = 0; i < count; i++) {
        buf_append_u8(out, i == 0 ? '[' : ',');
        append_value(out, field, elements + i * element_size(field));
    }
    buf_append_u8(out, ']');
}

static bool is_other_case(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
           *(const uint32_t *)member_at(message, field->quantifier_offset) != field->id;
}

void json_message_append(struct buf *out, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    /* In Go a oneof is an interface-typed member, which adds a level. */
    bool is_response_op = type == &etcdserverpb__response_op__descriptor;
    bool is_first = true;
    buf_append_text(out, is_response_op ? "{\"Response\":{" : "{");
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            append_repeated(out, message, field, &is_first);
            continue;
        }
        const void *at = member_at(message, field->offset);
        if (is_other_case(message, field) || is_zero(field, at)) {
            continue;
        }
        append_name(out, field->name, &is_first);
        append_value(out, field, at);
    }
    buf_append_text(out, is_response_op ? "}}" : "}");
}
