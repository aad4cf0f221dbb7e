#include "base/mailbox.h"

#include <errno.h>
#include <time.h>

#include "base/check.h"

void mailbox_init(struct mailbox *mailbox)
{
    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_mutex_init(&mailbox->lock, NULL) == 0);
    CHECK(pthread_cond_init(&mailbox->filled, &attributes) == 0);
    CHECK(pthread_condattr_destroy(&attributes) == 0);
    list_init(&mailbox->items);
    mailbox->is_closed = false;
}

void mailbox_deinit(struct mailbox *mailbox)
{
    CHECK(list_is_empty(&mailbox->items));
    CHECK(pthread_cond_destroy(&mailbox->filled) == 0);
    CHECK(pthread_mutex_destroy(&mailbox->lock) == 0);
}

static void lock(struct mailbox *mailbox)
{
    CHECK(pthread_mutex_lock(&mailbox->lock) == 0);
}

static void unlock(struct mailbox *mailbox)
{
    CHECK(pthread_mutex_unlock(&mailbox->lock) == 0);
}

void mailbox_put(struct mailbox *mailbox, struct list *item)
{
    lock(mailbox);
    CHECK(!mailbox->is_closed);
    list_push_back(&mailbox->items, item);
    CHECK(pthread_cond_signal(&mailbox->filled) == 0);
    unlock(mailbox);
}

void mailbox_close(struct mailbox *mailbox)
{
    lock(mailbox);
    mailbox->is_closed = true;
    CHECK(pthread_cond_broadcast(&mailbox->filled) == 0);
    unlock(mailbox);
}

bool mailbox_take_all(struct mailbox *mailbox, struct list *list)
{
    lock(mailbox);
    bool is_any = !list_is_empty(&mailbox->items);
    list_splice_back(list, &mailbox->items);
    unlock(mailbox);
    return is_any;
}

struct list *mailbox_take(struct mailbox *mailbox)
{
    lock(mailbox);
    struct list *item = list_pop_front(&mailbox->items);
    unlock(mailbox);
    return item;
}

bool mailbox_wait(struct mailbox *mailbox, uint64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                      .tv_nsec = (long)(deadline_ns % 1000000000)};
    lock(mailbox);
    while (list_is_empty(&mailbox->items) && !mailbox->is_closed) {
        int rc = deadline_ns == UINT64_MAX
                     ? pthread_cond_wait(&mailbox->filled, &mailbox->lock)
                     : pthread_cond_timedwait(&mailbox->filled, &mailbox->lock, &deadline);
        if (rc == ETIMEDOUT) {
            break;
        }
        CHECK(rc == 0);
    }
    bool is_any = !list_is_empty(&mailbox->items);
    unlock(mailbox);
    return is_any;
}

bool mailbox_is_closed(struct mailbox *mailbox)
{
    lock(mailbox);
    bool is_closed = mailbox->is_closed;
    unlock(mailbox);
    return is_closed;
}
