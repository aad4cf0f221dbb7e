/* collect.h - remove from the store what no image and no container needs. */
#ifndef RUNTIME_IMAGE_COLLECT_H
#define RUNTIME_IMAGE_COLLECT_H

#include "base/err.h"
#include "runtime/image/store.h"

struct collect_result {
    int64_t blobs;
    int64_t layers;
    int64_t bytes; /* of the blobs */
};

/* Needs the store for itself: ERR_BUSY when another process is adding content; try again later.
 * In use is: what image records name, and the layers of every directory in <root>/containers. A
 * record or container that cannot be read stops the collection before anything is removed. */
MUST_USE int collect_garbage(const struct store *store, struct collect_result *ret,
                             struct err *err);

#endif
