#include "tests/support/test.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mailbox.h"
#include "base/mem.h"

enum { SENDERS = 4, LETTERS = 5000 };

struct letter {
    struct list link;
    uint32_t sender;
    uint32_t number;
};

struct sender {
    struct mailbox *mailbox;
    uint32_t index;
};

static void *send_letters(void *argument)
{
    const struct sender *sender = argument;
    for (uint32_t i = 0; i < LETTERS; i++) {
        struct letter *letter = mem_zalloc(sizeof *letter);
        letter->sender = sender->index;
        letter->number = i;
        mailbox_put(sender->mailbox, &letter->link);
    }
    return NULL;
}

/* Takes what is there; false: a letter of some sender was out of order. */
static bool take_letters(struct mailbox *mailbox, uint32_t *next, uint32_t *count)
{
    struct list taken;
    list_init(&taken);
    (void)mailbox_take_all(mailbox, &taken);
    bool is_ordered = true;
    list_foreach_safe (link, &taken) {
        struct letter *letter = container_of(link, struct letter, link);
        is_ordered = is_ordered && letter->number == next[letter->sender];
        next[letter->sender] = letter->number + 1;
        *count += 1;
        list_remove(link);
        mem_free(letter);
    }
    return is_ordered;
}

static void test_letters_of_each_sender_arrive_whole_and_in_order(void **state)
{
    (void)state;
    struct mailbox mailbox;
    mailbox_init(&mailbox);
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&mailbox, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &senders[i]), 0);
    }
    uint32_t next[SENDERS] = {0};
    uint32_t count = 0;
    bool is_ordered = true;
    while (count < SENDERS * LETTERS && mailbox_wait(&mailbox, UINT64_MAX)) {
        is_ordered = take_letters(&mailbox, next, &count) && is_ordered;
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(is_ordered);
    assert_int_equal(count, SENDERS * LETTERS);
    assert_null(mailbox_take(&mailbox));
    mailbox_deinit(&mailbox);
}

static void *close_it(void *argument)
{
    mailbox_close(argument);
    return NULL;
}

static void test_whoever_waits_wakes_when_it_is_closed(void **state)
{
    (void)state;
    struct mailbox mailbox;
    mailbox_init(&mailbox);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_it, &mailbox), 0);
    assert_false(mailbox_wait(&mailbox, UINT64_MAX));
    assert_true(mailbox_is_closed(&mailbox));
    assert_int_equal(pthread_join(thread, NULL), 0);
    mailbox_deinit(&mailbox);
}

static void test_a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    struct mailbox mailbox;
    mailbox_init(&mailbox);
    assert_false(mailbox_wait(&mailbox, clock_monotonic_ns() + 1000));
    assert_false(mailbox_is_closed(&mailbox));
    mailbox_deinit(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters_of_each_sender_arrive_whole_and_in_order),
        cmocka_unit_test(test_whoever_waits_wakes_when_it_is_closed),
        cmocka_unit_test(test_a_wait_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
