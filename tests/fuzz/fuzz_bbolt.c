/* A database file of etcd, as it is: every page that can be reached is read. The sums of the meta
 * pages are made right, so that what they say is reached. */
#include <string.h>

#include "base/mem.h"
#include "kvstore/migrate/etcd_summary.h"
#include "tests/fuzz/fuzz.h"

static void seal(uint8_t *file, size_t size, size_t page)
{
    if (size < page + 80) {
        return;
    }
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < 56; i++) {
        hash = (hash ^ file[page + 16 + i]) * UINT64_C(1099511628211);
    }
    memcpy(file + page + 72, &hash, 8); /* only little-endian machines fuzz */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    uint8_t *file = mem_dup(data, size);
    struct bbolt db;
    struct etcd_summary summary;
    struct err err;
    seal(file, size, 0);
    seal(file, size, 512);
    if (bbolt_init(&db, bytes_make(file, size), &err) == 0) {
        err_ignore(etcd_summary_read(&db, &summary, &err));
    }
    mem_free(file);
    return 0;
}
