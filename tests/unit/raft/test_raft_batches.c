/* Batches on their way to the disk, and messages on their way to the caller. */
#include "tests/support/test.h"

#include "raft/batches.h"
#include "raft/outbox.h"

static void test_batches_come_back_in_order_up_to_the_sequence(void **state)
{
    (void)state;
    struct raft_batches batches = {0};
    assert_null(raft_batches_find_oldest(&batches));
    for (raft_index last = 1; last <= 3; last++) {
        assert_int_equal(raft_batches_add(&batches, &(struct raft_batch){.last = last}), last);
    }
    assert_int_equal(raft_batches_find_oldest(&batches)->sequence, 1);
    struct raft_batch batch;
    assert_true(raft_batches_take(&batches, 2, &batch));
    assert_int_equal(batch.last, 1);
    assert_true(raft_batches_take(&batches, 2, &batch));
    assert_int_equal(batch.last, 2);
    assert_false(raft_batches_take(&batches, 2, &batch));
    assert_true(raft_batches_take(&batches, 3, &batch));
    assert_false(raft_batches_take(&batches, 3, &batch));
}

static void test_a_truncated_log_takes_back_what_batches_would_prove(void **state)
{
    (void)state;
    struct raft_batches batches = {0};
    (void)raft_batches_add(&batches, &(struct raft_batch){.last = 5});
    (void)raft_batches_add(&batches, &(struct raft_batch){.last = 9});
    raft_batches_clamp(&batches, 6);
    (void)raft_batches_add(&batches, &(struct raft_batch){.last = 8});
    struct raft_batch batch;
    assert_true(raft_batches_take(&batches, 3, &batch));
    assert_int_equal(batch.last, 5);
    assert_true(raft_batches_take(&batches, 3, &batch));
    assert_int_equal(batch.last, 6);
    assert_true(raft_batches_take(&batches, 3, &batch));
    assert_int_equal(batch.last, 8);
}

static void test_the_ring_of_batches_is_bounded_and_wraps(void **state)
{
    (void)state;
    struct raft_batches batches = {0};
    struct raft_batch batch;
    for (uint64_t i = 0; i < 40; i++) {
        (void)raft_batches_add(&batches, &(struct raft_batch){.last = i});
        assert_true(raft_batches_take(&batches, i + 1, &batch));
    }
    for (uint32_t i = 0; i < RAFT_BATCHES_MAX; i++) {
        assert_false(raft_batches_is_full(&batches));
        (void)raft_batches_add(&batches, &(struct raft_batch){.last = 100 + i});
    }
    assert_true(raft_batches_is_full(&batches));
    for (uint32_t i = 0; i < RAFT_BATCHES_MAX; i++) {
        assert_true(raft_batches_take(&batches, batches.last_sequence, &batch));
        assert_int_equal(batch.last, 100 + i);
    }
}

static struct raft_message ack(raft_id to, raft_term term, raft_index match)
{
    return (struct raft_message){.type = RAFT_MESSAGE_APPEND_RESPONSE,
                                 .from = 1,
                                 .to = to,
                                 .term = term,
                                 .append_response = {.index = match}};
}

static void test_a_later_ack_replaces_the_one_before(void **state)
{
    (void)state;
    struct raft_outbox outbox = {0};
    struct raft_message messages[] = {ack(2, 1, 5), ack(2, 1, 7), ack(3, 1, 7), ack(3, 2, 7)};
    for (size_t i = 0; i < 4; i++) {
        assert_true(raft_outbox_add(&outbox, &messages[i]));
    }
    assert_int_equal(outbox.count, 3);
    assert_int_equal(outbox.messages[0].append_response.index, 7);
    struct raft_message rejected = ack(3, 2, 9);
    rejected.append_response.rejected = true;
    assert_true(raft_outbox_add(&outbox, &rejected));
    assert_int_equal(outbox.count, 4); /* a rejection says something else */
    raft_outbox_deinit(&outbox);
}

static void test_the_outbox_is_bounded(void **state)
{
    (void)state;
    struct raft_outbox outbox = {0};
    struct raft_message message = {.type = RAFT_MESSAGE_HEARTBEAT, .from = 1, .to = 2, .term = 1};
    for (uint32_t i = 0; i < RAFT_MESSAGES_MAX; i++) {
        assert_true(raft_outbox_add(&outbox, &message));
    }
    assert_false(raft_outbox_add(&outbox, &message));
    outbox.is_lent = true;
    raft_outbox_settle(&outbox);
    assert_int_equal(outbox.count, 0);
    raft_outbox_deinit(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_come_back_in_order_up_to_the_sequence),
        cmocka_unit_test(test_a_truncated_log_takes_back_what_batches_would_prove),
        cmocka_unit_test(test_the_ring_of_batches_is_bounded_and_wraps),
        cmocka_unit_test(test_a_later_ack_replaces_the_one_before),
        cmocka_unit_test(test_the_outbox_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
