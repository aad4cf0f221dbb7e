/* bench-schedule: how many pods a second the scheduler's decision places.
 *
 *     bench-schedule [NODES [PODS]]      1000 nodes and 10000 pods where not said
 *
 * Decisions alone (CPU time), each counted as placed before the next: no store, no API server. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "orchestrator/scheduler/scheduler.h"

enum { ZONES = 10, PODS_OF_A_SET = 100 };

/* CPU time: what else runs on the machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static json_t *make_node(unsigned i)
{
    CLEANUP(free) char *name = mem_printf("node-%u", i);
    CLEANUP(free) char *zone = mem_printf("zone-%u", i % ZONES);
    return json_pack("{s:{s:s, s:{s:s, s:s}}, s:{}, s:{s:{s:s, s:s, s:s}}}", "metadata", "name",
                     name, "labels", "kubernetes.io/hostname", name, "zone", zone, "spec", "status",
                     "allocatable", "cpu", "64", "memory", "256Gi", "pods", "110");
}

/* more: fields of the spec as JSON; NULL: none. */
static json_t *make_pod(unsigned i, const char *more)
{
    CLEANUP(free) char *name = mem_printf("pod-%u", i);
    CLEANUP(free) char *app = mem_printf("app-%u", i / PODS_OF_A_SET);
    json_t *pod =
        json_pack("{s:{s:s, s:s, s:s, s:{s:s, s:s}, s:[{s:s, s:s, s:s, s:b}]},"
                  " s:{s:[{s:s, s:s, s:{s:{s:s, s:s}}}]}}",
                  "metadata", "name", name, "namespace", "default", "uid", name, "labels", "app",
                  app, "all", "yes", "ownerReferences", "kind", "ReplicaSet", "name", app, "uid",
                  app, "controller", 1, "spec", "containers", "name", "c", "image", "i",
                  "resources", "requests", "cpu", "100m", "memory", "100Mi");
    if (more != NULL) {
        json_error_t error;
        CLEANUP(json) json_t *fields = json_loads(more, 0, &error);
        json_object_update(json_object_get(pod, "spec"), fields);
    }
    return pod;
}

static void measure(const char *title, unsigned nodes, unsigned pods, const char *more)
{
    struct node_table table;
    struct prng prng;
    struct cache *cache = cache_new(8);
    node_table_init(&table);
    prng_init(&prng, 1);
    for (unsigned i = 0; i < nodes; i++) {
        CLEANUP(json) json_t *node = make_node(i);
        node_table_set_node(&table, node);
    }
    uint64_t spent_ns = 0;
    unsigned placed = 0;
    for (unsigned i = 0; i < pods; i++) {
        CLEANUP(json) json_t *pod = make_pod(i, more);
        CLEANUP(decision) struct decision decision;
        uint64_t start_ns = cpu_ns();
        schedule(&table, cache, pod, &prng, &decision);
        if (decision.node != NULL) {
            node_table_set_pod(&table, pod, decision.node);
            placed++;
        }
        spent_ns += cpu_ns() - start_ns;
    }
    printf("%-22s %6u nodes %7u of %u pods placed %9.0f pods/s\n", title, nodes, placed, pods,
           (double)pods * 1e9 / (double)spent_ns);
    node_table_deinit(&table);
    cache_free(cache);
}

int main(int argc, char **argv)
{
    unsigned nodes = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
    unsigned pods = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10000;
    if (nodes == 0 || pods == 0) {
        fprintf(stderr, "usage: bench-schedule [NODES [PODS]]\n");
        return 2;
    }
    measure("plain", nodes, pods, NULL);
    measure("node selector", nodes, pods, "{\"nodeSelector\":{\"zone\":\"zone-1\"}}");
    measure("spread by zone", nodes, pods / 10,
            "{\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"zone\","
            "\"whenUnsatisfiable\":\"DoNotSchedule\",\"labelSelector\":{\"matchLabels\":"
            "{\"all\":\"yes\"}}}]}");
    measure(
        "anti-affinity by host", nodes, pods / 10,
        "{\"affinity\":{\"podAntiAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":"
        "[{\"labelSelector\":{\"matchLabels\":{\"all\":\"yes\"}},"
        "\"topologyKey\":\"kubernetes.io/hostname\"}]}}}");
    return 0;
}
