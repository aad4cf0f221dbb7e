#include "runtime/network/ipam.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t ipam_mask(uint8_t prefix_size)
{
    return prefix_size == 0 ? 0 : UINT32_MAX << (32 - prefix_size);
}

bool ipam_contains(struct network_subnet subnet, uint32_t address)
{
    return (address & ipam_mask(subnet.prefix_size)) == subnet.address;
}

bool ipam_overlaps(struct network_subnet a, struct network_subnet b)
{
    uint8_t shorter = a.prefix_size < b.prefix_size ? a.prefix_size : b.prefix_size;
    return ((a.address ^ b.address) & ipam_mask(shorter)) == 0;
}

int ipam_parse_address(const char *text, uint32_t *ret, struct err *err)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1) {
        return err_set(err, ERR_INVALID, "'%.60s' is not an IPv4 address", text);
    }
    *ret = ntohl(address.s_addr);
    return 0;
}

int ipam_parse_subnet(const char *text, struct network_subnet *ret, struct err *err)
{
    char address_text[32];
    const char *slash = strchr(text, '/');
    char *end = NULL;
    long size = slash == NULL ? -1 : strtol(slash + 1, &end, 10);
    uint32_t address = 0;
    if (slash == NULL || slash - text >= (long)sizeof(address_text) || end == slash + 1 ||
        *end != '\0' || size < 8 || size > 30) {
        return err_set(err, ERR_INVALID, "'%.60s' is not a subnet like 10.5.0.0/16", text);
    }
    (void)snprintf(address_text, sizeof(address_text), "%.*s", (int)(slash - text), text);
    int status = ipam_parse_address(address_text, &address, err);
    if (status != 0) {
        return status;
    }
    if ((address & ~ipam_mask((uint8_t)size)) != 0) {
        return err_set(err, ERR_INVALID, "subnet '%.60s' has host bits set", text);
    }
    *ret = (struct network_subnet){.address = address, .prefix_size = (uint8_t)size};
    return 0;
}

void ipam_format_address(uint32_t address, char *out)
{
    (void)snprintf(out, 16, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                   address & 255);
}

void ipam_format_subnet(struct network_subnet subnet, char *out)
{
    char address[16];
    ipam_format_address(subnet.address, address);
    (void)snprintf(out, 20, "%s/%u", address, subnet.prefix_size & 63u);
}

static bool is_used(uint32_t address, const uint32_t *used, size_t used_count)
{
    for (size_t i = 0; i < used_count; i++) {
        if (used[i] == address) {
            return true;
        }
    }
    return false;
}

int ipam_choose_address(struct network_subnet subnet, uint32_t gateway, uint32_t wanted,
                        uint32_t after, const uint32_t *used, size_t used_count, uint32_t *ret,
                        struct err *err)
{
    char text[20];
    uint32_t first = subnet.address + 1;
    uint32_t last = (subnet.address | ~ipam_mask(subnet.prefix_size)) - 1;
    if (wanted != 0) {
        ipam_format_address(wanted, text);
        if (wanted < first || wanted > last || wanted == gateway) {
            return err_set(err, ERR_INVALID, "address %s cannot be given out in this network",
                           text);
        }
        if (is_used(wanted, used, used_count)) {
            return err_set(err, ERR_EXISTS, "address %s is in use", text);
        }
        *ret = wanted;
        return 0;
    }
    uint32_t start = after >= first && after < last ? after + 1 : first;
    /* At most used_count + 1 (for the gateway) candidates can be taken. */
    uint32_t candidate = start;
    for (size_t tries = 0; tries < used_count + 2 && tries <= last - first; tries++) {
        if (candidate != gateway && !is_used(candidate, used, used_count)) {
            *ret = candidate;
            return 0;
        }
        candidate = candidate == last ? first : candidate + 1;
    }
    ipam_format_subnet(subnet, text);
    return err_set(err, ERR_NO_SPACE, "no free address in %s", text);
}

int ipam_choose_subnet(const struct network_subnet *taken, size_t taken_count,
                       struct network_subnet *ret, struct err *err)
{
    for (uint32_t i = 0; i < 30; i++) {
        struct network_subnet candidate = {.address = UINT32_C(0xac110000) + (i << 16),
                                           .prefix_size = 16};
        if (i >= 15) {
            candidate = (struct network_subnet){
                .address = UINT32_C(0xc0a80000) + ((i - 14) << 12),
                .prefix_size = 20,
            };
        }
        bool is_free = true;
        for (size_t k = 0; is_free && k < taken_count; k++) {
            is_free = !ipam_overlaps(candidate, taken[k]);
        }
        if (is_free) {
            *ret = candidate;
            return 0;
        }
    }
    return err_set(err, ERR_NO_SPACE, "every private subnet is in use; give one with --subnet");
}
