/* image.h - images in the store: names, records, and what a container needs of one.
 *
 * An image is identified by the digest of its configuration, as in Docker. Its record,
 * images/<hex of the id>, is a small JSON object that spares `run` from hashing and walking blobs:
 *
 *     {"id":"sha256:…","manifest":"sha256:…","layers":["<chain hex>",…],"size":123,"created":"…"}
 *
 * Names are entries of oci/index.json. A record without a name is a dangling image. */
#ifndef RUNTIME_IMAGE_IMAGE_H
#define RUNTIME_IMAGE_IMAGE_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/image/manifest.h"
#include "runtime/image/reference.h"
#include "runtime/image/store.h"

struct image {
    char id[REFERENCE_DIGEST_MAX + 1];
    char manifest[REFERENCE_DIGEST_MAX + 1];
    char (*layers)[65]; /* chain ids, lowest first; owned */
    uint32_t layer_count;
    int64_t size;     /* bytes of the unpacked layers */
    char created[64]; /* RFC 3339, as the configuration says */
    json_t *config;   /* the whole configuration document; NULL until image_read_config */
};

struct image_name {
    char reference[REFERENCE_TEXT_MAX + 1]; /* full form */
    char id[REFERENCE_DIGEST_MAX + 1];
    char repository_digest[REFERENCE_DIGEST_MAX + 1]; /* what a registry called it, or "" */
};

struct image_names {
    struct image_name *items; /* owned */
    uint32_t count;
};

/* Find by name, by id, or by at least two digits of an id. ERR_NOT_FOUND offers a similar name. */
MUST_USE int image_find(const struct store *store, const char *text, struct image *ret,
                        struct err *err);
MUST_USE int image_open(const struct store *store, const char *id, struct image *ret,
                        struct err *err);
MUST_USE int image_read_config(const struct store *store, struct image *image, struct err *err);
void image_deinit(struct image *image);
/* False when a power failure took blobs or layers of it away. */
bool image_is_whole(const struct store *store, const struct image *image);

/* Write the record; the blobs and layers are there. The caller holds the store lock, shared. */
MUST_USE int image_write_record(const struct store *store, const struct image *image,
                                struct err *err);
MUST_USE int image_remove_record(const struct store *store, const char *id, struct err *err);
/* Ids of all records; *ret_ids is owned by the caller. */
MUST_USE int image_list(const struct store *store, char (**ret_ids)[REFERENCE_DIGEST_MAX + 1],
                        uint32_t *ret_count, struct err *err);

MUST_USE int image_names_read(const struct store *store, struct image_names *ret, struct err *err);
void image_names_deinit(struct image_names *names);
/* Point a full reference at an image, moving it when it exists. repository_digest may be NULL. */
MUST_USE int image_names_set(const struct store *store, const char *reference, const char *id,
                             const char *repository_digest, struct err *err);
/* ERR_NOT_FOUND */
MUST_USE int image_names_remove(const struct store *store, const char *reference, struct err *err);

/* "<root>/layers/<hex>/diff", where a layer is unpacked. The caller frees it. */
char *image_layer_path(const struct store *store, const char *chain_hex);

static inline void cleanup_image(struct image *image)
{
    image_deinit(image);
}
static inline void cleanup_image_names(struct image_names *names)
{
    image_names_deinit(names);
}

#endif
