#include "raft/log.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void raft_log_init(struct raft_log *log, struct raft_position base)
{
    *log = (struct raft_log){.base = base};
}

void raft_log_deinit(struct raft_log *log)
{
    raft_log_reset(log, log->base);
    mem_free(log->entries);
    log->entries = NULL;
    log->capacity = 0;
}

uint64_t raft_entry_bytes(const struct raft_entry *entry)
{
    return RAFT_ENTRY_OVERHEAD + (uint64_t)(entry->data == NULL ? 0 : entry->data->size);
}

struct raft_position raft_log_last(const struct raft_log *log)
{
    return log->count == 0 ? log->base : log->entries[log->head + log->count - 1].at;
}

bool raft_log_find_term(const struct raft_log *log, raft_index index, raft_term *term)
{
    if (index < log->base.index || index > raft_log_last_index(log)) {
        return false;
    }
    *term = index == log->base.index ? log->base.term : raft_log_at(log, index)->at.term;
    return true;
}

bool raft_log_has(const struct raft_log *log, struct raft_position position)
{
    raft_term term = 0;
    return raft_log_find_term(log, position.index, &term) && term == position.term;
}

const struct raft_entry *raft_log_at(const struct raft_log *log, raft_index index)
{
    CHECK(index > log->base.index && index <= raft_log_last_index(log));
    return &log->entries[log->head + (uint32_t)(index - log->base.index - 1)];
}

/* Make room for one more at the end: reuse the space before head when it is at least half. */
static void make_room(struct raft_log *log)
{
    if (log->head + log->count < log->capacity) {
        return;
    }
    if (log->head >= log->count && log->head > 0) {
        memmove(log->entries, log->entries + log->head, log->count * sizeof *log->entries);
        log->head = 0;
        return;
    }
    CHECK(log->capacity < UINT32_MAX / 2);
    uint32_t capacity = log->capacity == 0 ? 64 : log->capacity * 2;
    log->entries = mem_reallocarray(log->entries, capacity, sizeof *log->entries);
    log->capacity = capacity;
}

void raft_log_append(struct raft_log *log, const struct raft_entry *entry)
{
    struct raft_position last = raft_log_last(log);
    CHECK(entry->at.index == last.index + 1);
    CHECK(entry->at.term >= last.term);
    make_room(log);
    log->entries[log->head + log->count] = *entry;
    log->count++;
    (void)blob_ref(entry->data);
    log->bytes += raft_entry_bytes(entry);
}

static void drop_entries(struct raft_log *log, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        log->bytes -= raft_entry_bytes(&log->entries[i]);
        blob_unref(log->entries[i].data);
    }
}

void raft_log_truncate(struct raft_log *log, raft_index from)
{
    CHECK(from > log->base.index);
    if (from > raft_log_last_index(log)) {
        return;
    }
    uint32_t keep = (uint32_t)(from - log->base.index - 1);
    drop_entries(log, log->head + keep, log->count - keep);
    log->count = keep;
}

void raft_log_compact(struct raft_log *log, raft_index upto)
{
    CHECK(upto <= raft_log_last_index(log));
    if (upto <= log->base.index) {
        return;
    }
    struct raft_position base = raft_log_at(log, upto)->at;
    uint32_t gone = (uint32_t)(upto - log->base.index);
    drop_entries(log, log->head, gone);
    log->head += gone;
    log->count -= gone;
    log->base = base;
    if (log->count == 0) {
        log->head = 0;
    }
}

void raft_log_reset(struct raft_log *log, struct raft_position base)
{
    drop_entries(log, log->head, log->count);
    CHECK(log->bytes == 0);
    log->head = 0;
    log->count = 0;
    log->base = base;
}

uint32_t raft_log_fit(const struct raft_log *log, raft_index from, uint64_t bytes_max,
                      uint32_t count_max, uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    uint32_t count = 0;
    raft_index last = raft_log_last_index(log);
    while (from + count <= last && count < count_max) {
        uint64_t next = raft_entry_bytes(raft_log_at(log, from + count));
        if (count > 0 && bytes + next > bytes_max) {
            break;
        }
        bytes += next;
        count++;
    }
    *ret_bytes = bytes;
    return count;
}

struct raft_position raft_log_find_conflict(const struct raft_log *log, raft_index index,
                                            raft_term term)
{
    raft_index last = raft_log_last_index(log);
    raft_index at = index < last ? index : last;
    while (at > log->base.index && raft_log_at(log, at)->at.term > term) {
        at--;
    }
    return at <= log->base.index ? log->base : raft_log_at(log, at)->at;
}
