#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "runtime/network/ipam.h"
#include "runtime/network/leases.h"
#include "runtime/network/netlink.h"
#include "runtime/network/network.h"
#include "runtime/network/nft.h"

/* ---- the bridge ---- */

static int write_setting(const char *path, const char *value, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    char now[8] = "";
    if (fd >= 0 && read(fd, now, sizeof(now) - 1) > 0 && now[0] == value[0]) {
        return 0; /* also where /proc/sys cannot be written */
    }
    if (fd < 0 || pwrite(fd, value, strlen(value), 0) < 0) {
        return err_set_errno(err, errno, "write '%s'", path);
    }
    return 0;
}

static int make_bridge(int netlink, const struct network *network, uint32_t *ret_index,
                       struct err *err)
{
    int status = netlink_bridge_add(netlink, network->bridge, network->mtu);
    if (status != 0 && status != -EEXIST) {
        return err_set_errno(err, -status, "create bridge '%s'", network->bridge);
    }
    status = netlink_link_index(netlink, network->bridge, ret_index);
    if (status == 0) {
        status =
            netlink_address_add(netlink, *ret_index, network->gateway, network->subnet.prefix_size);
    }
    if (status == 0) {
        status = netlink_link_up(netlink, *ret_index);
    }
    if (status != 0) {
        return err_set_errno(err, -status, "set up bridge '%s'", network->bridge);
    }
    char path[100];
    /* Ports published on 127.0.0.1 come back to the bridge; chain "spoofed" guards what this opens.
     */
    (void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet",
                   network->bridge);
    status = network->is_routed ? 0 : write_setting(path, "1", err);
    return status != 0 ? status : write_setting("/proc/sys/net/ipv4/ip_forward", "1", err);
}

/* Cheap when everything is there: two netlink questions. */
static int ensure_network(int netlink, const struct network *network, uint32_t *ret_index,
                          struct err *err)
{
    bool has_table = network->is_routed || netlink_has_nft_table(NFT_TABLE);
    bool has_bridge = netlink_link_index(netlink, network->bridge, ret_index) == 0;
    if (has_table && has_bridge) {
        return 0;
    }
    int status = 0;
    if (!has_bridge) {
        status = make_bridge(netlink, network, ret_index, err);
    }
    if (status == 0 && !network->is_routed) {
        status = nft_setup(err);
    }
    return status != 0 || network->is_routed ? status : nft_network_add(network, err);
}

/* ---- ports ---- */

static int socket_type(enum network_protocol protocol)
{
    return protocol == NETWORK_UDP ? SOCK_DGRAM : SOCK_STREAM;
}

/* Nobody on the host may listen there; port 0 becomes a free one. */
static int try_port(struct network_port *port, struct err *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port->host_port),
        .sin_addr.s_addr = htonl(port->host_address),
    };
    socklen_t size = sizeof(address);
    CLEANUP(close_fd)
    int fd = socket(AF_INET, socket_type(port->protocol) | SOCK_CLOEXEC, 0);
    int reuse = 1;
    if (fd >= 0 && port->protocol != NETWORK_UDP) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
    }
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        char text[16];
        ipam_format_address(port->host_address, text);
        return err_set_errno(err, errno, "publish port %s:%u", text, port->host_port);
    }
    port->host_port = ntohs(address.sin_port);
    return 0;
}

static bool is_same_port(const struct network_port *a, const struct network_port *b)
{
    return a->protocol == b->protocol && a->host_port == b->host_port &&
           (a->host_address == b->host_address || a->host_address == 0 || b->host_address == 0);
}

static const char *port_owner(const struct leases *leases, const struct network_port *port)
{
    for (size_t i = 0; i < leases->count; i++) {
        const struct lease *lease = &leases->items[i];
        for (size_t k = 0; k < lease->port_count; k++) {
            if (is_same_port(&lease->ports[k], port)) {
                return lease->owner;
            }
        }
    }
    return NULL;
}

/* Who publishes a port already, in any network; "" for nobody. */
struct port_search {
    int directory_fd;
    const struct network_port *port;
    char owner[NETWORK_OWNER_MAX + 1];
};

static int search_port(const struct network *network, void *context)
{
    struct port_search *search = context;
    CLEANUP(leases) struct leases leases = {.count = 0};
    if (leases_read(search->directory_fd, network->name, &leases, NULL) == 0) {
        const char *owner = port_owner(&leases, search->port);
        if (owner != NULL) {
            (void)snprintf(search->owner, sizeof(search->owner), "%s", owner);
            return 1;
        }
    }
    return 0;
}

static int claim_port(const char *state_root, int directory_fd, struct network_port *port,
                      struct err *err)
{
    enum { TRIES_MAX = 64 };
    bool is_any = port->host_port == 0;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        port->host_port = is_any ? 0 : port->host_port;
        int status = try_port(port, err);
        if (status != 0) {
            return status;
        }
        struct port_search search = {.directory_fd = directory_fd, .port = port};
        status = network_list(state_root, search_port, &search, err);
        if (status < 0) {
            return status;
        }
        if (search.owner[0] == '\0') {
            return 0;
        }
        if (!is_any) {
            return err_set(err, ERR_EXISTS, "port %u is published by container %.12s",
                           port->host_port, search.owner);
        }
    }
    return err_set(err, ERR_NO_SPACE, "no free port");
}

static int claim_ports(const char *state_root, int directory_fd,
                       struct network_attachment *attachment, struct err *err)
{
    for (size_t i = 0; i < attachment->port_count; i++) {
        struct network_port *port = &attachment->ports[i];
        int status = claim_port(state_root, directory_fd, port, err);
        for (size_t k = 0; status == 0 && k < i; k++) {
            if (is_same_port(&attachment->ports[k], port)) {
                status = err_set(err, ERR_EXISTS, "port %u is published twice", port->host_port);
            }
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* ---- the container's end ---- */

/* "kv" and 12 digits that belong to this container in this network. */
static void link_name(const struct network *network, const char *owner, char out[IFNAMSIZ])
{
    char text[NETWORK_NAME_MAX + NETWORK_OWNER_MAX + 2];
    int size = snprintf(text, sizeof(text), "%s/%s", network->id[0] ? network->bridge : "", owner);
    uint64_t hash = bytes_hash(bytes_make(text, (size_t)size));
    (void)snprintf(out, IFNAMSIZ, "kv%012llx", (unsigned long long)(hash & 0xffffffffffff));
}

static int set_up_inside(const struct network *network, const struct network_attachment *attachment,
                         struct err *err)
{
    CLEANUP(close_fd) int netlink = -1;
    uint32_t index = 0;
    uint32_t loopback = 0;
    int status = netlink_open(attachment->netns_fd, &netlink, err);
    if (status != 0) {
        return status;
    }
    if ((status = netlink_link_index(netlink, attachment->interface, &index)) != 0 ||
        (status = netlink_address_add(netlink, index, attachment->address,
                                      network->subnet.prefix_size)) != 0 ||
        (status = netlink_link_up(netlink, index)) != 0 ||
        (status = netlink_link_index(netlink, "lo", &loopback)) != 0 ||
        (status = netlink_link_up(netlink, loopback)) != 0) {
        return err_set_errno(err, -status, "set up '%s' in the container", attachment->interface);
    }
    if (attachment->sets_default_route && !network->is_internal) {
        status = netlink_route_set(netlink, 0, 0, network->gateway, index);
        if (status != 0) {
            return err_set_errno(err, -status, "set the container's default route");
        }
    }
    return 0;
}

static int make_link(int netlink, const struct network *network,
                     const struct network_attachment *attachment, uint32_t bridge, struct err *err)
{
    char name[IFNAMSIZ];
    uint32_t index = 0;
    link_name(network, attachment->owner, name);
    int status = netlink_veth_add(netlink, name, bridge, attachment->interface,
                                  attachment->netns_fd, attachment->mac, network->mtu);
    if (status == -EEXIST) {
        /* Left over from a container of this name that crashed. */
        status = netlink_link_delete(netlink, name);
        (void)status; /* the second try tells */
        status = netlink_veth_add(netlink, name, bridge, attachment->interface,
                                  attachment->netns_fd, attachment->mac, network->mtu);
    }
    if (status != 0) {
        return err_set_errno(err, -status, "create a link to bridge '%s'", network->bridge);
    }
    if (attachment->port_count > 0 || network->is_routed) {
        status = netlink_link_index(netlink, name, &index);
        if (status == 0) {
            status = netlink_port_hairpin(netlink, index);
        }
    }
    if (status != 0) {
        return err_set_errno(err, -status, "set up the link to bridge '%s'", network->bridge);
    }
    return set_up_inside(network, attachment, err);
}

static void remove_link(const struct network *network, const char *owner)
{
    CLEANUP(close_fd) int netlink = -1;
    char name[IFNAMSIZ];
    link_name(network, owner, name);
    if (netlink_open(-1, &netlink, NULL) == 0) {
        int ignored = netlink_link_delete(netlink, name); /* usually gone with its namespace */
        (void)ignored;
    }
}

/* ---- leases ---- */

static int choose_address(const struct network *network, const struct leases *leases,
                          struct network_attachment *attachment, struct err *err)
{
    CLEANUP(free) uint32_t *used = mem_calloc(leases->count + 1, sizeof(*used));
    for (size_t i = 0; i < leases->count; i++) {
        used[i] = leases->items[i].address;
    }
    int status = ipam_choose_address(network->subnet, network->gateway, attachment->wanted_address,
                                     leases->last, used, leases->count, &attachment->address, err);
    if (status == 0) {
        const uint32_t address = attachment->address;
        const uint8_t mac[6] = {0x02,
                                0x42,
                                (uint8_t)(address >> 24),
                                (uint8_t)(address >> 16),
                                (uint8_t)(address >> 8),
                                (uint8_t)address};
        memcpy(attachment->mac, mac, sizeof(mac));
    }
    return status;
}

static void record(struct leases *leases, const struct network_attachment *attachment)
{
    struct lease *lease = leases_add(leases, attachment->owner, attachment->address);
    leases->last = attachment->address;
    if (attachment->port_count > 0) {
        lease->ports = mem_dup(attachment->ports, attachment->port_count * sizeof(*lease->ports));
        lease->port_count = attachment->port_count;
    }
    for (size_t i = 0; i < attachment->alias_count; i++) {
        lease->aliases[lease->alias_count++] = mem_strdup(attachment->aliases[i]);
    }
}

int network_attach(const char *state_root, const struct network *network,
                   struct network_attachment *attachment, struct err *err)
{
    CLEANUP(close_fd) int directory_fd = -1;
    CLEANUP(close_fd) int lock = -1;
    CLEANUP(close_fd) int netlink = -1;
    CLEANUP(leases) struct leases leases = {.count = 0};
    uint32_t bridge = 0;
    int status;
    if ((status = leases_open_directory(state_root, &directory_fd, err)) != 0 ||
        (status = leases_lock(directory_fd, &lock, err)) != 0 ||
        (status = leases_read(directory_fd, network->name, &leases, err)) != 0) {
        return status;
    }
    if (leases_find(&leases, attachment->owner) != NULL) {
        return err_set(err, ERR_EXISTS, "container %.12s is attached to network '%s'",
                       attachment->owner, network->name);
    }
    if ((status = netlink_open(-1, &netlink, err)) != 0 ||
        (status = ensure_network(netlink, network, &bridge, err)) != 0 ||
        (status = choose_address(network, &leases, attachment, err)) != 0 ||
        (status = claim_ports(state_root, directory_fd, attachment, err)) != 0) {
        return status;
    }
    /* The lease first: whatever happens now, reconcile knows what there is to clean. */
    record(&leases, attachment);
    status = leases_write(directory_fd, network->name, &leases, err);
    if (status == 0) {
        status = make_link(netlink, network, attachment, bridge, err);
    }
    if (status == 0) {
        status = nft_ports_add(attachment->ports, attachment->port_count, attachment->address, err);
    }
    if (status != 0) {
        remove_link(network, attachment->owner);
        leases_remove(&leases, attachment->owner);
        int ignored = leases_write(directory_fd, network->name, &leases, NULL);
        (void)ignored; /* the first error is the one to tell */
    }
    return status;
}

/* ---- giving back ---- */

struct release {
    int directory_fd;
    const char *owner; /* NULL: whoever is not alive */
    bool (*is_alive)(const char *owner, void *context);
    void *context;
    struct err *err;
};

static bool is_wanted(const struct release *release, const struct lease *lease)
{
    return release->owner != NULL ? strcmp(lease->owner, release->owner) == 0
                                  : !release->is_alive(lease->owner, release->context);
}

static int release_in(const struct network *network, void *context)
{
    struct release *release = context;
    CLEANUP(leases) struct leases leases = {.count = 0};
    int status = leases_read(release->directory_fd, network->name, &leases, release->err);
    if (status != 0) {
        return status;
    }
    bool has_changed = false;
    for (size_t i = 0; i < leases.count;) {
        struct lease *lease = &leases.items[i];
        if (!is_wanted(release, lease)) {
            i++;
            continue;
        }
        status = nft_ports_remove(lease->ports, lease->port_count, lease->address, release->err);
        if (status != 0) {
            return status;
        }
        remove_link(network, lease->owner);
        char owner[NETWORK_OWNER_MAX + 1];
        memcpy(owner, lease->owner, sizeof(owner));
        leases_remove(&leases, owner);
        has_changed = true;
    }
    return has_changed ? leases_write(release->directory_fd, network->name, &leases, release->err)
                       : 0;
}

static int release_all(const char *state_root, struct release *release, struct err *err)
{
    CLEANUP(close_fd) int directory_fd = -1;
    CLEANUP(close_fd) int lock = -1;
    int status = leases_open_directory(state_root, &directory_fd, err);
    if (status == 0) {
        status = leases_lock(directory_fd, &lock, err);
    }
    if (status != 0) {
        return status;
    }
    release->directory_fd = directory_fd;
    release->err = err;
    return network_list(state_root, release_in, release, err);
}

int network_detach(const char *state_root, const char *owner, struct err *err)
{
    struct release release = {.owner = owner};
    return release_all(state_root, &release, err);
}

int network_reconcile(const char *state_root, bool (*is_alive)(const char *owner, void *context),
                      void *context, struct err *err)
{
    struct release release = {.is_alive = is_alive, .context = context};
    return release_all(state_root, &release, err);
}

int network_set_loopback_up(int netns_fd, struct err *err)
{
    CLEANUP(close_fd) int netlink = -1;
    uint32_t index = 0;
    int status = netlink_open(netns_fd, &netlink, err);
    if (status != 0) {
        return status;
    }
    if ((status = netlink_link_index(netlink, "lo", &index)) != 0 ||
        (status = netlink_link_up(netlink, index)) != 0) {
        return err_set_errno(err, -status, "set up the loopback interface");
    }
    return 0;
}
