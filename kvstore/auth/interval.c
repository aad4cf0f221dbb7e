#include "kvstore/auth/interval.h"

#include "base/mem.h"

struct interval_piece {
    struct buf begin;
    struct buf end;
    bool is_open;
};

struct interval interval_make(struct bytes key, struct bytes range_end)
{
    struct interval interval = {.begin = key.size == 0 ? bytes_make("", 1) : key};
    if (range_end.size == 1 && range_end.data[0] == 0) {
        interval.is_open = true;
    } else if (range_end.size == 0 || bytes_compare(interval.begin, range_end) >= 0) {
        interval.is_single = true;
    } else {
        interval.end = range_end;
    }
    return interval;
}

/* Where the interval ends, in memory that the caller clears. */
static void fill_end(const struct interval *interval, struct buf *end)
{
    buf_clear(end);
    if (interval->is_single) {
        buf_append_bytes(end, interval->begin);
        buf_append_u8(end, 0);
    } else if (!interval->is_open) {
        buf_append_bytes(end, interval->end);
    }
}

static void piece_deinit(struct interval_piece *piece)
{
    buf_deinit(&piece->begin);
    buf_deinit(&piece->end);
}

void interval_set_clear(struct interval_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        piece_deinit(&set->pieces[i]);
    }
    mem_free(set->pieces);
    *set = (struct interval_set){0};
}

/* The piece reaches at least to the key: they touch if the piece does not begin after it. */
static bool reaches(const struct interval_piece *piece, struct bytes key)
{
    return piece->is_open || bytes_compare(buf_bytes(&piece->end), key) >= 0;
}

/* Take over what the piece at `at` adds to the new one, and remove it. */
static void absorb(struct interval_set *set, uint32_t at, struct interval_piece *piece)
{
    struct interval_piece *old = &set->pieces[at];
    if (bytes_compare(buf_bytes(&old->begin), buf_bytes(&piece->begin)) < 0) {
        struct buf begin = piece->begin;
        piece->begin = old->begin;
        old->begin = begin;
    }
    if (old->is_open ||
        (!piece->is_open && bytes_compare(buf_bytes(&old->end), buf_bytes(&piece->end)) > 0)) {
        struct buf end = piece->end;
        piece->end = old->end;
        old->end = end;
        piece->is_open = old->is_open;
    }
    piece_deinit(old);
    set->count -= 1;
    memmove(old, old + 1, (set->count - at) * sizeof *old);
}

void interval_set_add(struct interval_set *set, const struct interval *interval)
{
    struct interval_piece piece = {.is_open = interval->is_open};
    buf_append_bytes(&piece.begin, interval->begin);
    fill_end(interval, &piece.end);
    uint32_t at = 0;
    while (at < set->count && !reaches(&set->pieces[at], buf_bytes(&piece.begin))) {
        at += 1;
    }
    while (at < set->count && reaches(&piece, buf_bytes(&set->pieces[at].begin))) {
        absorb(set, at, &piece);
    }
    if (set->count == set->capacity) {
        set->capacity = set->capacity == 0 ? 4 : 2 * set->capacity;
        set->pieces = mem_reallocarray(set->pieces, set->capacity, sizeof *set->pieces);
    }
    memmove(set->pieces + at + 1, set->pieces + at, (set->count - at) * sizeof *set->pieces);
    set->pieces[at] = piece;
    set->count += 1;
}

/* The last piece that does not begin after the key; NULL: none. */
static const struct interval_piece *find_piece(const struct interval_set *set, struct bytes key)
{
    uint32_t low = 0;
    uint32_t high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(buf_bytes(&set->pieces[middle].begin), key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : &set->pieces[low - 1];
}

bool interval_set_covers(const struct interval_set *set, const struct interval *interval)
{
    const struct interval_piece *piece = find_piece(set, interval->begin);
    if (piece == NULL || piece->is_open) {
        return piece != NULL;
    }
    if (interval->is_open) {
        return false;
    }
    struct bytes end = buf_bytes(&piece->end);
    return interval->is_single ? bytes_compare(interval->begin, end) < 0
                               : bytes_compare(interval->end, end) <= 0;
}
