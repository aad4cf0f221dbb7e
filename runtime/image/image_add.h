/* image_add.h - turn blobs into an image that containers can run. */
#ifndef RUNTIME_IMAGE_IMAGE_ADD_H
#define RUNTIME_IMAGE_IMAGE_ADD_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/image/layer.h"
#include "runtime/image/manifest.h"
#include "runtime/image/store.h"

enum { IMAGE_LAYERS_MAX = MANIFEST_LAYERS_MAX };

/* The layers of a configuration: rootfs.diff_ids, checked. Texts live as long as config. */
MUST_USE int image_config_diff_ids(const json_t *config, const char **out, uint32_t *ret_count,
                                   struct err *err);

/* Store bytes as a blob; digest gets its name. */
MUST_USE int image_add_blob(const struct store *store, struct bytes content, char *digest,
                            struct err *err);

/* Manifest, configuration and layers are in the store as blobs: verify that they belong together,
 * unpack what is not unpacked yet, and write the record. id gets the image's id. progress may be
 * NULL; it is called before each layer. The caller holds the store lock, shared. */
MUST_USE int image_add_manifest(const struct store *store, const char *manifest_digest, char *id,
                                void (*progress)(void *context, uint32_t layer, uint32_t count),
                                void *context, struct err *err);

/* The layers are in the batch and the configuration is at hand: commit them, write a manifest and
 * the record. */
MUST_USE int image_add_layers(const struct store *store, struct layers *layers,
                              struct bytes config_text, char *id, struct err *err);

#endif
