#include "proto/arena_allocator.h"

#include "base/utf8.h"

enum { FIELD_NUMBER_MAX = (1 << 29) - 1 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

static void *allocate(void *context, size_t size)
{
    return arena_alloc(context, size);
}

/* The arena is dropped whole. */
static void release(void *context, void *memory)
{
    (void)context;
    (void)memory;
}

ProtobufCAllocator arena_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){.alloc = allocate, .free = release, .allocator_data = arena};
}

static bool take_varint(struct bytes *input, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 10 && i < input->size; i++) {
        value |= (uint64_t)(input->data[i] & 0x7f) << (7 * i);
        if ((input->data[i] & 0x80) == 0) {
            input->data += i + 1;
            input->size -= i + 1;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct bytes *input, uint64_t size)
{
    if (size > input->size) {
        return false;
    }
    input->data += size;
    input->size -= size;
    return true;
}

/* What protobuf-c does not look at: the depth, which it recurses to, and whether text is UTF-8
 * (which proto3 promises to whoever reads a string field). Wire types are left to protobuf-c. */
static bool is_sound(const ProtobufCMessageDescriptor *type, struct bytes input, unsigned depth)
{
    if (depth > PROTO_DEPTH_MAX) {
        return false;
    }
    while (input.size > 0) {
        uint64_t tag = 0;
        uint64_t value = 0;
        if (!take_varint(&input, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX) {
            return false;
        }
        switch (tag & 7) {
        case WIRE_VARINT:
            if (!take_varint(&input, &value)) {
                return false;
            }
            break;
        case WIRE_FIXED64:
        case WIRE_FIXED32:
            if (!skip(&input, (tag & 7) == WIRE_FIXED64 ? 8 : 4)) {
                return false;
            }
            break;
        case WIRE_LENGTH: {
            struct bytes inner = {NULL, 0};
            if (!take_varint(&input, &value) || value > input.size) {
                return false;
            }
            inner = bytes_make(input.data, (size_t)value);
            (void)skip(&input, value);
            const ProtobufCFieldDescriptor *field =
                protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
            if (field == NULL) {
                break;
            }
            if (field->type == PROTOBUF_C_TYPE_STRING && !utf8_is_valid(inner)) {
                return false;
            }
            if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
                !is_sound(field->descriptor, inner, depth + 1)) {
                return false;
            }
            break;
        }
        default:
            return false; /* groups are not part of proto3 */
        }
    }
    return true;
}

ProtobufCMessage *proto_decode(const ProtobufCMessageDescriptor *type, struct bytes input,
                               struct arena *arena)
{
    if (!is_sound(type, input, 1)) {
        return NULL;
    }
    ProtobufCAllocator allocator = arena_allocator(arena);
    static const uint8_t nothing[1];
    return protobuf_c_message_unpack(type, &allocator, input.size,
                                     input.size == 0 ? nothing : input.data);
}

struct bytes proto_encode(const ProtobufCMessage *message, struct arena *arena)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(arena, size);
    (void)protobuf_c_message_pack(message, data);
    return bytes_make(data, size);
}
