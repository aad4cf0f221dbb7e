/* memory_table.h - the two tables in memory, sorted arrays that share their values. */
#ifndef KVSTORE_BACKEND_MEMORY_TABLE_H
#define KVSTORE_BACKEND_MEMORY_TABLE_H

#include "kvstore/backend/batch.h"

struct memory_record {
    struct backend_revision revision;
    bool is_tombstone;
    uint32_t checksum;
    struct blob *value; /* NULL: deleted, waits to be squeezed out */
};

struct memory_meta {
    struct blob *key;
    struct blob *value;
    uint32_t checksum;
};

struct memory_table {
    struct memory_record *records;
    size_t record_count; /* with deleted ones */
    size_t record_capacity;
    size_t deleted_count;
    struct memory_meta *metas;
    size_t meta_count;
    size_t meta_capacity;
    struct backend_position applied;
    uint64_t bytes; /* of live keys and values */
};

void memory_table_init(struct memory_table *table);
void memory_table_deinit(struct memory_table *table);
/* to is initialised by it; values are shared. */
void memory_table_copy(struct memory_table *to, const struct memory_table *from);

void memory_table_apply(struct memory_table *table, const struct backend_batch *batch);

/* Position of the first record with at least this revision; record_count if there is none. */
size_t memory_table_seek(const struct memory_table *table, struct backend_revision revision);
/* Position of the first meta entry with at least this key. */
size_t memory_table_meta_seek(const struct memory_table *table, struct bytes key);

/* Verified; ERR_CORRUPT. The position holds a live record. */
MUST_USE int memory_table_read(const struct memory_table *table, size_t position,
                               struct backend_record *ret_record, struct err *err);
MUST_USE int memory_table_meta_read(const struct memory_table *table, size_t position,
                                    struct backend_meta *ret_meta, struct err *err);

#endif
