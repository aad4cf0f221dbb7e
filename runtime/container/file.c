#include "runtime/container/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int file_read(int dir, const char *path, size_t size_max, struct buf *out)
{
    CLEANUP(close_fd) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    size_t total = 0;
    for (;;) {
        uint8_t *place = buf_reserve(out, 4096);
        ssize_t count = read(fd, place, out->capacity - out->end);
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
        total += (size_t)count;
        if (total > size_max) {
            return ERR_TOO_LARGE;
        }
    }
}

int file_read_text(int dir, const char *path, char *text, size_t size)
{
    CLEANUP(close_fd) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    size_t used = 0;
    while (used < size - 1) {
        ssize_t count = read(fd, text + used, size - 1 - used);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return -errno;
        }
        if (count == 0) {
            break;
        }
        used += (size_t)count;
    }
    while (used > 0 && text[used - 1] == '\n') {
        used--;
    }
    text[used] = 0;
    return (int)used;
}

int file_write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t count = write(fd, at, size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return -errno;
        }
        at += count;
        size -= (size_t)count;
    }
    return 0;
}

/* One write call: a control file takes each call as a command of its own. */
int file_write(int dir, const char *path, const char *text)
{
    CLEANUP(close_fd) int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ssize_t count = 0;
    do {
        count = write(fd, text, strlen(text));
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : 0;
}

int file_replace(int dir, const char *path, struct bytes contents, mode_t mode)
{
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.%d.new", path, getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return -ENAMETOOLONG;
    }
    CLEANUP(close_fd)
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return -errno;
    }
    int rc = file_write_all(fd, contents.data, contents.size);
    if (rc == 0 && renameat(dir, temporary, dir, path) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void)unlinkat(dir, temporary, 0); /* the error is told already */
    }
    return rc;
}

int file_create(int dir, const char *path, struct bytes contents, mode_t mode)
{
    CLEANUP(close_fd)
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    return fd < 0 ? -errno : file_write_all(fd, contents.data, contents.size);
}

int file_make_directories(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST) {
        return 0;
    }
    if (errno != ENOENT) {
        return -errno;
    }
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof copy) {
        return -ENAMETOOLONG;
    }
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, mode) < 0 && errno != EEXIST) {
            return -errno;
        }
        *slash = '/';
    }
    return mkdir(copy, mode) < 0 && errno != EEXIST ? -errno : 0;
}

int file_remove_tree(int dir, const char *path)
{
    if (unlinkat(dir, path, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return 0;
    }
    int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    int rc = 0;
    for (struct dirent *entry = readdir(stream); entry != NULL && rc == 0;
         entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(dirfd(stream), entry->d_name, 0) < 0 && errno != ENOENT) {
            rc = errno == EISDIR ? file_remove_tree(dirfd(stream), entry->d_name) : -errno;
        }
    }
    (void)closedir(stream); /* only read from */
    if (rc == 0 && unlinkat(dir, path, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        rc = -errno;
    }
    return rc;
}
