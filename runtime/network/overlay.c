/* overlay.c - pods of other nodes: VXLAN (RFC 7348) or plain routes. */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "runtime/network/netlink.h"
#include "runtime/network/network.h"

enum { VXLAN_PORT = 4789 };

int network_overlay_set(const struct network *network, uint32_t vni, uint32_t local_address,
                        const struct network_peer *peers, size_t peer_count, struct err *err)
{
    CLEANUP(close_fd) int netlink = -1;
    char name[IFNAMSIZ];
    uint32_t bridge = 0;
    uint32_t index = 0;
    (void)snprintf(name, sizeof(name), "kvx%u", vni & 0xffffff);
    int status = netlink_open(-1, &netlink, err);
    if (status != 0) {
        return status;
    }
    status = netlink_link_index(netlink, network->bridge, &bridge);
    if (status != 0) {
        return err_set_errno(err, -status, "bridge '%s'", network->bridge);
    }
    status = netlink_vxlan_add(netlink, name, vni, local_address, VXLAN_PORT, bridge);
    if (status == 0 || status == -EEXIST) {
        status = netlink_link_index(netlink, name, &index);
    }
    if (status != 0) {
        return err_set_errno(err, -status, "create '%s'", name);
    }
    for (size_t i = 0; i < peer_count; i++) {
        status = netlink_fdb_append(netlink, index, peers[i].node_address);
        if (status != 0 && status != -EEXIST) {
            return err_set_errno(err, -status, "add a node to '%s'", name);
        }
    }
    return 0;
}

int network_routes_set(const struct network_peer *peers, size_t peer_count, struct err *err)
{
    CLEANUP(close_fd) int netlink = -1;
    int status = netlink_open(-1, &netlink, err);
    for (size_t i = 0; status == 0 && i < peer_count; i++) {
        status = netlink_route_set(netlink, peers[i].subnet.address, peers[i].subnet.prefix_size,
                                   peers[i].node_address, 0);
        if (status != 0) {
            return err_set_errno(err, -status, "set the route to another node");
        }
    }
    return status;
}
