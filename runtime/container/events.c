/* events.c - `events`: lines of JSON as runc writes them (its types/events.go), which containerd
 * reads. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "runtime/container/container.h"
#include "runtime/container/file.h"
#include "runtime/container/stats.h"

enum { OOM_CHECK_MS = 100 };

static void append_list(struct buf *out, const char *key, const char *ranges)
{
    /* "0-1,4" -> [0,1,4] */
    buf_append_format(out, "\"%s\":[", key);
    bool is_first = true;
    while (*ranges != 0) {
        char *end = NULL;
        unsigned long low = strtoul(ranges, &end, 10);
        unsigned long high = low;
        if (end == ranges) {
            break;
        }
        if (*end == '-') {
            high = strtoul(end + 1, &end, 10);
        }
        for (unsigned long i = low; i <= high && i < low + STATS_CPUS_MAX; i++) {
            buf_append_format(out, "%s%lu", is_first ? "" : ",", i);
            is_first = false;
        }
        ranges = *end == ',' ? end + 1 : end;
    }
    buf_append_text(out, "]");
}

static void append_memory(struct buf *out, const struct stats *stats)
{
    buf_append_format(
        out,
        "\"memory\":{\"cache\":%" PRIu64 ",\"usage\":{\"limit\":%" PRIu64 ",\"usage\":%" PRIu64
        ",\"max\":%" PRIu64 ",\"failcnt\":%" PRIu64 "},\"swap\":{\"limit\":%" PRIu64
        ",\"usage\":%" PRIu64 ",\"failcnt\":0},\"kernel\":{\"limit\":0,\"usage\":%" PRIu64
        ",\"failcnt\":0},\"kernelTCP\":{\"limit\":0,\"failcnt\":0},\"raw\":{"
        "\"inactive_file\":%" PRIu64 ",\"total_inactive_file\":%" PRIu64 ",\"rss\":%" PRIu64
        ",\"total_rss\":%" PRIu64 ",\"cache\":%" PRIu64 "}}",
        stats->memory_cache, stats->memory_limit == 0 ? INT64_MAX : stats->memory_limit,
        stats->memory_usage, stats->memory_peak, stats->memory_fail_count,
        stats->swap_limit == 0 ? INT64_MAX : stats->swap_limit, stats->swap_usage,
        stats->memory_kernel, stats->memory_inactive_file, stats->memory_inactive_file,
        stats->memory_rss, stats->memory_rss, stats->memory_cache);
}

static void append_stats(struct buf *out, const char *id, const struct stats *stats)
{
    buf_append_text(out, "{\"type\":\"stats\",\"id\":");
    json_text_append_quoted(out, bytes_from_text(id));
    buf_append_format(out,
                      ",\"data\":{\"cpu\":{\"usage\":{\"total\":%" PRIu64 ",\"kernel\":%" PRIu64
                      ",\"user\":%" PRIu64 "},\"throttling\":{\"periods\":%" PRIu64
                      ",\"throttledPeriods\":%" PRIu64 ",\"throttledTime\":%" PRIu64
                      "}},\"cpuset\":{",
                      stats->cpu_usage_ns, stats->cpu_system_ns, stats->cpu_user_ns, stats->periods,
                      stats->throttled_periods, stats->throttled_ns);
    append_list(out, "cpus", stats->cpus);
    buf_append_text(out, ",");
    append_list(out, "mems", stats->mems);
    buf_append_text(out, "},");
    append_memory(out, stats);
    buf_append_format(out, ",\"pids\":{\"current\":%" PRIu64, stats->pids);
    if (stats->pids_limit != 0) {
        buf_append_format(out, ",\"limit\":%" PRIu64, stats->pids_limit);
    }
    buf_append_format(out,
                      "},\"blkio\":{\"ioServiceBytesRecursive\":[{\"major\":0,\"minor\":0,\"op\":"
                      "\"Read\",\"value\":%" PRIu64
                      "},{\"major\":0,\"minor\":0,\"op\":\"Write\",\"value\":%" PRIu64
                      "}]},\"hugetlb\":{},\"intel_rdt\":{},\"network_interfaces\":null}}\n",
                      stats->read_bytes, stats->write_bytes);
}

static int open_running(const struct container_options *options, const char *id,
                        struct container *ret, struct err *err)
{
    int rc = container_open(options, id, false, ret, err);
    if (rc < 0) {
        return rc;
    }
    enum state_status status = state_status(ret->directory, &ret->state);
    if (status == STATE_STOPPED || status == STATE_CREATING) {
        rc = err_set(err, ERR_INVALID, "container with id %s is not running", id);
    } else if (ret->state.no_cgroup) {
        rc = err_set(err, ERR_UNSUPPORTED, "events: container '%s' has no cgroup", id);
    }
    if (rc < 0) {
        container_close(ret);
    }
    return rc;
}

int container_stats(const struct container_options *options, const char *id, struct buf *out,
                    struct err *err)
{
    struct container container;
    struct stats stats;
    int rc = open_running(options, id, &container, err);
    if (rc < 0) {
        return rc;
    }
    stats_read(&container.cgroup, &stats);
    append_stats(out, id, &stats);
    container_close(&container);
    return 0;
}

static int print_line(struct buf *out, struct err *err)
{
    int rc = file_write_all(STDOUT_FILENO, out->data + out->start, buf_size(out));
    buf_clear(out);
    return rc < 0 ? err_set_errno(err, -rc, "events: write") : 0;
}

/* Statistics at each interval; an oom line as soon as the kernel's counter has moved. */
static int follow(struct container *container, int pidfd, unsigned interval_s, struct err *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    uint64_t next = clock_monotonic_ms() + interval_s * 1000ULL;
    uint64_t oom_kills = cgroup_oom_kills(&container->cgroup);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    for (;;) {
        if (poll(&end, 1, OOM_CHECK_MS) < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "events: poll");
        }
        uint64_t kills = cgroup_oom_kills(&container->cgroup);
        if (kills > oom_kills) {
            oom_kills = kills;
            buf_append_text(&out, "{\"type\":\"oom\",\"id\":");
            json_text_append_quoted(&out, bytes_from_text(container->state.id));
            buf_append_text(&out, "}\n");
        }
        if (clock_monotonic_ms() >= next && end.revents == 0) {
            struct stats stats;
            stats_read(&container->cgroup, &stats);
            append_stats(&out, container->state.id, &stats);
            next += interval_s * 1000ULL;
        }
        int rc = buf_size(&out) == 0 ? 0 : print_line(&out, err);
        if (rc < 0 || end.revents != 0) {
            return rc;
        }
    }
}

int container_events(const struct container_options *options, const char *id, unsigned interval_s,
                     struct err *err)
{
    struct container container;
    int rc = open_running(options, id, &container, err);
    if (rc < 0) {
        return rc;
    }
    CLEANUP(close_fd) int pidfd = state_open_process(&container.state);
    rc = pidfd < 0 ? 0 : follow(&container, pidfd, interval_s, err);
    container_close(&container);
    return rc;
}
