/* rootfs_devices.c - device nodes and links of /dev (runtime-spec config-linux.md "Default
 * Devices"). */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/kernel.h"
#include "runtime/container/rootfs.h"
#include "runtime/container/target.h"

static const struct spec_device default_devices[] = {
    {.type = "c", .path = "/dev/null", .major = 1, .minor = 3},
    {.type = "c", .path = "/dev/zero", .major = 1, .minor = 5},
    {.type = "c", .path = "/dev/full", .major = 1, .minor = 7},
    {.type = "c", .path = "/dev/random", .major = 1, .minor = 8},
    {.type = "c", .path = "/dev/urandom", .major = 1, .minor = 9},
    {.type = "c", .path = "/dev/tty", .major = 5, .minor = 0},
};

static mode_t node_type(const struct spec_device *device)
{
    return device->type[0] == 'b' ? S_IFBLK : device->type[0] == 'p' ? S_IFIFO : S_IFCHR;
}

/* A user namespace may not make nodes: the host's own is bound in its place. */
static int bind_node(struct rootfs *rootfs, const struct spec_device *device, struct err *err)
{
    const struct spec_device_list *devices = &rootfs->spec->linux_.devices;
    bool is_own =
        devices->count > 0 && device >= devices->items && device < devices->items + devices->count;
    int *made =
        is_own && rootfs->devices != NULL ? &rootfs->devices[device - devices->items] : NULL;
    CLEANUP(close_fd)
    int source =
        made != NULL && *made >= 0 ? TAKE_FD(*made) : rootfs_clone_tree(AT_FDCWD, device->path, 0);
    if (source < 0) {
        return err_set_errno(err, -source, "linux.devices: bind '%s' of the host", device->path);
    }
    const struct mount_options safe = {.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
    int rc = rootfs_set_attributes(source, &safe);
    if (rc < 0) {
        return err_set_errno(err, -rc, "linux.devices: '%s'", device->path);
    }
    CLEANUP(close_fd) int target = target_make(rootfs->root, device->path, false, 0, err);
    return target < 0 ? target : rootfs_attach_at(rootfs, source, target, device->path, err);
}

static int make_node(int parent, const char *name, const struct spec_device *device, mode_t mode)
{
    dev_t number = makedev((unsigned)device->major, (unsigned)device->minor);
    mode_t type = node_type(device);
    for (int i = 0; i < 2; i++) {
        if (mknodat(parent, name, type | mode, type == S_IFIFO ? 0 : number) == 0) {
            return 0;
        }
        struct stat info;
        if (errno != EEXIST) {
            return -errno;
        }
        bool is_same = fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                       (info.st_mode & S_IFMT) == type &&
                       (type == S_IFIFO || info.st_rdev == number);
        if (is_same) {
            return fchmodat(parent, name, mode, 0) < 0 ? -errno : 0;
        }
        if (unlinkat(parent, name, 0) < 0) {
            return -errno;
        }
    }
    return -EEXIST;
}

static uint32_t host_id(const struct spec_id_mappings *mappings, uint64_t id)
{
    for (size_t i = 0; i < mappings->count; i++) {
        const struct spec_id_mapping *mapping = &mappings->items[i];
        if (id >= mapping->container_id && id - mapping->container_id < mapping->size) {
            return mapping->host_id + (uint32_t)(id - mapping->container_id);
        }
    }
    return (uint32_t)id;
}

static int own_node(const struct rootfs *rootfs, int directory, const char *name,
                    const struct spec_device *device)
{
    const struct spec_linux *linux_ = &rootfs->spec->linux_;
    uid_t uid = host_id(&linux_->uid_mappings, device->uid.is_set ? device->uid.value : 0);
    gid_t gid = host_id(&linux_->gid_mappings, device->gid.is_set ? device->gid.value : 0);
    return fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* parent >= 0: the open directory of the path; the name is what follows its last slash. */
static int add_device(struct rootfs *rootfs, const struct spec_device *device, int dev_directory,
                      struct err *err)
{
    char name[256];
    CLEANUP(close_fd) int own_parent = -1;
    int parent = dev_directory;
    if (parent >= 0) {
        (void)snprintf(name, sizeof name, "%s", device->path + strlen("/dev/"));
    } else {
        own_parent = target_make_parent(rootfs->root, device->path, name, sizeof name, err);
        parent = own_parent;
        if (parent < 0) {
            return parent;
        }
    }
    mode_t mode = device->file_mode.is_set ? (mode_t)(device->file_mode.value & 07777) : 0666;
    int rc = rootfs->has_user_ns && !(device->type[0] == 'p')
                 ? -EPERM
                 : make_node(parent, name, device, mode);
    if (rc == -EPERM) {
        return bind_node(rootfs, device, err);
    }
    if (rc < 0) {
        return err_set_errno(err, -rc, "linux.devices: make '%s'", device->path);
    }
    if ((device->uid.is_set && device->uid.value != 0) ||
        (device->gid.is_set && device->gid.value != 0)) {
        uid_t uid = device->uid.is_set ? (uid_t)device->uid.value : 0;
        gid_t gid = device->gid.is_set ? (gid_t)device->gid.value : 0;
        if (fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0) {
            return err_set_errno(err, errno, "linux.devices: owner of '%s'", device->path);
        }
    }
    return 0;
}

static int add_link(int dev, const char *target, const char *name, bool replace, struct err *err)
{
    if (symlinkat(target, dev, name) == 0) {
        return 0;
    }
    if (errno == EEXIST && replace && unlinkat(dev, name, 0) == 0 &&
        symlinkat(target, dev, name) == 0) {
        return 0;
    }
    return errno == EEXIST || errno == EROFS ? 0 : err_set_errno(err, errno, "link /dev/%s", name);
}

static int add_links(struct rootfs *rootfs, int dev, struct err *err)
{
    static const struct {
        const char *target;
        const char *name;
    } links[] = {
        {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
        {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof links / sizeof links[0]; i++) {
        rc = add_link(dev, links[i].target, links[i].name, false, err);
    }
    bool has_pts = false;
    for (size_t i = 0; i < rootfs->spec->mounts.count; i++) {
        has_pts |= strcmp(rootfs->spec->mounts.items[i].destination, "/dev/pts") == 0;
    }
    return rc < 0 || !has_pts ? rc : add_link(dev, "pts/ptmx", "ptmx", true, err);
}

/* In a tmpfs of the host's user namespace, where nodes may be made; each is cloned out of it. */
int rootfs_open_devices(struct rootfs *rootfs, struct err *err)
{
    const struct spec_device_list *devices = &rootfs->spec->linux_.devices;
    if (!rootfs->has_user_ns || !rootfs->is_privileged || devices->count == 0) {
        return 0;
    }
    CLEANUP(close_fd) int directory = rootfs_new_tmpfs("0755", "1m", 0, err);
    if (directory < 0) {
        return directory;
    }
    const struct mount_options usable = {.clear = MOUNT_ATTR_NODEV};
    int rc = rootfs_set_attributes(directory, &usable);
    rootfs->devices = arena_alloc(rootfs->arena, devices->count * sizeof(int));
    mode_t before = umask(0);
    for (size_t i = 0; i < devices->count; i++) {
        char name[24];
        const struct spec_device *device = &devices->items[i];
        mode_t mode = device->file_mode.is_set ? (mode_t)(device->file_mode.value & 07777) : 0666;
        (void)snprintf(name, sizeof name, "%zu", i);
        rootfs->devices[i] = -1;
        rc = rc < 0 ? rc : make_node(directory, name, device, mode);
        if (rc == 0) {
            rc = own_node(rootfs, directory, name, device);
        }
        if (rc == 0) {
            /* Before Linux 6.15 nothing can be cloned out of a detached mount: then the host's own
             * device of that name is bound. */
            rootfs->devices[i] = rootfs_clone_tree(directory, name, 0);
        }
    }
    (void)umask(before);
    return rc < 0 ? err_set_errno(err, -rc, "linux.devices: make nodes") : 0;
}

int rootfs_make_devices(struct rootfs *rootfs, struct err *err)
{
    if (rootfs->is_dev_bound) {
        return 0;
    }
    CLEANUP(close_fd) int made = target_make(rootfs->root, "/dev", true, TARGET_NO_FOLLOW, err);
    struct stat info;
    if (made < 0) {
        return made;
    }
    if (fstat(made, &info) < 0 || !S_ISDIR(info.st_mode)) {
        return err_set(err, -ENOTDIR, "/dev in the container must be an ordinary directory");
    }
    const struct spec_device_list *devices = &rootfs->spec->linux_.devices;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof default_devices / sizeof default_devices[0]; i++) {
        bool is_configured = false;
        for (size_t j = 0; j < devices->count; j++) {
            is_configured |= strcmp(devices->items[j].path, default_devices[i].path) == 0;
        }
        rc = is_configured ? 0 : add_device(rootfs, &default_devices[i], made, err);
    }
    for (size_t i = 0; rc == 0 && i < devices->count; i++) {
        rc = add_device(rootfs, &devices->items[i], -1, err);
    }
    return rc < 0 ? rc : add_links(rootfs, made, err);
}
