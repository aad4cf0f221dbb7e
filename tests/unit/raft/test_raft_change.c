/* Changes of who is there: membership, snapshots, transfer. */
#include "tests/support/test.h"

#include "raft/members.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/raft_solo.h"

#define TERMS(...) ((const raft_term[]){__VA_ARGS__, 0})

static int change(struct raft_solo *solo, struct raft_members members)
{
    struct blob *data = raft_members_encode(&members, (struct bytes){NULL, 0});
    struct raft_entry entry = {.type = RAFT_ENTRY_CONFIG, .data = data};
    int rc = raft_solo_step(solo, (struct raft_event){.type = RAFT_PROPOSE,
                                                      .propose = {.entries = &entry, .count = 1}});
    blob_unref(data);
    return rc;
}

static struct raft_solo *leader_of(uint32_t voters)
{
    struct raft_solo *solo = raft_solo_new(voters, NULL, 1, 0);
    raft_solo_lead(solo, voters);
    for (raft_id id = 2; id <= voters; id++) {
        raft_solo_ack(solo, id, 1);
    }
    raft_solo_forget(solo);
    return solo;
}

static void test_a_set_counts_from_the_moment_it_is_appended(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_members four = {4, {{1, true}, {2, true}, {3, true}, {4, true}}};
    assert_int_equal(change(solo, four), 0);
    assert_int_equal(raft_members(solo->raft)->count, 4);
    raft_solo_ack(solo, 2, 2);
    assert_int_equal(raft_commit(solo->raft), 1); /* two of four are no majority any more */
    raft_solo_ack(solo, 4, 2);
    assert_int_equal(raft_commit(solo->raft), 2);
    raft_solo_free(solo);
}

static void test_a_lone_voter_commits_its_second_one_by_itself_and_nothing_after_it(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(1);
    struct raft_members two = {2, {{1, true}, {2, true}}};
    assert_int_equal(change(solo, two), 0);
    assert_int_equal(raft_members(solo->raft)->count, 2);
    assert_int_equal(raft_commit(solo->raft), 2);
    struct raft_members three = {3, {{1, true}, {2, true}, {3, true}}};
    assert_int_equal(change(solo, three), 0);
    assert_int_equal(raft_commit(solo->raft), 2); /* one of three, and two were voters before */
    raft_solo_ack(solo, 2, 3);
    assert_int_equal(raft_commit(solo->raft), 3);
    raft_solo_free(solo);
}

static void test_a_change_waits_for_the_first_commit_of_the_term(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    struct raft_members four = {4, {{1, true}, {2, true}, {3, true}, {4, true}}};
    assert_int_equal(change(solo, four), ERR_CONFIG_PENDING); /* R29 */
    raft_solo_ack(solo, 2, 1);
    assert_int_equal(change(solo, four), 0);
    raft_solo_free(solo);
}

static void test_a_second_change_waits_for_the_first(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_members four = {4, {{1, true}, {2, true}, {3, true}, {4, false}}};
    assert_int_equal(change(solo, four), 0);
    four.member[3].voter = true;
    assert_int_equal(change(solo, four), ERR_CONFIG_PENDING);
    raft_solo_ack(solo, 2, 2);
    assert_int_equal(change(solo, four), 0);
    raft_solo_free(solo);
}

static void test_senseless_changes_are_refused(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_members five = {5, {{1, true}, {2, true}, {3, true}, {4, true}, {5, true}}};
    assert_int_equal(change(solo, five), ERR_INVALID);
    struct raft_members demoted = {3, {{1, true}, {2, true}, {3, false}}};
    assert_int_equal(change(solo, demoted), ERR_INVALID);
    struct raft_members nobody = {0};
    assert_int_equal(change(solo, nobody), ERR_INVALID);
    assert_int_equal(raft_last(solo->raft).index, 1);
    raft_solo_free(solo);
}

static void test_garbage_is_no_member_set(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_entry entry = {.type = RAFT_ENTRY_CONFIG};
    struct raft_event event = {.type = RAFT_PROPOSE, .propose = {.entries = &entry, .count = 1}};
    assert_int_equal(raft_solo_step(solo, event), ERR_INVALID);
    raft_solo_free(solo);
}

static void test_learners_do_not_count_for_commit_or_contact(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_members four = {4, {{1, true}, {2, true}, {3, true}, {4, false}}};
    assert_int_equal(change(solo, four), 0);
    raft_solo_ack(solo, 4, 2);
    assert_int_equal(raft_commit(solo->raft), 1);
    raft_solo_ack(solo, 2, 2);
    assert_int_equal(raft_commit(solo->raft), 2);
    raft_solo_free(solo);
}

static void test_a_removed_peer_gets_its_removal_and_is_forgotten(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_members two = {2, {{1, true}, {2, true}}};
    assert_int_equal(change(solo, two), 0);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND, 3));
    raft_solo_ack(solo, 3, 2);
    assert_int_equal(raft_commit(solo->raft), 1); /* 3 no longer counts */
    raft_solo_ack(solo, 2, 2);
    const struct raft_message *last = raft_solo_take(solo, RAFT_MESSAGE_APPEND, 3);
    assert_non_null(last);
    assert_int_equal(last->append.commit, 2); /* it may know that it is out (R33) */
    raft_solo_tick(solo);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.peer_count, 1);
    raft_solo_free(solo);
}

static void test_a_removed_leader_steps_down_after_the_commit_and_hands_over(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_members others = {2, {{2, true}, {3, true}}};
    assert_int_equal(change(solo, others), 0);
    raft_solo_ack(solo, 2, 2);
    assert_int_equal(raft_role(solo->raft), RAFT_LEADER); /* it does not count itself */
    raft_solo_ack(solo, 3, 2);
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
    assert_int_equal(raft_commit(solo->raft), 2);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_TIMEOUT_NOW, 0));
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_false(status.is_member);
    for (int i = 0; i < 5; i++) {
        raft_solo_tick(solo);
    }
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER); /* and never campaigns again */
    raft_solo_free(solo);
}

static void test_a_server_whose_removal_is_not_committed_may_still_be_needed(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(2);
    struct raft_members other = {1, {{2, true}}};
    assert_int_equal(change(solo, other), 0);
    solo->now += 1000; /* it loses its majority before 2 has the entry */
    raft_solo_tick(solo);
    raft_solo_tick(solo);
    assert_int_equal(raft_role(solo->raft), RAFT_PRE_CANDIDATE); /* thesis 4.2.2 */
    raft_solo_free(solo);
}

static void test_a_truncated_set_gives_way_to_the_one_before(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_members four = {4, {{1, true}, {2, true}, {3, true}, {4, true}}};
    assert_int_equal(change(solo, four), 0);
    raft_solo_append(solo, 2, 9, (struct raft_position){1, 2}, TERMS(9), 1);
    assert_int_equal(raft_members(solo->raft)->count, 3); /* R30 */
    raft_solo_free(solo);
}

/* --- snapshots -------------------------------------------------------------------------------- */

static struct raft_message install(raft_id from, raft_term term, raft_index index, raft_term last)
{
    return (struct raft_message){
        .type = RAFT_MESSAGE_INSTALL_SNAPSHOT,
        .from = from,
        .term = term,
        .install_snapshot = {.meta = {.last = {index, last},
                                      .members = {2, {{1, true}, {2, true}}}}},
    };
}

static void test_a_snapshot_replaces_the_log_and_is_acknowledged_when_durable(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1), 2, 1);
    solo->is_disk_held = true;
    assert_true(raft_wants_snapshot(solo->raft, (struct raft_position){9, 2}));
    raft_solo_receive(solo, install(2, 2, 9, 2));
    assert_int_equal(solo->install_count, 1);
    assert_int_equal(solo->installed.last.index, 9);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2));
    raft_solo_persist(solo);
    assert_int_equal(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2)->append_response.index,
                     9);
    assert_int_equal(raft_last(solo->raft).index, 9);
    assert_int_equal(raft_members(solo->raft)->count, 2);
    raft_solo_append(solo, 2, 2, (struct raft_position){9, 2}, TERMS(2), 10);
    raft_solo_persist(solo);
    assert_int_equal(solo->applied, 10);
    raft_solo_free(solo);
}

static void test_a_snapshot_of_the_past_is_answered_and_ignored(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1), 1, 3);
    assert_false(raft_wants_snapshot(solo->raft, (struct raft_position){2, 1}));
    raft_solo_receive(solo, install(2, 1, 2, 1));
    assert_int_equal(solo->install_count, 0);
    assert_int_equal(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2)->append_response.index,
                     3);
    raft_solo_free(solo);
}

static void test_a_snapshot_that_the_log_contains_keeps_the_suffix(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1, 1), 1, 1);
    raft_solo_receive(solo, install(2, 1, 3, 1));
    assert_int_equal(solo->install_count, 0);
    assert_int_equal(raft_commit(solo->raft), 3);
    assert_int_equal(raft_last(solo->raft).index, 4);
    raft_solo_free(solo);
}

static void test_a_snapshot_that_contradicts_the_log_drops_all_of_it(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1, 1, 1, 1), 2, 1);
    raft_solo_receive(solo, install(2, 2, 3, 2));
    assert_int_equal(solo->install_count, 1);
    assert_int_equal(raft_last(solo->raft).index, 3);
    assert_int_equal(raft_last(solo->raft).term, 2);
    raft_solo_free(solo);
}

static void test_two_snapshots_back_to_back_leave_the_newer(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 1);
    solo->is_disk_held = true;
    raft_solo_receive(solo, install(2, 1, 9, 1));
    raft_solo_receive(solo, install(2, 1, 12, 1));
    raft_solo_receive(solo, install(2, 1, 10, 1)); /* late */
    raft_solo_persist(solo);
    assert_int_equal(raft_last(solo->raft).index, 12);
    assert_int_equal(solo->installed.last.index, 12);
    raft_solo_free(solo);
}

static void step_now(struct raft_solo *solo, struct raft_message message)
{
    message.to = 1;
    struct raft_event event = {.type = RAFT_RECEIVED, .now = solo->now, .received = &message};
    assert_int_equal(raft_step(solo->raft, &event), 0);
}

/* Both arrive before the caller looks: the state is switched first, then entries are written, then
 * said. */
static void test_entries_right_after_a_snapshot_come_in_a_batch_of_their_own(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 1);
    struct raft_entry entry = {.at = {10, 1}, .type = RAFT_ENTRY_COMMAND};
    step_now(solo, install(2, 1, 9, 1));
    step_now(solo,
             (struct raft_message){
                 .type = RAFT_MESSAGE_APPEND,
                 .from = 2,
                 .term = 1,
                 .append = {.previous = {9, 1}, .commit = 10, .entries = &entry, .count = 1}});
    struct raft_ready ready;
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_non_null(ready.snapshot);
    assert_int_equal(ready.entry_count, 0);
    assert_int_equal(ready.message_durable_count, 0);
    assert_int_equal(ready.committed_count, 0);
    uint64_t first = ready.sequence;
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_null(ready.snapshot);
    assert_int_equal(ready.entry_count, 1);
    assert_int_equal(ready.message_durable_count, 1);
    assert_int_equal(ready.messages_durable[0].append_response.index, 10);
    uint64_t second = ready.sequence;
    assert_false(raft_take_ready(solo->raft, &ready));
    struct raft_event event = {.type = RAFT_PERSISTED, .persisted = {.sequence = first}};
    assert_int_equal(raft_step(solo->raft, &event), 0);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.stable, 9);
    event.persisted.sequence = second;
    assert_int_equal(raft_step(solo->raft, &event), 0);
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_int_equal(ready.committed_count, 1);
    raft_solo_free(solo);
}

static void test_a_dead_peer_is_sent_no_snapshot(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(raft_solo_propose(solo, "x"), 0);
    }
    raft_solo_ack(solo, 2, 6);
    struct raft_event compacted = {.type = RAFT_COMPACTED, .compacted = {.index = 6}};
    assert_int_equal(raft_solo_step(solo, compacted), 0);
    raft_solo_forget(solo);
    raft_solo_tick(solo);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_INSTALL_SNAPSHOT, 3));
    raft_solo_receive(solo,
                      (struct raft_message){.type = RAFT_MESSAGE_APPEND_RESPONSE,
                                            .from = 3,
                                            .term = raft_term_current(solo->raft),
                                            .append_response = {.rejected = true, .index = 0}});
    const struct raft_message *sent = raft_solo_take(solo, RAFT_MESSAGE_INSTALL_SNAPSHOT, 3);
    assert_non_null(sent); /* it lives, and what it needs is gone */
    assert_int_equal(sent->install_snapshot.meta.last.index, 6);

    /* It cannot be reached just now: not again and again, but after the next heartbeat's answer. */
    struct raft_event failed = {.type = RAFT_SNAPSHOT_SENT,
                                .snapshot_sent = {.peer = 3, .index = 6, .ok = false}};
    assert_int_equal(raft_solo_step(solo, failed), 0);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_INSTALL_SNAPSHOT, 3));
    raft_solo_forget(solo);
    raft_solo_tick(solo);
    const struct raft_message *beat = raft_solo_take(solo, RAFT_MESSAGE_HEARTBEAT, 3);
    assert_non_null(beat);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_INSTALL_SNAPSHOT, 3));
    raft_solo_receive(
        solo, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT_RESPONSE,
                                    .from = 3,
                                    .term = raft_term_current(solo->raft),
                                    .heartbeat_response = {.round = beat->heartbeat.round}});
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_INSTALL_SNAPSHOT, 3));
    raft_solo_free(solo);
}

static void test_compaction_keeps_what_is_not_applied_and_members_of_its_base(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(1);
    struct raft_members two = {2, {{1, true}, {2, false}}};
    assert_int_equal(change(solo, two), 0);
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    struct raft_event compacted = {.type = RAFT_COMPACTED, .compacted = {.index = 2}};
    assert_int_equal(raft_solo_step(solo, compacted), 0);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.first, 3);
    assert_int_equal(raft_members_at(solo->raft, 2).count, 2);
    assert_int_equal(raft_members(solo->raft)->count, 2);
    assert_int_equal(raft_solo_step(solo, compacted), 0); /* again: nothing */
    raft_solo_free(solo);
}

/* --- transfer --------------------------------------------------------------------------------- */

static int transfer(struct raft_solo *solo, raft_id to)
{
    return raft_solo_step(solo,
                          (struct raft_event){.type = RAFT_TRANSFER, .transfer = {.peer = to}});
}

static void test_a_caught_up_target_is_told_at_once(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    assert_int_equal(transfer(solo, 2), 0);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_TIMEOUT_NOW, 2));
    assert_int_equal(raft_solo_propose(solo, "x"), ERR_BUSY);
    assert_int_equal(transfer(solo, 2), 0); /* the same again is fine */
    assert_int_equal(transfer(solo, 3), ERR_BUSY);
    raft_solo_free(solo);
}

static void test_a_lagging_target_is_told_when_it_has_the_log(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    assert_int_equal(transfer(solo, 2), 0);
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_TIMEOUT_NOW, 2));
    raft_solo_ack(solo, 2, 2);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_TIMEOUT_NOW, 2));
    raft_solo_free(solo);
}

static void test_a_transfer_to_itself_is_done_already(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    assert_int_equal(transfer(solo, 1), 0);
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    raft_solo_free(solo);
}

static void test_timeout_now_makes_a_voter_campaign_without_pre_vote(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, NULL, 0);
    struct raft_message now = {.type = RAFT_MESSAGE_TIMEOUT_NOW, .from = 3, .term = 1};
    raft_solo_receive(solo, now); /* not from the leader */
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
    now.from = 2;
    raft_solo_receive(solo, now);
    assert_int_equal(raft_role(solo->raft), RAFT_CANDIDATE);
    assert_true(raft_solo_take(solo, RAFT_MESSAGE_VOTE, 3)->vote.is_transfer);
    raft_solo_free(solo);
}

static void test_a_transfer_ends_with_the_targets_membership(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(3);
    struct raft_members two = {2, {{1, true}, {2, true}}};
    assert_int_equal(change(solo, two), 0);
    assert_int_equal(transfer(solo, 3), ERR_NOT_FOUND); /* removed, though not yet committed */
    assert_int_equal(transfer(solo, 2), 0);
    raft_solo_ack(solo, 2, 2);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_TIMEOUT_NOW, 2));
    raft_solo_free(solo);
}

/* Servers come and go faster than the departed are forgotten: the list of peers stays bounded. */
static void test_a_long_row_of_leaving_peers_is_bounded(void **state)
{
    (void)state;
    struct raft_solo *solo = leader_of(1);
    struct raft_status status;
    for (raft_id id = 10; id < 60; id++) {
        struct raft_members two = {2, {{1, true}, {id, false}}};
        struct raft_members one = {1, {{1, true}}};
        assert_int_equal(change(solo, two), 0);
        assert_int_equal(change(solo, one), 0);
        raft_get_status(solo->raft, &status);
        assert_in_range(status.peer_count, 1, 2 * RAFT_MEMBERS_MAX);
        raft_solo_forget(solo);
    }
    solo->now += 1000;
    raft_solo_tick(solo);
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.peer_count, 0);
    raft_solo_free(solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set_counts_from_the_moment_it_is_appended),
        cmocka_unit_test(test_a_lone_voter_commits_its_second_one_by_itself_and_nothing_after_it),
        cmocka_unit_test(test_a_change_waits_for_the_first_commit_of_the_term),
        cmocka_unit_test(test_a_second_change_waits_for_the_first),
        cmocka_unit_test(test_senseless_changes_are_refused),
        cmocka_unit_test(test_garbage_is_no_member_set),
        cmocka_unit_test(test_learners_do_not_count_for_commit_or_contact),
        cmocka_unit_test(test_a_removed_peer_gets_its_removal_and_is_forgotten),
        cmocka_unit_test(test_a_removed_leader_steps_down_after_the_commit_and_hands_over),
        cmocka_unit_test(test_a_server_whose_removal_is_not_committed_may_still_be_needed),
        cmocka_unit_test(test_a_truncated_set_gives_way_to_the_one_before),
        cmocka_unit_test(test_a_snapshot_replaces_the_log_and_is_acknowledged_when_durable),
        cmocka_unit_test(test_a_snapshot_of_the_past_is_answered_and_ignored),
        cmocka_unit_test(test_a_snapshot_that_the_log_contains_keeps_the_suffix),
        cmocka_unit_test(test_a_snapshot_that_contradicts_the_log_drops_all_of_it),
        cmocka_unit_test(test_two_snapshots_back_to_back_leave_the_newer),
        cmocka_unit_test(test_entries_right_after_a_snapshot_come_in_a_batch_of_their_own),
        cmocka_unit_test(test_a_dead_peer_is_sent_no_snapshot),
        cmocka_unit_test(test_compaction_keeps_what_is_not_applied_and_members_of_its_base),
        cmocka_unit_test(test_a_caught_up_target_is_told_at_once),
        cmocka_unit_test(test_a_lagging_target_is_told_when_it_has_the_log),
        cmocka_unit_test(test_a_transfer_to_itself_is_done_already),
        cmocka_unit_test(test_timeout_now_makes_a_voter_campaign_without_pre_vote),
        cmocka_unit_test(test_a_transfer_ends_with_the_targets_membership),
        cmocka_unit_test(test_a_long_row_of_leaving_peers_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
