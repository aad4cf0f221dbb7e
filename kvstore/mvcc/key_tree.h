/* key_tree.h - inside of the key index: nodes, search, split and merge. */
#ifndef KVSTORE_MVCC_KEY_TREE_H
#define KVSTORE_MVCC_KEY_TREE_H

#include "kvstore/mvcc/key_index.h"

enum {
    KEY_FANOUT = 64, /* one bit a key in a word */
    KEY_FEW = 16,    /* a node with fewer children looks for a sibling to merge with */
    KEY_MERGED_MAX = 48,
    KEY_DEPTH_MAX = 24,
    KEY_PREFIX_INLINE = 40, /* bytes of the shared prefix that a search finds in the node */
};

/* What leaves and inner nodes share. A leaf has `count` keys, an inner node `count` children and
 * count - 1 keys (separators) between them. */
struct key_node {
    uint16_t count;
    uint16_t level;            /* 0: leaf */
    uint32_t prefix_size;      /* bytes that all keys of the node share */
    uint32_t hint[KEY_FANOUT]; /* the four bytes after the prefix, big-endian, of each key */
    uint8_t prefix[KEY_PREFIX_INLINE];
};

struct key_leaf {
    struct key_node node;
    uint64_t live; /* bit i: entry[i] is not a tombstone */
    struct key_leaf *next;
    struct key_leaf *prev;
    struct key_entry *entry[KEY_FANOUT];
};

struct key_separator {
    uint32_t size;
    uint8_t data[];
};

struct key_inner {
    struct key_node node;
    struct key_node *child[KEY_FANOUT];
    uint64_t live[KEY_FANOUT]; /* live keys below child[i] */
    /* separator[i] is > every key below child[i] and <= every key below child[i + 1] */
    struct key_separator *separator[KEY_FANOUT - 1];
};

struct key_index {
    struct key_node *root;
    struct key_leaf *first;
    uint64_t entries;
    uint64_t bytes;
};

/* The way from the root to a leaf. */
struct key_path {
    unsigned depth; /* inner nodes passed */
    struct key_inner *inner[KEY_DEPTH_MAX];
    unsigned slot[KEY_DEPTH_MAX];
    struct key_leaf *leaf;
    unsigned position; /* in the leaf */
    bool found;        /* the key is at position */
};

static inline struct key_leaf *key_node_leaf(struct key_node *node)
{
    return (struct key_leaf *)node; /* node is its first member */
}

static inline struct key_inner *key_node_inner(struct key_node *node)
{
    return (struct key_inner *)node; /* node is its first member */
}

/* Set bits. The compiler's own is a library call where the processor's is not assumed. */
static inline uint64_t key_bits_count(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555U;
    bits = (bits & 0x3333333333333333U) + (bits >> 2 & 0x3333333333333333U);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fU;
    return bits * 0x0101010101010101U >> 56;
}

struct key_leaf *key_leaf_new(struct key_index *index);
/* First key >= key: its slot, or the key count. *ret_equal: it is that key. */
unsigned key_node_lower_bound(const struct key_node *node, struct bytes key, bool *ret_equal);
/* The child that holds key. */
unsigned key_inner_slot(const struct key_inner *inner, struct bytes key);
void key_tree_find(const struct key_index *index, struct bytes key, struct key_path *ret_path);
/* Make room for key by splitting full nodes on its way, then find its place again. */
void key_tree_make_room(struct key_index *index, struct bytes key, struct key_path *ret_path);
/* Put an entry at the path's position; the leaf has room. Its live bit is 0. */
void key_leaf_insert(struct key_leaf *leaf, unsigned position, struct key_entry *entry);
/* Take the entry at the path's position out and merge what became small. */
void key_tree_remove(struct key_index *index, struct key_path *path);
uint64_t key_node_live(const struct key_node *node);
void key_node_free(struct key_node *node);

#endif
