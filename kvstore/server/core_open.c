#include <libgen.h>
#include <openssl/rand.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/data_dir.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "base/mem.h"
#include "kvstore/backend/lmdb.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/node/lone_start.h"
#include "kvstore/node/start.h"
#include "kvstore/server/core_internal.h"

enum {
    APPEND_BYTES_MAX = 1 << 20,
    INFLIGHT_BYTES_MAX = 16 << 20,
    UNCOMMITTED_BYTES_MAX = 64 << 20,
    LOG_BYTES_MAX = 512 << 20,
    STORE_SYNC_INTERVAL_MS = 2000,
    STORE_SYNC_BYTES = 64 << 20,
    STORE_BATCH_INTERVAL_MS = 20
};

static uint64_t random_u64(void)
{
    uint64_t value = 0;
    int ok = RAND_bytes((unsigned char *)&value, sizeof value);
    CHECK(ok == 1); /* a member without randomness would collide with others' ids */
    return value;
}

/* Everything between the lock and the running threads, freed in reverse on any error. */
struct opening {
    struct core *core;
    struct wal *wal;
    struct wal_recovered recovered;
    bool has_recovered;
};

/* Inside the data directory, or where --wal-dir says, as long as what is above it exists. */
static int make_wal_dir(const char *wal_dir, const char *member, struct err *err)
{
    if (wal_dir == NULL) {
        return data_dir_make(member, "wal", err);
    }
    CLEANUP(free) char *parent = mem_strdup(wal_dir);
    CLEANUP(free) char *name = mem_strdup(wal_dir);
    return data_dir_make(dirname(parent), basename(name), err);
}

static int make_directories(struct core *core, char **ret_wal, char **ret_store, struct err *err)
{
    const struct core_options *options = &core->options;
    int code = data_dir_open(options->data_dir, &core->data_dir_fd, err);
    if (code != 0) {
        return code;
    }
    CLEANUP(free) char *member = mem_printf("%s/member", options->data_dir);
    code = data_dir_make(options->data_dir, "member", err);
    code = code != 0 ? code : make_wal_dir(options->wal_dir, member, err);
    code = code != 0 ? code : data_dir_make(member, "store", err);
    if (code != 0) {
        return code;
    }
    code = log_id_open(member, options->is_new, &core->log_id, err);
    code = code != 0 ? code : peer_registry_open(member, &core->registry, err);
    if (code != 0) {
        return code;
    }
    *ret_wal =
        options->wal_dir != NULL ? mem_strdup(options->wal_dir) : mem_printf("%s/wal", member);
    *ret_store = mem_printf("%s/store", member);
    return 0;
}

static int open_store(struct core *core, const char *directory, struct err *err)
{
    const struct backend_lmdb_options options = {
        .directory = directory,
        .is_unsafe_no_sync = core->options.is_unsafe_no_sync,
        .renew_wanted = core_renew_wanted,
        .context = core,
    };
    return backend_lmdb_open(&options, &core->backend, err);
}

static int open_log(struct opening *opening, const char *directory,
                    const struct raft_snapshot_meta *installed, struct err *err)
{
    struct core *core = opening->core;
    const struct disk_real_options disk_options = {.is_unsafe_no_sync =
                                                       core->options.is_unsafe_no_sync};
    int code = disk_real_open(directory, &disk_options, &core->disk, err);
    if (code != 0) {
        return code;
    }
    const struct wal_options options = {
        .disk = core->disk,
        .is_created = core->options.is_new,
        .cluster_id = core->options.cluster_id,
        .member_id = core->options.member_id,
        .durable_applied_index = backend_applied(core->backend).index,
        .installed = installed->last.index > 0 ? installed : NULL,
        .clock_ns = clock_monotonic_ns,
    };
    code = wal_open(&options, &opening->wal, &opening->recovered, err);
    if (code != 0) {
        return code;
    }
    opening->has_recovered = true;
    const struct wal_recovered *recovered = &opening->recovered;
    core->cluster_id = recovered->metadata.cluster_id;
    core->member_id = recovered->metadata.member_id;
    core->is_first_start = recovered->is_new;
    core->incarnation = recovered->metadata.incarnation;
    if (recovered->torn_bytes > 0) {
        log_warn("cut off a write that never finished", LOG_U64("bytes", recovered->torn_bytes));
    }
    log_info("opened the log", LOG_ID("cluster-id", core->cluster_id),
             LOG_ID("member-id", core->member_id), LOG_U64("entries", recovered->entry_count),
             LOG_U64("commit", recovered->hard_state.commit),
             LOG_U64("applied", backend_applied(core->backend).index));
    return 0;
}

static int start_threads(struct opening *opening, struct err *err)
{
    struct core *core = opening->core;
    const struct wal_thread_options wal_options = {.wake = core_wake_from_thread, .context = core};
    int code = wal_thread_start(TAKE_PTR(opening->wal), &wal_options, &core->wal_thread, err);
    if (code != 0) {
        return code;
    }
    const struct backend_thread_options backend_options = {
        .batch_interval_ms = STORE_BATCH_INTERVAL_MS,
        .sync_bytes_max = STORE_SYNC_BYTES,
        .sync_interval_ms = STORE_SYNC_INTERVAL_MS,
        .wake = core_wake_from_thread,
        .context = core,
    };
    return backend_thread_start(core->backend, &backend_options, &core->backend_thread, err);
}

/* The entries that remove everybody else go into the log before the node is made. */
static int drop_other_members(struct opening *opening, struct raft_restored *restored,
                              struct err *err)
{
    struct wal_recovered *recovered = &opening->recovered;
    struct lone_start start;
    int code = lone_start_make(restored, opening->core->member_id, &start);
    if (code != 0) {
        return err_set(err, ERR_INVALID,
                       "--force-new-cluster: the data is not of a member of its cluster");
    }
    struct wal_batch *batch = wal_batch_new(0, &start.hard_state, NULL, start.entries, start.count);
    code = start.count == 0 ? 0 : wal_append(opening->wal, &batch, 1, err);
    wal_batch_free(batch);
    if (code != 0) {
        lone_start_deinit(&start);
        return code;
    }
    uint32_t count = recovered->entry_count + start.count;
    recovered->entries =
        mem_reallocarray(recovered->entries, count + 1U, sizeof recovered->entries[0]);
    for (uint32_t i = 0; i < start.count; i++) {
        recovered->entries[recovered->entry_count++] = start.entries[i]; /* with their data */
    }
    log_warn("forced a new cluster of this member alone", LOG_U64("removed", start.count));
    restored->hard_state = start.hard_state;
    restored->entries = recovered->entries;
    restored->entry_count = count;
    return raft_restored_check(restored, err);
}

static int start_node(struct opening *opening, const struct raft_snapshot_meta *installed,
                      bool *ret_is_log, struct err *err)
{
    struct core *core = opening->core;
    const struct core_options *options = &core->options;
    const struct wal_recovered *recovered = &opening->recovered;
    struct raft_restored restored = {
        .hard_state = recovered->hard_state,
        .snapshot = recovered->snapshot,
        .entries = recovered->entries,
        .entry_count = recovered->entry_count,
    };
    start_restore(&restored, installed, backend_applied(core->backend));
    int code = raft_restored_check(&restored, err);
    if (code == 0 && options->is_forced_alone && !core->is_first_start) {
        code = drop_other_members(opening, &restored, err);
    }
    if (code != 0) {
        return code;
    }
    const struct node_options node_options = {
        .raft = {.id = core->member_id,
                 .seed = random_u64(),
                 .election_timeout_ms = options->election_timeout_ms,
                 .heartbeat_interval_ms = options->heartbeat_interval_ms,
                 .append_bytes_max = APPEND_BYTES_MAX,
                 .inflight_bytes_max = INFLIGHT_BYTES_MAX,
                 .uncommitted_bytes_max = UNCOMMITTED_BYTES_MAX,
                 .log_bytes_max = LOG_BYTES_MAX},
        .kv = {.backend = core->backend,
               .cluster_id = core->cluster_id,
               .member_id = core->member_id,
               .txn_ops_max = options->txn_ops_max,
               .request_bytes_max = options->request_bytes_max,
               .quota_bytes = options->quota_bytes},
        .io = core_node_io(core),
        /* 16 bits of the member and 48 of the start, so that ids never meet again. */
        .request_id_base = (core->member_id << 48) | ((uint64_t)clock_realtime_ms() << 20 >> 16),
        .catchup_entries = options->catchup_entries,
        .compact_entries = options->compact_entries,
        .max_learners = options->max_learners,
        .strict_reconfig_check = options->strict_reconfig_check,
        .version = options->version,
    };
    *ret_is_log = false; /* what can fail from here on is reading the store */
    return node_new(&node_options, &restored, uv_now(options->loop), &core->node, err);
}

static int seed_store(struct core *core, struct raft_snapshot_meta *installed, struct err *err)
{
    const struct bootstrap *initial = core->options.initial;
    struct cluster_member members[CONFIG_MEMBERS_MAX] = {0};
    for (unsigned i = 0; i < initial->member_count; i++) {
        const struct bootstrap_member *from = &initial->members[i];
        members[i].id = from->id;
        members[i].name = mem_strdup(from->name);
        for (unsigned j = 0; j < from->peer_urls.count; j++) {
            members[i].peer_urls.url[j] = mem_strdup(from->peer_urls.url[j].text);
        }
        members[i].peer_urls.count = from->peer_urls.count;
    }
    int code = start_seed(core->backend, members, initial->member_count, installed, err);
    for (unsigned i = 0; i < initial->member_count; i++) {
        cluster_member_deinit(&members[i]);
    }
    return code;
}

/* Nothing was ever applied or logged: a first start, or one that died before it was complete. */
static bool is_empty(const struct opening *opening)
{
    const struct wal_recovered *recovered = &opening->recovered;
    return recovered->snapshot.last.index == 0 && recovered->entry_count == 0 &&
           backend_applied(opening->core->backend).index == 0;
}

/* The store first, then the log's record of it: wal_options.installed covers a crash in between. */
static int seed(struct opening *opening, struct raft_snapshot_meta *installed, struct err *err)
{
    struct wal_recovered *recovered = &opening->recovered;
    int code = seed_store(opening->core, installed, err);
    if (code != 0) {
        return code;
    }
    recovered->snapshot = *installed;
    recovered->hard_state =
        (struct raft_hard_state){.term = installed->last.term, .commit = installed->last.index};
    struct wal_batch *batch =
        wal_batch_new(0, &recovered->hard_state, &recovered->snapshot, NULL, 0);
    code = wal_append(opening->wal, &batch, 1, err);
    wal_batch_free(batch);
    return code;
}

static int open_all(struct opening *opening, int *ret_exit_code, struct err *err)
{
    struct core *core = opening->core;
    CLEANUP(free) char *wal_directory = NULL;
    CLEANUP(free) char *store_directory = NULL;
    struct raft_snapshot_meta installed = {0};
    bool is_log = true;
    int code = make_directories(core, &wal_directory, &store_directory, err);
    if (code == 0) {
        is_log = false;
        code = open_store(core, store_directory, err);
    }
    code = code != 0 ? code : start_read_installed(core->backend, &installed, err);
    if (code == 0) {
        is_log = true;
        code = open_log(opening, wal_directory, &installed, err);
    }
    if (code == 0 && is_empty(opening) && core->options.initial != NULL) {
        code = seed(opening, &installed, err);
    }
    code = code != 0 ? code
                     : start_check_identity(core->backend, core->cluster_id, core->member_id, err);
    code = code != 0 ? code : start_node(opening, &installed, &is_log, err);
    code = code != 0 ? code : start_threads(opening, err);
    if (code != 0) {
        *ret_exit_code = exit_code_from_error(code, is_log);
    }
    return code;
}

int core_open(const struct core_options *options, struct core **ret_core, int *ret_exit_code,
              struct err *err)
{
    struct core *core = mem_zalloc(sizeof *core);
    core->options = *options;
    core->data_dir_fd = -1;
    core->apply_time = metric_get(options->metrics, METRIC_APPLY, "v3,Batch,true");
    list_init(&core->inbox);
    list_init(&core->store_waiters);
    core_start_loop(core);
    struct opening opening = {.core = core};
    int code = open_all(&opening, ret_exit_code, err);
    if (opening.has_recovered) {
        wal_recovered_deinit(&opening.recovered);
    }
    wal_close(opening.wal);
    if (code != 0) {
        core_close(core);
        return code;
    }
    *ret_core = core;
    return 0;
}

static void free_after_close(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void core_close(struct core *core)
{
    backend_thread_stop(core->backend_thread);
    wal_thread_stop(core->wal_thread);
    node_free(core->node);
    backend_close(core->backend);
    disk_real_close(core->disk);
    peer_registry_close(core->registry);
    if (core->data_dir_fd >= 0) {
        data_dir_close(core->data_dir_fd);
    }
    core_stop_loop(core, free_after_close);
}
