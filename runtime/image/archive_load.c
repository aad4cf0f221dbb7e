/* archive_load.c - both kinds of image archives (image-spec image-layout.md; `docker save`). */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/archive.h"
#include "runtime/image/hash.h"
#include "runtime/image/image.h"
#include "runtime/image/image_add.h"
#include "runtime/image/json.h"
#include "runtime/image/layer.h"

enum { IMAGES_MAX = 1000, INDEX_DEPTH_MAX = 4 };

struct load {
    const struct store *store;
    const struct archive *archive;
    struct progress *progress;
    archive_loaded *loaded;
    void *context;
    uint32_t count;
    uint32_t index_depth; /* an index may hold an index, within reason */
};

static int name_image(struct load *load, const char *name, const char *id, struct err *err)
{
    struct reference reference;
    char full[REFERENCE_TEXT_MAX + 1];
    int status = reference_parse(name, &reference, err);
    if (status != 0) {
        return status;
    }
    reference_format(&reference, full);
    status = image_names_set(load->store, full, id, NULL, err);
    if (status == 0) {
        load->loaded(load->context, full, id);
        load->count++;
    }
    return status;
}

/* One layer that travels; the tap runs in the thread of the stream. */
struct travel {
    struct progress *progress;
    uint32_t item;
    int64_t done;
    int64_t total;
};

static int show_travel(void *context, struct bytes chunk, struct err *err)
{
    struct travel *travel = context;
    (void)err;
    travel->done += (int64_t)chunk.size;
    progress_advance(travel->progress, travel->item, travel->done, travel->total);
    return 0;
}

/* blob_digest may be NULL. */
static int load_layer(struct load *load, const struct archive_member *member, struct layers *layers,
                      const char *blob_digest, const char *diff_id, struct err *err)
{
    struct travel travel = {
        .progress = load->progress,
        .item = progress_add(load->progress, digest_hex(diff_id)),
        .total = member->size,
    };
    progress_set(load->progress, travel.item, "Loading layer");
    struct stream *stream =
        stream_new_tap(archive_stream(load->archive, member), show_travel, &travel);
    int status = layers_add_stream(layers, stream, blob_digest, diff_id, err);
    if (status == 0) {
        progress_set(load->progress, travel.item, "Loaded layer");
    }
    return status;
}

/* ---- docker save ---- */

static int load_docker_layers(struct load *load, const json_t *paths, const char **diff_ids,
                              struct layers *layers, struct err *err)
{
    for (size_t i = 0; i < json_array_size(paths); i++) {
        const char *path = json_string_value(json_array_get(paths, i));
        const struct archive_member *member =
            path == NULL ? NULL : archive_find(load->archive, path);
        if (member == NULL) {
            return err_set(err, ERR_MALFORMED,
                           "manifest.json names the layer '%.200s', which is not in the archive",
                           path == NULL ? "" : path);
        }
        int status;
        if (store_has_blob(load->store, diff_ids[i])) {
            /* An uncompressed layer of this very content is here. */
            struct descriptor blob = {.size = member->size};
            CLEANUP(close_fd) int fd = -1;
            (void)snprintf(blob.digest, sizeof(blob.digest), "%s", diff_ids[i]);
            (void)snprintf(blob.media_type, sizeof(blob.media_type), "%s", MEDIA_OCI_LAYER);
            status = store_blob_open(load->store, diff_ids[i], &fd, &blob.size, err);
            if (status == 0) {
                status = layers_add_blob(layers, &blob, diff_ids[i], err);
            }
        } else {
            status = load_layer(load, member, layers, NULL, diff_ids[i], err);
        }
        if (status != 0) {
            return err_prefix(err, "'%.100s'", path);
        }
    }
    return 0;
}

static int load_docker_image(struct load *load, const json_t *entry, struct err *err)
{
    CLEANUP(buf) struct buf config_text = BUF_INIT;
    CLEANUP(json) json_t *config = NULL;
    const json_t *paths = json_object_get(entry, "Layers");
    const json_t *tags = json_object_get(entry, "RepoTags");
    const char *diff_ids[IMAGE_LAYERS_MAX];
    uint32_t count = 0;
    char id[REFERENCE_DIGEST_MAX + 1];
    int status;
    if ((status = archive_read(load->archive, json_get_text(entry, "Config", ""),
                               STORE_CONFIG_SIZE_MAX, &config_text, err)) != 0 ||
        (status = json_parse(buf_bytes(&config_text), "image configuration", &config, err)) != 0 ||
        (status = image_config_diff_ids(config, diff_ids, &count, err)) != 0) {
        return status;
    }
    if (count != json_array_size(paths)) {
        return err_set(err, ERR_MALFORMED, "manifest.json has %zu layers, the configuration has %u",
                       json_array_size(paths), count);
    }
    CLEANUP(layers) struct layers layers;
    layers_init(&layers, load->store);
    progress_restart(load->progress);
    if ((status = load_docker_layers(load, paths, diff_ids, &layers, err)) != 0 ||
        (status = image_add_layers(load->store, &layers, buf_bytes(&config_text), id, err)) != 0) {
        return status;
    }
    for (size_t i = 0; i < json_array_size(tags); i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        status = tag == NULL ? 0 : name_image(load, tag, id, err);
        if (status != 0) {
            return status;
        }
    }
    if (json_array_size(tags) == 0) {
        load->loaded(load->context, NULL, id);
        load->count++;
    }
    return 0;
}

static int load_docker(struct load *load, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *root = NULL;
    int status = archive_read(load->archive, "manifest.json", STORE_MANIFEST_SIZE_MAX, &text, err);
    if (status == 0) {
        status = json_parse_any(buf_bytes(&text), "manifest.json", &root, err);
    }
    if (status == 0 && (!json_is_array(root) || json_array_size(root) > IMAGES_MAX)) {
        status = err_set(err, ERR_MALFORMED, "manifest.json is not a list of images");
    }
    for (size_t i = 0; status == 0 && i < json_array_size(root); i++) {
        status = load_docker_image(load, json_array_get(root, i), err);
    }
    return status;
}

/* ---- OCI layout ---- */

static void blob_path(const char *digest, char out[100])
{
    (void)snprintf(out, 100, "blobs/sha256/%s", digest_hex(digest));
}

/* Copy a small blob (manifest, configuration) after checking its digest. */
static int copy_document(struct load *load, const struct descriptor *blob, struct buf *out,
                         struct err *err)
{
    char path[100];
    char digest[REFERENCE_DIGEST_MAX + 1];
    blob_path(blob->digest, path);
    int status = archive_read(load->archive, path, STORE_CONFIG_SIZE_MAX, out, err);
    if (status != 0) {
        return status;
    }
    hash_bytes(buf_bytes(out), digest);
    if (strcmp(digest, blob->digest) != 0) {
        return err_set(err, ERR_CORRUPT, "'%s' in the archive has the digest %s", path, digest);
    }
    return image_add_blob(load->store, buf_bytes(out), digest, err);
}

static int load_oci_layers(struct load *load, const struct manifest *manifest,
                           const char **diff_ids, struct layers *layers, struct err *err)
{
    for (uint32_t i = 0; i < manifest->entry_count; i++) {
        const struct descriptor *blob = &manifest->entries[i];
        char path[100];
        blob_path(blob->digest, path);
        int status;
        const struct archive_member *member = archive_find(load->archive, path);
        if (store_has_blob(load->store, blob->digest)) {
            status = layers_add_blob(layers, blob, diff_ids[i], err);
        } else if (member == NULL) {
            status = err_set(err, ERR_MALFORMED, "the archive has no '%s'", path);
        } else {
            status = load_layer(load, member, layers, blob->digest, diff_ids[i], err);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int load_oci_image(struct load *load, const struct descriptor *descriptor, struct err *err);

static int load_oci_index(struct load *load, const struct manifest *index, const char *name,
                          struct err *err)
{
    struct platform platform;
    const struct descriptor *chosen = NULL;
    platform_of_machine(&platform);
    int status = manifest_choose(index, &platform, &chosen, err);
    if (status != 0) {
        return status;
    }
    struct descriptor named = *chosen;
    (void)snprintf(named.ref_name, sizeof(named.ref_name), "%s", name);
    return load_oci_image(load, &named, err);
}

static int finish_oci_image(struct load *load, const struct descriptor *descriptor, const char *id,
                            struct err *err)
{
    struct reference reference;
    const char *name = descriptor->ref_name;
    /* The annotation may be just a tag ("latest"), which names nothing by itself. */
    bool is_name = name[0] != '\0' && strpbrk(name, "/:") != NULL &&
                   reference_parse(name, &reference, NULL) == 0;
    if (is_name) {
        return name_image(load, name, id, err);
    }
    load->loaded(load->context, NULL, id);
    load->count++;
    return 0;
}

static int load_oci_image(struct load *load, const struct descriptor *descriptor, struct err *err)
{
    CLEANUP(buf) struct buf manifest_text = BUF_INIT;
    CLEANUP(buf) struct buf config_text = BUF_INIT;
    CLEANUP(manifest) struct manifest manifest = {.entry_count = 0};
    CLEANUP(json) json_t *config = NULL;
    const char *diff_ids[IMAGE_LAYERS_MAX];
    uint32_t count = 0;
    char id[REFERENCE_DIGEST_MAX + 1];
    int status;
    if ((status = copy_document(load, descriptor, &manifest_text, err)) != 0 ||
        (status = manifest_parse(buf_bytes(&manifest_text), NULL, &manifest, err)) != 0) {
        return status;
    }
    if (manifest.is_index) {
        if (load->index_depth == INDEX_DEPTH_MAX) {
            return err_set(err, ERR_MALFORMED, "indexes of images are nested too deeply");
        }
        load->index_depth++;
        status = load_oci_index(load, &manifest, descriptor->ref_name, err);
        load->index_depth--;
        return status;
    }
    if ((status = copy_document(load, &manifest.config, &config_text, err)) != 0 ||
        (status = json_parse(buf_bytes(&config_text), "image configuration", &config, err)) != 0 ||
        (status = image_config_diff_ids(config, diff_ids, &count, err)) != 0) {
        return status;
    }
    if (count != manifest.entry_count) {
        return err_set(err, ERR_MALFORMED, "the manifest has %u layers, the configuration has %u",
                       manifest.entry_count, count);
    }
    CLEANUP(layers) struct layers layers;
    layers_init(&layers, load->store);
    progress_restart(load->progress);
    if ((status = load_oci_layers(load, &manifest, diff_ids, &layers, err)) != 0 ||
        (status = layers_commit(&layers, err)) != 0 ||
        (status = image_add_manifest(load->store, descriptor->digest, id, NULL, NULL, err)) != 0) {
        return status;
    }
    return finish_oci_image(load, descriptor, id, err);
}

static int load_oci(struct load *load, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(manifest) struct manifest index = {.entry_count = 0};
    int status = archive_read(load->archive, "index.json", STORE_MANIFEST_SIZE_MAX, &text, err);
    if (status == 0) {
        status = manifest_parse(buf_bytes(&text), NULL, &index, err);
    }
    if (status == 0 && !index.is_index) {
        status = err_set(err, ERR_MALFORMED, "index.json is not an index of images");
    }
    for (uint32_t i = 0; status == 0 && i < index.entry_count; i++) {
        if (!index.entries[i].is_attestation) {
            status = load_oci_image(load, &index.entries[i], err);
        }
    }
    return status;
}

int archive_load(const struct store *store, int fd, struct progress *progress,
                 archive_loaded *loaded, void *context, struct err *err)
{
    CLEANUP(archive) struct archive archive = {.spool_fd = -1};
    int status = archive_open(&archive, store, fd, err);
    if (status != 0) {
        return status;
    }
    struct load load = {
        .store = store,
        .archive = &archive,
        .progress = progress,
        .loaded = loaded,
        .context = context,
    };
    if (archive_find(&archive, "oci-layout") != NULL &&
        archive_find(&archive, "index.json") != NULL) {
        status = load_oci(&load, err);
    } else if (archive_find(&archive, "manifest.json") != NULL) {
        status = load_docker(&load, err);
    } else {
        return err_set(
            err, ERR_MALFORMED,
            "not an image archive: neither manifest.json (docker save) nor oci-layout is "
            "in it (a root file system is taken in with import)");
    }
    if (status == 0 && load.count == 0) {
        status = err_set(err, ERR_MALFORMED, "the archive has no image");
    }
    return status;
}
