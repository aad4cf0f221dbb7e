/* What a server may start from, and what it refuses to start from. */
#include "tests/support/test.h"

#include <string.h>

#include "raft/members.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/raft_solo.h"

#define TERMS(...) ((const raft_term[]){__VA_ARGS__, 0})

enum { LOG_MAX = 16 };

struct disk {
    struct raft_entry entries[LOG_MAX];
    struct raft_restored restored;
};

static void fill(struct disk *disk, raft_index first, const raft_term *terms)
{
    *disk = (struct disk){0};
    uint32_t count = 0;
    for (; terms[count] != 0; count++) {
        disk->entries[count] =
            (struct raft_entry){.at = {first + count, terms[count]}, .type = RAFT_ENTRY_COMMAND};
    }
    disk->restored.entries = disk->entries;
    disk->restored.entry_count = count;
    disk->restored.snapshot.members = (struct raft_members){3, {{1, true}, {2, true}, {3, true}}};
}

static struct raft_solo *start(const struct disk *disk)
{
    struct raft_options options = raft_cluster_options();
    options.id = 1;
    options.seed = 1;
    return raft_solo_new_from(&options, &disk->restored);
}

static void test_a_lost_log_is_refused(void **state)
{
    (void)state;
    struct disk disk;
    struct err err = {0};
    fill(&disk, 1, TERMS(1, 1));
    disk.restored.hard_state = (struct raft_hard_state){.term = 1, .commit = 3};
    assert_int_equal(raft_restored_check(&disk.restored, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "lost"));
    disk.restored.hard_state.commit = 2;
    assert_int_equal(raft_restored_check(&disk.restored, &err), 0);
    disk.restored.applied = 3; /* the state machine is ahead of the log */
    assert_int_equal(raft_restored_check(&disk.restored, &err), ERR_CORRUPT);
}

static void test_gaps_and_descending_terms_are_refused(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1, 2));
    disk.entries[1].at.index = 3;
    assert_int_equal(raft_restored_check(&disk.restored, NULL), ERR_CORRUPT);
    fill(&disk, 1, TERMS(2, 1));
    assert_int_equal(raft_restored_check(&disk.restored, NULL), ERR_CORRUPT);
    fill(&disk, 5, TERMS(1, 1));
    assert_int_equal(raft_restored_check(&disk.restored, NULL), ERR_CORRUPT);
}

static void test_a_bad_member_set_is_refused(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1));
    disk.entries[0].type = RAFT_ENTRY_CONFIG; /* without data */
    assert_int_equal(raft_restored_check(&disk.restored, NULL), ERR_CORRUPT);
    fill(&disk, 1, TERMS(1));
    disk.restored.snapshot.members.member[1].id = 1; /* twice the same */
    assert_int_equal(raft_restored_check(&disk.restored, NULL), ERR_CORRUPT);
}

static void test_entries_that_the_snapshot_covers_are_skipped(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1, 1, 2, 2));
    disk.restored.hard_state.term = 2;
    disk.restored.snapshot.last = (struct raft_position){3, 2};
    struct raft_solo *solo = start(&disk);
    struct raft_status status;
    raft_get_status(solo->raft, &status);
    assert_int_equal(status.first, 4);
    assert_int_equal(status.last.index, 4);
    assert_int_equal(status.commit, 3);
    assert_int_equal(status.applied, 3);
    raft_solo_free(solo);
}

/* The state machine was switched to a peer's state, and the crash came before the log knew (R34,
 * R35). */
static void test_a_log_that_contradicts_an_installed_snapshot_is_dropped(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1, 1, 1, 1));
    disk.restored.hard_state = (struct raft_hard_state){.term = 1, .vote = 1, .commit = 1};
    disk.restored.snapshot.last = (struct raft_position){3, 2};
    struct raft_solo *solo = start(&disk);
    assert_int_equal(raft_last(solo->raft).index, 3);
    assert_int_equal(raft_last(solo->raft).term, 2);
    assert_int_equal(raft_term_current(solo->raft), 2); /* at least its last entry's */
    assert_int_equal(solo->hard_state.term, 2);         /* and that is written down */
    assert_int_equal(solo->hard_state.vote, 0);
    raft_solo_free(solo);
}

static void test_term_is_never_below_the_last_entry(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1, 4)); /* a torn batch: entries without their hard state */
    disk.restored.hard_state = (struct raft_hard_state){.term = 3, .vote = 2};
    struct raft_solo *solo = start(&disk);
    assert_int_equal(raft_term_current(solo->raft), 4);
    assert_int_equal(raft_hard_state(solo->raft).vote, 0);
    raft_solo_free(solo);
}

static void test_a_vote_survives_a_restart(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1));
    disk.restored.hard_state = (struct raft_hard_state){.term = 3, .vote = 2};
    struct raft_solo *solo = start(&disk);
    raft_solo_receive(
        solo, (struct raft_message){
                  .type = RAFT_MESSAGE_VOTE, .from = 3, .term = 3, .vote = {.last = {9, 3}}});
    assert_false(raft_solo_take(solo, RAFT_MESSAGE_VOTE_RESPONSE, 3)->vote_response.granted);
    raft_solo_free(solo);
}

static void test_what_was_applied_is_not_applied_again(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1, 1, 1, 1));
    disk.restored.hard_state = (struct raft_hard_state){.term = 1, .commit = 2};
    disk.restored.applied = 3;
    struct raft_solo *solo = start(&disk);
    assert_int_equal(raft_commit(solo->raft), 3);
    assert_int_equal(solo->applied, 3);
    raft_solo_append(solo, 2, 1, (struct raft_position){4, 1}, NULL, 4);
    assert_int_equal(solo->applied, 4); /* the solo checks that it goes on after 3 */
    raft_solo_free(solo);
}

static void test_members_come_from_the_newest_entry_of_the_log(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1, 1, 1));
    struct raft_members two = {2, {{1, true}, {2, true}}};
    disk.entries[1].type = RAFT_ENTRY_CONFIG;
    disk.entries[1].data = raft_members_encode(&two, (struct bytes){NULL, 0});
    disk.restored.hard_state.term = 1;
    struct raft_solo *solo = start(&disk);
    assert_int_equal(raft_members(solo->raft)->count, 2);
    assert_int_equal(raft_members_at(solo->raft, 1).count, 3);
    assert_int_equal(raft_members_at(solo->raft, 2).count, 2);
    raft_solo_free(solo);
    blob_unref(disk.entries[1].data);
}

static void test_a_server_without_members_waits_to_be_contacted(void **state)
{
    (void)state;
    struct disk disk = {0};
    struct raft_solo *solo = start(&disk);
    for (int i = 0; i < 5; i++) {
        raft_solo_tick(solo);
    }
    assert_int_equal(raft_role(solo->raft), RAFT_FOLLOWER);
    assert_int_equal(raft_term_current(solo->raft), 0);
    assert_int_equal(solo->sent_count, 0);
    raft_solo_free(solo);
}

static void test_a_single_voter_does_not_wait_for_anybody(void **state)
{
    (void)state;
    struct disk disk;
    fill(&disk, 1, TERMS(1));
    disk.restored.hard_state.term = 1;
    disk.restored.snapshot.members = (struct raft_members){2, {{1, true}, {2, false}}};
    struct raft_solo *solo = start(&disk);
    assert_int_equal(raft_deadline(solo->raft), 0);
    raft_solo_tick(solo);
    assert_int_equal(raft_role(solo->raft), RAFT_LEADER);
    assert_int_equal(solo->now, 0);
    raft_solo_free(solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lost_log_is_refused),
        cmocka_unit_test(test_gaps_and_descending_terms_are_refused),
        cmocka_unit_test(test_a_bad_member_set_is_refused),
        cmocka_unit_test(test_entries_that_the_snapshot_covers_are_skipped),
        cmocka_unit_test(test_a_log_that_contradicts_an_installed_snapshot_is_dropped),
        cmocka_unit_test(test_term_is_never_below_the_last_entry),
        cmocka_unit_test(test_a_vote_survives_a_restart),
        cmocka_unit_test(test_what_was_applied_is_not_applied_again),
        cmocka_unit_test(test_members_come_from_the_newest_entry_of_the_log),
        cmocka_unit_test(test_a_server_without_members_waits_to_be_contacted),
        cmocka_unit_test(test_a_single_voter_does_not_wait_for_anybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
