/* pod_routes.h - the way to pods on other nodes, in the kernel of this network namespace.
 *
 * A node that is on the same link is reached by a plain route through its address. For others there
 * is one VXLAN device (RFC 7348): each node's end has a hardware address made from the node's own,
 * so nothing has to be learned or announced. Routes of ours carry a protocol number of their own;
 * others are never touched. */
#ifndef ORCHESTRATOR_PROXY_POD_ROUTES_H
#define ORCHESTRATOR_PROXY_POD_ROUTES_H

#include "base/err.h"
#include "orchestrator/proxy/pod_peers.h"

enum pod_routes_mode {
    POD_ROUTES_AUTO = 0, /* a plain route where it can be, else VXLAN */
    POD_ROUTES_PLAIN,
    POD_ROUTES_VXLAN,
    POD_ROUTES_NONE,
};
enum { POD_ROUTES_PROTOCOL = 67, POD_ROUTES_VNI = 67, POD_ROUTES_VXLAN_PORT = 4789 };
#define POD_ROUTES_DEVICE "coracle-vxlan"

struct pod_routes;

/* own_range is this node's, from which the device gets its address; may be 0 until it is known. */
int pod_routes_open(enum pod_routes_mode mode, uint32_t own_address, struct pod_routes **ret,
                    struct err *err);
void pod_routes_close(struct pod_routes *routes); /* the routes stay */
/* Make the kernel's routes of ours those of peers. own_range 0: not known, so no VXLAN yet. On an
 * error what could be done was done, and err tells of the last. */
MUST_USE int pod_routes_sync(struct pod_routes *routes, const struct pod_peers *peers,
                             uint32_t own_range, struct err *err);
/* Remove the routes and the device. */
MUST_USE int pod_routes_clean(struct pod_routes *routes, struct err *err);

#endif
