#include "runtime/container/rootfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "runtime/container/kernel.h"
#include "runtime/container/report.h"
#include "runtime/container/target.h"

int rootfs_clone_tree(int dir, const char *path, unsigned flags)
{
    unsigned how = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags;
    how |= path[0] == 0 ? AT_EMPTY_PATH : 0;
    return kernel_result(open_tree(dir, path, how));
}

static int set_attr(int mount, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation)
{
    struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
    if (set == 0 && clear == 0 && propagation == 0) {
        return 0;
    }
    return kernel_result(mount_setattr(mount, "", AT_EMPTY_PATH | flags, &attr, sizeof attr));
}

int rootfs_set_attributes(int mount, const struct mount_options *options)
{
    int rc = set_attr(mount, 0, options->set, options->clear, 0);
    if (rc == 0) {
        rc = set_attr(mount, AT_RECURSIVE, options->rset, options->rclear, 0);
    }
    if (rc == 0) {
        rc = set_attr(mount, options->is_propagation_recursive ? AT_RECURSIVE : 0, 0, 0,
                      options->propagation);
    }
    return rc;
}

int rootfs_attach(struct rootfs *rootfs, struct err *err)
{
    /* Nothing that happens here may reach the host's mount table. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
        return err_set_errno(err, errno, "make the mount tree a slave");
    }
    CLEANUP(close_fd)
    int root = rootfs->tree >= 0 ? TAKE_FD(rootfs->tree)
                                 : rootfs_clone_tree(AT_FDCWD, rootfs->path, AT_RECURSIVE);
    if (root < 0) {
        return err_set_errno(err, -root, "root.path: clone '%s'", rootfs->path);
    }
    struct stat info;
    if (fstat(root, &info) < 0 || !S_ISDIR(info.st_mode)) {
        return err_set(err, -ENOTDIR, "root.path: '%s' is no directory", rootfs->path);
    }
    /* At its own place, where hooks look for it; "/" when that cannot be reached from a user
     * namespace. */
    int rc = kernel_result(move_mount(root, "", AT_FDCWD, rootfs->path, MOVE_MOUNT_F_EMPTY_PATH));
    if (rc < 0) {
        rc = kernel_result(move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
    }
    if (rc < 0) {
        return err_set_errno(err, -rc, "root.path: attach '%s'", rootfs->path);
    }
    rootfs->root = TAKE_FD(root);
    return 0;
}

static int pivot(const struct rootfs *rootfs, struct err *err)
{
    if (fchdir(rootfs->root) < 0) {
        return err_set_errno(err, errno, "enter the rootfs");
    }
    /* The old root ends stacked on the new one, at "."; detaching it leaves nothing of the host. */
    int rc = kernel_pivot_root(".", ".");
    if (rc < 0) {
        return err_set_errno(err, -rc, "pivot_root (--no-pivot helps on a ramdisk)");
    }
    if (umount2(".", MNT_DETACH) < 0) {
        return err_set_errno(err, errno, "detach the host's root");
    }
    return chdir("/") < 0 ? err_set_errno(err, errno, "chdir to the new root") : 0;
}

/* The octal escapes of mountinfo, in place. */
static void unescape(char *text)
{
    char *to = text;
    for (; *text != 0; text++, to++) {
        bool is_escape =
            text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] != 0 && text[3] != 0;
        *to = is_escape ? (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'))
                        : *text;
        text += is_escape ? 3 : 0;
    }
    *to = 0;
}

/* The host's proc and sysfs stay in the namespace when the root is only moved; as long as they are
 * there unmasked, the kernel lets a container with a user namespace of its own mount new ones
 * without masks. */
static int hide_kernel_mounts(const struct rootfs *rootfs, struct err *err)
{
    CLEANUP(file) FILE *file = fopen("/proc/self/mountinfo", "re");
    CLEANUP(buf) struct buf points = BUF_INIT; /* read first: a umount changes the file */
    char line[8192];
    size_t size = strlen(rootfs->path);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char point[4097];
        char type[32];
        const char *rest = strstr(line, " - ");
        if (sscanf(line, "%*d %*d %*s %*s %4096s", point) != 1 || rest == NULL ||
            sscanf(rest, " - %31s", type) != 1) {
            continue;
        }
        unescape(point);
        bool is_ours =
            strncmp(point, rootfs->path, size) == 0 && (point[size] == '/' || point[size] == 0);
        if (!is_ours && (strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0)) {
            buf_append(&points, point, strlen(point) + 1);
        }
    }
    const char *end = (const char *)points.data + points.end;
    for (const char *point = (const char *)points.data; point < end; point += strlen(point) + 1) {
        if (umount2(point, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT) {
            return err_set_errno(err, errno, "--no-pivot: hide the host's '%s'", point);
        }
    }
    return 0;
}

/* For hosts whose root is an initramfs. What is still mounted beside is taken away first. */
static int move_root(const struct rootfs *rootfs, struct err *err)
{
    int hidden = hide_kernel_mounts(rootfs, err);
    if (hidden < 0) {
        return hidden;
    }
    if (fchdir(rootfs->root) < 0) {
        return err_set_errno(err, errno, "enter the rootfs");
    }
    int rc = kernel_result(move_mount(rootfs->root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
    if (rc < 0) {
        return err_set_errno(err, -rc, "move the root");
    }
    if (fchdir(rootfs->root) < 0 || chroot(".") < 0 || chdir("/") < 0) {
        return err_set_errno(err, errno, "chroot");
    }
    return 0;
}

int rootfs_enter(struct rootfs *rootfs, bool no_pivot, struct err *err)
{
    return no_pivot ? move_root(rootfs, err) : pivot(rootfs, err);
}

static uint64_t parse_propagation(const char *text, unsigned *flags)
{
    if (text == NULL || text[0] == 0) {
        return 0;
    }
    if (text[0] == 'r') {
        *flags = AT_RECURSIVE;
        text++;
    }
    switch (text[0]) {
    case 'p':
        return MS_PRIVATE;
    case 'u':
        return MS_UNBINDABLE;
    default:
        return text[1] == 'h' ? MS_SHARED : MS_SLAVE;
    }
}

int rootfs_seal(struct rootfs *rootfs, struct err *err)
{
    if (rootfs->dev_readonly >= 0) {
        int rc = set_attr(rootfs->dev_readonly, 0, MOUNT_ATTR_RDONLY, 0, 0);
        if (rc < 0) {
            return err_set_errno(err, -rc, "make /dev read-only");
        }
    }
    unsigned flags = 0;
    uint64_t propagation = parse_propagation(rootfs->spec->linux_.rootfs_propagation, &flags);
    int rc = set_attr(rootfs->root, flags, 0, 0, propagation);
    if (rc == 0 && rootfs->spec->root.readonly) {
        rc = set_attr(rootfs->root, 0, MOUNT_ATTR_RDONLY, 0, 0);
    }
    return rc < 0 ? err_set_errno(err, -rc, "seal the root mount") : 0;
}

/* Masked: a file becomes our own /dev/null, a directory one empty read-only tmpfs that all share.
 */
static int mask_directory(struct rootfs *rootfs, int target, const char *path, struct err *err)
{
    CLEANUP(close_fd) int mount = -1;
    if (rootfs->mask_directory < 0) {
        mount = rootfs_new_tmpfs("0555", "4k", MOUNT_ATTR_RDONLY, err);
    } else {
        mount = rootfs_clone_tree(rootfs->mask_directory, "", 0);
    }
    if (mount < 0) {
        return err_set_errno(err, -mount, "linux.maskedPaths: '%s'", path);
    }
    int rc = rootfs_attach_at(rootfs, mount, target, path, err);
    if (rc == 0 && rootfs->mask_directory < 0) {
        rootfs->mask_directory = TAKE_FD(mount);
    }
    return rc;
}

static int mask_file(struct rootfs *rootfs, int target, const char *path, struct err *err)
{
    /* The host's device, not what a hostile image calls /dev/null (CVE-2025-31133). */
    CLEANUP(close_fd) int null = rootfs_clone_tree(AT_FDCWD, "/dev/null", 0);
    struct stat info;
    if (null < 0 || fstat(null, &info) < 0 || !S_ISCHR(info.st_mode) ||
        info.st_rdev != makedev(1, 3)) {
        return err_set(err, -ENODEV, "linux.maskedPaths: the host's /dev/null is no null device");
    }
    return rootfs_attach_at(rootfs, null, target, path, err);
}

static bool is_masked_before(const struct rootfs *rootfs, size_t index)
{
    const struct text_list *paths = &rootfs->spec->linux_.masked_paths;
    for (size_t i = 0; i < index; i++) {
        if (strcmp(paths->items[i], paths->items[index]) == 0) {
            return true;
        }
    }
    return false;
}

static int mask_path(struct rootfs *rootfs, const char *path, struct err *err)
{
    CLEANUP(close_fd) int target = target_find(rootfs->root, path, 0);
    if (target == -ENOENT || target == -ENOTDIR) {
        return 0; /* nothing to hide */
    }
    struct stat info;
    if (target < 0 || fstat(target, &info) < 0) {
        return err_set_errno(err, target < 0 ? -target : errno, "linux.maskedPaths: '%s'", path);
    }
    return S_ISDIR(info.st_mode) ? mask_directory(rootfs, target, path, err)
                                 : mask_file(rootfs, target, path, err);
}

static int protect_path(struct rootfs *rootfs, const char *path, struct err *err)
{
    CLEANUP(close_fd) int target = target_find(rootfs->root, path, 0);
    if (target == -ENOENT || target == -ENOTDIR) {
        return 0;
    }
    CLEANUP(close_fd) int clone = target < 0 ? target : rootfs_clone_tree(target, "", AT_RECURSIVE);
    if (clone < 0) {
        return err_set_errno(err, -clone, "linux.readonlyPaths: '%s'", path);
    }
    int rc = set_attr(clone, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0);
    if (rc < 0) {
        return err_set_errno(err, -rc, "linux.readonlyPaths: '%s'", path);
    }
    return rootfs_attach_at(rootfs, clone, target, path, err);
}

int rootfs_protect(struct rootfs *rootfs, struct err *err)
{
    const struct spec_linux *linux_ = &rootfs->spec->linux_;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < linux_->readonly_paths.count; i++) {
        rc = protect_path(rootfs, linux_->readonly_paths.items[i], err);
    }
    for (size_t i = 0; rc == 0 && i < linux_->masked_paths.count; i++) {
        rc =
            is_masked_before(rootfs, i) ? 0 : mask_path(rootfs, linux_->masked_paths.items[i], err);
    }
    return rc;
}
