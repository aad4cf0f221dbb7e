#include "kvstore/mvcc/key_tree.h"

#include "base/check.h"
#include "base/mem.h"

#define POINTER_BYTES sizeof(void *)

static unsigned key_count(const struct key_node *node)
{
    return node->level == 0 ? node->count : node->count - 1U;
}

static struct bytes node_key(const struct key_node *node, unsigned slot)
{
    if (node->level == 0) {
        return key_entry_key(((const struct key_leaf *)node)->entry[slot]);
    }
    const struct key_separator *separator = ((const struct key_inner *)node)->separator[slot];
    return bytes_make(separator->data, separator->size);
}

static size_t common_prefix(struct bytes a, struct bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    size_t size = 0;
    while (size < shorter && a.data[size] == b.data[size]) {
        size += 1;
    }
    return size;
}

static uint32_t hint_of(struct bytes key, size_t from)
{
    uint32_t hint = 0;
    for (size_t i = 0; i < 4; i++) {
        hint = hint << 8 | (from + i < key.size ? key.data[from + i] : 0U);
    }
    return hint;
}

/* Recompute everything that is derived from the keys. */
static void refresh(struct key_node *node)
{
    unsigned count = key_count(node);
    node->prefix_size = 0;
    if (count == 0) {
        return;
    }
    struct bytes first = node_key(node, 0);
    node->prefix_size = (uint32_t)common_prefix(first, node_key(node, count - 1));
    if (node->prefix_size > 0) {
        memcpy(node->prefix, first.data,
               node->prefix_size < KEY_PREFIX_INLINE ? node->prefix_size : KEY_PREFIX_INLINE);
    }
    for (unsigned i = 0; i < count; i++) {
        node->hint[i] = hint_of(node_key(node, i), node->prefix_size);
    }
}

/* The key at slot is new, the hints after it were moved already. Keys in the middle share what the
 * first and the last share. */
static void refresh_added(struct key_node *node, unsigned slot)
{
    unsigned count = key_count(node);
    if (slot == 0 || slot == count - 1) {
        size_t shared = common_prefix(node_key(node, 0), node_key(node, count - 1));
        if (shared != node->prefix_size || count == 1) {
            refresh(node);
            return;
        }
    }
    node->hint[slot] = hint_of(node_key(node, slot), node->prefix_size);
}

/* The key against what all keys of the node begin with, as far as the key goes. */
static int compare_prefix(const struct key_node *node, struct bytes key)
{
    size_t shared = key.size < node->prefix_size ? key.size : node->prefix_size;
    size_t near = shared < KEY_PREFIX_INLINE ? shared : KEY_PREFIX_INLINE;
    int order = near == 0 ? 0 : memcmp(key.data, node->prefix, near);
    if (order != 0 || shared == near) {
        return order;
    }
    return memcmp(key.data + near, node_key(node, 0).data + near, shared - near);
}

unsigned key_node_lower_bound(const struct key_node *node, struct bytes key, bool *ret_equal)
{
    unsigned count = key_count(node);
    *ret_equal = false;
    if (count == 0) {
        return 0;
    }
    size_t prefix = node->prefix_size;
    if (prefix > 0) {
        int order = compare_prefix(node, key);
        if (order < 0 || (order == 0 && key.size < prefix)) {
            return 0;
        }
        if (order > 0) {
            return count;
        }
    }
    uint32_t want = hint_of(key, prefix);
    unsigned low = 0;
    unsigned high = count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (node->hint[middle] < want) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    high = low;
    while (high < count && node->hint[high] == want) {
        high += 1;
    }
    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = bytes_compare(node_key(node, middle), key);
        if (order == 0) {
            *ret_equal = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

unsigned key_inner_slot(const struct key_inner *inner, struct bytes key)
{
    bool equal;
    unsigned slot = key_node_lower_bound(&inner->node, key, &equal);
    return equal ? slot + 1 : slot;
}

void key_tree_find(const struct key_index *index, struct bytes key, struct key_path *ret_path)
{
    struct key_node *node = index->root;
    ret_path->depth = 0;
    while (node->level > 0) {
        struct key_inner *inner = key_node_inner(node);
        unsigned slot = key_inner_slot(inner, key);
        ret_path->inner[ret_path->depth] = inner;
        ret_path->slot[ret_path->depth] = slot;
        ret_path->depth += 1;
        node = inner->child[slot];
    }
    ret_path->leaf = key_node_leaf(node);
    ret_path->position = key_node_lower_bound(node, key, &ret_path->found);
}

uint64_t key_node_live(const struct key_node *node)
{
    if (node->level == 0) {
        return key_bits_count(((const struct key_leaf *)node)->live);
    }
    const struct key_inner *inner = (const struct key_inner *)node;
    uint64_t live = 0;
    for (unsigned i = 0; i < node->count; i++) {
        live += inner->live[i];
    }
    return live;
}

struct key_leaf *key_leaf_new(struct key_index *index)
{
    struct key_leaf *leaf = mem_zalloc(sizeof *leaf);
    index->bytes += sizeof *leaf;
    return leaf;
}

static struct key_inner *inner_new(struct key_index *index, uint16_t level)
{
    struct key_inner *inner = mem_zalloc(sizeof *inner);
    inner->node.level = level;
    index->bytes += sizeof *inner;
    return inner;
}

void key_node_free(struct key_node *node)
{
    if (node->level == 0) {
        struct key_leaf *leaf = key_node_leaf(node);
        for (unsigned i = 0; i < node->count; i++) {
            mem_free(leaf->entry[i]->history);
            mem_free(leaf->entry[i]);
        }
        mem_free(leaf);
        return;
    }
    struct key_inner *inner = key_node_inner(node);
    for (unsigned i = 0; i < node->count; i++) {
        key_node_free(inner->child[i]); /* as deep as the tree */
    }
    for (unsigned i = 0; i + 1 < node->count; i++) {
        mem_free(inner->separator[i]);
    }
    mem_free(inner);
}

/* The shortest text that is > left and <= right. */
static struct key_separator *separator_between(struct bytes left, struct bytes right)
{
    size_t size = common_prefix(left, right) + 1;
    CHECK(size <= right.size);
    struct key_separator *separator = mem_alloc(sizeof *separator + size);
    separator->size = (uint32_t)size;
    memcpy(separator->data, right.data, size);
    return separator;
}

static void open_slot(struct key_node *node, unsigned slot, unsigned count)
{
    memmove(node->hint + slot + 1, node->hint + slot, (count - slot) * sizeof node->hint[0]);
}

static uint64_t bits_below(unsigned slot)
{
    return slot >= 64 ? UINT64_MAX : (UINT64_C(1) << slot) - 1;
}

void key_leaf_insert(struct key_leaf *leaf, unsigned position, struct key_entry *entry)
{
    unsigned count = leaf->node.count;
    CHECK(count < KEY_FANOUT && position <= count);
    open_slot(&leaf->node, position, count);
    memmove(leaf->entry + position + 1, leaf->entry + position, (count - position) * POINTER_BYTES);
    uint64_t low = leaf->live & bits_below(position);
    leaf->live = low | (leaf->live & ~bits_below(position)) << 1;
    leaf->entry[position] = entry;
    leaf->node.count += 1;
    refresh_added(&leaf->node, position);
}

/* A new child after child[slot], with the separator between them. */
static void inner_insert(struct key_inner *inner, unsigned slot, struct key_separator *separator,
                         struct key_node *right)
{
    unsigned count = inner->node.count;
    CHECK(count < KEY_FANOUT && slot < count);
    open_slot(&inner->node, slot, count - 1);
    memmove(inner->separator + slot + 1, inner->separator + slot,
            (count - 1 - slot) * POINTER_BYTES);
    memmove(inner->child + slot + 2, inner->child + slot + 1, (count - slot - 1) * POINTER_BYTES);
    memmove(inner->live + slot + 2, inner->live + slot + 1,
            (count - slot - 1) * sizeof inner->live[0]);
    inner->separator[slot] = separator;
    inner->child[slot + 1] = right;
    inner->live[slot] = key_node_live(inner->child[slot]);
    inner->live[slot + 1] = key_node_live(right);
    inner->node.count += 1;
    refresh_added(&inner->node, slot);
}

/* A key that goes behind all others gets a fresh leaf: filling in order leaves full leaves. */
static struct key_separator *split_leaf(struct key_index *index, struct key_leaf *left,
                                        struct bytes key, struct key_node **ret_right)
{
    struct key_leaf *right = key_leaf_new(index);
    struct bytes last = key_entry_key(left->entry[KEY_FANOUT - 1]);
    struct key_separator *separator;
    if (bytes_compare(key, last) > 0) {
        separator = separator_between(last, key);
    } else {
        unsigned half = KEY_FANOUT / 2;
        memcpy(right->entry, left->entry + half, (KEY_FANOUT - half) * POINTER_BYTES);
        right->node.count = (uint16_t)(KEY_FANOUT - half);
        right->live = left->live >> half;
        left->live &= bits_below(half);
        left->node.count = (uint16_t)half;
        separator =
            separator_between(key_entry_key(left->entry[half - 1]), key_entry_key(right->entry[0]));
        refresh(&left->node);
        refresh(&right->node);
    }
    right->next = left->next;
    right->prev = left;
    if (right->next != NULL) {
        right->next->prev = right;
    }
    left->next = right;
    *ret_right = &right->node;
    return separator;
}

static struct key_separator *split_inner(struct key_index *index, struct key_inner *left,
                                         struct bytes key, struct key_node **ret_right)
{
    struct key_inner *right = inner_new(index, left->node.level);
    unsigned keep = key_inner_slot(left, key) == KEY_FANOUT - 1U ? KEY_FANOUT - 1U : KEY_FANOUT / 2;
    unsigned moved = KEY_FANOUT - keep;
    memcpy(right->child, left->child + keep, moved * POINTER_BYTES);
    memcpy(right->live, left->live + keep, moved * sizeof left->live[0]);
    memcpy(right->separator, left->separator + keep, (moved - 1) * POINTER_BYTES);
    right->node.count = (uint16_t)moved;
    left->node.count = (uint16_t)keep;
    refresh(&left->node);
    refresh(&right->node);
    *ret_right = &right->node;
    return left->separator[keep - 1];
}

static struct key_separator *split(struct key_index *index, struct key_node *node, struct bytes key,
                                   struct key_node **ret_right)
{
    return node->level == 0 ? split_leaf(index, key_node_leaf(node), key, ret_right)
                            : split_inner(index, key_node_inner(node), key, ret_right);
}

void key_tree_make_room(struct key_index *index, struct bytes key, struct key_path *ret_path)
{
    if (index->root->count == KEY_FANOUT) {
        struct key_inner *root = inner_new(index, (uint16_t)(index->root->level + 1));
        CHECK(root->node.level < KEY_DEPTH_MAX);
        root->child[0] = index->root;
        root->live[0] = key_node_live(index->root);
        root->node.count = 1;
        index->root = &root->node;
    }
    struct key_node *node = index->root;
    while (node->level > 0) {
        struct key_inner *inner = key_node_inner(node);
        unsigned slot = key_inner_slot(inner, key);
        struct key_node *child = inner->child[slot];
        if (child->count == KEY_FANOUT) {
            struct key_node *right = NULL;
            struct key_separator *separator = split(index, child, key, &right);
            inner_insert(inner, slot, separator, right);
            child = inner->child[key_inner_slot(inner, key)];
        }
        node = child;
    }
    key_tree_find(index, key, ret_path);
}

/* Child slot + 1 of the parent goes away; its separator is returned. */
static struct key_separator *inner_close(struct key_inner *inner, unsigned slot)
{
    unsigned count = inner->node.count;
    struct key_separator *separator = inner->separator[slot];
    memmove(inner->separator + slot, inner->separator + slot + 1,
            (count - 2 - slot) * POINTER_BYTES);
    memmove(inner->child + slot + 1, inner->child + slot + 2, (count - slot - 2) * POINTER_BYTES);
    memmove(inner->live + slot + 1, inner->live + slot + 2,
            (count - slot - 2) * sizeof inner->live[0]);
    inner->node.count -= 1;
    refresh(&inner->node);
    return separator;
}

static void merge_leaves(struct key_index *index, struct key_leaf *left, struct key_leaf *right)
{
    unsigned count = left->node.count;
    memcpy(left->entry + count, right->entry, right->node.count * POINTER_BYTES);
    left->live |= right->node.count == 0 ? 0 : right->live << count;
    left->node.count = (uint16_t)(count + right->node.count);
    left->next = right->next;
    if (left->next != NULL) {
        left->next->prev = left;
    }
    index->bytes -= sizeof *right;
    mem_free(right);
    refresh(&left->node);
}

static void merge_inners(struct key_index *index, struct key_inner *left, struct key_inner *right,
                         struct key_separator *separator)
{
    unsigned count = left->node.count;
    left->separator[count - 1] = separator;
    memcpy(left->separator + count, right->separator, (right->node.count - 1U) * POINTER_BYTES);
    memcpy(left->child + count, right->child, right->node.count * POINTER_BYTES);
    memcpy(left->live + count, right->live, right->node.count * sizeof right->live[0]);
    left->node.count = (uint16_t)(count + right->node.count);
    index->bytes -= sizeof *right;
    mem_free(right);
    refresh(&left->node);
}

/* Merge child slot and child slot + 1 if one node can hold both. */
static bool try_merge(struct key_index *index, struct key_inner *parent, unsigned slot)
{
    struct key_node *left = parent->child[slot];
    struct key_node *right = parent->child[slot + 1];
    if (left->count + right->count > KEY_MERGED_MAX) {
        return false;
    }
    parent->live[slot] += parent->live[slot + 1];
    struct key_separator *separator = inner_close(parent, slot);
    if (left->level == 0) {
        merge_leaves(index, key_node_leaf(left), key_node_leaf(right));
        mem_free(separator);
    } else {
        merge_inners(index, key_node_inner(left), key_node_inner(right), separator);
    }
    return true;
}

static void merge_upwards(struct key_index *index, struct key_path *path)
{
    for (unsigned depth = path->depth; depth > 0; depth--) {
        struct key_inner *parent = path->inner[depth - 1];
        unsigned slot = path->slot[depth - 1];
        if (parent->child[slot]->count >= KEY_FEW) {
            return;
        }
        bool merged = slot + 1 < parent->node.count && try_merge(index, parent, slot);
        if (!merged && slot > 0) {
            (void)try_merge(index, parent, slot - 1); /* both neighbours may be too full */
        }
    }
    while (index->root->level > 0 && index->root->count == 1) {
        struct key_inner *root = key_node_inner(index->root);
        index->root = root->child[0];
        index->bytes -= sizeof *root;
        mem_free(root);
    }
}

void key_tree_remove(struct key_index *index, struct key_path *path)
{
    CHECK(path->found);
    struct key_leaf *leaf = path->leaf;
    unsigned position = path->position;
    bool was_live = (leaf->live >> position & 1) != 0;
    unsigned after = leaf->node.count - position - 1U;
    memmove(leaf->node.hint + position, leaf->node.hint + position + 1,
            after * sizeof leaf->node.hint[0]);
    memmove(leaf->entry + position, leaf->entry + position + 1, after * POINTER_BYTES);
    uint64_t high = position == 63 ? 0 : leaf->live >> (position + 1) << position;
    leaf->live = (leaf->live & bits_below(position)) | high;
    leaf->node.count -= 1;
    if (leaf->node.count == 0) {
        leaf->node.prefix_size = 0;
    }
    for (unsigned i = 0; was_live && i < path->depth; i++) {
        path->inner[i]->live[path->slot[i]] -= 1;
    }
    merge_upwards(index, path);
}
