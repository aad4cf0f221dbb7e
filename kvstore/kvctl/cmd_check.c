/* check perf, check datascale: is the cluster fast enough, and how much memory does data take? */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/client/key_range.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/load_run.h"
#include "kvstore/kvctl/metrics_fetch.h"

enum {
    PERF_KEY_BYTES = 256,
    PERF_VALUE_BYTES = 1024,
    DATASCALE_KEY_BYTES = 512,
    DATASCALE_VALUE_BYTES = 512,
    CLEANUP_TIMEOUT_MS = 30000,
};

/* The same loads as etcdctl's, so that results can be compared. */
struct workload {
    const char *name;
    const char *long_name;
    unsigned perf_rate_per_s;
    unsigned clients;
    unsigned datascale_keys;
};

static const struct workload workloads[] = {
    {"s", "small", 150, 50, 10000},
    {"m", "medium", 1000, 200, 100000},
    {"l", "large", 8000, 500, 1000000},
    {"xl", "xLarge", 15000, 1000, 3000000},
};

static const struct workload *find_workload(const struct invocation *inv)
{
    const char *text = flag_text(&inv->flags, "load");
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(text, workloads[i].name) == 0 || strcmp(text, workloads[i].long_name) == 0) {
            return &workloads[i];
        }
    }
    (void)command_fail(EXIT_CODE_BAD_FEATURE, "unknown load option %s", text);
    return NULL;
}

static ProtobufCBinaryData binary(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}

/* Somebody's keys under the prefix would be deleted at the end. */
static int check_unused(struct invocation *inv, const char *prefix)
{
    CLEANUP(buf) struct buf end = BUF_INIT;
    key_range_append_prefix_end(&end, bytes_from_text(prefix));
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = binary(bytes_from_text(prefix));
    request.range_end = binary(buf_bytes(&end));
    request.limit = 1;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_range, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__RangeResponse *response = answer.message;
    if (response->n_kvs > 0) {
        return command_fail(EXIT_CODE_INVALID_INPUT,
                            "prefix \"%s\" has keys. Delete with 'kvctl del --prefix %s' first",
                            prefix, prefix);
    }
    return EXIT_CODE_OK;
}

static void compact(struct invocation *inv, int64_t revision)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    request.revision = revision;
    request.physical = true;
    printf("Compacting with revision %lld\n", (long long)revision);
    CLEANUP(answer) struct answer answer = {0};
    if (session_call_within(inv, &kv_compact, &request.base, CLEANUP_TIMEOUT_MS, &answer) ==
        EXIT_CODE_OK) {
        printf("Compacted with revision %lld\n", (long long)revision);
    }
}

static void defragment(struct invocation *inv)
{
    for (size_t i = 0; i < inv->session->endpoint_count; i++) {
        const char *endpoint = inv->session->endpoints[i];
        struct kv_client *client;
        if (session_new_client(inv, endpoint, &client) != EXIT_CODE_OK) {
            continue;
        }
        Etcdserverpb__DefragmentRequest request = ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
        printf("Defragmenting \"%s\"\n", endpoint);
        CLEANUP(answer) struct answer answer = {0};
        session_ask(inv, client, &kv_defragment, &request.base, CLEANUP_TIMEOUT_MS, &answer);
        if (answer.status == GRPC_OK) {
            printf("Defragmented \"%s\"\n", endpoint);
        } else {
            (void)command_fail(EXIT_CODE_ERROR, "%s", answer.text);
        }
        session_close_client(inv, client);
    }
}

/* Delete what the check wrote; then what the flags ask for. */
static void clean_up(struct invocation *inv, const char *prefix)
{
    CLEANUP(buf) struct buf end = BUF_INIT;
    key_range_append_prefix_end(&end, bytes_from_text(prefix));
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = binary(bytes_from_text(prefix));
    request.range_end = binary(buf_bytes(&end));
    CLEANUP(answer) struct answer answer = {0};
    session_ask(inv, inv->session->client, &kv_delete_range, &request.base, CLEANUP_TIMEOUT_MS,
                &answer);
    if (answer.status != GRPC_OK) {
        printf("FAIL: Cleanup failed during key deletion: ERROR(%s)\n", answer.text);
        return;
    }
    const Etcdserverpb__DeleteRangeResponse *response = answer.message;
    if (flag_bool(&inv->flags, "auto-compact") && response->header != NULL) {
        compact(inv, response->header->revision);
    }
    if (flag_bool(&inv->flags, "auto-defrag")) {
        defragment(inv);
    }
}

/* True if there were none. */
static bool print_failures(const struct load_run *run)
{
    if (run->failures.count == 0) {
        return true;
    }
    printf("FAIL: too many errors\n");
    size_t cursor = 0;
    struct bytes text;
    void *count;
    while (bytes_map_next(&run->failures, &cursor, &text, &count)) {
        printf("FAIL: ERROR(%.*s) -> %llu\n", (int)text.size, (const char *)text.data,
               (unsigned long long)(uintptr_t)count);
    }
    return false;
}

static bool print_perf(const struct load_run *run, const struct workload *workload)
{
    const struct load_stats *stats = &run->stats;
    bool is_good = print_failures(run);
    double rate = load_stats_rate(stats);
    double deviation_s = load_stats_deviation_s(stats);
    bool is_fast = rate / workload->perf_rate_per_s > 0.9;
    bool is_even = stats->slowest_s <= 0.5;
    bool is_steady = deviation_s <= 0.1;
    printf(is_fast ? "PASS: Throughput is %d writes/s\n"
                   : "FAIL: Throughput too low: %d writes/s\n",
           (int)rate + 1);
    printf(is_even ? "PASS: Slowest request took %fs\n" : "Slowest request took too long: %fs\n",
           stats->slowest_s);
    printf(is_steady ? "PASS: Stddev is %fs\n" : "Stddev too high: %fs\n", deviation_s);
    is_good = is_good && is_fast && is_even && is_steady;
    printf(is_good ? "PASS\n" : "FAIL\n");
    return is_good;
}

static int run_perf(struct invocation *inv)
{
    const struct workload *workload = find_workload(inv);
    if (workload == NULL) {
        return EXIT_CODE_BAD_FEATURE;
    }
    const char *prefix = flag_text(&inv->flags, "prefix");
    int code = check_unused(inv, prefix);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const struct load_options options = {
        .prefix = prefix,
        .key_bytes = PERF_KEY_BYTES,
        .value_bytes = PERF_VALUE_BYTES,
        .clients = workload->clients,
        .rate_per_s = workload->perf_rate_per_s,
        .duration_ms = flag_duration_ms(&inv->flags, "duration"),
    };
    struct load_run run;
    load_run_all(&run, inv, &options);
    clean_up(inv, prefix);
    bool is_good = print_perf(&run, workload);
    load_run_deinit(&run);
    return is_good ? EXIT_CODE_OK : EXIT_CODE_ERROR;
}

static int read_memory(const char *endpoint, const char *when, double *ret)
{
    struct err err;
    if (metrics_fetch_number(endpoint, "process_resident_memory_bytes", ret, &err) < 0) {
        printf("FAIL: Could not read process_resident_memory_bytes %s the put operations: %s.\n",
               when, err.text);
        return EXIT_CODE_ERROR;
    }
    return EXIT_CODE_OK;
}

static int run_datascale(struct invocation *inv)
{
    const struct workload *workload = find_workload(inv);
    if (workload == NULL) {
        return EXIT_CODE_BAD_FEATURE;
    }
    const char *prefix = flag_text(&inv->flags, "prefix");
    int code = check_unused(inv, prefix);
    double before = 0;
    double after = 0;
    if (code == EXIT_CODE_OK) {
        code = read_memory(inv->session->endpoints[0], "before", &before);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    printf("Start data scale check for work load [%u key-value pairs, %d bytes per key-value, %u "
           "concurrent clients].\n",
           workload->datascale_keys, DATASCALE_KEY_BYTES + DATASCALE_VALUE_BYTES,
           workload->clients);
    const struct load_options options = {
        .prefix = prefix,
        .key_bytes = DATASCALE_KEY_BYTES,
        .value_bytes = DATASCALE_VALUE_BYTES,
        .clients = workload->clients,
        .count = workload->datascale_keys,
    };
    struct load_run run;
    load_run_all(&run, inv, &options);
    code = read_memory(inv->session->endpoints[0], "after", &after);
    clean_up(inv, prefix);
    bool is_good = print_failures(&run) && code == EXIT_CODE_OK;
    if (is_good) {
        printf("PASS: Approximate system memory used : %.2f MB.\n",
               (after - before) / (1024 * 1024));
    }
    load_run_deinit(&run);
    return is_good ? EXIT_CODE_OK : EXIT_CODE_ERROR;
}

static const struct flag perf_flags[] = {
    {.name = "load",
     .type = FLAG_TEXT,
     .initial = "s",
     .choices = "s m l xl",
     .help = "s(mall): 150 writes/s, m(edium): 1000, l(arge): 8000, xl(arge): 15000"},
    {.name = "prefix",
     .type = FLAG_TEXT,
     .initial = "/etcdctl-check-perf/",
     .help = "where to write; must hold no keys"},
    {.name = "duration", .type = FLAG_DURATION, .initial = "60s", .help = "how long to write"},
    {.name = "auto-compact", .type = FLAG_BOOL, .help = "compact the history afterwards"},
    {.name = "auto-defrag", .type = FLAG_BOOL, .help = "defragment afterwards"},
    {.name = NULL},
};
static const struct flag datascale_flags[] = {
    {.name = "load",
     .type = FLAG_TEXT,
     .initial = "s",
     .choices = "s m l xl",
     .help = "s(mall): 10000 keys, m(edium): 100000, l(arge): 1000000, xl(arge): 3000000"},
    {.name = "prefix",
     .type = FLAG_TEXT,
     .initial = "/etcdctl-check-datascale/",
     .help = "where to write; must hold no keys"},
    {.name = "auto-compact", .type = FLAG_BOOL, .help = "compact the history afterwards"},
    {.name = "auto-defrag", .type = FLAG_BOOL, .help = "defragment afterwards"},
    {.name = NULL},
};

const struct command check_commands[] = {
    {
        .path = "check perf",
        .group = "maintenance",
        .summary = "Measure write performance",
        .flags = perf_flags,
        .run = run_perf,
        .examples = "$ kvctl check perf\n"
                    "$ kvctl check perf --load=l --auto-compact",
    },
    {
        .path = "check datascale",
        .group = "maintenance",
        .summary = "Measure the memory that data takes",
        .flags = datascale_flags,
        .run = run_datascale,
        .examples = "$ kvctl check datascale --load=m",
    },
    {.path = NULL},
};
