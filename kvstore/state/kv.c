#include "kvstore/state/kv.h"

#include "base/check.h"
#include "base/mem.h"
#include "kvstore/mvcc/planted.h"
#include "kvstore/state/kv_internal.h"
#include "kvstore/watch/watch_feed.h"

enum { QUOTA_DEFAULT_MIB = 2048 };

struct kv *kv_new(const struct kv_options *options)
{
    struct kv *kv = mem_zalloc(sizeof *kv);
    kv->options = *options;
    if (kv->options.txn_ops_max == 0) {
        kv->options.txn_ops_max = KV_TXN_OPS_MAX_DEFAULT;
    }
    if (kv->options.request_bytes_max == 0) {
        kv->options.request_bytes_max = KV_REQUEST_BYTES_MAX_DEFAULT;
    }
    if (kv->options.quota_bytes == 0) {
        kv->options.quota_bytes = (int64_t)QUOTA_DEFAULT_MIB << 20;
    }
    kv->mvcc = mvcc_new(options->backend);
    kv->lessor = lessor_new();
    kv->hub = watch_hub_new(kv->mvcc);
    kv->cluster = cluster_new();
    kv->auth = auth_new();
    arena_init(&kv->auth_arena);
    watch_hub_set_identity(kv->hub, options->cluster_id, options->member_id);
    arena_init(&kv->check_arena);
    arena_init(&kv->arena);
    buf_init(&kv->scratch);
    return kv;
}

static void drop_job(struct kv *kv)
{
    if (kv->job.is_open) {
        buf_deinit(&kv->job.delete_run.previous);
        kv->job.is_open = false;
        kv->job.step = NULL;
    }
}

void kv_free(struct kv *kv)
{
    if (kv == NULL) {
        return;
    }
    drop_job(kv);
    compact_hash_clear(kv);
    watch_hub_free(kv->hub);
    lessor_free(kv->lessor);
    cluster_free(kv->cluster);
    auth_free(kv->auth);
    arena_deinit(&kv->auth_arena);
    mvcc_free(kv->mvcc);
    arena_deinit(&kv->check_arena);
    arena_deinit(&kv->arena);
    buf_deinit(&kv->scratch);
    mem_free(kv);
}

void kv_look_at_size(struct kv *kv)
{
    struct backend_stats stats;
    backend_stats(kv->options.backend, &stats);
    kv->db_size_bytes = stats.size_bytes;
}

static void attach_lease(void *context, int64_t lease, struct bytes key)
{
    struct kv *kv = context;
    lessor_attach(kv->lessor, lease, key);
}

int kv_restore(struct kv *kv, struct backend *backend, struct err *err)
{
    int64_t old_revision = mvcc_revision(kv->mvcc);
    drop_job(kv);
    kv->options.backend = backend;
    compact_hash_clear(kv);
    lessor_clear(kv->lessor);
    int code = restore_leases(kv, backend, err);
    code = code != 0 ? code : mvcc_restore(kv->mvcc, backend, attach_lease, kv, err);
    code = code != 0 ? code : restore_alarms(kv, backend, err);
    code = code != 0 ? code : cluster_restore(kv->cluster, backend, err);
    code = code != 0 ? code : auth_restore(kv->auth, backend, err);
    if (code != 0) {
        return code;
    }
    struct backend_position applied = backend_applied(backend);
    kv->applied = (struct kv_position){applied.index, applied.term};
    kv->stored = kv->applied;
    kv->taken_count = 0;
    kv_look_at_size(kv);
    watch_hub_replaced(kv->hub, old_revision);
    return 0;
}

void kv_set_term(struct kv *kv, uint64_t raft_term)
{
    kv->raft_term = raft_term;
    watch_hub_set_term(kv->hub, raft_term);
}

struct kv_position kv_applied(const struct kv *kv)
{
    return kv->applied;
}

int64_t kv_revision(const struct kv *kv)
{
    return mvcc_revision(kv->mvcc);
}

int64_t kv_compact_revision(const struct kv *kv)
{
    return mvcc_compact_revision(kv->mvcc);
}

uint64_t kv_cluster_id(const struct kv *kv)
{
    return kv->options.cluster_id;
}

uint64_t kv_member_id(const struct kv *kv)
{
    return kv->options.member_id;
}

int kv_failure(const struct kv *kv, struct err *err)
{
    if (err != NULL && mvcc_failure(kv->mvcc) != 0) {
        *err = *mvcc_failure_detail(kv->mvcc);
    }
    return mvcc_failure(kv->mvcc);
}

struct auth *kv_auth(struct kv *kv)
{
    return kv->auth;
}

enum etcd_error kv_authorize(struct kv *kv, const struct auth_caller *caller, int rpc,
                             struct bytes request)
{
    return auth_authorize(kv->auth, kv->lessor, &kv->auth_arena, caller, (enum auth_rpc)rpc,
                          request);
}

struct lessor *kv_lessor(struct kv *kv)
{
    return kv->lessor;
}

struct watch_hub *kv_watch_hub(struct kv *kv)
{
    return kv->hub;
}

struct cluster *kv_cluster(struct kv *kv)
{
    return kv->cluster;
}

void kv_add_initial_member(struct kv *kv, const struct cluster_member *member)
{
    CHECK(kv->applied.index == 0);
    cluster_add_initial(kv->cluster, member, mvcc_batch(kv->mvcc));
}

/* --- storing --------------------------------------------------------------------------------- */

struct backend_batch *kv_take_batch(struct kv *kv, uint64_t *ret_sequence)
{
    const uint32_t room = sizeof kv->taken / sizeof kv->taken[0];
    if (kv->taken_count == room) {
        return NULL; /* the backend is far behind: let the batch grow */
    }
    struct backend_batch *batch = mvcc_take_batch(kv->mvcc, ret_sequence);
    if (batch == NULL) {
        return NULL;
    }
    backend_batch_set_applied(batch,
                              (struct backend_position){kv->applied.index, kv->applied.term});
    if (PLANTED(36)) { /* the applied index follows in a later transaction */
        backend_batch_set_applied(batch, backend_applied(kv->options.backend));
    }
    kv->taken[kv->taken_count].sequence = *ret_sequence;
    kv->taken[kv->taken_count].position = kv->applied;
    kv->taken_count += 1;
    return batch;
}

uint64_t kv_unstored_bytes(const struct kv *kv)
{
    return mvcc_batch_bytes(kv->mvcc);
}

int kv_on_stored(struct kv *kv, uint64_t sequence, struct err *err)
{
    int code = backend_renew(kv->options.backend, err);
    if (code != 0) {
        return code;
    }
    mvcc_on_stored(kv->mvcc, sequence);
    uint32_t done = 0;
    while (done < kv->taken_count && kv->taken[done].sequence <= sequence) {
        kv->stored = kv->taken[done].position;
        done += 1;
    }
    kv->taken_count -= done;
    memmove(kv->taken, kv->taken + done, kv->taken_count * sizeof kv->taken[0]);
    kv_look_at_size(kv);
    return 0;
}

struct kv_position kv_stored(const struct kv *kv)
{
    return kv->stored;
}

/* --- background work ------------------------------------------------------------------------- */

bool kv_step(struct kv *kv, struct kv_budget budget)
{
    bool catching_up = watch_hub_step(kv->hub, budget.items);
    bool compacting = compact_hash_step(kv, budget) || mvcc_compact_step(kv->mvcc, budget.items);
    return catching_up || compacting;
}

int64_t kv_compacted(const struct kv *kv)
{
    return mvcc_compacted(kv->mvcc);
}

/* --- facts ----------------------------------------------------------------------------------- */

void kv_stats(const struct kv *kv, struct kv_stats *ret_stats)
{
    *ret_stats = kv->stats;
    ret_stats->compacted_revisions = mvcc_removed_count(kv->mvcc);
    ret_stats->keys = key_index_live(mvcc_index(kv->mvcc));
    ret_stats->pending_count = mvcc_pending_count(kv->mvcc);
    ret_stats->pending_bytes = mvcc_pending_bytes(kv->mvcc);
    ret_stats->leases = lessor_count(kv->lessor);
    ret_stats->index_bytes = key_index_bytes(mvcc_index(kv->mvcc));
}

void kv_check(const struct kv *kv)
{
    mvcc_check(kv->mvcc);
    lessor_check(kv->lessor);
    watch_hub_check(kv->hub);
    CHECK(kv->stored.index <= kv->applied.index);
}
