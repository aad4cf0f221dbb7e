#include "kvstore/server/metric_process.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

static int64_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return -1;
    }
    int64_t count = -3; /* ".", ".." and the folder itself */
    while (readdir(folder) != NULL) {
        count += 1;
    }
    (void)closedir(folder);
    return count;
}

/* Fields 22 (start, clock ticks since boot), 23 (bytes of address space), 24 (resident pages). */
static void read_stat(struct metrics *metrics)
{
    CLEANUP(file) FILE *file = fopen("/proc/self/stat", "re");
    char line[1024];
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
        return;
    }
    const char *fields = strrchr(line, ')'); /* the command's name may hold anything */
    unsigned long long start = 0;
    unsigned long long virtual_bytes = 0;
    long long resident_pages = 0;
    if (fields == NULL ||
        sscanf(fields + 2, /* NOLINT(cert-err34-c): the kernel wrote these numbers */
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu "
               "%llu %lld",
               &start, &virtual_bytes, &resident_pages) != 3) {
        return;
    }
    struct timespec since_boot;
    (void)clock_gettime(CLOCK_BOOTTIME, &since_boot);
    int64_t boot = (int64_t)time(NULL) - since_boot.tv_sec;
    metric_set(metrics, METRIC_PROCESS_START,
               boot + (int64_t)start / (int64_t)sysconf(_SC_CLK_TCK));
    metric_set(metrics, METRIC_PROCESS_VIRTUAL, (int64_t)virtual_bytes);
    metric_set(metrics, METRIC_PROCESS_RSS, resident_pages * (int64_t)sysconf(_SC_PAGESIZE));
}

void metric_process_read(struct metrics *metrics)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        metric_set(metrics, METRIC_FD_LIMIT, (int64_t)limit.rlim_cur);
        metric_set(metrics, METRIC_PROCESS_MAX_FDS, (int64_t)limit.rlim_cur);
    }
    int64_t open_files = count_descriptors();
    if (open_files >= 0) {
        metric_set(metrics, METRIC_FD_USED, open_files);
        metric_set(metrics, METRIC_PROCESS_OPEN_FDS, open_files);
    }
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        metric_set(metrics, METRIC_PROCESS_CPU, usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
    }
    metric_set(metrics, METRIC_PROCESS_VIRTUAL_MAX, -1);
    read_stat(metrics);
}

void metric_process_write_go(struct buf *out)
{
    static const char *const zeros[] = {
        "go_memstats_lookups_total",       "go_memstats_frees_total",
        "go_memstats_mallocs_total",       "go_memstats_gc_cpu_fraction",
        "go_memstats_gc_sys_bytes",        "go_memstats_mcache_inuse_bytes",
        "go_memstats_mcache_sys_bytes",    "go_memstats_mspan_inuse_bytes",
        "go_memstats_mspan_sys_bytes",     "go_memstats_buck_hash_sys_bytes",
        "go_memstats_other_sys_bytes",     "go_memstats_stack_inuse_bytes",
        "go_memstats_stack_sys_bytes",     "go_memstats_last_gc_time_seconds",
        "go_memstats_heap_released_bytes", "go_memstats_heap_objects",
        "go_memstats_next_gc_bytes",       "go_gc_gogc_percent",
        "go_gc_gomemlimit_bytes",
    };
    struct mallinfo2 heap = mallinfo2();
    buf_append_text(out, "# TYPE go_gc_duration_seconds summary\n"
                         "go_gc_duration_seconds{quantile=\"1\"} 0\n"
                         "go_gc_duration_seconds_sum 0\ngo_gc_duration_seconds_count 0\n");
    buf_append_format(out, "go_sched_gomaxprocs_threads %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    buf_append_format(out, "go_goroutines 1\ngo_threads 1\ngo_info{version=\"none\"} 1\n");
    buf_append_format(out,
                      "go_memstats_alloc_bytes %zu\ngo_memstats_alloc_bytes_total %zu\n"
                      "go_memstats_heap_alloc_bytes %zu\ngo_memstats_heap_inuse_bytes %zu\n"
                      "go_memstats_heap_idle_bytes %zu\ngo_memstats_heap_sys_bytes %zu\n"
                      "go_memstats_sys_bytes %zu\n",
                      heap.uordblks, heap.uordblks, heap.uordblks, heap.uordblks, heap.fordblks,
                      heap.arena, heap.arena);
    for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++) {
        buf_append_format(out, "%s 0\n", zeros[i]);
    }
    buf_append_text(out, "promhttp_metric_handler_requests_in_flight 1\n"
                         "promhttp_metric_handler_requests_total{code=\"200\"} 0\n");
}
