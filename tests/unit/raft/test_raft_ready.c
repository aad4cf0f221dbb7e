/* Batches, durability and limits: what raft_take_ready() gives, and when. */
#include "tests/support/test.h"

#include "base/mem.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/raft_solo.h"

#define TERMS(...) ((const raft_term[]){__VA_ARGS__, 0})

static void test_nothing_to_do_is_said(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    struct raft_ready ready;
    assert_false(raft_take_ready(solo->raft, &ready));
    raft_solo_free(solo);
}

static void test_many_proposals_make_one_batch_and_one_message_for_each_peer(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 1);
    raft_solo_ack(solo, 3, 1);
    for (int i = 0; i < 10; i++) {
        struct raft_entry entry = {.type = RAFT_ENTRY_COMMAND};
        struct raft_event event = {
            .type = RAFT_PROPOSE, .now = solo->now, .propose = {.entries = &entry, .count = 1}};
        assert_int_equal(raft_step(solo->raft, &event), 0);
    }
    struct raft_ready ready;
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_int_equal(ready.entry_count, 10);
    assert_int_equal(ready.message_count, 2);
    assert_int_equal(ready.messages[0].append.count, 10);
    assert_int_equal(ready.message_durable_count, 0); /* entries leave while its own disk writes */
    assert_false(raft_take_ready(solo->raft, &ready));
    raft_solo_free(solo);
}

static void test_the_leader_counts_itself_when_its_batch_is_durable(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    solo->is_disk_held = true;
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    raft_solo_ack(solo, 2, 2);
    assert_int_equal(raft_commit(solo->raft), 1); /* one of three has entry 2 durably */
    raft_solo_persist(solo);
    assert_int_equal(raft_commit(solo->raft), 2);
    raft_solo_free(solo);
}

static void test_followers_may_commit_before_the_leaders_disk_but_it_applies_after(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    solo->is_disk_held = true;
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    raft_solo_ack(solo, 2, 2);
    raft_solo_ack(solo, 3, 2);
    assert_int_equal(raft_commit(solo->raft), 2);
    assert_int_equal(solo->applied, 1);
    raft_solo_persist(solo);
    assert_int_equal(solo->applied, 2);
    raft_solo_free(solo);
}

static void test_the_saved_commit_never_leads_what_is_durable(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    solo->is_disk_held = true;
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1, 1), 3);
    assert_int_equal(raft_commit(solo->raft), 3);
    assert_int_equal(solo->hard_state.commit, 1); /* entries 2 and 3 are only being written */
    raft_solo_free(solo);
}

static void test_an_answer_waits_for_batches_under_way_even_if_it_adds_nothing(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    solo->is_disk_held = true;
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1), 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1), 0); /* a duplicate */
    assert_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2));
    assert_int_equal(solo->sequence, 2);
    raft_solo_persist(solo);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2));
    raft_solo_free(solo);
}

static void test_an_answer_about_durable_things_leaves_at_once(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    uint64_t before = solo->sequence;
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, NULL, 0);
    assert_non_null(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2));
    assert_int_equal(solo->sequence, before);
    raft_solo_free(solo);
}

static void test_a_late_completion_does_not_cover_replaced_entries(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, TERMS(1), 1, 0);
    solo->is_disk_held = true;
    raft_solo_append(solo, 2, 1, (struct raft_position){1, 1}, TERMS(1, 1), 0);
    uint64_t first = solo->sequence;
    raft_solo_append(solo, 3, 2, (struct raft_position){1, 1}, TERMS(2, 2, 2), 4);
    struct raft_event event = {.type = RAFT_PERSISTED, .persisted = {.sequence = first}};
    assert_int_equal(raft_solo_step(solo, event), 0);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.stable, 1); /* R21 */
    assert_int_equal(solo->applied, 1);
    event.persisted.sequence = solo->sequence;
    assert_int_equal(raft_solo_step(solo, event), 0);
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.stable, 4);
    assert_int_equal(solo->applied, 4);
    raft_solo_free(solo);
}

static void test_batches_under_way_are_bounded(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(1, NULL, 1, 0);
    raft_solo_lead(solo, 1);
    solo->is_disk_held = true;
    for (int i = 0; i < RAFT_BATCHES_MAX + 10; i++) {
        assert_int_equal(raft_solo_propose(solo, "x"), 0);
    }
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.batches, RAFT_BATCHES_MAX);
    solo->is_disk_held = false;
    raft_solo_persist(solo);
    assert_int_equal(solo->applied, 1 + RAFT_BATCHES_MAX + 10);
    raft_solo_free(solo);
}

static void test_uncommitted_bytes_are_bounded(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    options.id = 1;
    options.uncommitted_bytes_max = 1000;
    struct raft_restored restored = {.snapshot.members = {2, {{1, true}, {2, true}}}};
    struct raft_solo *solo = raft_solo_new_from(&options, &restored);
    raft_solo_lead(solo, 2);
    int accepted = 0;
    while (raft_solo_propose(solo, "0123456789012345678901234567890123456789") == 0) {
        accepted++;
        assert_true(accepted < 100);
    }
    assert_int_equal(accepted, 13);                   /* 32 of the NOOP, 72 each */
    assert_int_equal(raft_solo_propose(solo, ""), 0); /* a smaller one still fits */
    assert_int_equal(raft_solo_propose(solo, "x"), ERR_BUSY);
    raft_solo_ack(solo, 2, raft_last(solo->raft).index);
    assert_int_equal(raft_solo_propose(solo, "x"), 0);
    raft_solo_free(solo);
}

static void test_a_first_large_entry_is_let_in(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    options.id = 1;
    options.uncommitted_bytes_max = 100;
    struct raft_restored restored = {.snapshot.members = {1, {{1, true}}}};
    struct raft_solo *solo = raft_solo_new_from(&options, &restored);
    raft_solo_lead(solo, 1);
    char *large = mem_zalloc(1001);
    for (int i = 0; i < 1000; i++) {
        large[i] = 'x';
    }
    assert_int_equal(raft_solo_propose(solo, large), 0);
    assert_int_equal(raft_solo_propose(solo, large), 0); /* the first is committed by now */
    mem_free(large);
    raft_solo_free(solo);
}

static void test_the_log_in_memory_is_bounded(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    options.id = 1;
    options.uncommitted_bytes_max = 500;
    options.log_bytes_max = 1000;
    struct raft_restored restored = {.snapshot.members = {1, {{1, true}}}};
    struct raft_solo *solo = raft_solo_new_from(&options, &restored);
    raft_solo_lead(solo, 1);
    int accepted = 0;
    while (raft_solo_propose(solo, "") == 0) {
        accepted++;
        assert_true(accepted < 100);
    }
    assert_int_equal(accepted, 30); /* 31 entries of 32 bytes */
    struct raft_event event = {.type = RAFT_COMPACTED, .compacted = {.index = 20}};
    assert_int_equal(raft_solo_step(solo, event), 0);
    assert_int_equal(raft_solo_propose(solo, ""), 0);
    raft_solo_free(solo);
}

static void test_a_full_follower_takes_what_fits(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    options.id = 1;
    options.uncommitted_bytes_max = 50;
    options.log_bytes_max = 100;
    struct raft_restored restored = {.snapshot.members = {2, {{1, true}, {2, true}}}};
    struct raft_solo *solo = raft_solo_new_from(&options, &restored);
    raft_solo_append(solo, 2, 1, (struct raft_position){0, 0}, TERMS(1, 1, 1, 1, 1), 5);
    assert_int_equal(raft_last(solo->raft).index, 3);
    assert_int_equal(raft_solo_take(solo, RAFT_MESSAGE_APPEND_RESPONSE, 2)->append_response.index,
                     3);
    assert_int_equal(solo->applied, 3);
    struct raft_event event = {.type = RAFT_COMPACTED, .compacted = {.index = 3}};
    assert_int_equal(raft_solo_step(solo, event), 0);
    raft_solo_append(solo, 2, 1, (struct raft_position){3, 1}, TERMS(1, 1), 5);
    assert_int_equal(solo->applied, 5);
    raft_solo_free(solo);
}

static void test_a_refused_proposal_changes_nothing(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    assert_int_equal(raft_solo_propose(solo, "x"), ERR_NOT_LEADER);
    assert_int_equal(raft_last(solo->raft).index, 0);
    assert_int_equal(solo->sequence, 0);
    raft_solo_free(solo);
}

static void test_appends_are_cut_to_the_message_limit(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    raft_solo_lead(solo, 3);
    raft_solo_ack(solo, 2, 1);
    raft_solo_forget(solo);
    struct raft_entry entries[40] = {0};
    for (int i = 0; i < 40; i++) {
        entries[i].type = RAFT_ENTRY_COMMAND;
    }
    struct raft_event event = {.type = RAFT_PROPOSE, .propose = {.entries = entries, .count = 40}};
    assert_int_equal(raft_solo_step(solo, event), 0);
    uint32_t got = 0;
    for (;;) {
        const struct raft_message *append = raft_solo_take(solo, RAFT_MESSAGE_APPEND, 2);
        if (append == NULL) {
            break;
        }
        assert_in_range(append->append.count, 1, 16); /* 16 * 32 = 512 */
        assert_int_equal(append->append.previous.index, 1 + got);
        got += append->append.count;
    }
    assert_int_equal(got, 40);
    raft_solo_free(solo);
}

static void test_many_committed_entries_come_in_parts(void **state)
{
    (void)state;
    struct raft_options options = raft_cluster_options();
    options.id = 1;
    options.uncommitted_bytes_max = 4 << 20;
    options.log_bytes_max = 16 << 20;
    struct raft_restored restored = {.snapshot.members = {1, {{1, true}}}};
    struct raft_solo *solo = raft_solo_new_from(&options, &restored);
    raft_solo_lead(solo, 1);
    enum { COUNT = RAFT_COMMITTED_MAX + 100 };
    struct raft_entry *entries = mem_calloc(COUNT, sizeof *entries);
    for (uint32_t i = 0; i < COUNT; i++) {
        entries[i].type = RAFT_ENTRY_COMMAND;
    }
    struct raft_event event = {
        .type = RAFT_PROPOSE, .now = solo->now, .propose = {.entries = entries, .count = COUNT}};
    assert_int_equal(raft_step(solo->raft, &event), 0);
    struct raft_ready ready;
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_int_equal(ready.entry_count, COUNT);
    event = (struct raft_event){
        .type = RAFT_PERSISTED, .now = solo->now, .persisted = {.sequence = ready.sequence}};
    assert_int_equal(raft_step(solo->raft, &event), 0);
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_int_equal(ready.committed_count, RAFT_COMMITTED_MAX);
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_int_equal(ready.committed_count, 100);
    assert_false(raft_take_ready(solo->raft, &ready));
    mem_free(entries);
    raft_solo_free(solo);
}

static void test_messages_that_nobody_takes_are_dropped_and_counted(void **state)
{
    (void)state;
    struct raft_solo *solo = raft_solo_new(3, NULL, 1, 0);
    for (uint32_t i = 0; i < RAFT_MESSAGES_MAX + 5; i++) {
        /* Answers to two servers in turn, so that none replaces the one before. */
        struct raft_message beat = {
            .type = RAFT_MESSAGE_PRE_VOTE, .from = 2 + i % 2, .to = 1, .term = 9};
        struct raft_event event = {.type = RAFT_RECEIVED, .now = 0, .received = &beat};
        assert_int_equal(raft_step(solo->raft, &event), 0);
    }
    struct raft_ready ready;
    assert_true(raft_take_ready(solo->raft, &ready));
    assert_int_equal(ready.message_count, RAFT_MESSAGES_MAX);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.messages_dropped, 5);
    raft_solo_free(solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_to_do_is_said),
        cmocka_unit_test(test_many_proposals_make_one_batch_and_one_message_for_each_peer),
        cmocka_unit_test(test_the_leader_counts_itself_when_its_batch_is_durable),
        cmocka_unit_test(test_followers_may_commit_before_the_leaders_disk_but_it_applies_after),
        cmocka_unit_test(test_the_saved_commit_never_leads_what_is_durable),
        cmocka_unit_test(test_an_answer_waits_for_batches_under_way_even_if_it_adds_nothing),
        cmocka_unit_test(test_an_answer_about_durable_things_leaves_at_once),
        cmocka_unit_test(test_a_late_completion_does_not_cover_replaced_entries),
        cmocka_unit_test(test_batches_under_way_are_bounded),
        cmocka_unit_test(test_uncommitted_bytes_are_bounded),
        cmocka_unit_test(test_a_first_large_entry_is_let_in),
        cmocka_unit_test(test_the_log_in_memory_is_bounded),
        cmocka_unit_test(test_a_full_follower_takes_what_fits),
        cmocka_unit_test(test_a_refused_proposal_changes_nothing),
        cmocka_unit_test(test_appends_are_cut_to_the_message_limit),
        cmocka_unit_test(test_many_committed_entries_come_in_parts),
        cmocka_unit_test(test_messages_that_nobody_takes_are_dropped_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
