/* nft.h - our one nftables table, "coracle" (family ip): published ports, masquerade, isolation.
 *
 * Per network and per port only set elements are added and removed: no rule ever changes, so that
 * tear-down does not wait for the kernel's grace periods. Each call is one transaction. libnftables
 * is loaded when it is first needed; most commands never do. */
#ifndef RUNTIME_NETWORK_NFT_H
#define RUNTIME_NETWORK_NFT_H

#include "base/err.h"
#include "runtime/network/network.h"

#define NFT_TABLE "coracle"

/* Make the table if it is missing. */
MUST_USE int nft_setup(struct err *err);
/* The elements of a network; adding what is there is fine. */
MUST_USE int nft_network_add(const struct network *network, struct err *err);
/* Absent ones are fine. */
MUST_USE int nft_network_remove(const struct network *network, struct err *err);
/* host_port -> address:container_port. Nothing is done for no ports. */
MUST_USE int nft_ports_add(const struct network_port *ports, size_t count, uint32_t address,
                           struct err *err);
MUST_USE int nft_ports_remove(const struct network_port *ports, size_t count, uint32_t address,
                              struct err *err);

#endif
