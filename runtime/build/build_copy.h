/* build_copy.h - COPY and ADD: what is copied, and how. Internal to the folder. */
#ifndef RUNTIME_BUILD_BUILD_COPY_H
#define RUNTIME_BUILD_BUILD_COPY_H

#include "runtime/build/build.h"
#include "runtime/image/hash.h"
#include "runtime/words/copy_tree.h"

enum { COPY_SOURCES_MAX = 10000, COPY_DEPTH_MAX = 200, COPY_EXCLUDES_MAX = 100 };

struct copy_source {
    const char *path; /* below the source, no leading slash */
    int fd;           /* a download; -1: path */
    int64_t mtime_s;  /* of a download */
};

struct copy {
    struct build *build;
    struct build_stage *stage;
    const struct dockerfile_instruction *instruction;
    struct build_source source;
    struct copy_source sources[COPY_SOURCES_MAX];
    uint32_t source_count;
    const char *target; /* absolute */
    bool is_target_directory;
    bool has_parents, unpacks, has_owner; /* --parents, --unpack, --chown */
    struct ignore exclude;                /* --exclude */
    struct copy_options owner;
    const char *mode;  /* of --chmod: octal or symbolic; NULL */
    struct hash *hash; /* of what is copied, for the key; NULL while copying */
};

bool copy_is_left_out(const struct copy *copy, const char *path);
/* Copies a source below root_fd, or adds it to the hash. */
MUST_USE int copy_one_source(struct copy *copy, const struct copy_source *source, int root_fd,
                             struct err *err);
void copy_hash_text(struct copy *copy, const char *what, const char *text, unsigned value);
bool copy_is_directory(int fd, const char *path);

/* "0755" or "u=rwX,go-w" on top of old. Pure. ERR_MALFORMED. */
MUST_USE int copy_mode_apply(const char *text, mode_t old, bool is_directory, mode_t *ret);

#endif
