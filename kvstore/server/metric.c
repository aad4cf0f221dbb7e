#include "kvstore/server/metric.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "kvstore/server/metric_process.h"

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

struct metric_family {
    enum metric_type type;
    const char *name;
    const char *labels; /* names separated by commas */
    double first_bucket;
    double bucket_factor;
    unsigned bucket_count;
    const char *help;
};

static const struct metric_family families[METRIC_COUNT] = {
#define X(id, type, name, labels, first, factor, count, help)                                      \
    [METRIC_##id] = {type, name, labels, first, factor, count, help},
    METRIC_TABLE(X)
#undef X
};

/* The limit of a bucket. Factor 0: the default buckets of Prometheus' library. */
static double bucket_limit(const struct metric_family *family, unsigned bucket)
{
    static const double defaults[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
    if (family->bucket_factor == 0) {
        CHECK(bucket < sizeof defaults / sizeof defaults[0]);
        return defaults[bucket];
    }
    double limit = family->first_bucket;
    for (unsigned i = 0; i < bucket; i++) {
        limit *= family->bucket_factor;
    }
    return limit;
}

struct metric_child {
    const struct metric_family *family;
    struct metric_child *next; /* of the same family, oldest first */
    char *values;
    _Atomic int64_t value;      /* counter and gauge */
    _Atomic uint64_t sum_nanos; /* histogram: the sum in 1e-9 */
    _Atomic uint64_t buckets[]; /* bucket_count and one for +Inf; not cumulative */
};

struct metrics {
    struct metric_child *children[METRIC_COUNT];
};

static struct metric_child *child_new(const struct metric_family *family, const char *values)
{
    size_t buckets = family->type == HISTOGRAM ? family->bucket_count + 1U : 0;
    struct metric_child *child = mem_zalloc(sizeof *child + buckets * sizeof(uint64_t));
    child->family = family;
    child->values = mem_strdup(values);
    return child;
}

static void child_free(struct metric_child *child)
{
    mem_free(child->values);
    mem_free(child);
}

struct metrics *metrics_new(void)
{
    struct metrics *metrics = mem_zalloc(sizeof *metrics);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        if (families[i].labels[0] == 0) {
            metrics->children[i] = child_new(&families[i], "");
        }
    }
    return metrics;
}

static void free_children(struct metrics *metrics, enum metric family)
{
    while (metrics->children[family] != NULL) {
        struct metric_child *child = metrics->children[family];
        metrics->children[family] = child->next;
        child_free(child);
    }
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        free_children(metrics, (enum metric)i);
    }
    mem_free(metrics);
}

struct metric_child *metric_get(struct metrics *metrics, enum metric family, const char *values)
{
    struct metric_child **place = &metrics->children[family];
    for (; *place != NULL; place = &(*place)->next) {
        if (strcmp((*place)->values, values) == 0) {
            return *place;
        }
    }
    *place = child_new(&families[family], values);
    return *place;
}

void metric_child_add(struct metric_child *child, uint64_t amount)
{
    atomic_fetch_add_explicit(&child->value, (int64_t)amount, memory_order_relaxed);
}

void metric_child_set(struct metric_child *child, int64_t value)
{
    atomic_store_explicit(&child->value, value, memory_order_relaxed);
}

void metric_child_observe(struct metric_child *child, double value)
{
    const struct metric_family *family = child->family;
    CHECK(family->type == HISTOGRAM);
    unsigned bucket = 0;
    if (family->bucket_factor == 0) {
        while (bucket < family->bucket_count && value > bucket_limit(family, bucket)) {
            bucket += 1;
        }
    } else {
        for (double limit = family->first_bucket; bucket < family->bucket_count && value > limit;
             bucket++) {
            limit *= family->bucket_factor;
        }
    }
    atomic_fetch_add_explicit(&child->buckets[bucket], 1, memory_order_relaxed);
    uint64_t nanos = value <= 0 ? 0 : (uint64_t)(value * 1e9);
    atomic_fetch_add_explicit(&child->sum_nanos, nanos, memory_order_relaxed);
}

void metric_add(struct metrics *metrics, enum metric family, uint64_t amount)
{
    metric_child_add(metrics->children[family], amount);
}

void metric_set(struct metrics *metrics, enum metric family, int64_t value)
{
    metric_child_set(metrics->children[family], value);
}

void metric_observe(struct metrics *metrics, enum metric family, double value)
{
    metric_child_observe(metrics->children[family], value);
}

void metric_zero(struct metrics *metrics, enum metric family)
{
    for (struct metric_child *child = metrics->children[family]; child != NULL;
         child = child->next) {
        metric_child_set(child, 0);
    }
}

void metric_set_only(struct metrics *metrics, enum metric family, const char *values, int64_t value)
{
    free_children(metrics, family);
    metric_child_set(metric_get(metrics, family, values), value);
}

/* {name="value",…} with le when it is not NULL; nothing at all without labels. */
struct label {
    struct bytes name;
    struct bytes value;
};

enum { LABELS_MAX = 4 };

/* The pairs of a child by name: Prometheus' own library writes them so, and people grep for it. */
static unsigned sort_labels(const struct metric_child *child,
                            struct label labels[static LABELS_MAX])
{
    const char *names = child->family->labels;
    const char *values = child->values;
    unsigned count = 0;
    while (names[0] != 0) {
        size_t name_length = strcspn(names, ",");
        size_t value_length = strcspn(values, ",");
        struct label label = {bytes_make(names, name_length), bytes_make(values, value_length)};
        CHECK(count < LABELS_MAX);
        unsigned place = count++;
        for (; place > 0 && bytes_compare(label.name, labels[place - 1].name) < 0; place--) {
            labels[place] = labels[place - 1];
        }
        labels[place] = label;
        names += name_length + (names[name_length] == ',');
        values += value_length + (values[value_length] == ',');
    }
    return count;
}

static void write_labels(struct buf *out, const struct metric_child *child, const char *le)
{
    struct label labels[LABELS_MAX];
    unsigned count = sort_labels(child, labels);
    if (count == 0 && le == NULL) {
        return;
    }
    buf_append_u8(out, '{');
    const char *separator = "";
    for (unsigned i = 0; i < count; i++) {
        buf_append_format(out, "%s%.*s=", separator, (int)labels[i].name.size,
                          (const char *)labels[i].name.data);
        json_text_append_quoted(out, labels[i].value);
        separator = ",";
    }
    if (le != NULL) {
        buf_append_format(out, "%sle=\"%s\"", separator, le);
    }
    buf_append_u8(out, '}');
}

static void write_line(struct buf *out, const struct metric_child *child, const char *suffix,
                       const char *le, const char *number)
{
    buf_append_text(out, child->family->name);
    buf_append_text(out, suffix);
    write_labels(out, child, le);
    buf_append_format(out, " %s\n", number);
}

static void write_histogram(struct buf *out, const struct metric_child *child)
{
    const struct metric_family *family = child->family;
    uint64_t total = 0;
    char number[32];
    char le[32];
    for (unsigned i = 0; i <= family->bucket_count; i++) {
        total += atomic_load_explicit(&child->buckets[i], memory_order_relaxed);
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)total);
        bool is_last = i == family->bucket_count;
        (void)snprintf(le, sizeof le, "%.10g", is_last ? 0 : bucket_limit(family, i));
        write_line(out, child, "_bucket", is_last ? "+Inf" : le, number);
    }
    uint64_t nanos = atomic_load_explicit(&child->sum_nanos, memory_order_relaxed);
    char sum[32];
    (void)snprintf(sum, sizeof sum, "%.10g", (double)nanos / 1e9);
    write_line(out, child, "_sum", NULL, sum);
    write_line(out, child, "_count", NULL, number);
}

static void write_family(struct buf *out, const struct metric_family *family,
                         const struct metric_child *children)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    if (children == NULL) {
        return;
    }
    buf_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                      types[family->type]);
    for (const struct metric_child *child = children; child != NULL; child = child->next) {
        if (family->type == HISTOGRAM) {
            write_histogram(out, child);
        } else {
            char number[32];
            (void)snprintf(number, sizeof number, "%lld",
                           (long long)atomic_load_explicit(&child->value, memory_order_relaxed));
            write_line(out, child, "", NULL, number);
        }
    }
}

void metrics_write(struct metrics *metrics, struct buf *out)
{
    metric_process_read(metrics);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        write_family(out, &families[i], metrics->children[i]);
    }
    metric_process_write_go(out);
}
