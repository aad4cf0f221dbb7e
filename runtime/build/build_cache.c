/* build_cache.c - <root>/build/cache/<key>: the layer that a step made last time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"

enum { ENTRY_SIZE_MAX = 4096 };

static void add_layer(struct build_stage *stage, const struct layer *layer)
{
    struct layers *layers = &stage->layers;
    layers->items =
        mem_reallocarray(layers->items, (size_t)layers->count + 1, sizeof(*layers->items));
    layers->items[layers->count++] = *layer;
}

static bool read_entry(const json_t *entry, struct layer *out)
{
    *out = (struct layer){.size = json_get_integer(entry, "size", 0)};
    out->blob.size = json_get_integer(entry, "blobSize", 0);
    (void)snprintf(out->diff_id, sizeof(out->diff_id), "%s", json_get_text(entry, "diffId", ""));
    (void)snprintf(out->chain_id, sizeof(out->chain_id), "%s", json_get_text(entry, "chainId", ""));
    (void)snprintf(out->blob.digest, sizeof(out->blob.digest), "%s",
                   json_get_text(entry, "blob", ""));
    (void)snprintf(out->blob.media_type, sizeof(out->blob.media_type), "%s", MEDIA_OCI_LAYER);
    return digest_is_valid(out->diff_id) && digest_is_valid(out->chain_id) &&
           digest_is_valid(out->blob.digest);
}

int build_cache_use(struct build *build, struct build_stage *stage, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *entry = NULL;
    struct layer layer;
    char path[160];
    (void)snprintf(path, sizeof(path), "build/cache/%s", digest_hex(stage->key));
    (void)err;
    if (build->options->has_no_cache ||
        in_root_read_file(build->store->root_fd, path, ENTRY_SIZE_MAX, &text) != 0 ||
        json_parse(buf_bytes(&text), "cache", &entry, NULL) != 0 || !read_entry(entry, &layer) ||
        !store_has_blob(build->store, layer.blob.digest) ||
        !store_has_layer(build->store, digest_hex(layer.chain_id))) {
        return 0;
    }
    build->was_cached = true;
    build_say(build, " ---> Using cache\n");
    add_layer(stage, &layer);
    (void)snprintf(stage->created, sizeof(stage->created), "%.39s",
                   json_get_text(entry, "created", stage->created));
    return 1;
}

void build_cache_add(struct build *build, const struct build_stage *stage)
{
    const struct layer *layer = &stage->layers.items[stage->layers.count - 1];
    /* layers and blobs: what the collector keeps for it. */
    json_object_set_new(
        build->cache, digest_hex(stage->key),
        json_pack("{ss ss ss ss sI sI s[s] s[s]}", "created", stage->created, "diffId",
                  layer->diff_id, "chainId", layer->chain_id, "blob", layer->blob.digest,
                  "blobSize", (json_int_t)layer->blob.size, "size", (json_int_t)layer->size,
                  "layers", digest_hex(layer->chain_id), "blobs", digest_hex(layer->blob.digest)));
}

int build_cache_write(struct build *build, struct err *err)
{
    int root_fd = build->store->root_fd;
    if ((mkdirat(root_fd, "build", 0700) != 0 && errno != EEXIST) ||
        (mkdirat(root_fd, "build/cache", 0700) != 0 && errno != EEXIST)) {
        return err_set_errno(err, errno, "create the build cache");
    }
    CLEANUP(close_fd) int fd = openat(root_fd, "build/cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open the build cache");
    }
    const char *key = NULL;
    json_t *entry = NULL;
    json_object_foreach(build->cache, key, entry)
    {
        CLEANUP(buf) struct buf text = BUF_INIT;
        json_write(entry, false, &text);
        int status = store_replace_file(fd, key, buf_bytes(&text), err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}
