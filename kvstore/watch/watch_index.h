/* watch_index.h - which watchers want a key: a hash map for single keys, an interval tree for
 * ranges. Watchers of the same key or range share a node. */
#ifndef KVSTORE_WATCH_WATCH_INDEX_H
#define KVSTORE_WATCH_WATCH_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "kvstore/mvcc/key_index.h"

struct watch_group;

/* Embedded in what is indexed. */
struct watch_node {
    struct list in_group;
    struct watch_group *group; /* NULL: in no index */
    struct key_range range;    /* bytes belong to whoever embeds it */
    bool is_single;            /* only range.start */
};

struct watch_index {
    struct bytes_map keys;      /* key -> watch_group */
    struct watch_group *ranges; /* root of a treap by (start, end), with the largest end below */
};

struct watch_matches {
    struct watch_node **nodes;
    uint32_t count;
    uint32_t capacity;
};

void watch_index_init(struct watch_index *index);
void watch_index_deinit(struct watch_index *index); /* it is empty */
void watch_index_add(struct watch_index *index, struct watch_node *node);
void watch_index_remove(struct watch_index *index, struct watch_node *node);
/* Replace the matches by all nodes that hold the key. */
void watch_index_find(const struct watch_index *index, struct bytes key,
                      struct watch_matches *matches);
void watch_matches_deinit(struct watch_matches *matches);

#endif
