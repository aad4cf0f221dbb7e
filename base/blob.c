#include "base/blob.h"

#include "base/check.h"
#include "base/mem.h"

struct blob *blob_new(size_t size)
{
    CHECK(size <= BLOB_SIZE_MAX);
    struct blob *blob = mem_alloc(sizeof *blob + size);
    atomic_init(&blob->reference_count, 1);
    blob->size = (uint32_t)size;
    return blob;
}

struct blob *blob_new_copy(const void *data, size_t size)
{
    struct blob *blob = blob_new(size);
    if (size > 0) {
        memcpy(blob->data, data, size);
    }
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    if (blob != NULL) {
        uint_fast32_t before =
            atomic_fetch_add_explicit(&blob->reference_count, 1, memory_order_relaxed);
        CHECK(before > 0);
    }
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob == NULL) {
        return;
    }
    uint_fast32_t before =
        atomic_fetch_sub_explicit(&blob->reference_count, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        mem_free(blob);
    }
}
