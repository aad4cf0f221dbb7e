#include "base/arena.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "kvstore/watch/watch_hub.h"
#include "proto/arena_allocator.h"
#include "proto/rpc.pb-c.h"
#include "tests/sim/sim_history.h"

enum { WATCH_STEP_MAX_MS = 300, TAKE_BYTES = 2000 };

/* What one watch saw: an event, a jump to a revision (after a compaction, or because it asked for
 * the future), or the server's word that everything up to a revision was delivered. */
struct seen {
    int64_t revision;
    bool is_jump;
    bool is_progress;
    bool is_delete;
    uint64_t hash; /* of key and value */
};

struct sim_watch {
    struct sim *sim;
    struct watch_stream *stream; /* NULL: not connected */
    uint32_t member;
    int64_t next;      /* the first revision not seen */
    int64_t last_main; /* of the last event on this stream */
    struct seen *seen;
    size_t count;
    size_t capacity;
    bool is_broken; /* its stream ended: connect again */
};

struct sim_watches {
    struct sim *sim;
    struct sim_watch watch[SIM_WATCHES];
};

struct sim_watches *sim_watches_new(struct sim *sim)
{
    struct sim_watches *watches = mem_zalloc(sizeof *watches);
    watches->sim = sim;
    for (uint32_t i = 0; i < SIM_WATCHES; i++) {
        watches->watch[i] = (struct sim_watch){.sim = sim, .next = 1};
    }
    return watches;
}

void sim_watches_free(struct sim_watches *watches)
{
    for (uint32_t i = 0; i < SIM_WATCHES; i++) {
        mem_free(watches->watch[i].seen);
    }
    mem_free(watches);
}

static void note(struct sim_watch *watch, struct seen seen)
{
    if (watch->count == watch->capacity) {
        watch->capacity = watch->capacity == 0 ? 256 : watch->capacity * 2;
        watch->seen = mem_reallocarray(watch->seen, watch->capacity, sizeof *watch->seen);
    }
    watch->seen[watch->count++] = seen;
}

static uint64_t hash_of(struct bytes key, struct bytes value)
{
    return bytes_hash(key) * 31 + bytes_hash(value);
}

static void disconnect(struct sim_watch *watch)
{
    watch_stream_free(watch->stream);
    watch->stream = NULL;
}

static void ask_for_progress(struct sim_watch *watch)
{
    Etcdserverpb__WatchProgressRequest progress = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    struct arena arena = ARENA_INIT;
    int code = watch_stream_request(watch->stream, proto_encode(&request.base, &arena));
    CHECK(code == 0);
    arena_deinit(&arena);
}

static void connect(struct sim_watch *watch)
{
    struct sim *sim = watch->sim;
    static uint8_t zero = 0;
    uint32_t index = (uint32_t)prng_below(&sim->prng_client, sim->member_count);
    struct sim_member *member = &sim->members[index];
    if (member->epoch == 0 || member->is_paused) {
        return;
    }
    watch->member = index;
    watch->last_main = 0;
    int64_t now = sim_truth_revision(sim->truth);
    if (!sim->is_calm && watch->next <= now && prng_chance(&sim->prng_client, 1, 10)) {
        watch->next = now + (int64_t)prng_between(&sim->prng_client, 1, 30);
        note(watch, (struct seen){.revision = watch->next, .is_jump = true});
    }
    watch->stream = watch_stream_new(kv_watch_hub(node_kv(member->node)), watch);
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    create.key = (ProtobufCBinaryData){1, &zero};
    create.range_end = (ProtobufCBinaryData){1, &zero};
    create.start_revision = watch->next;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    struct arena arena = ARENA_INIT;
    int code = watch_stream_request(watch->stream, proto_encode(&request.base, &arena));
    CHECK(code == 0);
    arena_deinit(&arena);
    if (prng_chance(&sim->prng_client, 1, 2)) {
        ask_for_progress(watch); /* while it catches up there must be no answer */
    }
    sim_member_run(member);
}

static void take_response(struct sim_watch *watch, const Etcdserverpb__WatchResponse *response)
{
    if (response->n_events > 0 && response->events[0]->kv->mod_revision == watch->last_main) {
        sim_fail(watch->sim, SIM_CORRECTNESS, "revision %lld comes in two responses",
                 (long long)watch->last_main);
    }
    if (response->n_events == 0 && response->watch_id == -1) {
        note(watch, (struct seen){.revision = response->header->revision, .is_progress = true});
    }
    for (size_t i = 0; i < response->n_events; i++) {
        const Mvccpb__Event *event = response->events[i];
        note(watch, (struct seen){
                        .revision = event->kv->mod_revision,
                        .is_delete = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE,
                        .hash = hash_of(bytes_make(event->kv->key.data, event->kv->key.len),
                                        bytes_make(event->kv->value.data, event->kv->value.len))});
        watch->next = event->kv->mod_revision + 1;
        watch->last_main = event->kv->mod_revision;
    }
    if (response->canceled) {
        if (response->compact_revision > watch->next) { /* which itself is still there */
            watch->next = response->compact_revision;
            note(watch, (struct seen){.revision = watch->next, .is_jump = true});
        }
        watch->is_broken = true;
    }
}

static void pump(struct sim_watch *watch)
{
    struct buf out = BUF_INIT;
    (void)watch_stream_take(watch->stream, &out, TAKE_BYTES);
    struct bytes rest = buf_bytes(&out);
    struct bytes message;
    while (watch_take_next(&rest, &message)) {
        struct arena arena = ARENA_INIT;
        const Etcdserverpb__WatchResponse *response =
            (const void *)proto_decode(&etcdserverpb__watch_response__descriptor, message, &arena);
        CHECK(response != NULL);
        take_response(watch, response);
        arena_deinit(&arena);
    }
    buf_deinit(&out);
}

/* A reader that is sometimes slow: it reads at its own steps, not when there is something. */
void sim_watches_ready(void *watch)
{
    (void)watch;
}

void sim_watches_step(struct sim_watches *watches, uint32_t index)
{
    struct sim *sim = watches->sim;
    struct sim_watch *watch = &watches->watch[index];
    if (watch->stream != NULL && !sim->members[watch->member].is_paused) {
        pump(watch);
        if (prng_chance(&sim->prng_client, 1, 10)) {
            ask_for_progress(watch);
        }
        sim_member_run(&sim->members[watch->member]);
    }
    bool is_restless = !sim->is_calm && prng_chance(&sim->prng_client, 1, 40);
    if (watch->stream != NULL && (watch->is_broken || is_restless)) {
        disconnect(watch);
        watch->is_broken = false;
    }
    if (watch->stream == NULL) {
        connect(watch);
    }
    (void)sim_schedule(sim, prng_between(&sim->prng_client, 1, WATCH_STEP_MAX_MS) * 1000, SIM_WATCH,
                       index);
}

void sim_watches_member_gone(struct sim_watches *watches, uint32_t member)
{
    for (uint32_t i = 0; i < SIM_WATCHES; i++) {
        struct sim_watch *watch = &watches->watch[i];
        if (watch->stream != NULL && watch->member == member) {
            disconnect(watch);
            watch->is_broken = false;
        }
    }
}

bool sim_watches_reached(const struct sim_watches *watches, int64_t revision)
{
    for (uint32_t i = 0; i < SIM_WATCHES; i++) {
        if (watches->watch[i].next <= revision) {
            return false;
        }
    }
    return true;
}

static void check_watch(const struct sim_watch *watch, uint32_t index)
{
    const struct sim_truth *truth = watch->sim->truth;
    size_t position = 0;
    for (size_t i = 0; i < watch->count; i++) {
        const struct seen *seen = &watch->seen[i];
        if (seen->is_jump) {
            position = sim_truth_seek(truth, seen->revision);
            continue;
        }
        if (seen->is_progress) {
            if (position < sim_truth_seek(truth, seen->revision + 1)) {
                sim_fail(watch->sim, SIM_CORRECTNESS,
                         "watch %u is told of revision %lld before its events", index,
                         (long long)seen->revision);
                return;
            }
            continue;
        }
        if (position >= sim_truth_count(truth)) {
            sim_fail(watch->sim, SIM_CORRECTNESS, "watch %u saw a change that nobody made", index);
            return;
        }
        const struct sim_change *change = sim_truth_at(truth, position);
        if (change->revision != seen->revision || change->is_delete != seen->is_delete ||
            hash_of(blob_bytes(change->key), blob_bytes(change->value)) != seen->hash) {
            sim_fail(watch->sim, SIM_CORRECTNESS,
                     "watch %u saw revision %lld (event %zu) where %lld was due", index,
                     (long long)seen->revision, i, (long long)change->revision);
            return;
        }
        position += 1;
    }
    if (position != sim_truth_count(truth)) {
        sim_fail(watch->sim, SIM_CORRECTNESS, "watch %u missed the last changes", index);
    }
}

uint64_t sim_watches_check(struct sim_watches *watches)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < SIM_WATCHES; i++) {
        check_watch(&watches->watch[i], i);
        count += watches->watch[i].count;
    }
    return count;
}
