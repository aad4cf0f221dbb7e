/* The hash of what a compaction is about to take away: computed over the revisions up to it, before
 * anything is removed, against the compaction before. Members compact at the same revisions, so
 * these hashes can be compared at leisure, however far each has removed by then. */
#include <string.h>

#include "base/check.h"
#include "base/pb.h"
#include "kvstore/state/read_internal.h"

void compact_hash_add(struct kv *kv, int64_t before, int64_t revision)
{
    struct compact_hashes *hashes = &kv->compact_hashes;
    if (hashes->waiting_count == COMPACT_HASHES_WAITING_MAX) {
        return; /* compacted faster than hashed: this one goes without */
    }
    hashes->waiting[hashes->waiting_count++] =
        (struct kv_kept_hash){.revision = revision, .compact_revision = before};
}

static void drop_job(struct compact_hashes *hashes)
{
    kv_read_free(hashes->job);
    hashes->job = NULL;
}

void compact_hash_clear(struct kv *kv)
{
    drop_job(&kv->compact_hashes);
    kv->compact_hashes.waiting_count = 0;
    kv->compact_hashes.kept_count = 0;
}

static void keep(struct compact_hashes *hashes, struct kv_kept_hash hash)
{
    if (hashes->kept_count == COMPACT_HASHES_MAX) {
        hashes->kept_count -= 1;
        memmove(hashes->kept, hashes->kept + 1, hashes->kept_count * sizeof hashes->kept[0]);
    }
    hashes->kept[hashes->kept_count++] = hash;
}

bool compact_hash_step(struct kv *kv, struct kv_budget budget)
{
    struct compact_hashes *hashes = &kv->compact_hashes;
    if (hashes->waiting_count == 0 || mvcc_failure(kv->mvcc) != 0) {
        return false;
    }
    struct kv_kept_hash *first = &hashes->waiting[0];
    if (hashes->job == NULL) {
        hashes->job = kv_read_new(kv, KV_OP_HASH_KV, (struct bytes){NULL, 0});
        read_pin_hash(hashes->job, first->revision, first->compact_revision);
    }
    enum etcd_error error = ETCD_OK;
    struct buf reply = BUF_INIT;
    if (read_step_hash(hashes->job, budget, &reply, &error) == KV_READ_DONE) {
        first->hash = hashes->job->crc;
        if (error == ETCD_OK) {
            keep(hashes, *first);
        }
        drop_job(hashes);
        hashes->waiting_count -= 1;
        memmove(hashes->waiting, hashes->waiting + 1,
                hashes->waiting_count * sizeof hashes->waiting[0]);
    }
    buf_deinit(&reply);
    return true;
}

uint32_t kv_kept_hashes(const struct kv *kv, struct kv_kept_hash *ret_hashes, uint32_t max)
{
    const struct compact_hashes *hashes = &kv->compact_hashes;
    uint32_t count = hashes->kept_count < max ? hashes->kept_count : max;
    for (uint32_t i = 0; i < count; i++) {
        ret_hashes[i] = hashes->kept[hashes->kept_count - 1 - i];
    }
    return count;
}

enum kv_kept_state kv_kept_hash(struct kv *kv, struct bytes request, struct kv_result *result)
{
    const struct compact_hashes *hashes = &kv->compact_hashes;
    int64_t revision = 0;
    struct pb_reader reader = pb_reader_make(request);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            revision = (int64_t)field.value;
        }
    }
    if (reader.failed || revision <= 0) {
        return KV_KEPT_NONE;
    }
    for (uint32_t i = 0; i < hashes->waiting_count; i++) {
        if (hashes->waiting[i].revision == revision) {
            return KV_KEPT_SOON;
        }
    }
    for (uint32_t i = 0; i < hashes->kept_count; i++) {
        const struct kv_kept_hash *kept = &hashes->kept[i];
        if (kept->revision == revision) {
            result->status = ETCD_OK;
            reply_hash(kv, kept, &result->reply);
            return KV_KEPT_HERE;
        }
    }
    return KV_KEPT_NONE;
}
