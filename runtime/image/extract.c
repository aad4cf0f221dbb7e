#include "runtime/image/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/extract_entry.h"
#include "runtime/image/in_root.h"

void extract_forget_parent(struct extract *extract)
{
    if (extract->parent_fd >= 0) {
        (void)close(extract->parent_fd);
        extract->parent_fd = -1;
    }
}

int extract_clear_place(const struct extract_place *place)
{
    struct stat about;
    if (fstatat(place->parent_fd, place->name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    return in_root_remove(place->parent_fd, place->name);
}

/* "./a//b/" becomes "a/b"; ".." and long names are refused. */
static int clean_path(const char *path, char *out, struct err *err)
{
    size_t size = 0;
    for (const char *at = path; *at != '\0';) {
        size_t run = strcspn(at, "/");
        if (run == 2 && memcmp(at, "..", 2) == 0) {
            return err_set(err, ERR_MALFORMED, "entry '%.200s': '..' in a path", path);
        }
        if (run > NAME_MAX) {
            return err_set(err, ERR_MALFORMED, "entry '%.100s…': a name longer than %d bytes", path,
                           NAME_MAX);
        }
        if (run > 0 && !(run == 1 && *at == '.')) {
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
    return 0;
}

/* A parent that this layer deleted below and now fills again: make it an opaque directory. */
static int revive_parents(struct extract *extract, const char *parent)
{
    char prefix[TAR_PATH_MAX];
    for (size_t end = 1; end <= strlen(parent); end++) {
        if (parent[end] != '/' && parent[end] != '\0') {
            continue;
        }
        memcpy(prefix, parent, end);
        prefix[end] = '\0';
        char name[NAME_MAX + 1];
        CLEANUP(close_fd)
        int fd = in_root_open_parent(extract->root_fd, prefix, true, name, sizeof(name));
        if (fd < 0) {
            return fd;
        }
        if (!extract_is_whiteout(fd, name)) {
            continue;
        }
        if (unlinkat(fd, name, 0) != 0 || mkdirat(fd, name, 0755) != 0) {
            return -errno;
        }
        return extract_set_opaque(extract, fd, name);
    }
    return -ENOTDIR;
}

/* Fill place for a cleaned, non-empty path. */
static int find_place(struct extract *extract, const char *path, struct extract_place *place,
                      struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t parent_size = slash == NULL ? 0 : (size_t)(slash - path);
    place->path = path;
    const char *name_start = slash == NULL ? path : slash + 1;
    memcpy(place->name, name_start, strlen(name_start) + 1); /* clean_path limited it */
    bool is_cached = extract->parent_fd >= 0 && strlen(extract->parent_path) == parent_size &&
                     memcmp(extract->parent_path, path, parent_size) == 0;
    if (!is_cached) {
        extract_forget_parent(extract);
        memcpy(extract->parent_path, path, parent_size);
        extract->parent_path[parent_size] = '\0';
        char name[NAME_MAX + 1];
        int fd = in_root_open_parent(extract->root_fd, path, true, name, sizeof(name));
        if (fd == -ENOTDIR && extract->options->is_layer &&
            revive_parents(extract, extract->parent_path) == 0) {
            fd = in_root_open_parent(extract->root_fd, path, true, name, sizeof(name));
        }
        if (fd < 0) {
            return err_set_errno(err, -fd, "entry '%.200s': open its directory", path);
        }
        extract->parent_fd = fd;
    }
    place->parent_fd = extract->parent_fd;
    return 0;
}

static int write_at(int fd, struct bytes chunk, int64_t offset)
{
    for (size_t done = 0; done < chunk.size;) {
        ssize_t count = pwrite(fd, chunk.data + done, chunk.size - done, offset + (int64_t)done);
        if (count < 0 && errno != EINTR) {
            return -errno;
        }
        done += count < 0 ? 0 : (size_t)count;
    }
    return 0;
}

/* Write chunk where the extents say; *extent and *used say how far the data has got. */
static int write_sparse(int fd, const struct tar_entry *entry, struct bytes chunk, uint32_t *extent,
                        int64_t *used)
{
    while (chunk.size > 0) {
        while (*extent < entry->extent_count && *used == entry->extents[*extent].size) {
            ++*extent;
            *used = 0;
        }
        if (*extent == entry->extent_count) {
            return -EINVAL;
        }
        const struct tar_extent *here = &entry->extents[*extent];
        int64_t room = here->size - *used;
        size_t size = (int64_t)chunk.size < room ? chunk.size : (size_t)room;
        int status = write_at(fd, bytes_make(chunk.data, size), here->offset + *used);
        if (status != 0) {
            return status;
        }
        *used += (int64_t)size;
        chunk = bytes_make(chunk.data + size, chunk.size - size);
    }
    return 0;
}

static int write_contents(struct extract *extract, struct tar *tar, int fd,
                          const struct tar_entry *entry, struct err *err)
{
    struct bytes chunk;
    int64_t offset = 0;
    uint32_t extent = 0;
    int64_t used = 0;
    int status;
    while ((status = tar_read_data(tar, &chunk, err)) > 0) {
        int64_t bytes_max =
            extract->options->bytes_max > 0 ? extract->options->bytes_max : EXTRACT_BYTES_MAX;
        extract->result.bytes += (int64_t)chunk.size;
        if (extract->result.bytes > bytes_max) {
            return err_set(err, ERR_TOO_LARGE, "the archive unpacks to more than %lld bytes",
                           (long long)bytes_max);
        }
        int written = entry->is_sparse ? write_sparse(fd, entry, chunk, &extent, &used)
                                       : write_at(fd, chunk, offset);
        if (written != 0) {
            return err_set_errno(err, -written, "write '%.200s'", entry->path);
        }
        offset += (int64_t)chunk.size;
    }
    if (status == 0 && entry->is_sparse && ftruncate(fd, entry->real_size) != 0) {
        return err_set_errno(err, errno, "write '%.200s'", entry->path);
    }
    return status;
}

static int make_file(struct extract *extract, struct tar *tar, const struct extract_place *place,
                     const struct tar_entry *entry, struct err *err)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    CLEANUP(close_fd) int fd = openat(place->parent_fd, place->name, flags, 0600);
    if (fd < 0 && errno == EEXIST) {
        int status = extract_clear_place(place);
        if (status != 0) {
            return err_set_errno(err, -status, "replace '%.200s'", place->path);
        }
        fd = openat(place->parent_fd, place->name, flags, 0600);
    }
    if (fd < 0) {
        return err_set_errno(err, errno, "create '%.200s'", place->path);
    }
    int status = write_contents(extract, tar, fd, entry, err);
    return status != 0 ? status : extract_apply_to_fd(extract, fd, entry, err);
}

static int make_directory(struct extract *extract, const struct extract_place *place,
                          const struct tar_entry *entry, struct err *err)
{
    bool was_hidden = false;
    if (mkdirat(place->parent_fd, place->name, 0700) != 0) {
        struct stat about;
        if (errno != EEXIST ||
            fstatat(place->parent_fd, place->name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
            return err_set_errno(err, errno, "create directory '%.200s'", place->path);
        }
        if (!S_ISDIR(about.st_mode)) {
            was_hidden = S_ISCHR(about.st_mode) && about.st_rdev == makedev(0, 0);
            if (unlinkat(place->parent_fd, place->name, 0) != 0 ||
                mkdirat(place->parent_fd, place->name, 0700) != 0) {
                return err_set_errno(err, errno, "replace '%.200s'", place->path);
            }
        }
    }
    if (was_hidden) {
        int status = extract_set_opaque(extract, place->parent_fd, place->name);
        if (status != 0) {
            return err_set_errno(err, -status, "directory '%.200s'", place->path);
        }
    }
    CLEANUP(close_fd)
    int fd = openat(place->parent_fd, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open directory '%.200s'", place->path);
    }
    struct tar_entry now = *entry;
    now.mode |= 0700; /* until everything is in it */
    extract_remember_directory(extract, place->path, entry);
    return extract_apply_to_fd(extract, fd, &now, err);
}

static int make_hard_link(struct extract *extract, const struct extract_place *place,
                          const struct tar_entry *entry, struct err *err)
{
    char target[TAR_PATH_MAX];
    int status = clean_path(entry->link, target, err);
    if (status != 0) {
        return err_prefix(err, "hard link '%.100s'", place->path);
    }
    char name[NAME_MAX + 1];
    CLEANUP(close_fd)
    int fd = in_root_open_parent(extract->root_fd, target, false, name, sizeof(name));
    struct stat about;
    if (fd < 0 || fstatat(fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set_errno(err, fd < 0 ? -fd : errno, "hard link '%.100s' to '%.100s'",
                             place->path, entry->link);
    }
    bool is_whiteout = S_ISCHR(about.st_mode) && about.st_rdev == makedev(0, 0);
    if (S_ISDIR(about.st_mode) || is_whiteout) {
        return err_set(err, ERR_MALFORMED,
                       "hard link '%.100s' leads to '%.100s', which is not a file", place->path,
                       entry->link);
    }
    struct stat there;
    if (fstatat(place->parent_fd, place->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        there.st_ino == about.st_ino && there.st_dev == about.st_dev) {
        return 0; /* already the same file; removing it first could remove the target */
    }
    status = extract_clear_place(place);
    if (status == 0 && linkat(fd, name, place->parent_fd, place->name, 0) != 0) {
        status = -errno;
    }
    return status == 0 ? 0 : err_set_errno(err, -status, "hard link '%.100s'", place->path);
}

static int make_node(struct extract *extract, const struct extract_place *place,
                     const struct tar_entry *entry, struct err *err)
{
    bool is_device = entry->type == TAR_CHARACTER || entry->type == TAR_BLOCK;
    if (is_device && entry->major == 0 && entry->minor == 0 && extract->options->is_layer) {
        /* overlayfs would take it for a whiteout that the image did not spell as one */
        return err_set(err, ERR_MALFORMED, "entry '%.200s': device 0:0 in a layer", place->path);
    }
    if (is_device && !extract->options->keeps_owner) {
        extract->result.skipped++;
        return 0;
    }
    int status = extract_clear_place(place);
    if (status == 0) {
        mode_t type = entry->type == TAR_CHARACTER ? S_IFCHR
                      : entry->type == TAR_BLOCK   ? S_IFBLK
                                                   : S_IFIFO;
        dev_t device = is_device ? makedev(entry->major, entry->minor) : 0;
        status = mknodat(place->parent_fd, place->name, type | 0600, device) == 0 ? 0 : -errno;
    }
    if (status != 0) {
        return err_set_errno(err, -status, "create '%.200s'", place->path);
    }
    return extract_apply_to_name(extract, place, entry, err);
}

static int make_symlink(struct extract *extract, const struct extract_place *place,
                        const struct tar_entry *entry, struct err *err)
{
    if (entry->link[0] == '\0') {
        return err_set(err, ERR_MALFORMED, "entry '%.200s': a symbolic link to nothing",
                       place->path);
    }
    int status = extract_clear_place(place);
    if (status == 0 && symlinkat(entry->link, place->parent_fd, place->name) != 0) {
        status = -errno;
    }
    if (status != 0) {
        return err_set_errno(err, -status, "create symbolic link '%.200s'", place->path);
    }
    return extract_apply_to_name(extract, place, entry, err);
}

static int apply_root(struct extract *extract, const struct tar_entry *entry, struct err *err)
{
    if (entry->type != TAR_DIRECTORY) {
        return err_set(err, ERR_MALFORMED, "entry '%.200s' would replace the root directory",
                       entry->path);
    }
    struct tar_entry now = *entry;
    now.mode |= 0700;
    extract_remember_directory(extract, "", entry);
    return extract_apply_to_fd(extract, extract->root_fd, &now, err);
}

static int extract_one(struct extract *extract, struct tar *tar, const struct tar_entry *entry,
                       struct err *err)
{
    char path[TAR_PATH_MAX];
    int status = clean_path(entry->path, path, err);
    if (status != 0) {
        return status;
    }
    if (path[0] == '\0') {
        return apply_root(extract, entry, err);
    }
    struct extract_place place;
    status = find_place(extract, path, &place, err);
    if (status == 0 && extract->options->is_layer) {
        status = extract_whiteout(extract, &place, err);
    }
    if (status != 0) {
        return status < 0 ? status : 0;
    }
    switch (entry->type) {
    case TAR_FILE:
        return make_file(extract, tar, &place, entry, err);
    case TAR_DIRECTORY:
        return make_directory(extract, &place, entry, err);
    case TAR_HARD_LINK:
        return make_hard_link(extract, &place, entry, err);
    case TAR_SYMLINK:
        return make_symlink(extract, &place, entry, err);
    case TAR_CHARACTER:
    case TAR_BLOCK:
    case TAR_FIFO:
        return make_node(extract, &place, entry, err);
    }
    return 0;
}

int extract_tar(struct stream *stream, int root_fd, const struct extract_options *options,
                struct extract_result *ret, struct err *err)
{
    CLEANUP(tar) struct tar *tar = tar_new(stream);
    struct extract extract = {
        .root_fd = root_fd,
        .options = options,
        .parent_fd = -1,
        .directories = BUF_INIT,
    };
    int64_t entries_max = options->entries_max > 0 ? options->entries_max : EXTRACT_ENTRIES_MAX;
    struct tar_entry entry;
    int status;
    while ((status = tar_next(tar, &entry, err)) > 0) {
        if (++extract.result.entries > entries_max) {
            status = err_set(err, ERR_TOO_LARGE, "the archive has more than %lld entries",
                             (long long)entries_max);
            break;
        }
        /* A removal may take the cached directory with it, a new link may stand on its path. */
        bool may_move = entry.type != TAR_FILE && entry.type != TAR_DIRECTORY;
        status = extract_one(&extract, tar, &entry, err);
        if (status != 0) {
            break;
        }
        if (may_move) {
            extract_forget_parent(&extract);
        }
    }
    if (status == 0) {
        status = extract_finish_directories(&extract, err);
    }
    extract_forget_parent(&extract);
    buf_deinit(&extract.directories);
    if (status == 0) {
        *ret = extract.result;
    }
    return status;
}
