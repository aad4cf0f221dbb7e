/* From etcd's files: the database first, then what the log has beyond it. */
#include "base/cleanup.h"
#include "kvstore/kvctl/restore_internal.h"
#include "kvstore/migrate/etcd_dir.h"
#include "kvstore/migrate/etcd_replay.h"
#include "kvstore/migrate/etcd_store.h"

int restore_from_etcd(struct restoring *r, struct err *err)
{
    int code = etcd_store_copy(&r->etcd->db, r->etcd->term, r->backend, &r->copied, err);
    return code != 0 ? err_prefix(err, "%s", r->etcd->database.path) : 0;
}

int restore_replay_etcd(struct restoring *r, struct err *err)
{
    struct backend_position applied = backend_applied(r->backend);
    struct etcd_replay replay = {
        .index = applied.index,
        .term = applied.term,
        .revision = r->copied.revision,
    };
    int code = 0;
    if (r->etcd->has_wal) {
        code = etcd_replay_log(&r->etcd->wal, r->backend, &replay, err);
    }
    if (code == 0) {
        r->meta.last = (struct raft_position){.index = replay.index, .term = replay.term};
        r->result.is_etcd = true;
        r->result.record_count = r->copied.record_count;
        r->result.lease_count = r->copied.lease_count;
        r->result.user_count = r->copied.user_count;
        r->result.role_count = r->copied.role_count;
        r->result.replayed_count = replay.applied_count;
        r->result.uncommitted_count = replay.uncommitted_count;
        r->result.has_torn_tail = r->etcd->wal.has_torn_tail;
    }
    return code;
}
