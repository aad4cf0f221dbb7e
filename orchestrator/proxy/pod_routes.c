#include "orchestrator/proxy/pod_routes.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/vxlan.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include "base/cleanup.h"

/* Ethernet's 1500 without the outer headers: IPv4 20, UDP 8, VXLAN 8, Ethernet 14. */
enum { VXLAN_MTU = 1450 };

struct pod_routes {
    struct nl_sock *socket;
    enum pod_routes_mode mode;
    uint32_t own_address;
    int device; /* index of the VXLAN device; 0: there is none */
};

static void cleanup_nl_addr(struct nl_addr **address)
{
    if (*address != NULL) {
        nl_addr_put(*address);
    }
}

static struct nl_addr *make_address(uint32_t address, uint8_t bits)
{
    uint32_t wire = htonl(address);
    struct nl_addr *result = nl_addr_build(AF_INET, &wire, sizeof(wire));
    if (result != NULL) {
        nl_addr_set_prefixlen(result, bits);
    }
    return result;
}

/* 02 and 43 (of ours, and for no one else), then the node's address. */
static struct nl_addr *make_hardware_address(uint32_t node)
{
    const uint8_t bytes[6] = {
        0x02,         0x43, (uint8_t)(node >> 24), (uint8_t)(node >> 16), (uint8_t)(node >> 8),
        (uint8_t)node};
    return nl_addr_build(AF_LLC, bytes, sizeof(bytes));
}

static int fail(struct err *err, int code, const char *what, uint32_t address)
{
    return err_set(err, ERR_IO, "%s %u.%u.%u.%u: %s", what, address >> 24, address >> 16 & 255,
                   address >> 8 & 255, address & 255, nl_geterror(code));
}

int pod_routes_open(enum pod_routes_mode mode, uint32_t own_address, struct pod_routes **ret,
                    struct err *err)
{
    struct nl_sock *socket = nl_socket_alloc();
    int code = socket == NULL ? -NLE_NOMEM : nl_connect(socket, NETLINK_ROUTE);
    if (code < 0) {
        nl_socket_free(socket);
        return err_set(err, ERR_IO, "open a netlink socket: %s", nl_geterror(code));
    }
    struct pod_routes *routes = mem_zalloc(sizeof(*routes));
    *routes = (struct pod_routes){.socket = socket, .mode = mode, .own_address = own_address};
    *ret = routes;
    return 0;
}

void pod_routes_close(struct pod_routes *routes)
{
    if (routes != NULL) {
        nl_socket_free(routes->socket);
        mem_free(routes);
    }
}

static struct rtnl_route *make_route(uint32_t range, uint8_t bits, uint32_t gateway, int device)
{
    struct rtnl_route *route = rtnl_route_alloc();
    CLEANUP(nl_addr) struct nl_addr *destination = make_address(range, bits);
    CLEANUP(nl_addr) struct nl_addr *via = make_address(gateway, 32);
    struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
    rtnl_route_set_family(route, AF_INET);
    rtnl_route_set_table(route, RT_TABLE_MAIN);
    rtnl_route_set_protocol(route, POD_ROUTES_PROTOCOL);
    rtnl_route_set_scope(route, RT_SCOPE_UNIVERSE);
    (void)rtnl_route_set_type(route, RTN_UNICAST);
    (void)rtnl_route_set_dst(route, destination);
    rtnl_route_nh_set_gateway(hop, via);
    if (device != 0) {
        rtnl_route_nh_set_ifindex(hop, device);
        rtnl_route_nh_set_flags(hop, RTNH_F_ONLINK);
    }
    rtnl_route_add_nexthop(route, hop);
    return route;
}

static int set_route(struct pod_routes *routes, const struct pod_peer *peer, uint32_t gateway,
                     int device)
{
    struct rtnl_route *route = make_route(peer->range, peer->bits, gateway, device);
    int code = rtnl_route_add(routes->socket, route, NLM_F_CREATE | NLM_F_REPLACE);
    rtnl_route_put(route);
    return code;
}

static int find_device(struct pod_routes *routes)
{
    struct rtnl_link *link = NULL;
    int index = 0;
    if (rtnl_link_get_kernel(routes->socket, 0, POD_ROUTES_DEVICE, &link) == 0) {
        index = rtnl_link_get_ifindex(link);
        rtnl_link_put(link);
    }
    return index;
}

static int make_device(struct pod_routes *routes, struct err *err)
{
    struct rtnl_link *link = rtnl_link_vxlan_alloc();
    CLEANUP(nl_addr) struct nl_addr *local = make_address(routes->own_address, 32);
    CLEANUP(nl_addr) struct nl_addr *hardware = make_hardware_address(routes->own_address);
    rtnl_link_set_name(link, POD_ROUTES_DEVICE);
    rtnl_link_set_addr(link, hardware);
    rtnl_link_set_flags(link, IFF_UP);
    rtnl_link_set_mtu(link, VXLAN_MTU);
    (void)rtnl_link_vxlan_set_id(link, POD_ROUTES_VNI);
    (void)rtnl_link_vxlan_set_local(link, local);
    (void)rtnl_link_vxlan_set_port(link, POD_ROUTES_VXLAN_PORT);
    (void)rtnl_link_vxlan_set_learning(link, 0);
    int code = rtnl_link_add(routes->socket, link, NLM_F_CREATE | NLM_F_EXCL);
    rtnl_link_put(link);
    if (code < 0 && code != -NLE_EXIST) {
        return fail(err, code, "make the VXLAN device of", routes->own_address);
    }
    return 0;
}

/* Our end has the first address of our range, which no pod gets. */
static int open_device(struct pod_routes *routes, uint32_t own_range, struct err *err)
{
    routes->device = find_device(routes);
    int result = routes->device == 0 ? make_device(routes, err) : 0;
    if (result != 0) {
        return result;
    }
    routes->device = find_device(routes);
    struct rtnl_addr *address = rtnl_addr_alloc();
    CLEANUP(nl_addr) struct nl_addr *local = make_address(own_range, 32);
    rtnl_addr_set_ifindex(address, routes->device);
    (void)rtnl_addr_set_local(address, local);
    int code = rtnl_addr_add(routes->socket, address, NLM_F_REPLACE);
    rtnl_addr_put(address);
    return code < 0 && code != -NLE_EXIST ? fail(err, code, "give the VXLAN device", own_range) : 0;
}

/* Where a neighbour is: by IP to its hardware address, or by hardware address to the node. */
static int set_neighbour(struct pod_routes *routes, int family, struct nl_addr *destination,
                         struct nl_addr *hardware)
{
    struct rtnl_neigh *neighbour = rtnl_neigh_alloc();
    rtnl_neigh_set_ifindex(neighbour, routes->device);
    rtnl_neigh_set_lladdr(neighbour, hardware);
    /* In this order: libnl takes the destination's family for the neighbour's, and for bridges that
     * is another one. */
    (void)rtnl_neigh_set_dst(neighbour, destination);
    rtnl_neigh_set_family(neighbour, family);
    rtnl_neigh_set_state(neighbour, NUD_PERMANENT);
    if (family == AF_BRIDGE) {
        rtnl_neigh_set_flags(neighbour, NTF_SELF);
    }
    int code = rtnl_neigh_add(routes->socket, neighbour, NLM_F_CREATE | NLM_F_REPLACE);
    rtnl_neigh_put(neighbour);
    return code;
}

static int set_tunnel(struct pod_routes *routes, const struct pod_peer *peer, uint32_t own_range,
                      struct err *err)
{
    if (own_range == 0) {
        return err_set(err, ERR_NOT_FOUND, "this node has no pod range yet");
    }
    int result = open_device(routes, own_range, err);
    if (result != 0) {
        return result;
    }
    CLEANUP(nl_addr) struct nl_addr *node = make_address(peer->node, 32);
    CLEANUP(nl_addr) struct nl_addr *end = make_address(peer->range, 32);
    CLEANUP(nl_addr) struct nl_addr *hardware = make_hardware_address(peer->node);
    int code = set_neighbour(routes, AF_INET, end, hardware);
    if (code == 0) {
        code = set_neighbour(routes, AF_BRIDGE, node, hardware);
    }
    if (code == 0) {
        code = set_route(routes, peer, peer->range, routes->device);
    }
    return code == 0 ? 0 : fail(err, code, "set the VXLAN way to", peer->node);
}

static int set_way(struct pod_routes *routes, const struct pod_peer *peer, uint32_t own_range,
                   struct err *err)
{
    if (routes->mode != POD_ROUTES_VXLAN) {
        int code = set_route(routes, peer, peer->node, 0);
        if (code == 0) {
            return 0;
        }
        if (routes->mode == POD_ROUTES_PLAIN) {
            return fail(err, code, "set the route through", peer->node);
        }
    }
    return set_tunnel(routes, peer, own_range, err);
}

static bool is_wanted(const struct rtnl_route *route, const struct pod_peers *peers)
{
    struct nl_addr *destination = rtnl_route_get_dst((struct rtnl_route *)(uintptr_t)route);
    uint32_t wire = 0;
    if (destination == NULL || nl_addr_get_len(destination) != sizeof(wire)) {
        return false;
    }
    memcpy(&wire, nl_addr_get_binary_addr(destination), sizeof(wire));
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->items[i].range == ntohl(wire) &&
            peers->items[i].bits == nl_addr_get_prefixlen(destination)) {
            return true;
        }
    }
    return false;
}

static int remove_others(struct pod_routes *routes, const struct pod_peers *peers, struct err *err)
{
    struct nl_cache *all = NULL;
    int code = rtnl_route_alloc_cache(routes->socket, AF_INET, 0, &all);
    if (code < 0) {
        return err_set(err, ERR_IO, "list the routes: %s", nl_geterror(code));
    }
    int result = 0;
    for (struct nl_object *o = nl_cache_get_first(all); o != NULL; o = nl_cache_get_next(o)) {
        struct rtnl_route *route = (struct rtnl_route *)o;
        if (rtnl_route_get_protocol(route) == POD_ROUTES_PROTOCOL && !is_wanted(route, peers)) {
            code = rtnl_route_delete(routes->socket, route, 0);
            if (code < 0 && code != -NLE_OBJ_NOTFOUND) {
                result = err_set(err, ERR_IO, "delete a route: %s", nl_geterror(code));
            }
        }
    }
    nl_cache_free(all);
    return result;
}

int pod_routes_sync(struct pod_routes *routes, const struct pod_peers *peers, uint32_t own_range,
                    struct err *err)
{
    int result = 0;
    if (routes->mode == POD_ROUTES_NONE) {
        return 0;
    }
    for (size_t i = 0; i < peers->count; i++) {
        int status = set_way(routes, &peers->items[i], own_range, err);
        result = status != 0 ? status : result;
    }
    int status = remove_others(routes, peers, err);
    return status != 0 ? status : result;
}

int pod_routes_clean(struct pod_routes *routes, struct err *err)
{
    const struct pod_peers nobody = {0};
    int result = remove_others(routes, &nobody, err);
    int device = find_device(routes);
    if (device != 0) {
        struct rtnl_link *link = rtnl_link_alloc();
        rtnl_link_set_ifindex(link, device);
        int code = rtnl_link_delete(routes->socket, link);
        rtnl_link_put(link);
        result = code < 0 ? err_set(err, ERR_IO, "delete the VXLAN device: %s", nl_geterror(code))
                          : result;
    }
    return result;
}
