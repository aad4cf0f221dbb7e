/* dns_options.h - the command line of "orchd dns". */
#ifndef ORCHESTRATOR_DNS_DNS_OPTIONS_H
#define ORCHESTRATOR_DNS_DNS_OPTIONS_H

#include <stdbool.h>

#include "base/err.h"
#include "orchestrator/dns/zone.h"

/* Texts point into argv. */
struct dns_options {
    const char *kubeconfig; /* NULL: as kubectl finds it */
    const char *node_name;
    const char *node_ip;
    const char *listen;      /* NULL: node_ip, port 53 */
    const char *cluster_dns; /* the address that pods ask; "": make no service */
    const char *upstream;    /* NULL: those of resolv_conf */
    const char *resolv_conf;
    struct zone_settings zone;
    bool wants_help;
};

extern const char dns_help[];
/* ERR_INVALID with a text that names the flag. */
MUST_USE int dns_options_parse(struct dns_options *options, int argc, char *argv[],
                               struct err *err);

#endif
