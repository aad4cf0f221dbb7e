#include "runtime/container/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/container/file.h"

enum { TEXT_SIZE = 16384 };

static uint64_t read_number(int dir, const char *file)
{
    char text[64];
    if (dir < 0 || file_read_text(dir, file, text, sizeof text) <= 0 || text[0] == 'm') {
        return 0; /* "max": no limit */
    }
    return strtoull(text, NULL, 10);
}

/* The number after "key " at the beginning of a line. */
static uint64_t find_number(const char *text, const char *key)
{
    size_t size = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, size) == 0 && line[size] == ' ') {
            return strtoull(line + size + 1, NULL, 10);
        }
    }
    return 0;
}

/* Version 1 writes "no limit" as a number near 2^63. */
static uint64_t limit_or_none(uint64_t value)
{
    return value >= UINT64_C(0x7fffffffff000000) ? 0 : value;
}

static void read_cpu_v1(const struct cgroup *cgroup, struct stats *stats)
{
    char text[TEXT_SIZE] = "";
    int dir = cgroup_controller_dir(cgroup, CGROUP_CPUACCT, NULL);
    stats->cpu_usage_ns = read_number(dir, "cpuacct.usage");
    stats->cpu_user_ns = read_number(dir, "cpuacct.usage_user");
    stats->cpu_system_ns = read_number(dir, "cpuacct.usage_sys");
    dir = cgroup_controller_dir(cgroup, CGROUP_CPU, NULL);
    if (dir >= 0 && file_read_text(dir, "cpu.stat", text, sizeof text) > 0) {
        stats->periods = find_number(text, "nr_periods");
        stats->throttled_periods = find_number(text, "nr_throttled");
        stats->throttled_ns = find_number(text, "throttled_time");
    }
}

static void read_cpu_v2(const struct cgroup *cgroup, struct stats *stats)
{
    char text[TEXT_SIZE] = "";
    int dir = cgroup_v2_dir(cgroup);
    if (dir < 0 || file_read_text(dir, "cpu.stat", text, sizeof text) <= 0) {
        return;
    }
    stats->cpu_usage_ns = find_number(text, "usage_usec") * 1000;
    stats->cpu_user_ns = find_number(text, "user_usec") * 1000;
    stats->cpu_system_ns = find_number(text, "system_usec") * 1000;
    stats->periods = find_number(text, "nr_periods");
    stats->throttled_periods = find_number(text, "nr_throttled");
    stats->throttled_ns = find_number(text, "throttled_usec") * 1000;
}

static void read_memory_v1(int dir, struct stats *stats)
{
    char text[TEXT_SIZE] = "";
    stats->memory_usage = read_number(dir, "memory.usage_in_bytes");
    stats->memory_peak = read_number(dir, "memory.max_usage_in_bytes");
    stats->memory_limit = limit_or_none(read_number(dir, "memory.limit_in_bytes"));
    stats->memory_fail_count = read_number(dir, "memory.failcnt");
    stats->memory_kernel = read_number(dir, "memory.kmem.usage_in_bytes");
    stats->swap_usage = read_number(dir, "memory.memsw.usage_in_bytes");
    stats->swap_limit = limit_or_none(read_number(dir, "memory.memsw.limit_in_bytes"));
    if (file_read_text(dir, "memory.stat", text, sizeof text) > 0) {
        stats->memory_rss = find_number(text, "total_rss");
        stats->memory_cache = find_number(text, "total_cache");
        stats->memory_inactive_file = find_number(text, "total_inactive_file");
    }
}

static void read_memory_v2(int dir, struct stats *stats)
{
    char text[TEXT_SIZE] = "";
    stats->memory_usage = read_number(dir, "memory.current");
    stats->memory_peak = read_number(dir, "memory.peak");
    stats->memory_limit = read_number(dir, "memory.max");
    stats->swap_usage = stats->memory_usage + read_number(dir, "memory.swap.current");
    uint64_t swap = read_number(dir, "memory.swap.max");
    stats->swap_limit = stats->memory_limit == 0 ? 0 : stats->memory_limit + swap;
    if (file_read_text(dir, "memory.stat", text, sizeof text) > 0) {
        stats->memory_rss = find_number(text, "anon");
        stats->memory_cache = find_number(text, "file");
        stats->memory_inactive_file = find_number(text, "inactive_file");
        stats->memory_kernel = find_number(text, "kernel");
    }
}

/* Lines "8:0 Read 4096". */
static void read_io_v1(int dir, struct stats *stats)
{
    char text[TEXT_SIZE] = "";
    if (file_read_text(dir, "blkio.throttle.io_service_bytes_recursive", text, sizeof text) <= 0) {
        return;
    }
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        unsigned major = 0;
        unsigned minor = 0;
        char kind[16];
        unsigned long long value = 0;
        if (sscanf(line, "%u:%u %15s %llu", &major, &minor, kind, &value) != 4) {
            continue;
        }
        stats->read_bytes += strcmp(kind, "Read") == 0 ? value : 0;
        stats->write_bytes += strcmp(kind, "Write") == 0 ? value : 0;
    }
}

/* Lines "8:0 rbytes=4096 wbytes=0 ...". */
static void read_io_v2(int dir, struct stats *stats)
{
    char text[TEXT_SIZE] = "";
    if (file_read_text(dir, "io.stat", text, sizeof text) <= 0) {
        return;
    }
    for (const char *at = text; (at = strstr(at, "rbytes=")) != NULL; at += 7) {
        stats->read_bytes += strtoull(at + 7, NULL, 10);
    }
    for (const char *at = text; (at = strstr(at, "wbytes=")) != NULL; at += 7) {
        stats->write_bytes += strtoull(at + 7, NULL, 10);
    }
}

void stats_read(const struct cgroup *cgroup, struct stats *ret)
{
    struct stats stats;
    memset(&stats, 0, sizeof stats);
    bool is_v2 = false;
    if (cgroup_controller_dir(cgroup, CGROUP_CPUACCT, NULL) >= 0) {
        read_cpu_v1(cgroup, &stats);
    } else {
        read_cpu_v2(cgroup, &stats);
    }
    int dir = cgroup_controller_dir(cgroup, CGROUP_MEMORY, &is_v2);
    if (dir >= 0 && is_v2) {
        read_memory_v2(dir, &stats);
    } else if (dir >= 0) {
        read_memory_v1(dir, &stats);
    }
    dir = cgroup_controller_dir(cgroup, CGROUP_PIDS, NULL);
    stats.pids = read_number(dir, "pids.current");
    stats.pids_limit = read_number(dir, "pids.max");
    dir = cgroup_controller_dir(cgroup, CGROUP_BLKIO, &is_v2);
    if (dir >= 0 && is_v2) {
        read_io_v2(dir, &stats);
    } else if (dir >= 0) {
        read_io_v1(dir, &stats);
    }
    dir = cgroup_controller_dir(cgroup, CGROUP_CPUSET, NULL);
    if (dir >= 0) {
        if (file_read_text(dir, "cpuset.cpus", stats.cpus, sizeof stats.cpus) < 0 ||
            file_read_text(dir, "cpuset.mems", stats.mems, sizeof stats.mems) < 0) {
            stats.mems[0] = 0;
        }
    }
    stats.oom_kills = cgroup_oom_kills(cgroup);
    *ret = stats;
}
