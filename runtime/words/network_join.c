#include "runtime/words/network_join.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/network/ipam.h"
#include "runtime/network/network.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/port_text.h"

/* The store that a container's directory lies in: <root>/containers/<id>. */
static char *root_of(const struct container *container)
{
    size_t tail = strlen("/containers/") + CONTAINER_ID_SIZE;
    size_t size = strlen(container->directory);
    char *root = mem_strdup(container->directory);
    root[size - tail] = '\0';
    return root;
}

/* -P: every exposed port on a free one of the host. */
static json_t *all_bindings(const struct container *container)
{
    json_t *bindings = json_deep_copy(json_object_get(container_host(container), "PortBindings"));
    if (bindings == NULL) {
        bindings = json_object();
    }
    if (json_get_flag(container_host(container), "PublishAllPorts")) {
        json_t *exposed = json_object_get(container_config(container), "ExposedPorts");
        const char *key = NULL;
        json_t *value = NULL;
        json_object_foreach(exposed, key, value)
        {
            if (json_object_get(bindings, key) == NULL) {
                json_object_set_new(bindings, key,
                                    json_pack("[{ss ss}]", "HostIp", "", "HostPort", ""));
            }
        }
    }
    return bindings;
}

static void record(struct container *container, const struct network *network,
                   const struct network_attachment *attachment)
{
    char address[16];
    char gateway[16];
    char mac[18];
    ipam_format_address(attachment->address, address);
    ipam_format_address(network->gateway, gateway);
    (void)snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", attachment->mac[0],
                   attachment->mac[1], attachment->mac[2], attachment->mac[3], attachment->mac[4],
                   attachment->mac[5]);
    json_t *networks = json_object_get(container->state, "Networks");
    if (networks == NULL) {
        networks = json_object();
        json_object_set_new(container->state, "Networks", networks);
    }
    json_object_set_new(networks, network->name,
                        json_pack("{ss ss si ss ss}", "IPAddress", address, "Gateway", gateway,
                                  "IPPrefixLen", (int)network->subnet.prefix_size, "MacAddress",
                                  mac, "NetworkID", network->id));
    if (attachment->sets_default_route) {
        json_object_set_new(container->state, "Ports",
                            port_bindings_write(attachment->ports, attachment->port_count));
    }
}

static void add_aliases(const json_t *aliases, struct network_attachment *attachment)
{
    for (size_t i = 0; i < json_array_size(aliases); i++) {
        if (attachment->alias_count < NETWORK_ALIASES_MAX) {
            attachment->aliases[attachment->alias_count++] =
                json_string_value(json_array_get(aliases, i));
        }
    }
}

/* One of a container's networks: its name, the settings that HostConfig.Networks has for it (may be
 * NULL), and its number. Ports are published, and the way out is, through the first. */
struct join {
    const struct store *store;
    struct container *container;
    const char *name;
    const json_t *settings;
    unsigned number;
    int netns_fd;
};

static int attach(const struct join *join, const struct network *network, struct err *err)
{
    struct container *container = join->container;
    CLEANUP(json) json_t *bindings = join->number == 0 ? all_bindings(container) : json_object();
    CLEANUP(free) struct network_port *ports = NULL;
    char interface[IFNAMSIZ];
    (void)snprintf(interface, sizeof(interface), "eth%u", join->number % 1000);
    struct network_attachment attachment = {
        .owner = container->id,
        .netns_fd = join->netns_fd,
        .interface = interface,
        .sets_default_route = join->number == 0,
    };
    const json_t *host = container_host(container);
    const char *wanted =
        json_get_text(join->settings != NULL ? join->settings : host, "IPAddress", "");
    int status = 0;
    if (wanted[0] != '\0') {
        status = ipam_parse_address(wanted, &attachment.wanted_address, err);
    }
    if (status != 0 ||
        (status = port_bindings_read(bindings, &ports, &attachment.port_count, err)) != 0) {
        return status;
    }
    attachment.ports = ports;
    attachment.aliases[attachment.alias_count++] = container_name(container);
    add_aliases(json_object_get(host, "NetworkAliases"), &attachment);
    add_aliases(json_object_get(join->settings, "Aliases"), &attachment);
    status = network_attach(join->store->root, network, &attachment, err);
    if (status == ERR_EXISTS || status == ERR_NO_SPACE || status == -EADDRINUSE) {
        /* Perhaps of a container that has ended without anybody noticing. */
        struct err ignored;
        if (lifecycle_reconcile(join->store, &ignored) == 0) {
            status = network_attach(join->store->root, network, &attachment, err);
        }
    }
    if (status == 0) {
        record(container, network, &attachment);
    }
    return status;
}

static int join_one(const struct join *join, struct err *err)
{
    struct network network = {.mtu = 0};
    int status = network_find(join->store->root, join->name, &network, err);
    if (status == 0) {
        status = attach(join, &network, err);
        network_deinit(&network);
    }
    return status;
}

/* HostConfig.Networks has the networks and their settings; without it NetworkMode is the one. */
static int join_all(const struct store *store, struct container *container, int netns_fd,
                    const char *mode, struct err *err)
{
    json_t *networks = json_object_get(container_host(container), "Networks");
    struct join join = {.store = store, .container = container, .name = mode, .netns_fd = netns_fd};
    if (json_object_size(networks) == 0) {
        return join_one(&join, err);
    }
    json_t *settings = NULL;
    int status = 0;
    json_object_foreach(networks, join.name, settings)
    {
        join.settings = settings;
        status = status == 0 ? join_one(&join, err) : status;
        join.number++;
    }
    return status;
}

int network_join(const struct store *store, struct container *container, pid_t pid, struct err *err)
{
    char path[64];
    const char *mode = json_get_text(container_host(container), "NetworkMode", "bridge");
    if (strcmp(mode, "host") == 0 || strncmp(mode, "container:", 10) == 0) {
        return 0;
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    CLEANUP(close_fd) int netns_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (netns_fd < 0) {
        return err_set_errno(err, errno, "open the container's network namespace");
    }
    if (strcmp(mode, "none") == 0) {
        return network_set_loopback_up(netns_fd, err);
    }
    return join_all(store, container, netns_fd, mode, err);
}

void network_leave(struct container *container)
{
    if (json_object_size(json_object_get(container->state, "Networks")) == 0) {
        return;
    }
    CLEANUP(free) char *root = root_of(container);
    struct err ignored;
    int status = network_detach(root, container->id, &ignored);
    (void)status;
    json_object_del(container->state, "Networks");
    json_object_del(container->state, "Ports");
}
