/* etcd_wal.h - etcd's write-ahead log, read only.
 *
 *   file    = frame*, then zeros (files are allocated ahead)
 *   frame   = length i64 little-endian | record | padding to 8 bytes
 *             length: 56 bits of size; when negative, bits 56-58 are the size of the padding
 *   record  = protobuf: type 1, crc 2, data 3
 *   types   = 1 metadata, 2 entry, 3 hard state, 4 crc, 5 snapshot
 *
 * Each record's crc is CRC-32C over the data of all records so far; a crc record at the begin of
 * each file hands the sum on. A frame that an unfinished write left at the end of the last file is
 * known by a sector of zeros in it; anything else that does not fit is damage, which etcd may
 * "repair" by cutting off acknowledged entries, and we refuse. Source: the public sources of etcd
 * (server/storage/wal: decoder.go, wal.go, walpb/record.proto). */
#ifndef KVSTORE_MIGRATE_ETCD_WAL_H
#define KVSTORE_MIGRATE_ETCD_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    ETCD_ENTRY_NORMAL = 0,
    ETCD_ENTRY_CONFIG = 1, /* this and the next are about members, not keys */
    ETCD_ENTRY_CONFIG_JOINT = 2,
    ETCD_WAL_RECORD_MAX = 512 << 20,
};

struct etcd_entry {
    uint64_t index;
    uint64_t term;
    uint64_t type;
    struct bytes data; /* borrowed from the file */
};

struct etcd_wal {
    struct etcd_entry *entries; /* without gaps, the last version of each index */
    size_t count;
    size_t capacity;
    uint64_t term; /* of the last hard state */
    uint64_t commit;
    uint64_t snapshot_index; /* the newest snapshot the log knows */
    uint64_t snapshot_term;
    uint32_t crc;
    uint64_t record_count;
    bool has_torn_tail;
};

void etcd_wal_init(struct etcd_wal *wal);
void etcd_wal_deinit(struct etcd_wal *wal);
/* The files one after the other, in the order of their numbers; file must outlive wal. name is for
 * messages. ERR_CORRUPT, with the place in the text. */
MUST_USE int etcd_wal_add_file(struct etcd_wal *wal, struct bytes file, bool is_last,
                               const char *name, struct err *err);

#endif
