#include <string.h>

#include "base/byte_order.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "raft/wal/wal_format.h"

/* Places in a record's header. */
enum {
    AT_HEADER_CRC = 0, /* 4, over the rest of the header */
    AT_PAYLOAD_CRC = 4,
    AT_PAYLOAD_SIZE = 8,
    AT_TYPE = 12,       /* 1 */
    AT_ENTRY_TYPE = 13, /* 1; 2 bytes of zero follow */
    AT_INDEX = 16,
    AT_TERM = 24,
    AT_PREVIOUS = 32, /* 4: AT_HEADER_CRC of the record before; 4 bytes of zero follow */
};

enum { MEMBER_SIZE = 9, SEGMENT_PAYLOAD_SIZE = 16, METADATA_PAYLOAD_SIZE = 24, VOTE_SIZE = 8 };

/* The header's own checksum covers the payload's and the hash before: it is the record's hash. */
static void put_record(struct buf *to, uint32_t *hash, enum wal_record_type type,
                       enum raft_entry_type entry_type, struct raft_position at,
                       struct bytes payload)
{
    CHECK(payload.size <= BLOB_SIZE_MAX);
    uint8_t *header = buf_reserve(to, WAL_RECORD_HEADER_SIZE);
    memset(header, 0, WAL_RECORD_HEADER_SIZE);
    store_le(header + AT_PAYLOAD_CRC, crc32c(0, payload.data, payload.size), 4);
    store_le(header + AT_PAYLOAD_SIZE, payload.size, 4);
    header[AT_TYPE] = (uint8_t)type;
    header[AT_ENTRY_TYPE] = (uint8_t)entry_type;
    store_le(header + AT_INDEX, at.index, 8);
    store_le(header + AT_TERM, at.term, 8);
    store_le(header + AT_PREVIOUS, *hash, 4);
    *hash = crc32c(0, header + 4, WAL_RECORD_HEADER_SIZE - 4);
    store_le(header + AT_HEADER_CRC, *hash, 4);
    buf_commit(to, WAL_RECORD_HEADER_SIZE);
    buf_append_bytes(to, payload);
}

void wal_put_segment(struct buf *to, uint32_t *hash, const struct wal_segment_head *head)
{
    uint8_t payload[SEGMENT_PAYLOAD_SIZE];
    store_le(payload, head->version, 4);
    store_le(payload + 4, head->alignment_bytes, 4);
    store_le(payload + 8, head->number, 8);
    put_record(to, hash, WAL_RECORD_SEGMENT, 0, (struct raft_position){0, 0},
               bytes_make(payload, sizeof payload));
}

void wal_put_metadata(struct buf *to, uint32_t *hash, const struct wal_metadata *metadata)
{
    uint8_t payload[METADATA_PAYLOAD_SIZE];
    store_le(payload, metadata->cluster_id, 8);
    store_le(payload + 8, metadata->member_id, 8);
    store_le(payload + 16, metadata->incarnation, 8);
    put_record(to, hash, WAL_RECORD_METADATA, 0, (struct raft_position){0, 0},
               bytes_make(payload, sizeof payload));
}

void wal_put_snapshot(struct buf *to, uint32_t *hash, const struct raft_snapshot_meta *snapshot)
{
    uint8_t payload[RAFT_MEMBERS_MAX * MEMBER_SIZE];
    const struct raft_members *members = &snapshot->members;
    CHECK(members->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < members->count; i++) {
        store_le(payload + (size_t)i * MEMBER_SIZE, members->member[i].id, 8);
        payload[(size_t)i * MEMBER_SIZE + 8] = members->member[i].voter ? 1 : 0;
    }
    put_record(to, hash, WAL_RECORD_SNAPSHOT, 0, snapshot->last,
               bytes_make(payload, (size_t)members->count * MEMBER_SIZE));
}

void wal_put_entry(struct buf *to, uint32_t *hash, const struct raft_entry *entry)
{
    put_record(to, hash, WAL_RECORD_ENTRY, entry->type, entry->at, blob_bytes(entry->data));
}

/* Term, vote and commit in one record: they are never half new (R3). */
void wal_put_hard_state(struct buf *to, uint32_t *hash, const struct raft_hard_state *hard_state)
{
    uint8_t payload[VOTE_SIZE];
    store_le(payload, hard_state->vote, VOTE_SIZE);
    put_record(to, hash, WAL_RECORD_HARD_STATE, 0,
               (struct raft_position){.index = hard_state->commit, .term = hard_state->term},
               bytes_make(payload, sizeof payload));
}

static bool decode_segment(struct bytes payload, struct wal_segment_head *ret)
{
    if (payload.size != SEGMENT_PAYLOAD_SIZE) {
        return false;
    }
    ret->version = (uint32_t)load_le(payload.data, 4);
    ret->alignment_bytes = (uint32_t)load_le(payload.data + 4, 4);
    ret->number = load_le(payload.data + 8, 8);
    return true;
}

static bool decode_metadata(struct bytes payload, struct wal_metadata *ret)
{
    if (payload.size != METADATA_PAYLOAD_SIZE) {
        return false;
    }
    ret->cluster_id = load_le(payload.data, 8);
    ret->member_id = load_le(payload.data + 8, 8);
    ret->incarnation = load_le(payload.data + 16, 8);
    return true;
}

static bool decode_snapshot(struct bytes payload, struct raft_position last,
                            struct raft_snapshot_meta *ret)
{
    size_t count = payload.size / MEMBER_SIZE;
    if (payload.size % MEMBER_SIZE != 0 || count > RAFT_MEMBERS_MAX) {
        return false;
    }
    *ret = (struct raft_snapshot_meta){.last = last, .members = {.count = (uint32_t)count}};
    for (size_t i = 0; i < count; i++) {
        const uint8_t *member = payload.data + i * MEMBER_SIZE;
        if (member[8] > 1) {
            return false;
        }
        ret->members.member[i].id = load_le(member, 8);
        ret->members.member[i].voter = member[8] == 1;
    }
    return true;
}

static bool decode_payload(const uint8_t *header, struct bytes payload, struct wal_record *ret)
{
    const struct raft_position at = {.index = load_le(header + AT_INDEX, 8),
                                     .term = load_le(header + AT_TERM, 8)};
    switch ((enum wal_record_type)header[AT_TYPE]) {
    case WAL_RECORD_SEGMENT:
        return decode_segment(payload, &ret->segment);
    case WAL_RECORD_METADATA:
        return decode_metadata(payload, &ret->metadata);
    case WAL_RECORD_SNAPSHOT:
        return decode_snapshot(payload, at, &ret->snapshot);
    case WAL_RECORD_ENTRY:
        ret->entry.at = at;
        ret->entry.type = (enum raft_entry_type)header[AT_ENTRY_TYPE];
        ret->entry.data = payload;
        return at.index > 0 && header[AT_ENTRY_TYPE] >= RAFT_ENTRY_COMMAND &&
               header[AT_ENTRY_TYPE] <= RAFT_ENTRY_NOOP;
    case WAL_RECORD_HARD_STATE:
        if (payload.size != VOTE_SIZE) {
            return false;
        }
        ret->hard_state = (struct raft_hard_state){
            .term = at.term, .vote = load_le(payload.data, VOTE_SIZE), .commit = at.index};
        return true;
    }
    return false;
}

int wal_take_record(struct bytes *records, bool is_hash_known, uint32_t *hash,
                    struct wal_record *ret_record, struct err *err)
{
    if (records->size < WAL_RECORD_HEADER_SIZE) {
        return err_set(err, ERR_CORRUPT, "a record's header is incomplete");
    }
    const uint8_t *header = records->data;
    uint32_t header_crc = crc32c(0, header + 4, WAL_RECORD_HEADER_SIZE - 4);
    if ((uint32_t)load_le(header + AT_HEADER_CRC, 4) != header_crc) {
        return err_set(err, ERR_CORRUPT, "a record's header has a wrong checksum");
    }
    if (is_hash_known && (uint32_t)load_le(header + AT_PREVIOUS, 4) != *hash) {
        return err_set(err, ERR_CORRUPT, "a record does not follow the one before it");
    }
    uint32_t size = (uint32_t)load_le(header + AT_PAYLOAD_SIZE, 4);
    if (size > records->size - WAL_RECORD_HEADER_SIZE) {
        return err_set(err, ERR_CORRUPT, "a record's payload is incomplete");
    }
    struct bytes payload = bytes_make(header + WAL_RECORD_HEADER_SIZE, size);
    if ((uint32_t)load_le(header + AT_PAYLOAD_CRC, 4) != crc32c(0, payload.data, payload.size)) {
        return err_set(err, ERR_CORRUPT, "a record's payload has a wrong checksum");
    }
    struct wal_record record = {.type = (enum wal_record_type)header[AT_TYPE]};
    if (record.type < WAL_RECORD_SEGMENT || record.type > WAL_RECORD_HARD_STATE) {
        return err_set(err, ERR_UNSUPPORTED, "a record has the unknown type %d", header[AT_TYPE]);
    }
    if (!decode_payload(header, payload, &record)) {
        return err_set(err, ERR_CORRUPT, "a record of type %d is malformed", header[AT_TYPE]);
    }
    *hash = header_crc;
    *records = bytes_make(header + WAL_RECORD_HEADER_SIZE + size,
                          records->size - WAL_RECORD_HEADER_SIZE - size);
    *ret_record = record;
    return 0;
}
