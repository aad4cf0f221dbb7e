/* lmdb.h - the backend in one LMDB file.
 *
 * The caller holds the exclusive lock of the data directory (base/data_dir.h): one process, one
 * open. Fork without exec is not allowed while it is open. */
#ifndef KVSTORE_BACKEND_LMDB_H
#define KVSTORE_BACKEND_LMDB_H

#include "kvstore/backend/backend.h"

struct backend_lmdb_options {
    const char *directory;   /* <data-dir>/member/store; created (0700) if it does not exist */
    uint64_t map_size_bytes; /* address space to reserve; 0: 64 GiB. Grows when it must */
    bool is_unsafe_no_sync;  /* etcd's --unsafe-no-fsync: for tests only */

    /* Called on the backend thread when the map must grow and the core thread is to call
     * backend_renew() soon. NULL if commits and reads share one thread. */
    void (*renew_wanted)(void *context);
    void *context;
};

/* ERR_CORRUPT: damaged or truncated; ERR_UNSUPPORTED: a network file system, or a newer format;
 * ERR_NO_SPACE; a negative errno. */
MUST_USE int backend_lmdb_open(const struct backend_lmdb_options *options,
                               struct backend **ret_backend, struct err *err);

#endif
