/* manifest.h - manifests and indexes of images, OCI and Docker schema 2. Pure.
 *
 * Source: image-spec 1.1 manifest.md, image-index.md; distribution "Image Manifest Version 2,
 * Schema 2". */
#ifndef RUNTIME_IMAGE_MANIFEST_H
#define RUNTIME_IMAGE_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/image/reference.h"

#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP MEDIA_OCI_LAYER "+gzip"
#define MEDIA_OCI_LAYER_ZSTD MEDIA_OCI_LAYER "+zstd"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define MEDIA_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"

enum { MANIFEST_LAYERS_MAX = 500, MANIFEST_ENTRIES_MAX = 1000 };

struct platform {
    char os[32];
    char architecture[32]; /* Go's names: amd64, arm64, arm, … */
    char variant[16];      /* "" or v7, v8, … */
};

struct descriptor {
    char media_type[128];
    char digest[REFERENCE_DIGEST_MAX + 1];
    int64_t size;
    struct platform platform;              /* in an index; empty elsewhere */
    char ref_name[REFERENCE_TEXT_MAX + 1]; /* annotation of an OCI layout's index, "" when absent */
    bool is_attestation;
};

struct manifest {
    char media_type[128];
    bool is_index;
    struct descriptor config;   /* of a manifest */
    struct descriptor *entries; /* layers of a manifest, manifests of an index; owned */
    uint32_t entry_count;
};

/* content_type: what the transport called it, or NULL. Refuses a document that could be read both
 * ways (CVE-2021-41190), schema 1, bad digests and sizes. */
MUST_USE int manifest_parse(struct bytes text, const char *content_type, struct manifest *ret,
                            struct err *err);
void manifest_deinit(struct manifest *manifest);

/* The best entry of an index for a platform; ERR_NOT_FOUND names what there is. */
MUST_USE int manifest_choose(const struct manifest *index, const struct platform *platform,
                             const struct descriptor **ret, struct err *err);

/* The platform of this machine, and of "os/architecture[/variant]". */
void platform_of_machine(struct platform *ret);
MUST_USE int platform_parse(const char *text, struct platform *ret, struct err *err);

/* Write an OCI manifest. */
void manifest_write(const struct descriptor *config, const struct descriptor *layers,
                    uint32_t layer_count, struct buf *out);

static inline void cleanup_manifest(struct manifest *manifest)
{
    manifest_deinit(manifest);
}

#endif
