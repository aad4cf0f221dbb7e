/* interval.h - sets of keys as merged, sorted intervals [begin, end). */
#ifndef KVSTORE_AUTH_INTERVAL_H
#define KVSTORE_AUTH_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

/* What key and range_end of a request mean. */
struct interval {
    struct bytes begin;
    struct bytes end;
    bool is_single; /* begin alone; end is unset */
    bool is_open;   /* everything from begin on; end is unset */
};

/* An empty key is the smallest one, "\0". A reversed range counts as its first key, so that it is
 * not free to ask for. */
struct interval interval_make(struct bytes key, struct bytes range_end);

/* Owns its bytes. Zero is the empty set. */
struct interval_set {
    struct interval_piece *pieces;
    uint32_t count;
    uint32_t capacity;
};

void interval_set_clear(struct interval_set *set); /* frees, too */
void interval_set_add(struct interval_set *set, const struct interval *interval);
/* One piece of the merged set covers all of it. */
bool interval_set_covers(const struct interval_set *set, const struct interval *interval);

#endif
