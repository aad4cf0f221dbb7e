/* registration.h - the service kube-dns and this node's place in it, as objects of the API. Pure.
 *
 * Pods ask one address everywhere; the service's policy sends each to the DNS of its own node. */
#ifndef ORCHESTRATOR_DNS_REGISTRATION_H
#define ORCHESTRATOR_DNS_REGISTRATION_H

#include "orchestrator/cache/cache.h"

struct registration {
    const char *node_name;
    const char *node_ip;
    uint16_t port;
    const char *cluster_dns;
};

/* Something to apply (server side): *ret_path is where, freed by the caller. NULL when the cache
 * has all of it. */
json_t *registration_next(const struct registration *registration, const struct cache *cache,
                          char **ret_path);

#endif
