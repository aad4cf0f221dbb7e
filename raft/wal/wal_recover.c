#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/wal/wal_internal.h"

struct recovery {
    struct wal *wal;
    struct wal_replay *replay;
    bool has_slots;
    bool is_hash_known;
    uint64_t torn_bytes;
    uint64_t batch_count; /* in the segment that is read */
    struct buf batch;     /* records of one batch */
};

static void on_name(void *context, const char *name)
{
    struct recovery *recovery = context;
    struct wal_segment segment;
    if (strcmp(name, WAL_SLOTS_NAME) == 0) {
        recovery->has_slots = true;
    } else if (wal_segment_parse_name(name, &segment)) {
        wal_add_segment(recovery->wal, segment);
    }
}

static int compare_segments(const void *a, const void *b)
{
    const struct wal_segment *left = a;
    const struct wal_segment *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

static int list_segments(struct recovery *recovery, struct err *err)
{
    struct wal *wal = recovery->wal;
    int rc = disk_list(wal->disk, on_name, recovery);
    if (rc != 0) {
        return wal_fail(wal, rc, "read the log's directory", err);
    }
    if (wal->segment_count > 1) {
        qsort(wal->segments, wal->segment_count, sizeof *wal->segments, compare_segments);
    }
    for (uint32_t i = 1; i < wal->segment_count; i++) {
        if (wal->segments[i].number != wal->segments[i - 1].number + 1) {
            return err_set(err, ERR_CORRUPT, "segment %" PRIu64 " of the log is missing or doubled",
                           wal->segments[i - 1].number + 1);
        }
    }
    return 0;
}

static int corrupt_at(struct recovery *recovery, uint32_t segment, uint64_t offset,
                      const char *reason, struct err *err)
{
    char name[WAL_NAME_SIZE];
    wal_segment_name(&recovery->wal->segments[segment], name);
    return err_set(
        err, ERR_CORRUPT, "%s, offset %" PRIu64 ": %s (after batch %" PRIu64 ", entry %" PRIu64 ")",
        name, offset, reason, recovery->wal->sequence, wal_replay_last_index(recovery->replay));
}

/* The records of one whole batch. A bad one was bad before it was written, or the scan is wrong. */
static int replay_batch(struct recovery *recovery, uint32_t index, struct bytes records,
                        struct err *err)
{
    struct wal *wal = recovery->wal;
    struct wal_segment *segment = &wal->segments[index];
    bool is_first = recovery->batch_count == 0;
    while (records.size > 0) {
        struct wal_record record;
        int rc = wal_take_record(&records, recovery->is_hash_known, &wal->hash, &record, err);
        recovery->is_hash_known = true;
        if (rc == 0 && is_first != (record.type == WAL_RECORD_SEGMENT)) {
            rc = err_set(err, ERR_CORRUPT, "a segment's head is missing or misplaced");
        }
        if (rc == 0 && is_first && record.segment.number != segment->number) {
            rc = err_set(err, ERR_CORRUPT, "a segment has another one's name");
        }
        if (rc == 0) {
            rc = wal_replay_record(recovery->replay, &record, err);
        }
        if (rc != 0) {
            return rc;
        }
        is_first = false;
        if (record.type == WAL_RECORD_ENTRY && record.entry.at.index > segment->last_index) {
            segment->last_index = record.entry.at.index;
        }
    }
    return 0;
}

static int read_file(struct recovery *recovery, uint32_t index, uint8_t **ret_data, struct err *err)
{
    struct wal *wal = recovery->wal;
    struct wal_segment *segment = &wal->segments[index];
    char name[WAL_NAME_SIZE];
    wal_segment_name(segment, name);
    if (wal->file != WAL_NO_FILE) {
        disk_close(wal->disk, wal->file);
        wal->file = WAL_NO_FILE;
    }
    int rc = disk_open(wal->disk, name, false, &wal->file);
    if (rc != 0) {
        wal->file = WAL_NO_FILE;
        return wal_fail(wal, rc, "open a segment", err);
    }
    rc = disk_size(wal->disk, wal->file, &segment->size);
    if (rc != 0) {
        return wal_fail(wal, rc, "read a segment's size", err);
    }
    uint8_t *data = mem_alloc(segment->size == 0 ? 1 : segment->size);
    rc = disk_read(wal->disk, wal->file, data, segment->size, 0);
    if (rc != 0) {
        mem_free(data);
        return wal_fail(wal, rc, "read a segment", err);
    }
    *ret_data = data;
    return 0;
}

/* Which batch the segment must begin with. */
static int find_first_sequence(struct recovery *recovery, uint32_t index, struct bytes file,
                               struct err *err)
{
    struct wal *wal = recovery->wal;
    if (index > 0 || wal->segments[0].number == 1) {
        return 0; /* the one after the last so far */
    }
    uint64_t first;
    if (!wal_first_sequence(file, wal->segments[0].number, &first) || first == 0) {
        return corrupt_at(recovery, index, 0, "the oldest segment's head is damaged", err);
    }
    wal->sequence = first - 1;
    return 0;
}

/* All whole batches of one segment; on return wal->offset is behind the last of them. */
static int replay_segment(struct recovery *recovery, uint32_t index, struct bytes file,
                          struct err *err)
{
    struct wal *wal = recovery->wal;
    struct wal_place place = {.segment = wal->segments[index].number, .offset = 0};
    recovery->batch_count = 0;
    for (;;) {
        struct wal_scan scan;
        enum wal_scan_result result =
            wal_scan(file, place, wal->sequence + 1, &recovery->batch, &scan);
        if (result == WAL_SCAN_CORRUPT) {
            return corrupt_at(recovery, index, place.offset, scan.reason, err);
        }
        if (result != WAL_SCAN_BATCH) {
            recovery->torn_bytes = result == WAL_SCAN_TORN ? scan.size : 0;
            wal->offset = place.offset;
            return 0;
        }
        int rc = replay_batch(recovery, index, scan.records, err);
        if (rc == ERR_CORRUPT) {
            struct err reason = *err;
            return corrupt_at(recovery, index, place.offset, reason.text, err);
        }
        if (rc != 0) {
            return rc;
        }
        recovery->batch_count++;
        wal->sequence++;
        wal->alignment = recovery->replay->alignment_bytes;
        place.offset = wal_align(wal, place.offset + scan.size);
    }
}

static int recover_segment(struct recovery *recovery, uint32_t index, struct err *err)
{
    uint8_t *data = NULL;
    int rc = read_file(recovery, index, &data, err);
    if (rc != 0) {
        return rc;
    }
    struct bytes file = bytes_make(data, recovery->wal->segments[index].size);
    rc = find_first_sequence(recovery, index, file, err);
    if (rc == 0) {
        rc = replay_segment(recovery, index, file, err);
    }
    mem_free(data);
    if (rc != 0) {
        return rc;
    }
    bool is_last = index + 1 == recovery->wal->segment_count;
    if (!is_last && (recovery->torn_bytes > 0 || recovery->batch_count == 0)) {
        return corrupt_at(recovery, index, recovery->wal->offset,
                          "a batch is unfinished and a later segment exists", err);
    }
    return 0;
}

/* What an unfinished write left becomes blank again, so that it can never be taken for a part of
 * the batch that will be written there. */
static int blank_torn(struct recovery *recovery, struct err *err)
{
    struct wal *wal = recovery->wal;
    uint8_t *zeros = mem_zalloc(recovery->torn_bytes);
    int rc = disk_write(wal->disk, wal->file, zeros, recovery->torn_bytes, wal->offset);
    mem_free(zeros);
    return rc == 0 ? 0 : wal_fail(wal, rc, "blank an unfinished batch", err);
}

/* Open the last segment again after a younger, empty one went away; its end is known. */
static int reopen_last(struct recovery *recovery, uint64_t offset, struct err *err)
{
    struct wal *wal = recovery->wal;
    char name[WAL_NAME_SIZE];
    wal_segment_name(&wal->segments[wal->segment_count - 1], name);
    int rc = disk_open(wal->disk, name, false, &wal->file);
    if (rc != 0) {
        wal->file = WAL_NO_FILE;
        return wal_fail(wal, rc, "open a segment", err);
    }
    wal->offset = offset;
    return 0;
}

static int settle_tail(struct recovery *recovery, uint64_t offset_before, struct err *err)
{
    struct wal *wal = recovery->wal;
    int rc = 0;
    if (recovery->batch_count == 0) {
        rc = wal_remove_last_segment(wal, err);
        if (rc == 0) {
            rc = reopen_last(recovery, offset_before, err);
        }
    } else if (recovery->torn_bytes > 0) {
        rc = blank_torn(recovery, err);
    }
    if (rc != 0) {
        return rc;
    }
    disk_write_directly(wal->disk, wal->file);
    /* What was read may be in the page cache only (a killed process): it counts from here on. */
    rc = disk_sync(wal->disk, wal->file);
    if (rc == 0) {
        rc = disk_sync_directory(wal->disk);
    }
    return rc == 0 ? 0 : wal_fail(wal, rc, "sync the recovered log", err);
}

/* The first batch of a new log never became durable: nothing was ever promised. */
static int clear_unfinished(struct recovery *recovery, struct err *err)
{
    while (recovery->wal->segment_count > 0) {
        int rc = wal_remove_last_segment(recovery->wal, err);
        if (rc != 0) {
            return rc;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "there is no log");
}

static int check_acknowledged(struct recovery *recovery, uint64_t acknowledged, struct err *err)
{
    const struct wal *wal = recovery->wal;
    if (acknowledged <= wal->sequence) {
        return 0;
    }
    return err_set(err, ERR_CORRUPT,
                   "the log ends with batch %" PRIu64 " (entry %" PRIu64 "), but batch %" PRIu64
                   " was acknowledged",
                   wal->sequence, wal_replay_last_index(recovery->replay), acknowledged);
}

static int read_acknowledged(struct recovery *recovery, uint64_t *ret_sequence, struct err *err)
{
    struct wal *wal = recovery->wal;
    if (!recovery->has_slots) {
        *ret_sequence = 0;
        return wal->segment_count == 0
                   ? err_set(err, ERR_NOT_FOUND, "there is no log")
                   : err_set(err, ERR_CORRUPT, "the log's acknowledgement file is missing");
    }
    int rc = disk_open(wal->disk, WAL_SLOTS_NAME, false, &wal->slots);
    if (rc != 0) {
        wal->slots = WAL_NO_FILE;
        return wal_fail(wal, rc, "open the acknowledgement file", err);
    }
    return wal_read_slots(wal, ret_sequence, err);
}

static int recover_all(struct recovery *recovery, struct err *err)
{
    struct wal *wal = recovery->wal;
    uint64_t acknowledged = 0;
    int rc = list_segments(recovery, err);
    if (rc == 0) {
        rc = read_acknowledged(recovery, &acknowledged, err);
    }
    if (rc == ERR_CORRUPT && wal->segment_count == 0) {
        return clear_unfinished(recovery, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (wal->segment_count == 0 && acknowledged > 0) {
        return err_set(err, ERR_CORRUPT, "the log's segments are missing");
    }
    uint64_t offset_before = 0;
    for (uint32_t i = 0; i < wal->segment_count; i++) {
        offset_before = wal->offset;
        rc = recover_segment(recovery, i, err);
        if (rc != 0) {
            return rc;
        }
    }
    rc = check_acknowledged(recovery, acknowledged, err);
    if (rc != 0) {
        return rc;
    }
    return wal->sequence == 0 ? clear_unfinished(recovery, err)
                              : settle_tail(recovery, offset_before, err);
}

int wal_recover(struct wal *wal, struct wal_replay *replay, uint64_t *ret_torn_bytes,
                struct err *err)
{
    struct recovery recovery = {.wal = wal, .replay = replay};
    buf_init(&recovery.batch);
    int rc = recover_all(&recovery, err);
    buf_deinit(&recovery.batch);
    if (rc == 0) {
        *ret_torn_bytes = recovery.torn_bytes;
    }
    return rc;
}
