/* network.h - networks of containers on one machine: bridges, addresses, published ports.
 *
 * A network is a bridge with an IPv4 subnet. Attaching a container makes a veth pair between the
 * bridge and the container's network namespace, takes an address from the network's leases on disk,
 * and publishes ports through one nftables table of our own ("coracle"). Everything that belongs to
 * a container goes away with its namespace, except the lease and the port entries: detach frees
 * those, and network_reconcile frees those of containers that vanished.
 *
 * Other programs (the orchestrator's agent) use the program `kvnet`, which is these functions with
 * JSON results; see docs/containers.md.
 *
 * All state is below state_root: networks/<name>.json, networks/<name>.leases. Functions lock what
 * they change, so several processes may call them at the same time. They act in the network
 * namespace of the calling process ("the host"). */
#ifndef RUNTIME_NETWORK_NETWORK_H
#define RUNTIME_NETWORK_NETWORK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    NETWORK_NAME_MAX = 63,
    NETWORK_ALIASES_MAX = 16,
    NETWORK_PORTS_MAX = 1024,
    NETWORK_OWNER_MAX = 64,
};

/* IPv4 addresses are in host byte order everywhere in this folder. */
struct network_subnet {
    uint32_t address;    /* first address, host bits zero */
    uint8_t prefix_size; /* 8..30 */
};

struct network {
    char name[NETWORK_NAME_MAX + 1];
    char id[65];           /* 64 hexadecimal digits */
    char bridge[IFNAMSIZ]; /* name of the bridge interface */
    struct network_subnet subnet;
    uint32_t gateway;   /* the bridge's address */
    uint32_t mtu;       /* 0: the kernel's default */
    bool is_internal;   /* no way out: no masquerade, no default route */
    bool is_routed;     /* pods: reachable from everywhere by routes, no rules of ours at all */
    int64_t created_ms; /* since 1970 */
    char *labels_json;  /* JSON object text, or NULL; owned */
};

void network_deinit(struct network *network);

enum network_protocol { NETWORK_TCP = 6, NETWORK_UDP = 17, NETWORK_SCTP = 132 };

/* host_address 0 means every address of the host; host_port 0 asks for a free one. */
struct network_port {
    uint32_t host_address;
    uint16_t host_port;
    uint16_t container_port;
    enum network_protocol protocol;
};

struct network_attachment {
    /* What to attach. */
    const char *owner;       /* container id: [a-zA-Z0-9_.-], at most NETWORK_OWNER_MAX */
    int netns_fd;            /* the container's network namespace */
    const char *interface;   /* name inside, "eth0" */
    uint32_t wanted_address; /* 0: any free one */
    const char *aliases[NETWORK_ALIASES_MAX]; /* names of the container in this network */
    size_t alias_count;
    struct network_port *ports; /* borrowed; free ports that were asked for are filled in */
    size_t port_count;
    bool sets_default_route; /* first network of the container */

    /* Filled in by network_attach. */
    uint32_t address;
    uint8_t mac[6];
};

/* Where networks are kept: "<state_root>/networks". The directory is made when missing. */
MUST_USE int network_find(const char *state_root, const char *name, struct network *ret,
                          struct err *err); /* ERR_NOT_FOUND */
/* subnet.prefix_size 0: choose a free one of 172.17.0.0/16 … 172.31.0.0/16, 192.168.x.0/24.
 * "bridge", the default network, is created by the first find. ERR_EXISTS, ERR_INVALID. */
MUST_USE int network_create(const char *state_root, struct network *network, struct err *err);
/* ERR_BUSY while leases are held. */
MUST_USE int network_remove(const char *state_root, const char *name, struct err *err);
/* Calls visit for each network in the order of names; stops at the first non-zero. */
MUST_USE int network_list(const char *state_root,
                          int (*visit)(const struct network *network, void *context), void *context,
                          struct err *err);

/* Attach; on failure nothing stays behind. */
MUST_USE int network_attach(const char *state_root, const struct network *network,
                            struct network_attachment *attachment, struct err *err);
/* Give back the leases and ports of owner in every network; unknown owners are fine. */
MUST_USE int network_detach(const char *state_root, const char *owner, struct err *err);
/* Free what belongs to owners for which is_alive says no. */
MUST_USE int network_reconcile(const char *state_root,
                               bool (*is_alive)(const char *owner, void *context), void *context,
                               struct err *err);

/* Bring lo up inside the namespace; all that "none" needs. */
MUST_USE int network_set_loopback_up(int netns_fd, struct err *err);

/* Pods on other nodes: a VXLAN device on the bridge (vni, udp port 4789, over local address), and
 * the peers whose subnets it reaches. Both may be called again at any time: they set what should
 * be.
 */
struct network_peer {
    uint32_t node_address;        /* reachable address of the other node */
    struct network_subnet subnet; /* its pods */
};
MUST_USE int network_overlay_set(const struct network *network, uint32_t vni,
                                 uint32_t local_address, const struct network_peer *peers,
                                 size_t peer_count, struct err *err);
/* The same reach by plain routes "subnet via node_address", for nodes on one link. */
MUST_USE int network_routes_set(const struct network_peer *peers, size_t peer_count,
                                struct err *err);

#endif
