#include "kvstore/backend/batch.h"

#include "base/check.h"
#include "base/mem.h"

struct backend_batch *backend_batch_new(uint64_t sequence)
{
    struct backend_batch *batch = mem_zalloc(sizeof *batch);
    list_init(&batch->link);
    arena_init(&batch->arena);
    batch->sequence = sequence;
    return batch;
}

static bool is_put(const struct backend_change *change)
{
    return change->type == BACKEND_CHANGE_PUT || change->type == BACKEND_CHANGE_PUT_TOMBSTONE;
}

void backend_batch_free(struct backend_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        if (is_put(&batch->changes[i])) {
            blob_unref(batch->changes[i].value);
        }
    }
    mem_free(batch->changes);
    arena_deinit(&batch->arena);
    mem_free(batch);
}

static struct backend_change *add(struct backend_batch *batch, enum backend_change_type type)
{
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity == 0 ? 16 : batch->capacity * 2;
        batch->changes = mem_reallocarray(batch->changes, batch->capacity, sizeof *batch->changes);
    }
    struct backend_change *change = &batch->changes[batch->count++];
    *change = (struct backend_change){.type = type};
    batch->bytes += 32; /* key, checksum and page overhead of any change */
    return change;
}

void backend_batch_put(struct backend_batch *batch, struct backend_revision revision,
                       bool is_tombstone, struct blob *value)
{
    CHECK(value != NULL);
    struct backend_change *change =
        add(batch, is_tombstone ? BACKEND_CHANGE_PUT_TOMBSTONE : BACKEND_CHANGE_PUT);
    change->from = revision;
    change->value = blob_ref(value);
    batch->bytes += value->size;
}

void backend_batch_delete(struct backend_batch *batch, struct backend_revision revision)
{
    add(batch, BACKEND_CHANGE_DELETE)->from = revision;
}

void backend_batch_delete_range(struct backend_batch *batch, struct backend_revision from,
                                struct backend_revision end)
{
    CHECK(backend_revision_compare(from, end) <= 0);
    struct backend_change *change = add(batch, BACKEND_CHANGE_DELETE_RANGE);
    change->from = from;
    change->end = end;
}

static struct bytes copy(struct backend_batch *batch, struct bytes bytes)
{
    batch->bytes += bytes.size;
    return bytes.size == 0
               ? bytes_make(NULL, 0)
               : bytes_make(arena_dup(&batch->arena, bytes.data, bytes.size), bytes.size);
}

static struct backend_change *add_meta(struct backend_batch *batch, enum backend_change_type type,
                                       struct bytes key)
{
    CHECK(key.size <= BACKEND_META_KEY_SIZE_MAX);
    struct backend_change *change = add(batch, type);
    change->key = copy(batch, key);
    return change;
}

void backend_batch_meta_put(struct backend_batch *batch, struct bytes key, struct bytes value)
{
    CHECK(key.size > 0);
    struct backend_change *change = add_meta(batch, BACKEND_CHANGE_META_PUT, key);
    change->meta_value = copy(batch, value);
}

void backend_batch_meta_delete(struct backend_batch *batch, struct bytes key)
{
    CHECK(key.size > 0);
    (void)add_meta(batch, BACKEND_CHANGE_META_DELETE, key);
}

void backend_batch_meta_delete_prefix(struct backend_batch *batch, struct bytes prefix)
{
    (void)add_meta(batch, BACKEND_CHANGE_META_DELETE_PREFIX, prefix);
}

void backend_batch_set_applied(struct backend_batch *batch, struct backend_position applied)
{
    CHECK(!batch->has_applied || applied.index >= batch->applied.index);
    batch->has_applied = true;
    batch->applied = applied;
}

uint64_t backend_batch_sequence(const struct backend_batch *batch)
{
    return batch->sequence;
}

uint64_t backend_batch_bytes(const struct backend_batch *batch)
{
    return batch->bytes;
}

uint32_t backend_batch_count(const struct backend_batch *batch)
{
    return batch->count;
}

static void copy_change(struct backend_batch *to, const struct backend_change *change)
{
    switch (change->type) {
    case BACKEND_CHANGE_PUT:
    case BACKEND_CHANGE_PUT_TOMBSTONE:
        backend_batch_put(to, change->from, change->type == BACKEND_CHANGE_PUT_TOMBSTONE,
                          change->value);
        return;
    case BACKEND_CHANGE_DELETE:
        backend_batch_delete(to, change->from);
        return;
    case BACKEND_CHANGE_DELETE_RANGE:
        backend_batch_delete_range(to, change->from, change->end);
        return;
    case BACKEND_CHANGE_META_PUT:
        backend_batch_meta_put(to, change->key, change->meta_value);
        return;
    case BACKEND_CHANGE_META_DELETE:
        backend_batch_meta_delete(to, change->key);
        return;
    case BACKEND_CHANGE_META_DELETE_PREFIX:
        backend_batch_meta_delete_prefix(to, change->key);
        return;
    }
    CHECK_UNREACHABLE();
}

struct backend_batch *backend_batch_copy(const struct backend_batch *batch)
{
    struct backend_batch *to = backend_batch_new(batch->sequence);
    for (uint32_t i = 0; i < batch->count; i++) {
        copy_change(to, &batch->changes[i]);
    }
    if (batch->has_applied) {
        backend_batch_set_applied(to, batch->applied);
    }
    return to;
}
