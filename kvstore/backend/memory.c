#include "kvstore/backend/memory.h"

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "kvstore/backend/memory_table.h"
#include "kvstore/backend/operations.h"

/* One committed transaction that the view, or the medium, has not taken over yet. */
struct commit {
    struct list link;
    struct backend_batch **batches;
    uint32_t count;
    bool is_viewed;
    bool is_synced;
};

/* The medium (what a crash leaves at least) and the view (what readers see) are two tables; commits
 * wait in one list until both have them. */
struct memory {
    struct backend base;
    struct memory_table view;
    struct memory_table medium;
    struct list commits; /* struct commit, oldest first */
    struct memory_table restore;
    bool is_restoring;
    int fail_next;
    int failed; /* final */
    uint32_t snapshot_count;
};

struct snapshot {
    struct backend_snapshot base;
    struct memory *owner;
    struct memory_table table;
    size_t meta_position;
    size_t position;
};

static struct memory *memory_of(struct backend *backend)
{
    return (struct memory *)(void *)backend;
}

static void free_commit(struct commit *commit)
{
    list_remove(&commit->link);
    for (uint32_t i = 0; i < commit->count; i++) {
        backend_batch_free(commit->batches[i]);
    }
    mem_free(commit->batches);
    mem_free(commit);
}

static void apply_commit(struct memory_table *table, const struct commit *commit)
{
    for (uint32_t i = 0; i < commit->count; i++) {
        memory_table_apply(table, commit->batches[i]);
    }
}

static void drop_settled(struct memory *memory)
{
    list_foreach_safe (item, &memory->commits) {
        struct commit *commit = container_of(item, struct commit, link);
        if (commit->is_viewed && commit->is_synced) {
            free_commit(commit);
        }
    }
}

static void restore_cancel(struct backend *backend)
{
    struct memory *memory = memory_of(backend);
    memory_table_deinit(&memory->restore);
    memory->is_restoring = false;
}

static void drop_all_commits(struct memory *memory)
{
    list_foreach_safe (item, &memory->commits) {
        free_commit(container_of(item, struct commit, link));
    }
}

static void close_memory(struct backend *backend)
{
    struct memory *memory = memory_of(backend);
    CHECK(memory->snapshot_count == 0);
    drop_all_commits(memory);
    restore_cancel(backend);
    memory_table_deinit(&memory->view);
    memory_table_deinit(&memory->medium);
    mem_free(memory);
}

static int renew(struct backend *backend, struct err *err)
{
    (void)err;
    struct memory *memory = memory_of(backend);
    list_foreach (item, &memory->commits) {
        struct commit *commit = container_of(item, struct commit, link);
        if (!commit->is_viewed) {
            apply_commit(&memory->view, commit);
            commit->is_viewed = true;
        }
    }
    drop_settled(memory);
    return 0;
}

static struct backend_position applied(const struct backend *backend)
{
    return ((const struct memory *)(const void *)backend)->view.applied;
}

static int get(struct backend *backend, struct backend_revision revision,
               struct backend_record *ret_record, struct err *err)
{
    const struct memory_table *table = &memory_of(backend)->view;
    size_t position = memory_table_seek(table, revision);
    if (position == table->record_count || table->records[position].value == NULL ||
        backend_revision_compare(table->records[position].revision, revision) != 0) {
        return err_set(err, ERR_NOT_FOUND, "no such revision");
    }
    return memory_table_read(table, position, ret_record, err);
}

static int scan(struct backend *backend, struct backend_revision from, struct backend_revision end,
                struct backend_record *ret_records, uint32_t capacity, uint32_t *ret_count,
                struct err *err)
{
    const struct memory_table *table = &memory_of(backend)->view;
    uint32_t count = 0;
    for (size_t i = memory_table_seek(table, from); i < table->record_count && count < capacity;
         i++) {
        if (backend_revision_compare(table->records[i].revision, end) >= 0) {
            break;
        }
        if (table->records[i].value == NULL) {
            continue;
        }
        int rc = memory_table_read(table, i, &ret_records[count], err);
        if (rc != 0) {
            return rc;
        }
        count++;
    }
    *ret_count = count;
    return 0;
}

static int meta_get(struct backend *backend, struct bytes key, struct bytes *ret_value,
                    struct err *err)
{
    const struct memory_table *table = &memory_of(backend)->view;
    size_t position = memory_table_meta_seek(table, key);
    if (position == table->meta_count ||
        !bytes_equal(blob_bytes(table->metas[position].key), key)) {
        return err_set(err, ERR_NOT_FOUND, "no such meta entry");
    }
    struct backend_meta meta;
    int rc = memory_table_meta_read(table, position, &meta, err);
    if (rc != 0) {
        return rc;
    }
    *ret_value = meta.value;
    return 0;
}

static int meta_scan(struct backend *backend, struct bytes prefix, struct bytes after,
                     struct backend_meta *ret_entries, uint32_t capacity, uint32_t *ret_count,
                     struct err *err)
{
    const struct memory_table *table = &memory_of(backend)->view;
    size_t position = memory_table_meta_seek(table, prefix);
    if (after.size > 0) {
        size_t later = memory_table_meta_seek(table, after);
        if (later < table->meta_count && bytes_equal(blob_bytes(table->metas[later].key), after)) {
            later++;
        }
        position = later > position ? later : position;
    }
    uint32_t count = 0;
    for (; position < table->meta_count && count < capacity; position++, count++) {
        if (!bytes_has_prefix(blob_bytes(table->metas[position].key), prefix)) {
            break;
        }
        int rc = memory_table_meta_read(table, position, &ret_entries[count], err);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_count = count;
    return 0;
}

static void stats(struct backend *backend, struct backend_stats *ret_stats)
{
    const struct memory *memory = memory_of(backend);
    const struct memory_table *view = &memory->view;
    size_t live = view->record_count - view->deleted_count + view->meta_count;
    /* Key and checksum beside each value, as the file would have. */
    uint64_t size = view->bytes + live * 32;
    *ret_stats = (struct backend_stats){.size_bytes = size,
                                        .size_in_use_bytes = size,
                                        .entry_count = live,
                                        .snapshot_count = memory->snapshot_count};
}

/* The injected failure, if one is due. */
static int take_failure(struct memory *memory, struct err *err)
{
    if (memory->failed != 0) {
        return err_set(err, memory->failed, "the store failed before");
    }
    int code = memory->fail_next;
    memory->fail_next = 0;
    if (code == 0) {
        return 0;
    }
    if (code != ERR_NO_SPACE) {
        memory->failed = code;
    }
    return err_set(err, code, "injected failure");
}

static int commit_batches(struct backend *backend, struct backend_batch *const *batches,
                          uint32_t count, struct err *err)
{
    struct memory *memory = memory_of(backend);
    int rc = take_failure(memory, err);
    if (rc != 0) {
        return rc;
    }
    struct commit *commit = mem_zalloc(sizeof *commit);
    commit->batches = mem_calloc(count, sizeof(struct backend_batch *));
    commit->count = count;
    for (uint32_t i = 0; i < count; i++) {
        commit->batches[i] = backend_batch_copy(batches[i]);
    }
    list_push_back(&memory->commits, &commit->link);
    return 0;
}

static void settle(struct memory *memory, uint64_t count)
{
    list_foreach (item, &memory->commits) {
        struct commit *commit = container_of(item, struct commit, link);
        if (commit->is_synced) {
            continue;
        }
        if (count == 0) {
            break;
        }
        count--;
        apply_commit(&memory->medium, commit);
        commit->is_synced = true;
    }
}

static int sync_all(struct backend *backend, struct backend_position *ret_durable, struct err *err)
{
    struct memory *memory = memory_of(backend);
    int rc = take_failure(memory, err);
    if (rc != 0) {
        return rc;
    }
    settle(memory, UINT64_MAX);
    drop_settled(memory);
    *ret_durable = memory->medium.applied;
    return 0;
}

static int defragment(struct backend *backend, struct err *err)
{
    struct backend_position durable;
    return sync_all(backend, &durable, err);
}

static int restore_start(struct backend *backend, struct err *err)
{
    struct memory *memory = memory_of(backend);
    int rc = take_failure(memory, err);
    if (rc != 0) {
        return rc;
    }
    restore_cancel(backend);
    memory->is_restoring = true;
    return 0;
}

static int restore_write(struct backend *backend, struct backend_batch *const *batches,
                         uint32_t count, struct err *err)
{
    struct memory *memory = memory_of(backend);
    CHECK(memory->is_restoring);
    int rc = take_failure(memory, err);
    if (rc != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < count; i++) {
        memory_table_apply(&memory->restore, batches[i]);
    }
    return 0;
}

static int restore_finish(struct backend *backend, struct err *err)
{
    struct memory *memory = memory_of(backend);
    CHECK(memory->is_restoring);
    int rc = take_failure(memory, err);
    if (rc != 0) {
        return rc;
    }
    drop_all_commits(memory);
    memory_table_deinit(&memory->view);
    memory_table_deinit(&memory->medium);
    memory_table_copy(&memory->view, &memory->restore);
    memory->medium = memory->restore;
    memory_table_init(&memory->restore);
    memory->is_restoring = false;
    return 0;
}

static int snapshot_open(struct backend *backend, uint32_t max_age_ms,
                         struct backend_snapshot **ret_snapshot, struct err *err)
{
    (void)max_age_ms;
    (void)err;
    struct memory *memory = memory_of(backend);
    struct snapshot *snapshot = mem_zalloc(sizeof *snapshot);
    memory_table_copy(&snapshot->table, &memory->view);
    list_foreach (item, &memory->commits) {
        struct commit *commit = container_of(item, struct commit, link);
        if (!commit->is_viewed) {
            apply_commit(&snapshot->table, commit);
        }
    }
    snapshot->base = (struct backend_snapshot){.operations = memory->base.operations,
                                               .applied = snapshot->table.applied,
                                               .size_bytes = snapshot->table.bytes};
    snapshot->owner = memory;
    memory->snapshot_count++;
    *ret_snapshot = &snapshot->base;
    return 0;
}

static void snapshot_close(struct backend_snapshot *base)
{
    struct snapshot *snapshot = (struct snapshot *)(void *)base;
    snapshot->owner->snapshot_count--;
    memory_table_deinit(&snapshot->table);
    mem_free(snapshot);
}

static int snapshot_next(struct backend_snapshot *base, struct backend_item *ret_items,
                         uint32_t capacity, uint32_t *ret_count, struct err *err)
{
    struct snapshot *snapshot = (struct snapshot *)(void *)base;
    const struct memory_table *table = &snapshot->table;
    uint32_t count = 0;
    int rc = 0;
    while (rc == 0 && count < capacity && snapshot->meta_position < table->meta_count) {
        ret_items[count].is_meta = true;
        rc =
            memory_table_meta_read(table, snapshot->meta_position++, &ret_items[count++].meta, err);
    }
    for (; rc == 0 && count < capacity && snapshot->position < table->record_count;
         snapshot->position++) {
        if (table->records[snapshot->position].value == NULL) {
            continue;
        }
        ret_items[count].is_meta = false;
        rc = memory_table_read(table, snapshot->position, &ret_items[count++].record, err);
    }
    if (rc == 0) {
        *ret_count = count;
    }
    return rc;
}

static const struct backend_operations operations = {
    .close = close_memory,
    .renew = renew,
    .applied = applied,
    .get = get,
    .scan = scan,
    .meta_get = meta_get,
    .meta_scan = meta_scan,
    .stats = stats,
    .commit = commit_batches,
    .sync = sync_all,
    .defragment = defragment,
    .restore_start = restore_start,
    .restore_write = restore_write,
    .restore_finish = restore_finish,
    .restore_cancel = restore_cancel,
    .snapshot_open = snapshot_open,
    .snapshot_close = snapshot_close,
    .snapshot_next = snapshot_next,
};

struct backend *backend_memory_new(void)
{
    struct memory *memory = mem_zalloc(sizeof *memory);
    memory->base.operations = &operations;
    memory_table_init(&memory->view);
    memory_table_init(&memory->medium);
    memory_table_init(&memory->restore);
    list_init(&memory->commits);
    return &memory->base;
}

uint64_t backend_memory_unsynced_count(const struct backend *backend)
{
    const struct memory *memory = (const struct memory *)(const void *)backend;
    uint64_t count = 0;
    list_foreach (item, &memory->commits) {
        count += container_of(item, struct commit, link)->is_synced ? 0 : 1;
    }
    return count;
}

void backend_memory_crash(struct backend *backend, uint64_t keep_commits)
{
    struct memory *memory = memory_of(backend);
    settle(memory, keep_commits);
    drop_all_commits(memory);
    restore_cancel(backend);
    memory_table_deinit(&memory->view);
    memory_table_copy(&memory->view, &memory->medium);
    memory->fail_next = 0;
    memory->failed = 0;
}

static bool flip(struct memory_table *table, struct backend_revision revision, uint64_t bit)
{
    size_t position = memory_table_seek(table, revision);
    if (position == table->record_count ||
        backend_revision_compare(table->records[position].revision, revision) != 0 ||
        table->records[position].value == NULL || bit / 8 >= table->records[position].value->size) {
        return false;
    }
    /* The blob is shared with others that are not damaged. */
    struct blob *old = table->records[position].value;
    struct blob *damaged = blob_new_copy(old->data, old->size);
    damaged->data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    table->records[position].value = damaged;
    blob_unref(old);
    return true;
}

bool backend_memory_flip_bit(struct backend *backend, struct backend_revision revision,
                             uint64_t bit)
{
    struct memory *memory = memory_of(backend);
    bool is_viewed = flip(&memory->view, revision, bit);
    bool is_stored = flip(&memory->medium, revision, bit);
    return is_viewed || is_stored;
}

void backend_memory_fail_next(struct backend *backend, int code)
{
    memory_of(backend)->fail_next = code;
}
