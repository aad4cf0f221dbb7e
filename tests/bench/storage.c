/* bench-storage: what the log and the backend cost on this disk.
 *
 *     bench-storage DIRECTORY wal BATCHES BYTES [PER_BATCH]    append latency, one sync a batch
 *     bench-storage DIRECTORY backend RECORDS BYTES            append and scan rate
 *
 * DIRECTORY is made if it does not exist; remove it before and after. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kvstore/backend/lmdb.h"
#include "raft/wal/disk_real.h"
#include "raft/wal/wal.h"

static void stop_on(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "bench-storage: %s\n", err->text);
        exit(1);
    }
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void print_latency(uint64_t *samples_ns, uint64_t count, uint64_t total_ns, uint64_t entries)
{
    qsort(samples_ns, count, sizeof *samples_ns, compare_u64);
    printf("%" PRIu64 " batches in %.3f s: %.0f batches/s, %.0f entries/s; "
           "p50 %" PRIu64 " us, p99 %" PRIu64 " us, max %" PRIu64 " us\n",
           count, (double)total_ns / 1e9, (double)count * 1e9 / (double)total_ns,
           (double)entries * 1e9 / (double)total_ns, samples_ns[count / 2] / 1000,
           samples_ns[count * 99 / 100] / 1000, samples_ns[count - 1] / 1000);
}

static int bench_wal(const char *directory, uint64_t batches, size_t bytes, uint32_t per_batch)
{
    struct err err;
    struct disk *disk;
    struct wal *wal;
    struct wal_recovered recovered;
    stop_on(disk_real_open(directory, NULL, &disk, &err), &err);
    const struct wal_options options = {.disk = disk,
                                        .is_created = true,
                                        .cluster_id = 1,
                                        .member_id = 1,
                                        .clock_ns = clock_monotonic_ns};
    stop_on(wal_open(&options, &wal, &recovered, &err), &err);
    raft_index index = recovered.snapshot.last.index + recovered.entry_count;
    wal_recovered_deinit(&recovered);
    struct blob *data = blob_new(bytes);
    memset(data->data, 'x', bytes);
    uint64_t *samples = mem_calloc(batches, sizeof *samples);
    struct raft_entry *entries = mem_calloc(per_batch, sizeof *entries);
    uint64_t started = clock_monotonic_ns();
    for (uint64_t i = 0; i < batches; i++) {
        for (uint32_t j = 0; j < per_batch; j++) {
            entries[j] = (struct raft_entry){
                .at = {.index = ++index, .term = 1}, .type = RAFT_ENTRY_COMMAND, .data = data};
        }
        struct wal_batch *batch = wal_batch_new(i, NULL, NULL, entries, per_batch);
        uint64_t before = clock_monotonic_ns();
        stop_on(wal_append(wal, &batch, 1, &err), &err);
        samples[i] = clock_monotonic_ns() - before;
        wal_batch_free(batch);
        if (!wal_capacity(wal).is_spare_ready) {
            stop_on(wal_reserve(wal, &err), &err);
        }
    }
    print_latency(samples, batches, clock_monotonic_ns() - started, batches * per_batch);
    wal_close(wal);
    started = clock_monotonic_ns();
    stop_on(wal_open(&options, &wal, &recovered, &err), &err);
    printf("recovered %" PRIu32 " entries in %.3f s\n", recovered.entry_count,
           (double)(clock_monotonic_ns() - started) / 1e9);
    wal_recovered_deinit(&recovered);
    wal_close(wal);
    mem_free(samples);
    mem_free(entries);
    blob_unref(data);
    disk_real_close(disk);
    return 0;
}

static void scan_all(struct backend *backend, const char *what)
{
    enum { SLICE = 1024 };
    static struct backend_record records[SLICE];
    struct backend_revision from = {0, 0};
    uint64_t total = 0;
    uint64_t bytes = 0;
    uint32_t count;
    struct err err;
    uint64_t started = clock_monotonic_ns();
    do {
        stop_on(backend_scan(backend, from, BACKEND_REVISION_MAX, records, SLICE, &count, &err),
                &err);
        for (uint32_t i = 0; i < count; i++) {
            bytes += records[i].value.size;
        }
        total += count;
        from = count == 0 ? from : backend_revision_next(records[count - 1].revision);
    } while (count == SLICE);
    double seconds = (double)(clock_monotonic_ns() - started) / 1e9;
    printf("%s: %" PRIu64 " records (%.1f MB) in %.3f s, checksums verified\n", what, total,
           (double)bytes / 1e6, seconds);
}

static void append_all(struct backend *backend, uint64_t records, size_t bytes)
{
    enum { PER_BATCH = 5000 };
    struct err err;
    struct blob *value = blob_new(bytes);
    memset(value->data, 'x', bytes);
    uint64_t started = clock_monotonic_ns();
    for (uint64_t next = 1; next <= records;) {
        struct backend_batch *batch = backend_batch_new(next);
        for (int i = 0; i < PER_BATCH && next <= records; i++, next++) {
            backend_batch_put(batch, (struct backend_revision){next, 0}, false, value);
        }
        backend_batch_set_applied(batch, (struct backend_position){next - 1, 1});
        stop_on(backend_commit(backend, &batch, 1, &err), &err);
        backend_batch_free(batch);
        stop_on(backend_renew(backend, &err), &err);
    }
    double seconds = (double)(clock_monotonic_ns() - started) / 1e9;
    printf("append: %" PRIu64 " records of %zu bytes in %.3f s: %.0f records/s\n", records, bytes,
           seconds, (double)records / seconds);
    blob_unref(value);
}

static int bench_backend(const char *directory, uint64_t records, size_t bytes)
{
    struct err err;
    struct backend *backend;
    const struct backend_lmdb_options options = {.directory = directory};
    stop_on(backend_lmdb_open(&options, &backend, &err), &err);
    append_all(backend, records, bytes);
    scan_all(backend, "scan");
    struct backend_stats stats;
    backend_stats(backend, &stats);
    printf("file: %.1f MB\n", (double)stats.size_bytes / 1e6);
    uint64_t started = clock_monotonic_ns();
    stop_on(backend_defragment(backend, &err), &err);
    printf("defragment: %.3f s\n", (double)(clock_monotonic_ns() - started) / 1e9);
    backend_close(backend);
    started = clock_monotonic_ns();
    stop_on(backend_lmdb_open(&options, &backend, &err), &err);
    printf("open: %.3f s\n", (double)(clock_monotonic_ns() - started) / 1e9);
    scan_all(backend, "scan after a restart");
    backend_close(backend);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: bench-storage DIRECTORY wal|backend COUNT BYTES [PER_BATCH]\n");
        return 2;
    }
    (void)mkdir(argv[1], 0700);
    uint64_t count = strtoull(argv[3], NULL, 10);
    size_t bytes = strtoull(argv[4], NULL, 10);
    if (strcmp(argv[2], "wal") == 0) {
        uint32_t per_batch = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 1;
        return bench_wal(argv[1], count, bytes, per_batch);
    }
    return bench_backend(argv[1], count, bytes);
}
