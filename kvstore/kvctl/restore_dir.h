/* restore_dir.h - the data directory of a new member, made from a backup of the store or from files
 * of etcd.
 *
 * Every member of the new cluster is restored from the same file with the same --initial-cluster;
 * only then are they started. They begin with the backup's keys, revisions, leases and users, at
 * the backup's log position, but with new ids: no member of the old cluster can talk to them.
 * Alarms and the record of removed members stay behind. */
#ifndef KVSTORE_KVCTL_RESTORE_DIR_H
#define KVSTORE_KVCTL_RESTORE_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct restore_options {
    const char *file;         /* an image of kvd, etcd's database file, or etcd's data directory */
    const char *etcd_wal_dir; /* of etcd's data directory; NULL: inside */
    const char *data_dir;     /* must not exist, or be empty */
    const char *wal_dir;      /* for the log; NULL: inside data_dir */
    const char *name;
    const char *initial_cluster; /* "name=url,..." */
    const char *initial_cluster_token;
    const char *initial_advertise_peer_urls;
    bool skip_hash_check; /* the file has no SHA-256 at its end */
    /* Added to the revision, so that clients of the old cluster that meet the new one never see it
     * go back; and everything before the new revision counts as compacted, so that their watches
     * end and they list again. */
    int64_t bump_revision;
    bool mark_compacted;
    /* Bytes of the file that are done; may be NULL. */
    void (*progress)(void *context, uint64_t bytes);
    void *context;
};

struct restore_result {
    uint64_t cluster_id;
    uint64_t member_id;
    uint64_t old_cluster_id;
    uint64_t applied_index;
    uint64_t size_bytes; /* of the file's content */
    int64_t revision;
    /* Of files of etcd: what was in the database, and what its log added. */
    bool is_etcd;
    bool has_torn_tail; /* the log ends in an unfinished write, which nobody was told of */
    uint64_t record_count;
    uint64_t lease_count;
    uint32_t user_count;
    uint32_t role_count;
    uint64_t replayed_count;
    uint64_t uncommitted_count;
};

/* The directory gets its name when all of it is durable; before, it is <data_dir>.part, which an
 * error removes nothing of. ERR_EXISTS: data_dir is not empty; ERR_CORRUPT: the file;
 * ERR_UNSUPPORTED: of a newer format; ERR_LOCKED: etcd is running on it; ERR_INVALID: the member is
 * not in initial_cluster, bad URLs. */
MUST_USE int restore_data_dir(const struct restore_options *options, struct restore_result *ret,
                              struct err *err);

#endif
