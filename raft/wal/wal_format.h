/* wal_format.h - the bytes of the log. Pure: no files, no clock.
 *
 * Three layers (docs/wal.md has the reasons):
 *
 *   record  header (40 bytes, own CRC-32C over length, type, index, term and the hash of the record
 *           before it) and payload (own CRC-32C)
 *   batch   records that became durable together; numbered 1, 2, 3, ... over the whole log
 *   sector  512 bytes: a header (28) that proves content, place and batch, then a part of the batch
 *
 * All numbers are little-endian. */
#ifndef RAFT_WAL_WAL_FORMAT_H
#define RAFT_WAL_WAL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "raft/raft.h"
#include "raft/wal/wal.h"

enum {
    WAL_FORMAT_VERSION = 1,
    WAL_SECTOR_SIZE = 512,
    WAL_SECTOR_HEADER_SIZE = 28,
    WAL_SECTOR_DATA_SIZE = WAL_SECTOR_SIZE - WAL_SECTOR_HEADER_SIZE,
    WAL_RECORD_HEADER_SIZE = 40,
    /* Far more bits than decay sets in a sector that was never written, far fewer than any written
     * one has (its magic number alone has 16). */
    WAL_SECTOR_DECAY_BITS_MAX = 6,
};

enum wal_record_type {
    WAL_RECORD_SEGMENT = 1, /* first in each segment */
    WAL_RECORD_METADATA,
    WAL_RECORD_SNAPSHOT,
    WAL_RECORD_ENTRY,
    WAL_RECORD_HARD_STATE,
};

struct wal_segment_head {
    uint32_t version;
    uint32_t alignment_bytes;
    uint64_t number;
};

/* One record, decoded; data is borrowed. */
struct wal_record {
    enum wal_record_type type;
    union {
        struct wal_segment_head segment;
        struct wal_metadata metadata;
        struct raft_snapshot_meta snapshot;
        struct raft_hard_state hard_state;
        struct {
            struct raft_position at;
            enum raft_entry_type type;
            struct bytes data;
        } entry;
    };
};

/* ---- Records. hash is that of the record before on entry, of this one on return. ---- */

void wal_put_segment(struct buf *to, uint32_t *hash, const struct wal_segment_head *head);
void wal_put_metadata(struct buf *to, uint32_t *hash, const struct wal_metadata *metadata);
void wal_put_snapshot(struct buf *to, uint32_t *hash, const struct raft_snapshot_meta *snapshot);
void wal_put_entry(struct buf *to, uint32_t *hash, const struct raft_entry *entry);
void wal_put_hard_state(struct buf *to, uint32_t *hash, const struct raft_hard_state *hard_state);

/* Take the first record off *records. is_hash_known false: this is the first record that is left of
 * the log, believe what it says about the one before. ERR_CORRUPT, ERR_UNSUPPORTED. */
MUST_USE int wal_take_record(struct bytes *records, bool is_hash_known, uint32_t *hash,
                             struct wal_record *ret_record, struct err *err);

/* ---- Batches and sectors ---- */

/* Where sectors lie: part of each sector's checksum, so that one in a wrong place is found out. */
struct wal_place {
    uint64_t segment; /* number */
    uint64_t offset;  /* in the file, of the first sector */
};

/* What a batch of so many bytes of records takes on disk. */
uint64_t wal_framed_size(uint64_t record_bytes);

/* Append the sectors of one batch to `to`. */
void wal_frame(struct buf *to, struct bytes records, struct wal_place place, uint64_t sequence);

enum wal_scan_result {
    WAL_SCAN_BATCH = 1, /* whole: records and size are set */
    WAL_SCAN_END,       /* nothing here and nothing behind */
    WAL_SCAN_TORN,      /* the unfinished write of this batch; size covers all that is not zero */
    WAL_SCAN_CORRUPT,   /* reason is set */
};

struct wal_scan {
    struct bytes records; /* in the buffer given */
    uint64_t size;        /* bytes on disk, not aligned */
    const char *reason;
};

/* Look for the batch `sequence` at place.offset of a whole segment file. A result other than BATCH
 * speaks about everything from there to the end of the file. */
enum wal_scan_result wal_scan(struct bytes file, struct wal_place place, uint64_t sequence,
                              struct buf *records, struct wal_scan *ret_scan);

/* The batch that the first sector of a file belongs to; false: it is not valid. */
bool wal_first_sequence(struct bytes file, uint64_t segment, uint64_t *ret_sequence);
/* Nothing was ever written here (single decayed bits apart). */
bool wal_is_blank(struct bytes bytes);

/* ---- The record of the last acknowledgement: two slots, written in turn ---- */

enum {
    WAL_SLOT_SIZE = 512,
    WAL_SLOT_DISTANCE = 4096, /* one torn page write never reaches both */
};

void wal_encode_slot(uint8_t slot[WAL_SLOT_SIZE], uint64_t sequence);
bool wal_decode_slot(const uint8_t slot[WAL_SLOT_SIZE], uint64_t *ret_sequence);

#endif
