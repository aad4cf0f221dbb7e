/* netlink.h - the few rtnetlink requests that container networks need (rtnetlink(7)).
 *
 * One socket acts in one network namespace: that of the calling thread when it was opened. */
#ifndef RUNTIME_NETWORK_NETLINK_H
#define RUNTIME_NETWORK_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* netns_fd -1: the calling process' own namespace; otherwise the process visits that namespace to
 * open the socket and comes back (single-threaded programs only). Returns *ret_fd. */
MUST_USE int netlink_open(int netns_fd, int *ret_fd, struct err *err);

/* All return 0 or -errno as the kernel says. */
MUST_USE int netlink_link_index(int fd, const char *name, uint32_t *ret_index);
MUST_USE int netlink_bridge_add(int fd, const char *name, uint32_t mtu);
/* A veth pair: name here, enslaved to master, and peer_name with mac in the namespace netns_fd. */
MUST_USE int netlink_veth_add(int fd, const char *name, uint32_t master, const char *peer_name,
                              int netns_fd, const uint8_t peer_mac[6], uint32_t mtu);
MUST_USE int netlink_vxlan_add(int fd, const char *name, uint32_t vni, uint32_t local_address,
                               uint16_t port, uint32_t master);
MUST_USE int netlink_link_up(int fd, uint32_t index);
MUST_USE int netlink_link_delete(int fd, const char *name);
/* Let a bridge port send a frame back where it came from: published ports of oneself. */
MUST_USE int netlink_port_hairpin(int fd, uint32_t index);
MUST_USE int netlink_address_add(int fd, uint32_t index, uint32_t address, uint8_t prefix_size);
/* prefix_size 0: the default route. index 0: by the gateway alone. Replaces an equal route. */
MUST_USE int netlink_route_set(int fd, uint32_t destination, uint8_t prefix_size, uint32_t gateway,
                               uint32_t index);
MUST_USE int netlink_route_delete(int fd, uint32_t destination, uint8_t prefix_size);
/* Forwarding entry of a VXLAN device: broadcast frames go to this node, too. */
MUST_USE int netlink_fdb_append(int fd, uint32_t index, uint32_t node_address);

/* True when the nftables table (family ip) exists in the calling process' namespace. */
bool netlink_has_nft_table(const char *name);

#endif
