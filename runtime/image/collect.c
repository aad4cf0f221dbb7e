#include "runtime/image/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "runtime/image/image.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"

enum { CONTAINER_SIZE_MAX = 8 << 20, PARTIAL_AGE_MAX_S = 7 * 24 * 3600 };

struct collect {
    const struct store *store;
    struct bytes_map blobs;  /* hex digests in use; the value only marks presence */
    struct bytes_map layers; /* hex chain ids in use */
    struct collect_result result;
};

static void mark(struct collect *collect, struct bytes_map *map, const char *hex)
{
    (void)bytes_map_set(map, bytes_from_text(hex), collect);
}

static int mark_image(struct collect *collect, const char *id, struct err *err)
{
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(manifest) struct manifest manifest = {.entry_count = 0};
    int status;
    if ((status = image_open(collect->store, id, &image, err)) != 0 ||
        (status = store_blob_read(collect->store, image.manifest, STORE_MANIFEST_SIZE_MAX, &text,
                                  err)) != 0 ||
        (status = manifest_parse(buf_bytes(&text), NULL, &manifest, err)) != 0) {
        return status;
    }
    mark(collect, &collect->blobs, digest_hex(image.id));
    mark(collect, &collect->blobs, digest_hex(image.manifest));
    for (uint32_t i = 0; i < manifest.entry_count; i++) {
        mark(collect, &collect->blobs, digest_hex(manifest.entries[i].digest));
    }
    for (uint32_t i = 0; i < image.layer_count; i++) {
        mark(collect, &collect->layers, image.layers[i]);
    }
    return 0;
}

static int mark_images(struct collect *collect, struct err *err)
{
    char(*ids)[REFERENCE_DIGEST_MAX + 1] = NULL;
    uint32_t count = 0;
    int status = image_list(collect->store, &ids, &count, err);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        status = mark_image(collect, ids[i], err);
    }
    mem_free(ids);
    return status;
}

/* container.json has "layers": chain ids. A directory without it is being made or removed. */
static int mark_container(struct collect *collect, int containers_fd, const char *name,
                          struct err *err)
{
    char path[300];
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *root = NULL;
    (void)snprintf(path, sizeof(path), "%s/container.json", name);
    int status = in_root_read_file(containers_fd, path, CONTAINER_SIZE_MAX, &text);
    if (status == -ENOENT || status == -ENOTDIR) {
        return 0;
    }
    if (status != 0) {
        return err_set(err, status, "read '%s': %s", path, err_text(status));
    }
    status = json_parse(buf_bytes(&text), path, &root, err);
    const json_t *layers = json_object_get(root, "layers");
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const char *hex = json_string_value(json_array_get(layers, i));
        if (hex != NULL) {
            mark(collect, &collect->layers, hex);
        }
    }
    return status;
}

/* An entry of the build cache has "layers" and "blobs". One that cannot be read keeps nothing. */
static int mark_cache(struct collect *collect, int cache_fd, const char *name, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *root = NULL;
    (void)err;
    if (in_root_read_file(cache_fd, name, CONTAINER_SIZE_MAX, &text) != 0 ||
        json_parse(buf_bytes(&text), name, &root, NULL) != 0) {
        return 0;
    }
    const json_t *layer = json_array_get(json_object_get(root, "layers"), 0);
    const json_t *blob = json_array_get(json_object_get(root, "blobs"), 0);
    if (json_is_string(layer) && json_is_string(blob)) {
        mark(collect, &collect->layers, json_string_value(layer));
        mark(collect, &collect->blobs, json_string_value(blob));
    }
    return 0;
}

/* Directories of builds: no build runs now, for it would hold the lock. */
static int sweep_build(struct collect *collect, int fd, const char *name, struct err *err)
{
    (void)collect;
    if (strcmp(name, "cache") == 0 || strcmp(name, "mounts") == 0) {
        return 0;
    }
    int status = in_root_remove(fd, name);
    return status == 0 ? 0 : err_set_errno(err, -status, "remove '%s'", name);
}

/* Call visit for each entry of a directory; a missing directory has none. */
static int for_each(int parent_fd, const char *path, struct collect *collect,
                    int (*visit)(struct collect *collect, int fd, const char *name,
                                 struct err *err),
                    struct err *err)
{
    int fd = openat(parent_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return 0;
    }
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        return err_set_errno(err, errno, "list '%s' of the image store", path);
    }
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = visit(collect, dirfd(directory), entry->d_name, err);
        }
    }
    (void)closedir(directory);
    return status;
}

static int sweep_blob(struct collect *collect, int fd, const char *name, struct err *err)
{
    if (bytes_map_find(&collect->blobs, bytes_from_text(name)) != NULL) {
        return 0;
    }
    struct stat about;
    if (fstatat(fd, name, &about, AT_SYMLINK_NOFOLLOW) == 0) {
        collect->result.bytes += about.st_size;
    }
    if (unlinkat(fd, name, 0) != 0) {
        return err_set_errno(err, errno, "remove blob '%s'", name);
    }
    collect->result.blobs++;
    return 0;
}

static int sweep_layer(struct collect *collect, int fd, const char *name, struct err *err)
{
    if (bytes_map_find(&collect->layers, bytes_from_text(name)) != NULL) {
        return 0;
    }
    /* Under a temporary name first: a crash in the middle must not leave half a layer. */
    char doomed[100];
    (void)snprintf(doomed, sizeof(doomed), "%s%.80s",
                   strncmp(name, "tmp.", 4) == 0 ? "" : "tmp.gc.", name);
    if (strcmp(doomed, name) != 0 && renameat(fd, name, fd, doomed) != 0) {
        return err_set_errno(err, errno, "remove layer '%s'", name);
    }
    int status = in_root_remove(fd, doomed);
    if (status != 0) {
        return err_set_errno(err, -status, "remove layer '%s'", name);
    }
    collect->result.layers += strcmp(doomed, name) != 0;
    return 0;
}

/* No process adds content now, so that temporary files have no owner. Interrupted downloads are
 * kept for a week: the next pull resumes them. */
static int sweep_ingest(struct collect *collect, int fd, const char *name, struct err *err)
{
    (void)collect;
    const char *dot = strrchr(name, '.');
    struct stat about;
    bool is_partial = dot != NULL && strcmp(dot, ".partial") == 0;
    if (is_partial && fstatat(fd, name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
        time(NULL) - about.st_mtime < PARTIAL_AGE_MAX_S) {
        return 0;
    }
    if (unlinkat(fd, name, 0) != 0) {
        return err_set_errno(err, errno, "remove '%s'", name);
    }
    return 0;
}

int collect_garbage(const struct store *store, struct collect_result *ret, struct err *err)
{
    CLEANUP(close_fd) int lock = -1;
    struct collect collect = {.store = store};
    int status = store_lock(store, STORE_LOCK_TRY_EXCLUSIVE, &lock, err);
    if (status != 0) {
        return status;
    }
    bytes_map_init(&collect.blobs);
    bytes_map_init(&collect.layers);
    if ((status = mark_images(&collect, err)) == 0 &&
        (status = for_each(store->root_fd, "containers", &collect, mark_container, err)) == 0 &&
        (status = for_each(store->root_fd, "build/cache", &collect, mark_cache, err)) == 0 &&
        (status = for_each(store->root_fd, "build", &collect, sweep_build, err)) == 0 &&
        (status = for_each(store->blobs_fd, ".", &collect, sweep_blob, err)) == 0 &&
        (status = for_each(store->layers_fd, ".", &collect, sweep_layer, err)) == 0) {
        status = for_each(store->ingest_fd, ".", &collect, sweep_ingest, err);
    }
    bytes_map_deinit(&collect.blobs);
    bytes_map_deinit(&collect.layers);
    if (status == 0) {
        *ret = collect.result;
    }
    return status;
}
