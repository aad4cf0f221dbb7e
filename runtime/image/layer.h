/* layer.h - layers of images: from bytes of unknown origin to a verified, unpacked directory.
 *
 * A batch collects the layers of one image. They are unpacked under temporary names and get their
 * own when all are complete; marks (store.h) tell after a power failure which ones not to trust. */
#ifndef RUNTIME_IMAGE_LAYER_H
#define RUNTIME_IMAGE_LAYER_H

#include "base/err.h"
#include "runtime/image/manifest.h"
#include "runtime/image/store.h"
#include "runtime/image/stream.h"

struct layer {
    char diff_id[REFERENCE_DIGEST_MAX + 1]; /* of the uncompressed archive */
    char chain_id[REFERENCE_DIGEST_MAX + 1];
    struct descriptor blob; /* as stored */
    int64_t size;           /* bytes of unpacked files */
    char temporary[96];     /* directory below layers/, "" when the layer was there already */
};

struct layers {
    const struct store *store;
    struct layer *items; /* owned, lowest first */
    uint32_t count;
};

void layers_init(struct layers *layers, const struct store *store);
/* Removes what was not committed. */
void layers_deinit(struct layers *layers);

/* Unpack a blob that is in the store. diff_id is what the configuration promises. */
MUST_USE int layers_add_blob(struct layers *layers, const struct descriptor *blob,
                             const char *diff_id, struct err *err);
/* Store the bytes of a stream as a blob and unpack them in the same pass. The stream is taken.
 * blob_digest and diff_id are verified when not NULL. */
MUST_USE int layers_add_stream(struct layers *layers, struct stream *take_stream,
                               const char *blob_digest, const char *diff_id, struct err *err);
MUST_USE int layers_commit(struct layers *layers, struct err *err);

static inline void cleanup_layers(struct layers *layers)
{
    layers_deinit(layers);
}

#endif
