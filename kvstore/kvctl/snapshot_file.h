/* snapshot_file.h - a snapshot on disk: the bytes that the server streamed, ending with the SHA-256
 * of all that stands before it (etcd-api 1.11). */
#ifndef KVSTORE_KVCTL_SNAPSHOT_FILE_H
#define KVSTORE_KVCTL_SNAPSHOT_FILE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct snapshot_writer;

/* Writes to <path>.part, which only a verified end renames to path: a broken download never looks
 * like a backup. */
MUST_USE int snapshot_writer_open(const char *path, struct snapshot_writer **ret, struct err *err);
MUST_USE int snapshot_writer_append(struct snapshot_writer *writer, struct bytes data,
                                    struct err *err);
/* Check the hash, sync the file, give it its name, sync the folder. ERR_CORRUPT: too short, or the
 * hash differs. The writer must still be closed. */
MUST_USE int snapshot_writer_finish(struct snapshot_writer *writer, struct err *err);
uint64_t snapshot_writer_size(const struct snapshot_writer *writer);
/* An unfinished .part file is removed. NULL is fine. */
void snapshot_writer_close(struct snapshot_writer *writer);

struct snapshot_status {
    uint64_t size_bytes; /* of the file */
    uint8_t sha256[32];
    const char *format; /* "etcd" (a bbolt database), "coracle" or "unknown" */
};
/* Read the whole file and check its hash. ERR_CORRUPT as above. */
MUST_USE int snapshot_file_check(const char *path, struct snapshot_status *ret, struct err *err);
/* The format alone, from the first bytes. */
MUST_USE int snapshot_file_probe(const char *path, struct snapshot_status *ret, struct err *err);

#endif
