/* store_fixture.h - an LMDB store in a directory of its own, for the tests of kvstore/backend. */
#ifndef TESTS_UNIT_KVSTORE_STORE_FIXTURE_H
#define TESTS_UNIT_KVSTORE_STORE_FIXTURE_H

#include "kvstore/backend/lmdb.h"

struct store_fixture {
    char directory[64];
    char *file;
    struct backend_lmdb_options options;
    struct backend *backend;
};

int store_try_open(struct store_fixture *fixture, struct err *err);
int store_set_up(void **state);
int store_tear_down(void **state);
void store_close(struct store_fixture *fixture);
void store_put_sized(struct backend_batch *batch, uint64_t main, char fill, size_t size);
struct backend_batch *store_one_put(uint64_t sequence, uint64_t main, char fill, size_t size);
void store_commit(struct backend *backend, struct backend_batch *batch);
int store_get(struct backend *backend, uint64_t main, struct backend_record *ret_record);
uint64_t store_count(struct backend *backend);

#endif
