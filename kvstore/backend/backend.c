#include "kvstore/backend/backend.h"

#include "base/check.h"
#include "kvstore/backend/operations.h"

void backend_close(struct backend *backend)
{
    if (backend != NULL) {
        backend->operations->close(backend);
    }
}

int backend_renew(struct backend *backend, struct err *err)
{
    return backend->operations->renew(backend, err);
}

struct backend_position backend_applied(const struct backend *backend)
{
    return backend->operations->applied(backend);
}

int backend_get(struct backend *backend, struct backend_revision revision,
                struct backend_record *ret_record, struct err *err)
{
    return backend->operations->get(backend, revision, ret_record, err);
}

int backend_scan(struct backend *backend, struct backend_revision from, struct backend_revision end,
                 struct backend_record *ret_records, uint32_t capacity, uint32_t *ret_count,
                 struct err *err)
{
    CHECK(capacity > 0);
    return backend->operations->scan(backend, from, end, ret_records, capacity, ret_count, err);
}

int backend_meta_get(struct backend *backend, struct bytes key, struct bytes *ret_value,
                     struct err *err)
{
    return backend->operations->meta_get(backend, key, ret_value, err);
}

int backend_meta_scan(struct backend *backend, struct bytes prefix, struct bytes after,
                      struct backend_meta *ret_entries, uint32_t capacity, uint32_t *ret_count,
                      struct err *err)
{
    CHECK(capacity > 0);
    return backend->operations->meta_scan(backend, prefix, after, ret_entries, capacity, ret_count,
                                          err);
}

void backend_stats(struct backend *backend, struct backend_stats *ret_stats)
{
    backend->operations->stats(backend, ret_stats);
}

int backend_commit(struct backend *backend, struct backend_batch *const *batches, uint32_t count,
                   struct err *err)
{
    return backend->operations->commit(backend, batches, count, err);
}

int backend_sync(struct backend *backend, struct backend_position *ret_durable, struct err *err)
{
    return backend->operations->sync(backend, ret_durable, err);
}

int backend_defragment(struct backend *backend, struct err *err)
{
    return backend->operations->defragment(backend, err);
}

int backend_restore_start(struct backend *backend, struct err *err)
{
    return backend->operations->restore_start(backend, err);
}

int backend_restore_write(struct backend *backend, struct backend_batch *const *batches,
                          uint32_t count, struct err *err)
{
    return backend->operations->restore_write(backend, batches, count, err);
}

int backend_restore_finish(struct backend *backend, struct err *err)
{
    return backend->operations->restore_finish(backend, err);
}

void backend_restore_cancel(struct backend *backend)
{
    backend->operations->restore_cancel(backend);
}

int backend_snapshot_open(struct backend *backend, uint32_t max_age_ms,
                          struct backend_snapshot **ret_snapshot, struct err *err)
{
    return backend->operations->snapshot_open(backend, max_age_ms, ret_snapshot, err);
}

void backend_snapshot_close(struct backend_snapshot *snapshot)
{
    if (snapshot != NULL) {
        snapshot->operations->snapshot_close(snapshot);
    }
}

struct backend_position backend_snapshot_applied(const struct backend_snapshot *snapshot)
{
    return snapshot->applied;
}

uint64_t backend_snapshot_size_bytes(const struct backend_snapshot *snapshot)
{
    return snapshot->size_bytes;
}

int backend_snapshot_next(struct backend_snapshot *snapshot, struct backend_item *ret_items,
                          uint32_t capacity, uint32_t *ret_count, struct err *err)
{
    CHECK(capacity > 0);
    return snapshot->operations->snapshot_next(snapshot, ret_items, capacity, ret_count, err);
}
