#include "kvstore/backend/record.h"

#include <inttypes.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/check.h"
#include "base/crc32c.h"

enum { FLAG_TOMBSTONE = 1 };

void record_key_of_revision(struct backend_revision revision, struct record_key *ret_key)
{
    ret_key->data[0] = 'r';
    store_be(ret_key->data + 1, revision.main, 8);
    for (int i = 0; i < 4; i++) {
        ret_key->data[9 + i] = (uint8_t)(revision.sub >> (24 - 8 * i));
    }
    ret_key->size = RECORD_REVISION_KEY_SIZE;
}

void record_key_of_meta(struct bytes meta_key, struct record_key *ret_key)
{
    CHECK(meta_key.size <= BACKEND_META_KEY_SIZE_MAX);
    ret_key->data[0] = 'm';
    if (meta_key.size > 0) {
        memcpy(ret_key->data + 1, meta_key.data, meta_key.size);
    }
    ret_key->size = 1 + meta_key.size;
}

void record_key_of_applied(struct record_key *ret_key)
{
    ret_key->data[0] = 'a';
    ret_key->size = 1;
}

void record_key_of_format(struct record_key *ret_key)
{
    ret_key->data[0] = 'f';
    ret_key->size = 1;
}

bool record_parse_revision_key(struct bytes key, struct backend_revision *ret_revision)
{
    if (key.size != RECORD_REVISION_KEY_SIZE || key.data[0] != 'r') {
        return false;
    }
    ret_revision->main = load_be(key.data + 1, 8);
    ret_revision->sub = (uint32_t)load_be(key.data + 9, 4);
    return true;
}

static uint32_t checksum(struct bytes key, uint8_t flags, struct bytes value)
{
    return crc32c(crc32c(crc32c(0, key.data, key.size), &flags, 1), value.data, value.size);
}

void stored_record_encode(uint8_t *to, struct bytes key, bool is_tombstone, struct bytes value)
{
    uint8_t flags = is_tombstone ? FLAG_TOMBSTONE : 0;
    uint32_t crc = checksum(key, flags, value);
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(crc >> (8 * i));
    }
    to[4] = flags;
    if (value.size > 0) {
        memcpy(to + RECORD_HEADER_SIZE, value.data, value.size);
    }
}

bool stored_record_decode(struct bytes key, struct bytes stored, bool *ret_is_tombstone,
                          struct bytes *ret_value)
{
    if (stored.size < RECORD_HEADER_SIZE) {
        return false;
    }
    uint32_t wanted = (uint32_t)stored.data[0] | (uint32_t)stored.data[1] << 8 |
                      (uint32_t)stored.data[2] << 16 | (uint32_t)stored.data[3] << 24;
    uint8_t flags = stored.data[4];
    struct bytes value =
        bytes_make(stored.data + RECORD_HEADER_SIZE, stored.size - RECORD_HEADER_SIZE);
    if (checksum(key, flags, value) != wanted) {
        return false;
    }
    *ret_is_tombstone = (flags & FLAG_TOMBSTONE) != 0;
    *ret_value = value;
    return true;
}

void record_encode_position(struct backend_position position, uint8_t to[16])
{
    store_be(to, position.index, 8);
    store_be(to + 8, position.term, 8);
}

bool record_decode_position(struct bytes value, struct backend_position *ret_position)
{
    if (value.size != 16) {
        return false;
    }
    ret_position->index = load_be(value.data, 8);
    ret_position->term = load_be(value.data + 8, 8);
    return true;
}

uint32_t record_checksum(struct backend_revision revision, bool is_tombstone, struct bytes value)
{
    struct record_key key;
    record_key_of_revision(revision, &key);
    return checksum(record_key_bytes(&key), is_tombstone ? FLAG_TOMBSTONE : 0, value);
}

uint32_t record_meta_checksum(struct bytes key, struct bytes value)
{
    return checksum(key, 0, value);
}

int record_corrupt(struct backend_revision revision, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "stored revision %" PRIu64 "_%" PRIu32 " is damaged",
                   revision.main, revision.sub);
}

int record_meta_corrupt(struct bytes key, struct err *err)
{
    /* Keys may be binary and long: show what is printable. */
    char text[33];
    size_t size = 0;
    for (; size < key.size && size < sizeof text - 1; size++) {
        uint8_t c = key.data[size];
        text[size] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    text[size] = '\0';
    return err_set(err, ERR_CORRUPT, "stored meta entry '%s' is damaged", text);
}
