#include "runtime/image/in_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

int in_root_open(int root_fd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
        .mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? mode : 0,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    const char *name = path[0] == '\0' ? "/" : path;
    for (int attempt = 0;; attempt++) {
        long fd = syscall(SYS_openat2, root_fd, name, &how, sizeof(how));
        if (fd >= 0) {
            return (int)fd;
        }
        /* EAGAIN: a rename elsewhere raced with "..", and the kernel asks to try again. */
        if ((errno != EAGAIN && errno != EINTR) || attempt >= 1000) {
            return -errno;
        }
    }
}

int in_root_make_directories(int root_fd, const char *path, mode_t mode)
{
    char prefix[PATH_MAX];
    size_t size = strlen(path);
    if (size >= sizeof(prefix)) {
        return -ENAMETOOLONG;
    }
    CLEANUP(close_fd) int at = in_root_open(root_fd, path, O_PATH | O_DIRECTORY, 0);
    if (at >= 0) {
        return 0;
    }
    if (at != -ENOENT) {
        return at;
    }
    for (size_t end = 1; end <= size; end++) {
        if (path[end] != '/' && path[end] != '\0') {
            continue;
        }
        memcpy(prefix, path, end);
        prefix[end] = '\0';
        int fd = in_root_open(root_fd, prefix, O_PATH | O_DIRECTORY, 0);
        if (fd >= 0) {
            (void)close(fd);
            continue;
        }
        if (fd != -ENOENT) {
            return fd;
        }
        char name[NAME_MAX + 1];
        CLEANUP(close_fd)
        int parent = in_root_open_parent(root_fd, prefix, false, name, sizeof(name));
        if (parent < 0) {
            return parent;
        }
        if (mkdirat(parent, name, mode) != 0 && errno != EEXIST) {
            return -errno;
        }
    }
    CLEANUP(close_fd) int made = in_root_open(root_fd, path, O_PATH | O_DIRECTORY, 0);
    return made < 0 ? made : 0;
}

int in_root_open_parent(int root_fd, const char *path, bool create, char *name, size_t name_size)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    size_t size = end - start;
    if (size == 0 || (size == 1 && path[start] == '.') ||
        (size == 2 && memcmp(path + start, "..", 2) == 0)) {
        return -EINVAL;
    }
    if (size >= name_size || size > NAME_MAX || start >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    char parent[PATH_MAX];
    memcpy(parent, path, start);
    parent[start] = '\0';
    int fd = in_root_open(root_fd, parent, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT && create) {
        int status = in_root_make_directories(root_fd, parent, 0755);
        if (status != 0) {
            return status;
        }
        fd = in_root_open(root_fd, parent, O_RDONLY | O_DIRECTORY, 0);
    }
    if (fd >= 0) {
        memcpy(name, path + start, size);
        name[size] = '\0';
    }
    return fd;
}

/* Empty the directory; each level by its own descriptor, so that a link swapped in is not entered.
 */
static int remove_children(int directory_fd, int depth)
{
    if (depth > 1000) {
        return -ELOOP;
    }
    DIR *directory = fdopendir(directory_fd);
    if (directory == NULL) {
        int saved = errno;
        (void)close(directory_fd);
        return -saved;
    }
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
            continue;
        }
        if (unlinkat(dirfd(directory), name, 0) == 0 || errno == ENOENT) {
            continue;
        }
        if (errno != EISDIR && errno != EPERM) {
            status = -errno;
            break;
        }
        int child = openat(dirfd(directory), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0 && errno == EACCES) {
            /* Not root: the owner may still give himself the permission. */
            (void)fchmodat(dirfd(directory), name, 0700, 0);
            child = openat(dirfd(directory), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        status = child < 0 ? -errno : remove_children(child, depth + 1);
        if (status == 0 && unlinkat(dirfd(directory), name, AT_REMOVEDIR) != 0) {
            status = -errno;
        }
    }
    (void)closedir(directory);
    return status;
}

int in_root_remove(int directory_fd, const char *name)
{
    if (unlinkat(directory_fd, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return -errno;
    }
    int child = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0) {
        return -errno;
    }
    (void)fchmod(child, 0700); /* only matters without root's rights */
    int status = remove_children(child, 0);
    if (status == 0 && unlinkat(directory_fd, name, AT_REMOVEDIR) != 0) {
        status = -errno;
    }
    return status;
}

int in_root_read_file(int root_fd, const char *path, size_t size_max, struct buf *out)
{
    /* O_NONBLOCK: a FIFO where a file is expected must not hang us. */
    CLEANUP(close_fd) int fd = in_root_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0) {
        return fd;
    }
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return -errno;
    }
    if (!S_ISREG(about.st_mode)) {
        return -EINVAL;
    }
    for (;;) {
        size_t room = 65536;
        ssize_t count = read(fd, buf_reserve(out, room), room);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return -errno;
        }
        if (count == 0) {
            return 0;
        }
        buf_commit(out, (size_t)count);
        if (buf_size(out) > size_max) {
            return ERR_TOO_LARGE;
        }
    }
}
