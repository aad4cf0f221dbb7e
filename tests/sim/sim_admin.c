/* The operator: adds learners and voters, promotes, removes, moves the leader, at random members
 * and at bad moments; starts machines for members that the cluster knows and switches off the
 * removed ones. */
#include <stdio.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "kvstore/cluster/cluster.h"
#include "proto/arena_allocator.h"
#include "proto/membership.pb-c.h"
#include "proto/rpc.pb-c.h"
#include "raft/members.h"
#include "tests/sim/sim_check.h"

enum { STEP_MS = 500, GRACE_MS = 10000 };

static const uint64_t admin_token = UINT64_C(1) << 63;

bool sim_admin_owns(uint64_t token)
{
    return (token & admin_token) != 0;
}

/* What the operator is told, the member that told it knows. */
void sim_admin_reply(struct sim_member *member, uint64_t token, enum etcd_error status)
{
    enum node_method method = (enum node_method)(token >> 32 & 0xff);
    uint64_t id = sim_member_id((uint32_t)(token >> 40 & 0xff));
    if (status != ETCD_OK) {
        return;
    }
    const struct cluster *cluster = kv_cluster(node_kv(member->node));
    const struct cluster_member *found = cluster_find(cluster, id);
    bool is_removed = cluster_is_removed(cluster, id);
    bool is_known = method == NODE_MEMBER_ADD       ? found != NULL || is_removed
                    : method == NODE_MEMBER_PROMOTE ? is_removed || (found && !found->is_learner)
                    : method == NODE_MEMBER_REMOVE  ? is_removed
                                                    : true;
    if (!is_known) {
        sim_fail(member->sim, SIM_CORRECTNESS, "member %u answers (method %d) before it knows",
                 member->index, (int)method);
    }
}

struct sim_member *sim_newest(struct sim *sim)
{
    struct sim_member *best = NULL;
    for (uint32_t i = 0; i < sim->member_count; i++) {
        struct sim_member *member = &sim->members[i];
        if (member->epoch != 0 &&
            (best == NULL || node_applied(member->node) > node_applied(best->node))) {
            best = member;
        }
    }
    return best;
}

bool sim_is_member(struct sim *sim, uint32_t index)
{
    struct sim_member *newest = sim_newest(sim);
    return newest != NULL && !sim->members[index].is_removed &&
           cluster_find(kv_cluster(node_kv(newest->node)), sim_member_id(index)) != NULL;
}

/* In somebody's log: an operator may start the machine together with his request. */
static bool is_expected(struct sim *sim, uint32_t index)
{
    for (uint32_t i = 0; i < sim->member_count; i++) {
        const struct sim_member *member = &sim->members[i];
        if (member->epoch != 0 && i != index) { /* its own log may be a dead end */
            struct raft_status status;
            node_get_status(member->node, &status);
            struct raft_members members = node_members_at(member->node, status.last.index);
            if (raft_members_find(&members, sim_member_id(index)) != NULL) {
                return true;
            }
        }
    }
    return false;
}

static void welcome(struct sim *sim)
{
    uint32_t index = sim->member_count;
    if (index < SIM_MEMBERS_MAX && is_expected(sim, index)) {
        sim->member_count += 1;
        sim_member_init(sim, index);
        sim_member_start(&sim->members[index]);
    }
}

static void switch_off(struct sim *sim)
{
    struct sim_member *newest = sim_newest(sim);
    if (newest == NULL) {
        return;
    }
    const struct cluster *cluster = kv_cluster(node_kv(newest->node));
    bool is_late = sim->is_calm && sim->now_us > sim->calm_since_us + GRACE_MS * UINT64_C(1000);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        struct sim_member *member = &sim->members[i];
        bool is_gone = cluster_is_removed(cluster, sim_member_id(i));
        bool is_forgotten = is_late && !sim_is_member(sim, i) && !is_expected(sim, i);
        bool is_due = sim->is_calm || prng_chance(&sim->prng_admin, 1, 10);
        if (!member->is_removed && member != newest && (is_gone || is_forgotten) && is_due) {
            sim_member_retire(member);
        }
    }
}

static uint64_t draw_member(struct sim *sim, bool wants_learner)
{
    const struct cluster *cluster = kv_cluster(node_kv(sim_newest(sim)->node));
    uint64_t candidates[CLUSTER_MEMBERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < cluster_count(cluster); i++) {
        if (!wants_learner || cluster_at(cluster, i)->is_learner) {
            candidates[count++] = cluster_at(cluster, i)->id;
        }
    }
    return count == 0 ? 0 : candidates[prng_below(&sim->prng_admin, count)];
}

static struct bytes encode_add(struct sim *sim, bool is_learner, struct arena *arena)
{
    char url[64];
    char *urls[] = {url};
    Etcdserverpb__MemberAddRequest add = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", 1000 + sim->member_count);
    add.n_peerurls = 1;
    add.peerurls = urls;
    add.islearner = is_learner;
    return proto_encode(&add.base, arena);
}

static struct bytes encode_id(enum node_method method, uint64_t id, struct arena *arena)
{
    if (method == NODE_MOVE_LEADER) {
        Etcdserverpb__MoveLeaderRequest move = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
        move.targetid = id;
        return proto_encode(&move.base, arena);
    }
    Etcdserverpb__MemberRemoveRequest remove = ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
    remove.id = id; /* MemberPromoteRequest has the same shape */
    return proto_encode(&remove.base, arena);
}

static void submit(struct sim *sim, enum node_method method, uint64_t about, struct bytes body)
{
    uint64_t detail = (about - sim_member_id(0)) << 40 | (uint64_t)method << 32;
    struct sim_member *member = &sim->members[prng_below(&sim->prng_admin, sim->member_count)];
    if (member->epoch == 0 || member->is_paused) {
        return;
    }
    const struct node_request request = {.token = admin_token | detail | sim->admin_requests++,
                                         .method = method,
                                         .body = body,
                                         .fresh_id = sim_member_id(sim->member_count)};
    node_submit(member->node, sim_member_now(member), &request);
    sim_member_run(member);
}

/* A member that the cluster knows without a name says who it is, as a server does when it starts.
 */
static void publish(struct sim *sim, uint32_t index)
{
    struct sim_member *member = &sim->members[index];
    if (member->epoch == 0 || member->is_paused) {
        return;
    }
    const struct cluster_member *self =
        cluster_find(kv_cluster(node_kv(member->node)), sim_member_id(index));
    if (self == NULL || self->name[0] != 0) {
        return;
    }
    struct arena arena = ARENA_INIT;
    Membershippb__Attributes attributes;
    membershippb__attributes__init(&attributes);
    Membershippb__ClusterMemberAttrSetRequest set =
        MEMBERSHIPPB__CLUSTER_MEMBER_ATTR_SET_REQUEST__INIT;
    attributes.name = arena_printf(&arena, "m%u", index);
    set.member_id = sim_member_id(index);
    set.member_attributes = &attributes;
    const struct node_request request = {
        .token = admin_token | (uint64_t)NODE_MEMBER_ATTR_SET << 32 | sim->admin_requests++,
        .method = NODE_MEMBER_ATTR_SET,
        .body = proto_encode(&set.base, &arena),
        .is_internal = true};
    node_submit(member->node, sim_member_now(member), &request);
    sim_member_run(member);
    arena_deinit(&arena);
}

static void change(struct sim *sim)
{
    struct arena arena = ARENA_INIT;
    uint64_t dice = prng_below(&sim->prng_admin, 10);
    enum node_method method = dice < 3   ? NODE_MEMBER_ADD
                              : dice < 6 ? NODE_MEMBER_PROMOTE
                              : dice < 8 ? NODE_MEMBER_REMOVE
                                         : NODE_MOVE_LEADER;
    if (method == NODE_MEMBER_ADD) {
        if (sim->member_count < SIM_MEMBERS_MAX) {
            submit(sim, method, sim_member_id(sim->member_count),
                   encode_add(sim, prng_chance(&sim->prng_admin, 2, 3), &arena));
        }
    } else {
        uint64_t id = draw_member(sim, method == NODE_MEMBER_PROMOTE);
        if (id != 0) {
            submit(sim, method, id, encode_id(method, id, &arena));
        }
    }
    arena_deinit(&arena);
}

void sim_admin_step(struct sim *sim)
{
    uint32_t every = sim->dials.change_every_ms;
    welcome(sim);
    switch_off(sim);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        publish(sim, i);
    }
    if (!sim->is_calm && every != 0 && sim_newest(sim) != NULL &&
        prng_chance(&sim->prng_admin, STEP_MS, every)) {
        change(sim);
        if (prng_chance(&sim->prng_admin, 1, 4)) {
            change(sim); /* two at once, maybe at two members */
        }
    }
    (void)sim_schedule(sim, STEP_MS * 1000, SIM_ADMIN, 0);
}
