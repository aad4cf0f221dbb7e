/* zone_internal.h - services and endpoints as both halves of the zone see them. */
#ifndef ORCHESTRATOR_DNS_ZONE_INTERNAL_H
#define ORCHESTRATOR_DNS_ZONE_INTERNAL_H

#include "orchestrator/dns/zone.h"

bool zone_is_headless(const json_t *service);
/* "service.namespace.svc.cluster.local"; the caller frees. */
char *zone_service_name(const struct zone *zone, const json_t *service);

/* label: the endpoint's name below the service's. */
typedef void zone_visit_endpoint(void *context, const json_t *slice, const char *label,
                                 const char *address);
/* Every endpoint that is ready and has an IPv4 address. */
void zone_visit_endpoints(const struct zone *zone, const json_t *service,
                          zone_visit_endpoint *visit, void *context);

#endif
