#include "raft/wal/wal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/wal/wal_internal.h"

enum {
    SEGMENT_BYTES_DEFAULT = 16 << 20,
    ALIGNMENT_DEFAULT = 4096,
    BUFFER_KEPT_MAX = 1 << 20, /* a larger one, from a rare huge batch, is given back */
};

int wal_fail(struct wal *wal, int code, const char *what, struct err *err)
{
    if (code == -ENOSPC || code == -EDQUOT) {
        return err_set(err, ERR_NO_SPACE, "%s: %s", what, err_text(code));
    }
    wal->failed = ERR_IO;
    (void)snprintf(wal->failed_text, sizeof wal->failed_text, "%s: %s", what, err_text(code));
    return err_set(err, ERR_IO, "%s", wal->failed_text);
}

int wal_fail_finally(struct wal *wal, int code, const char *what, struct err *err)
{
    return wal_fail(wal, code == -ENOSPC || code == -EDQUOT ? -EIO : code, what, err);
}

int wal_refuse_failed(const struct wal *wal, struct err *err)
{
    return wal->failed == 0
               ? 0
               : err_set(err, wal->failed, "the log failed before: %s", wal->failed_text);
}

/* Each segment can be read without the ones before it. */
static void encode_head(const struct wal *wal, uint64_t number, struct buf *to, uint32_t *hash)
{
    const struct wal_segment_head head = {
        .version = WAL_FORMAT_VERSION, .alignment_bytes = wal->alignment, .number = number};
    wal_put_segment(to, hash, &head);
    wal_put_metadata(to, hash, &wal->metadata);
    if (wal->snapshot.last.index > 0 || wal->snapshot.members.count > 0) {
        wal_put_snapshot(to, hash, &wal->snapshot);
    }
    wal_put_hard_state(to, hash, &wal->hard_state);
}

/* ---- Writing ---- */

static uint64_t now(const struct wal *wal)
{
    return wal->clock_ns == NULL ? 0 : wal->clock_ns();
}

/* The one write and the one sync of a batch, at wal->offset. */
static int write_framed(struct wal *wal, struct err *err)
{
    struct bytes framed = buf_bytes(&wal->framed);
    uint64_t started = now(wal);
    int rc = disk_write(wal->disk, wal->file, framed.data, framed.size, wal->offset);
    uint64_t written = now(wal);
    wal->write_ns += written - started;
    if (rc == 0) {
        rc = disk_sync(wal->disk, wal->file);
        wal->sync_ns += now(wal) - written;
    }
    if (rc != 0) {
        /* Space was reserved: running out of it here is a failure of the disk as well. */
        return wal_fail_finally(wal, rc, "write the log", err);
    }
    wal->sync_count++;
    wal->written_bytes += framed.size;
    wal->offset = wal_align(wal, wal->offset + framed.size);
    wal->sequence++;
    return wal_write_slot(wal, wal->sequence, err);
}

static void trim_buffer(struct buf *buf)
{
    buf_clear(buf);
    if (buf->capacity > BUFFER_KEPT_MAX) {
        buf_deinit(buf);
        buf_init(buf);
    }
}

static struct wal_segment *last_segment(const struct wal *wal)
{
    return wal->segment_count == 0 ? NULL : &wal->segments[wal->segment_count - 1];
}

static bool fits(const struct wal *wal, uint64_t record_bytes)
{
    const struct wal_segment *segment = last_segment(wal);
    return segment != NULL && wal->offset + wal_framed_size(record_bytes) <= segment->size;
}

/* Encode behind what the segment has; in a new segment, behind a head. */
static void encode_all(struct wal *wal, struct wal_batch *const *batches, uint32_t count,
                       uint64_t head_number, uint32_t *hash)
{
    buf_clear(&wal->records);
    if (head_number > 0) {
        encode_head(wal, head_number, &wal->records, hash);
    }
    for (uint32_t i = 0; i < count; i++) {
        wal_batch_encode(batches[i], &wal->records, hash);
    }
}

static raft_index first_entry_index(const struct wal *wal, struct wal_batch *const *batches,
                                    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (batches[i]->entry_count > 0) {
            return batches[i]->entries[0].at.index;
        }
    }
    return wal->last_index + 1;
}

/* Encode the batches and see to it that they have a place. */
static int place_batches(struct wal *wal, struct wal_batch *const *batches, uint32_t count,
                         uint32_t *ret_hash, struct err *err)
{
    uint32_t hash = wal->hash;
    encode_all(wal, batches, count, 0, &hash);
    if (buf_size(&wal->records) == 0 || !fits(wal, buf_size(&wal->records))) {
        uint64_t number = wal->segment_count == 0 ? 1 : last_segment(wal)->number + 1;
        hash = wal->hash;
        encode_all(wal, batches, count, number, &hash);
        uint64_t size = wal_align(wal, wal_framed_size(buf_size(&wal->records)));
        int rc = wal_reserve_spare(wal, size, err);
        if (rc == 0) {
            rc = wal_rotate(wal, first_entry_index(wal, batches, count), err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    buf_clear(&wal->framed);
    const struct wal_place place = {.segment = last_segment(wal)->number, .offset = wal->offset};
    wal_frame(&wal->framed, buf_bytes(&wal->records), place, wal->sequence + 1);
    *ret_hash = hash;
    return 0;
}

/* The batch is durable: from now on it is what the log says. */
static void take_over(struct wal *wal, const struct wal_batch *batch)
{
    struct wal_segment *segment = last_segment(wal);
    if (batch->has_snapshot) {
        wal->snapshot = batch->snapshot;
        if (batch->snapshot.last.index > wal->last_index) {
            wal->last_index = batch->snapshot.last.index;
        }
    }
    if (batch->entry_count > 0) {
        wal->last_index = batch->entries[batch->entry_count - 1].at.index;
        if (wal->last_index > segment->last_index) {
            segment->last_index = wal->last_index;
        }
    }
    if (batch->has_hard_state) {
        wal->hard_state = batch->hard_state;
    }
}

/* Without batches: start a segment with nothing but its head. */
static int append(struct wal *wal, struct wal_batch *const *batches, uint32_t count,
                  struct err *err)
{
    uint32_t hash;
    int rc = place_batches(wal, batches, count, &hash, err);
    if (rc == 0) {
        rc = write_framed(wal, err);
    }
    trim_buffer(&wal->records);
    trim_buffer(&wal->framed);
    if (rc != 0) {
        return rc;
    }
    wal->hash = hash;
    for (uint32_t i = 0; i < count; i++) {
        take_over(wal, batches[i]);
    }
    return 0;
}

int wal_append(struct wal *wal, struct wal_batch *const *batches, uint32_t count, struct err *err)
{
    int rc = wal_refuse_failed(wal, err);
    if (rc != 0) {
        return rc;
    }
    wal_check_order(wal, batches, count);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += wal_batch_bytes(batches[i]);
    }
    return bytes == 0 ? 0 : append(wal, batches, count, err);
}

/* ---- Opening ---- */

static int new_wal(const struct wal_options *options, struct wal **ret_wal, struct err *err)
{
    uint32_t alignment =
        options->alignment_bytes == 0 ? ALIGNMENT_DEFAULT : options->alignment_bytes;
    uint64_t segment = options->segment_bytes == 0 ? SEGMENT_BYTES_DEFAULT : options->segment_bytes;
    if (alignment < WAL_SECTOR_SIZE || (alignment & (alignment - 1)) != 0 || segment < alignment ||
        segment % alignment != 0) {
        return err_set(err, ERR_INVALID, "log segment size or alignment");
    }
    struct wal *wal = mem_zalloc(sizeof *wal);
    wal->disk = options->disk;
    wal->alignment = alignment;
    wal->segment_bytes = segment;
    wal->clock_ns = options->clock_ns;
    wal->file = WAL_NO_FILE;
    wal->spare = WAL_NO_FILE;
    wal->slots = WAL_NO_FILE;
    buf_init(&wal->records);
    buf_init(&wal->framed);
    *ret_wal = wal;
    return 0;
}

static int create(struct wal *wal, const struct wal_options *options, struct err *err)
{
    if (!options->is_created) {
        return err_set(err, ERR_NOT_FOUND, "there is no log");
    }
    if (options->cluster_id == 0 || options->member_id == 0) {
        return err_set(err, ERR_INVALID, "a new log needs a cluster and a member id");
    }
    wal->metadata = (struct wal_metadata){
        .cluster_id = options->cluster_id, .member_id = options->member_id, .incarnation = 1};
    if (wal->slots != WAL_NO_FILE) {
        disk_close(wal->disk, wal->slots);
        wal->slots = WAL_NO_FILE;
    }
    int rc = wal_create_slots(wal, err);
    return rc != 0 ? rc : append(wal, NULL, 0, err);
}

static int check_identity(const struct wal_metadata *metadata, const struct wal_options *options,
                          struct err *err)
{
    if (options->cluster_id != 0 && options->cluster_id != metadata->cluster_id) {
        return err_set(err, ERR_WRONG_CLUSTER, "the log belongs to cluster %llx, not to %llx",
                       (unsigned long long)metadata->cluster_id,
                       (unsigned long long)options->cluster_id);
    }
    if (options->member_id != 0 && options->member_id != metadata->member_id) {
        return err_set(err, ERR_WRONG_CLUSTER, "the log belongs to member %llx, not to %llx",
                       (unsigned long long)metadata->member_id,
                       (unsigned long long)options->member_id);
    }
    return 0;
}

/* One batch that counts this start, and records an installed snapshot that was not yet. */
static int begin_incarnation(struct wal *wal, bool is_snapshot_new, struct err *err)
{
    wal->metadata.incarnation++;
    uint32_t hash = wal->hash;
    buf_clear(&wal->records);
    wal_put_metadata(&wal->records, &hash, &wal->metadata);
    if (is_snapshot_new) {
        wal_put_snapshot(&wal->records, &hash, &wal->snapshot);
    }
    if (!fits(wal, buf_size(&wal->records))) {
        return append(wal, NULL, 0, err); /* a new segment's head says all that */
    }
    const struct wal_place place = {.segment = last_segment(wal)->number, .offset = wal->offset};
    buf_clear(&wal->framed);
    wal_frame(&wal->framed, buf_bytes(&wal->records), place, wal->sequence + 1);
    int rc = write_framed(wal, err);
    if (rc == 0) {
        wal->hash = hash;
    }
    return rc;
}

static int resume(struct wal *wal, struct wal_replay *replay, const struct wal_options *options,
                  struct err *err)
{
    if (!replay->has_metadata) {
        return err_set(err, ERR_CORRUPT, "the log does not say whose it is");
    }
    int rc = check_identity(&replay->metadata, options, err);
    if (rc != 0) {
        return rc;
    }
    raft_index recorded = replay->snapshot.last.index;
    rc = wal_replay_finish(replay, options->durable_applied_index, options->installed, err);
    if (rc != 0) {
        return rc;
    }
    wal->metadata = replay->metadata;
    wal->hard_state = replay->hard_state;
    wal->snapshot = replay->snapshot;
    wal->last_index = wal_replay_last_index(replay);
    return begin_incarnation(wal, replay->snapshot.last.index != recorded, err);
}

static void hand_over(struct wal *wal, struct wal_replay *replay, bool is_new, uint64_t torn_bytes,
                      struct wal_recovered *ret)
{
    *ret = (struct wal_recovered){.metadata = wal->metadata,
                                  .hard_state = replay->hard_state,
                                  .snapshot = replay->snapshot,
                                  .entries = replay->entries,
                                  .entry_count = replay->entry_count,
                                  .is_new = is_new,
                                  .torn_bytes = torn_bytes};
    wal_replay_init(replay); /* the entries are the caller's now */
}

static int open_all(struct wal *wal, const struct wal_options *options, struct wal_replay *replay,
                    bool *ret_is_new, uint64_t *ret_torn_bytes, struct err *err)
{
    int rc = wal_recover(wal, replay, ret_torn_bytes, err);
    if (rc == ERR_NOT_FOUND) {
        if (options->durable_applied_index > 0) {
            return err_set(err, ERR_CORRUPT, "there is no log, but entry %llu was applied",
                           (unsigned long long)options->durable_applied_index);
        }
        *ret_is_new = true;
        return create(wal, options, err);
    }
    return rc != 0 ? rc : resume(wal, replay, options, err);
}

int wal_open(const struct wal_options *options, struct wal **ret_wal,
             struct wal_recovered *ret_recovered, struct err *err)
{
    struct err local;
    struct wal *wal = NULL;
    struct wal_replay replay;
    uint64_t torn_bytes = 0;
    bool is_new = false;
    err = err == NULL ? &local : err;
    int rc = new_wal(options, &wal, err);
    if (rc != 0) {
        return rc;
    }
    wal_replay_init(&replay);
    rc = open_all(wal, options, &replay, &is_new, &torn_bytes, err);
    if (rc == 0) {
        rc = wal_reserve(wal, err);
        rc = rc == ERR_NO_SPACE ? 0 : rc; /* wal_capacity() tells */
    }
    if (rc == 0) {
        hand_over(wal, &replay, is_new, torn_bytes, ret_recovered);
        *ret_wal = wal;
    } else {
        wal_close(wal);
    }
    wal_replay_deinit(&replay);
    return rc;
}

void wal_recovered_deinit(struct wal_recovered *recovered)
{
    for (uint32_t i = 0; i < recovered->entry_count; i++) {
        blob_unref(recovered->entries[i].data);
    }
    mem_free(recovered->entries);
    *recovered = (struct wal_recovered){.entries = NULL};
}

static void close_file(struct wal *wal, disk_file file)
{
    if (file != WAL_NO_FILE) {
        disk_close(wal->disk, file);
    }
}

void wal_close(struct wal *wal)
{
    if (wal == NULL) {
        return;
    }
    /* Only evidence against later damage is at stake: the log itself is durable. */
    int ignored = wal_settle(wal, NULL);
    (void)ignored;
    close_file(wal, wal->file);
    close_file(wal, wal->spare);
    close_file(wal, wal->slots);
    mem_free(wal->segments);
    buf_deinit(&wal->records);
    buf_deinit(&wal->framed);
    mem_free(wal);
}

/* ---- Housekeeping ---- */

int wal_release(struct wal *wal, raft_index index, struct err *err)
{
    int rc = wal_refuse_failed(wal, err);
    if (rc != 0) {
        return rc;
    }
    if (index > wal->snapshot.last.index) {
        index = wal->snapshot.last.index; /* a restart begins there */
    }
    while (rc == 0 && wal->segment_count > 1 && wal->segments[0].last_index <= index) {
        char name[WAL_NAME_SIZE];
        wal_segment_name(&wal->segments[0], name);
        rc = disk_unlink(wal->disk, name);
        /* One at a time: two unsynced removals may reach the disk in any order, and a younger
         * segment that is gone while an older one is there looks like a lost one. */
        if (rc == 0) {
            rc = disk_sync_directory(wal->disk);
        }
        if (rc == 0) {
            wal->segment_count--;
            memmove(wal->segments, wal->segments + 1, wal->segment_count * sizeof *wal->segments);
        }
    }
    return rc == 0 ? 0 : wal_fail(wal, rc, "release a segment", err);
}

int wal_settle(struct wal *wal, struct err *err)
{
    int rc = wal_refuse_failed(wal, err);
    if (rc != 0 || !wal->is_unsettled) {
        return rc;
    }
    rc = disk_sync(wal->disk, wal->slots);
    if (rc != 0) {
        return wal_fail(wal, rc, "sync the acknowledgement file", err);
    }
    wal->is_unsettled = false;
    return 0;
}

int wal_reserve(struct wal *wal, struct err *err)
{
    int rc = wal_refuse_failed(wal, err);
    return rc != 0 ? rc : wal_reserve_spare(wal, wal->segment_bytes, err);
}

struct wal_capacity wal_capacity(const struct wal *wal)
{
    const struct wal_segment *segment = last_segment(wal);
    uint64_t available = segment->size > wal->offset ? segment->size - wal->offset : 0;
    bool is_spare_ready = wal->spare != WAL_NO_FILE;
    if (is_spare_ready) {
        available += wal->spare_size - wal->alignment; /* its head */
    }
    return (struct wal_capacity){.available_bytes = available, .is_spare_ready = is_spare_ready};
}

struct wal_stats wal_stats(const struct wal *wal)
{
    struct wal_stats stats = {.segment_count = wal->segment_count,
                              .size_bytes = wal->spare_size,
                              .first_index = wal->segments[0].first_index,
                              .last_index = wal->last_index,
                              .written_bytes = wal->written_bytes,
                              .sync_count = wal->sync_count,
                              .write_ns = wal->write_ns,
                              .sync_ns = wal->sync_ns};
    for (uint32_t i = 0; i < wal->segment_count; i++) {
        stats.size_bytes += wal->segments[i].size;
    }
    return stats;
}
