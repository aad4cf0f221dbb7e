/* load_run.h - many puts at a given rate and concurrency, and how they went. */
#ifndef KVSTORE_KVCTL_LOAD_RUN_H
#define KVSTORE_KVCTL_LOAD_RUN_H

#include "base/map.h"
#include "base/prng.h"
#include "kvstore/kvctl/progress_bar.h"
#include "kvstore/kvctl/session.h"

/* Latencies are kept as sums: count, mean and deviation need no list of them. */
struct load_stats {
    uint64_t count; /* that ended well */
    double sum_s;
    double sum_squares;
    double slowest_s;
    uint64_t started_ns;
    uint64_t ended_ns;
};
void load_stats_add(struct load_stats *stats, double took_s);
double load_stats_deviation_s(const struct load_stats *stats);
double load_stats_rate(const struct load_stats *stats); /* per second */

struct load_options {
    const char *prefix;   /* of the keys */
    size_t key_bytes;     /* random bytes after it */
    size_t value_bytes;   /* zeros */
    unsigned clients;     /* puts under way at once */
    unsigned rate_per_s;  /* 0: as fast as they go */
    uint64_t duration_ms; /* 0: until count */
    uint64_t count;       /* 0: until duration_ms */
};

struct load_run {
    struct invocation *invocation;
    struct load_options options;
    struct load_stats stats;
    struct bytes_map failures; /* error text -> number of times, as a pointer-sized count */
    uint64_t issued;
    unsigned under_way;
    bool is_interrupted;
    struct progress_bar bar;
    uv_timer_t ticker;
    uv_signal_t interrupt;
    uint8_t *value;
    struct prng prng;
};

/* Runs to the end on the session's client; SIGINT ends it early. */
void load_run_all(struct load_run *run, struct invocation *invocation,
                  const struct load_options *options);
void load_run_deinit(struct load_run *run);

#endif
