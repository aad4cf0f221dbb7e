/* store_edit STORE-DIRECTORY REVISION - changes the last byte of the value stored at that revision
 * of a member that is not running. Everything about the file is right afterwards, checksums
 * included; only what it says differs from the other members: what no checksum can find. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "kvstore/backend/lmdb.h"

static int edit(struct backend *backend, uint64_t revision, struct err *err)
{
    struct backend_record record;
    const struct backend_revision at = {revision, 0};
    int code = backend_get(backend, at, &record, err);
    if (code != 0) {
        return code;
    }
    struct blob *value = blob_new_copy(record.value.data, record.value.size);
    value->data[value->size - 1] ^= 1;
    struct backend_batch *batch = backend_batch_new(1);
    backend_batch_put(batch, at, record.is_tombstone, value);
    blob_unref(value);
    struct backend_position durable;
    code = backend_commit(backend, &batch, 1, err);
    code = code != 0 ? code : backend_sync(backend, &durable, err);
    backend_batch_free(batch);
    return code;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: store_edit STORE-DIRECTORY REVISION\n");
        return 2;
    }
    const struct backend_lmdb_options options = {.directory = argv[1]};
    struct backend *backend = NULL;
    struct err err = {0};
    int code = backend_lmdb_open(&options, &backend, &err);
    code = code != 0 ? code : edit(backend, strtoull(argv[2], NULL, 10), &err);
    if (code != 0) {
        fprintf(stderr, "store_edit: %s\n", err.text);
    }
    backend_close(backend);
    return code == 0 ? 0 : 1;
}
