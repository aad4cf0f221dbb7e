/* Beyond the paper: pre-vote, shield, check-quorum, stalled disks, learners. */
#include "tests/support/test.h"

#include "tests/support/raft_cluster.h"
#include "tests/support/raft_solo.h"

#define TERMS(...) ((const raft_term[]){__VA_ARGS__, 0})

static struct raft_message pre_vote(raft_id from, raft_term term, struct raft_position last)
{
    return (struct raft_message){
        .type = RAFT_MESSAGE_PRE_VOTE, .from = from, .term = term, .vote = {.last = last}};
}

static void test_a_pre_vote_changes_neither_term_nor_vote(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    raft_time_ms deadline = raft_deadline(solo->raft);
    raft_solo_receive(solo, pre_vote(2, 8, (struct raft_position){1, 1}));
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_PRE_VOTE_RESPONSE, 2);
    assert_true(answer->vote_response.granted);
    assert_int_equal(answer->term, 8); /* the term it asked for (R9) */
    assert_int_equal(raft_term_current(solo->raft), 1);
    assert_int_equal(raft_hard_state(solo->raft).vote, 0);
    assert_int_equal(raft_deadline(solo->raft), deadline);
    assert_int_equal(solo->sequence, 0);
    raft_solo_free(solo);
}

static void test_a_refused_pre_vote_is_answered_with_the_own_term(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 4), 4, 0);
    raft_solo_receive(solo, pre_vote(2, 5, (struct raft_position){9, 3}));
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_PRE_VOTE_RESPONSE, 2);
    assert_false(answer->vote_response.granted);
    assert_int_equal(answer->term, 4);
    raft_solo_free(solo);
}

static void test_votes_are_ignored_while_a_leader_is_heard(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, NULL, 0);
    raft_solo_forget(solo);
    solo->now += 99;
    struct raft_message request = {
        .type = RAFT_MESSAGE_VOTE, .from = 3, .term = 2, .vote = {.last = {1, 1}}};
    raft_solo_receive(solo, request);
    raft_solo_receive(solo, pre_vote(3, 2, (struct raft_position){1, 1}));
    assert_int_equal(solo->sent_count, 0);
    assert_int_equal(raft_term_current(solo->raft), 1);
    solo->now += 1; /* an election timeout since the last word */
    raft_solo_receive(solo, request);
    assert_true(raft_solo_take(solo, RAFT_MESSAGE_VOTE_RESPONSE, 3)->vote_response.granted);
    raft_solo_free(solo);
}

static void test_a_transfer_goes_through_the_shield(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, NULL, 0);
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_VOTE,
                                                  .from = 3,
                                                  .term = 2,
                                                  .vote = {.last = {1, 1}, .is_transfer = true}});
    assert_true(raft_solo_take(solo, RAFT_MESSAGE_VOTE_RESPONSE, 3)->vote_response.granted);
    raft_solo_free(solo);
}

static void test_a_leader_without_a_majority_steps_down_after_an_election_timeout(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_time_ms elected_at = solo->now;
    solo->now = elected_at + 100;
    assert_int_equal(raft_solo_step(solo, (struct raft_event){.type = RAFT_TICK}), 0);
    assert_int_equal(raft_role(solo->raft), RAFT_LEADER);
    solo->now = elected_at + 101;
    assert_int_equal(raft_solo_step(solo, (struct raft_event){.type = RAFT_TICK}), 0);
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
    assert_int_equal(raft_leader(solo->raft), 0);
    raft_solo_free(solo);
}

static void test_one_answering_peer_of_two_keeps_the_leader(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    for (int i = 0; i < 20; i++) {
        raft_solo_tick(solo);
        raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT_RESPONSE,
                                                      .from = 2,
                                                      .term = raft_term_current(solo->raft)});
    }
    assert_int_equal(raft_role(solo->raft), RAFT_LEADER);
    raft_solo_free(solo);
}

/* R38: the process stood still. The first event after it, whatever it is, finds no leader. */
static void test_a_jump_of_the_clock_deposes_the_leader_before_the_event_counts(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    solo->now += 5000;
    assert_int_equal(raft_solo_propose(solo, "late"), ERR_NOT_LEADER);
    raft_solo_free(solo);
}

static void test_a_single_voter_survives_a_jump_of_the_clock(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(1, NULL, 1, 0);
    raft_solo_lead(solo, 1);
    solo->now += 5000;
    assert_int_equal(raft_solo_propose(solo, "late"), 0);
    assert_int_equal(solo->applied, 2);
    raft_solo_free(solo);
}

static void test_a_leader_with_a_stalled_disk_steps_down(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    solo->is_disk_held = true;
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    for (int i = 0; i < 6; i++) {
        raft_solo_tick(solo);
        raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT_RESPONSE,
                                                      .from = 2,
                                                      .term = raft_term_current(solo->raft)});
    }
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER); /* R37, though 2 answers */
    raft_solo_free(solo);
}

static void test_a_server_with_a_stalled_disk_does_not_campaign(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    solo->is_disk_held = true;
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1), 0);
    raft_solo_tick(solo);
    raft_solo_tick(solo);
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_PRE_VOTE, 0));
    raft_solo_free(solo);
}

static void test_the_own_vote_counts_when_it_is_durable(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(1, NULL, 1, 0);
    solo->is_disk_held = true;
    raft_solo_tick(solo);
    assert_int_equal(raft_role(solo->raft), RAFT_CANDIDATE);
    raft_solo_persist(solo);
    assert_int_equal(raft_role(solo->raft), RAFT_LEADER);
    raft_solo_free(solo);
}

static void test_vote_requests_leave_after_the_own_vote_is_durable(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_tick(solo);
    solo->is_disk_held = true;
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE,
                                                  .from = 2,
                                                  .term = 2,
                                                  .vote_response = {.granted = true}});
    assert_int_equal(raft_role(solo->raft), RAFT_CANDIDATE);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_VOTE, 0));
    raft_solo_persist(solo);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_VOTE, 2));
    raft_solo_free(solo);
}

static void test_a_lost_pre_vote_ends_the_attempt(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_tick(solo);
    for (raft_id from = 2; from <= 3; from++) {
        raft_solo_receive(
            solo,
            (struct raft_message){.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE, .from = from, .term = 1});
    }
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
    assert_int_equal(raft_term_current(solo->raft), 1);
    raft_solo_free(solo);
}

static void test_answers_of_strangers_and_of_earlier_attempts_do_not_count(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_tick(solo);
    struct raft_message yes = {.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE,
                               .from = 9,
                               .term = 2,
                               .vote_response = {.granted = true}};
    raft_solo_receive(solo, yes);
    assert_int_equal(raft_role(solo->raft), RAFT_PRE_CANDIDATE);
    yes.from = 2;
    yes.term = 7; /* nobody asked for that */
    raft_solo_receive(solo, yes);
    assert_int_equal(raft_role(solo->raft), RAFT_PRE_CANDIDATE);
    assert_int_equal(raft_term_current(solo->raft), 1);
    raft_solo_free(solo);
}

static void test_a_learner_grants_votes_and_never_campaigns(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    options.id = 3;
    struct raft_restored restored = {.snapshot.members = {3, {{1, true}, {2, true}, {3, false}}}};
    struct raft_solo *solo = raft_solo_new_from(&options, &restored);
    for (int i = 0; i < 5; i++) {
        raft_solo_tick(solo);
    }
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
    assert_int_equal(solo->sent_count, 0);
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_VOTE, .from = 2, .term = 1});
    assert_true(raft_solo_take(solo, RAFT_MESSAGE_VOTE_RESPONSE, 2)->vote_response.granted);
    raft_solo_free(solo);
}

static void test_timeouts_are_drawn_anew_and_differ_between_seeds(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    options.id = 1;
    struct raft_restored restored = {.snapshot.members = {2, {{1, true}, {2, true}}}};
    uint64_t seen[200] = {0};
    uint32_t different = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        options.seed = seed;
        struct raft_solo *solo = raft_solo_new_from(&options, &restored);
        for (int attempt = 0; attempt < 4; attempt++) {
            raft_time_ms wait = raft_deadline(solo->raft) - solo->now;
            assert_in_range(wait, 100, 199);
            different += seen[wait] == 0 ? 1 : 0;
            seen[wait]++;
            raft_solo_tick(solo);
        }
        raft_solo_free(solo);
    }
    assert_true(different > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pre_vote_changes_neither_term_nor_vote),
        cmocka_unit_test(test_a_refused_pre_vote_is_answered_with_the_own_term),
        cmocka_unit_test(test_votes_are_ignored_while_a_leader_is_heard),
        cmocka_unit_test(test_a_transfer_goes_through_the_shield),
        cmocka_unit_test(test_a_leader_without_a_majority_steps_down_after_an_election_timeout),
        cmocka_unit_test(test_one_answering_peer_of_two_keeps_the_leader),
        cmocka_unit_test(test_a_jump_of_the_clock_deposes_the_leader_before_the_event_counts),
        cmocka_unit_test(test_a_single_voter_survives_a_jump_of_the_clock),
        cmocka_unit_test(test_a_leader_with_a_stalled_disk_steps_down),
        cmocka_unit_test(test_a_server_with_a_stalled_disk_does_not_campaign),
        cmocka_unit_test(test_the_own_vote_counts_when_it_is_durable),
        cmocka_unit_test(test_vote_requests_leave_after_the_own_vote_is_durable),
        cmocka_unit_test(test_a_lost_pre_vote_ends_the_attempt),
        cmocka_unit_test(test_answers_of_strangers_and_of_earlier_attempts_do_not_count),
        cmocka_unit_test(test_a_learner_grants_votes_and_never_campaigns),
        cmocka_unit_test(test_timeouts_are_drawn_anew_and_differ_between_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
