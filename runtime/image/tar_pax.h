/* tar_pax.h - the records of a pax extended header. Internal to tar.c. */
#ifndef RUNTIME_IMAGE_TAR_PAX_H
#define RUNTIME_IMAGE_TAR_PAX_H

#include "base/arena.h"
#include "runtime/image/tar.h"

/* What extended headers said about one entry; strings live in the arena. */
struct tar_pax {
    char *path;
    char *link;
    bool has_size, has_uid, has_gid, has_mtime;
    int64_t size;
    int64_t uid;
    int64_t gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    struct tar_xattr xattrs[TAR_XATTRS_MAX];
    uint32_t xattr_count;
    bool is_sparse;
    bool is_sparse_1_0; /* the map is at the start of the data */
    int64_t real_size;
    struct tar_extent *extents;
    uint32_t extent_count;
};

/* Add the records of one header. ERR_MALFORMED, ERR_TOO_LARGE, ERR_UNSUPPORTED. */
MUST_USE int tar_pax_parse(struct tar_pax *pax, struct arena *arena, struct bytes header,
                           struct err *err);

/* A non-negative decimal number; false when it is not one or does not fit. */
bool tar_parse_decimal(struct bytes text, int64_t *ret);

#endif
