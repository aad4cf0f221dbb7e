/* etcd_store.h - what etcd's database holds, written into a store of ours: every revision that is
 * left, the compaction marks, leases, users and roles. Members, alarms and etcd's own bookkeeping
 * stay behind. Source: the public sources of etcd (server/storage/schema, mvcc/revision.go). */
#ifndef KVSTORE_MIGRATE_ETCD_STORE_H
#define KVSTORE_MIGRATE_ETCD_STORE_H

#include "kvstore/backend/backend.h"
#include "kvstore/migrate/bbolt.h"

struct etcd_store {
    uint64_t consistent_index; /* of etcd's log: everything up to it is in the database */
    uint64_t term;             /* of that entry; 0: etcd 3.4 does not write it */
    int64_t revision;          /* 1 in an empty store */
    int64_t compact_revision;
    uint64_t record_count;
    uint64_t lease_count;
    uint32_t user_count;
    uint32_t role_count;
    bool is_auth_enabled;
};

/* The position alone. ERR_CORRUPT. */
MUST_USE int etcd_store_read_position(const struct bbolt *db, uint64_t *ret_index,
                                      uint64_t *ret_term, struct err *err);

/* Between backend_restore_start and backend_restore_finish. term: of consistent_index, as the log
 * knows it. ERR_CORRUPT; the backend's error. */
MUST_USE int etcd_store_copy(const struct bbolt *db, uint64_t term, struct backend *backend,
                             struct etcd_store *ret, struct err *err);

#endif
