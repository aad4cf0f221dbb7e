#include "kvstore/server/memory_keeper.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"

enum {
    LOOK_EVERY_MS = 1000,
    LOOK_SHARE = 1000,       /* or, in a large heap, a thousandth of the time */
    WORTH_BYTES = 1 << 20,   /* more than after the last look: then free pages are given back */
    KEPT_AT_END = 256 << 10, /* of the heap: the next requests' */
    TOP_BYTES_MAX = 8 << 20, /* free at the end of the heap until the next look */
    MAPPED_BYTES = 1 << 20,  /* from this size on a block has pages of its own */
};

/* Pages in memory that are not a file's (proc(5), statm), less what is in use: about what could be
 * given back, and what never can. 0: unknown. */
static int64_t slack_bytes(void)
{
    char text[128];
    unsigned long long size = 0;
    unsigned long long resident = 0;
    unsigned long long shared = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[got > 0 ? got : 0] = '\0';
    if (sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3 || shared > resident) {
        return 0;
    }
    const struct mallinfo2 heap = mallinfo2();
    return (int64_t)(resident - shared) * sysconf(_SC_PAGESIZE) -
           (int64_t)(heap.uordblks + heap.hblkhd);
}

/* Of this thread: another process's turn is not ours. */
static uint64_t cpu_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void look(struct timer *timer)
{
    struct memory_keeper *keeper = container_of(timer, struct memory_keeper, timer);
    uint64_t started_us = cpu_us();
    int64_t bytes = slack_bytes();
    if (bytes < keeper->kept_bytes) {
        keeper->kept_bytes = bytes;
    } else if (bytes > keeper->kept_bytes + WORTH_BYTES) {
        (void)malloc_trim(KEPT_AT_END);
        keeper->kept_bytes = slack_bytes();
    }
    uint64_t took_us = cpu_us() - started_us;
    timers_set(keeper->timers, timer,
               keeper->timers->now_ms + LOOK_EVERY_MS + took_us * LOOK_SHARE / 1000);
}

void memory_keeper_set_up(void)
{
    /* Refusals change nothing but speed. Set values also end the library's own adjusting, which
     * lets the heap grow with the largest block ever freed. */
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TOP_BYTES_MAX);
}

void memory_keeper_start(struct memory_keeper *keeper, struct timers *timers)
{
    *keeper = (struct memory_keeper){.timers = timers};
    timer_init(&keeper->timer, look);
    timers_set(timers, &keeper->timer, timers->now_ms + LOOK_EVERY_MS);
}

void memory_keeper_stop(struct memory_keeper *keeper)
{
    if (keeper->timers != NULL) {
        timers_clear(keeper->timers, &keeper->timer);
    }
}
