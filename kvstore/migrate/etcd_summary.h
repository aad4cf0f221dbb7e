/* etcd_summary.h - what `snapshot status` says about a database of etcd: the figures of etcdutl. */
#ifndef KVSTORE_MIGRATE_ETCD_SUMMARY_H
#define KVSTORE_MIGRATE_ETCD_SUMMARY_H

#include "kvstore/migrate/bbolt.h"

struct etcd_summary {
    uint32_t hash;      /* CRC-32C over the names, keys and values of all buckets in order */
    int64_t revision;   /* of the last record of bucket "key"; 0: there is none */
    uint64_t key_count; /* pairs of all buckets */
};

/* Reads the whole tree. ERR_CORRUPT. */
MUST_USE int etcd_summary_read(const struct bbolt *db, struct etcd_summary *ret, struct err *err);

#endif
