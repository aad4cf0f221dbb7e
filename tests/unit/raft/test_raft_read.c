/* ReadIndex: rules R25 to R28. */
#include "tests/support/test.h"

#include "tests/support/raft_cluster.h"
#include "tests/support/raft_solo.h"

static int ask(struct raft_solo *solo, uint64_t token)
{
    return raft_solo_step(solo, (struct raft_event){.type = RAFT_READ, .read = {.token = token}});
}

static struct raft_solo *leader_of_three(void)
{
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 1);
    raft_solo_ack(solo, 3, 1);
    raft_solo_forget(solo);
    return solo;
}

static void confirm(struct raft_solo *solo, raft_id from, uint64_t round)
{
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT_RESPONSE,
                                                  .from = from,
                                                  .term = raft_term_current(solo->raft),
                                                  .heartbeat_response = {.round = round}});
}

static void test_a_read_waits_for_a_majority_and_takes_the_commit_index(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    assert_int_equal(ask(solo, 77), 0);
    assert_int_equal(solo->read_count, 0);
    const struct raft_message *beat = raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2);
    assert_non_null(beat);
    confirm(solo, 2, beat->heartbeat.round);
    assert_int_equal(solo->read_count, 1);
    assert_int_equal(solo->reads[0].token, 77);
    assert_int_equal(solo->reads[0].index, 1);
    raft_solo_free(solo);
}

static void test_an_answer_to_an_older_round_confirms_nothing(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    assert_int_equal(ask(solo, 1), 0);
    uint64_t first = raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2)->heartbeat.round;
    raft_solo_forget(solo);
    assert_int_equal(ask(solo, 2), 0);
    uint64_t second = raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2)->heartbeat.round;
    assert_true(second > first); /* never the same id twice (R26) */
    confirm(solo, 2, first);
    assert_int_equal(solo->read_count, 1);
    assert_int_equal(solo->reads[0].token, 1);
    confirm(solo, 2, first);
    confirm(solo, 3, first);
    assert_int_equal(solo->read_count, 1);
    confirm(solo, 3, second);
    assert_int_equal(solo->read_count, 2);
    raft_solo_free(solo);
}

static void test_a_later_answer_confirms_all_earlier_rounds(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    assert_int_equal(ask(solo, 1), 0);
    raft_solo_forget(solo);
    assert_int_equal(ask(solo, 2), 0);
    confirm(solo, 3, raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 3)->heartbeat.round);
    assert_int_equal(solo->read_count, 2);
    raft_solo_free(solo);
}

static void test_an_invented_round_confirms_nothing(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    assert_int_equal(ask(solo, 1), 0);
    uint64_t round = raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2)->heartbeat.round;
    confirm(solo, 2, round + 1);
    assert_int_equal(solo->read_count, 0);
    raft_solo_free(solo);
}

static void test_reads_of_one_moment_share_a_round(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    for (uint64_t token = 1; token <= 5; token++) {
        struct raft_event event = {.type = RAFT_READ, .now = solo->now, .read = {.token = token}};
        assert_int_equal(raft_step(solo->raft, &event), 0);
    }
    struct raft_ready ready;
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_int_equal(ready.message_count, 2);
    raft_solo_free(solo);
}

static void test_a_read_waits_for_an_entry_of_the_own_term(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, (const raft_term[]){1, 1, 0}, 1, 2);
    raft_solo_lead(solo, 3);
    raft_solo_forget(solo);
    assert_int_equal(ask(solo, 1), 0);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2)); /* R25 */
    raft_solo_ack(solo, 2, 3);
    const struct raft_message *beat = raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 3);
    assert_non_null(beat);
    confirm(solo, 3, beat->heartbeat.round);
    assert_int_equal(solo->reads[0].index, 3);
    raft_solo_free(solo);
}

static void test_a_single_voter_answers_at_once_after_its_first_commit(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(1, NULL, 1, 0);
    raft_solo_lead(solo, 1);
    assert_int_equal(ask(solo, 9), 0);
    assert_int_equal(solo->read_count, 1);
    assert_int_equal(solo->reads[0].index, 1);
    raft_solo_free(solo);
}

static void test_reads_are_given_up_when_the_leader_steps_down(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    assert_int_equal(ask(solo, 5), 0);
    uint64_t round = raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2)->heartbeat.round;
    raft_solo_append(solo, 3, 9, (struct raft_position){0, 0}, NULL, 0);
    assert_int_equal(solo->failed_count, 1);
    assert_int_equal(solo->failed[0], 5);
    confirm(solo, 2, round); /* too late */
    assert_int_equal(solo->read_count, 0);
    raft_solo_free(solo);
}

static void test_a_follower_asks_the_leader_and_passes_the_answer_on(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, (const raft_term[]){1, 0}, 1, 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, NULL, 1);
    assert_int_equal(ask(solo, 5), 0);
    const struct raft_message *question = raft_solo_take(solo, RAFT_MESSAGE_READ_INDEX, 2);
    assert_non_null(question);
    struct raft_message answer = {.type = RAFT_MESSAGE_READ_INDEX_RESPONSE,
                                  .from = 2,
                                  .term = 1,
                                  .read_index = {.id = question->read_index.id, .index = 8}};
    struct raft_message forged = answer;
    forged.from = 3;
    raft_solo_receive(solo, forged); /* not the leader */
    assert_int_equal(solo->read_count, 0);
    raft_solo_receive(solo, answer);
    assert_int_equal(solo->read_count, 1);
    assert_int_equal(solo->reads[0].token, 5);
    assert_int_equal(solo->reads[0].index, 8);
    raft_solo_receive(solo, answer); /* twice */
    assert_int_equal(solo->read_count, 1);
    raft_solo_free(solo);
}

static void test_question_ids_differ_between_starts(void **state)
{
    (void)state;
    uint64_t ids[2];
    for (uint64_t start = 0; start < 2; start++) {
        struct raft_options options = raft_cluster_options();
        options.id = 1;
        options.seed = 40 + start;
        struct raft_restored restored = {.hard_state = {.term = 1},
                                         .snapshot.members = {2, {{1, true}, {2, true}}}};
        struct raft_solo *solo = raft_solo_new_from(&options, &restored);
        raft_solo_append(solo, 2, 1, (struct raft_position){0, 0}, NULL, 0);
        assert_int_equal(ask(solo, 1), 0);
        ids[start] = raft_solo_take(solo, RAFT_MESSAGE_READ_INDEX, 2)->read_index.id;
        raft_solo_free(solo);
    }
    assert_int_not_equal(ids[0], ids[1]);
}

static void test_a_lost_question_is_asked_again_with_a_new_id(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    struct raft_message beat = {.type = RAFT_MESSAGE_HEARTBEAT, .from = 2, .term = 1};
    raft_solo_receive(solo, beat);
    assert_int_equal(ask(solo, 5), 0);
    uint64_t first = raft_solo_take(solo, RAFT_MESSAGE_READ_INDEX, 2)->read_index.id;
    raft_solo_receive(solo, beat); /* too early */
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_READ_INDEX, 2));
    solo->now += 20;
    raft_solo_receive(solo, beat);
    const struct raft_message *again = raft_solo_take(solo, RAFT_MESSAGE_READ_INDEX, 2);
    assert_non_null(again);
    assert_true(again->read_index.id > first);
    raft_solo_free(solo);
}

static void test_an_unanswered_read_is_given_up_after_an_election_timeout(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    struct raft_message beat = {.type = RAFT_MESSAGE_HEARTBEAT, .from = 2, .term = 1};
    raft_solo_receive(solo, beat);
    assert_int_equal(ask(solo, 5), 0);
    solo->now += 60;
    raft_solo_receive(solo, beat);
    assert_int_equal(raft_deadline(solo->raft), 100);
    raft_solo_tick(solo);
    assert_int_equal(solo->failed_count, 1);
    assert_int_equal(raft_leader(solo->raft), 2);
    raft_solo_free(solo);
}

static void test_without_a_leader_a_read_is_refused(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    assert_int_equal(ask(solo, 5), ERR_NOT_LEADER);
    raft_solo_free(solo);
}

static void test_waiting_reads_are_bounded(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    for (uint64_t token = 0; token < RAFT_READS_MAX; token++) {
        struct raft_event event = {.type = RAFT_READ, .now = solo->now, .read = {.token = token}};
        assert_int_equal(raft_step(solo->raft, &event), 0);
    }
    assert_int_equal(ask(solo, 5), ERR_BUSY);
    raft_solo_free(solo);
}

static void test_a_question_of_a_follower_is_answered_after_the_round(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_READ_INDEX,
                                                  .from = 3,
                                                  .term = raft_term_current(solo->raft),
                                                  .read_index = {.id = 1234}});
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_READ_INDEX_RESPONSE, 3));
    confirm(solo, 2, raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2)->heartbeat.round);
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_READ_INDEX_RESPONSE, 3);
    assert_non_null(answer);
    assert_int_equal(answer->read_index.id, 1234);
    assert_int_equal(answer->read_index.index, 1);
    raft_solo_free(solo);
}

static void test_a_refused_question_gives_the_reads_up(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_receive(solo,
                      (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT, .from = 2, .term = 1});
    assert_int_equal(ask(solo, 5), 0);
    uint64_t id = raft_solo_take(solo, RAFT_MESSAGE_READ_INDEX, 2)->read_index.id;
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_READ_INDEX_RESPONSE,
                                                  .from = 2,
                                                  .term = 1,
                                                  .read_index = {.id = id}});
    assert_int_equal(solo->read_count, 0);
    assert_int_equal(solo->failed_count, 1);
    raft_solo_free(solo);
}

/* The queue of reads is used round and round without losing the order. */
static void test_thousands_of_reads_are_answered_in_order(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of_three();
    uint64_t asked = 0;
    uint64_t answered = 0;
    uint64_t rounds[8];
    for (int i = 0; i < 2000; i++) {
        for (int k = 0; k < 3; k++) {
            assert_int_equal(ask(solo, ++asked), 0);
        }
        rounds[i % 8] = raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 2)->heartbeat.round;
        raft_solo_forget(solo);
        if (i >= 7) {
            confirm(solo, 2, rounds[(i + 1) % 8]); /* that of seven steps before */
        }
        for (uint32_t k = 0; k < solo->read_count; k++) {
            assert_int_equal(solo->reads[k].token, ++answered);
        }
        solo->read_count = 0;
        raft_solo_forget(solo);
    }
    assert_true(answered > 5000);
    raft_solo_free(solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_waits_for_a_majority_and_takes_the_commit_index),
        cmocka_unit_test(test_an_answer_to_an_older_round_confirms_nothing),
        cmocka_unit_test(test_a_later_answer_confirms_all_earlier_rounds),
        cmocka_unit_test(test_an_invented_round_confirms_nothing),
        cmocka_unit_test(test_reads_of_one_moment_share_a_round),
        cmocka_unit_test(test_a_read_waits_for_an_entry_of_the_own_term),
        cmocka_unit_test(test_a_single_voter_answers_at_once_after_its_first_commit),
        cmocka_unit_test(test_reads_are_given_up_when_the_leader_steps_down),
        cmocka_unit_test(test_a_follower_asks_the_leader_and_passes_the_answer_on),
        cmocka_unit_test(test_question_ids_differ_between_starts),
        cmocka_unit_test(test_a_lost_question_is_asked_again_with_a_new_id),
        cmocka_unit_test(test_an_unanswered_read_is_given_up_after_an_election_timeout),
        cmocka_unit_test(test_without_a_leader_a_read_is_refused),
        cmocka_unit_test(test_waiting_reads_are_bounded),
        cmocka_unit_test(test_a_question_of_a_follower_is_answered_after_the_round),
        cmocka_unit_test(test_a_refused_question_gives_the_reads_up),
        cmocka_unit_test(test_thousands_of_reads_are_answered_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
