#include "tests/support/raft_chaos.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "raft/members.h"

/* What may happen in this run, and how often: drawn anew for each seed (swarm testing). */
struct weights {
    uint32_t propose;
    uint32_t read;
    uint32_t crash;
    uint32_t restart;
    uint32_t cut;
    uint32_t isolate;
    uint32_t heal;
    uint32_t pause;
    uint32_t disk;
    uint32_t compact;
    uint32_t change;
    uint32_t transfer;
    uint32_t unreachable;
};

struct chaos {
    struct raft_cluster *cluster;
    struct prng prng;
    struct weights weights;
    raft_id next_id;
    struct raft_chaos_result *result;
};

static void draw_weights(struct chaos *chaos)
{
    struct prng *prng = &chaos->prng;
    chaos->weights = (struct weights){
        .propose = 20 + (uint32_t)prng_below(prng, 40),
        .read = (uint32_t)prng_below(prng, 20),
        .crash = (uint32_t)prng_below(prng, 6),
        .restart = 3 + (uint32_t)prng_below(prng, 6),
        .cut = (uint32_t)prng_below(prng, 6),
        .isolate = (uint32_t)prng_below(prng, 4),
        .heal = 2 + (uint32_t)prng_below(prng, 5),
        .pause = (uint32_t)prng_below(prng, 4),
        .disk = (uint32_t)prng_below(prng, 4),
        .compact = (uint32_t)prng_below(prng, 5),
        .change = (uint32_t)prng_below(prng, 5),
        .transfer = (uint32_t)prng_below(prng, 3),
        .unreachable = (uint32_t)prng_below(prng, 3),
    };
    chaos->cluster->faults = (struct cluster_faults){
        .loss_percent = (uint32_t)(prng_chance(prng, 1, 2) ? 0 : prng_below(prng, 25)),
        .duplicate_percent = (uint32_t)(prng_chance(prng, 1, 2) ? 0 : prng_below(prng, 30)),
        .delay_max = 1 + prng_below(prng, prng_chance(prng, 1, 4) ? 60 : 10),
        .disk_delay_max = 1 + prng_below(prng, prng_chance(prng, 1, 4) ? 40 : 5),
    };
}

static struct cluster_node *random_node(struct chaos *chaos, bool running)
{
    struct cluster_node *found = NULL;
    uint64_t seen = 0;
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        struct cluster_node *node = &chaos->cluster->nodes[i];
        if (node->exists && (node->raft != NULL) == running && !node->is_paused) {
            seen++;
            found = prng_chance(&chaos->prng, 1, seen) ? node : found;
        }
    }
    return found;
}

static void propose(struct chaos *chaos)
{
    struct cluster_node *node = random_node(chaos, true);
    if (node == NULL) {
        return;
    }
    raft_id leader = raft_leader(node->raft);
    bool is_there = leader > 0 && leader < CLUSTER_NODES_MAX &&
                    chaos->cluster->nodes[leader].raft != NULL &&
                    !chaos->cluster->nodes[leader].is_paused;
    char text[64];
    uint64_t size = prng_below(&chaos->prng, 40);
    (void)snprintf(text, sizeof text, "%llu-%.*s", (unsigned long long)chaos->result->proposals,
                   (int)size, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    uint64_t burst = prng_chance(&chaos->prng, 1, 5) ? 1 + prng_below(&chaos->prng, 30) : 1;
    for (uint64_t i = 0; i < burst; i++) {
        if (raft_cluster_propose(chaos->cluster, is_there ? leader : node->id, text) == 0) {
            chaos->result->proposals++;
        }
    }
}

static void read(struct chaos *chaos)
{
    struct cluster_node *node = random_node(chaos, true);
    if (node != NULL) {
        int rc = 0;
        (void)raft_cluster_read(chaos->cluster, node->id, &rc);
    }
}

static void crash(struct chaos *chaos)
{
    /* Sometimes all at once. */
    uint64_t count = prng_chance(&chaos->prng, 1, 6) ? CLUSTER_NODES_MAX : 1;
    for (uint64_t i = 0; i < count; i++) {
        struct cluster_node *node = random_node(chaos, true);
        if (node != NULL) {
            uint32_t keep = (uint32_t)prng_below(&chaos->prng, 3);
            uint32_t keep_entries = (uint32_t)prng_below(&chaos->prng, 3);
            raft_cluster_crash(chaos->cluster, node->id, keep, keep_entries);
            chaos->result->crashes++;
        }
    }
}

static void restart(struct chaos *chaos)
{
    struct cluster_node *node = random_node(chaos, false);
    if (node != NULL) {
        raft_cluster_restart(chaos->cluster, node->id);
    }
}

static void cut(struct chaos *chaos)
{
    raft_id from = 1 + prng_below(&chaos->prng, CLUSTER_NODES_MAX - 1);
    raft_id to = 1 + prng_below(&chaos->prng, CLUSTER_NODES_MAX - 1);
    raft_cluster_set_link(chaos->cluster, from, to, CLUSTER_LINK_CUT);
}

static void pause_or_resume(struct chaos *chaos)
{
    bool any = false;
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        any = any || chaos->cluster->nodes[i].is_paused;
        chaos->cluster->nodes[i].is_paused = false;
    }
    struct cluster_node *node = any ? NULL : random_node(chaos, true);
    if (node != NULL) {
        node->is_paused = true;
    }
}

static void hold_or_release_disk(struct chaos *chaos)
{
    bool any = false;
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        any = any || chaos->cluster->nodes[i].is_disk_held;
        chaos->cluster->nodes[i].is_disk_held = false;
    }
    struct cluster_node *node = any ? NULL : random_node(chaos, true);
    if (node != NULL) {
        node->is_disk_held = true;
    }
}

static void compact(struct chaos *chaos)
{
    struct cluster_node *node = random_node(chaos, true);
    if (node == NULL || node->machine.at.index == 0) {
        return;
    }
    raft_index back = prng_below(&chaos->prng, 8);
    raft_index at = node->machine.at.index;
    raft_cluster_compact(chaos->cluster, node->id, at > back ? at - back : at);
}

/* Add a learner, promote one, or remove somebody. */
static void change(struct chaos *chaos)
{
    raft_id leader = raft_cluster_leader(chaos->cluster);
    if (leader == 0 || chaos->cluster->nodes[leader].is_paused) {
        return;
    }
    struct raft_members members = *raft_members(chaos->cluster->nodes[leader].raft);
    uint64_t kind = prng_below(&chaos->prng, 3);
    raft_id joined = 0;
    const struct raft_member *picked =
        members.count == 0 ? NULL : &members.member[prng_below(&chaos->prng, members.count)];
    if (kind == 0 && chaos->next_id < CLUSTER_NODES_MAX && members.count < 6) {
        joined = chaos->next_id;
        bool as_voter = prng_chance(&chaos->prng, 1, 3);
        int rc = raft_members_put(&members, joined, as_voter);
        CHECK(rc == 0);
    } else if (kind == 1 && picked != NULL) {
        int rc = raft_members_put(&members, picked->id, true);
        CHECK(rc == 0);
    } else if (kind == 2 && picked != NULL && raft_members_voter_count(&members) > 1) {
        int rc = raft_members_remove(&members, picked->id);
        CHECK(rc == 0);
    }
    if (!raft_members_valid(&members) ||
        raft_cluster_change(chaos->cluster, leader, &members) != 0) {
        return;
    }
    chaos->result->changes++;
    if (joined != 0) {
        chaos->next_id++;
        raft_cluster_join(chaos->cluster, joined);
    }
}

static void transfer(struct chaos *chaos)
{
    raft_id leader = raft_cluster_leader(chaos->cluster);
    if (leader == 0 || chaos->cluster->nodes[leader].is_paused) {
        return;
    }
    raft_id to = 1 + prng_below(&chaos->prng, CLUSTER_NODES_MAX - 1);
    (void)raft_cluster_step(chaos->cluster, leader,
                            (struct raft_event){.type = RAFT_TRANSFER, .transfer = {.peer = to}});
}

static void unreachable(struct chaos *chaos)
{
    struct cluster_node *node = random_node(chaos, true);
    if (node != NULL) {
        raft_id peer = 1 + prng_below(&chaos->prng, CLUSTER_NODES_MAX - 1);
        (void)raft_cluster_step(
            chaos->cluster, node->id,
            (struct raft_event){.type = RAFT_PEER_UNREACHABLE, .unreachable = {.peer = peer}});
    }
}

static void isolate(struct chaos *chaos)
{
    raft_id leader = raft_cluster_leader(chaos->cluster);
    raft_id any = 1 + prng_below(&chaos->prng, CLUSTER_NODES_MAX - 1);
    raft_cluster_isolate(chaos->cluster,
                         leader != 0 && prng_chance(&chaos->prng, 1, 2) ? leader : any);
}

static void heal(struct chaos *chaos)
{
    raft_cluster_heal(chaos->cluster);
}

static void act(struct chaos *chaos)
{
    const struct weights *w = &chaos->weights;
    const struct {
        uint32_t weight;
        void (*run)(struct chaos *);
    } actions[] = {
        {w->propose, propose},
        {w->read, read},
        {w->crash, crash},
        {w->restart, restart},
        {w->cut, cut},
        {w->isolate, isolate},
        {w->heal, heal},
        {w->pause, pause_or_resume},
        {w->disk, hold_or_release_disk},
        {w->compact, compact},
        {w->change, change},
        {w->transfer, transfer},
        {w->unreachable, unreachable},
    };
    uint32_t total = 0;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        total += actions[i].weight;
    }
    uint64_t drawn = prng_below(&chaos->prng, total);
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (drawn < actions[i].weight) {
            actions[i].run(chaos);
            return;
        }
        drawn -= actions[i].weight;
    }
}

static void repair_all(struct chaos *chaos)
{
    struct raft_cluster *cluster = chaos->cluster;
    raft_cluster_heal(cluster);
    cluster->faults = (struct cluster_faults){.delay_max = 2, .disk_delay_max = 2};
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        node->is_paused = false;
        node->is_disk_held = false;
        if (node->exists && node->raft == NULL) {
            raft_cluster_restart(cluster, node->id);
        }
    }
}

/* All members have applied everything, and are the same. */
static void check_converged(struct chaos *chaos, raft_id leader)
{
    struct raft_cluster *cluster = chaos->cluster;
    const struct raft_members *members = raft_members(cluster->nodes[leader].raft);
    const struct cluster_machine *first = &cluster->nodes[leader].machine;
    for (uint32_t i = 0; i < members->count; i++) {
        const struct cluster_machine *machine = &cluster->nodes[members->member[i].id].machine;
        if (machine->at.index != first->at.index || machine->hash != first->hash) {
            raft_cluster_fail(cluster, "liveness: member %llu applied %llu, the leader %llu",
                              (unsigned long long)members->member[i].id,
                              (unsigned long long)machine->at.index,
                              (unsigned long long)first->at.index);
        }
    }
}

static void check_liveness(struct chaos *chaos)
{
    struct raft_cluster *cluster = chaos->cluster;
    repair_all(chaos);
    raft_cluster_run(cluster, cluster->now + 3000);
    raft_id leader = raft_cluster_leader(cluster);
    if (cluster->violation[0] != '\0') {
        return;
    }
    if (leader == 0) {
        raft_cluster_fail(cluster, "liveness: no leader");
        return;
    }
    raft_index before = raft_commit(cluster->nodes[leader].raft);
    uint64_t answered = cluster->reads_answered;
    int rc = 0;
    if (raft_cluster_propose(cluster, leader, "last") != 0) {
        raft_cluster_fail(cluster, "liveness: proposal refused");
    }
    (void)raft_cluster_read(cluster, leader, &rc);
    /* Shorter than any heartbeat's or election's help would need to be felt twice. */
    raft_cluster_run(cluster, cluster->now + 300);
    if (cluster->violation[0] != '\0') {
        return;
    }
    if (raft_cluster_leader(cluster) != leader) {
        raft_cluster_fail(cluster, "liveness: the leader changed without a reason");
        return;
    }
    if (raft_commit(cluster->nodes[leader].raft) <= before) {
        raft_cluster_fail(cluster, "liveness: nothing is committed");
    }
    if (rc != 0 || cluster->reads_answered <= answered) {
        raft_cluster_fail(cluster, "liveness: a read is not answered");
    }
    check_converged(chaos, leader);
}

void raft_chaos_run(uint64_t seed, uint32_t rounds, struct raft_chaos_result *result)
{
    memset(result, 0, sizeof *result);
    struct chaos chaos = {.result = result};
    prng_init(&chaos.prng, seed);
    struct raft_options options = raft_cluster_options();
    uint32_t voters = 1 + (uint32_t)prng_below(&chaos.prng, 5);
    uint32_t learners = (uint32_t)prng_below(&chaos.prng, 2);
    chaos.cluster = raft_cluster_new(voters, learners, prng_split(&chaos.prng), &options);
    chaos.next_id = voters + learners + 1;
    draw_weights(&chaos);
    struct raft_cluster *cluster = chaos.cluster;
    for (uint32_t i = 0; i < rounds && cluster->violation[0] == '\0'; i++) {
        raft_time_ms step = prng_chance(&chaos.prng, 1, 10) ? 150 : 15;
        raft_cluster_run(cluster, cluster->now + prng_below(&chaos.prng, step));
        act(&chaos);
        if (i % 64 == 0) {
            raft_cluster_check_logs(cluster);
        }
    }
    if (cluster->violation[0] == '\0') {
        check_liveness(&chaos);
        raft_cluster_check_logs(cluster);
    }
    memcpy(result->violation, cluster->violation, sizeof result->violation);
    result->simulated_ms = cluster->now;
    result->reads_answered = cluster->reads_answered;
    result->chosen_count = cluster->chosen_count;
    result->trace_hash = cluster->next_order * 31 + cluster->now;
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        result->trace_hash = result->trace_hash * 1099511628211ULL ^ node->machine.hash;
        result->installs += node->stored_is_installed ? 1 : 0;
        if (node->term_seen > result->terms) {
            result->terms = (uint32_t)node->term_seen;
        }
    }
    raft_cluster_free(cluster);
}
