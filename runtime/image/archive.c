#include "runtime/image/archive.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/extract.h"
#include "runtime/image/tar.h"

enum { MEMBERS_MAX = 100000, LINKS_MAX = 16 };

/* "./a/../b" becomes "b"; ".." at the top stays at the top. base: the link's own path, or "". */
static char *resolve(const char *base, const char *path)
{
    CLEANUP(buf) struct buf joined = BUF_INIT;
    const char *slash = strrchr(base, '/');
    if (slash != NULL && path[0] != '/') {
        buf_append(&joined, base, (size_t)(slash - base));
        buf_append_text(&joined, "/");
    }
    buf_append_text(&joined, path);
    char *out = mem_alloc(buf_size(&joined) + 1);
    size_t size = 0;
    for (const char *at = buf_text(&joined); *at != '\0';) {
        size_t run = strcspn(at, "/");
        if (run == 2 && memcmp(at, "..", 2) == 0) {
            while (size > 0 && out[--size] != '/') {
            }
        } else if (run > 0 && !(run == 1 && *at == '.')) {
            if (size > 0) {
                out[size++] = '/';
            }
            memcpy(out + size, at, run);
            size += run;
        }
        at += run;
        at += *at == '/' ? 1 : 0;
    }
    out[size] = '\0';
    return out;
}

static void free_member(struct archive_member *member)
{
    if (member != NULL) {
        mem_free(member->link);
        mem_free(member);
    }
}

static int index_members(struct archive *archive, struct err *err)
{
    CLEANUP(stream) struct stream *stream = stream_new_file(archive->fd, 0, archive->size);
    CLEANUP(tar) struct tar *tar = tar_new(stream);
    struct tar_entry entry;
    int status;
    while ((status = tar_next(tar, &entry, err)) > 0) {
        bool is_link = entry.type == TAR_SYMLINK || entry.type == TAR_HARD_LINK;
        if (entry.is_sparse || (entry.type != TAR_FILE && !is_link)) {
            continue;
        }
        if (archive->members.count >= MEMBERS_MAX) {
            return err_set(err, ERR_TOO_LARGE, "not an image archive: more than %d files",
                           MEMBERS_MAX);
        }
        CLEANUP(free) char *path = resolve("", entry.path);
        struct archive_member *member = mem_zalloc(sizeof(*member));
        member->offset = entry.data_offset;
        member->size = entry.size;
        if (is_link) {
            member->link = resolve(entry.type == TAR_SYMLINK ? path : "", entry.link);
        }
        free_member(bytes_map_set(&archive->members, bytes_from_text(path), member));
    }
    return status;
}

/* A tar at this place of a seekable file; "ustar" is in the first header of all that we meet. */
static bool is_plain_tar(int fd, int64_t *size)
{
    struct stat about;
    char magic[5];
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || lseek(fd, 0, SEEK_CUR) != 0 ||
        pread(fd, magic, sizeof(magic), 257) != (ssize_t)sizeof(magic)) {
        return false;
    }
    *size = about.st_size;
    return memcmp(magic, "ustar", sizeof(magic)) == 0;
}

static int spool(struct archive *archive, const struct store *store, int fd, struct err *err)
{
    int status = store_ingest_open(store, &archive->spool_fd, err);
    if (status != 0) {
        return status;
    }
    CLEANUP(stream)
    struct stream *stream = stream_new_decompress(stream_new_file(fd, 0, -1), EXTRACT_BYTES_MAX);
    archive->fd = archive->spool_fd;
    return stream_copy(stream, archive->spool_fd, &archive->size, err);
}

int archive_open(struct archive *archive, const struct store *store, int fd, struct err *err)
{
    *archive = (struct archive){.fd = fd, .spool_fd = -1};
    bytes_map_init(&archive->members);
    int status = is_plain_tar(fd, &archive->size) ? 0 : spool(archive, store, fd, err);
    if (status == 0) {
        status = index_members(archive, err);
    }
    if (status != 0) {
        archive_close(archive);
    }
    return status;
}

void archive_close(struct archive *archive)
{
    size_t cursor = 0;
    struct bytes key;
    void *member = NULL;
    while (bytes_map_next(&archive->members, &cursor, &key, &member)) {
        free_member(member);
    }
    bytes_map_deinit(&archive->members);
    cleanup_close_fd(&archive->spool_fd);
    archive->spool_fd = -1;
}

const struct archive_member *archive_find(const struct archive *archive, const char *path)
{
    CLEANUP(free) char *name = resolve("", path);
    const struct archive_member *member = bytes_map_find(&archive->members, bytes_from_text(name));
    for (int links = 0; member != NULL && member->link != NULL; links++) {
        if (links == LINKS_MAX) {
            return NULL;
        }
        member = bytes_map_find(&archive->members, bytes_from_text(member->link));
    }
    return member;
}

struct stream *archive_stream(const struct archive *archive, const struct archive_member *member)
{
    return stream_new_file(archive->fd, member->offset, member->size);
}

int archive_read(const struct archive *archive, const char *path, size_t size_max, struct buf *out,
                 struct err *err)
{
    const struct archive_member *member = archive_find(archive, path);
    if (member == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the archive has no '%.200s'", path);
    }
    if (member->size > (int64_t)size_max) {
        return err_set(err, ERR_TOO_LARGE, "'%.200s' in the archive has %lld bytes, more than %zu",
                       path, (long long)member->size, size_max);
    }
    CLEANUP(stream) struct stream *stream = archive_stream(archive, member);
    struct bytes chunk;
    int status;
    while ((status = stream_next(stream, &chunk, err)) > 0) {
        buf_append_bytes(out, chunk);
    }
    return status;
}
