#include "orchestrator/proxy/pod_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "orchestrator/objects/tree.h"

/* *ret_rest: what comes behind the address. */
static bool parse_address(const char *text, uint32_t *ret_address, const char **ret_rest)
{
    unsigned part[4];
    int size = 0;
    if (text == NULL ||
        sscanf(text, "%3u.%3u.%3u.%3u%n", &part[0], &part[1], &part[2], &part[3], &size) != 4 ||
        part[0] > 255 || part[1] > 255 || part[2] > 255 || part[3] > 255) {
        return false;
    }
    *ret_address = part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3];
    *ret_rest = text + size;
    return true;
}

bool address_parse_range(const char *text, uint32_t *ret_address, uint8_t *ret_bits)
{
    const char *rest = NULL;
    uint32_t address = 0;
    unsigned bits = 0;
    char end = '\0';
    if (!parse_address(text, &address, &rest) || sscanf(rest, "/%2u%c", &bits, &end) != 1 ||
        bits > 32) {
        return false;
    }
    *ret_address = bits == 0 ? 0 : address & (UINT32_MAX << (32 - bits));
    *ret_bits = (uint8_t)bits;
    return true;
}

bool address_parse(const char *text, uint32_t *ret_address)
{
    const char *rest = NULL;
    uint32_t address = 0;
    if (!parse_address(text, &address, &rest) || *rest != '\0') {
        return false;
    }
    *ret_address = address;
    return true;
}

static uint32_t internal_address(const json_t *node)
{
    const json_t *item = tree_find_item(tree_find(node, "status.addresses"), "type", "InternalIP");
    uint32_t address = 0;
    return address_parse(tree_text(item, "address"), &address) ? address : 0;
}

static int compare(const void *a, const void *b)
{
    const struct pod_peer *left = a;
    const struct pod_peer *right = b;
    if (left->range != right->range) {
        return left->range < right->range ? -1 : 1;
    }
    if (left->bits != right->bits) {
        return left->bits < right->bits ? -1 : 1;
    }
    return (left->node > right->node) - (left->node < right->node);
}

void pod_peers_collect(struct pod_peers *peers, const struct cache *cache, const char *own_name,
                       uint32_t own_address)
{
    *peers = (struct pod_peers){0};
    struct cache_cursor c = cache_list(cache, "nodes", "");
    while (cache_next(&c)) {
        struct pod_peer peer = {.node = internal_address(c.object)};
        if (peer.node == 0 || peer.node == own_address ||
            strcmp(object_name(c.object), own_name) == 0 ||
            !address_parse_range(tree_text(c.object, "spec.podCIDR"), &peer.range, &peer.bits)) {
            continue;
        }
        if (peers->count == peers->capacity) {
            peers->capacity = peers->capacity == 0 ? 16 : peers->capacity * 2;
            peers->items = mem_reallocarray(peers->items, peers->capacity, sizeof(*peers->items));
        }
        peers->items[peers->count++] = peer;
    }
    if (peers->count == 0) {
        return;
    }
    qsort(peers->items, peers->count, sizeof(*peers->items), compare);
    size_t kept = 1;
    for (size_t i = 1; i < peers->count; i++) {
        if (peers->items[i].range != peers->items[kept - 1].range ||
            peers->items[i].bits != peers->items[kept - 1].bits) {
            peers->items[kept++] = peers->items[i];
        }
    }
    peers->count = kept;
}

void pod_peers_deinit(struct pod_peers *peers)
{
    mem_free(peers->items);
    *peers = (struct pod_peers){0};
}

bool pod_peers_equal(const struct pod_peers *a, const struct pod_peers *b)
{
    for (size_t i = 0; i < a->count && a->count == b->count; i++) {
        if (compare(&a->items[i], &b->items[i]) != 0) {
            return false;
        }
    }
    return a->count == b->count;
}
