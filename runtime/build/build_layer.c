/* build_layer.c - from an overlay's upper directory to a layer. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "runtime/build/build.h"
#include "runtime/image/hash.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/image/tar_write.h"
#include "runtime/words/container.h"
#include "runtime/words/mount_root.h"
#include "runtime/words/words.h"

struct writer {
    int fd;
    struct hash *hash; /* may be NULL */
    struct buf out;
    struct u64_map links; /* inode -> path, of files with several names */
    int64_t size;
    int64_t epoch_s; /* no file is younger; -1: as they are */
    struct err *err;
};

static int flush(struct writer *writer)
{
    struct bytes bytes = buf_bytes(&writer->out);
    for (size_t done = 0; done < bytes.size;) {
        ssize_t count = write(writer->fd, bytes.data + done, bytes.size - done);
        if (count < 0 && errno != EINTR) {
            return err_set_errno(writer->err, errno, "write a layer");
        }
        done += count < 0 ? 0 : (size_t)count;
    }
    if (writer->hash != NULL) {
        hash_update(writer->hash, bytes);
    }
    buf_clear(&writer->out);
    return 0;
}

static int write_contents(struct writer *writer, int fd, int64_t size)
{
    enum { CHUNK = 256 << 10 };
    int64_t left = size;
    while (left > 0) {
        size_t wanted = left < CHUNK ? (size_t)left : CHUNK;
        ssize_t count = read(fd, buf_reserve(&writer->out, wanted), wanted);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return err_set_errno(writer->err, count == 0 ? EIO : errno, "read a file of the layer");
        }
        buf_commit(&writer->out, (size_t)count);
        left -= count;
        int status = flush(writer);
        if (status != 0) {
            return status;
        }
    }
    tar_write_padding(size, &writer->out);
    writer->size += size;
    return flush(writer);
}

static uint32_t read_xattrs(int fd, struct tar_xattr *out, struct arena *arena)
{
    char names[4096];
    uint32_t count = 0;
    ssize_t size = flistxattr(fd, names, sizeof(names));
    for (ssize_t at = 0; at < size && count < TAR_XATTRS_MAX;
         at += (ssize_t)strlen(names + at) + 1) {
        const char *name = names + at;
        char value[4096];
        bool is_wanted =
            strcmp(name, "security.capability") == 0 ||
            (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0);
        ssize_t value_size = is_wanted ? fgetxattr(fd, name, value, sizeof(value)) : -1;
        if (value_size >= 0) {
            out[count++] = (struct tar_xattr){
                .name = arena_strdup(arena, name),
                .value =
                    bytes_make(arena_dup(arena, value, (size_t)value_size), (size_t)value_size),
            };
        }
    }
    return count;
}

static void fill(struct tar_entry *entry, const char *path, const struct stat *about)
{
    *entry = (struct tar_entry){
        .path = path,
        .link = "",
        .mode = about->st_mode & 07777,
        .uid = about->st_uid,
        .gid = about->st_gid,
        .mtime_s = about->st_mtim.tv_sec,
        .major = major(about->st_rdev),
        .minor = minor(about->st_rdev),
    };
}

static int write_file(struct writer *writer, int parent_fd, const char *name, const char *path,
                      const struct stat *about)
{
    struct tar_entry entry;
    struct arena arena = ARENA_INIT;
    struct tar_xattr xattrs[TAR_XATTRS_MAX];
    fill(&entry, path, about);
    entry.type = TAR_FILE;
    const char *first = about->st_nlink > 1 ? u64_map_find(&writer->links, about->st_ino) : NULL;
    if (first != NULL) {
        entry.type = TAR_HARD_LINK;
        entry.link = first;
        tar_write_header(&entry, &writer->out);
        return flush(writer);
    }
    if (about->st_nlink > 1) {
        (void)u64_map_set(&writer->links, about->st_ino, mem_strdup(path));
    }
    CLEANUP(close_fd) int fd = openat(parent_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(writer->err, errno, "open '%s'", path);
    }
    entry.size = about->st_size;
    entry.xattrs = xattrs;
    entry.xattr_count = read_xattrs(fd, xattrs, &arena);
    tar_write_header(&entry, &writer->out);
    arena_deinit(&arena);
    return write_contents(writer, fd, about->st_size);
}

static int write_whiteout(struct writer *writer, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    CLEANUP(free) char *hidden = mem_printf("%.*s.wh.%s", (int)(name - path), path, name);
    struct tar_entry entry = {.type = TAR_FILE, .path = hidden, .link = "", .mode = 0};
    tar_write_header(&entry, &writer->out);
    return flush(writer);
}

static int write_directory(struct writer *writer, int fd, const char *path, int depth);

static int write_entry(struct writer *writer, int parent_fd, const char *name, const char *path,
                       int depth)
{
    struct stat about;
    struct tar_entry entry;
    char target[PATH_MAX];
    if (fstatat(parent_fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set_errno(writer->err, errno, "'%s'", path);
    }
    if (writer->epoch_s >= 0 && about.st_mtim.tv_sec > writer->epoch_s) {
        about.st_mtim = (struct timespec){.tv_sec = writer->epoch_s};
        const struct timespec times[2] = {about.st_mtim, about.st_mtim};
        (void)utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW); /* the archive has it */
    }
    if (S_ISREG(about.st_mode)) {
        return write_file(writer, parent_fd, name, path, &about);
    }
    if (S_ISCHR(about.st_mode) && about.st_rdev == makedev(0, 0)) {
        return write_whiteout(writer, path);
    }
    if (S_ISSOCK(about.st_mode)) {
        return 0; /* means nothing outside of the run that made it */
    }
    fill(&entry, path, &about);
    if (S_ISDIR(about.st_mode)) {
        CLEANUP(close_fd)
        int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        CLEANUP(free) char *with_slash = mem_printf("%s/", path);
        if (fd < 0) {
            return err_set_errno(writer->err, errno, "open '%s'", path);
        }
        entry.type = TAR_DIRECTORY;
        entry.path = with_slash;
        tar_write_header(&entry, &writer->out);
        int status = flush(writer);
        return status != 0 ? status : write_directory(writer, fd, path, depth + 1);
    }
    if (S_ISLNK(about.st_mode)) {
        ssize_t size = readlinkat(parent_fd, name, target, sizeof(target) - 1);
        if (size < 0) {
            return err_set_errno(writer->err, errno, "read link '%s'", path);
        }
        target[size] = '\0';
        entry.type = TAR_SYMLINK;
        entry.link = target;
    } else {
        entry.type = S_ISCHR(about.st_mode)   ? TAR_CHARACTER
                     : S_ISBLK(about.st_mode) ? TAR_BLOCK
                                              : TAR_FIFO;
    }
    tar_write_header(&entry, &writer->out);
    return flush(writer);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_child(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int write_directory(struct writer *writer, int fd, const char *path, int depth)
{
    struct dirent **entries = NULL;
    char value[2];
    if (depth > 500) {
        return err_set(writer->err, -ELOOP, "directories are nested too deeply");
    }
    if (path[0] != '\0' && fgetxattr(fd, "trusted.overlay.opaque", value, sizeof(value)) == 1 &&
        value[0] == 'y') {
        CLEANUP(free) char *marker = mem_printf("%s/.wh..wh..opq", path);
        struct tar_entry entry = {.type = TAR_FILE, .path = marker, .link = ""};
        tar_write_header(&entry, &writer->out);
    }
    int count = scandirat(fd, ".", &entries, is_child, compare_names);
    if (count < 0) {
        return err_set_errno(writer->err, errno, "list '%s'", path);
    }
    int status = 0;
    for (int i = 0; i < count; i++) {
        CLEANUP(free)
        char *child = mem_printf("%s%s%s", path, path[0] == '\0' ? "" : "/", entries[i]->d_name);
        if (status == 0) {
            status = write_entry(writer, fd, entries[i]->d_name, child, depth);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int write_all(struct writer *writer, int upper_fd)
{
    int status = write_directory(writer, upper_fd, "", 0);
    if (status == 0) {
        tar_write_end(&writer->out);
        status = flush(writer);
    }
    size_t cursor = 0;
    uint64_t inode = 0;
    void *path = NULL;
    while (u64_map_next(&writer->links, &cursor, &inode, &path)) {
        mem_free(path);
    }
    u64_map_deinit(&writer->links);
    buf_deinit(&writer->out);
    return status;
}

int build_write_layer(int upper_fd, int fd, int64_t *ret_size, struct err *err)
{
    struct writer writer = {.fd = fd, .epoch_s = -1, .err = err};
    buf_init(&writer.out);
    u64_map_init(&writer.links);
    int status = write_all(&writer, upper_fd);
    *ret_size = writer.size;
    return status;
}

/* ---- the workspace ---- */

/* A stage looks like a container to mount_root: layers by name, committed or not. */
static json_t *layer_names(const struct build_stage *stage, const struct build *build)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < stage->layers.count; i++) {
        const struct layer *layer = &stage->layers.items[i];
        const char *name = digest_hex(layer->chain_id);
        for (uint32_t k = 0; k < build->stage_count; k++) {
            const struct layers *layers = &build->stages[k].layers;
            for (uint32_t m = 0; m < layers->count; m++) {
                if (layers->items[m].temporary[0] != '\0' &&
                    strcmp(layers->items[m].chain_id, layer->chain_id) == 0) {
                    name = layers->items[m].temporary;
                }
            }
        }
        json_array_append_new(names, json_text(name));
    }
    return names;
}

int build_workspace_open(struct build *build, struct build_stage *stage,
                         struct build_workspace *workspace, struct err *err)
{
    static unsigned number;
    *workspace = (struct build_workspace){.directory_fd = -1, .root_fd = -1};
    CLEANUP(free) char *parent = mem_printf("%s/build", build->store->root);
    workspace->directory = mem_printf("%s/%.16s.%d.%u", parent, build->id, (int)getpid(), number++);
    if ((mkdir(parent, 0700) != 0 && errno != EEXIST) || mkdir(workspace->directory, 0700) != 0) {
        return err_set_errno(err, errno, "create '%s'", workspace->directory);
    }
    workspace->directory_fd = open(workspace->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(json) json_t *document = json_pack("{so}", "layers", layer_names(stage, build));
    struct container container = {
        .directory = workspace->directory,
        .directory_fd = workspace->directory_fd,
        .document = document,
    };
    (void)snprintf(container.id, sizeof(container.id), "%s", build->id);
    return mount_root(build->store, &container, &workspace->root_fd, err);
}

void build_workspace_close(struct build_workspace *workspace)
{
    if (workspace->directory == NULL) {
        return;
    }
    cleanup_close_fd(&workspace->root_fd);
    cleanup_close_fd(&workspace->directory_fd);
    struct container container = {.directory = workspace->directory, .directory_fd = -1};
    mount_root_unmount(&container);
    int ignored = in_root_remove(AT_FDCWD, workspace->directory); /* the next prune finds it */
    (void)ignored;
    mem_free(workspace->directory);
    workspace->directory = NULL;
}

/* The upper directory becomes the layer's diff directory. */
static int adopt_upper(struct build *build, struct build_workspace *workspace, struct layer *layer,
                       struct err *err)
{
    static unsigned number;
    CLEANUP(free) char *target = NULL;
    (void)snprintf(layer->temporary, sizeof(layer->temporary), "tmp.%d.b%u", (int)getpid(),
                   number++);
    target = mem_printf("%s/diff", layer->temporary);
    int layers_fd = build->store->layers_fd;
    if (mkdirat(layers_fd, layer->temporary, 0711) != 0 ||
        renameat(workspace->directory_fd, "upper", layers_fd, target) != 0) {
        return err_set_errno(err, errno, "store a layer");
    }
    CLEANUP(free) char *size_path = mem_printf("%s/size", layer->temporary);
    CLEANUP(close_fd)
    int fd = openat(layers_fd, size_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || dprintf(fd, "%lld\n", (long long)layer->size) < 0) {
        return err_set_errno(err, errno, "store a layer");
    }
    return 0;
}

int build_workspace_commit(struct build *build, struct build_stage *stage,
                           struct build_workspace *workspace, struct err *err)
{
    struct layer layer = {.size = 0};
    CLEANUP(close_fd) int blob = -1;
    CLEANUP(close_fd)
    int upper = openat(workspace->directory_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct container container = {.directory = workspace->directory, .directory_fd = -1};
    struct stat about;
    cleanup_close_fd(&workspace->root_fd);
    workspace->root_fd = -1;
    mount_root_unmount(&container);
    if (upper < 0) {
        return err_set_errno(err, errno, "open a layer");
    }
    int status = store_ingest_open(build->store, &blob, err);
    if (status != 0) {
        return status;
    }
    struct writer writer = {
        .fd = blob,
        .hash = hash_new(),
        .epoch_s = build->options->epoch_s,
        .err = err,
    };
    buf_init(&writer.out);
    u64_map_init(&writer.links);
    status = write_all(&writer, upper);
    hash_finish(writer.hash, layer.diff_id);
    hash_free(writer.hash);
    if (status != 0 || fstat(blob, &about) != 0) {
        return status != 0 ? status : err_set_errno(err, errno, "write a layer");
    }
    layer.size = writer.size;
    layer.blob.size = about.st_size;
    (void)snprintf(layer.blob.digest, sizeof(layer.blob.digest), "%s", layer.diff_id);
    (void)snprintf(layer.blob.media_type, sizeof(layer.blob.media_type), "%s", MEDIA_OCI_LAYER);
    struct layers *layers = &stage->layers;
    hash_chain(layers->count == 0 ? NULL : layers->items[layers->count - 1].chain_id, layer.diff_id,
               layer.chain_id);
    build_now(build, stage->created);
    status = store_ingest_commit(build->store, blob, layer.blob.digest, err);
    if (status == 0) {
        status = adopt_upper(build, workspace, &layer, err);
    }
    layers->items =
        mem_reallocarray(layers->items, (size_t)layers->count + 1, sizeof(*layers->items));
    layers->items[layers->count++] = layer;
    return status;
}
