#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/download.h"
#include "runtime/image/hash.h"
#include "runtime/image/image.h"
#include "runtime/image/image_add.h"
#include "runtime/image/registry.h"
#include "runtime/image/transfer.h"

static const char accept_all[] =
    MEDIA_OCI_INDEX ", " MEDIA_OCI_MANIFEST ", " MEDIA_DOCKER_LIST ", " MEDIA_DOCKER_MANIFEST;

/* Fetch a manifest by tag or digest, verify it, and store it as a blob. */
static int fetch_manifest(struct registry *registry, const struct store *store, const char *name,
                          struct manifest *ret, char *digest, int64_t *ret_size, struct err *err)
{
    CLEANUP(registry_reply) struct registry_reply reply = {.status = 0};
    CLEANUP(free) char *path = mem_printf("/manifests/%s", name);
    int status = registry_request(registry, "GET", path, accept_all, NULL, STORE_MANIFEST_SIZE_MAX,
                                  &reply, err);
    if (status != 0) {
        return status;
    }
    if (reply.status != 200) {
        CLEANUP(free) char *what = mem_printf("get %s:%s", registry->path, name);
        return registry_fail(registry, &reply, what, err);
    }
    hash_bytes(buf_bytes(&reply.body), digest);
    if (digest_is_valid(name) && strcmp(name, digest) != 0) {
        return err_set(err, ERR_CORRUPT, "the registry sent the manifest %s instead of %s", digest,
                       name);
    }
    char *semicolon = strchr(reply.content_type, ';');
    if (semicolon != NULL) {
        *semicolon = '\0';
    }
    bool is_generic = reply.content_type[0] == '\0' ||
                      strcmp(reply.content_type, "application/json") == 0 ||
                      strncmp(reply.content_type, "text/plain", 10) == 0;
    status =
        manifest_parse(buf_bytes(&reply.body), is_generic ? NULL : reply.content_type, ret, err);
    if (status == 0) {
        *ret_size = (int64_t)buf_size(&reply.body);
        char stored[REFERENCE_DIGEST_MAX + 1];
        status = image_add_blob(store, buf_bytes(&reply.body), stored, err);
    }
    return status;
}

/* The manifest of an image for the platform, through an index when there is one. */
static int resolve(struct registry *registry, const struct store *store, const char *name,
                   const struct platform *platform, struct manifest *ret, char *image_digest,
                   struct transfer_result *result, struct err *err)
{
    int status =
        fetch_manifest(registry, store, name, ret, result->digest, &result->manifest_size, err);
    (void)snprintf(image_digest, REFERENCE_DIGEST_MAX + 1, "%s", result->digest);
    for (int depth = 0; status == 0 && ret->is_index; depth++) {
        const struct descriptor *chosen = NULL;
        struct manifest inner = {.entry_count = 0};
        int64_t size = 0;
        if (depth == 3) {
            return err_set(err, ERR_MALFORMED, "indexes of images are nested too deeply");
        }
        status = manifest_choose(ret, platform, &chosen, err);
        if (status == 0) {
            status =
                fetch_manifest(registry, store, chosen->digest, &inner, image_digest, &size, err);
        }
        if (status == 0) {
            manifest_deinit(ret);
            *ret = inner;
        }
    }
    return status;
}

struct unpacking {
    struct progress *progress;
    const uint32_t *items;
};

static void show_unpacking(void *context, uint32_t layer, uint32_t count)
{
    const struct unpacking *unpacking = context;
    (void)count;
    if (layer > 0) {
        progress_set(unpacking->progress, unpacking->items[layer - 1], "Pull complete");
    }
    progress_set(unpacking->progress, unpacking->items[layer], "Extracting");
}

static int fetch_and_unpack(struct registry *registry, const struct store *store,
                            const struct manifest *manifest, const char *image_digest,
                            struct progress *progress, char *id, struct err *err)
{
    uint32_t count = manifest->entry_count;
    CLEANUP(free) struct descriptor *blobs = mem_calloc((size_t)count + 1, sizeof(*blobs));
    CLEANUP(free) uint32_t *items = mem_calloc((size_t)count + 1, sizeof(*items));
    for (uint32_t i = 0; i < count; i++) {
        blobs[i] = manifest->entries[i];
        items[i] = progress_add(progress, digest_hex(blobs[i].digest));
        progress_set(progress, items[i], "Pulling fs layer");
    }
    blobs[count] = manifest->config;
    struct progress quiet;
    progress_init(&quiet, NULL);
    uint32_t config_item = progress_add(&quiet, "");
    int status = download_blobs(registry, store, &blobs[count], &config_item, 1, &quiet, err);
    progress_deinit(&quiet);
    if (status == 0) {
        status = download_blobs(registry, store, blobs, items, count, progress, err);
    }
    struct unpacking unpacking = {.progress = progress, .items = items};
    if (status == 0) {
        status = image_add_manifest(store, image_digest, id, show_unpacking, &unpacking, err);
    }
    if (status == 0 && count > 0) {
        progress_set(progress, items[count - 1], "Pull complete");
    }
    return status;
}

int transfer_pull(const struct store *store, const struct reference *reference,
                  const struct platform *platform, bool is_insecure, struct progress *progress,
                  struct transfer_result *ret, struct err *err)
{
    CLEANUP(registry) struct registry registry = {.curl = NULL};
    CLEANUP(manifest) struct manifest manifest = {.entry_count = 0};
    CLEANUP(image) struct image present = {.config = NULL};
    char image_digest[REFERENCE_DIGEST_MAX + 1];
    char full[REFERENCE_TEXT_MAX + 1];
    const char *name = reference->digest[0] != '\0' ? reference->digest : reference->tag;
    *ret = (struct transfer_result){.manifest_size = 0};
    int status;
    if ((status = registry_open(&registry, reference, false, is_insecure, err)) != 0 ||
        (status = resolve(&registry, store, name, platform, &manifest, image_digest, ret, err)) !=
            0) {
        return status;
    }
    ret->was_present = image_open(store, manifest.config.digest, &present, NULL) == 0 &&
                       image_is_whole(store, &present);
    (void)snprintf(ret->id, sizeof(ret->id), "%s", manifest.config.digest);
    if (!ret->was_present) {
        status =
            fetch_and_unpack(&registry, store, &manifest, image_digest, progress, ret->id, err);
    }
    if (status != 0) {
        return status;
    }
    reference_format(reference, full);
    return image_names_set(store, full, ret->id, ret->digest, err);
}
