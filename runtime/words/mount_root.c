#include "runtime/words/mount_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"

/* <linux/mount.h> and <sys/mount.h> of this libc cannot be included together. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data);
int umount2(const char *target, int flags);
enum { FLAG_REC = 16384, FLAG_SLAVE = 1 << 19, FLAG_DETACH = 2 };

int mount_root_isolate(struct err *err)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, FLAG_REC | FLAG_SLAVE, NULL) != 0) {
        return err_set_errno(err, errno, "make a private mount namespace");
    }
    return 0;
}

static int configure(int context, const char *key, const char *value)
{
    return syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0) == 0 ? 0 : -errno;
}

/* One call a layer: no limit of one page for all their names. Linux 6.7 and newer. */
static int mount_by_calls(const struct store *store, const struct container *container,
                          const json_t *layers, const char *target)
{
    CLEANUP(close_fd) int context = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    if (context < 0) {
        return -errno;
    }
    int status = 0;
    for (size_t i = json_array_size(layers); status == 0 && i > 0; i--) {
        const char *hex = json_string_value(json_array_get(layers, i - 1));
        CLEANUP(free) char *path = image_layer_path(store, hex);
        status = configure(context, "lowerdir+", path);
    }
    CLEANUP(free) char *upper = mem_printf("%s/upper", container->directory);
    CLEANUP(free) char *work = mem_printf("%s/work", container->directory);
    if (status != 0 || (status = configure(context, "upperdir", upper)) != 0 ||
        (status = configure(context, "workdir", work)) != 0 ||
        (!store->is_root &&
         (status = syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) == 0
                       ? 0
                       : -errno) != 0)) {
        return status;
    }
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
        return -errno;
    }
    CLEANUP(close_fd) int tree = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
    if (tree < 0 ||
        syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        return -errno;
    }
    return 0;
}

static int mount_by_text(const struct store *store, const struct container *container,
                         const json_t *layers, const char *target)
{
    CLEANUP(buf) struct buf options = BUF_INIT;
    buf_append_text(&options, "lowerdir=");
    for (size_t i = json_array_size(layers); i > 0; i--) {
        CLEANUP(free)
        char *path = image_layer_path(store, json_string_value(json_array_get(layers, i - 1)));
        buf_append_format(&options, "%s%s", path, i > 1 ? ":" : "");
    }
    buf_append_format(&options, ",upperdir=%s/upper,workdir=%s/work%s", container->directory,
                      container->directory, store->is_root ? "" : ",userxattr");
    return mount("overlay", target, "overlay", 0, buf_text(&options)) == 0 ? 0 : -errno;
}

static int make_directories(const struct container *container, struct err *err)
{
    static const char *const names[] = {"upper", "work", "merged"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (mkdirat(container->directory_fd, names[i], 0755) != 0 && errno != EEXIST) {
            return err_set_errno(err, errno, "create '%s/%s'", container->directory, names[i]);
        }
    }
    return 0;
}

int mount_root(const struct store *store, const struct container *container, int *ret_fd,
               struct err *err)
{
    const json_t *layers = json_object_get(container->document, "layers");
    CLEANUP(free) char *target = mem_printf("%s/merged", container->directory);
    int status = make_directories(container, err);
    if (status != 0) {
        return status;
    }
    struct statfs about;
    bool is_mounted = statfs(target, &about) == 0 && about.f_type == OVERLAYFS_SUPER_MAGIC;
    if (!is_mounted && json_array_size(layers) == 0) {
        /* FROM scratch without a layer: overlayfs wants one below, so the upper one stands alone.
         */
        CLEANUP(free) char *upper = mem_printf("%s/upper", container->directory);
        status = mount(upper, target, NULL, 4096 /* MS_BIND */, NULL) == 0 ? 0 : -errno;
    } else if (!is_mounted) {
        status = mount_by_calls(store, container, layers, target);
        if (status == -EINVAL || status == -ENOSYS) {
            status = mount_by_text(store, container, layers, target);
        }
    }
    if (status != 0) {
        return err_set_errno(err, -status, "mount the root file system of container %.12s",
                             container->id);
    }
    *ret_fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : err_set_errno(err, errno, "open '%s'", target);
}

void mount_root_unmount(const struct container *container)
{
    CLEANUP(free) char *target = mem_printf("%s/merged", container->directory);
    (void)umount2(target, FLAG_DETACH); /* EINVAL: not mounted in this namespace */
}
