/* build_copy_tree.c - files and directories from a source into a root, or into a hash. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build_copy.h"
#include "runtime/image/extract.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"

static int visit_directory(struct copy *copy, int source_fd, int target_fd, const char *path,
                           int depth, struct err *err);

/* With the NULs, so that "ab" "c" is not "a" "bc". */
void copy_hash_text(struct copy *copy, const char *what, const char *text, unsigned value)
{
    hash_update(copy->hash, bytes_make(what, strlen(what) + 1));
    hash_update(copy->hash, bytes_make(text, strlen(text) + 1));
    hash_update(copy->hash, bytes_make(&value, sizeof(value)));
}

static int hash_file(struct copy *copy, int source_fd, const char *name, int64_t size,
                     struct err *err)
{
    CLEANUP(close_fd) int fd = openat(source_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open '%s'", name);
    }
    CLEANUP(stream)
    struct stream *stream = stream_new_hash(stream_new_file(fd, 0, size), copy->hash);
    return stream_drain(stream, err);
}

/* Octal digits, or who op what, separated by commas. */
int copy_mode_apply(const char *text, mode_t old, bool is_directory, mode_t *ret)
{
    char *end = NULL;
    unsigned long octal = strtoul(text, &end, 8);
    if (text[0] >= '0' && text[0] <= '7') {
        *ret = (mode_t)octal;
        return *end == '\0' && octal <= 07777 ? 0 : ERR_MALFORMED;
    }
    mode_t mode = old & 07777;
    for (const char *at = text; *at != '\0';) {
        mode_t who = 0;
        for (; *at != '\0' && strchr("ugoa", *at) != NULL; at++) {
            who |= *at == 'u' ? 04700 : *at == 'g' ? 02070 : *at == 'o' ? 01007 : 07777;
        }
        who = who == 0 ? 07777 : who;
        char action = *at;
        mode_t bits = 0;
        if (action == '\0' || strchr("+-=", action) == NULL) {
            return ERR_MALFORMED;
        }
        for (at++; *at != '\0' && *at != ','; at++) {
            bool has_any_x = is_directory || (mode & 0111) != 0;
            bits |= *at == 'r'   ? 0444
                    : *at == 'w' ? 0222
                    : *at == 'x' ? 0111
                    : *at == 'X' ? (has_any_x ? 0111 : 0)
                    : *at == 's' ? 06000
                    : *at == 't' ? 01000
                                 : 0100000;
        }
        if ((bits & 0100000) != 0) {
            return ERR_MALFORMED;
        }
        mode = action == '+'   ? mode | (bits & who)
               : action == '-' ? mode & ~(bits & who)
                               : (mode & ~(who & 0777)) | (bits & who);
        at += *at == ',' ? 1 : 0;
    }
    *ret = mode;
    return 0;
}

static int apply_mode(const struct copy *copy, int target_fd, const char *name, mode_t old,
                      struct err *err)
{
    mode_t mode = 0;
    if (copy->mode == NULL || S_ISLNK(old)) {
        return 0;
    }
    int status = copy_mode_apply(copy->mode, old, S_ISDIR(old), &mode);
    if (status != 0) {
        return err_set(err, ERR_MALFORMED, "--chmod: '%.40s' is no mode", copy->mode);
    }
    return fchmodat(target_fd, name, mode, 0) == 0
               ? 0
               : err_set_errno(err, errno, "set the mode of '%s'", name);
}

/* Devices, sockets and pipes of the context could be anything of this machine. */
static bool is_special(const struct copy *copy, mode_t mode)
{
    return copy->source.key == NULL && !S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode);
}

/* target_fd is -1 while hashing. */
static int visit(struct copy *copy, int source_fd, const char *name, int target_fd,
                 const char *target_name, const char *path, int depth, struct err *err)
{
    struct stat about;
    if (depth > COPY_DEPTH_MAX || fstatat(source_fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set_errno(err, depth > COPY_DEPTH_MAX ? ELOOP : errno, "'%s'", path);
    }
    if (is_special(copy, about.st_mode)) {
        return err_set(
            err, ERR_UNSUPPORTED,
            "'%.200s' is a device, a socket or a pipe; only files, directories and links "
            "can be copied from a context",
            path);
    }
    if (copy->hash != NULL) {
        char link[PATH_MAX] = "";
        copy_hash_text(copy, target_name, path, about.st_mode);
        if (S_ISREG(about.st_mode)) {
            return hash_file(copy, source_fd, name, about.st_size, err);
        }
        if (S_ISLNK(about.st_mode) && readlinkat(source_fd, name, link, sizeof(link) - 1) > 0) {
            copy_hash_text(copy, "link", link, 0);
        }
    }
    if (!S_ISDIR(about.st_mode)) {
        int status = copy->hash != NULL
                         ? 0
                         : copy_entry(source_fd, name, target_fd, target_name, &copy->owner, err);
        return status != 0 || copy->hash != NULL
                   ? status
                   : apply_mode(copy, target_fd, target_name, about.st_mode, err);
    }
    CLEANUP(close_fd)
    int from = openat(source_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(close_fd) int to = -1;
    if (from < 0) {
        return err_set_errno(err, errno, "open '%s'", path);
    }
    if (copy->hash == NULL) {
        if (mkdirat(target_fd, target_name, 0755) != 0 && errno != EEXIST) {
            return err_set_errno(err, errno, "create '%s'", target_name);
        }
        to = openat(target_fd, target_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (to < 0 || fchmod(to, about.st_mode & 07777) != 0 ||
            (copy->owner.has_owner && fchown(to, copy->owner.uid, copy->owner.gid) != 0)) {
            return err_set_errno(err, errno, "create '%s'", target_name);
        }
        int status = apply_mode(copy, target_fd, target_name, about.st_mode, err);
        if (status != 0) {
            return status;
        }
    }
    int status = visit_directory(copy, from, to, path, depth, err);
    if (status == 0 && copy->hash == NULL) {
        const struct timespec times[2] = {about.st_mtim, about.st_mtim};
        (void)futimens(to, times); /* after what is in it; the layer is as good without */
    }
    return status;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visit_directory(struct copy *copy, int source_fd, int target_fd, const char *path,
                           int depth, struct err *err)
{
    struct dirent **entries = NULL;
    int count = scandirat(source_fd, ".", &entries, NULL, compare_names);
    if (count < 0) {
        return err_set_errno(err, errno, "list '%s'", path);
    }
    int status = 0;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        CLEANUP(free) char *child = mem_printf("%s%s%s", path, path[0] == '\0' ? "" : "/", name);
        bool is_wanted = strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
        if (status == 0 && is_wanted && !copy_is_left_out(copy, child)) {
            status = visit(copy, source_fd, name, target_fd, name, child, depth + 1, err);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

bool copy_is_directory(int fd, const char *path)
{
    CLEANUP(close_fd) int directory = in_root_open(fd, path, O_RDONLY | O_DIRECTORY, 0);
    return directory >= 0;
}

/* A local archive by its content; ADD unpacks it. */
static bool is_archive(int fd)
{
    uint8_t magic[262];
    ssize_t size = pread(fd, magic, sizeof(magic), 0);
    bool is_compressed =
        size >= 4 &&
        ((magic[0] == 0x1f && magic[1] == 0x8b) ||
         (magic[0] == 0x28 && magic[1] == 0xb5 && magic[2] == 0x2f && magic[3] == 0xfd) ||
         memcmp(magic, "BZh", 3) == 0 ||
         memcmp(magic,
                "\xfd"
                "7zX",
                4) == 0);
    return is_compressed ||
           (size == (ssize_t)sizeof(magic) && memcmp(magic + 257, "ustar", 5) == 0);
}

static int unpack(struct copy *copy, int fd, int64_t size, int target, struct err *err)
{
    const struct extract_options options = {
        .keeps_owner = geteuid() == 0,
        .has_fixed_owner = copy->has_owner,
        .uid = copy->owner.uid,
        .gid = copy->owner.gid,
    };
    struct extract_result result;
    CLEANUP(stream)
    struct stream *stream = stream_new_decompress(stream_new_file(fd, 0, size), EXTRACT_BYTES_MAX);
    return extract_tar(stream, target, &options, &result, err);
}

/* 1: it was an archive and is unpacked. Of what is compressed and no archive inside, -1 of this
 * function's own is not told from other errors: it is copied as a file. */
static int try_unpack(struct copy *copy, const struct copy_source *source, int root_fd,
                      struct err *err)
{
    CLEANUP(close_fd)
    int fd = source->fd >= 0
                 ? fcntl(source->fd, F_DUPFD_CLOEXEC, 3)
                 : in_root_open(copy->source.fd, source->path, O_RDONLY | O_NONBLOCK, 0);
    CLEANUP(close_fd) int plain = -1;
    struct stat about;
    bool is_wanted = copy->instruction->kind == DOCKERFILE_ADD &&
                     (source->fd < 0 || copy->unpacks) && copy->source.uses_ignore;
    if (!is_wanted || fd < 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) ||
        !is_archive(fd)) {
        return 0;
    }
    char magic[2] = "";
    if (pread(fd, magic, sizeof(magic), 0) == 2 && (magic[0] == 'B' || magic[0] == '\xfd')) {
        int status = build_decompress(copy->build, fd, &plain, err);
        if (status != 0 || fstat(plain, &about) != 0) {
            return status;
        }
    }
    int status = in_root_make_directories(root_fd, copy->target, 0755);
    CLEANUP(close_fd)
    int target =
        status != 0 ? status : in_root_open(root_fd, copy->target, O_RDONLY | O_DIRECTORY, 0);
    if (target < 0) {
        return err_set_errno(err, -target, "open '%s'", copy->target);
    }
    status = unpack(copy, plain >= 0 ? plain : fd, about.st_size, target, err);
    return status == 0 ? 1 : status;
}

/* A download: a file of its own, or its bytes for the key. */
static int copy_download(struct copy *copy, const struct copy_source *source, int root_fd,
                         struct err *err)
{
    struct stat about;
    if (fstat(source->fd, &about) != 0) {
        return err_set_errno(err, errno, "read a download");
    }
    CLEANUP(stream)
    struct stream *stream = stream_new_file(source->fd, 0, about.st_size);
    if (copy->hash != NULL) {
        copy_hash_text(copy, "url", source->path, 0);
        stream = stream_new_hash(stream, copy->hash);
        return stream_drain(stream, err);
    }
    bool is_inside = copy->is_target_directory || copy_is_directory(root_fd, copy->target);
    CLEANUP(free)
    char *target =
        mem_printf("%s%s%s", copy->target, is_inside ? "/" : "", is_inside ? source->path : "");
    char name[NAME_MAX + 1];
    CLEANUP(close_fd) int parent = in_root_open_parent(root_fd, target, true, name, sizeof(name));
    int removed = parent < 0 ? parent : in_root_remove(parent, name);
    CLEANUP(close_fd)
    int fd = removed < 0 && removed != -ENOENT
                 ? removed
                 : openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "write '%s'", target);
    }
    int64_t size = 0;
    int status = stream_copy(stream, fd, &size, err);
    const struct timespec times[2] = {{.tv_sec = source->mtime_s}, {.tv_sec = source->mtime_s}};
    if (status == 0 && (fchown(fd, copy->owner.uid, copy->owner.gid) != 0 ||
                        fchmod(fd, 0600) != 0 || futimens(fd, times) != 0)) {
        status = err_set_errno(err, errno, "write '%s'", target);
    }
    return status == 0 ? apply_mode(copy, parent, name, S_IFREG | 0600, err) : status;
}

/* A source that is a link itself stands for what it leads to, inside of the source. */
static const char *follow_links(const struct copy *copy, const char *path)
{
    enum { LINKS_MAX = 40 };
    struct arena *arena = &copy->build->arena;
    for (int i = 0; i < LINKS_MAX; i++) {
        char target[PATH_MAX];
        CLEANUP(close_fd) int fd = in_root_open(copy->source.fd, path, O_PATH | O_NOFOLLOW, 0);
        ssize_t size = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);
        if (size <= 0) {
            break;
        }
        target[size] = '\0';
        const char *slash = strrchr(path, '/');
        int parent_size = slash == NULL ? 0 : (int)(slash - path) + 1;
        path = target[0] == '/' ? arena_strdup(arena, target + 1)
                                : arena_printf(arena, "%.*s%s", parent_size, path, target);
    }
    return path;
}

int copy_one_source(struct copy *copy, const struct copy_source *one, int root_fd, struct err *err)
{
    const char *source = one->path;
    int status = copy->hash != NULL ? 0 : try_unpack(copy, one, root_fd, err);
    if (status != 0) {
        return status < 0 ? status : 0;
    }
    if (one->fd >= 0) {
        return copy_download(copy, one, root_fd, err);
    }
    /* A directory gives its contents, a file goes under its own or the target's name. */
    if (source[0] == '\0' || copy_is_directory(copy->source.fd, source)) {
        CLEANUP(close_fd)
        int from = in_root_open(copy->source.fd, source, O_RDONLY | O_DIRECTORY, 0);
        CLEANUP(close_fd) int to = -1;
        if (from >= 0 && copy->hash == NULL) {
            CLEANUP(free)
            char *into = mem_printf("%s%s%s", copy->target, copy->has_parents ? "/" : "",
                                    copy->has_parents ? source : "");
            bool is_new = !copy_is_directory(root_fd, into);
            int made = in_root_make_directories(root_fd, into, 0755);
            to = made != 0 ? made : in_root_open(root_fd, into, O_RDONLY | O_DIRECTORY, 0);
            if (to < 0) {
                return err_set_errno(err, -to, "open '%s'", into);
            }
            if (is_new && fchown(to, copy->owner.uid, copy->owner.gid) != 0) {
                return err_set_errno(err, errno, "own '%s'", into);
            }
        }
        return from < 0 ? err_set_errno(err, -from, "open '%s'", source)
                        : visit_directory(copy, from, to, source, 0, err);
    }
    char name[NAME_MAX + 1];
    char target_name[NAME_MAX + 1];
    const char *slash = strrchr(source, '/');
    const char *own_name = slash == NULL ? source : slash + 1;
    CLEANUP(close_fd)
    int from =
        in_root_open_parent(copy->source.fd, follow_links(copy, source), false, name, sizeof(name));
    if (from < 0) {
        return err_set_errno(err, -from, "open '%s'", source);
    }
    if (copy->hash != NULL) {
        return visit(copy, from, name, -1, own_name, source, 0, err);
    }
    bool is_inside = copy->is_target_directory || copy_is_directory(root_fd, copy->target);
    CLEANUP(free)
    char *target = mem_printf("%s%s%s", copy->target, is_inside ? "/" : "",
                              copy->has_parents ? source
                              : is_inside       ? own_name
                                                : "");
    CLEANUP(close_fd)
    int to = in_root_open_parent(root_fd, target, true, target_name, sizeof(target_name));
    return to < 0 ? err_set_errno(err, -to, "open the directory of '%s'", target)
                  : visit(copy, from, name, to, target_name, source, 0, err);
}
