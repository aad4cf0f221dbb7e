/* pod_peers.h - which pod addresses are on which other node, as Nodes say. Pure. */
#ifndef ORCHESTRATOR_PROXY_POD_PEERS_H
#define ORCHESTRATOR_PROXY_POD_PEERS_H

#include "orchestrator/cache/cache.h"

/* Addresses are IPv4 in host byte order. */
struct pod_peer {
    uint32_t range; /* node.spec.podCIDR: first address */
    uint8_t bits;
    uint32_t node; /* the node's InternalIP */
};

struct pod_peers {
    struct pod_peer *items; /* sorted by range; no range twice, none is our own */
    size_t count;
    size_t capacity;
};

/* own_address: of this node, whose own range needs no route. Nodes without a range or an address
 * are left out. */
void pod_peers_collect(struct pod_peers *peers, const struct cache *cache, const char *own_name,
                       uint32_t own_address);
void pod_peers_deinit(struct pod_peers *peers);
bool pod_peers_equal(const struct pod_peers *a, const struct pod_peers *b);

/* "10.244.1.0/24" and "10.244.1.7". False for anything else. */
bool address_parse_range(const char *text, uint32_t *ret_address, uint8_t *ret_bits);
bool address_parse(const char *text, uint32_t *ret_address);

#endif
