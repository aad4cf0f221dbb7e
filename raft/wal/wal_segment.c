#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/wal/wal_internal.h"

enum { ZEROS_BYTES = 64 << 10 };

void wal_segment_name(const struct wal_segment *segment, char name[WAL_NAME_SIZE])
{
    int size = snprintf(name, WAL_NAME_SIZE, "%016" PRIx64 "-%016" PRIx64 ".wal", segment->number,
                        segment->first_index);
    CHECK(size > 0 && size < WAL_NAME_SIZE);
}

bool wal_segment_parse_name(const char *name, struct wal_segment *ret_segment)
{
    struct wal_segment segment = {.number = 0};
    int end = 0;
    if (sscanf(name, "%16" SCNx64 "-%16" SCNx64 ".wal%n", &segment.number, &segment.first_index,
               &end) != 2 ||
        end == 0 || name[end] != '\0') {
        return false;
    }
    /* Exactly the spelling that is written. */
    char canonical[WAL_NAME_SIZE];
    wal_segment_name(&segment, canonical);
    if (strcmp(canonical, name) != 0) {
        return false;
    }
    *ret_segment = segment;
    return true;
}

void wal_add_segment(struct wal *wal, struct wal_segment segment)
{
    if (wal->segment_count == wal->segment_capacity) {
        wal->segment_capacity = wal->segment_capacity * 2 + 8;
        wal->segments =
            mem_reallocarray(wal->segments, wal->segment_capacity, sizeof *wal->segments);
    }
    wal->segments[wal->segment_count++] = segment;
}

static void drop_spare(struct wal *wal)
{
    if (wal->spare != WAL_NO_FILE) {
        disk_close(wal->disk, wal->spare);
    }
    wal->spare = WAL_NO_FILE;
    wal->spare_size = 0;
}

/* A leftover may hold anything: the spare is always made anew, so that it is blank. */
static int make_spare(struct wal *wal, uint64_t size, struct err *err)
{
    drop_spare(wal);
    int rc = disk_unlink(wal->disk, WAL_SPARE_NAME);
    if (rc != 0 && rc != -ENOENT) {
        return wal_fail(wal, rc, "remove the old spare segment", err);
    }
    rc = disk_open(wal->disk, WAL_SPARE_NAME, true, &wal->spare);
    if (rc != 0) {
        wal->spare = WAL_NO_FILE;
        return wal_fail(wal, rc, "make the spare segment", err);
    }
    rc = disk_allocate(wal->disk, wal->spare, size);
    if (rc == 0) {
        rc = disk_sync(wal->disk, wal->spare);
    }
    if (rc != 0) {
        drop_spare(wal);
        /* Give back what it got; the next attempt removes it as well. */
        bool is_removed = rc == -ENOSPC && disk_unlink(wal->disk, WAL_SPARE_NAME) == 0;
        (void)is_removed;
        return wal_fail(wal, rc, "reserve the spare segment", err);
    }
    disk_write_directly(wal->disk, wal->spare);
    wal->spare_size = size;
    wal->spare_written = 0;
    return 0;
}

int wal_prepare_spare(struct wal *wal, uint64_t bytes, bool *ret_is_done, struct err *err)
{
    static const uint8_t zeros[ZEROS_BYTES];
    int rc = wal_refuse_failed(wal, err);
    *ret_is_done = wal->spare == WAL_NO_FILE || wal->spare_written == wal->spare_size;
    if (rc != 0 || *ret_is_done) {
        return rc;
    }
    uint64_t end = wal->spare_written + bytes;
    end = end > wal->spare_size ? wal->spare_size : end;
    while (rc == 0 && wal->spare_written < end) {
        uint64_t left = wal->spare_size - wal->spare_written;
        uint64_t part = left < ZEROS_BYTES ? left : ZEROS_BYTES;
        rc = disk_write(wal->disk, wal->spare, zeros, part, wal->spare_written);
        wal->spare_written += part;
    }
    if (rc == 0 && wal->spare_written == wal->spare_size) {
        rc = disk_sync(wal->disk, wal->spare);
        *ret_is_done = true;
    }
    if (rc == -ENOSPC || rc == -EDQUOT) { /* a file system that reserves nothing */
        wal->spare_written = wal->spare_size;
        *ret_is_done = true;
        return 0;
    }
    return rc == 0 ? 0 : wal_fail(wal, rc, "blank the spare segment", err);
}

int wal_reserve_spare(struct wal *wal, uint64_t size, struct err *err)
{
    if (wal->spare != WAL_NO_FILE && wal->spare_size >= size) {
        return 0;
    }
    return make_spare(wal, size < wal->segment_bytes ? wal->segment_bytes : size, err);
}

int wal_rotate(struct wal *wal, raft_index first_index, struct err *err)
{
    CHECK(wal->spare != WAL_NO_FILE);
    uint64_t number =
        wal->segment_count == 0 ? 1 : wal->segments[wal->segment_count - 1].number + 1;
    const struct wal_segment segment = {
        .number = number, .first_index = first_index, .size = wal->spare_size};
    char name[WAL_NAME_SIZE];
    wal_segment_name(&segment, name);
    int rc = disk_rename(wal->disk, WAL_SPARE_NAME, name);
    if (rc == 0) {
        rc = disk_sync_directory(wal->disk); /* before anything in it is acknowledged (R4) */
    }
    if (rc != 0) {
        return wal_fail_finally(wal, rc, "name a new segment", err);
    }
    if (wal->file != WAL_NO_FILE) {
        disk_close(wal->disk, wal->file);
    }
    wal->file = wal->spare;
    wal->offset = 0;
    wal->spare = WAL_NO_FILE;
    wal->spare_size = 0;
    wal_add_segment(wal, segment);
    return 0;
}

int wal_remove_last_segment(struct wal *wal, struct err *err)
{
    CHECK(wal->segment_count > 0);
    char name[WAL_NAME_SIZE];
    wal_segment_name(&wal->segments[wal->segment_count - 1], name);
    if (wal->file != WAL_NO_FILE) {
        disk_close(wal->disk, wal->file);
        wal->file = WAL_NO_FILE;
    }
    int rc = disk_unlink(wal->disk, name);
    if (rc == 0) {
        rc = disk_sync_directory(wal->disk);
    }
    if (rc != 0) {
        return wal_fail(wal, rc, "remove a segment", err);
    }
    wal->segment_count--;
    return 0;
}

int wal_create_slots(struct wal *wal, struct err *err)
{
    int rc = disk_unlink(wal->disk, WAL_SLOTS_NAME);
    if (rc != 0 && rc != -ENOENT) {
        return wal_fail(wal, rc, "remove an old acknowledgement file", err);
    }
    rc = disk_open(wal->disk, WAL_SLOTS_NAME, true, &wal->slots);
    if (rc != 0) {
        wal->slots = WAL_NO_FILE;
        return wal_fail(wal, rc, "make the acknowledgement file", err);
    }
    rc = disk_allocate(wal->disk, wal->slots, WAL_SLOT_DISTANCE * 2);
    if (rc != 0) {
        return wal_fail(wal, rc, "reserve the acknowledgement file", err);
    }
    rc = wal_write_slot(wal, 0, err);
    if (rc != 0) {
        return rc;
    }
    rc = disk_sync(wal->disk, wal->slots);
    if (rc == 0) {
        rc = disk_sync_directory(wal->disk);
    }
    wal->is_unsettled = false;
    return rc == 0 ? 0 : wal_fail(wal, rc, "sync the acknowledgement file", err);
}

int wal_read_slots(struct wal *wal, uint64_t *ret_sequence, struct err *err)
{
    uint64_t newest = 0;
    bool is_any = false;
    for (uint64_t i = 0; i < 2; i++) {
        uint8_t slot[WAL_SLOT_SIZE];
        uint64_t sequence;
        int rc = disk_read(wal->disk, wal->slots, slot, sizeof slot, i * WAL_SLOT_DISTANCE);
        if (rc != 0) {
            return err_set(err, ERR_CORRUPT, "the acknowledgement file cannot be read: %s",
                           err_text(rc));
        }
        if (wal_decode_slot(slot, &sequence) && sequence % 2 == i) {
            is_any = true;
            newest = sequence > newest ? sequence : newest;
        }
    }
    if (!is_any) {
        return err_set(err, ERR_CORRUPT, "both records of the last acknowledgement are damaged");
    }
    *ret_sequence = newest;
    return 0;
}

int wal_write_slot(struct wal *wal, uint64_t sequence, struct err *err)
{
    uint8_t slot[WAL_SLOT_SIZE];
    wal_encode_slot(slot, sequence);
    int rc = disk_write(wal->disk, wal->slots, slot, sizeof slot, sequence % 2 * WAL_SLOT_DISTANCE);
    if (rc != 0) {
        return wal_fail_finally(wal, rc, "record the acknowledgement", err);
    }
    wal->is_unsettled = true;
    return 0;
}
