/* Whatever a disk gives back: recovery must judge it without harm, and damage to what was written
 * must never be taken for something else that was written.
 *
 * The first byte says how the rest is meant:
 *   0  a segment file as it is
 *   1  records, put into sound sectors (so that the inner layer is reached)
 *   2  a program that makes sound records in any order (so that replay is reached)
 *   3  damage to a sound batch: pairs of position and mask */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/wal/wal_replay.h"

static void replay_records(struct bytes records, struct wal_replay *replay)
{
    uint32_t hash = 0;
    bool is_hash_known = false;
    struct wal_record record;
    struct err err;
    while (records.size > 0 &&
           wal_take_record(&records, is_hash_known, &hash, &record, &err) == 0 &&
           wal_replay_record(replay, &record, &err) == 0) {
        is_hash_known = true;
    }
}

static void check_replay(struct wal_replay *replay)
{
    struct err err;
    if (wal_replay_finish(replay, replay->snapshot.last.index, NULL, &err) != 0) {
        CHECK(err.code == ERR_CORRUPT);
        return;
    }
    for (uint32_t i = 0; i < replay->entry_count; i++) {
        CHECK(replay->entries[i].at.index == replay->snapshot.last.index + 1 + i);
        CHECK(i == 0 || replay->entries[i].at.term >= replay->entries[i - 1].at.term);
    }
    CHECK(replay->hard_state.commit <= wal_replay_last_index(replay));
}

static void read_file(struct bytes file)
{
    struct wal_replay replay;
    struct buf records;
    wal_replay_init(&replay);
    buf_init(&records);
    uint64_t sequence = 1;
    if (wal_first_sequence(file, 1, &sequence)) {
        sequence = sequence == 0 ? 1 : sequence;
    }
    struct wal_place place = {.segment = 1, .offset = 0};
    struct wal_scan scan;
    while (wal_scan(file, place, sequence, &records, &scan) == WAL_SCAN_BATCH) {
        replay_records(scan.records, &replay);
        CHECK(scan.size > 0 && scan.size % WAL_SECTOR_SIZE == 0);
        place.offset += scan.size;
        CHECK(place.offset <= file.size);
        sequence++;
    }
    check_replay(&replay);
    wal_replay_deinit(&replay);
    buf_deinit(&records);
}

static void read_records(struct bytes records)
{
    if (records.size == 0) {
        return;
    }
    struct buf file;
    buf_init(&file);
    wal_frame(&file, records, (struct wal_place){.segment = 1, .offset = 0}, 1);
    read_file(buf_bytes(&file));
    buf_deinit(&file);
}

static void put_one(const uint8_t command[4], struct buf *to, uint32_t *hash)
{
    const struct raft_position at = {.index = command[1], .term = command[2]};
    struct raft_entry entry = {
        .at = at, .type = RAFT_ENTRY_COMMAND, .data = blob_new_copy(command, command[3] % 5)};
    const struct raft_hard_state hard = {
        .term = command[2], .vote = command[3] % 4, .commit = command[1]};
    const struct raft_snapshot_meta snapshot = {
        .last = at, .members = {.count = command[3] % (RAFT_MEMBERS_MAX + 1)}};
    const struct wal_metadata metadata = {.cluster_id = command[1], .incarnation = command[2]};
    const struct wal_segment_head head = {
        .version = command[1] % 3, .alignment_bytes = 1U << (command[2] % 16), .number = 1};
    switch (command[0] % 8) {
    case 0:
        wal_put_segment(to, hash, &head);
        break;
    case 1:
        wal_put_metadata(to, hash, &metadata);
        break;
    case 2:
        wal_put_snapshot(to, hash, &snapshot);
        break;
    case 3:
        wal_put_hard_state(to, hash, &hard);
        break;
    default:
        wal_put_entry(to, hash, &entry);
        break;
    }
    blob_unref(entry.data);
}

static void run_program(const uint8_t *data, size_t size)
{
    struct buf records;
    struct wal_replay replay;
    uint32_t hash = 0;
    buf_init(&records);
    wal_replay_init(&replay);
    for (; size >= 4; data += 4, size -= 4) {
        put_one(data, &records, &hash);
    }
    replay_records(buf_bytes(&records), &replay);
    check_replay(&replay);
    wal_replay_deinit(&replay);
    buf_deinit(&records);
}

static void damage_batch(const uint8_t *data, size_t size)
{
    uint8_t original[1500];
    memset(original, 0x5a, sizeof original);
    struct buf file;
    struct buf records;
    buf_init(&file);
    buf_init(&records);
    wal_frame(&file, bytes_make(original, sizeof original), (struct wal_place){1, 0}, 1);
    size_t file_size = buf_size(&file);
    uint8_t *bytes = mem_dup(buf_bytes(&file).data, file_size);
    for (; size >= 3; data += 3, size -= 3) {
        bytes[((size_t)data[0] << 8 | data[1]) % file_size] ^= data[2];
    }
    struct wal_scan scan;
    if (wal_scan(bytes_make(bytes, file_size), (struct wal_place){1, 0}, 1, &records, &scan) ==
        WAL_SCAN_BATCH) {
        CHECK(bytes_equal(scan.records, bytes_make(original, sizeof original)));
    }
    mem_free(bytes);
    buf_deinit(&records);
    buf_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 16) {
        return 0;
    }
    switch (data[0] % 4) {
    case 0:
        read_file(bytes_make(data + 1, size - 1));
        break;
    case 1:
        read_records(bytes_make(data + 1, size - 1));
        break;
    case 2:
        run_program(data + 1, size - 1);
        break;
    default:
        damage_batch(data + 1, size - 1);
        break;
    }
    return 0;
}
