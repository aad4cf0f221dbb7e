/* sim - runs the simulator over seeds.
 *
 *     sim [--seed N] [--count N] [--seconds S] [--twice] [--verbose]
 *
 * Seeds N, N+1, ... ; --seconds of virtual faults each (default 60); --twice runs each seed twice
 * and compares the traces. Stops at the first failure and prints its seed. Exit: 0, 1 crash, 2 no
 * liveness, 3 wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim.h"

#ifdef PLANTED_RUNTIME
int planted_bug = 0;
#endif

struct arguments {
    uint64_t seed;
    uint64_t count;
    uint32_t seconds;
    bool is_twice;
    bool is_verbose;
};

static bool number(const char *text, uint64_t *ret)
{
    char *end = NULL;
    unsigned long long value = text == NULL ? 0 : strtoull(text, &end, 0);
    *ret = value;
    return text != NULL && end != text && *end == 0;
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    for (int i = 1; i < argc; i++) {
        uint64_t value = 0;
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--twice") == 0) {
            arguments->is_twice = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            arguments->is_verbose = true;
            sim_is_verbose = true;
        } else if (!number(next, &value)) {
            return false;
        } else if (strcmp(argv[i], "--seed") == 0) {
            arguments->seed = value;
            i += 1;
        } else if (strcmp(argv[i], "--count") == 0) {
            arguments->count = value;
            i += 1;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            arguments->seconds = (uint32_t)value;
            i += 1;
#ifdef PLANTED_RUNTIME
        } else if (strcmp(argv[i], "--planted") == 0) {
            planted_bug = (int)value;
            i += 1;
#endif
        } else {
            return false;
        }
    }
    return true;
}

static void add(struct sim_result *sum, const struct sim_result *result)
{
    sum->virtual_ms += result->virtual_ms;
    sum->operations += result->operations;
    sum->events += result->events;
    sum->faults += result->faults;
    sum->changes += result->changes;
    sum->torn += result->torn;
    sum->full += result->full;
    sum->jumps += result->jumps;
}

static void print_sum(const struct sim_result *sum, uint64_t seeds, double cpu_s)
{
    printf("%llu seeds: %llu virtual seconds in %.1f CPU seconds (%.0f a second), %llu operations, "
           "%llu watch events\n",
           (unsigned long long)seeds, (unsigned long long)(sum->virtual_ms / 1000), cpu_s,
           (double)sum->virtual_ms / 1000 / (cpu_s > 0 ? cpu_s : 1),
           (unsigned long long)sum->operations, (unsigned long long)sum->events);
    printf("%llu faults: %llu torn appends, %llu writes to full disks, %llu jumps of clocks among "
           "them; %llu member changes\n",
           (unsigned long long)sum->faults, (unsigned long long)sum->torn,
           (unsigned long long)sum->full, (unsigned long long)sum->jumps,
           (unsigned long long)sum->changes);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.seed = 1, .count = 1, .seconds = 60};
    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr, "usage: %s [--seed N] [--count N] [--seconds S] [--twice] [--verbose]\n",
                argv[0]);
        return 1;
    }
    struct sim_result sum = {0};
    clock_t began = clock();
    for (uint64_t i = 0; i < arguments.count; i++) {
        uint64_t seed = arguments.seed + i;
        struct sim_result result;
        int code = sim_run(seed, arguments.seconds * 1000, &result);
        struct sim_result again = result;
        if (code == SIM_OK && arguments.is_twice) {
            code = sim_run(seed, arguments.seconds * 1000, &again);
            if (again.trace_hash != result.trace_hash) {
                printf("seed %llu: two runs differ\n", (unsigned long long)seed);
                return SIM_CORRECTNESS;
            }
        }
        if (arguments.is_verbose || code != SIM_OK) {
            printf(
                "seed %llu: %s%s (%llu virtual ms, %llu operations, %llu revisions, trace %llx)\n",
                (unsigned long long)seed, code == SIM_OK ? "ok" : "FAILED ", result.text,
                (unsigned long long)result.virtual_ms, (unsigned long long)result.operations,
                (unsigned long long)result.revisions, (unsigned long long)result.trace_hash);
            (void)fflush(stdout);
        }
        if (code != SIM_OK) {
            return code;
        }
        add(&sum, &result);
    }
    print_sum(&sum, arguments.count, (double)(clock() - began) / CLOCKS_PER_SEC);
    return 0;
}
