#include <stdio.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/watch/watch_hub.h"
#include "proto/arena_allocator.h"
#include "proto/rpc.pb-c.h"
#include "tests/sim/sim.h"

enum {
    OVERLAP_REVISIONS = 20,
    LEASES = 16
}; /* a restarted member shows the end of its history again */

struct sim_truth {
    struct sim *sim;
    struct sim_change *changes;
    size_t count;
    size_t capacity;
    struct u64_map entries;   /* index -> hash of the entry that was applied there */
    struct u64_map leaders;   /* term -> member + 1 */
    struct bytes_map written; /* key=value -> anything: values are unique */
    struct {
        uint64_t since_us; /* the last grant or renewal that somebody may count on; 0: none */
        uint64_t ttl_s;
        uint64_t jumped_us; /* by then */
    } lease[LEASES];
};

struct sim_truth *sim_truth_new(struct sim *sim)
{
    struct sim_truth *truth = mem_zalloc(sizeof *truth);
    truth->sim = sim;
    u64_map_init(&truth->entries);
    u64_map_init(&truth->leaders);
    bytes_map_init(&truth->written);
    return truth;
}

void sim_truth_free(struct sim_truth *truth)
{
    for (size_t i = 0; i < truth->count; i++) {
        blob_unref(truth->changes[i].key);
        blob_unref(truth->changes[i].value);
    }
    mem_free(truth->changes);
    u64_map_deinit(&truth->entries);
    u64_map_deinit(&truth->leaders);
    bytes_map_deinit(&truth->written);
    mem_free(truth);
}

/* --- leases: never early ---------------------------------------------------------------------- */

static void lease_granted(struct sim_truth *truth, struct bytes request)
{
    struct arena arena = ARENA_INIT;
    const Etcdserverpb__LeaseGrantRequest *grant =
        (const void *)proto_decode(&etcdserverpb__lease_grant_request__descriptor, request, &arena);
    CHECK(grant != NULL && grant->id > 0 && grant->id < LEASES);
    if (truth->lease[grant->id].since_us == 0) { /* else it is refused: the lease exists */
        truth->lease[grant->id].since_us = truth->sim->now_us;
        truth->lease[grant->id].ttl_s = (uint64_t)grant->ttl;
        truth->lease[grant->id].jumped_us = truth->sim->jumped_us;
    }
    arena_deinit(&arena);
}

static void leases_expired(struct sim_truth *truth, struct bytes request)
{
    struct pb_reader reader = pb_reader_make(request);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        CHECK(field.value < LEASES);
        uint64_t since_us = truth->lease[field.value].since_us;
        /* The node knows milliseconds, and believes its clock when that jumps. */
        uint64_t jumped_us = truth->sim->jumped_us - truth->lease[field.value].jumped_us;
        if (since_us != 0 && truth->sim->now_us + jumped_us + 1000 <
                                 since_us + truth->lease[field.value].ttl_s * 1000000) {
            sim_fail(truth->sim, SIM_CORRECTNESS, "lease %llu ends %llu us after its renewal",
                     (unsigned long long)field.value,
                     (unsigned long long)(truth->sim->now_us - since_us));
        }
        truth->lease[field.value].since_us = 0;
    }
}

void sim_truth_renewed(struct sim_truth *truth, int64_t lease, uint64_t asked_us,
                       uint64_t asked_jumped_us)
{
    CHECK(lease > 0 && lease < LEASES);
    if (truth->lease[lease].since_us != 0 && truth->lease[lease].since_us < asked_us) {
        truth->lease[lease].since_us = asked_us;
        truth->lease[lease].jumped_us = asked_jumped_us;
    }
}

static void follow_leases(struct sim_truth *truth, const struct raft_entry *entry)
{
    struct kv_entry_header header;
    enum kv_op op;
    struct bytes request;
    if (entry->type != RAFT_ENTRY_COMMAND ||
        kv_entry_decode(blob_bytes(entry->data), &header, &op, &request) != 0) {
        return;
    }
    if (op == KV_OP_LEASE_GRANT) {
        lease_granted(truth, request);
    } else if (op == KV_OP_LEASE_REVOKE_MANY) {
        leases_expired(truth, request);
    }
}

/* State machine safety: no two members apply different entries at one index. */
void sim_truth_applied(struct sim_truth *truth, uint32_t member, const struct raft_entry *entry)
{
    uint64_t hash =
        bytes_hash(blob_bytes(entry->data)) ^ (entry->at.term << 8) ^ (uint64_t)entry->type;
    void *value = (void *)(uintptr_t)(hash | 1);
    void *before = u64_map_find(&truth->entries, entry->at.index);
    if (before != NULL && before != value) {
        sim_fail(truth->sim, SIM_CORRECTNESS, "member %u applies another entry at index %llu",
                 member, (unsigned long long)entry->at.index);
    }
    (void)u64_map_set(&truth->entries, entry->at.index, value);
    if (before == NULL) {
        truth->sim->result->changes += entry->type == RAFT_ENTRY_CONFIG;
        follow_leases(truth, entry);
    }
}

/* Election safety: at most one leader a term. */
void sim_truth_role(struct sim_truth *truth, uint32_t member, enum raft_role role, raft_term term)
{
    if (role != RAFT_LEADER) {
        return;
    }
    void *before = u64_map_set(&truth->leaders, term, (void *)(uintptr_t)(member + 1));
    if (before != NULL && before != (void *)(uintptr_t)(member + 1)) {
        sim_fail(truth->sim, SIM_CORRECTNESS, "two leaders in term %llu", (unsigned long long)term);
    }
}

int64_t sim_truth_revision(const struct sim_truth *truth)
{
    return truth->count == 0 ? 1 : truth->changes[truth->count - 1].revision;
}

size_t sim_truth_count(const struct sim_truth *truth)
{
    return truth->count;
}

const struct sim_change *sim_truth_at(const struct sim_truth *truth, size_t position)
{
    CHECK(position < truth->count);
    return &truth->changes[position];
}

size_t sim_truth_seek(const struct sim_truth *truth, int64_t revision)
{
    size_t low = 0;
    size_t high = truth->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (truth->changes[middle].revision < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct blob *sim_truth_value(const struct sim_truth *truth, struct bytes key,
                                   int64_t revision, int64_t *ret_mod)
{
    size_t end = sim_truth_seek(truth, revision + 1);
    while (end > 0) {
        const struct sim_change *change = &truth->changes[--end];
        if (bytes_equal(blob_bytes(change->key), key)) {
            *ret_mod = change->is_delete ? 0 : change->revision;
            return change->is_delete ? NULL : change->value;
        }
    }
    *ret_mod = 0;
    return NULL;
}

int64_t sim_truth_find(const struct sim_truth *truth, struct bytes key, struct bytes value)
{
    for (size_t i = 0; i < truth->count; i++) {
        const struct sim_change *change = &truth->changes[i];
        if (!change->is_delete && bytes_equal(blob_bytes(change->key), key) &&
            bytes_equal(blob_bytes(change->value), value)) {
            return change->revision;
        }
    }
    return 0;
}

static bool same(const struct sim_change *change, const Mvccpb__Event *event)
{
    bool is_delete = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    return change->is_delete == is_delete &&
           bytes_equal(blob_bytes(change->key),
                       bytes_make(event->kv->key.data, event->kv->key.len)) &&
           bytes_equal(blob_bytes(change->value),
                       bytes_make(event->kv->value.data, event->kv->value.len));
}

static void check_new(struct sim_truth *truth, const Mvccpb__Event *event)
{
    int64_t last = sim_truth_revision(truth);
    if (event->kv->mod_revision > last + 1) {
        sim_fail(truth->sim, SIM_CORRECTNESS, "revision %lld follows %lld",
                 (long long)event->kv->mod_revision, (long long)last);
    }
    if (event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
        return;
    }
    char text[64];
    (void)snprintf(text, sizeof text, "%.*s=%.*s", (int)event->kv->key.len,
                   (const char *)event->kv->key.data, (int)event->kv->value.len,
                   (const char *)event->kv->value.data);
    if (bytes_map_set(&truth->written, bytes_from_text(text), truth) != NULL) {
        sim_fail(truth->sim, SIM_CORRECTNESS, "%s is put twice, at revision %lld", text,
                 (long long)event->kv->mod_revision);
    }
}

static void append(struct sim_truth *truth, const Mvccpb__Event *event)
{
    check_new(truth, event);
    if (truth->count == truth->capacity) {
        truth->capacity = truth->capacity == 0 ? 1024 : truth->capacity * 2;
        truth->changes = mem_reallocarray(truth->changes, truth->capacity, sizeof *truth->changes);
    }
    uint32_t sub = 0;
    if (truth->count > 0 && truth->changes[truth->count - 1].revision == event->kv->mod_revision) {
        sub = truth->changes[truth->count - 1].sub + 1;
    }
    truth->changes[truth->count++] =
        (struct sim_change){.revision = event->kv->mod_revision,
                            .sub = sub,
                            .is_delete = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE,
                            .key = blob_new_copy(event->kv->key.data, event->kv->key.len),
                            .value = blob_new_copy(event->kv->value.data, event->kv->value.len)};
}

/* Events of one response of a member's recorder: new ones extend the truth, known ones must agree.
 */
static void take_events(struct sim_truth *truth, const struct sim_member *member,
                        const Etcdserverpb__WatchResponse *response)
{
    size_t known = 0;
    int64_t revision = 0;
    for (size_t i = 0; i < response->n_events; i++) {
        const Mvccpb__Event *event = response->events[i];
        if (event->kv->mod_revision != revision) {
            revision = event->kv->mod_revision;
            known = sim_truth_seek(truth, revision);
        }
        if (known < truth->count && truth->changes[known].revision == revision) {
            if (!same(&truth->changes[known], event)) {
                sim_fail(truth->sim, SIM_CORRECTNESS,
                         "member %u has another change at revision %lld", member->index,
                         (long long)revision);
                return;
            }
            known += 1;
        } else if (revision >= sim_truth_revision(truth)) {
            append(truth, event);
            known = truth->count;
        }
    }
}

static void start_recorder(struct sim_truth *truth, struct sim_member *member)
{
    static uint8_t zero = 0;
    member->recorder = watch_stream_new(kv_watch_hub(node_kv(member->node)), member);
    int64_t from = sim_truth_revision(truth) - OVERLAP_REVISIONS;
    int64_t compacted = kv_compact_revision(node_kv(member->node));
    from = from <= compacted ? compacted + 1 : from;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    create.key = (ProtobufCBinaryData){1, &zero};
    create.range_end = (ProtobufCBinaryData){1, &zero};
    create.start_revision = from < 1 ? 1 : from;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    struct arena arena = ARENA_INIT;
    int code = watch_stream_request(member->recorder, proto_encode(&request.base, &arena));
    CHECK(code == 0);
    arena_deinit(&arena);
}

void sim_truth_record(struct sim_truth *truth, struct sim_member *member)
{
    if (member->recorder == NULL) {
        start_recorder(truth, member);
        return;
    }
    struct buf out = BUF_INIT;
    bool is_cancelled = false;
    while (watch_stream_has_output(member->recorder)) {
        (void)watch_stream_take(member->recorder, &out, 64 << 10);
    }
    struct bytes rest = buf_bytes(&out);
    struct bytes message;
    while (watch_take_next(&rest, &message)) {
        struct arena arena = ARENA_INIT;
        const Etcdserverpb__WatchResponse *response =
            (const void *)proto_decode(&etcdserverpb__watch_response__descriptor, message, &arena);
        CHECK(response != NULL);
        take_events(truth, member, response);
        is_cancelled = is_cancelled || response->canceled;
        arena_deinit(&arena);
    }
    buf_deinit(&out);
    if (is_cancelled) { /* compacted below it */
        watch_stream_free(member->recorder);
        member->recorder = NULL;
        start_recorder(truth, member);
    }
}
