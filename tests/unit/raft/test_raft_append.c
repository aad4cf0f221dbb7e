/* The follower's side of replication, and what a leader makes of its answers. */
#include "tests/support/test.h"

#include "tests/support/raft_cluster.h"
#include "tests/support/raft_solo.h"

#define TERMS(...) ((const raft_term[]){__VA_ARGS__, 0})

static void test_a_rejection_names_the_last_entry_of_a_small_enough_term(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 3, 3, 3), 4, 0);
    raft_solo_append(solo, 2, 4, (struct raft_position){5, 2}, NULL, 0);
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2);
    assert_true(answer->append_response.rejected);
    assert_int_equal(answer->append_response.index, 5);
    assert_int_equal(answer->append_response.hint.index, 2); /* entries of term 3 cannot match */
    assert_int_equal(answer->append_response.hint.term, 1);
    raft_solo_free(solo);
}

static void test_a_short_log_names_its_end(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 4, 0);
    raft_solo_append(solo, 2, 4, (struct raft_position){9, 3}, NULL, 0);
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2);
    assert_int_equal(answer->append_response.hint.index, 2);
    raft_solo_free(solo);
}

static void test_old_appends_below_commit_are_acknowledged_with_the_commit(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1), 1, 3);
    raft_solo_append(solo, 2, 1, (struct raft_position){0, 0}, TERMS(1, 1), 2);
    const struct raft_message *answer = raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2);
    assert_false(answer->append_response.rejected);
    assert_int_equal(answer->append_response.index, 3);
    raft_solo_free(solo);
}

static void test_an_append_across_the_commit_adds_what_is_new(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1), 1, 2);
    raft_solo_append(solo, 2, 1, (struct raft_position){0, 0}, TERMS(1, 1, 1, 1), 4);
    assert_int_equal(raft_last(solo->raft).index, 4);
    assert_int_equal(raft_commit(solo->raft), 4);
    raft_solo_free(solo);
}

/* A peer that lies about committed entries is not obeyed, and cannot make the server abort. */
static void test_committed_entries_are_never_truncated(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1), 5, 2);
    raft_solo_append(solo, 2, 5, (struct raft_position){0, 0}, TERMS(2, 2, 2, 2), 0);
    assert_int_equal(raft_solo_term_at(solo, 1), 1);
    assert_int_equal(raft_solo_term_at(solo, 2), 1);
    struct raft_solo *other = raft_solo_new(3, TERMS(3, 3, 3), 5, 3);
    raft_solo_append(other, 2, 5, (struct raft_position){1, 1}, TERMS(1, 1, 1), 0);
    assert_int_equal(raft_last(other->raft).index, 3);
    raft_solo_free(solo);
    raft_solo_free(other);
}

static void test_a_heartbeat_commits_what_was_acknowledged(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 1, 0);
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT,
                                                  .from = 2,
                                                  .term = 1,
                                                  .heartbeat = {.commit = 2, .round = 5}});
    assert_int_equal(raft_commit(solo->raft), 2);
    assert_int_equal(
        raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT_RESPONSE, 2)->heartbeat_response.round, 5);
    raft_solo_free(solo);
}

static void test_a_heartbeat_beyond_the_log_reveals_a_lost_log(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1), 1, 0);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_false(status.has_lost_log);
    raft_solo_receive(solo, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT,
                                                  .from = 2,
                                                  .term = 1,
                                                  .heartbeat = {.commit = 9}});
    raft_get_status(solo->raft, &status);
    assert_true(status.has_lost_log); /* R7: the caller stops */
    assert_int_equal(raft_commit(solo->raft), 0);
    raft_solo_free(solo);
}

static void test_messages_for_somebody_else_are_ignored(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    struct raft_message message = {.type = RAFT_MESSAGE_HEARTBEAT, .from = 2, .to = 3, .term = 9};
    assert_int_equal(
        raft_solo_step(solo, (struct raft_event){.type = RAFT_RECEIVED, .received = &message}), 0);
    assert_int_equal(raft_term_current(solo->raft), 1);
    raft_solo_free(solo);
}

static void test_a_leader_does_not_obey_another_leader_of_its_term(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_append(solo, 2, 2, (struct raft_position){0, 0}, TERMS(2, 2), 2);
    assert_int_equal(raft_role(solo->raft), RAFT_LEADER);
    assert_int_equal(raft_last(solo->raft).index, 1);
    raft_solo_free(solo);
}

static void test_acks_beyond_the_log_and_of_strangers_are_ignored(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 99);
    raft_solo_ack(solo, 7, 1);
    assert_int_equal(raft_commit(solo->raft), 0);
    raft_solo_ack(solo, 2, 1);
    assert_int_equal(raft_commit(solo->raft), 1);
    raft_solo_free(solo);
}

static void test_the_window_stops_a_silent_peer_and_an_ack_reopens_it(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 1);
    raft_solo_forget(solo);
    char large[600];
    for (size_t i = 0; i < sizeof large; i++) {
        large[i] = i + 1 == sizeof large ? '\0' : 'x';
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(raft_solo_propose(solo, large), 0);
    }
    uint32_t sent = 0;
    while (raft_solo_take(solo, RAFT_MESSAGE_APPEND, 2) != NULL) {
        sent++;
    }
    assert_int_equal(sent, 4); /* 2048 bytes in flight, 631 each */
    raft_solo_ack(solo, 2, 2);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND, 2));
    raft_solo_free(solo);
}

static void test_unreachable_makes_the_next_append_a_probe(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 1);
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    raft_solo_forget(solo);
    struct raft_event event = {.type = RAFT_PEER_UNREACHABLE, .unreachable = {.peer = 2}};
    assert_int_equal(raft_solo_step(solo, event), 0);
    const struct raft_message *again = raft_solo_take(solo, RAFT_MESSAGE_APPEND, 2);
    assert_non_null(again);
    assert_int_equal(again->append.previous.index, 1);
    assert_int_equal(raft_solo_propose(solo, "y"), 0);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND, 2)); /* one at a time */
    raft_solo_free(solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rejection_names_the_last_entry_of_a_small_enough_term),
        cmocka_unit_test(test_a_short_log_names_its_end),
        cmocka_unit_test(test_old_appends_below_commit_are_acknowledged_with_the_commit),
        cmocka_unit_test(test_an_append_across_the_commit_adds_what_is_new),
        cmocka_unit_test(test_committed_entries_are_never_truncated),
        cmocka_unit_test(test_a_heartbeat_commits_what_was_acknowledged),
        cmocka_unit_test(test_a_heartbeat_beyond_the_log_reveals_a_lost_log),
        cmocka_unit_test(test_messages_for_somebody_else_are_ignored),
        cmocka_unit_test(test_a_leader_does_not_obey_another_leader_of_its_term),
        cmocka_unit_test(test_acks_beyond_the_log_and_of_strangers_are_ignored),
        cmocka_unit_test(test_the_window_stops_a_silent_peer_and_an_ack_reopens_it),
        cmocka_unit_test(test_unreachable_makes_the_next_append_a_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
