/* transfer.h - images from and to registries. */
#ifndef RUNTIME_IMAGE_TRANSFER_H
#define RUNTIME_IMAGE_TRANSFER_H

#include "base/err.h"
#include "runtime/image/manifest.h"
#include "runtime/image/progress.h"
#include "runtime/image/reference.h"
#include "runtime/image/store.h"

struct transfer_result {
    char id[REFERENCE_DIGEST_MAX + 1];
    char digest[REFERENCE_DIGEST_MAX + 1]; /* what the registry calls it */
    int64_t manifest_size;
    bool was_present;
};

/* Pull and name the image. The caller holds the store lock, shared. */
MUST_USE int transfer_pull(const struct store *store, const struct reference *reference,
                           const struct platform *platform, bool is_insecure,
                           struct progress *progress, struct transfer_result *ret, struct err *err);
/* Push the image that has this name in the store. */
MUST_USE int transfer_push(const struct store *store, const struct reference *reference,
                           bool is_insecure, struct progress *progress, struct transfer_result *ret,
                           struct err *err);

#endif
