#include "runtime/image/image_add.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/hash.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"

int image_config_diff_ids(const json_t *config, const char **out, uint32_t *ret_count,
                          struct err *err)
{
    const json_t *rootfs = json_object_get(config, "rootfs");
    const json_t *diff_ids = json_object_get(rootfs, "diff_ids");
    size_t count = json_array_size(diff_ids);
    if (!json_is_array(diff_ids) ||
        strcmp(json_get_text(rootfs, "type", "layers"), "layers") != 0) {
        return err_set(err, ERR_MALFORMED, "image configuration: 'rootfs.diff_ids' is missing");
    }
    if (count > IMAGE_LAYERS_MAX) {
        return err_set(err, ERR_TOO_LARGE, "the image has %zu layers, more than %d", count,
                       IMAGE_LAYERS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const char *diff_id = json_string_value(json_array_get(diff_ids, i));
        if (diff_id == NULL || !digest_is_valid(diff_id)) {
            return err_set(err, ERR_MALFORMED,
                           "image configuration: 'rootfs.diff_ids[%zu]' is not a digest", i);
        }
        out[i] = diff_id;
    }
    *ret_count = (uint32_t)count;
    return 0;
}

/* Another processor's programs would fail with "exec format error" much later. */
static int check_platform(const json_t *config, struct err *err)
{
    const char *os = json_get_text(config, "os", "linux");
    if (strcmp(os, "linux") != 0 && os[0] != '\0') {
        return err_set(err, ERR_UNSUPPORTED, "the image is for %s, this machine runs linux", os);
    }
    return 0;
}

int image_add_blob(const struct store *store, struct bytes content, char *digest, struct err *err)
{
    CLEANUP(close_fd) int fd = -1;
    hash_bytes(content, digest);
    if (store_has_blob(store, digest)) {
        return 0;
    }
    int status = store_ingest_open(store, &fd, err);
    if (status != 0) {
        return status;
    }
    CLEANUP(stream) struct stream *stream = stream_new_bytes(content);
    status = stream_copy(stream, fd, NULL, err);
    return status != 0 ? status : store_ingest_commit(store, fd, digest, err);
}

static int write_record(const struct store *store, struct layers *layers, const char *id,
                        const char *manifest, const json_t *config, struct err *err)
{
    int status = layers_commit(layers, err);
    if (status != 0) {
        return status;
    }
    struct image image = {.layer_count = layers->count};
    CLEANUP(free) char(*chains)[65] = mem_calloc(layers->count + 1, sizeof(*chains));
    image.layers = chains;
    for (uint32_t i = 0; i < layers->count; i++) {
        (void)snprintf(chains[i], sizeof(*chains), "%.64s", digest_hex(layers->items[i].chain_id));
        image.size += layers->items[i].size;
    }
    (void)snprintf(image.id, sizeof(image.id), "%s", id);
    (void)snprintf(image.manifest, sizeof(image.manifest), "%s", manifest);
    (void)snprintf(image.created, sizeof(image.created), "%s",
                   json_get_text(config, "created", ""));
    return image_write_record(store, &image, err);
}

static int unpack_layers(struct layers *layers, const struct manifest *manifest,
                         const char **diff_ids,
                         void (*progress)(void *context, uint32_t layer, uint32_t count),
                         void *context, struct err *err)
{
    for (uint32_t i = 0; i < manifest->entry_count; i++) {
        if (progress != NULL) {
            progress(context, i, manifest->entry_count);
        }
        int status = layers_add_blob(layers, &manifest->entries[i], diff_ids[i], err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int image_add_manifest(const struct store *store, const char *manifest_digest, char *id,
                       void (*progress)(void *context, uint32_t layer, uint32_t count),
                       void *context, struct err *err)
{
    CLEANUP(buf) struct buf manifest_text = BUF_INIT;
    CLEANUP(buf) struct buf config_text = BUF_INIT;
    CLEANUP(manifest) struct manifest manifest = {.entry_count = 0};
    CLEANUP(json) json_t *config = NULL;
    const char *diff_ids[IMAGE_LAYERS_MAX];
    uint32_t count = 0;
    int status;
    if ((status = store_blob_read(store, manifest_digest, STORE_MANIFEST_SIZE_MAX, &manifest_text,
                                  err)) != 0 ||
        (status = manifest_parse(buf_bytes(&manifest_text), NULL, &manifest, err)) != 0) {
        return status;
    }
    if (manifest.is_index) {
        return err_set(err, ERR_INVALID, "%s is an index, not the manifest of an image",
                       manifest_digest);
    }
    if ((status = store_blob_read(store, manifest.config.digest, STORE_CONFIG_SIZE_MAX,
                                  &config_text, err)) != 0 ||
        (status = json_parse(buf_bytes(&config_text), "image configuration", &config, err)) != 0 ||
        (status = check_platform(config, err)) != 0 ||
        (status = image_config_diff_ids(config, diff_ids, &count, err)) != 0) {
        return status;
    }
    if (count != manifest.entry_count) {
        return err_set(err, ERR_MALFORMED,
                       "the manifest has %u layers, but the configuration has %u",
                       manifest.entry_count, count);
    }
    CLEANUP(layers) struct layers layers;
    layers_init(&layers, store);
    status = unpack_layers(&layers, &manifest, diff_ids, progress, context, err);
    if (status == 0) {
        status = write_record(store, &layers, manifest.config.digest, manifest_digest, config, err);
    }
    if (status == 0) {
        (void)snprintf(id, REFERENCE_DIGEST_MAX + 1, "%s", manifest.config.digest);
    }
    return status;
}

int image_add_layers(const struct store *store, struct layers *layers, struct bytes config_text,
                     char *id, struct err *err)
{
    CLEANUP(json) json_t *config = NULL;
    struct descriptor config_descriptor = {.size = (int64_t)config_text.size};
    const char *diff_ids[IMAGE_LAYERS_MAX];
    uint32_t count = 0;
    int status;
    if ((status = json_parse(config_text, "image configuration", &config, err)) != 0 ||
        (status = check_platform(config, err)) != 0 ||
        (status = image_config_diff_ids(config, diff_ids, &count, err)) != 0) {
        return status;
    }
    if (count != layers->count) {
        return err_set(err, ERR_MALFORMED, "there are %u layers, but the configuration has %u",
                       layers->count, count);
    }
    if ((status = image_add_blob(store, config_text, config_descriptor.digest, err)) != 0) {
        return status;
    }
    (void)snprintf(config_descriptor.media_type, sizeof(config_descriptor.media_type), "%s",
                   MEDIA_OCI_CONFIG);
    struct descriptor *blobs = mem_calloc((size_t)count + 1, sizeof(*blobs));
    for (uint32_t i = 0; i < count; i++) {
        blobs[i] = layers->items[i].blob;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    manifest_write(&config_descriptor, blobs, count, &text);
    mem_free(blobs);
    char manifest[REFERENCE_DIGEST_MAX + 1];
    status = image_add_blob(store, buf_bytes(&text), manifest, err);
    if (status == 0) {
        status = write_record(store, layers, config_descriptor.digest, manifest, config, err);
    }
    if (status == 0) {
        (void)snprintf(id, REFERENCE_DIGEST_MAX + 1, "%s", config_descriptor.digest);
    }
    return status;
}
