/* watch_feed.h - the state machine's side of the watch hub. */
#ifndef KVSTORE_WATCH_WATCH_FEED_H
#define KVSTORE_WATCH_WATCH_FEED_H

#include "kvstore/mvcc/mvcc.h"
#include "kvstore/watch/watch_hub.h"

/* mvcc is borrowed. */
struct watch_hub *watch_hub_new(struct mvcc *mvcc);
void watch_hub_free(struct watch_hub *hub); /* all streams are freed before; NULL is fine */

/* For the headers of responses. */
void watch_hub_set_identity(struct watch_hub *hub, uint64_t cluster_id, uint64_t member_id);
void watch_hub_set_term(struct watch_hub *hub, uint64_t raft_term);

/* The changes of one revision, just applied. */
void watch_hub_notify(struct watch_hub *hub, const struct mvcc_change *changes, uint32_t count);
/* The compact revision rose: watchers that still need older events are cancelled in the next
 * steps. */
void watch_hub_compacted(struct watch_hub *hub);
/* The store was replaced by a snapshot: every watcher catches up from its position. old_revision
 * is what the synced ones have seen. */
void watch_hub_replaced(struct watch_hub *hub, int64_t old_revision);

/* One slice of catching up; at most records revisions (a revision is never left half done). True:
 * more is left that can be done now. */
bool watch_hub_step(struct watch_hub *hub, uint32_t records);

void watch_hub_check(const struct watch_hub *hub);

#endif
