/* mailbox.h - hand objects to another thread, in order.
 *
 * An intrusive queue with a lock: any thread puts, one takes. The lock is held for a few
 * instructions only. Together with the two disk threads this is the one place that waits. */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct list items;
    bool is_closed;
};

void mailbox_init(struct mailbox *mailbox);
void mailbox_deinit(struct mailbox *mailbox); /* empty, or the items leak */

void mailbox_put(struct mailbox *mailbox, struct list *item);
/* Nothing more will be put; whoever waits wakes up. */
void mailbox_close(struct mailbox *mailbox);

/* Move all items to the end of list, oldest first. False: there were none. Never blocks. */
bool mailbox_take_all(struct mailbox *mailbox, struct list *list);
/* The oldest item, or NULL. Never blocks. */
struct list *mailbox_take(struct mailbox *mailbox);

/* Wait until there is an item, it was closed, or deadline_ns (CLOCK_MONOTONIC; UINT64_MAX: never)
 * has passed. True: there is an item. */
bool mailbox_wait(struct mailbox *mailbox, uint64_t deadline_ns);
bool mailbox_is_closed(struct mailbox *mailbox);

#endif
