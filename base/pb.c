#include "base/pb.h"

#include "base/check.h"

bool pb_read_varint(struct pb_reader *reader, uint64_t *ret_value)
{
    uint64_t value = 0;
    const uint8_t *at = reader->at;
    for (unsigned shift = 0; shift < 70 && at < reader->end; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            reader->at = at;
            *ret_value = value;
            return true;
        }
    }
    reader->failed = true;
    return false;
}

static bool read_fixed(struct pb_reader *reader, size_t size, uint64_t *ret_value)
{
    if ((size_t)(reader->end - reader->at) < size) {
        reader->failed = true;
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)reader->at[i] << (8 * i);
    }
    reader->at += size;
    *ret_value = value;
    return true;
}

bool pb_next(struct pb_reader *reader, struct pb_field *ret_field)
{
    if (reader->failed || reader->at == reader->end) {
        return false;
    }
    struct pb_field field = {0, 0, {NULL, 0}};
    if (!pb_read_varint(reader, &field.key)) {
        return false;
    }
    if (field.key >> 3 == 0 || field.key > UINT32_MAX) {
        reader->failed = true;
        return false;
    }
    uint64_t size = 0;
    switch (field.key & 7) {
    case PB_TYPE_VARINT:
        if (!pb_read_varint(reader, &field.value)) {
            return false;
        }
        break;
    case PB_TYPE_FIXED64:
    case PB_TYPE_FIXED32:
        if (!read_fixed(reader, (field.key & 7) == PB_TYPE_FIXED64 ? 8 : 4, &field.value)) {
            return false;
        }
        break;
    case PB_TYPE_BYTES:
        if (!pb_read_varint(reader, &size)) {
            return false;
        }
        if (size > (uint64_t)(reader->end - reader->at)) {
            reader->failed = true;
            return false;
        }
        field.bytes = bytes_make(reader->at, (size_t)size);
        reader->at += size;
        break;
    default:
        reader->failed = true;
        return false;
    }
    *ret_field = field;
    return true;
}

void pb_put_varint(struct buf *out, uint64_t value)
{
    uint8_t *at = buf_reserve(out, PB_VARINT_BYTES_MAX);
    buf_commit(out, (size_t)(pb_write_varint(at, value) - at));
}

void pb_put_u64(struct buf *out, uint32_t number, uint64_t value)
{
    if (value == 0) {
        return;
    }
    uint8_t *start = buf_reserve(out, 2 * (size_t)PB_VARINT_BYTES_MAX);
    uint8_t *at = pb_write_varint(start, PB_VARINT(number));
    at = pb_write_varint(at, value);
    buf_commit(out, (size_t)(at - start));
}

void pb_put_message_head(struct buf *out, uint32_t number, size_t size)
{
    uint8_t *start = buf_reserve(out, 2 * (size_t)PB_VARINT_BYTES_MAX);
    uint8_t *at = pb_write_varint(start, PB_BYTES(number));
    at = pb_write_varint(at, size);
    buf_commit(out, (size_t)(at - start));
}

void pb_put_message(struct buf *out, uint32_t number, struct bytes message)
{
    pb_put_message_head(out, number, message.size);
    buf_append_bytes(out, message);
}

void pb_put_bytes(struct buf *out, uint32_t number, struct bytes bytes)
{
    if (bytes.size > 0) {
        pb_put_message(out, number, bytes);
    }
}

void pb_put_text(struct buf *out, uint32_t number, const char *text)
{
    pb_put_bytes(out, number, bytes_from_text(text));
}

size_t pb_begin_message(struct buf *out, uint32_t number)
{
    pb_put_varint(out, PB_BYTES(number));
    buf_append_u8(out, 0);
    return buf_size(out);
}

void pb_end_message(struct buf *out, size_t mark)
{
    size_t size = buf_size(out) - mark;
    size_t length_size = pb_varint_size(size);
    if (length_size > 1) {
        (void)buf_reserve(out, length_size - 1);
        buf_commit(out, length_size - 1);
        uint8_t *content = out->data + out->start + mark;
        memmove(content + length_size - 1, content, size);
    }
    uint8_t *length = out->data + out->start + mark - 1;
    uint8_t *end = pb_write_varint(length, size);
    CHECK(end == length + length_size);
}
