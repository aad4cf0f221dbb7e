/* etcd's log and snapshot files. The first byte: 0 the last file of a log, 1 one that others
 * follow, 2 a snapshot file, 3 records (type, size, data) that get the sums they should have. */
#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "kvstore/migrate/etcd_wal.h"
#include "kvstore/migrate/raft_snapshot.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/etcd_log.h"

static void read_log(struct bytes file, bool is_last)
{
    struct etcd_wal wal;
    struct err err;
    etcd_wal_init(&wal);
    if (etcd_wal_add_file(&wal, file, is_last, "fuzz", &err) == 0) {
        for (size_t i = 1; i < wal.count; i++) {
            CHECK(wal.entries[i].index == wal.entries[0].index + i);
        }
    }
    etcd_wal_deinit(&wal);
}

static void read_records(const uint8_t *data, size_t size)
{
    struct etcd_log log = {.crc = 0};
    while (size >= 2) {
        size_t length = data[1] < size - 2 ? data[1] : size - 2;
        etcd_log_add(&log, data[0] % 7, bytes_make(data + 2, length));
        data += 2 + length;
        size -= 2 + length;
    }
    read_log(buf_bytes(&log.file), true);
    buf_deinit(&log.file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_snapshot_file found;
    struct err err;
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 4) {
    case 2:
        err_ignore(raft_snapshot_read(bytes_make(data + 1, size - 1), &found, &err));
        break;
    case 3:
        read_records(data + 1, size - 1);
        break;
    default:
        read_log(bytes_make(data + 1, size - 1), data[0] % 4 == 0);
        break;
    }
    return 0;
}
