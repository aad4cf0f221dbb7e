#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/kvstore/store_fixture.h"

int store_try_open(struct store_fixture *fixture, struct err *err)
{
    return backend_lmdb_open(&fixture->options, &fixture->backend, err);
}

int store_set_up(void **state)
{
    struct store_fixture *fixture = mem_zalloc(sizeof *fixture);
    strcpy(fixture->directory, "/tmp/coracle-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->file = mem_printf("%s/data.mdb", fixture->directory);
    fixture->options = (struct backend_lmdb_options){.directory = fixture->directory};
    struct err err;
    assert_int_equal(store_try_open(fixture, &err), 0);
    *state = fixture;
    return 0;
}

int store_tear_down(void **state)
{
    struct store_fixture *fixture = *state;
    backend_close(fixture->backend);
    (void)remove(fixture->file);
    assert_int_equal(rmdir(fixture->directory), 0);
    mem_free(fixture->file);
    mem_free(fixture);
    return 0;
}

void store_close(struct store_fixture *fixture)
{
    backend_close(fixture->backend);
    fixture->backend = NULL;
}

void store_put_sized(struct backend_batch *batch, uint64_t main, char fill, size_t size)
{
    struct blob *value = blob_new(size);
    memset(value->data, fill, size);
    backend_batch_put(batch, (struct backend_revision){main, 0}, false, value);
    blob_unref(value);
}

struct backend_batch *store_one_put(uint64_t sequence, uint64_t main, char fill, size_t size)
{
    struct backend_batch *batch = backend_batch_new(sequence);
    store_put_sized(batch, main, fill, size);
    backend_batch_set_applied(batch, (struct backend_position){main, 1});
    return batch;
}

void store_commit(struct backend *backend, struct backend_batch *batch)
{
    struct err err;
    int rc = backend_commit(backend, &batch, 1, &err);
    if (rc != 0) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, 0);
    backend_batch_free(batch);
    assert_int_equal(backend_renew(backend, &err), 0);
}

int store_get(struct backend *backend, uint64_t main, struct backend_record *ret_record)
{
    struct err err;
    return backend_get(backend, (struct backend_revision){main, 0}, ret_record, &err);
}

uint64_t store_count(struct backend *backend)
{
    struct backend_record records[100];
    struct backend_revision from = {0, 0};
    uint64_t total = 0;
    uint32_t count;
    struct err err;
    do {
        assert_int_equal(
            backend_scan(backend, from, BACKEND_REVISION_MAX, records, 100, &count, &err), 0);
        total += count;
        from = count == 0 ? from : backend_revision_next(records[count - 1].revision);
    } while (count == 100);
    return total;
}
