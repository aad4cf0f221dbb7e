/* planted.h - bugs planted on purpose, to prove that the tests find such bugs.
 *
 * PLANTED(n) is the constant false in the product. The library kv_state_planted (tests only) is
 * built with -DPLANTED_RUNTIME and takes the number from the variable planted_bug. Numbers, shared
 * with raft/planted.h:
 *   36 the applied index is stored in another transaction than what it covers
 *   49 a transaction reads the value from before its own writes
 *   50 a watcher that catches up gets the revision before its start again
 *   51 a progress notification passes events that are not delivered
 *   52 events that do not fit a slow watcher's queue are lost
 *   53 a delete event is lost when a compaction reaches it
 *   54 a watch with a future start gets older events
 *   55 a transaction without changes raises the revision
 *   56 one revision is split over two responses
 *   57 leases keep their old deadlines when a leader comes back */
#ifndef KVSTORE_MVCC_PLANTED_H
#define KVSTORE_MVCC_PLANTED_H

#ifdef PLANTED_RUNTIME
extern int planted_bug; /* 0: none; defined by the test program */
#define PLANTED_BUG planted_bug
#endif

#ifndef PLANTED_BUG
#define PLANTED_BUG 0
#endif

#define PLANTED(n) (PLANTED_BUG == (n))

#endif
