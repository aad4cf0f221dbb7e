/* The five properties of figure 3 of the Raft paper, each on random runs that aim at it. The
 * cluster checks all of them after every step (tests/support/raft_cluster_check.c); these tests
 * bring about the situations. */
#include "tests/support/test.h"

#include "tests/support/raft_cluster.h"

enum { SEEDS = 60 };

static struct raft_cluster *make(uint32_t voters, uint64_t seed)
{
    struct raft_options options = raft_cluster_options();
    struct raft_cluster *cluster = raft_cluster_new(voters, 0, seed, &options);
    cluster->faults = (struct cluster_faults){
        .loss_percent = 10, .duplicate_percent = 20, .delay_max = 25, .disk_delay_max = 10};
    return cluster;
}

static void assert_sound(struct raft_cluster *cluster, uint64_t seed)
{
    raft_cluster_check_logs(cluster);
    if (cluster->violation[0] != '\0') {
        fail_msg("seed %llu: %s", (unsigned long long)seed, cluster->violation);
    }
}

/* "Election Safety: at most one leader can be elected in a given term." All time out at once, again
 * and again, and crash in between. */
static void test_election_safety(void **state)
{
    (void)state;
    uint64_t leaders = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct raft_cluster *cluster = make(5, seed);
        for (int round = 0; round < 20; round++) {
            for (raft_id id = 1; id <= 5; id++) {
                if (raft_cluster_node(cluster, id)->raft == NULL) {
                    raft_cluster_restart(cluster, id);
                }
                raft_cluster_tick(cluster, id);
            }
            raft_cluster_run(cluster, cluster->now + 60);
            leaders += raft_cluster_leader(cluster) != 0 ? 1 : 0;
            raft_cluster_crash(cluster, 1 + prng_below(&cluster->prng, 5), 0, 0);
        }
        assert_sound(cluster, seed);
        raft_cluster_free(cluster);
    }
    assert_true(leaders > SEEDS);
}

/* "Leader Append-Only: a leader never overwrites or deletes entries in its log; it only appends new
 * entries." */
static void test_leader_append_only(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct raft_cluster *cluster = make(3, seed);
        raft_term terms[512] = {0};
        raft_index known = 0;
        raft_id leader = 0;
        raft_term term = 0;
        for (int round = 0; round < 100; round++) {
            raft_cluster_run(cluster, cluster->now + 10);
            raft_id now = raft_cluster_leader(cluster);
            if (now == 0) {
                continue;
            }
            const struct raft *raft = raft_cluster_raft(cluster, now);
            if (now != leader || raft_term_current(raft) != term) {
                leader = now;
                term = raft_term_current(raft);
                known = 0;
            }
            raft_index last = raft_last(raft).index;
            assert_true(last >= known && last < 512);
            for (raft_index i = 1; i <= last; i++) {
                raft_term at = 0;
                assert_true(raft_find_term(raft, i, &at));
                assert_true(i > known || terms[i] == at);
                terms[i] = at;
            }
            known = last;
            (void)raft_cluster_propose(cluster, leader, "x");
            if (round % 25 == 24) {
                raft_cluster_isolate(cluster, leader);
            } else if (round % 25 == 12) {
                raft_cluster_heal(cluster);
            }
        }
        assert_sound(cluster, seed);
        raft_cluster_free(cluster);
    }
}

/* "Log Matching: if two logs contain an entry with the same index and term, then the logs are
 * identical in all entries up through the given index." Leaders write entries that get nowhere,
 * then come back. */
static void test_log_matching(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct raft_cluster *cluster = make(5, seed);
        for (int round = 0; round < 40; round++) {
            raft_cluster_run(cluster, cluster->now + 150);
            raft_id leader = raft_cluster_leader(cluster);
            if (leader != 0) {
                if (round % 2 == 0) {
                    raft_cluster_isolate(cluster, leader);
                }
                for (uint64_t i = prng_below(&cluster->prng, 8); i > 0; i--) {
                    (void)raft_cluster_propose(cluster, leader, "x");
                }
            }
            if (round % 3 == 2) {
                raft_cluster_heal(cluster);
            }
            assert_sound(cluster, seed);
        }
        raft_cluster_free(cluster);
    }
}

/* "Leader Completeness: if a log entry is committed in a given term, then that entry will be
 * present in the logs of the leaders for all higher-numbered terms." A majority crashes and loses
 * what was not durable. */
static void test_leader_completeness(void **state)
{
    (void)state;
    uint64_t chosen = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct raft_cluster *cluster = make(3, seed);
        for (int round = 0; round < 25; round++) {
            raft_cluster_run(cluster, cluster->now + 200);
            raft_id leader = raft_cluster_leader(cluster);
            for (int i = 0; i < 5 && leader != 0; i++) {
                (void)raft_cluster_propose(cluster, leader, "x");
                raft_cluster_run(cluster, cluster->now + prng_below(&cluster->prng, 20));
                leader = raft_cluster_leader(cluster);
            }
            raft_id first = 1 + prng_below(&cluster->prng, 3);
            for (raft_id i = 0; i < 2; i++) {
                raft_id id = 1 + (first + i) % 3;
                raft_cluster_crash(cluster, id, (uint32_t)prng_below(&cluster->prng, 2), 0);
                raft_cluster_restart(cluster, id);
            }
        }
        assert_sound(cluster, seed);
        chosen += cluster->chosen_count;
        raft_cluster_free(cluster);
    }
    assert_true(chosen > 20 * SEEDS);
}

/* "State Machine Safety: if a server has applied a log entry at a given index to its state machine,
 * no other server will ever apply a different log entry for the same index." Also over snapshots:
 * hashes of whole histories are compared. */
static void test_state_machine_safety(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct raft_cluster *cluster = make(5, seed);
        for (int round = 0; round < 60; round++) {
            raft_cluster_run(cluster, cluster->now + 60);
            raft_id leader = raft_cluster_leader(cluster);
            if (leader != 0) {
                (void)raft_cluster_propose(cluster, leader, "x");
            }
            raft_id id = 1 + prng_below(&cluster->prng, 5);
            struct cluster_node *node = raft_cluster_node(cluster, id);
            if (round % 4 == 1 && node->machine.at.index > 0) {
                raft_cluster_compact(cluster, id, node->machine.at.index);
            } else if (round % 4 == 2) {
                raft_cluster_isolate(cluster, id);
            } else if (round % 4 == 3) {
                raft_cluster_crash(cluster, id, 0, 0);
                raft_cluster_restart(cluster, id);
                raft_cluster_heal(cluster);
            }
        }
        cluster->faults = (struct cluster_faults){.delay_max = 1};
        raft_cluster_heal(cluster);
        raft_cluster_run(cluster, cluster->now + 1000);
        assert_sound(cluster, seed);
        for (raft_id id = 2; id <= 5; id++) {
            assert_int_equal(raft_cluster_node(cluster, id)->machine.hash,
                             raft_cluster_node(cluster, 1)->machine.hash);
        }
        raft_cluster_free(cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_election_safety),      cmocka_unit_test(test_leader_append_only),
        cmocka_unit_test(test_log_matching),         cmocka_unit_test(test_leader_completeness),
        cmocka_unit_test(test_state_machine_safety),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
