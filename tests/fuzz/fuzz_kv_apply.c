/* Entries of any content, applied by two members that differ in everything that may differ: who
 * builds replies, when batches are stored, how far compaction and watchers are. They must agree in
 * revision, hash and invariants, and so must a third one that restarts from the first one's store.
 *
 * Input: records of one byte length, one byte action, then that many bytes. */
#include <string.h>

#include "base/check.h"
#include "base/pb.h"
#include "kvstore/backend/memory.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/state/kv.h"
#include "kvstore/watch/watch_hub.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS_MAX = 64 };

struct member {
    struct backend *backend;
    struct kv *kv;
    struct watch_stream *stream;
    struct kv_result result;
};

static void open_member(struct member *member)
{
    struct err err;
    memset(member, 0, sizeof *member);
    member->backend = backend_memory_new();
    member->kv =
        kv_new(&(struct kv_options){.backend = member->backend, .cluster_id = 1, .member_id = 2});
    CHECK(kv_restore(member->kv, member->backend, &err) == 0);
    member->stream = watch_stream_new(kv_watch_hub(member->kv), member);
}

static void close_member(struct member *member)
{
    kv_check(member->kv);
    watch_stream_free(member->stream);
    kv_free(member->kv);
    backend_close(member->backend);
    kv_result_deinit(&member->result);
}

static void store(struct member *member)
{
    uint64_t sequence;
    struct err err;
    struct backend_batch *batch = kv_take_batch(member->kv, &sequence);
    if (batch != NULL) {
        CHECK(backend_commit(member->backend, &batch, 1, &err) == 0);
        backend_batch_free(batch);
        CHECK(kv_on_stored(member->kv, sequence, &err) == 0);
    }
}

static uint32_t hash_of(struct member *member, uint32_t slice)
{
    kv_result_clear(&member->result);
    struct kv_read *read = kv_read_new(member->kv, KV_OP_HASH_KV, (struct bytes){NULL, 0});
    while (kv_read_step(read, (struct kv_budget){.items = slice}, &member->result) ==
           KV_READ_MORE) {
    }
    kv_read_free(read);
    CHECK(member->result.status == ETCD_OK);
    struct pb_reader reader = pb_reader_make(buf_bytes(&member->result.reply));
    struct pb_field field;
    uint32_t hash = 0;
    while (pb_next(&reader, &field)) {
        hash = field.key == PB_VARINT(2) ? (uint32_t)field.value : hash;
    }
    return hash;
}

static void apply(struct member *first, struct member *second, uint64_t index, struct bytes entry)
{
    struct kv_position at = {index, 1};
    kv_result_clear(&first->result);
    kv_apply(first->kv, at, entry, &first->result);
    CHECK(first->result.status == ETCD_OK || buf_size(&first->result.reply) == 0);
    struct pb_reader reader = pb_reader_make(buf_bytes(&first->result.reply));
    struct pb_field field;
    while (pb_next(&reader, &field)) {
    }
    CHECK(!reader.failed); /* a reply is a message */
    kv_apply(second->kv, at, entry, NULL);
}

/* A request that no log has seen: it may be refused, never believed. */
static void ask(struct member *member, uint8_t action, struct bytes request)
{
    static const enum kv_op OPS[] = {KV_OP_RANGE,      KV_OP_PUT,          KV_OP_DELETE_RANGE,
                                     KV_OP_TXN,        KV_OP_RANGE_STREAM, KV_OP_HASH_KV,
                                     KV_OP_LEASE_GRANT};
    enum kv_op op = OPS[action % (sizeof OPS / sizeof OPS[0])];
    bool serializable;
    (void)kv_check_request(member->kv, op, request, &member->result);
    bool is_read = op == KV_OP_RANGE || op == KV_OP_RANGE_STREAM || op == KV_OP_HASH_KV ||
                   (op == KV_OP_TXN && kv_txn_is_read_only(request, &serializable));
    if (!is_read) {
        return;
    }
    struct kv_read *read = kv_read_new(member->kv, op, request);
    enum kv_read_state state = KV_READ_MORE;
    while (state != KV_READ_DONE) {
        kv_result_clear(&member->result);
        state = kv_read_step(read, (struct kv_budget){.items = 1 + action % 3U}, &member->result);
    }
    kv_read_free(read);
}

static void act(struct member *first, struct member *second, uint64_t *index, uint8_t action,
                struct bytes bytes)
{
    struct buf out = BUF_INIT;
    switch (action >> 5) {
    case 0:
    case 1:
    case 2:
        apply(first, second, ++*index, bytes);
        break;
    case 3:
        ask(first, action, bytes);
        break;
    case 4:
        (void)watch_stream_request(first->stream, bytes);
        break;
    case 5:
        (void)watch_stream_take(first->stream, &out, action);
        break;
    case 6:
        store(first);
        (void)kv_step(first->kv, (struct kv_budget){.items = 1 + action % 8U});
        break;
    default:
        store(second);
        (void)kv_step(second->kv, (struct kv_budget){.items = 1 + action % 8U});
        break;
    }
    buf_deinit(&out);
}

static void compare(struct member *first, struct member *second)
{
    CHECK(kv_failure(first->kv, NULL) == 0 && kv_failure(second->kv, NULL) == 0);
    CHECK(kv_revision(first->kv) == kv_revision(second->kv));
    CHECK(kv_compact_revision(first->kv) == kv_compact_revision(second->kv));
    CHECK(lessor_count(kv_lessor(first->kv)) == lessor_count(kv_lessor(second->kv)));
    CHECK(hash_of(first, 1) == hash_of(second, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct member first;
    struct member second;
    uint64_t index = 0;
    open_member(&first);
    open_member(&second);
    for (unsigned records = 0; size >= 2 && records < RECORDS_MAX; records++) {
        size_t length = data[0] < size - 2 ? data[0] : size - 2;
        act(&first, &second, &index, data[1], bytes_make(data + 2, length));
        data += 2 + length;
        size -= 2 + length;
    }
    compare(&first, &second);
    store(&first);
    struct err err;
    uint32_t hash = hash_of(&first, 0);
    CHECK(kv_restore(first.kv, first.backend, &err) == 0);
    CHECK(hash_of(&first, 0) == hash);
    compare(&first, &second);
    close_member(&first);
    close_member(&second);
    return 0;
}
