/* watch_position.h - how far a watch has come, and so where it resumes. Pure.
 *
 * The rule (etcd-api 1.8, "resumable"): the next revision wanted is one more than the last that was
 * delivered whole, or than a progress promise; before anything came, the start revision, or for a
 * watch from "now" one more than the revision at which the server first created it. */
#ifndef KVSTORE_CLIENT_WATCH_POSITION_H
#define KVSTORE_CLIENT_WATCH_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/rpc.pb-c.h"

struct watch_position {
    int64_t next_revision; /* 0: from now, and now is not known yet */
};

static inline void watch_position_init(struct watch_position *position, int64_t start_revision)
{
    position->next_revision = start_revision > 0 ? start_revision : 0;
}

/* The server made the watch when the store was at that revision. */
void watch_position_on_created(struct watch_position *position, int64_t store_revision);
void watch_position_on_progress(struct watch_position *position, int64_t store_revision);
/* Whole revisions arrived (each event has a kv): events before the position were delivered before
 * the connection broke, so they are dropped. Returns the index of the first event to deliver
 * (count: none). */
size_t watch_position_on_events(struct watch_position *position, Mvccpb__Event *const *events,
                                size_t count);

#endif
