/* archive_save.c - one archive that is an OCI layout and a `docker save` at the same time. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "runtime/image/archive.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/image/tar_write.h"

struct save {
    const struct store *store;
    int fd;
    struct bytes_map written; /* digests; the value only marks presence */
    json_t *index;            /* manifests of index.json */
    json_t *docker;           /* manifest.json */
};

static int write_bytes(int fd, struct bytes bytes, struct err *err)
{
    CLEANUP(stream) struct stream *stream = stream_new_bytes(bytes);
    return stream_copy(stream, fd, NULL, err);
}

static int write_member(struct save *save, const char *path, struct bytes content, struct err *err)
{
    struct tar_entry entry = {
        .type = TAR_FILE,
        .path = path,
        .link = "",
        .mode = 0644,
        .size = (int64_t)content.size,
    };
    CLEANUP(buf) struct buf out = BUF_INIT;
    tar_write_header(&entry, &out);
    buf_append_bytes(&out, content);
    tar_write_padding(entry.size, &out);
    return write_bytes(save->fd, buf_bytes(&out), err);
}

static int write_blob(struct save *save, const char *digest, struct err *err)
{
    if (bytes_map_find(&save->written, bytes_from_text(digest)) != NULL) {
        return 0;
    }
    CLEANUP(close_fd) int fd = -1;
    char path[100];
    struct tar_entry entry = {.type = TAR_FILE, .path = path, .link = "", .mode = 0644};
    (void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(digest));
    int status = store_blob_open(save->store, digest, &fd, &entry.size, err);
    if (status != 0) {
        return status;
    }
    CLEANUP(buf) struct buf out = BUF_INIT;
    CLEANUP(stream) struct stream *stream = stream_new_file(fd, 0, entry.size);
    tar_write_header(&entry, &out);
    if ((status = write_bytes(save->fd, buf_bytes(&out), err)) != 0 ||
        (status = stream_copy(stream, save->fd, NULL, err)) != 0) {
        return status;
    }
    buf_clear(&out);
    tar_write_padding(entry.size, &out);
    (void)bytes_map_set(&save->written, bytes_from_text(digest), save);
    return write_bytes(save->fd, buf_bytes(&out), err);
}

static json_t *blob_path(const char *digest)
{
    char path[100];
    (void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(digest));
    return json_text(path);
}

/* Entries of index.json and manifest.json; name is "" when the image was given by its id. */
static void describe(struct save *save, const struct image *image, const struct manifest *manifest,
                     int64_t manifest_size, const char *name)
{
    json_t *entry = json_pack("{ss ss sI}", "mediaType", manifest->media_type, "digest",
                              image->manifest, "size", (json_int_t)manifest_size);
    json_t *tags = json_array();
    if (name[0] != '\0') {
        struct reference reference;
        char familiar[REFERENCE_TEXT_MAX + 1] = "";
        if (reference_parse(name, &reference, NULL) == 0) {
            reference_format_familiar(&reference, familiar);
        }
        json_object_set_new(entry, "annotations",
                            json_pack("{ss ss}", "io.containerd.image.name", name,
                                      "org.opencontainers.image.ref.name",
                                      reference.tag[0] != '\0' ? reference.tag : name));
        json_array_append_new(tags, json_text(familiar));
    }
    json_array_append_new(save->index, entry);
    json_t *layers = json_array();
    for (uint32_t i = 0; i < manifest->entry_count; i++) {
        json_array_append_new(layers, blob_path(manifest->entries[i].digest));
    }
    json_array_append_new(save->docker, json_pack("{so so so}", "Config", blob_path(image->id),
                                                  "RepoTags", tags, "Layers", layers));
}

static int save_image(struct save *save, const char *name, struct err *err)
{
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(manifest) struct manifest manifest = {.entry_count = 0};
    CLEANUP(image_names) struct image_names names = {.count = 0};
    int status;
    if ((status = image_find(save->store, name, &image, err)) != 0 ||
        (status = image_names_read(save->store, &names, err)) != 0 ||
        (status = store_blob_read(save->store, image.manifest, STORE_MANIFEST_SIZE_MAX, &text,
                                  err)) != 0 ||
        (status = manifest_parse(buf_bytes(&text), NULL, &manifest, err)) != 0 ||
        (status = write_blob(save, image.manifest, err)) != 0 ||
        (status = write_blob(save, image.id, err)) != 0) {
        return status;
    }
    for (uint32_t i = 0; i < manifest.entry_count; i++) {
        status = write_blob(save, manifest.entries[i].digest, err);
        if (status != 0) {
            return status;
        }
    }
    struct reference reference;
    char full[REFERENCE_TEXT_MAX + 1] = "";
    if (reference_parse(name, &reference, NULL) == 0) {
        reference_format(&reference, full);
    }
    bool is_name = false;
    for (uint32_t i = 0; i < names.count; i++) {
        is_name = is_name || strcmp(names.items[i].reference, full) == 0;
    }
    describe(save, &image, &manifest, (int64_t)buf_size(&text), is_name ? full : "");
    return 0;
}

static int write_json(struct save *save, const char *path, const json_t *value, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(value, false, &text);
    return write_member(save, path, buf_bytes(&text), err);
}

static int write_tables(struct save *save, struct err *err)
{
    CLEANUP(json)
    json_t *index = json_pack("{si ss sO}", "schemaVersion", 2, "mediaType", MEDIA_OCI_INDEX,
                              "manifests", save->index);
    int status;
    if ((status = write_member(save, "oci-layout",
                               BYTES_LITERAL("{\"imageLayoutVersion\":\"1.0.0\"}"), err)) != 0 ||
        (status = write_json(save, "index.json", index, err)) != 0 ||
        (status = write_json(save, "manifest.json", save->docker, err)) != 0) {
        return status;
    }
    CLEANUP(buf) struct buf end = BUF_INIT;
    tar_write_end(&end);
    return write_bytes(save->fd, buf_bytes(&end), err);
}

int archive_save(const struct store *store, const char *const *names, uint32_t name_count, int fd,
                 struct err *err)
{
    struct save save = {
        .store = store,
        .fd = fd,
        .index = json_array(),
        .docker = json_array(),
    };
    bytes_map_init(&save.written);
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < name_count; i++) {
        status = save_image(&save, names[i], err);
    }
    if (status == 0) {
        status = write_tables(&save, err);
    }
    bytes_map_deinit(&save.written);
    json_decref(save.index);
    json_decref(save.docker);
    return status;
}
