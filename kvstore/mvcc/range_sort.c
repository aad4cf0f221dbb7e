#include "base/mem.h"
#include "kvstore/mvcc/range.h"

static int compare(const struct range_item *a, const struct range_item *b, bool by_value)
{
    if (by_value) {
        return bytes_compare(a->value, b->value);
    }
    return (a->number > b->number) - (a->number < b->number);
}

static bool goes_first(const struct range_item *a, const struct range_item *b, bool by_value,
                       bool descending)
{
    int order = compare(a, b, by_value);
    if (order != 0) {
        return descending ? order > 0 : order < 0;
    }
    return a->ordinal <= b->ordinal;
}

static void merge(struct range_item *to, const struct range_item *a, uint32_t a_count,
                  const struct range_item *b, uint32_t b_count, bool by_value, bool descending)
{
    while (a_count > 0 || b_count > 0) {
        if (b_count == 0 || (a_count > 0 && goes_first(a, b, by_value, descending))) {
            *to++ = *a++;
            a_count -= 1;
        } else {
            *to++ = *b++;
            b_count -= 1;
        }
    }
}

void range_items_sort(struct range_item *items, uint32_t count, bool by_value, bool descending)
{
    struct range_item *other = mem_reallocarray(NULL, count == 0 ? 1 : count, sizeof *other);
    struct range_item *from = items;
    struct range_item *to = other;
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t at = 0; at < count; at += 2 * width) {
            uint32_t a_count = count - at < width ? count - at : width;
            uint32_t rest = count - at - a_count;
            uint32_t b_count = rest < width ? rest : width;
            merge(to + at, from + at, a_count, from + at + a_count, b_count, by_value, descending);
        }
        struct range_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof *items);
    }
    mem_free(other);
}
