/* zone.h - what the cluster's DNS knows: services and their endpoints, from the cache. Pure.
 *
 * Names and rules: kubernetes/dns docs/specification.md 1.1. */
#ifndef ORCHESTRATOR_DNS_ZONE_H
#define ORCHESTRATOR_DNS_ZONE_H

#include "orchestrator/cache/cache.h"
#include "orchestrator/dns/message.h"
#include "orchestrator/proxy/backends.h"

enum { ZONE_TTL_S = 5, ZONE_VERSION_TTL_S = 28800 };
#define ZONE_VERSION "1.1.0"

struct zone_settings {
    const char *domain; /* "cluster.local", lower case; borrowed */
    /* Addresses whose names only we know, IPv4 in host byte order: pods' and services'. */
    struct {
        uint32_t first;
        uint8_t bits;
    } ranges[2];
};

struct zone {
    const struct cache *cache; /* borrowed; "services" and "endpointslices" */
    struct zone_settings settings;
    struct slice_index slices;
    struct bytes_map names; /* address -> name for PTR, owned */
};

void zone_init(struct zone *zone, const struct cache *cache, const struct zone_settings *settings);
void zone_deinit(struct zone *zone);
/* After each change of the cache, before the next question. */
void zone_refresh(struct zone *zone);

enum zone_verdict {
    ZONE_ANSWERED = 1, /* reply is complete */
    ZONE_FORWARD,      /* not ours: pass the question on */
    ZONE_CHASE,        /* an alias of a name outside: ask for target, then zone_finish_chase */
};

/* limit: the largest answer in bytes. The reply is appended. target is written for ZONE_CHASE. */
enum zone_verdict zone_answer(const struct zone *zone, const struct dns_query *query, size_t limit,
                              struct buf *reply, char target[DNS_NAME_TEXT_SIZE]);
/* upstream: the answer to the question for target; empty when there was none. */
void zone_finish_chase(const struct dns_query *query, const char *target, struct bytes upstream,
                       size_t limit, struct buf *reply);

#endif
