/* rootfs_copy.c - tmpcopyup: a fresh tmpfs starts with what the directory it hides contains. */
#include <dirent.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/kernel.h"
#include "runtime/container/rootfs.h"

enum { COPY_DEPTH_MAX = 64 };

static int copy_directory(int from, int to, unsigned depth);

static int copy_file(int from, int to, const char *name, const struct stat *info)
{
    CLEANUP(close_fd) int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    CLEANUP(close_fd)
    int out =
        in < 0 ? -1
               : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, info->st_mode & 07777);
    if (out < 0) {
        return -errno;
    }
    for (;;) {
        ssize_t count = sendfile(out, in, NULL, 1 << 20);
        if (count < 0) {
            return -errno;
        }
        if (count == 0) {
            return 0;
        }
    }
}

static int copy_link(int from, int to, const char *name)
{
    char link[4096];
    ssize_t length = readlinkat(from, name, link, sizeof link - 1);
    if (length < 0) {
        return -errno;
    }
    link[length] = 0;
    return symlinkat(link, to, name) < 0 ? -errno : 0;
}

static int copy_entry(int from, int to, const char *name, unsigned depth)
{
    struct stat info;
    if (fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
        return -errno;
    }
    int rc = 0;
    if (S_ISDIR(info.st_mode)) {
        if (mkdirat(to, name, info.st_mode & 07777) < 0) {
            return -errno;
        }
        CLEANUP(close_fd)
        int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        CLEANUP(close_fd)
        int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rc = in < 0 || out < 0 ? -errno : copy_directory(in, out, depth + 1);
    } else if (S_ISREG(info.st_mode)) {
        rc = copy_file(from, to, name, &info);
    } else if (S_ISLNK(info.st_mode)) {
        rc = copy_link(from, to, name);
    } else {
        return mknodat(to, name, info.st_mode, info.st_rdev) < 0 ? -errno : 0;
    }
    if (rc < 0) {
        return rc;
    }
    if (fchownat(to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) < 0) {
        return -errno;
    }
    if (!S_ISLNK(info.st_mode) && fchmodat(to, name, info.st_mode & 07777, 0) < 0) {
        return -errno; /* after chown, which clears the set-id bits */
    }
    const struct timespec times[2] = {info.st_atim, info.st_mtim};
    (void)utimensat(to, name, times, AT_SYMLINK_NOFOLLOW); /* cosmetic */
    return 0;
}

static int copy_directory(int from, int to, unsigned depth)
{
    if (depth > COPY_DEPTH_MAX) {
        return -ELOOP;
    }
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (stream == NULL) {
        return -errno;
    }
    int rc = 0;
    for (struct dirent *entry = readdir(stream); entry != NULL && rc == 0;
         entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            rc = copy_entry(dirfd(stream), to, entry->d_name, depth);
        }
    }
    (void)closedir(stream); /* only read from */
    return rc;
}

int rootfs_copy_up(int from, int to, struct err *err)
{
    struct stat info;
    int rc = copy_directory(from, to, 0);
    if (rc == 0 &&
        (fstat(from, &info) < 0 || fchownat(to, "", info.st_uid, info.st_gid, AT_EMPTY_PATH) < 0 ||
         fchmodat(to, ".", info.st_mode & 07777, 0) < 0)) {
        rc = -errno;
    }
    return rc < 0 ? err_set_errno(err, -rc, "tmpcopyup") : 0;
}
