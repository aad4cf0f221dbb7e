#include "runtime/container/target.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "runtime/container/kernel.h"

enum { LINKS_MAX = 40 };

static const uint64_t IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

int target_find(int root, const char *path, unsigned flags)
{
    uint64_t how = O_PATH | ((flags & TARGET_NO_FOLLOW) != 0 ? O_NOFOLLOW : 0);
    return kernel_openat2(root, path[0] == 0 ? "." : path, how, 0, IN_ROOT);
}

/* Make one missing component; an O_PATH descriptor of it. */
static int make_component(int parent, const char *name, bool is_directory)
{
    if (is_directory) {
        if (mkdirat(parent, name, 0755) < 0) {
            return -errno;
        }
        return kernel_openat2(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, IN_ROOT);
    }
    int fd = kernel_openat2(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0755, IN_ROOT);
    if (fd < 0) {
        return fd;
    }
    (void)close(fd); /* an empty file */
    return kernel_openat2(parent, name, O_PATH | O_NOFOLLOW, 0, IN_ROOT);
}

/* path[0..at) names a dangling link: put what it points to in its place. */
static int substitute_link(int parent, const char *name, char *path, size_t at, size_t size)
{
    char link[PATH_MAX];
    ssize_t length = readlinkat(parent, name, link, sizeof link - 1);
    if (length < 0) {
        return -errno;
    }
    link[length] = 0;
    char rest[PATH_MAX];
    (void)snprintf(rest, sizeof rest, "%s", path + at);
    size_t keep = 0;
    if (link[0] != '/') {
        path[at] = 0;
        const char *slash = strrchr(path, '/');
        keep = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    }
    int written = snprintf(path + keep, size - keep, "%s%s", link, rest);
    return written < 0 || (size_t)written >= size - keep ? -ENAMETOOLONG : 0;
}

/* One walk down path, making what is missing; -EAGAIN: path was rewritten at a dangling link. */
static int walk(int root, char *path, size_t size, bool is_directory)
{
    CLEANUP(close_fd) int parent = kernel_openat2(root, ".", O_PATH | O_DIRECTORY, 0, IN_ROOT);
    if (parent < 0) {
        return parent;
    }
    size_t at = 0;
    for (;;) {
        at += strspn(path + at, "/");
        size_t length = strcspn(path + at, "/");
        if (length == 0) {
            return TAKE_FD(parent);
        }
        size_t end = at + length;
        bool is_last = path[end + strspn(path + end, "/")] == 0;
        char name[NAME_MAX + 1];
        if (length > NAME_MAX) {
            return -ENAMETOOLONG;
        }
        memcpy(name, path + at, length);
        name[length] = 0;
        char saved = path[end];
        path[end] = 0;
        int next = target_find(root, path, 0);
        path[end] = saved;
        if (next == -ENOENT && strcmp(name, "..") != 0 && strcmp(name, ".") != 0) {
            next = make_component(parent, name, !is_last || is_directory);
            if (next == -EEXIST) {
                int rc = substitute_link(parent, name, path, end, size);
                return rc < 0 ? rc : -EAGAIN;
            }
        }
        if (next < 0) {
            return next;
        }
        (void)close(parent); /* O_PATH */
        parent = next;
        at = end;
    }
}

int target_make(int root, const char *path, bool is_directory, unsigned flags, struct err *err)
{
    int fd = target_find(root, path, flags);
    char copy[PATH_MAX];
    int length = snprintf(copy, sizeof copy, "%s", path);
    if (length < 0 || (size_t)length >= sizeof copy) {
        return err_set_errno(err, ENAMETOOLONG, "'%.60s...' in the container", path);
    }
    for (int i = 0; fd == -ENOENT || fd == -EAGAIN; i++) {
        if (i == LINKS_MAX) {
            fd = -ELOOP;
            break;
        }
        fd = walk(root, copy, sizeof copy, is_directory);
    }
    return fd < 0 ? err_set_errno(err, -fd, "make '%s' in the container's root", path) : fd;
}

int target_make_parent(int root, const char *path, char *name, size_t name_size, struct err *err)
{
    char copy[PATH_MAX];
    int length = snprintf(copy, sizeof copy, "%s", path);
    if (length < 0 || (size_t)length >= sizeof copy) {
        return err_set_errno(err, ENAMETOOLONG, "'%.60s...' in the container", path);
    }
    while (length > 1 && copy[length - 1] == '/') {
        copy[--length] = 0;
    }
    char *slash = strrchr(copy, '/');
    const char *last = slash == NULL ? copy : slash + 1;
    if (last[0] == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0 ||
        strlen(last) >= name_size) {
        return err_set(err, ERR_INVALID, "'%s' names no file in the container", path);
    }
    (void)snprintf(name, name_size, "%s", last);
    if (slash == NULL) {
        copy[0] = 0;
    } else {
        *slash = 0;
    }
    return target_make(root, copy[0] == 0 ? "/" : copy, true, 0, err);
}
