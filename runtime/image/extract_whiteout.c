/* extract_whiteout.c - image-spec layer.md "Whiteouts", as overlayfs understands them
 * (Documentation/filesystems/overlayfs.rst "whiteouts and opaque directories"). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/extract_entry.h"

static const char whiteout_prefix[] = ".wh.";
static const char opaque_name[] = ".wh..wh..opq";
static const char reserved_prefix[] = ".wh..wh.";

bool extract_is_whiteout(int parent_fd, const char *name)
{
    struct stat about;
    return fstatat(parent_fd, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(about.st_mode) &&
           about.st_rdev == makedev(0, 0);
}

int extract_set_opaque(const struct extract *extract, int parent_fd, const char *name)
{
    CLEANUP(close_fd)
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    const char *attribute =
        extract->options->keeps_owner ? "trusted.overlay.opaque" : "user.overlay.opaque";
    return fsetxattr(fd, attribute, "y", 1, 0) == 0 ? 0 : -errno;
}

static int hide(struct extract *extract, const struct extract_place *place, const char *target)
{
    struct stat about;
    if (fstatat(place->parent_fd, target, &about, AT_SYMLINK_NOFOLLOW) == 0) {
        /* This layer has it itself: only what lies below must not shine through. */
        return S_ISDIR(about.st_mode) ? extract_set_opaque(extract, place->parent_fd, target) : 0;
    }
    return mknodat(place->parent_fd, target, S_IFCHR, makedev(0, 0)) == 0 ? 0 : -errno;
}

int extract_whiteout(struct extract *extract, const struct extract_place *place, struct err *err)
{
    const char *name = place->name;
    if (strncmp(name, whiteout_prefix, sizeof(whiteout_prefix) - 1) != 0) {
        return 0;
    }
    int status = 0;
    const char *target = name + sizeof(whiteout_prefix) - 1;
    if (strcmp(name, opaque_name) == 0) {
        status = extract_set_opaque(extract, place->parent_fd, ".");
    } else if (strncmp(name, reserved_prefix, sizeof(reserved_prefix) - 1) == 0) {
        status = 0; /* aufs' own book-keeping */
    } else if (target[0] == '\0' || strcmp(target, ".") == 0 || strcmp(target, "..") == 0) {
        return err_set(err, ERR_MALFORMED, "entry '%.200s' is not a valid whiteout", place->path);
    } else {
        status = hide(extract, place, target);
    }
    if (status < 0) {
        return err_set_errno(err, -status, "whiteout '%.200s'", place->path);
    }
    return 1;
}
