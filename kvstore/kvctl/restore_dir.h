/* restore_dir.h - the data directory of a new member, made from a backup of the store.
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
    const char *file;
    const char *data_dir; /* must not exist, or be empty */
    const char *name;
    const char *initial_cluster; /* "name=url,..." */
    const char *initial_cluster_token;
    const char *initial_advertise_peer_urls;
    bool skip_hash_check; /* the file has no SHA-256 at its end */
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
};

/* The directory gets its name when all of it is durable; before, it is <data_dir>.part, which an
 * error removes nothing of. ERR_EXISTS: data_dir is not empty; ERR_CORRUPT: the file;
 * ERR_UNSUPPORTED: it is etcd's, or of a newer format; ERR_INVALID: the member is not in
 * initial_cluster, bad URLs. */
MUST_USE int restore_data_dir(const struct restore_options *options, struct restore_result *ret,
                              struct err *err);

#endif
