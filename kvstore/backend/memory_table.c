#include "kvstore/backend/memory_table.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "kvstore/backend/record.h"

void memory_table_init(struct memory_table *table)
{
    *table = (struct memory_table){.records = NULL};
}

void memory_table_deinit(struct memory_table *table)
{
    for (size_t i = 0; i < table->record_count; i++) {
        blob_unref(table->records[i].value);
    }
    for (size_t i = 0; i < table->meta_count; i++) {
        blob_unref(table->metas[i].key);
        blob_unref(table->metas[i].value);
    }
    mem_free(table->records);
    mem_free(table->metas);
    memory_table_init(table);
}

void memory_table_copy(struct memory_table *to, const struct memory_table *from)
{
    *to = *from;
    to->record_capacity = from->record_count;
    to->meta_capacity = from->meta_count;
    to->records = to->record_count == 0
                      ? NULL
                      : mem_dup(from->records, to->record_count * sizeof *from->records);
    to->metas =
        to->meta_count == 0 ? NULL : mem_dup(from->metas, to->meta_count * sizeof *from->metas);
    for (size_t i = 0; i < to->record_count; i++) {
        (void)blob_ref(to->records[i].value);
    }
    for (size_t i = 0; i < to->meta_count; i++) {
        (void)blob_ref(to->metas[i].key);
        (void)blob_ref(to->metas[i].value);
    }
}

size_t memory_table_seek(const struct memory_table *table, struct backend_revision revision)
{
    size_t low = 0;
    size_t high = table->record_count;
    /* Almost every write goes to the end. */
    if (high > 0 && backend_revision_compare(table->records[high - 1].revision, revision) < 0) {
        return high;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (backend_revision_compare(table->records[middle].revision, revision) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t memory_table_meta_seek(const struct memory_table *table, struct bytes key)
{
    size_t low = 0;
    size_t high = table->meta_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(blob_bytes(table->metas[middle].key), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void forget(struct memory_table *table, struct memory_record *record)
{
    if (record->value == NULL) {
        return;
    }
    table->bytes -= record->value->size;
    table->deleted_count++;
    blob_unref(record->value);
    record->value = NULL;
}

static void squeeze(struct memory_table *table)
{
    if (table->deleted_count < 64 || table->deleted_count * 2 < table->record_count) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < table->record_count; i++) {
        if (table->records[i].value != NULL) {
            table->records[kept++] = table->records[i];
        }
    }
    table->record_count = kept;
    table->deleted_count = 0;
}

static void put(struct memory_table *table, const struct backend_change *change)
{
    size_t position = memory_table_seek(table, change->from);
    bool is_present =
        position < table->record_count &&
        backend_revision_compare(table->records[position].revision, change->from) == 0;
    if (is_present) {
        forget(table, &table->records[position]);
        table->deleted_count--;
    } else {
        if (table->record_count == table->record_capacity) {
            table->record_capacity = table->record_capacity * 2 + 64;
            table->records =
                mem_reallocarray(table->records, table->record_capacity, sizeof *table->records);
        }
        memmove(&table->records[position + 1], &table->records[position],
                (table->record_count - position) * sizeof *table->records);
        table->record_count++;
    }
    bool is_tombstone = change->type == BACKEND_CHANGE_PUT_TOMBSTONE;
    table->records[position] = (struct memory_record){
        .revision = change->from,
        .is_tombstone = is_tombstone,
        .checksum = record_checksum(change->from, is_tombstone, blob_bytes(change->value)),
        .value = blob_ref(change->value)};
    table->bytes += change->value->size;
}

static void delete_range(struct memory_table *table, struct backend_revision from,
                         struct backend_revision end)
{
    for (size_t i = memory_table_seek(table, from);
         i < table->record_count && backend_revision_compare(table->records[i].revision, end) < 0;
         i++) {
        forget(table, &table->records[i]);
    }
    squeeze(table);
}

static void meta_remove(struct memory_table *table, size_t position, size_t count)
{
    for (size_t i = position; i < position + count; i++) {
        table->bytes -= table->metas[i].key->size + table->metas[i].value->size;
        blob_unref(table->metas[i].key);
        blob_unref(table->metas[i].value);
    }
    memmove(&table->metas[position], &table->metas[position + count],
            (table->meta_count - position - count) * sizeof *table->metas);
    table->meta_count -= count;
}

static bool has_meta_at(const struct memory_table *table, size_t position, struct bytes key)
{
    return position < table->meta_count && bytes_equal(blob_bytes(table->metas[position].key), key);
}

static void meta_put(struct memory_table *table, struct bytes key, struct bytes value)
{
    size_t position = memory_table_meta_seek(table, key);
    if (has_meta_at(table, position, key)) {
        meta_remove(table, position, 1);
    }
    if (table->meta_count == table->meta_capacity) {
        table->meta_capacity = table->meta_capacity * 2 + 16;
        table->metas = mem_reallocarray(table->metas, table->meta_capacity, sizeof *table->metas);
    }
    memmove(&table->metas[position + 1], &table->metas[position],
            (table->meta_count - position) * sizeof *table->metas);
    table->meta_count++;
    table->metas[position] = (struct memory_meta){.key = blob_new_copy(key.data, key.size),
                                                  .value = blob_new_copy(value.data, value.size),
                                                  .checksum = record_meta_checksum(key, value)};
    table->bytes += key.size + value.size;
}

static void meta_delete_prefix(struct memory_table *table, struct bytes prefix)
{
    size_t position = memory_table_meta_seek(table, prefix);
    size_t count = 0;
    while (position + count < table->meta_count &&
           bytes_has_prefix(blob_bytes(table->metas[position + count].key), prefix)) {
        count++;
    }
    if (count > 0) {
        meta_remove(table, position, count);
    }
}

static void apply_change(struct memory_table *table, const struct backend_change *change)
{
    switch (change->type) {
    case BACKEND_CHANGE_PUT:
    case BACKEND_CHANGE_PUT_TOMBSTONE:
        put(table, change);
        return;
    case BACKEND_CHANGE_DELETE:
        delete_range(table, change->from, backend_revision_next(change->from));
        return;
    case BACKEND_CHANGE_DELETE_RANGE:
        delete_range(table, change->from, change->end);
        return;
    case BACKEND_CHANGE_META_PUT:
        meta_put(table, change->key, change->meta_value);
        return;
    case BACKEND_CHANGE_META_DELETE: {
        size_t position = memory_table_meta_seek(table, change->key);
        if (has_meta_at(table, position, change->key)) {
            meta_remove(table, position, 1);
        }
        return;
    }
    case BACKEND_CHANGE_META_DELETE_PREFIX:
        meta_delete_prefix(table, change->key);
        return;
    }
    CHECK_UNREACHABLE();
}

void memory_table_apply(struct memory_table *table, const struct backend_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        apply_change(table, &batch->changes[i]);
    }
    if (batch->has_applied) {
        CHECK(batch->applied.index >= table->applied.index);
        table->applied = batch->applied;
    }
}

int memory_table_read(const struct memory_table *table, size_t position,
                      struct backend_record *ret_record, struct err *err)
{
    const struct memory_record *record = &table->records[position];
    struct bytes value = blob_bytes(record->value);
    if (record_checksum(record->revision, record->is_tombstone, value) != record->checksum) {
        return record_corrupt(record->revision, err);
    }
    *ret_record = (struct backend_record){
        .revision = record->revision, .is_tombstone = record->is_tombstone, .value = value};
    return 0;
}

int memory_table_meta_read(const struct memory_table *table, size_t position,
                           struct backend_meta *ret_meta, struct err *err)
{
    const struct memory_meta *meta = &table->metas[position];
    struct bytes key = blob_bytes(meta->key);
    struct bytes value = blob_bytes(meta->value);
    if (record_meta_checksum(key, value) != meta->checksum) {
        return record_meta_corrupt(key, err);
    }
    *ret_meta = (struct backend_meta){.key = key, .value = value};
    return 0;
}
