/* service_rules.h - the rules by which the kernel balances services: what kube-proxy's nftables
 * mode programs, from Services and EndpointSlices. Pure.
 *
 * Shape (kubernetes/pkg/proxy/nftables; names are ours): a packet to a service's address and port
 * is looked up in one map and goes to the service's chain, which picks an endpoint's chain, which
 * rewrites the destination. What no endpoint can answer is rejected. Cost per connection does not
 * depend on the number of services. */
#ifndef ORCHESTRATOR_PROXY_SERVICE_RULES_H
#define ORCHESTRATOR_PROXY_SERVICE_RULES_H

#include "orchestrator/cache/cache.h"
#include "orchestrator/proxy/ruleset.h"

/* Texts are borrowed and checked by whoever makes this: they go into rules as they are. */
struct service_rules_settings {
    const char *node_name;
    const char *cluster_cidr; /* all pods: their own addresses are kept on the way to a service */
    const char *service_cidr; /* cluster addresses that are nobody's are dropped */
};

/* Chains with hooks and named maps, for ruleset_write_all. */
void service_rules_write_base(struct buf *out, const struct service_rules_settings *settings);
/* ruleset is initialised and finished. */
void service_rules_compute(const struct cache *cache, const struct service_rules_settings *settings,
                           struct ruleset *ruleset);

#endif
