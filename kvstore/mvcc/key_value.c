#include "kvstore/mvcc/key_value.h"

#include "base/check.h"
#include "base/pb.h"

size_t key_value_size(const struct key_value *record)
{
    return pb_bytes_size(1, record->key.size) + pb_u64_size(2, (uint64_t)record->create_revision) +
           pb_u64_size(3, (uint64_t)record->mod_revision) +
           pb_u64_size(4, (uint64_t)record->version) + pb_bytes_size(5, record->value.size) +
           pb_u64_size(6, (uint64_t)record->lease);
}

static uint8_t *write_bytes(uint8_t *at, uint32_t number, struct bytes bytes)
{
    if (bytes.size == 0) {
        return at;
    }
    at = pb_write_varint(at, PB_BYTES(number));
    at = pb_write_varint(at, bytes.size);
    memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

static uint8_t *write_i64(uint8_t *at, uint32_t number, int64_t value)
{
    if (value == 0) {
        return at;
    }
    at = pb_write_varint(at, PB_VARINT(number));
    return pb_write_varint(at, (uint64_t)value);
}

static uint8_t *write_key_value(uint8_t *at, const struct key_value *record)
{
    at = write_bytes(at, 1, record->key);
    at = write_i64(at, 2, record->create_revision);
    at = write_i64(at, 3, record->mod_revision);
    at = write_i64(at, 4, record->version);
    at = write_bytes(at, 5, record->value);
    return write_i64(at, 6, record->lease);
}

struct blob *key_value_encode(const struct key_value *record)
{
    size_t size = key_value_size(record);
    struct blob *blob = blob_new(size);
    uint8_t *end = write_key_value(blob->data, record);
    CHECK(end == blob->data + size);
    return blob;
}

void key_value_append(struct buf *out, const struct key_value *record)
{
    size_t size = key_value_size(record);
    uint8_t *at = buf_reserve(out, size);
    uint8_t *end = write_key_value(at, record);
    CHECK(end == at + size);
    buf_commit(out, size);
}

int key_value_decode(struct bytes encoded, struct key_value *ret_record)
{
    struct key_value record = {0};
    struct pb_reader reader = pb_reader_make(encoded);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_BYTES(1):
            record.key = field.bytes;
            break;
        case PB_VARINT(2):
            record.create_revision = (int64_t)field.value;
            break;
        case PB_VARINT(3):
            record.mod_revision = (int64_t)field.value;
            break;
        case PB_VARINT(4):
            record.version = (int64_t)field.value;
            break;
        case PB_BYTES(5):
            record.value = field.bytes;
            break;
        case PB_VARINT(6):
            record.lease = (int64_t)field.value;
            break;
        default:
            break;
        }
    }
    *ret_record = record;
    return reader.failed ? ERR_MALFORMED : 0;
}
