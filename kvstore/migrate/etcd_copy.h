/* etcd_copy.h - a copy under way; shared by the files of this folder. */
#ifndef KVSTORE_MIGRATE_ETCD_COPY_H
#define KVSTORE_MIGRATE_ETCD_COPY_H

#include "kvstore/migrate/etcd_store.h"

struct etcd_copy {
    const struct bbolt *db;
    struct backend *backend;
    struct backend_batch *batch; /* being filled */
    uint64_t sequence;
    struct etcd_store found;
};

typedef int etcd_copy_item(struct etcd_copy *copy, const struct bbolt_item *item, struct err *err);

/* Every pair of the bucket; none if there is no such bucket. */
MUST_USE int etcd_copy_bucket(struct etcd_copy *copy, const char *name, etcd_copy_item *on_item,
                              struct err *err);
/* The number of size bytes, big-endian, under this key; *ret_value stays if there is none. */
MUST_USE int etcd_copy_number(struct etcd_copy *copy, const char *bucket, const char *key,
                              unsigned size, uint64_t *ret_value, struct err *err);

/* etcd_auth.c: auth, authUsers, authRoles */
MUST_USE int etcd_copy_auth(struct etcd_copy *copy, struct err *err);

#endif
