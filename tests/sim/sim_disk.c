/* The disks of a member: its log, its store, and what goes wrong with them. */
#include <errno.h>

#include "base/check.h"
#include "base/mem.h"
#include "kvstore/backend/memory.h"
#include "raft/wal/disk_memory.h"
#include "tests/sim/sim.h"

enum {
    SYNC_MAX_MS = 1500,
    RETRY_US = 50000,    /* a full disk is tried again, as the disk threads do */
    LOG_LOW_BYTES = 8192 /* below it writes are refused: the disk is nearly full */
};

static void queue(struct sim_member *member, struct list *list, struct sim_batch batch,
                  enum sim_event_type type)
{
    struct sim *sim = member->sim;
    struct sim_batch *queued = mem_dup(&batch, sizeof batch);
    list_push_back(list, &queued->link);
    uint64_t most = sim->is_calm ? 2 : sim->dials.disk_max_ms;
    struct sim_event *event =
        sim_schedule(sim, prng_between(&sim->prng_disk, 50, most * 1000 + 50), type, member->index);
    event->epoch = member->epoch;
}

void sim_disk_persist(void *context, const struct node_persist *batch)
{
    struct sim_member *member = context;
    member->last_sequence = batch->sequence;
    struct wal_batch *wal = wal_batch_new(batch->sequence, batch->hard_state, batch->snapshot,
                                          batch->entries, batch->entry_count);
    queue(member, &member->persists, (struct sim_batch){.wal = wal, .sequence = batch->sequence},
          SIM_PERSIST);
}

void sim_disk_compact_log(void *context, const struct raft_snapshot_meta *meta)
{
    struct sim_member *member = context;
    struct wal_batch *wal = wal_batch_new(member->last_sequence, NULL, meta, NULL, 0);
    queue(member, &member->persists, (struct sim_batch){.wal = wal}, SIM_PERSIST);
}

void sim_disk_store(void *context, struct backend_batch *batch)
{
    struct sim_member *member = context;
    queue(member, &member->stores,
          (struct sim_batch){.store = batch, .sequence = backend_batch_sequence(batch)}, SIM_STORE);
}

static struct sim_batch *first(const struct list *batches)
{
    return list_is_empty(batches) ? NULL : container_of(batches->next, struct sim_batch, link);
}

static void drop(struct sim_batch *batch)
{
    list_remove(&batch->link);
    wal_batch_free(batch->wal);
    backend_batch_free(batch->store);
    mem_free(batch);
}

static void again(struct sim_member *member, enum sim_event_type type)
{
    struct sim_event *event = sim_schedule(member->sim, RETRY_US, type, member->index);
    event->epoch = member->epoch;
}

/* As the server's core: writes of clients are refused while either disk is full. */
static void tell_full(struct sim_member *member)
{
    node_set_disk_full(member->node, member->is_log_low || member->is_store_full);
}

/* After the answer, as the log's thread: the next segment is reserved while nobody waits for it. */
static void look_at_capacity(struct sim_member *member)
{
    struct err err = {0};
    int code = wal_capacity(member->wal).is_spare_ready ? 0 : wal_reserve(member->wal, &err);
    if (code != 0 && code != ERR_NO_SPACE) {
        sim_fail(member->sim, SIM_CORRECTNESS, "the log reserves nothing: %s", err.text);
    }
    struct wal_capacity capacity = wal_capacity(member->wal);
    member->is_log_low = capacity.available_bytes < LOG_LOW_BYTES && !capacity.is_spare_ready;
    tell_full(member);
}

void sim_disk_on_persist(struct sim_member *member)
{
    struct sim_batch *batch = first(&member->persists);
    struct err err = {0};
    CHECK(batch != NULL);
    int code = wal_append(member->wal, &batch->wal, 1, &err);
    if (code == ERR_NO_SPACE && member->sim->space_ends_us[member->index] != 0) {
        member->is_log_low = true;
        member->sim->result->full += 1;
        tell_full(member);
        again(member, SIM_PERSIST);
        return;
    }
    if (code != 0) {
        sim_fail(member->sim, SIM_CORRECTNESS, "the log refuses: %s", err.text);
    } else if (batch->sequence != 0) {
        node_on_persisted(member->node, sim_member_now(member), batch->sequence);
        look_at_capacity(member);
    } else if (wal_release(member->wal, UINT64_MAX, &err) != 0) {
        sim_fail(member->sim, SIM_CORRECTNESS, "the log does not release: %s", err.text);
    }
    drop(batch);
}

bool sim_disk_on_store(struct sim_member *member)
{
    struct sim_batch *batch = first(&member->stores);
    struct err err = {0};
    if (batch == NULL) {
        return true; /* an installed snapshot hurried it */
    }
    bool is_full = member->sim->space_ends_us[member->index] != 0;
    backend_memory_fail_next(member->backend, is_full ? ERR_NO_SPACE : 0);
    int code = backend_commit(member->backend, &batch->store, 1, &err);
    member->is_store_full = is_full;
    tell_full(member);
    if (is_full) {
        CHECK(code == ERR_NO_SPACE);
        member->sim->result->full += 1;
        return false;
    }
    if (code != 0) {
        sim_fail(member->sim, SIM_CORRECTNESS, "the store refuses: %s", err.text);
    } else {
        node_on_stored(member->node, sim_member_now(member), batch->sequence);
    }
    drop(batch);
    return true;
}

void sim_disk_retry_store(struct sim_member *member)
{
    again(member, SIM_STORE);
}

void sim_disk_schedule_sync(struct sim_member *member)
{
    struct sim *sim = member->sim;
    struct sim_event *event = sim_schedule(
        sim, prng_between(&sim->prng_disk, 1, SYNC_MAX_MS) * 1000, SIM_SYNC, member->index);
    event->epoch = member->epoch;
}

void sim_disk_on_sync(struct sim_member *member)
{
    struct backend_position durable;
    struct err err = {0};
    if (backend_sync(member->backend, &durable, &err) == 0) {
        node_on_durable(member->node, sim_member_now(member), durable.index);
    }
    sim_disk_schedule_sync(member);
}

void sim_disk_forget(struct sim_member *member)
{
    while (first(&member->persists) != NULL) {
        drop(first(&member->persists));
    }
    while (first(&member->stores) != NULL) {
        drop(first(&member->stores));
    }
    member->is_log_low = false;
    member->is_store_full = false;
}

/* --- what goes wrong ------------------------------------------------------------------------- */

struct power_cut {
    uint64_t calls_left;
};

static int cut_power(void *context, enum disk_call call, uint64_t number)
{
    struct power_cut *cut = context;
    (void)call;
    (void)number;
    if (cut->calls_left > 0) {
        cut->calls_left -= 1;
        return 0;
    }
    return -EIO; /* this call is half done, and nothing after it happens */
}

void sim_disk_tear(struct sim_member *member)
{
    enum { CALLS_MAX = 6 }; /* of an append: a write and a sync, with a new segment some more */
    struct sim_batch *batch = first(&member->persists);
    if (batch == NULL) {
        return;
    }
    struct power_cut cut = {.calls_left = prng_below(&member->sim->prng_fault, CALLS_MAX)};
    struct err err = {0};
    disk_memory_set_hook(member->disk, cut_power, &cut);
    int code = wal_append(member->wal, &batch->wal, 1, &err);
    member->sim->result->torn += code != 0;
    sim_trace(member->sim, (uint64_t)code); /* nobody else is left to hear how it went */
    disk_memory_set_hook(member->disk, NULL, NULL);
}

void sim_disk_fill(struct sim_member *member, uint64_t for_us)
{
    struct sim *sim = member->sim;
    if (sim->space_ends_us[member->index] != 0) {
        return;
    }
    disk_memory_set_capacity(member->disk, 1); /* no file may grow */
    sim->space_ends_us[member->index] = sim->now_us + for_us;
    (void)sim_schedule(sim, for_us, SIM_SPACE, member->index);
}

void sim_disk_free_space(struct sim_member *member)
{
    if (member->disk != NULL) {
        disk_memory_set_capacity(member->disk, 0);
    }
    member->sim->space_ends_us[member->index] = 0;
}
