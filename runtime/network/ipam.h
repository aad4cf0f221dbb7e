/* ipam.h - choosing addresses and subnets. Pure. Addresses are in host byte order. */
#ifndef RUNTIME_NETWORK_IPAM_H
#define RUNTIME_NETWORK_IPAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/network/network.h"

uint32_t ipam_mask(uint8_t prefix_size);
bool ipam_contains(struct network_subnet subnet, uint32_t address);
bool ipam_overlaps(struct network_subnet a, struct network_subnet b);

/* "10.1.0.0/16", host bits zero, prefix 8..30. ERR_INVALID. */
MUST_USE int ipam_parse_subnet(const char *text, struct network_subnet *ret, struct err *err);
MUST_USE int ipam_parse_address(const char *text, uint32_t *ret, struct err *err);
/* out holds 16 and 20 characters. */
void ipam_format_address(uint32_t address, char *out);
void ipam_format_subnet(struct network_subnet subnet, char *out);

/* The first free address after `after`, wrapping round: an address that was just given back is not
 * reused at once, because others may still have it in their caches. Never the network's, the
 * broadcast address or the gateway. wanted 0: any. ERR_NO_SPACE, ERR_EXISTS, ERR_INVALID. */
MUST_USE int ipam_choose_address(struct network_subnet subnet, uint32_t gateway, uint32_t wanted,
                                 uint32_t after, const uint32_t *used, size_t used_count,
                                 uint32_t *ret, struct err *err);

/* The first of 172.17.0.0/16 … 172.31.0.0/16, 192.168.16.0/20 … 192.168.240.0/20 that overlaps with
 * none of those taken. ERR_NO_SPACE. */
MUST_USE int ipam_choose_subnet(const struct network_subnet *taken, size_t taken_count,
                                struct network_subnet *ret, struct err *err);

#endif
