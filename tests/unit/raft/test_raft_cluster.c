/* Whole clusters of the core: the basic promises by hand, then random runs by the clock. */
#include "tests/support/test.h"

#include "raft/members.h"
#include "tests/support/raft_cluster.h"

static struct raft_cluster *three(uint64_t seed)
{
    struct raft_options options = raft_cluster_options();
    return raft_cluster_new(3, 0, seed, &options);
}

static void assert_sound(struct raft_cluster *cluster)
{
    raft_cluster_check_logs(cluster);
    assert_string_equal(cluster->violation, "");
}

static void test_three_servers_elect_a_leader_and_commit_its_first_entry(void **state)
{
    (void)state;
    struct raft_cluster *cluster = three(1);
    raft_cluster_elect(cluster, 2);
    for (raft_id id = 1; id <= 3; id++) {
        assert_int_equal(raft_leader(raft_cluster_raft(cluster, id)), 2);
        assert_int_equal(raft_commit(raft_cluster_raft(cluster, id)), 1);
    }
    assert_sound(cluster);
    raft_cluster_free(cluster);
}

static void test_a_proposal_is_applied_everywhere(void **state)
{
    (void)state;
    struct raft_cluster *cluster = three(1);
    raft_cluster_elect(cluster, 1);
    assert_int_equal(raft_cluster_propose(cluster, 1, "x"), 0);
    raft_cluster_deliver(cluster);
    uint64_t hash = raft_cluster_node(cluster, 1)->machine.hash;
    for (raft_id id = 1; id <= 3; id++) {
        assert_int_equal(raft_cluster_node(cluster, id)->machine.at.index, 2);
        assert_int_equal(raft_cluster_node(cluster, id)->machine.hash, hash);
    }
    assert_sound(cluster);
    raft_cluster_free(cluster);
}

static void test_a_committed_entry_survives_a_crash_of_all(void **state)
{
    (void)state;
    struct raft_cluster *cluster = three(3);
    raft_cluster_elect(cluster, 1);
    assert_int_equal(raft_cluster_propose(cluster, 1, "kept"), 0);
    raft_cluster_deliver(cluster);
    for (raft_id id = 1; id <= 3; id++) {
        raft_cluster_crash(cluster, id, 0, 0);
    }
    for (raft_id id = 1; id <= 3; id++) {
        raft_cluster_restart(cluster, id);
    }
    raft_cluster_elect(cluster, 3);
    raft_cluster_deliver(cluster);
    assert_int_equal(raft_commit(raft_cluster_raft(cluster, 1)), 3);
    assert_sound(cluster);
    raft_cluster_free(cluster);
}

static void test_a_single_voter_commits_only_what_is_durable(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    struct raft_cluster *cluster = raft_cluster_new(1, 0, 1, &options);
    raft_cluster_elect(cluster, 1);
    raft_cluster_node(cluster, 1)->is_disk_held = true;
    assert_int_equal(raft_cluster_propose(cluster, 1, "x"), 0);
    raft_cluster_deliver(cluster);
    assert_int_equal(raft_commit(raft_cluster_raft(cluster, 1)), 1);
    raft_cluster_disk_finish(cluster, 1, 1);
    assert_int_equal(raft_commit(raft_cluster_raft(cluster, 1)), 2);
    assert_sound(cluster);
    raft_cluster_free(cluster);
}

static void test_a_lagging_server_is_brought_up_by_a_snapshot(void **state)
{
    (void)state;
    struct raft_cluster *cluster = three(1);
    raft_cluster_elect(cluster, 1);
    raft_cluster_isolate(cluster, 3);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(raft_cluster_propose(cluster, 1, "x"), 0);
        raft_cluster_deliver(cluster);
    }
    raft_cluster_compact(cluster, 1, 8);
    raft_cluster_heal(cluster);
    raft_cluster_tick(cluster, 1);
    raft_cluster_deliver(cluster);
    raft_cluster_tick(cluster, 1);
    raft_cluster_deliver(cluster);
    assert_int_equal(raft_cluster_node(cluster, 3)->machine.at.index, 11);
    assert_int_equal(raft_cluster_node(cluster, 3)->machine.hash,
                     raft_cluster_node(cluster, 1)->machine.hash);
    assert_sound(cluster);
    raft_cluster_free(cluster);
}

enum { TOPOLOGY_CHAIN, TOPOLOGY_STAR, TOPOLOGY_BRIDGE, TOPOLOGY_ONE_WAY, TOPOLOGY_LOST_LINK };

/* Whether a message gets from one of five servers to another. */
static bool is_linked(int topology, raft_id from, raft_id to)
{
    raft_id low = from < to ? from : to;
    raft_id high = from < to ? to : from;
    switch (topology) {
    case TOPOLOGY_CHAIN:
        return high - low == 1;
    case TOPOLOGY_STAR:
        return low == 3 || high == 3;
    case TOPOLOGY_BRIDGE: /* two halves that only server 3 sees both of */
        return high <= 3 || low >= 3;
    case TOPOLOGY_ONE_WAY: /* server 1 is heard by all and hears nobody */
        return to != 1;
    default: /* one link of the leader is gone */
        return !(low == 1 && high == 2);
    }
}

/* R11: pre-vote and check-quorum together. Whoever leads when the links break, a stable leader is
 * there within five election timeouts, after at most two more terms, and it stays. */
static void test_partial_partitions_end_in_a_stable_leader(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    for (int topology = TOPOLOGY_CHAIN; topology <= TOPOLOGY_LOST_LINK; topology++) {
        for (raft_id first = 1; first <= 5; first++) {
            struct raft_cluster *cluster = raft_cluster_new(5, 0, 40 + first, &options);
            raft_cluster_elect(cluster, first);
            cluster->faults = (struct cluster_faults){.delay_max = 2, .disk_delay_max = 2};
            raft_cluster_run(cluster, cluster->now + 100);
            raft_term before = raft_term_current(raft_cluster_raft(cluster, first));
            for (raft_id from = 1; from <= 5; from++) {
                for (raft_id to = 1; to <= 5; to++) {
                    raft_cluster_set_link(cluster, from, to,
                                          is_linked(topology, from, to) ? CLUSTER_LINK_OPEN
                                                                        : CLUSTER_LINK_CUT);
                }
            }
            raft_cluster_run(cluster, cluster->now + 500);
            raft_id leader = raft_cluster_leader(cluster);
            assert_int_not_equal(leader, 0);
            raft_term term = raft_term_current(raft_cluster_raft(cluster, leader));
            assert_in_range(term, before, before + 2);
            raft_cluster_run(cluster, cluster->now + 2000);
            assert_int_equal(raft_cluster_leader(cluster), leader);
            assert_int_equal(raft_term_current(raft_cluster_raft(cluster, leader)), term);
            raft_index commit = raft_commit(raft_cluster_raft(cluster, leader));
            assert_int_equal(raft_cluster_propose(cluster, leader, "x"), 0);
            raft_cluster_run(cluster, cluster->now + 50);
            assert_true(raft_commit(raft_cluster_raft(cluster, leader)) > commit);
            assert_sound(cluster);
            raft_cluster_free(cluster);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_servers_elect_a_leader_and_commit_its_first_entry),
        cmocka_unit_test(test_a_proposal_is_applied_everywhere),
        cmocka_unit_test(test_a_committed_entry_survives_a_crash_of_all),
        cmocka_unit_test(test_a_single_voter_commits_only_what_is_durable),
        cmocka_unit_test(test_a_lagging_server_is_brought_up_by_a_snapshot),
        cmocka_unit_test(test_partial_partitions_end_in_a_stable_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
