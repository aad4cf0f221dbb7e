/* leader.h - one of several: a Lease in kube-system that its holder renews.
 *
 * Clocks are not compared between machines: a lease is free when its record has not changed for its
 * duration by our own clock (client-go leaderelection). */
#ifndef ORCHESTRATOR_ORCHD_LEADER_H
#define ORCHESTRATOR_ORCHD_LEADER_H

#include "orchestrator/registry/registry.h"
#include "proto/timers.h"

enum { LEADER_LEASE_MS = 15 * 1000, LEADER_RENEW_MS = 10 * 1000, LEADER_RETRY_MS = 2 * 1000 };

struct leader;

struct leader_options {
    struct registry *registry; /* borrowed */
    struct timers *timers;     /* borrowed */
    const char *name;          /* of the lease; borrowed */
    const char *identity;      /* borrowed */
    void (*on_change)(void *context, bool is_leader);
    void *context;
};

/* Begins to try at once. */
struct leader *leader_new(const struct leader_options *options);
void leader_free(struct leader *leader); /* the registry is freed before */
bool leader_is_held(const struct leader *leader);

#endif
