#include "kvstore/mvcc/key_index.h"

#include "base/check.h"
#include "base/mem.h"
#include "kvstore/mvcc/key_tree.h"

struct key_index *key_index_new(void)
{
    struct key_index *index = mem_zalloc(sizeof *index);
    index->first = key_leaf_new(index);
    index->root = &index->first->node;
    return index;
}

void key_index_free(struct key_index *index)
{
    if (index == NULL) {
        return;
    }
    key_node_free(index->root);
    mem_free(index);
}

struct key_entry *key_index_find(const struct key_index *index, struct bytes key)
{
    struct key_path path;
    key_tree_find(index, key, &path);
    return path.found ? path.leaf->entry[path.position] : NULL;
}

static void set_live(struct key_path *path, bool live)
{
    uint64_t bit = UINT64_C(1) << path->position;
    bool was_live = (path->leaf->live & bit) != 0;
    if (was_live == live) {
        return;
    }
    path->leaf->live ^= bit;
    for (unsigned i = 0; i < path->depth; i++) {
        path->inner[i]->live[path->slot[i]] += live ? 1 : UINT64_MAX;
    }
}

/* The allocator's granularity and overhead, for key_index_bytes. */
static size_t heap_size(size_t size)
{
    return (size + 8 + 15) / 16 * 16;
}

static struct key_entry *find_or_insert(struct key_index *index, struct bytes key,
                                        struct key_path *path)
{
    key_tree_find(index, key, path);
    if (path->found) {
        return path->leaf->entry[path->position];
    }
    if (path->leaf->node.count == KEY_FANOUT) {
        key_tree_make_room(index, key, path);
    }
    struct key_entry *entry = mem_alloc(sizeof *entry + key.size);
    *entry = (struct key_entry){.key_size = (uint32_t)key.size & 0x3fffffffU};
    memcpy(entry->key, key.data, key.size);
    key_leaf_insert(path->leaf, path->position, entry);
    index->entries += 1;
    index->bytes += heap_size(sizeof *entry + key.size);
    return entry;
}

static size_t history_size(const struct key_history *history)
{
    return history == NULL
               ? 0
               : heap_size(sizeof *history + history->capacity * sizeof history->past[0]);
}

/* Keep the newest revision as history, because another one takes its place. */
static void remember_newest(struct key_index *index, struct key_entry *entry)
{
    struct key_history *history = entry->history;
    if (history == NULL || history->count == history->capacity) {
        uint32_t count = history == NULL ? 0 : history->count;
        uint32_t capacity = count == 0 ? 1 : count < 4 ? count + 2 : count + count / 2;
        index->bytes += heap_size(sizeof *history + capacity * sizeof history->past[0]);
        index->bytes -= history_size(history);
        history = mem_realloc(history, sizeof *history + capacity * sizeof history->past[0]);
        history->count = count;
        history->capacity = capacity;
        entry->history = history;
    }
    history->past[history->count] = (struct key_past){entry->mod, entry->sub, entry->is_tombstone};
    history->count += 1;
}

struct key_entry *key_index_put(struct key_index *index, struct bytes key, struct revision at,
                                struct key_entry *ret_before, bool *ret_existed)
{
    struct key_path path;
    struct key_entry *entry = find_or_insert(index, key, &path);
    *ret_existed = entry->mod != 0;
    *ret_before = *entry;
    if (entry->mod != 0) {
        remember_newest(index, entry);
    }
    if (entry->version == 0) {
        entry->create = at.main;
    }
    entry->version += 1;
    entry->mod = at.main;
    entry->sub = at.sub;
    entry->is_tombstone = 0;
    set_live(&path, true);
    return entry;
}

void key_index_delete(struct key_index *index, struct key_entry *entry, struct revision at)
{
    struct key_path path;
    key_tree_find(index, key_entry_key(entry), &path);
    CHECK(path.found && !entry->is_tombstone);
    remember_newest(index, entry);
    entry->mod = at.main;
    entry->sub = at.sub;
    entry->create = 0;
    entry->version = 0;
    entry->is_tombstone = 1;
    entry->has_lease = 0;
    set_live(&path, false);
}

void key_index_load(struct key_index *index, struct bytes key, struct revision at,
                    bool is_tombstone, int64_t create, int64_t version, bool has_lease)
{
    struct key_path path;
    struct key_entry *entry = find_or_insert(index, key, &path);
    if (entry->mod != 0) {
        remember_newest(index, entry);
    }
    entry->mod = at.main;
    entry->sub = at.sub;
    entry->create = is_tombstone ? 0 : create;
    entry->version = is_tombstone ? 0 : version;
    entry->is_tombstone = is_tombstone;
    entry->has_lease = has_lease && !is_tombstone;
    set_live(&path, !is_tombstone);
}

static void remove_entry(struct key_index *index, struct key_entry *entry)
{
    struct key_path path;
    key_tree_find(index, key_entry_key(entry), &path);
    CHECK(path.found && path.leaf->entry[path.position] == entry);
    index->entries -= 1;
    index->bytes -= heap_size(sizeof *entry + entry->key_size);
    key_tree_remove(index, &path);
    mem_free(entry->history);
    mem_free(entry);
}

void key_index_compact(struct key_index *index, struct key_entry *entry, int64_t main)
{
    index->bytes -= history_size(entry->history);
    bool keep = key_entry_compact(entry, main);
    index->bytes += history_size(entry->history);
    if (!keep) {
        remove_entry(index, entry);
    }
}

/* Live keys below key. */
static uint64_t rank(const struct key_index *index, struct bytes key)
{
    struct key_path path;
    key_tree_find(index, key, &path);
    uint64_t rank = 0;
    for (unsigned i = 0; i < path.depth; i++) {
        for (unsigned slot = 0; slot < path.slot[i]; slot++) {
            rank += path.inner[i]->live[slot];
        }
    }
    uint64_t below = path.position >= 64 ? UINT64_MAX : (UINT64_C(1) << path.position) - 1;
    return rank + key_bits_count(path.leaf->live & below);
}

uint64_t key_index_count(const struct key_index *index, const struct key_range *range)
{
    if (!range->is_unbounded && bytes_compare(range->start, range->end) >= 0) {
        return 0;
    }
    uint64_t end = range->is_unbounded ? key_index_live(index) : rank(index, range->end);
    return end - rank(index, range->start);
}

uint64_t key_index_live(const struct key_index *index)
{
    return key_node_live(index->root);
}

uint64_t key_index_entries(const struct key_index *index)
{
    return index->entries;
}

uint64_t key_index_bytes(const struct key_index *index)
{
    return index->bytes;
}

struct key_cursor key_index_seek(const struct key_index *index, struct bytes start)
{
    struct key_path path;
    key_tree_find(index, start, &path);
    return (struct key_cursor){path.leaf, path.position};
}

struct key_entry *key_cursor_next(struct key_cursor *cursor)
{
    while (cursor->leaf != NULL && cursor->slot >= cursor->leaf->node.count) {
        cursor->leaf = cursor->leaf->next;
        cursor->slot = 0;
    }
    if (cursor->leaf == NULL) {
        return NULL;
    }
    return cursor->leaf->entry[cursor->slot++];
}

struct key_entry *key_cursor_next_live(struct key_cursor *cursor)
{
    while (cursor->leaf != NULL) {
        uint64_t rest = cursor->slot >= 64 ? 0 : cursor->leaf->live >> cursor->slot;
        if (rest != 0) {
            unsigned slot = cursor->slot + (unsigned)__builtin_ctzll(rest);
            cursor->slot = slot + 1;
            return cursor->leaf->entry[slot];
        }
        cursor->leaf = cursor->leaf->next;
        cursor->slot = 0;
    }
    return NULL;
}

static uint64_t check_node(const struct key_node *node, uint64_t *entries)
{
    CHECK(node->count <= KEY_FANOUT);
    if (node->level == 0) {
        const struct key_leaf *leaf = (const struct key_leaf *)node;
        for (unsigned i = 0; i < node->count; i++) {
            const struct key_entry *entry = leaf->entry[i];
            CHECK((leaf->live >> i & 1) == (entry->is_tombstone ? 0U : 1U));
            CHECK(entry->is_tombstone == (entry->version == 0));
            CHECK(i == 0 ||
                  bytes_compare(key_entry_key(leaf->entry[i - 1]), key_entry_key(entry)) < 0);
        }
        CHECK(node->count == 64 || leaf->live >> node->count == 0);
        *entries += node->count;
        return key_bits_count(leaf->live);
    }
    const struct key_inner *inner = (const struct key_inner *)node;
    uint64_t live = 0;
    for (unsigned i = 0; i < node->count; i++) {
        CHECK(inner->child[i]->level + 1 == node->level);
        uint64_t below = check_node(inner->child[i], entries);
        CHECK(below == inner->live[i]);
        live += below;
    }
    return live;
}

void key_index_check(const struct key_index *index)
{
    uint64_t entries = 0;
    (void)check_node(index->root, &entries);
    CHECK(entries == index->entries);
    uint64_t linked = 0;
    const struct key_entry *last = NULL;
    for (const struct key_leaf *leaf = index->first; leaf != NULL; leaf = leaf->next) {
        for (unsigned i = 0; i < leaf->node.count; i++) {
            CHECK(last == NULL ||
                  bytes_compare(key_entry_key(last), key_entry_key(leaf->entry[i])) < 0);
            last = leaf->entry[i];
            linked += 1;
        }
    }
    CHECK(linked == entries);
}
