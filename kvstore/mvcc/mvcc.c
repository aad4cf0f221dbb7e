#include "kvstore/mvcc/mvcc.h"

#include "base/check.h"
#include "base/mem.h"
#include "kvstore/mvcc/mvcc_internal.h"
#include "kvstore/mvcc/planted.h"

enum { CHANGES_KEPT = 4096 };

struct mvcc *mvcc_new(struct backend *backend)
{
    struct mvcc *mvcc = mem_zalloc(sizeof *mvcc);
    mvcc->backend = backend;
    mvcc->index = key_index_new();
    mvcc->revision = 1;
    mvcc->next_sequence = 1;
    return mvcc;
}

void mvcc_free(struct mvcc *mvcc)
{
    if (mvcc == NULL) {
        return;
    }
    pending_deinit(&mvcc->pending);
    key_index_free(mvcc->index);
    backend_batch_free(mvcc->batch);
    mem_free(mvcc->changes);
    mem_free(mvcc);
}

int64_t mvcc_revision(const struct mvcc *mvcc)
{
    return mvcc->revision;
}

int64_t mvcc_compact_revision(const struct mvcc *mvcc)
{
    return mvcc->compact_revision;
}

int64_t mvcc_compacted(const struct mvcc *mvcc)
{
    return mvcc->compacted;
}

const struct key_index *mvcc_index(const struct mvcc *mvcc)
{
    return mvcc->index;
}

int mvcc_failure(const struct mvcc *mvcc)
{
    return mvcc->failure.code;
}

const struct err *mvcc_failure_detail(const struct mvcc *mvcc)
{
    return &mvcc->failure;
}

int mvcc_fail(struct mvcc *mvcc, const struct err *failure)
{
    if (mvcc->failure.code == 0) {
        mvcc->failure = *failure;
    }
    return mvcc->failure.code;
}

int mvcc_fail_record(struct mvcc *mvcc, struct backend_revision revision)
{
    struct err err;
    (void)err_set(&err, ERR_CORRUPT, "stored record of revision %llu/%u cannot be decoded",
                  (unsigned long long)revision.main, revision.sub);
    return mvcc_fail(mvcc, &err);
}

/* --- writes ---------------------------------------------------------------------------------- */

void mvcc_begin(struct mvcc *mvcc)
{
    CHECK(!mvcc->in_transaction);
    mvcc->in_transaction = true;
    mvcc->change_count = 0;
    if (mvcc->change_capacity > CHANGES_KEPT) { /* of a large deletion */
        mem_free(mvcc->changes);
        mvcc->changes = NULL;
        mvcc->change_capacity = 0;
    }
}

bool mvcc_has_changes(const struct mvcc *mvcc)
{
    return mvcc->in_transaction && mvcc->change_count > 0;
}

int64_t mvcc_now(const struct mvcc *mvcc)
{
    return mvcc->revision + (mvcc_has_changes(mvcc) ? 1 : 0);
}

static struct mvcc_change *add_change(struct mvcc *mvcc)
{
    if (mvcc->change_count == mvcc->change_capacity) {
        mvcc->change_capacity = mvcc->change_capacity == 0 ? 16 : mvcc->change_capacity * 2;
        mvcc->changes =
            mem_reallocarray(mvcc->changes, mvcc->change_capacity, sizeof *mvcc->changes);
    }
    return &mvcc->changes[mvcc->change_count++];
}

/* The change's record goes to the batch and to pending, which takes the reference. */
static void record_change(struct mvcc *mvcc, struct revision at, bool is_delete, struct bytes key,
                          struct blob *kv, struct revision previous)
{
    backend_batch_put(mvcc_batch(mvcc), (struct backend_revision){(uint64_t)at.main, at.sub},
                      is_delete, kv);
    pending_push(&mvcc->pending, (struct pending_item){at, is_delete, mvcc->next_sequence, kv});
    *add_change(mvcc) = (struct mvcc_change){at, is_delete, key, kv, previous};
}

static struct revision next_revision(const struct mvcc *mvcc)
{
    CHECK(mvcc->in_transaction);
    return (struct revision){mvcc->revision + 1, mvcc->change_count};
}

/* What the key was before the transaction began. Checked requests change a key once, so this is the
 * revision before; an entry that was not checked may change it twice. */
static struct revision outside_transaction(const struct key_entry *entry, struct revision previous,
                                           struct revision at)
{
    struct key_past past;
    if (previous.main != at.main) {
        return previous;
    }
    if (!key_entry_before(entry, (struct revision){at.main, 0}, &past) || past.is_tombstone) {
        return (struct revision){0, 0};
    }
    return (struct revision){past.main, past.sub};
}

struct key_entry *mvcc_put(struct mvcc *mvcc, struct bytes key, struct bytes value, int64_t lease,
                           struct key_entry *ret_before)
{
    struct revision at = next_revision(mvcc);
    struct key_entry before;
    bool existed;
    struct key_entry *entry = key_index_put(mvcc->index, key, at, &before, &existed);
    entry->has_lease = lease != 0;
    struct key_value record = {
        .key = key,
        .value = value,
        .create_revision = entry->create,
        .mod_revision = at.main,
        .version = entry->version,
        .lease = lease,
    };
    struct revision previous = {0, 0};
    if (existed && !before.is_tombstone) {
        previous = outside_transaction(entry, (struct revision){before.mod, before.sub}, at);
    }
    record_change(mvcc, at, false, key_entry_key(entry), key_value_encode(&record), previous);
    *ret_before = before;
    return entry;
}

void mvcc_delete(struct mvcc *mvcc, struct key_entry *entry)
{
    struct revision at = next_revision(mvcc);
    struct revision previous = {entry->mod, entry->sub};
    key_index_delete(mvcc->index, entry, at);
    previous = outside_transaction(entry, previous, at);
    struct key_value record = {.key = key_entry_key(entry), .mod_revision = at.main};
    record_change(mvcc, at, true, key_entry_key(entry), key_value_encode(&record), previous);
}

const struct mvcc_change *mvcc_end(struct mvcc *mvcc, uint32_t *ret_count)
{
    CHECK(mvcc->in_transaction);
    mvcc->revision = PLANTED(55) ? mvcc->revision + 1 : mvcc_now(mvcc);
    mvcc->in_transaction = false;
    *ret_count = mvcc->change_count;
    return mvcc->changes;
}

/* --- reads ----------------------------------------------------------------------------------- */

int mvcc_get(struct mvcc *mvcc, struct revision revision, struct bytes *ret_encoded)
{
    const struct pending_item *item = pending_find(&mvcc->pending, revision);
    if (item != NULL) {
        *ret_encoded = blob_bytes(item->kv);
        return 0;
    }
    struct backend_record record;
    struct err err = {0};
    int code =
        backend_get(mvcc->backend, (struct backend_revision){(uint64_t)revision.main, revision.sub},
                    &record, &err);
    if (code == ERR_NOT_FOUND) {
        code = err_set(&err, ERR_CORRUPT, "revision %lld/%u is in the index and not in the store",
                       (long long)revision.main, revision.sub);
    }
    if (code != 0) {
        err.code = code;
        return mvcc_fail(mvcc, &err);
    }
    *ret_encoded = record.value;
    return 0;
}

struct blob *mvcc_get_blob(struct mvcc *mvcc, struct revision revision)
{
    const struct pending_item *item = pending_find(&mvcc->pending, revision);
    if (item != NULL) {
        return blob_ref(item->kv);
    }
    struct bytes encoded;
    if (mvcc_get(mvcc, revision, &encoded) != 0) {
        return NULL;
    }
    return blob_new_copy(encoded.data, encoded.size);
}

static uint32_t scan_pending(const struct mvcc *mvcc, struct revision from, struct revision end,
                             struct backend_record *ret_records, uint32_t capacity)
{
    uint32_t position = pending_position(&mvcc->pending, from);
    uint32_t count = 0;
    while (count < capacity && position < mvcc->pending.count) {
        const struct pending_item *item = pending_item(&mvcc->pending, position);
        if (revision_compare(item->at, end) >= 0) {
            break;
        }
        ret_records[count++] = (struct backend_record){
            .revision = {(uint64_t)item->at.main, item->at.sub},
            .is_tombstone = item->is_tombstone,
            .value = blob_bytes(item->kv),
        };
        position += 1;
    }
    return count;
}

int mvcc_scan(struct mvcc *mvcc, struct revision from, struct revision end,
              struct backend_record *ret_records, uint32_t capacity, uint32_t *ret_count)
{
    struct revision stored_end = end;
    if (mvcc->pending.count > 0 && revision_compare(pending_item(&mvcc->pending, 0)->at, end) < 0) {
        stored_end = pending_item(&mvcc->pending, 0)->at;
    }
    if (revision_compare(from, stored_end) < 0) {
        struct err err = {0};
        int code =
            backend_scan(mvcc->backend, (struct backend_revision){(uint64_t)from.main, from.sub},
                         (struct backend_revision){(uint64_t)stored_end.main, stored_end.sub},
                         ret_records, capacity, ret_count, &err);
        if (code != 0) {
            err.code = code;
            return mvcc_fail(mvcc, &err);
        }
        if (*ret_count > 0) {
            return 0;
        }
    }
    *ret_count = scan_pending(mvcc, from, end, ret_records, capacity);
    return 0;
}

/* --- storing --------------------------------------------------------------------------------- */

struct backend_batch *mvcc_batch(struct mvcc *mvcc)
{
    if (mvcc->batch == NULL) {
        mvcc->batch = backend_batch_new(mvcc->next_sequence);
    }
    return mvcc->batch;
}

uint64_t mvcc_batch_bytes(const struct mvcc *mvcc)
{
    return mvcc->batch == NULL ? 0 : backend_batch_bytes(mvcc->batch);
}

bool mvcc_has_batch(const struct mvcc *mvcc)
{
    return mvcc->batch != NULL;
}

void mvcc_meta_put_i64(struct backend_batch *batch, struct bytes key, int64_t value)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
    }
    backend_batch_meta_put(batch, key, bytes_make(bytes, sizeof bytes));
}

struct backend_batch *mvcc_take_batch(struct mvcc *mvcc, uint64_t *ret_sequence)
{
    struct backend_batch *batch = mvcc->batch;
    if (batch == NULL) {
        return NULL;
    }
    CHECK(!mvcc->in_transaction);
    /* A compaction may remove the newest revision's record, if it is a tombstone: the revision
     * must not fall back at the next start. */
    mvcc_meta_put_i64(batch, MVCC_META_REVISION, mvcc->revision);
    mvcc->batch = NULL;
    *ret_sequence = mvcc->next_sequence;
    mvcc->next_sequence += 1;
    return batch;
}

void mvcc_on_stored(struct mvcc *mvcc, uint64_t sequence)
{
    pending_drop(&mvcc->pending, sequence);
    if (mvcc->compacted_sequence != 0 && sequence >= mvcc->compacted_sequence) {
        mvcc->compacted = mvcc->compacted_scanned;
        mvcc->compacted_sequence = 0;
    }
}

uint64_t mvcc_pending_count(const struct mvcc *mvcc)
{
    return mvcc->pending.count;
}

uint64_t mvcc_pending_bytes(const struct mvcc *mvcc)
{
    return mvcc->pending.bytes;
}

uint64_t mvcc_removed_count(const struct mvcc *mvcc)
{
    return mvcc->removed_count;
}

void mvcc_check(const struct mvcc *mvcc)
{
    key_index_check(mvcc->index);
    CHECK(mvcc->compacted <= mvcc->compact_revision);
    CHECK(mvcc->compact_revision <= mvcc->revision);
    for (uint32_t i = 1; i < mvcc->pending.count; i++) {
        CHECK(revision_compare(pending_item(&mvcc->pending, i - 1)->at,
                               pending_item(&mvcc->pending, i)->at) < 0);
    }
}
