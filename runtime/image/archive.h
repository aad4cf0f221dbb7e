/* archive.h - files with images in them: `docker save`, OCI archives, root file systems. */
#ifndef RUNTIME_IMAGE_ARCHIVE_H
#define RUNTIME_IMAGE_ARCHIVE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "runtime/image/progress.h"
#include "runtime/image/store.h"
#include "runtime/image/stream.h"

/* A tar archive whose entries can be read in any order. */
struct archive {
    int fd; /* borrowed, or spool_fd */
    int spool_fd;
    int64_t size;
    struct bytes_map members; /* path -> struct archive_member, owned */
};

struct archive_member {
    int64_t offset;
    int64_t size;
    char *link; /* path within the archive; NULL for a file */
};

/* fd: a seekable plain tar is read in place; pipes and compressed archives are spooled into the
 * store first. */
MUST_USE int archive_open(struct archive *archive, const struct store *store, int fd,
                          struct err *err);
void archive_close(struct archive *archive);
/* Follows links inside the archive only. NULL: absent. */
const struct archive_member *archive_find(const struct archive *archive, const char *path);
/* A member of at most size_max bytes. ERR_NOT_FOUND, ERR_TOO_LARGE. */
MUST_USE int archive_read(const struct archive *archive, const char *path, size_t size_max,
                          struct buf *out, struct err *err);
struct stream *archive_stream(const struct archive *archive, const struct archive_member *member);

/* Called for each loaded image: reference is its full name or NULL. */
typedef void archive_loaded(void *context, const char *reference, const char *id);
/* Load every image of an archive. The caller holds the store lock, shared. */
MUST_USE int archive_load(const struct store *store, int fd, struct progress *progress,
                          archive_loaded *loaded, void *context, struct err *err);

/* Write images as one archive that docker load, podman load and OCI tools read. names: as people
 * write them. */
MUST_USE int archive_save(const struct store *store, const char *const *names, uint32_t name_count,
                          int fd, struct err *err);

/* Make a one-layer image of a root file system. config: the "config" object of the image (Cmd, Env,
 * …), borrowed; message goes to the history. id gets the image's id. */
MUST_USE int archive_import(const struct store *store, int fd, const json_t *config,
                            const char *message, char *id, struct err *err);

static inline void cleanup_archive(struct archive *archive)
{
    archive_close(archive);
}

#endif
