#include "runtime/words/copy_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/image/in_root.h"

enum { DEPTH_MAX = 1000, XATTR_ROOM = 65536 };

static int copy_any(int source_fd, const char *source_name, int target_fd, const char *target_name,
                    const struct copy_options *options, int depth, struct err *err);

static void copy_xattrs(int from, int to)
{
    CLEANUP(free) char *names = mem_alloc(XATTR_ROOM);
    CLEANUP(free) char *value = mem_alloc(XATTR_ROOM);
    ssize_t size = flistxattr(from, names, XATTR_ROOM);
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
        const char *name = names + at;
        bool is_wanted = strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
        ssize_t value_size = is_wanted ? fgetxattr(from, name, value, XATTR_ROOM) : -1;
        if (value_size >= 0) {
            (void)fsetxattr(to, name, value, (size_t)value_size, 0); /* as far as the target can */
        }
    }
}

static int apply(int fd, int source_fd, const struct stat *about,
                 const struct copy_options *options)
{
    uid_t uid = options->has_owner ? options->uid : about->st_uid;
    gid_t gid = options->has_owner ? options->gid : about->st_gid;
    if (geteuid() == 0 && fchown(fd, uid, gid) != 0) {
        return -errno;
    }
    if (fchmod(fd, about->st_mode & 07777) != 0) {
        return -errno;
    }
    copy_xattrs(source_fd, fd);
    const struct timespec times[2] = {about->st_atim, about->st_mtim};
    return futimens(fd, times) == 0 ? 0 : -errno;
}

static int copy_contents(int from, int to, int64_t size)
{
    while (size > 0) {
        ssize_t count = copy_file_range(from, NULL, to, NULL, (size_t)size, 0);
        if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) {
            char buffer[65536];
            count = read(from, buffer, sizeof(buffer));
            if (count > 0 && write(to, buffer, (size_t)count) != count) {
                return -EIO;
            }
        }
        if (count < 0 && errno != EINTR) {
            return -errno;
        }
        if (count == 0) {
            return 0;
        }
        size -= count < 0 ? 0 : count;
    }
    return 0;
}

static int copy_file(int source_fd, const char *source_name, int target_fd, const char *target_name,
                     const struct stat *about, const struct copy_options *options)
{
    CLEANUP(close_fd)
    int from = openat(source_fd, source_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0) {
        return -errno;
    }
    int status = in_root_remove(target_fd, target_name);
    if (status != 0) {
        return status;
    }
    CLEANUP(close_fd)
    int to =
        openat(target_fd, target_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0) {
        return -errno;
    }
    status = copy_contents(from, to, about->st_size);
    return status != 0 ? status : apply(to, from, about, options);
}

static int copy_link(int source_fd, const char *source_name, int target_fd, const char *target_name,
                     const struct stat *about, const struct copy_options *options)
{
    char text[PATH_MAX];
    ssize_t size = readlinkat(source_fd, source_name, text, sizeof(text) - 1);
    if (size < 0) {
        return -errno;
    }
    text[size] = '\0';
    int status = in_root_remove(target_fd, target_name);
    if (status == 0 && symlinkat(text, target_fd, target_name) != 0) {
        status = -errno;
    }
    if (status == 0 && geteuid() == 0 &&
        fchownat(target_fd, target_name, options->has_owner ? options->uid : about->st_uid,
                 options->has_owner ? options->gid : about->st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
        status = -errno;
    }
    return status;
}

static int copy_children(int from, int to, const struct copy_options *options, int depth,
                         struct err *err)
{
    int listing = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = listing < 0 ? NULL : fdopendir(listing);
    if (directory == NULL) {
        return err_set_errno(err, errno, "list a directory");
    }
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = copy_any(from, entry->d_name, to, entry->d_name, options, depth + 1, err);
        }
    }
    (void)closedir(directory);
    return status;
}

static int copy_subdirectory(int source_fd, const char *source_name, int target_fd,
                             const char *target_name, const struct stat *about,
                             const struct copy_options *options, int depth, struct err *err)
{
    if (mkdirat(target_fd, target_name, 0700) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "create directory '%s'", target_name);
    }
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    CLEANUP(close_fd) int from = openat(source_fd, source_name, flags);
    CLEANUP(close_fd) int to = openat(target_fd, target_name, flags);
    if (from < 0 || to < 0) {
        return err_set_errno(err, errno, "open directory '%s'", source_name);
    }
    int status = copy_children(from, to, options, depth, err);
    if (status == 0) {
        status = apply(to, from, about, options);
        status = status == 0 ? 0 : err_set_errno(err, -status, "copy '%s'", source_name);
    }
    return status;
}

static int copy_any(int source_fd, const char *source_name, int target_fd, const char *target_name,
                    const struct copy_options *options, int depth, struct err *err)
{
    struct stat about;
    if (depth > DEPTH_MAX) {
        return err_set(err, -ELOOP, "directories are nested too deeply");
    }
    if (fstatat(source_fd, source_name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set_errno(err, errno, "copy '%s'", source_name);
    }
    int status = 0;
    if (S_ISDIR(about.st_mode)) {
        return copy_subdirectory(source_fd, source_name, target_fd, target_name, &about, options,
                                 depth, err);
    }
    if (S_ISREG(about.st_mode)) {
        status = copy_file(source_fd, source_name, target_fd, target_name, &about, options);
    } else if (S_ISLNK(about.st_mode)) {
        status = copy_link(source_fd, source_name, target_fd, target_name, &about, options);
    } else if (!S_ISSOCK(about.st_mode)) {
        status = in_root_remove(target_fd, target_name);
        if (status == 0 && mknodat(target_fd, target_name, about.st_mode, about.st_rdev) != 0) {
            status = -errno;
        }
    }
    return status == 0 ? 0 : err_set_errno(err, -status, "copy '%s'", source_name);
}

int copy_directory(int source_fd, int target_fd, const struct copy_options *options,
                   struct err *err)
{
    struct stat about;
    int status = copy_children(source_fd, target_fd, options, 0, err);
    if (status == 0 && fstat(source_fd, &about) == 0) {
        status = apply(target_fd, source_fd, &about, options);
        status = status == 0 ? 0 : err_set_errno(err, -status, "copy a directory");
    }
    return status;
}

int copy_entry(int source_fd, const char *source_name, int target_fd, const char *target_name,
               const struct copy_options *options, struct err *err)
{
    return copy_any(source_fd, source_name, target_fd, target_name, options, 0, err);
}
