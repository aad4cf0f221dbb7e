/* extract.h - unpack a tar stream below a directory that it cannot leave.
 *
 * Rules (image-spec layer.md, and the lessons of containers.md 5.3): names are cleaned and must not
 * contain ".."; parents are resolved by openat2 inside the root; the last component is never
 * followed; what is in the way is removed first; hard links lead to non-directories inside the
 * root; the root itself only gets attributes; only user.* and security.capability attributes are
 * set; directories get their times last. */
#ifndef RUNTIME_IMAGE_EXTRACT_H
#define RUNTIME_IMAGE_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/image/stream.h"

struct extract_options {
    bool is_layer;        /* .wh. entries become overlayfs whiteouts and opaque directories */
    bool keeps_owner;     /* chown as the archive says, device nodes; needs root's rights */
    bool has_fixed_owner; /* everything belongs to uid and gid instead */
    uint32_t uid;
    uint32_t gid;
    int64_t entries_max; /* 0: EXTRACT_ENTRIES_MAX */
    int64_t bytes_max;   /* of file contents; 0: EXTRACT_BYTES_MAX */
};

static const int64_t EXTRACT_ENTRIES_MAX = 4000000;
static const int64_t EXTRACT_BYTES_MAX = INT64_C(1) << 40;

struct extract_result {
    int64_t entries;
    int64_t bytes;   /* file contents written */
    int64_t skipped; /* device nodes, without root's rights */
};

/* Reads the stream to the end of the archive, not to the end of the stream: drain it when hashes
 * hang on it. root_fd is an open directory. On failure the directory holds a part; remove it. */
MUST_USE int extract_tar(struct stream *stream, int root_fd, const struct extract_options *options,
                         struct extract_result *ret, struct err *err);

#endif
