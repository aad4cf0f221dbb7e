/* key_index.h - every key and its revisions, in key order, in memory: a counted B+tree.
 *
 * Each inner node knows how many live keys are below each child, so counting a range and finding
 * its first keys are O(log n) at the current revision. Most keys have one revision, which sits in
 * the entry beside the key's bytes; older ones hang on it in one array. Leaves hold four bytes of
 * each key (after what all keys of the leaf share), so that a search seldom leaves the node. */
#ifndef KVSTORE_MVCC_KEY_INDEX_H
#define KVSTORE_MVCC_KEY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "kvstore/mvcc/revision.h"

struct key_past {
    int64_t main;
    uint32_t sub;
    bool is_tombstone;
};

/* Revisions older than the newest, ascending. */
struct key_history {
    uint32_t count;
    uint32_t capacity;
    struct key_past past[];
};

/* One key. Its address stays the same until it is removed. */
struct key_entry {
    struct key_history *history; /* NULL: the newest revision is the only one */
    int64_t mod;                 /* the newest revision */
    int64_t create;              /* 0 when the newest revision is a tombstone */
    int64_t version;             /* 0 when the newest revision is a tombstone */
    uint32_t sub;
    uint32_t key_size : 30;
    uint32_t is_tombstone : 1;
    uint32_t has_lease : 1; /* the lessor knows which */
    uint8_t key[];
};

static inline struct bytes key_entry_key(const struct key_entry *entry)
{
    return bytes_make(entry->key, entry->key_size);
}

/* What the key was at a main revision: its newest revision at or before it. False: it had none. */
bool key_entry_at(const struct key_entry *entry, int64_t main, struct key_past *ret_past);
/* Its newest revision strictly before `before`. */
bool key_entry_before(const struct key_entry *entry, struct revision before,
                      struct key_past *ret_past);
/* Forget what a compaction to main makes unreadable. False: nothing is left (key_index_compact
 * removes the entry then). */
bool key_entry_compact(struct key_entry *entry, int64_t main);
/* True if a record of this revision (<= main) stays readable after a compaction to main. */
bool key_entry_survives(const struct key_entry *entry, struct revision revision, int64_t main);

/* Half-open; an unbounded range has no end. Empty or reversed ranges hold nothing. */
struct key_range {
    struct bytes start;
    struct bytes end;
    bool is_unbounded; /* everything from start on */
};

static inline bool key_range_contains(const struct key_range *range, struct bytes key)
{
    return bytes_compare(key, range->start) >= 0 &&
           (range->is_unbounded || bytes_compare(key, range->end) < 0);
}

struct key_index;

struct key_index *key_index_new(void);
void key_index_free(struct key_index *index); /* NULL is fine */

struct key_entry *key_index_find(const struct key_index *index, struct bytes key);

/* Record a put: the entry is made if need be. The previous state is copied to *ret_before if the
 * key has an entry (then true is returned). create and version follow from it. */
struct key_entry *key_index_put(struct key_index *index, struct bytes key, struct revision at,
                                struct key_entry *ret_before, bool *ret_existed);
/* Record a deletion of a live key. */
void key_index_delete(struct key_index *index, struct key_entry *entry, struct revision at);
/* Load one stored record at start, in revision order. */
void key_index_load(struct key_index *index, struct bytes key, struct revision at,
                    bool is_tombstone, int64_t create, int64_t version, bool has_lease);
/* Forget what a compaction to main makes unreadable, the entry too if nothing is left of it. */
void key_index_compact(struct key_index *index, struct key_entry *entry, int64_t main);

/* Live keys in a range, O(log n). */
uint64_t key_index_count(const struct key_index *index, const struct key_range *range);
uint64_t key_index_live(const struct key_index *index);
uint64_t key_index_entries(const struct key_index *index);
uint64_t key_index_bytes(const struct key_index *index); /* memory, about */

/* A place in the tree; any change of the tree makes it invalid (seek again). */
struct key_cursor {
    const struct key_leaf *leaf;
    unsigned slot;
};

/* The first entry with key >= start, dead ones included. */
struct key_cursor key_index_seek(const struct key_index *index, struct bytes start);
/* The entry here, and move on; NULL at the end. */
struct key_entry *key_cursor_next(struct key_cursor *cursor);
/* The same, only live keys; dead ones are passed over 64 at a time. */
struct key_entry *key_cursor_next_live(struct key_cursor *cursor);

/* Abort if order, counts or links are wrong. O(n). */
void key_index_check(const struct key_index *index);

#endif
