/* agent_options.h - the command line of orchd agent. */
#ifndef ORCHESTRATOR_AGENT_AGENT_OPTIONS_H
#define ORCHESTRATOR_AGENT_AGENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Texts point into argv. */
struct agent_options {
    const char *kubeconfig;
    const char *node_name;
    const char *node_ip;
    const char *data_dir;
    const char *image_store; /* NULL: <data_dir>/store */
    const char *run_dir;     /* NULL: <data_dir>/run */
    const char *cgroup_parent;
    const char *pod_cidr; /* NULL: the API gives one */
    const char *bridge;
    const char *static_pod_path; /* NULL: none */
    const char *cluster_dns;     /* "" for none */
    const char *cluster_domain;
    const char *node_labels;
    uint16_t port;
    int64_t cpu_milli;    /* 0: the machine's */
    int64_t memory_bytes; /* 0: the machine's */
    int64_t pods_max;
    int64_t eviction_memory_bytes; /* pods go when less is available */
    int64_t eviction_disk_percent;
    bool wants_help;
};

/* ERR_INVALID with a text that names the flag. */
MUST_USE int agent_options_parse(struct agent_options *options, int argc, char *argv[],
                                 struct err *err);
extern const char agent_help[];

#endif
