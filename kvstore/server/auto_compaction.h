/* auto_compaction.h - when to compact, and to which revision (--auto-compaction-*). Pure: time, the
 * present revision and the role are told; somebody else compacts.
 *
 * Every member counts, only the leader compacts. periodic: what was current a period ago, the first
 * time after one period, then every period or every hour, whichever is shorter; looked at ten times
 * as often. revision: all but the newest so many, every five minutes. Source: etcd's op-guide
 * "Maintenance", and the behaviour of its v3compactor. */
#ifndef KVSTORE_SERVER_AUTO_COMPACTION_H
#define KVSTORE_SERVER_AUTO_COMPACTION_H

#include <stdbool.h>
#include <stdint.h>

enum {
    AUTO_COMPACTION_PERIOD_MAX_MS = 60 * 60 * 1000, /* between two compactions */
    AUTO_COMPACTION_LOOKS = 10,                     /* in that time */
    AUTO_COMPACTION_REVISION_MS = 5 * 60 * 1000
};

struct auto_compaction {
    uint64_t period_ms;        /* periodic: how much history stays; else 0 */
    int64_t kept_revisions;    /* revision: how many stay; else 0 */
    uint64_t look_interval_ms; /* 0: off */
    uint64_t wait_ms;          /* before the next compaction */
    uint64_t last_success_ms;
    int64_t last_revision; /* compacted by us */
    int64_t *seen;         /* periodic: the revision at each look, the last one newest */
    uint32_t seen_count;
    uint32_t seen_max;
};

/* One of period_ms and kept_revisions is not 0; both 0: off. */
void auto_compaction_init(struct auto_compaction *compaction, uint64_t period_ms,
                          int64_t kept_revisions, uint64_t now_ms, int64_t revision);
void auto_compaction_deinit(struct auto_compaction *compaction);

/* Call every look_interval_ms. The revision to compact at, or 0. */
int64_t auto_compaction_look(struct auto_compaction *compaction, uint64_t now_ms, int64_t revision,
                             bool is_leader);
/* It was done (or somebody else had done it); else it is tried again at the next look. */
void auto_compaction_done(struct auto_compaction *compaction, uint64_t now_ms, int64_t revision);

#endif
