#include "kvstore/mvcc/key_index.h"

#include "base/mem.h"
#include "kvstore/mvcc/planted.h"

static struct key_past newest(const struct key_entry *entry)
{
    return (struct key_past){entry->mod, entry->sub, entry->is_tombstone};
}

/* How many revisions of the history are <= main. */
static uint32_t count_until(const struct key_history *history, int64_t main)
{
    uint32_t low = 0;
    uint32_t high = history == NULL ? 0 : history->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (history->past[middle].main <= main) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool key_entry_at(const struct key_entry *entry, int64_t main, struct key_past *ret_past)
{
    if (entry->mod <= main) {
        *ret_past = newest(entry);
        return true;
    }
    uint32_t count = count_until(entry->history, main);
    if (count == 0) {
        return false;
    }
    *ret_past = entry->history->past[count - 1];
    return true;
}

bool key_entry_before(const struct key_entry *entry, struct revision before,
                      struct key_past *ret_past)
{
    if (revision_compare((struct revision){entry->mod, entry->sub}, before) < 0) {
        *ret_past = newest(entry);
        return true;
    }
    uint32_t count = count_until(entry->history, before.main);
    while (count > 0) {
        struct key_past past = entry->history->past[count - 1];
        if (revision_compare((struct revision){past.main, past.sub}, before) < 0) {
            *ret_past = past;
            return true;
        }
        count -= 1;
    }
    return false;
}

static void drop_oldest(struct key_entry *entry, uint32_t count)
{
    struct key_history *history = entry->history;
    if (count == 0) {
        return;
    }
    if (count == history->count) {
        mem_free(history);
        entry->history = NULL;
        return;
    }
    history->count -= count;
    memmove(history->past, history->past + count, history->count * sizeof history->past[0]);
    if (history->capacity > 8 && history->count < history->capacity / 4) {
        history->capacity = history->count;
        entry->history =
            mem_realloc(history, sizeof *history + history->capacity * sizeof history->past[0]);
    }
}

/* The newest revision of a key at or before main stays, unless it is a tombstone. One at main
 * itself stays until the next compaction: a watch may still start there and must see the deletion.
 */
static bool survives(struct key_past past, int64_t main)
{
    return !past.is_tombstone || (past.main == main && !PLANTED(53));
}

bool key_entry_compact(struct key_entry *entry, int64_t main)
{
    if (entry->mod <= main) {
        if (entry->history != NULL) {
            drop_oldest(entry, entry->history->count);
        }
        return survives(newest(entry), main);
    }
    uint32_t count = count_until(entry->history, main);
    if (count > 0) {
        drop_oldest(entry, survives(entry->history->past[count - 1], main) ? count - 1 : count);
    }
    return true;
}

bool key_entry_survives(const struct key_entry *entry, struct revision revision, int64_t main)
{
    struct key_past past;
    if (revision.main > main) {
        return true;
    }
    return key_entry_at(entry, main, &past) && survives(past, main) && past.main == revision.main &&
           past.sub == revision.sub;
}
