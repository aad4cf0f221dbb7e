/* tar.h - reading tar archives from a stream, one entry at a time.
 *
 * Understands v7, ustar, pax (POSIX.1-2001 "pax Interchange Format") and GNU long names, base-256
 * numbers and GNU sparse files of the old kind and of pax 0.1 and 1.0. Everything is bounded;
 * nothing is interpreted: names come out as they stand in the archive. */
#ifndef RUNTIME_IMAGE_TAR_H
#define RUNTIME_IMAGE_TAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "runtime/image/stream.h"

enum {
    TAR_PATH_MAX = 4096,              /* with the NUL */
    TAR_EXTENSION_SIZE_MAX = 1 << 20, /* one pax header or long name */
    TAR_XATTRS_MAX = 128,
    TAR_SPARSE_MAX = 65536,
};

enum tar_type {
    TAR_FILE,
    TAR_HARD_LINK,
    TAR_SYMLINK,
    TAR_CHARACTER,
    TAR_BLOCK,
    TAR_DIRECTORY,
    TAR_FIFO,
};

struct tar_xattr {
    const char *name;
    struct bytes value;
};

struct tar_extent {
    int64_t offset;
    int64_t size;
};

struct tar_entry {
    enum tar_type type;
    const char *path; /* never empty; no NUL inside */
    const char *link; /* "" unless a link */
    uint32_t mode;    /* permission bits only */
    uint32_t uid;
    uint32_t gid;
    int64_t size;      /* bytes of data that tar_read_data gives */
    int64_t real_size; /* bytes of the file; differs from size when sparse */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t major;
    uint32_t minor;
    const struct tar_xattr *xattrs;
    uint32_t xattr_count;
    const struct tar_extent *extents; /* sparse files: where the data belongs */
    uint32_t extent_count;
    bool is_sparse;
    int64_t data_offset; /* where the data starts in the stream */
};

struct tar;

/* The stream is borrowed. */
struct tar *tar_new(struct stream *stream);
void tar_free(struct tar *tar);

/* 1: *entry is the next one, valid until the next call (unread data is skipped); 0: the end;
 * negative: ERR_MALFORMED, ERR_TOO_LARGE, or the stream's error. */
MUST_USE int tar_next(struct tar *tar, struct tar_entry *entry, struct err *err);
/* 1: *chunk is a run of the entry's data; 0: no more. */
MUST_USE int tar_read_data(struct tar *tar, struct bytes *chunk, struct err *err);

static inline void cleanup_tar(struct tar **tar)
{
    tar_free(*tar);
}

#endif
