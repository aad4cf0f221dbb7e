/* rootfs_mounts.c - the entries of `mounts`, in order. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/kernel.h"
#include "runtime/container/report.h"
#include "runtime/container/rootfs.h"
#include "runtime/container/target.h"

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif

static bool is_bind(const struct spec_mount *mount, const struct mount_options *options)
{
    return (options->flags & (MOUNT_OPTION_BIND | MOUNT_OPTION_RBIND)) != 0 ||
           (mount->type != NULL && strcmp(mount->type, "bind") == 0);
}

static bool is_type(const struct spec_mount *mount, const char *type)
{
    return mount->type != NULL && strcmp(mount->type, type) == 0;
}

static bool is_idmapped(const struct spec_mount *mount, const struct mount_options *options)
{
    return (options->flags & (MOUNT_OPTION_IDMAP | MOUNT_OPTION_RIDMAP)) != 0 ||
           mount->uid_mappings.count > 0;
}

int rootfs_attach_at(struct rootfs *rootfs, int mount, int target, const char *destination,
                     struct err *err)
{
    (void)rootfs;
    int rc = kernel_result(
        move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    return rc < 0 ? err_set_errno(err, -rc, "mount at '%s'", destination) : 0;
}

/* What the kernel has to say about a refused option ("e tmpfs: Bad value for 'size'"). */
static int explain(int context, int error, const struct spec_mount *mount, const char *what,
                   struct err *err)
{
    char message[200];
    ssize_t length = read(context, message, sizeof message - 1);
    message[length > 0 ? length : 0] = 0;
    const char *text = length > 2 ? message + 2 : "";
    char *newline = strchr(message, '\n');
    if (newline != NULL) {
        *newline = 0;
    }
    return err_set_errno(err, error, "mount '%s' at '%s': %s%s%s", mount->type, mount->destination,
                         what, text[0] == 0 ? "" : ": ", text);
}

static int set_option(int context, const char *option)
{
    const char *equals = strchr(option, '=');
    if (equals == NULL) {
        return kernel_result(fsconfig(context, FSCONFIG_SET_FLAG, option, NULL, 0));
    }
    char key[128];
    if ((size_t)(equals - option) >= sizeof key) {
        return -EINVAL;
    }
    (void)snprintf(key, sizeof key, "%.*s", (int)(equals - option), option);
    return kernel_result(fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1, 0));
}

/* devpts' gid=5 cannot be mapped in a small user namespace: it is dropped, as crun does. */
static bool is_unmappable(const struct rootfs *rootfs, const struct spec_mount *mount,
                          const char *option)
{
    return rootfs->has_user_ns && is_type(mount, "devpts") && strncmp(option, "gid=", 4) == 0;
}

static int configure(struct rootfs *rootfs, int context, const struct spec_mount *mount,
                     const struct mount_options *options, const char *mode, struct err *err)
{
    int rc = 0;
    if (mount->source != NULL && mount->source[0] != 0) {
        rc = kernel_result(fsconfig(context, FSCONFIG_SET_STRING, "source", mount->source, 0));
        if (rc < 0) {
            return explain(context, -rc, mount, "source", err);
        }
    }
    for (size_t i = 0; i < options->super.count; i++) {
        rc = kernel_result(fsconfig(context, FSCONFIG_SET_FLAG, options->super.items[i], NULL, 0));
        if (rc < 0) {
            return explain(context, -rc, mount, options->super.items[i], err);
        }
    }
    if (mode != NULL && (rc = set_option(context, mode)) < 0) {
        return explain(context, -rc, mount, mode, err);
    }
    for (size_t i = 0; i < options->data.count; i++) {
        rc = set_option(context, options->data.items[i]);
        if (rc < 0 && !is_unmappable(rootfs, mount, options->data.items[i])) {
            return explain(context, -rc, mount, options->data.items[i], err);
        }
    }
    rc = kernel_result(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    return rc < 0 ? explain(context, -rc, mount, "create", err) : 0;
}

static int new_mount(struct rootfs *rootfs, const struct spec_mount *mount,
                     const struct mount_options *options, const char *mode, struct err *err)
{
    CLEANUP(close_fd) int context = fsopen(mount->type, FSOPEN_CLOEXEC);
    if (context < 0) {
        return err_set_errno(err, errno, "mount at '%s': file system '%s'", mount->destination,
                             mount->type);
    }
    int rc = configure(rootfs, context, mount, options, mode, err);
    if (rc < 0) {
        return rc;
    }
    int fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
    return fd < 0 ? explain(context, errno, mount, "fsmount", err) : fd;
}

int rootfs_new_tmpfs(const char *mode, const char *size, uint64_t attributes, struct err *err)
{
    CLEANUP(close_fd) int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "mode", mode, 0) < 0 ||
        fsconfig(context, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        return err_set_errno(err, errno, "make a tmpfs");
    }
    int fd =
        fsmount(context, FSMOUNT_CLOEXEC,
                (unsigned)(attributes | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    return fd < 0 ? err_set_errno(err, errno, "make a tmpfs") : fd;
}

/* A tmpfs without mode= takes that of the directory it hides, so that /tmp stays 1777. */
static const char *tmpfs_mode(struct rootfs *rootfs, const struct mount_options *options,
                              int target)
{
    for (size_t i = 0; i < options->data.count; i++) {
        if (strncmp(options->data.items[i], "mode=", 5) == 0) {
            return NULL;
        }
    }
    struct stat info;
    if (fstat(target, &info) < 0) {
        return NULL;
    }
    return arena_printf(rootfs->arena, "mode=%o", info.st_mode & 07777);
}

static int attributes_error(const struct spec_mount *mount, int rc, struct err *err)
{
    return err_set_errno(err, -rc, "mount at '%s': set its options", mount->destination);
}

/* A file system that a user namespace may not mount anew (proc and sysfs without own pid or network
 * namespace): the host's, bound, as crun and podman do. */
static int bind_instead(struct rootfs *rootfs, const struct spec_mount *mount, struct err *err)
{
    bool may_bind = rootfs->has_user_ns &&
                    (is_type(mount, "sysfs") || is_type(mount, "proc") || is_type(mount, "mqueue"));
    if (!may_bind) {
        return err->code;
    }
    const char *source = is_type(mount, "sysfs")  ? "/sys"
                         : is_type(mount, "proc") ? "/proc"
                                                  : "/dev/mqueue";
    int fd = rootfs_clone_tree(AT_FDCWD, source, AT_RECURSIVE);
    if (fd >= 0) {
        report_debug("%s is bound from the host: %s", source, err->text);
    }
    return fd < 0 ? err->code : fd;
}

static int mount_filesystem(struct rootfs *rootfs, const struct spec_mount *mount,
                            struct mount_options *options, struct err *err)
{
    bool is_system = is_type(mount, "proc") || is_type(mount, "sysfs");
    bool is_dev = strcmp(mount->destination, "/dev") == 0;
    unsigned follow = is_system || is_dev || (options->flags & MOUNT_OPTION_DEST_NOFOLLOW) != 0
                          ? TARGET_NO_FOLLOW
                          : 0;
    CLEANUP(close_fd) int found = target_find(rootfs->root, mount->destination, follow);
    CLEANUP(close_fd)
    int target = target_make(rootfs->root, mount->destination, true, follow, err);
    struct stat info;
    if (target < 0) {
        return target;
    }
    /* A link here would move /proc, /sys or /dev where the image wants it (CVE-2023-28642). */
    if (fstat(target, &info) < 0 || !S_ISDIR(info.st_mode)) {
        return err_set(err, -ENOTDIR, "mount at '%s': %s must be mounted on ordinary directory",
                       mount->destination, mount->type);
    }
    const char *mode =
        is_type(mount, "tmpfs") && found >= 0 ? tmpfs_mode(rootfs, options, target) : NULL;
    CLEANUP(close_fd) int fd = new_mount(rootfs, mount, options, mode, err);
    if (fd < 0) {
        fd = bind_instead(rootfs, mount, err);
    }
    if (fd < 0) {
        return fd;
    }
    if ((options->flags & MOUNT_OPTION_TMPCOPYUP) != 0) {
        int rc = rootfs_copy_up(target, fd, err);
        if (rc < 0) {
            return rc;
        }
    }
    bool defer_readonly = is_dev && (options->set & MOUNT_ATTR_RDONLY) != 0;
    if (defer_readonly) {
        options->set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
    }
    int rc = rootfs_set_attributes(fd, options);
    if (rc < 0) {
        return attributes_error(mount, rc, err);
    }
    rc = rootfs_attach_at(rootfs, fd, target, mount->destination, err);
    if (rc == 0 && defer_readonly) {
        rootfs->dev_readonly = TAKE_FD(fd);
    }
    return rc;
}

/* Below the rootfs: what an earlier entry has mounted there counts. NULL: elsewhere on the host. */
static const char *source_in_root(const struct rootfs *rootfs, const struct spec_mount *mount)
{
    size_t size = strlen(rootfs->path);
    bool is_below = mount->source != NULL && strncmp(mount->source, rootfs->path, size) == 0 &&
                    mount->source[size] == '/' && size > 1;
    return is_below ? mount->source + size : NULL;
}

static int open_source_in_root(const struct rootfs *rootfs, const struct spec_mount *mount,
                               const struct mount_options *options, struct err *err)
{
    bool is_recursive = (options->flags & MOUNT_OPTION_RBIND) != 0;
    CLEANUP(close_fd) int place = target_find(rootfs->root, source_in_root(rootfs, mount), 0);
    int fd = place < 0 ? place : rootfs_clone_tree(place, "", is_recursive ? AT_RECURSIVE : 0U);
    return fd < 0 ? err_set_errno(err, -fd, "mount at '%s': bind '%s'", mount->destination,
                                  mount->source)
                  : fd;
}

static int open_source(const struct spec_mount *mount, const struct mount_options *options,
                       struct err *err)
{
    if (mount->source == NULL || mount->source[0] == 0) {
        return err_set(err, ERR_INVALID, "mount at '%s': a bind mount needs a source",
                       mount->destination);
    }
    bool is_recursive = (options->flags & MOUNT_OPTION_RBIND) != 0;
    unsigned flags = is_recursive ? AT_RECURSIVE : 0U;
    flags |= (options->flags & MOUNT_OPTION_SRC_NOFOLLOW) != 0 ? (unsigned)AT_SYMLINK_NOFOLLOW : 0U;
    int fd = rootfs_clone_tree(AT_FDCWD, mount->source, flags);
    return fd < 0 ? err_set_errno(err, -fd, "mount at '%s': bind '%s'", mount->destination,
                                  mount->source)
                  : fd;
}

/* The source is a link and the container gets the same link (crun's copy-symlink). */
static int copy_link(struct rootfs *rootfs, const struct spec_mount *mount, bool *ret_done,
                     struct err *err)
{
    char link[4096];
    ssize_t length = readlink(mount->source, link, sizeof link - 1);
    if (length < 0) {
        return 0; /* no link: an ordinary bind mount */
    }
    link[length] = 0;
    char name[256];
    CLEANUP(close_fd)
    int parent = target_make_parent(rootfs->root, mount->destination, name, sizeof name, err);
    if (parent < 0) {
        return parent;
    }
    if (symlinkat(link, parent, name) < 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "mount at '%s': link", mount->destination);
    }
    *ret_done = true;
    return 0;
}

static int mount_bind(struct rootfs *rootfs, size_t index, const struct mount_options *options,
                      struct err *err)
{
    const struct spec_mount *mount = &rootfs->spec->mounts.items[index];
    if ((options->flags & MOUNT_OPTION_COPY_SYMLINK) != 0) {
        bool is_done = false;
        int rc = copy_link(rootfs, mount, &is_done, err);
        if (rc < 0 || is_done) {
            return rc;
        }
    }
    CLEANUP(close_fd)
    int source = rootfs->sources[index] >= 0 ? TAKE_FD(rootfs->sources[index])
                 : source_in_root(rootfs, mount) != NULL
                     ? open_source_in_root(rootfs, mount, options, err)
                     : open_source(mount, options, err);
    struct stat info;
    if (source < 0) {
        return source;
    }
    if (fstat(source, &info) < 0) {
        return err_set_errno(err, errno, "mount at '%s': bind '%s'", mount->destination,
                             mount->source);
    }
    unsigned follow = (options->flags & MOUNT_OPTION_DEST_NOFOLLOW) != 0 ? TARGET_NO_FOLLOW : 0;
    CLEANUP(close_fd)
    int target = target_make(rootfs->root, mount->destination, S_ISDIR(info.st_mode), follow, err);
    if (target < 0) {
        return target;
    }
    int rc = rootfs_set_attributes(source, options);
    if (rc < 0) {
        return attributes_error(mount, rc, err);
    }
    rootfs->is_dev_bound |= strcmp(mount->destination, "/dev") == 0;
    return rootfs_attach_at(rootfs, source, target, mount->destination, err);
}

/* "remount": other attributes for what is mounted there already. */
static int remount(struct rootfs *rootfs, const struct spec_mount *mount,
                   const struct mount_options *options, struct err *err)
{
    CLEANUP(close_fd) int target = target_find(rootfs->root, mount->destination, 0);
    int rc = target < 0 ? target : rootfs_set_attributes(target, options);
    return rc < 0 ? attributes_error(mount, rc, err) : 0;
}

int rootfs_mount_all(struct rootfs *rootfs, struct err *err)
{
    for (size_t i = 0; i < rootfs->spec->mounts.count; i++) {
        const struct spec_mount *mount = &rootfs->spec->mounts.items[i];
        struct mount_options options;
        mount_options_parse(rootfs->arena, &mount->options, &options);
        int rc = 0;
        if ((options.flags & MOUNT_OPTION_REMOUNT) != 0) {
            rc = remount(rootfs, mount, &options, err);
        } else if (is_bind(mount, &options)) {
            rc = mount_bind(rootfs, i, &options, err);
        } else if (is_type(mount, "cgroup") || is_type(mount, "cgroup2")) {
            rc = rootfs_mount_cgroup(rootfs, mount, &options, err);
        } else if (mount->type == NULL || mount->type[0] == 0 || is_type(mount, "none")) {
            rc = err_set(err, ERR_INVALID, "mounts[%zu].type: missing", i);
        } else {
            rc = mount_filesystem(rootfs, mount, &options, err);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int set_idmap(struct rootfs *rootfs, const struct spec_mount *mount,
                     const struct mount_options *options, int fd, struct err *err)
{
    const struct spec_linux *linux_ = &rootfs->spec->linux_;
    bool has_own = mount->uid_mappings.count > 0;
    if (!has_own && linux_->uid_mappings.count == 0) {
        return err_set(err, ERR_INVALID, "mount at '%s': idmap needs uidMappings and gidMappings",
                       mount->destination);
    }
    CLEANUP(close_fd)
    int user_ns = idmap_open(has_own ? &mount->uid_mappings : &linux_->uid_mappings,
                             has_own ? &mount->gid_mappings : &linux_->gid_mappings, err);
    if (user_ns < 0) {
        return user_ns;
    }
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)user_ns};
    unsigned flags = AT_EMPTY_PATH;
    flags |= (options->flags & MOUNT_OPTION_RIDMAP) != 0 ? (unsigned)AT_RECURSIVE : 0U;
    int rc = kernel_result(mount_setattr(fd, "", flags, &attr, sizeof attr));
    return rc < 0 ? err_set_errno(err, -rc,
                                  "mount at '%s': idmapped mount of '%s' (failed to set "
                                  "MOUNT_ATTR_IDMAP)",
                                  mount->destination, mount->source)
                  : 0;
}

int rootfs_open_sources(struct rootfs *rootfs, struct err *err)
{
    if (rootfs->is_privileged && rootfs->has_user_ns) {
        /* Root of the container's user namespace need not be able to reach the place. */
        rootfs->tree = rootfs_clone_tree(AT_FDCWD, rootfs->path, AT_RECURSIVE);
        if (rootfs->tree < 0) {
            return err_set_errno(err, -rootfs->tree, "root.path: clone '%s'", rootfs->path);
        }
    }
    size_t count = rootfs->spec->mounts.count;
    rootfs->sources = arena_alloc(rootfs->arena, (count + 1) * sizeof(int));
    for (size_t i = 0; i < count; i++) {
        rootfs->sources[i] = -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct spec_mount *mount = &rootfs->spec->mounts.items[i];
        struct mount_options options;
        mount_options_parse(rootfs->arena, &mount->options, &options);
        bool idmapped = is_idmapped(mount, &options);
        /* Mounts made in the container reach the host only if the whole root is asked to be shared.
         */
        const char *root = rootfs->spec->linux_.rootfs_propagation;
        bool must_share =
            options.propagation == MS_SHARED && root != NULL && strstr(root, "shared") != NULL;
        if (!is_bind(mount, &options) || (options.flags & MOUNT_OPTION_REMOUNT) != 0 ||
            (options.flags & MOUNT_OPTION_COPY_SYMLINK) != 0) {
            if (idmapped && !is_bind(mount, &options)) {
                return err_set(err, ERR_UNSUPPORTED,
                               "mounts[%zu]: id mappings are only supported for bind mounts", i);
            }
            continue;
        }
        bool is_early = idmapped || must_share ||
                        (rootfs->has_user_ns && source_in_root(rootfs, mount) == NULL);
        if (!rootfs->is_privileged || !is_early) {
            continue;
        }
        CLEANUP(close_fd) int fd = open_source(mount, &options, err);
        if (fd < 0) {
            return fd;
        }
        if (idmapped) {
            int rc = set_idmap(rootfs, mount, &options, fd, err);
            if (rc < 0) {
                return rc;
            }
        }
        if (options.propagation == 0) {
            /* Made in the host's namespace it would be a peer of the host's mount. */
            struct mount_attr attr = {.propagation = MS_PRIVATE};
            int rc = kernel_result(
                mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr));
            if (rc < 0) {
                return attributes_error(mount, rc, err);
            }
        }
        rootfs->sources[i] = TAKE_FD(fd);
    }
    return 0;
}
