/* Leases: entries, the answers about them, and what the leader proposes for those that are due. */
#include "base/check.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/mvcc/meta_key.h"
#include "kvstore/state/kv_internal.h"

#define META_LEASE BYTES_LITERAL("lease/")

enum { META_SCAN = 64, REVOKE_MANY_FIELD_IDS = 1 };

static struct bytes meta_key(uint8_t *memory, int64_t id)
{
    return meta_key_make(memory, META_LEASE, (uint64_t)id);
}

/* leasepb.Lease: ID, TTL, RemainingTTL. */
static void store_lease(struct kv *kv, const struct lease *lease)
{
    uint8_t key[META_KEY_SIZE_MAX];
    struct buf value = BUF_INIT;
    pb_put_i64(&value, 1, lease_id(lease));
    pb_put_i64(&value, 2, lease_granted_ttl_s(lease));
    pb_put_i64(&value, 3, lease_checkpoint_s(lease));
    backend_batch_meta_put(mvcc_batch(kv->mvcc), meta_key(key, lease_id(lease)), buf_bytes(&value));
    buf_deinit(&value);
}

struct lease_fields {
    int64_t number[3]; /* fields 1 to 3 */
};

static int decode_fields(struct bytes message, struct lease_fields *ret_fields)
{
    struct lease_fields fields = {{0}};
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        uint64_t number = field.key >> 3;
        if ((field.key & 7) == PB_TYPE_VARINT && number >= 1 && number <= 3) {
            fields.number[number - 1] = (int64_t)field.value;
        }
    }
    *ret_fields = fields;
    return reader.failed ? ERR_MALFORMED : 0;
}

static int load_lease(struct kv *kv, const struct backend_meta *meta, struct err *err)
{
    struct lease_fields fields;
    bool is_key = meta->key.size == META_LEASE.size + META_ID_SIZE;
    int code = is_key ? decode_fields(meta->value, &fields) : ERR_MALFORMED;
    if (code == 0) {
        code = lessor_restore(kv->lessor, fields.number[0], fields.number[1], fields.number[2]);
    }
    return code == 0 ? 0 : err_set(err, ERR_CORRUPT, "a stored lease cannot be decoded");
}

int restore_leases(struct kv *kv, struct backend *backend, struct err *err)
{
    struct backend_meta found[META_SCAN];
    uint8_t last[META_KEY_SIZE_MAX];
    struct bytes after = {NULL, 0};
    uint32_t count = META_SCAN;
    while (count == META_SCAN) {
        int code = backend_meta_scan(backend, META_LEASE, after, found, META_SCAN, &count, err);
        for (uint32_t i = 0; code == 0 && i < count; i++) {
            code = load_lease(kv, &found[i], err);
        }
        if (code != 0) {
            return code;
        }
        if (count > 0) {
            struct bytes key = found[count - 1].key;
            CHECK(key.size <= sizeof last);
            memcpy(last, key.data, key.size);
            after = bytes_make(last, key.size);
        }
    }
    return 0;
}

/* --- entries --------------------------------------------------------------------------------- */

enum etcd_error apply_lease_grant(struct kv *kv, const struct kv_apply_context *context)
{
    struct lease_fields fields; /* LeaseGrantRequest: TTL, ID */
    if (decode_fields(context->request, &fields) != 0) {
        return ETCD_INVALID_ENTRY;
    }
    int64_t id = fields.number[1];
    switch (lessor_grant(kv->lessor, id, fields.number[0])) {
    case 0:
        break;
    case ERR_EXISTS:
        return ETCD_LEASE_EXISTS;
    case ERR_TOO_LARGE:
        return ETCD_LEASE_TTL_TOO_LARGE;
    default:
        return ETCD_LEASE_NOT_FOUND; /* id 0, which the proposer replaces */
    }
    const struct lease *lease = lessor_find(kv->lessor, id);
    store_lease(kv, lease);
    kv->stats.leases_granted += 1;
    if (context->reply != NULL) {
        reply_header(kv, context->reply, mvcc_revision(kv->mvcc));
        pb_put_i64(context->reply, 2, id);
        pb_put_i64(context->reply, 3, lease_granted_ttl_s(lease));
    }
    return ETCD_OK;
}

/* A lease's keys go in one revision, in key order: they are sorted, deleted and forgotten in
 * slices. True: this lease is gone. */
static bool revoke_step(struct kv *kv, struct lease *lease, uint32_t *items)
{
    struct revoke_run *run = &kv->job.revoke;
    if (run->phase == REVOKE_SORT) {
        if (!lease_sort_step(lease, items)) {
            return false;
        }
        run->phase = REVOKE_DELETE;
        run->position = 0;
        mvcc_begin(kv->mvcc);
    }
    if (run->phase == REVOKE_DELETE) {
        uint32_t count = 0;
        const struct bytes *keys = lease_keys_sorted(lease, &count);
        while (run->position < count) {
            if (!take_item(items)) {
                return false;
            }
            struct key_entry *entry = key_index_find(mvcc_index(kv->mvcc), keys[run->position++]);
            CHECK(entry != NULL && !entry->is_tombstone);
            mvcc_delete(kv->mvcc, entry); /* the claims go with the lease */
            kv->stats.deletes += 1;
        }
        end_transaction(kv);
        run->phase = REVOKE_FORGET;
    }
    if (!lessor_forget_keys(kv->lessor, lease, items)) {
        return false;
    }
    uint8_t key[META_KEY_SIZE_MAX];
    backend_batch_meta_delete(mvcc_batch(kv->mvcc), meta_key(key, lease_id(lease)));
    (void)lessor_remove(kv->lessor, lease_id(lease));
    kv->stats.leases_revoked += 1;
    return true;
}

/* The next id of the entry; 0: none. */
static int64_t next_id(struct revoke_run *run)
{
    struct pb_field field;
    while (!run->is_single && pb_next(&run->ids, &field)) {
        if (field.key == PB_VARINT(REVOKE_MANY_FIELD_IDS) && field.value != 0) {
            return (int64_t)field.value;
        }
    }
    return 0;
}

static bool step_revoke(struct kv *kv, uint32_t *items, enum etcd_error *error)
{
    struct revoke_run *run = &kv->job.revoke;
    (void)error;
    for (; run->id != 0; run->id = next_id(run)) {
        struct lease *lease = lessor_find(kv->lessor, run->id);
        if (lease != NULL && !revoke_step(kv, lease, items)) {
            return false;
        }
        run->phase = REVOKE_SORT; /* leases that somebody revoked meanwhile are passed over */
    }
    if (kv->job.context.reply != NULL) {
        reply_header(kv, kv->job.context.reply, mvcc_revision(kv->mvcc));
    }
    return true;
}

static void start_revoke(struct kv *kv, struct revoke_run run)
{
    kv->job.revoke = run;
    kv->job.step = step_revoke;
}

enum etcd_error apply_lease_revoke(struct kv *kv, const struct kv_apply_context *context)
{
    struct lease_fields fields; /* LeaseRevokeRequest: ID */
    if (decode_fields(context->request, &fields) != 0) {
        return ETCD_INVALID_ENTRY;
    }
    if (lessor_find(kv->lessor, fields.number[0]) == NULL) {
        return ETCD_LEASE_NOT_FOUND;
    }
    start_revoke(kv, (struct revoke_run){.is_single = true, .id = fields.number[0]});
    return ETCD_OK;
}

enum etcd_error apply_lease_revoke_many(struct kv *kv, const struct kv_apply_context *context)
{
    struct pb_reader check = pb_reader_make(context->request);
    struct pb_field field;
    while (pb_next(&check, &field)) {
    }
    if (check.failed) {
        return ETCD_INVALID_ENTRY;
    }
    struct revoke_run run = {.ids = pb_reader_make(context->request)};
    run.id = next_id(&run);
    start_revoke(kv, run);
    return ETCD_OK;
}

/* LeaseCheckpointRequest: repeated LeaseCheckpoint{ID, remaining_TTL}. */
enum etcd_error apply_lease_checkpoint(struct kv *kv, const struct kv_apply_context *context)
{
    struct pb_reader reader = pb_reader_make(context->request);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        struct lease_fields fields;
        if (field.key != PB_BYTES(1) || decode_fields(field.bytes, &fields) != 0) {
            continue;
        }
        struct lease *lease = lessor_find(kv->lessor, fields.number[0]);
        if (lease != NULL) {
            lease_set_checkpoint(lease, fields.number[1]);
            store_lease(kv, lease);
        }
    }
    if (context->reply != NULL) {
        reply_header(kv, context->reply, mvcc_revision(kv->mvcc));
    }
    return ETCD_OK;
}

/* --- the proposer ---------------------------------------------------------------------------- */

enum etcd_error kv_prepare_lease_grant(struct kv *kv, struct bytes request, int64_t fresh_id,
                                       int64_t min_ttl_s, struct buf *out)
{
    CHECK(fresh_id > 0);
    struct lease_fields fields;
    if (decode_fields(request, &fields) != 0) {
        return ETCD_INVALID_REQUEST;
    }
    int64_t ttl_s = fields.number[0];
    int64_t id = fields.number[1];
    if (ttl_s > LEASE_TTL_MAX_S) {
        return ETCD_LEASE_TTL_TOO_LARGE;
    }
    if (id == 0) {
        /* The caller's random number, or the next free one. */
        for (id = fresh_id; lessor_find(kv->lessor, id) != NULL;) {
            id = id == INT64_MAX ? 1 : id + 1;
        }
    } else if (lessor_find(kv->lessor, id) != NULL) {
        return ETCD_LEASE_EXISTS;
    }
    pb_put_i64(out, 1, ttl_s < min_ttl_s ? min_ttl_s : ttl_s);
    pb_put_i64(out, 2, id);
    return ETCD_OK;
}

uint32_t kv_prepare_expired(struct kv *kv, uint64_t now_ms, uint32_t leases_max, uint32_t keys_max,
                            uint64_t retry_ms, struct buf *out)
{
    uint32_t leases = 0;
    uint64_t keys = 0;
    while (leases < leases_max && (leases == 0 || keys < keys_max)) {
        const struct lease *lease = lessor_take_expired(kv->lessor, now_ms, retry_ms);
        if (lease == NULL) {
            break;
        }
        pb_put_i64(out, REVOKE_MANY_FIELD_IDS, lease_id(lease));
        keys += lease_key_count(lease);
        leases += 1;
    }
    return leases;
}

/* --- answers --------------------------------------------------------------------------------- */

void kv_lease_list(struct kv *kv, struct kv_result *result)
{
    uint32_t count = lessor_count(kv->lessor);
    int64_t *ids = mem_reallocarray(NULL, count == 0 ? 1 : count, sizeof *ids);
    lessor_ids(kv->lessor, ids);
    result->status = ETCD_OK;
    reply_header(kv, &result->reply, mvcc_revision(kv->mvcc));
    for (uint32_t i = 0; i < count; i++) {
        pb_put_message_head(&result->reply, 2, pb_u64_size(1, (uint64_t)ids[i]));
        pb_put_i64(&result->reply, 1, ids[i]);
    }
    mem_free(ids);
}

void kv_lease_remaining(struct kv *kv, struct bytes request, uint64_t now_ms,
                        struct kv_result *result)
{
    struct lease_fields fields; /* LeaseTimeToLiveRequest: ID, keys */
    if (decode_fields(request, &fields) != 0) {
        result->status = ETCD_INVALID_REQUEST;
        return;
    }
    int64_t id = fields.number[0];
    struct lease *lease = lessor_find(kv->lessor, id);
    struct buf *out = &result->reply;
    result->status = ETCD_OK;
    reply_header(kv, out, mvcc_revision(kv->mvcc));
    pb_put_i64(out, 2, id);
    if (lease == NULL) {
        pb_put_i64(out, 3, -1);
        return;
    }
    int64_t remaining_s = lessor_remaining_s(kv->lessor, id, now_ms);
    if (remaining_s == INT64_MIN) {
        buf_clear(out);
        result->status = ETCD_NOT_LEADER;
        return;
    }
    pb_put_i64(out, 3, remaining_s < 0 ? 0 : remaining_s);
    pb_put_i64(out, 4, lease_granted_ttl_s(lease));
    if (fields.number[1] != 0) {
        uint32_t count = 0;
        const struct bytes *keys = lease_keys_sorted(lease, &count);
        for (uint32_t i = 0; i < count; i++) {
            pb_put_message(out, 5, keys[i]);
        }
    }
}

void kv_lease_keep_alive(struct kv *kv, struct bytes request, uint64_t now_ms,
                         struct kv_result *result)
{
    struct lease_fields fields; /* LeaseKeepAliveRequest: ID */
    if (decode_fields(request, &fields) != 0) {
        result->status = ETCD_INVALID_REQUEST;
        return;
    }
    result->status = ETCD_OK;
    reply_header(kv, &result->reply, mvcc_revision(kv->mvcc));
    pb_put_i64(&result->reply, 2, fields.number[0]);
    int64_t ttl_s = lessor_renew(kv->lessor, fields.number[0], now_ms);
    kv->stats.leases_renewed += ttl_s > 0;
    pb_put_i64(&result->reply, 3, ttl_s);
}
