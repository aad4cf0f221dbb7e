#include "orchestrator/agent/volume_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum { JSON_SIZE_MAX = 16 << 20 };

int disk_make_directory(const char *path, uint32_t mode, struct err *err)
{
    CLEANUP(free) char *copy = mem_strdup(path);
    for (char *at = copy + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        const char saved = *at;
        *at = '\0';
        if (mkdir(copy, saved == '\0' ? mode : 0755) != 0 && errno != EEXIST) {
            return err_set_errno(err, errno, "create '%s'", copy);
        }
        if (saved == '\0') {
            return 0;
        }
        *at = saved;
    }
}

int disk_write(const char *path, struct bytes data, uint32_t mode, struct err *err)
{
    CLEANUP(free) char *temporary = mem_printf("%s.new", path);
    CLEANUP(close_fd)
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fchmod(fd, mode) != 0 ||
        (data.size > 0 && write(fd, data.data, data.size) != (ssize_t)data.size) ||
        rename(temporary, path) != 0) {
        return err_set_errno(err, errno == 0 ? EIO : errno, "write '%s'", path);
    }
    return 0;
}

int disk_read(const char *path, size_t size_max, struct buf *out, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no '%s'", path)
                               : err_set_errno(err, errno, "read '%s'", path);
    }
    while (buf_size(out) < size_max) {
        size_t room = size_max - buf_size(out) < 65536 ? size_max - buf_size(out) : 65536;
        ssize_t count = read(fd, buf_reserve(out, room), room);
        if (count < 0) {
            return err_set_errno(err, errno, "read '%s'", path);
        }
        if (count == 0) {
            return 0;
        }
        buf_commit(out, (size_t)count);
    }
    return 0;
}

json_t *disk_read_json(const char *path)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (disk_read(path, JSON_SIZE_MAX, &text, NULL) != 0) {
        return NULL;
    }
    return json_loadb((const char *)buf_bytes(&text).data, buf_size(&text), 0, NULL);
}

int disk_write_json(const char *path, const json_t *value, struct err *err)
{
    char *text = json_dumps(value, JSON_COMPACT);
    int status = disk_write(path, bytes_from_text(text), 0600, err);
    free(text);
    return status;
}

/* ---- atomic publication ---- */

static bool is_same(const char *directory, const struct volume_files *files)
{
    CLEANUP(free) char *index = mem_printf("%s/..data/", directory);
    for (size_t i = 0; i < files->count; i++) {
        CLEANUP(free) char *path = mem_printf("%s%s", index, files->items[i].path);
        CLEANUP(buf) struct buf present = BUF_INIT;
        struct stat about;
        size_t size = buf_size(&files->items[i].data);
        if (stat(path, &about) != 0 || (size_t)about.st_size != size ||
            disk_read(path, size + 1, &present, NULL) != 0 ||
            !bytes_equal(buf_bytes(&present), buf_bytes(&files->items[i].data))) {
            return false;
        }
    }
    return true;
}

/* Names at the top of the volume: the first part of each path. */
static size_t top_size(const char *path)
{
    return strcspn(path, "/");
}

static bool has_top(const struct volume_files *files, const char *name)
{
    for (size_t i = 0; i < files->count; i++) {
        const char *path = files->items[i].path;
        if (strlen(name) == top_size(path) && strncmp(path, name, top_size(path)) == 0) {
            return true;
        }
    }
    return false;
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        CLEANUP(free) char *child = mem_printf("%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (unlink(child) != 0 && errno == EISDIR) {
            remove_tree(child);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    (void)rmdir(path);
}

/* Links and old states that nothing names any more. True when there were links. */
static bool remove_stale(const char *directory, const struct volume_files *files,
                         const char *current, bool only_look)
{
    bool found = false;
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        const char *name = entry->d_name;
        CLEANUP(free) char *path = mem_printf("%s/%s", directory, name);
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "..data") == 0 ||
            strcmp(name, current) == 0) {
            continue;
        }
        bool is_link = strncmp(name, "..", 2) != 0;
        if (is_link && !has_top(files, name)) {
            found = true;
            if (!only_look) {
                (void)unlink(path);
            }
        } else if (!is_link && !only_look) {
            remove_tree(path);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return found;
}

static int write_state(const char *state, const struct volume_files *files, int64_t group,
                       struct err *err)
{
    int status = disk_make_directory(state, 0755, err);
    for (size_t i = 0; i < files->count && status == 0; i++) {
        const struct volume_file *file = &files->items[i];
        CLEANUP(free) char *path = mem_printf("%s/%s", state, file->path);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        status = disk_make_directory(path, 0755, err);
        *slash = '/';
        uint32_t mode = group >= 0 ? file->mode | 0040 : file->mode;
        if (status == 0) {
            status = disk_write(path, buf_bytes(&file->data), mode, err);
        }
        if (status == 0 && group >= 0 && lchown(path, 0, (gid_t)group) != 0) {
            status = err_set_errno(err, errno, "give '%s' to group %lld", path, (long long)group);
        }
    }
    return status;
}

static int link_tops(const char *directory, const struct volume_files *files, struct err *err)
{
    for (size_t i = 0; i < files->count; i++) {
        const char *path = files->items[i].path;
        CLEANUP(free) char *link = mem_printf("%s/%.*s", directory, (int)top_size(path), path);
        CLEANUP(free) char *target = mem_printf("..data/%.*s", (int)top_size(path), path);
        if (symlink(target, link) != 0 && errno != EEXIST) {
            return err_set_errno(err, errno, "create '%s'", link);
        }
    }
    return 0;
}

int disk_publish(const char *directory, const struct volume_files *files, int64_t group,
                 struct err *err)
{
    CLEANUP(free) char *data = mem_printf("%s/..data", directory);
    struct stat about;
    if (lstat(data, &about) == 0 && is_same(directory, files) &&
        !remove_stale(directory, files, "", true)) {
        return 0;
    }
    CLEANUP(free) char *name = mem_printf("..%llu", (unsigned long long)clock_monotonic_ns());
    CLEANUP(free) char *state = mem_printf("%s/%s", directory, name);
    CLEANUP(free) char *next = mem_printf("%s/..data_tmp", directory);
    int status = disk_make_directory(directory, 0755, err);
    if (status == 0) {
        status = write_state(state, files, group, err);
    }
    if (status != 0) {
        return status;
    }
    (void)unlink(next);
    if (symlink(name, next) != 0 || rename(next, data) != 0) {
        return err_set_errno(err, errno, "exchange '%s'", data);
    }
    status = link_tops(directory, files, err);
    (void)remove_stale(directory, files, name, false);
    return status;
}

/* ---- other volumes ---- */

int disk_empty(const char *directory, bool is_memory, int64_t size, int64_t group, struct err *err)
{
    int status = disk_make_directory(directory, 0777, err);
    struct statfs about;
    if (status != 0) {
        return status;
    }
    if (is_memory && (statfs(directory, &about) != 0 || about.f_type != TMPFS_MAGIC)) {
        CLEANUP(free)
        char *options =
            size > 0 ? mem_printf("mode=0777,size=%lld", (long long)size) : mem_strdup("mode=0777");
        if (mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) {
            return err_set_errno(err, errno, "mount a tmpfs at '%s'", directory);
        }
    }
    if (chmod(directory, group >= 0 ? 02777 : 0777) != 0 ||
        (group >= 0 && chown(directory, 0, (gid_t)group) != 0)) {
        return err_set_errno(err, errno, "set up '%s'", directory);
    }
    return 0;
}

int disk_host_path(const char *path, const char *type, struct err *err)
{
    struct stat about;
    bool exists = stat(path, &about) == 0;
    if (strcmp(type, "DirectoryOrCreate") == 0) {
        return exists ? 0 : disk_make_directory(path, 0755, err);
    }
    if (strcmp(type, "FileOrCreate") == 0 && !exists) {
        return disk_write(path, bytes_make(NULL, 0), 0644, err);
    }
    if (*type == '\0') {
        return exists ? 0 : disk_make_directory(path, 0755, err);
    }
    bool is_right = exists && ((strcmp(type, "Directory") == 0 && S_ISDIR(about.st_mode)) ||
                               (strncmp(type, "File", 4) == 0 && S_ISREG(about.st_mode)) ||
                               (strcmp(type, "Socket") == 0 && S_ISSOCK(about.st_mode)) ||
                               (strcmp(type, "CharDevice") == 0 && S_ISCHR(about.st_mode)) ||
                               (strcmp(type, "BlockDevice") == 0 && S_ISBLK(about.st_mode)));
    return is_right ? 0
                    : err_set(err, ERR_INVALID, "hostPath type check failed: %s is not a %s", path,
                              type);
}
