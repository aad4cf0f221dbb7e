/* kv_snapshot.h - the whole state as a stream, for a member that the log cannot catch up.
 *
 * Logical records, each with its CRC-32C, never a peer's database file. The writer reads a frozen
 * backend view and touches nothing else, so it may run on any one thread while writes go on. The
 * reader checks everything before it is used and fills batches for backend_restore_write(); only a
 * complete stream is ever switched to (backend_restore_finish, then kv_restore).
 *
 *   stream   = "CRCLSNP1" frame*
 *   frame    = length u32 | crc32c u32 of type and payload | type u8 | payload (little-endian)
 *   types    = HEADER first, META by key, REVISION by revision, TRAILER last
 *
 * The trailer holds the number of frames before it and a CRC-32C over all their checksums. */
#ifndef KVSTORE_STATE_KV_SNAPSHOT_H
#define KVSTORE_STATE_KV_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "kvstore/state/kv.h"

struct backend_batch;
struct backend_snapshot;

enum {
    KV_SNAPSHOT_FRAME_MAX = 64 << 20,   /* bytes; more is refused before it is allocated */
    KV_SNAPSHOT_MEMBERS_MAX = 64 << 10, /* bytes of header.members */
    KV_SNAPSHOT_BATCH_BYTES = 4 << 20,  /* what a batch of the reader holds, about */
};

struct kv_snapshot_header {
    uint64_t cluster_id;
    struct kv_position applied; /* what the stream covers */
    uint64_t size_bytes;        /* an estimate, for progress */
    struct bytes members;       /* the node's: raft's member set at applied; opaque here */
};

/* --- writing ----------------------------------------------------------------------------- */

struct kv_snapshot_writer;

/* header.applied is taken from the snapshot. The snapshot is borrowed until the writer is freed;
 * header.members is copied. */
struct kv_snapshot_writer *kv_snapshot_writer_new(struct backend_snapshot *snapshot,
                                                  const struct kv_snapshot_header *header);
void kv_snapshot_writer_free(struct kv_snapshot_writer *writer); /* NULL is fine */
/* Append about max_bytes of the stream to out; *ret_done after the trailer. 0 or the error of the
 * snapshot (ERR_TIMEOUT, ERR_CANCELLED: start over with a new one; ERR_CORRUPT). */
MUST_USE int kv_snapshot_writer_next(struct kv_snapshot_writer *writer, struct buf *out,
                                     size_t max_bytes, bool *ret_done, struct err *err);

/* --- reading ----------------------------------------------------------------------------- */

struct kv_snapshot_reader;

/* cluster_id: of this member; 0: any (a backup is read). */
struct kv_snapshot_reader *kv_snapshot_reader_new(uint64_t cluster_id);
void kv_snapshot_reader_free(struct kv_snapshot_reader *reader); /* NULL is fine */
/* The next bytes, cut anywhere. 0; ERR_CORRUPT; ERR_UNSUPPORTED (another format);
 * ERR_WRONG_CLUSTER; ERR_TOO_LARGE. After an error only kv_snapshot_reader_free is allowed. */
MUST_USE int kv_snapshot_reader_feed(struct kv_snapshot_reader *reader, struct bytes bytes,
                                     struct err *err);
/* A full batch for backend_restore_write, or the last one once the stream is complete; NULL: none
 * now. Take until NULL after each feed. The batch belongs to the caller. */
struct backend_batch *kv_snapshot_reader_take_batch(struct kv_snapshot_reader *reader);
/* NULL before the header has come; members is borrowed from the reader. */
const struct kv_snapshot_header *kv_snapshot_reader_header(const struct kv_snapshot_reader *reader);
/* The trailer has come and everything agrees. */
bool kv_snapshot_reader_is_complete(const struct kv_snapshot_reader *reader);

#endif
