/* operations.h - what an implementation of backend.h provides. Private to this folder. */
#ifndef KVSTORE_BACKEND_OPERATIONS_H
#define KVSTORE_BACKEND_OPERATIONS_H

#include "kvstore/backend/backend.h"

struct backend_operations {
    void (*close)(struct backend *backend);
    int (*renew)(struct backend *backend, struct err *err);
    struct backend_position (*applied)(const struct backend *backend);
    int (*get)(struct backend *backend, struct backend_revision revision,
               struct backend_record *ret_record, struct err *err);
    int (*scan)(struct backend *backend, struct backend_revision from, struct backend_revision end,
                struct backend_record *ret_records, uint32_t capacity, uint32_t *ret_count,
                struct err *err);
    int (*meta_get)(struct backend *backend, struct bytes key, struct bytes *ret_value,
                    struct err *err);
    int (*meta_scan)(struct backend *backend, struct bytes prefix, struct bytes after,
                     struct backend_meta *ret_entries, uint32_t capacity, uint32_t *ret_count,
                     struct err *err);
    void (*stats)(struct backend *backend, struct backend_stats *ret_stats);
    int (*commit)(struct backend *backend, struct backend_batch *const *batches, uint32_t count,
                  struct err *err);
    int (*sync)(struct backend *backend, struct backend_position *ret_durable, struct err *err);
    int (*defragment)(struct backend *backend, struct err *err);
    int (*restore_start)(struct backend *backend, struct err *err);
    int (*restore_write)(struct backend *backend, struct backend_batch *const *batches,
                         uint32_t count, struct err *err);
    int (*restore_finish)(struct backend *backend, struct err *err);
    void (*restore_cancel)(struct backend *backend);
    int (*snapshot_open)(struct backend *backend, uint32_t max_age_ms,
                         struct backend_snapshot **ret_snapshot, struct err *err);
    void (*snapshot_close)(struct backend_snapshot *snapshot);
    int (*snapshot_next)(struct backend_snapshot *snapshot, struct backend_item *ret_items,
                         uint32_t capacity, uint32_t *ret_count, struct err *err);
};

/* Embedded first in each implementation. */
struct backend {
    const struct backend_operations *operations;
};

struct backend_snapshot {
    const struct backend_operations *operations;
    struct backend_position applied;
    uint64_t size_bytes;
};

#endif
