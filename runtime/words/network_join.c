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
#include "runtime/words/name_files.h"
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
    json_object_set_new(container->state, "Networks",
                        json_pack("{s{ss ss si ss ss}}", network->name, "IPAddress", address,
                                  "Gateway", gateway, "IPPrefixLen",
                                  (int)network->subnet.prefix_size, "MacAddress", mac, "NetworkID",
                                  network->id));
    json_object_set_new(container->state, "Ports",
                        port_bindings_write(attachment->ports, attachment->port_count));
}

static void fill_aliases(const struct container *container, struct network_attachment *attachment)
{
    const json_t *aliases = json_object_get(container_host(container), "NetworkAliases");
    attachment->aliases[attachment->alias_count++] = container_name(container);
    for (size_t i = 0; i < json_array_size(aliases); i++) {
        if (attachment->alias_count < NETWORK_ALIASES_MAX) {
            attachment->aliases[attachment->alias_count++] =
                json_string_value(json_array_get(aliases, i));
        }
    }
}

static int attach(const struct store *store, struct container *container,
                  const struct network *network, int netns_fd, struct err *err)
{
    CLEANUP(json) json_t *bindings = all_bindings(container);
    CLEANUP(free) struct network_port *ports = NULL;
    struct network_attachment attachment = {
        .owner = container->id,
        .netns_fd = netns_fd,
        .interface = "eth0",
        .sets_default_route = true,
    };
    const char *wanted = json_get_text(container_host(container), "IPAddress", "");
    int status = 0;
    if (wanted[0] != '\0') {
        status = ipam_parse_address(wanted, &attachment.wanted_address, err);
    }
    if (status != 0 ||
        (status = port_bindings_read(bindings, &ports, &attachment.port_count, err)) != 0) {
        return status;
    }
    attachment.ports = ports;
    fill_aliases(container, &attachment);
    status = network_attach(store->root, network, &attachment, err);
    if (status == ERR_EXISTS || status == ERR_NO_SPACE || status == -EADDRINUSE) {
        /* Perhaps of a container that has ended without anybody noticing. */
        struct err ignored;
        if (lifecycle_reconcile(store, &ignored) == 0) {
            status = network_attach(store->root, network, &attachment, err);
        }
    }
    if (status == 0) {
        record(container, network, &attachment);
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
    struct network network = {.mtu = 0};
    int status = network_find(store->root, mode, &network, err);
    if (status == 0) {
        status = attach(store, container, &network, netns_fd, err);
        network_deinit(&network);
    }
    if (status == 0 && strcmp(mode, "bridge") != 0) {
        name_files_update_peers(store, mode);
    }
    return status;
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
