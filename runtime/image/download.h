/* download.h - several blobs at a time, each verified while it comes in, resumed after a failure.
 */
#ifndef RUNTIME_IMAGE_DOWNLOAD_H
#define RUNTIME_IMAGE_DOWNLOAD_H

#include "base/err.h"
#include "runtime/image/manifest.h"
#include "runtime/image/progress.h"
#include "runtime/image/registry.h"
#include "runtime/image/store.h"

enum { DOWNLOAD_PARALLEL = 3, DOWNLOAD_TRIES_MAX = 5 };

/* Bring blobs into the store that are not there. items[i] is the progress item of blobs[i]. What
 * came in of an unfinished blob stays in <root>/oci/ingest/<hex>.partial and is continued next
 * time, by this or another process. */
MUST_USE int download_blobs(struct registry *registry, const struct store *store,
                            const struct descriptor *blobs, const uint32_t *items, uint32_t count,
                            struct progress *progress, struct err *err);

#endif
