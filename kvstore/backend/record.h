/* record.h - how keys and values look in the LMDB file. Pure.
 *
 *   key 'a'                          the applied position
 *   key 'f'                          the format's name
 *   key 'm' + key                    a meta entry
 *   key 'r' + main (8) + sub (4)     a revision, big-endian: the order of bytes is the order of
 *                                    changes, and revisions sort last, so new ones are appended
 *   value: CRC-32C (4, little-endian) over key and the rest, flags (1; bit 0: tombstone), bytes
 *
 * The checksum covers the key: a record that shows up in another's place is found out, too. */
#ifndef KVSTORE_BACKEND_RECORD_H
#define KVSTORE_BACKEND_RECORD_H

#include "kvstore/backend/backend.h"

enum {
    RECORD_REVISION_KEY_SIZE = 13,
    RECORD_HEADER_SIZE = 5, /* before the bytes of each value */
    RECORD_KEY_SIZE_MAX = 1 + BACKEND_META_KEY_SIZE_MAX,
};

/* A key as stored. */
struct record_key {
    uint8_t data[RECORD_KEY_SIZE_MAX];
    size_t size;
};

void record_key_of_revision(struct backend_revision revision, struct record_key *ret_key);
void record_key_of_meta(struct bytes meta_key, struct record_key *ret_key);
void record_key_of_applied(struct record_key *ret_key);
void record_key_of_format(struct record_key *ret_key);

static inline struct bytes record_key_bytes(const struct record_key *key)
{
    return bytes_make(key->data, key->size);
}

/* False: not the key of a revision. */
bool record_parse_revision_key(struct bytes key, struct backend_revision *ret_revision);

/* Fill to (RECORD_HEADER_SIZE + value.size bytes). */
void stored_record_encode(uint8_t *to, struct bytes key, bool is_tombstone, struct bytes value);
/* Verify stored against its key. False: corrupt. */
bool stored_record_decode(struct bytes key, struct bytes stored, bool *ret_is_tombstone,
                          struct bytes *ret_value);

void record_encode_position(struct backend_position position, uint8_t to[16]);
bool record_decode_position(struct bytes value, struct backend_position *ret_position);

uint32_t record_checksum(struct backend_revision revision, bool is_tombstone, struct bytes value);
uint32_t record_meta_checksum(struct bytes key, struct bytes value);

/* Fill err and return ERR_CORRUPT. */
int record_corrupt(struct backend_revision revision, struct err *err);
int record_meta_corrupt(struct bytes key, struct err *err);

#endif
