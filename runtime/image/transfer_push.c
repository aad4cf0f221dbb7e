#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/image.h"
#include "runtime/image/registry.h"
#include "runtime/image/transfer.h"

enum { REPLY_SIZE_MAX = 1 << 20 };

struct push {
    struct registry *registry;
    const struct store *store;
    struct progress *progress;
};

struct upload {
    struct push *push;
    uint32_t item;
    int64_t size;
};

static void show_upload(void *context, int64_t done)
{
    const struct upload *upload = context;
    progress_advance(upload->push->progress, upload->item, done, upload->size);
}

/* 1: the registry has it. */
static int is_there(struct push *push, const char *digest, struct err *err)
{
    CLEANUP(registry_reply) struct registry_reply reply = {.status = 0};
    CLEANUP(free) char *path = mem_printf("/blobs/%s", digest);
    int status =
        registry_request(push->registry, "HEAD", path, NULL, NULL, REPLY_SIZE_MAX, &reply, err);
    if (status != 0) {
        return status;
    }
    if (reply.status != 200 && reply.status != 404) {
        return registry_fail(push->registry, &reply, "look for a layer", err);
    }
    return reply.status == 200;
}

/* POST for a place, PUT the whole blob there (distribution-spec "Pushing a blob monolithically").
 */
static int upload_blob(struct push *push, const char *digest, uint32_t item, struct err *err)
{
    CLEANUP(registry_reply) struct registry_reply reply = {.status = 0};
    CLEANUP(close_fd) int fd = -1;
    int64_t size = 0;
    int status = store_blob_open(push->store, digest, &fd, &size, err);
    if (status != 0 || (status = registry_request(push->registry, "POST", "/blobs/uploads/", NULL,
                                                  NULL, REPLY_SIZE_MAX, &reply, err)) != 0) {
        return status;
    }
    if (reply.status != 202 || reply.location[0] == '\0') {
        return registry_fail(push->registry, &reply, "start an upload", err);
    }
    CLEANUP(free)
    char *place = mem_printf("%s%cdigest=%s", reply.location,
                             strchr(reply.location, '?') == NULL ? '?' : '&', digest);
    struct upload upload = {.push = push, .item = item, .size = size};
    struct registry_body body = {
        .fd = fd,
        .size = size,
        .content_type = "application/octet-stream",
        .progress = show_upload,
        .context = &upload,
    };
    progress_set(push->progress, item, "Pushing");
    status =
        registry_request(push->registry, "PUT", place, NULL, &body, REPLY_SIZE_MAX, &reply, err);
    if (status == 0 && reply.status != 201) {
        status = registry_fail(push->registry, &reply, "upload a layer", err);
    }
    return status;
}

static int push_blob(struct push *push, const char *digest, uint32_t item, struct err *err)
{
    int status = is_there(push, digest, err);
    if (status < 0) {
        return status;
    }
    if (status > 0) {
        progress_set(push->progress, item, "Layer already exists");
        return 0;
    }
    status = upload_blob(push, digest, item, err);
    if (status == 0) {
        progress_set(push->progress, item, "Pushed");
    }
    return status;
}

static int push_blobs(struct push *push, const struct manifest *manifest, struct err *err)
{
    CLEANUP(free)
    uint32_t *items = mem_calloc((size_t)manifest->entry_count + 1, sizeof(*items));
    for (uint32_t i = 0; i < manifest->entry_count; i++) {
        items[i] = progress_add(push->progress, digest_hex(manifest->entries[i].digest));
        progress_set(push->progress, items[i], "Preparing");
    }
    for (uint32_t i = 0; i < manifest->entry_count; i++) {
        int status = push_blob(push, manifest->entries[i].digest, items[i], err);
        if (status != 0) {
            return status;
        }
    }
    struct progress quiet;
    progress_init(&quiet, NULL);
    struct push config = {.registry = push->registry, .store = push->store, .progress = &quiet};
    int status = push_blob(&config, manifest->config.digest, progress_add(&quiet, ""), err);
    progress_deinit(&quiet);
    return status;
}

static int push_manifest(struct push *push, const struct reference *reference,
                         const struct manifest *manifest, struct bytes text, struct err *err)
{
    CLEANUP(registry_reply) struct registry_reply reply = {.status = 0};
    CLEANUP(free) char *path = mem_printf("/manifests/%s", reference->tag);
    struct registry_body body = {
        .fd = -1,
        .bytes = text,
        .size = (int64_t)text.size,
        .content_type = manifest->media_type,
    };
    int status =
        registry_request(push->registry, "PUT", path, NULL, &body, REPLY_SIZE_MAX, &reply, err);
    if (status == 0 && reply.status != 201) {
        status = registry_fail(push->registry, &reply, "put the manifest", err);
    }
    return status;
}

int transfer_push(const struct store *store, const struct reference *reference, bool is_insecure,
                  struct progress *progress, struct transfer_result *ret, struct err *err)
{
    CLEANUP(registry) struct registry registry = {.curl = NULL};
    CLEANUP(manifest) struct manifest manifest = {.entry_count = 0};
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(buf) struct buf text = BUF_INIT;
    char full[REFERENCE_TEXT_MAX + 1];
    reference_format(reference, full);
    int status;
    if ((status = image_find(store, full, &image, err)) != 0 ||
        (status = store_blob_read(store, image.manifest, STORE_MANIFEST_SIZE_MAX, &text, err)) !=
            0 ||
        (status = manifest_parse(buf_bytes(&text), NULL, &manifest, err)) != 0 ||
        (status = registry_open(&registry, reference, true, is_insecure, err)) != 0) {
        return status;
    }
    struct push push = {.registry = &registry, .store = store, .progress = progress};
    if ((status = push_blobs(&push, &manifest, err)) != 0 ||
        (status = push_manifest(&push, reference, &manifest, buf_bytes(&text), err)) != 0) {
        return status;
    }
    *ret = (struct transfer_result){.manifest_size = (int64_t)buf_size(&text)};
    (void)snprintf(ret->id, sizeof(ret->id), "%s", image.id);
    (void)snprintf(ret->digest, sizeof(ret->digest), "%s", image.manifest);
    return image_names_set(store, full, image.id, image.manifest, err);
}
