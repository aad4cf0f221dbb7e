/* image_names.c - oci/index.json: which name means which image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/image.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"

enum { INDEX_SIZE_MAX = 64 << 20 };
static const char index_name[] = "index.json";
static const char key_name[] = "org.opencontainers.image.ref.name";
static const char key_id[] = "dev.coracle.image.id";
static const char key_digest[] = "dev.coracle.repository.digest";

static int read_index(const struct store *store, json_t **ret, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = in_root_read_file(store->oci_fd, index_name, INDEX_SIZE_MAX, &text);
    if (status == -ENOENT) {
        *ret =
            json_pack("{si ss s[]}", "schemaVersion", 2, "mediaType", MEDIA_OCI_INDEX, "manifests");
        return 0;
    }
    if (status != 0) {
        return err_set(err, status, "read the list of image names: %s", err_text(status));
    }
    status = json_parse(buf_bytes(&text), "index.json of the image store", ret, err);
    if (status == 0 && !json_is_array(json_object_get(*ret, "manifests"))) {
        json_decref(*ret);
        *ret = NULL;
        return err_set(err, ERR_CORRUPT, "index.json of the image store is damaged");
    }
    return status;
}

/* Readers need no lock: the file is replaced whole. Writers take turns. */
static int lock_index(const struct store *store, int *ret_fd, struct err *err)
{
    CLEANUP(close_fd)
    int fd = openat(store->oci_fd, "index.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "open the lock of the image names");
    }
    while (flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            return err_set_errno(err, errno, "lock the image names");
        }
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int write_index(const struct store *store, const json_t *index, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(index, false, &text);
    return store_write_file(store->oci_fd, index_name, buf_bytes(&text), err);
}

int image_names_read(const struct store *store, struct image_names *ret, struct err *err)
{
    CLEANUP(json) json_t *index = NULL;
    int status = read_index(store, &index, err);
    if (status != 0) {
        return status;
    }
    const json_t *manifests = json_object_get(index, "manifests");
    ret->items = mem_calloc(json_array_size(manifests) + 1, sizeof(*ret->items));
    ret->count = 0;
    for (size_t i = 0; i < json_array_size(manifests); i++) {
        const json_t *notes = json_object_get(json_array_get(manifests, i), "annotations");
        const char *name = json_get_text(notes, key_name, "");
        const char *id = json_get_text(notes, key_id, "");
        if (name[0] == '\0' || !digest_is_valid(id)) {
            continue; /* put there by another program */
        }
        struct image_name *item = &ret->items[ret->count++];
        (void)snprintf(item->reference, sizeof(item->reference), "%s", name);
        (void)snprintf(item->id, sizeof(item->id), "%s", id);
        (void)snprintf(item->repository_digest, sizeof(item->repository_digest), "%s",
                       json_get_text(notes, key_digest, ""));
    }
    return 0;
}

static size_t find_entry(const json_t *manifests, const char *reference)
{
    size_t count = json_array_size(manifests);
    for (size_t i = 0; i < count; i++) {
        const json_t *notes = json_object_get(json_array_get(manifests, i), "annotations");
        if (strcmp(json_get_text(notes, key_name, ""), reference) == 0) {
            return i;
        }
    }
    return count;
}

static int manifest_size(const struct store *store, const char *digest, int64_t *ret,
                         struct err *err)
{
    CLEANUP(close_fd) int fd = -1;
    return store_blob_open(store, digest, &fd, ret, err);
}

int image_names_set(const struct store *store, const char *reference, const char *id,
                    const char *repository_digest, struct err *err)
{
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(close_fd) int lock = -1;
    CLEANUP(json) json_t *index = NULL;
    int64_t size = 0;
    int status = image_open(store, id, &image, err);
    if (status != 0 || (status = manifest_size(store, image.manifest, &size, err)) != 0 ||
        (status = lock_index(store, &lock, err)) != 0 ||
        (status = read_index(store, &index, err)) != 0) {
        return status;
    }
    json_t *entry = json_pack("{ss ss sI s{ss ss ss ss}}", "mediaType", MEDIA_OCI_MANIFEST,
                              "digest", image.manifest, "size", (json_int_t)size, "annotations",
                              key_name, reference, "io.containerd.image.name", reference, key_id,
                              id, key_digest, repository_digest == NULL ? "" : repository_digest);
    json_t *manifests = json_object_get(index, "manifests");
    size_t place = find_entry(manifests, reference);
    if (place < json_array_size(manifests)) {
        json_array_set_new(manifests, place, entry);
    } else {
        json_array_append_new(manifests, entry);
    }
    return write_index(store, index, err);
}

int image_names_remove(const struct store *store, const char *reference, struct err *err)
{
    CLEANUP(close_fd) int lock = -1;
    CLEANUP(json) json_t *index = NULL;
    int status = lock_index(store, &lock, err);
    if (status != 0 || (status = read_index(store, &index, err)) != 0) {
        return status;
    }
    json_t *manifests = json_object_get(index, "manifests");
    size_t place = find_entry(manifests, reference);
    if (place == json_array_size(manifests)) {
        return err_set(err, ERR_NOT_FOUND, "no such image: %s", reference);
    }
    json_array_remove(manifests, place);
    return write_index(store, index, err);
}
