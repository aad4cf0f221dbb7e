/* process_affinity.c - on which processors a new process may run. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/container/process.h"
#include "runtime/container/report.h"

/* A list as in cpusets: "0-3,7". */
static int parse(const char *text, cpu_set_t *set)
{
    CPU_ZERO(set);
    for (;;) {
        char *end = NULL;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (end == text || text[0] < '0' || text[0] > '9') {
            return -EINVAL;
        }
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            if (end == text || text[0] < '0' || text[0] > '9') {
                return -EINVAL;
            }
        }
        if (last < first || last >= CPU_SETSIZE) {
            return -EINVAL;
        }
        for (unsigned long cpu = first; cpu <= last; cpu++) {
            CPU_SET(cpu, set);
        }
        if (*end == 0) {
            return 0;
        }
        if (*end != ',') {
            return -EINVAL;
        }
        text = end + 1;
    }
}

static unsigned long first_word(const cpu_set_t *set)
{
    unsigned long mask = 0;
    for (unsigned cpu = 0; cpu < 8 * sizeof mask; cpu++) {
        mask |= CPU_ISSET(cpu, set) ? 1UL << cpu : 0UL;
    }
    return mask;
}

static int set_affinity(const char *text, const char *field, bool is_final, struct err *err)
{
    cpu_set_t set;
    if (parse(text, &set) < 0) {
        return err_set(err, ERR_INVALID, "process.execCPUAffinity.%s: '%.60s' is no list of CPUs",
                       field, text);
    }
    if (sched_setaffinity(0, sizeof set, &set) < 0) {
        return err_set_errno(err, errno, "process.execCPUAffinity.%s: '%s'", field, text);
    }
    if (!is_final) {
        report_debug("nsexec[%d]: affinity: 0x%lx", getpid(), first_word(&set));
    }
    return 0;
}

int process_set_initial_affinity(const struct spec_process *spec, struct err *err)
{
    const struct spec_cpu_affinity *affinity = spec->exec_cpu_affinity;
    return affinity == NULL || affinity->initial == NULL || affinity->initial[0] == 0
               ? 0
               : set_affinity(affinity->initial, "initial", false, err);
}

int process_set_final_affinity(const struct spec_process *spec, struct err *err)
{
    const struct spec_cpu_affinity *affinity = spec->exec_cpu_affinity;
    if (affinity != NULL && affinity->final != NULL && affinity->final[0] != 0) {
        return set_affinity(affinity->final, "final", true, err);
    }
    if (affinity == NULL || affinity->initial == NULL || affinity->initial[0] == 0) {
        process_reset_affinity();
    }
    return 0;
}

void process_reset_affinity(void)
{
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    /* The kernel leaves what the cgroup allows. Where it refuses, the caller's stay. */
    if (sched_setaffinity(0, sizeof all, &all) < 0) {
        report_debug("the caller's CPU affinity stays");
    }
}
