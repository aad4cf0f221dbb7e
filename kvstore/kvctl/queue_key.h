/* queue_key.h - waiting in line under a prefix: what lock and elect have in common (etcd-api 1.13).
 *
 * Everybody puts <name>/<lease> under a lease of its own; the line's order is that of the create
 * revisions. Whoever is first has it; the others wait for the one before them to go. */
#ifndef KVSTORE_KVCTL_QUEUE_KEY_H
#define KVSTORE_KVCTL_QUEUE_KEY_H

#include "kvstore/client/lease_keeper.h"
#include "kvstore/kvctl/session.h"

struct queue_key {
    struct invocation *invocation;
    int64_t lease;
    struct lease_keeper *keeper;
    const char *prefix;      /* "<name>/" */
    const char *key;         /* in the invocation's arena */
    int64_t revision;        /* the key's create revision: also the fencing token */
    int64_t header_revision; /* of the answer that put or found the key */
    bool is_expired;
    uv_signal_t interrupt;
    uv_signal_t terminate;
    bool is_signalled;
};

/* All return a command_exit and print what failed. */

/* Grant a lease and keep it alive; signals set is_signalled from now on. */
MUST_USE int queue_key_open(struct queue_key *queue, struct invocation *invocation,
                            const char *name, int64_t ttl_s);
/* Join the line with a value and wait for the front. EXIT_CODE_OK also when a signal came first:
 * see is_signalled. */
MUST_USE int queue_key_acquire(struct queue_key *queue, const char *value);
/* Print the own key. */
MUST_USE int queue_key_show(struct queue_key *queue);
/* Run the loop until a signal or the end of the lease. */
void queue_key_hold(struct queue_key *queue);
/* Leave the line: delete the key if it is still ours. */
MUST_USE int queue_key_release(struct queue_key *queue);
/* Revoke the lease, close everything and the session. */
void queue_key_close(struct queue_key *queue);

#endif
