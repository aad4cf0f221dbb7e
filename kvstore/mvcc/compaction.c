/* Physical compaction: one scan over the revisions since the last compaction, not over all keys.
 *
 * A revision in the scan that is not the newest of its key at the compact revision goes away, and
 * so does what the key had before it: the one survivor of earlier compactions. Tombstones never
 * survive. Nothing else can have become unreadable. */
#include "base/check.h"
#include "kvstore/mvcc/mvcc_internal.h"

enum { SCAN_RECORDS = 256 };

void mvcc_compact(struct mvcc *mvcc, int64_t revision)
{
    CHECK(revision > mvcc->compact_revision && revision <= mvcc->revision);
    struct revision again = {mvcc->compact_revision, 0};
    if (revision_compare(mvcc->compact_cursor, again) > 0) {
        mvcc->compact_cursor = again;
    }
    mvcc->compact_revision = revision;
    mvcc_meta_put_i64(mvcc_batch(mvcc), MVCC_META_COMPACT, revision);
}

static void remove_record(struct mvcc *mvcc, struct revision at)
{
    backend_batch_delete(mvcc_batch(mvcc), (struct backend_revision){(uint64_t)at.main, at.sub});
    mvcc->removed_count += 1;
}

static int compact_record(struct mvcc *mvcc, const struct backend_record *scanned)
{
    struct key_value record;
    if (key_value_decode(scanned->value, &record) != 0) {
        return mvcc_fail_record(mvcc, scanned->revision);
    }
    struct revision at = {(int64_t)scanned->revision.main, scanned->revision.sub};
    struct key_entry *entry = key_index_find(mvcc->index, record.key);
    struct key_past past;
    if (entry != NULL && key_entry_before(entry, at, &past)) {
        remove_record(mvcc, (struct revision){past.main, past.sub});
    }
    if (entry == NULL || !key_entry_survives(entry, at, mvcc->compact_revision)) {
        remove_record(mvcc, at);
    }
    if (entry != NULL) {
        key_index_compact(mvcc->index, entry, mvcc->compact_revision);
    }
    return 0;
}

static void finish_scan(struct mvcc *mvcc)
{
    if (mvcc->compacted_scanned == mvcc->compact_revision) {
        return;
    }
    mvcc->compacted_scanned = mvcc->compact_revision;
    mvcc_meta_put_i64(mvcc_batch(mvcc), MVCC_META_COMPACTED, mvcc->compact_revision);
    mvcc->compacted_sequence = mvcc->next_sequence;
}

bool mvcc_compact_step(struct mvcc *mvcc, uint32_t items)
{
    if (mvcc->compacted_scanned == mvcc->compact_revision || mvcc->failure.code != 0) {
        return false;
    }
    struct revision end = {mvcc->compact_revision + 1, 0};
    uint32_t done = 0;
    while (items == 0 || done < items) {
        struct backend_record records[SCAN_RECORDS];
        uint32_t capacity =
            items == 0 || items - done > SCAN_RECORDS ? (uint32_t)SCAN_RECORDS : items - done;
        uint32_t count = 0;
        if (mvcc_scan(mvcc, mvcc->compact_cursor, end, records, capacity, &count) != 0) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (compact_record(mvcc, &records[i]) != 0) {
                return false;
            }
        }
        if (count == 0) {
            mvcc->compact_cursor = end;
            finish_scan(mvcc);
            return false;
        }
        struct revision last = {(int64_t)records[count - 1].revision.main,
                                records[count - 1].revision.sub};
        mvcc->compact_cursor = (struct revision){last.main, last.sub + 1};
        done += count;
    }
    return true;
}
