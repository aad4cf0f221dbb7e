/* metric.h - counters, gauges and histograms in the Prometheus text format (version 0.0.4).
 *
 * One struct metrics a process. A value may be changed from any thread (relaxed atomics); children
 * of labelled families are made on the core thread. Families are in metric_table.h. */
#ifndef KVSTORE_SERVER_METRIC_H
#define KVSTORE_SERVER_METRIC_H

#include <stdint.h>

#include "base/buf.h"
#include "kvstore/server/metric_table.h"

enum metric {
#define X(id, type, name, labels, first, factor, count, help) METRIC_##id,
    METRIC_TABLE(X)
#undef X
        METRIC_COUNT
};

struct metrics;
struct metric_child; /* one series (or one histogram) of a family */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* The child with these label values, in the family's order, separated by commas; made on first use
 * ("" for a family without labels). Lives as long as metrics: keep the pointer on hot paths. */
struct metric_child *metric_get(struct metrics *metrics, enum metric family, const char *values);

void metric_child_add(struct metric_child *child, uint64_t amount);  /* counter or gauge */
void metric_child_set(struct metric_child *child, int64_t value);    /* gauge */
void metric_child_observe(struct metric_child *child, double value); /* histogram */

/* The same for families without labels. */
void metric_add(struct metrics *metrics, enum metric family, uint64_t amount);
void metric_set(struct metrics *metrics, enum metric family, int64_t value);
void metric_observe(struct metrics *metrics, enum metric family, double value);

/* Forget the other children of the family, then set this one (labels that change, as a version). */
void metric_set_only(struct metrics *metrics, enum metric family, const char *values,
                     int64_t value);

/* All children of the family to 0. */
void metric_zero(struct metrics *metrics, enum metric family);

/* Everything as text; reads /proc/self for the process_ families. */
void metrics_write(struct metrics *metrics, struct buf *out);

#endif
