#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/extract_entry.h"
#include "runtime/image/in_root.h"

static uint32_t owner_uid(const struct extract *extract, const struct tar_entry *entry)
{
    return extract->options->has_fixed_owner ? extract->options->uid : entry->uid;
}

static uint32_t owner_gid(const struct extract *extract, const struct tar_entry *entry)
{
    return extract->options->has_fixed_owner ? extract->options->gid : entry->gid;
}

static bool sets_owner(const struct extract *extract)
{
    return extract->options->keeps_owner || extract->options->has_fixed_owner;
}

/* What an image may set. trusted.overlay.* would let it steer overlayfs, ACLs would need mapping.
 */
static bool is_allowed_xattr(const struct extract *extract, const char *name)
{
    if (strcmp(name, "security.capability") == 0) {
        return extract->options->keeps_owner;
    }
    return strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0;
}

static int set_xattrs(const struct extract *extract, int fd, const struct tar_entry *entry)
{
    for (uint32_t i = 0; i < entry->xattr_count; i++) {
        const struct tar_xattr *xattr = &entry->xattrs[i];
        if (!is_allowed_xattr(extract, xattr->name)) {
            continue;
        }
        if (fsetxattr(fd, xattr->name, xattr->value.data, xattr->value.size, 0) != 0 &&
            errno != EOPNOTSUPP) {
            return -errno;
        }
    }
    return 0;
}

static void fill_times(const struct tar_entry *entry, struct timespec times[2])
{
    times[0] = (struct timespec){.tv_sec = entry->mtime_s, .tv_nsec = (long)entry->mtime_ns};
    times[1] = times[0];
}

int extract_apply_to_fd(struct extract *extract, int fd, const struct tar_entry *entry,
                        struct err *err)
{
    /* In this order: chown clears set-user-id bits and capabilities. */
    if (sets_owner(extract) &&
        fchown(fd, owner_uid(extract, entry), owner_gid(extract, entry)) != 0) {
        return err_set_errno(err, errno, "set the owner of '%.200s'", entry->path);
    }
    if (fchmod(fd, entry->mode) != 0) {
        return err_set_errno(err, errno, "set the mode of '%.200s'", entry->path);
    }
    int status = set_xattrs(extract, fd, entry);
    if (status != 0) {
        return err_set_errno(err, -status, "set the extended attributes of '%.200s'", entry->path);
    }
    struct timespec times[2];
    fill_times(entry, times);
    if (entry->type != TAR_DIRECTORY && futimens(fd, times) != 0) {
        return err_set_errno(err, errno, "set the time of '%.200s'", entry->path);
    }
    return 0;
}

int extract_apply_to_name(struct extract *extract, const struct extract_place *place,
                          const struct tar_entry *entry, struct err *err)
{
    if (sets_owner(extract) && fchownat(place->parent_fd, place->name, owner_uid(extract, entry),
                                        owner_gid(extract, entry), AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set_errno(err, errno, "set the owner of '%.200s'", entry->path);
    }
    /* Not for links: there is no mode, and this would follow them. */
    if (entry->type != TAR_SYMLINK &&
        fchmodat(place->parent_fd, place->name, entry->mode, 0) != 0) {
        return err_set_errno(err, errno, "set the mode of '%.200s'", entry->path);
    }
    struct timespec times[2];
    fill_times(entry, times);
    if (utimensat(place->parent_fd, place->name, times, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set_errno(err, errno, "set the time of '%.200s'", entry->path);
    }
    return 0;
}

void extract_remember_directory(struct extract *extract, const char *path,
                                const struct tar_entry *entry)
{
    struct directory_attributes attributes = {
        .mode = entry->mode,
        .mtime_s = entry->mtime_s,
        .mtime_ns = entry->mtime_ns,
        .path_size = strlen(path) + 1,
    };
    buf_append(&extract->directories, &attributes, sizeof(attributes));
    buf_append(&extract->directories, path, attributes.path_size);
}

int extract_finish_directories(struct extract *extract, struct err *err)
{
    struct bytes rest = buf_bytes(&extract->directories);
    while (rest.size > 0) {
        struct directory_attributes attributes;
        memcpy(&attributes, rest.data, sizeof(attributes));
        const char *path = (const char *)rest.data + sizeof(attributes);
        size_t used = sizeof(attributes) + attributes.path_size;
        rest = bytes_make(rest.data + used, rest.size - used);
        CLEANUP(close_fd)
        int fd = in_root_open(extract->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0) {
            continue; /* a later entry replaced it */
        }
        struct timespec times[2] = {
            {.tv_sec = attributes.mtime_s, .tv_nsec = (long)attributes.mtime_ns},
            {.tv_sec = attributes.mtime_s, .tv_nsec = (long)attributes.mtime_ns},
        };
        if (fchmod(fd, attributes.mode) != 0 || futimens(fd, times) != 0) {
            return err_set_errno(err, errno, "set the time of '%.200s'", path);
        }
    }
    return 0;
}
