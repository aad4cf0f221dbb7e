/* proxy_options.h - the command line of "orchd proxy". */
#ifndef ORCHESTRATOR_PROXY_PROXY_OPTIONS_H
#define ORCHESTRATOR_PROXY_PROXY_OPTIONS_H

#include "orchestrator/proxy/pod_routes.h"

/* Texts point into argv. */
struct proxy_options {
    const char *kubeconfig; /* NULL: as kubectl finds it */
    const char *node_name;
    const char *cluster_cidr;
    const char *service_cidr;
    uint32_t node_address;
    enum pod_routes_mode routes;
    bool cleans; /* remove everything and end */
    bool wants_help;
};

extern const char proxy_help[];
/* ERR_INVALID with a text that names the flag. */
MUST_USE int proxy_options_parse(struct proxy_options *options, int argc, char *argv[],
                                 struct err *err);

#endif
