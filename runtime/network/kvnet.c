/* kvnet - networks of containers for other programs (the orchestrator's agent): each command does
 * one thing and prints one JSON value. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/network/ipam.h"
#include "runtime/network/leases.h"
#include "runtime/network/network.h"
#include "runtime/words/options.h"
#include "runtime/words/port_text.h"
#include "runtime/words/words.h"

enum { PEERS_MAX = 4096 };

struct arguments {
    const char *root, *subnet, *gateway, *bridge, *mtu, *network, *owner, *netns, *interface, *ip;
    const char *vni, *local;
    bool is_internal, has_no_default_route, is_routed;
    struct text_list publish, alias, alive, peer;
};

static const char *state_root(const struct arguments *arguments)
{
    if (arguments->root != NULL) {
        return arguments->root;
    }
    const char *root = getenv("CORACLE_ROOT");
    return root != NULL && root[0] != '\0' ? root : "/var/lib/coracle";
}

static void print_json(json_t *take_value)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(take_value, false, &text);
    printf("%s\n", buf_text(&text));
    json_decref(take_value);
}

static json_t *describe(const struct network *network)
{
    char subnet[20];
    char gateway[16];
    ipam_format_subnet(network->subnet, subnet);
    ipam_format_address(network->gateway, gateway);
    return json_pack("{ss ss ss ss ss sb si}", "name", network->name, "id", network->id, "bridge",
                     network->bridge, "subnet", subnet, "gateway", gateway, "internal",
                     network->is_internal, "mtu", (int)network->mtu);
}

static int create(const struct arguments *arguments, const struct text_list *operands,
                  struct err *err)
{
    struct network network = {.is_internal = arguments->is_internal};
    const char *name = operands->items[0];
    if (strlen(name) > NETWORK_NAME_MAX ||
        (arguments->bridge != NULL && strlen(arguments->bridge) >= sizeof(network.bridge))) {
        return err_set(err, ERR_INVALID, "the name is too long");
    }
    (void)snprintf(network.name, sizeof(network.name), "%s", name);
    (void)snprintf(network.bridge, sizeof(network.bridge), "%s",
                   arguments->bridge == NULL ? "" : arguments->bridge);
    int status = 0;
    if (arguments->subnet != NULL) {
        status = ipam_parse_subnet(arguments->subnet, &network.subnet, err);
    }
    if (status == 0 && arguments->gateway != NULL) {
        status = ipam_parse_address(arguments->gateway, &network.gateway, err);
    }
    if (arguments->mtu != NULL) {
        network.mtu = (uint32_t)strtoul(arguments->mtu, NULL, 10);
    }
    if (status == 0) {
        status = network_create(state_root(arguments), &network, err);
    }
    if (status == 0) {
        print_json(describe(&network));
    }
    return status;
}

static int add_description(const struct network *network, void *context)
{
    json_array_append_new(context, describe(network));
    return 0;
}

static int list(const struct arguments *arguments, const struct text_list *operands,
                struct err *err)
{
    (void)operands;
    json_t *networks = json_array();
    int status = network_list(state_root(arguments), add_description, networks, err);
    if (status == 0) {
        print_json(networks);
    } else {
        json_decref(networks);
    }
    return status;
}

static int inspect(const struct arguments *arguments, const struct text_list *operands,
                   struct err *err)
{
    struct network network = {.mtu = 0};
    CLEANUP(close_fd) int directory_fd = -1;
    CLEANUP(leases) struct leases leases = {.count = 0};
    int status;
    if ((status = network_find(state_root(arguments), operands->items[0], &network, err)) != 0 ||
        (status = leases_open_directory(state_root(arguments), &directory_fd, err)) != 0 ||
        (status = leases_read(directory_fd, network.name, &leases, err)) != 0) {
        return status;
    }
    json_t *value = describe(&network);
    json_t *members = json_array();
    for (size_t i = 0; i < leases.count; i++) {
        char address[16];
        ipam_format_address(leases.items[i].address, address);
        json_array_append_new(
            members, json_pack("{ss ss}", "owner", leases.items[i].owner, "address", address));
    }
    json_object_set_new(value, "members", members);
    print_json(value);
    network_deinit(&network);
    return 0;
}

static int rm(const struct arguments *arguments, const struct text_list *operands, struct err *err)
{
    int status = network_remove(state_root(arguments), operands->items[0], err);
    if (status == 0) {
        print_json(json_object());
    }
    return status;
}

static int attach_to(const struct arguments *arguments, const struct network *network, int netns_fd,
                     struct err *err)
{
    struct network_attachment attachment = {
        .owner = arguments->owner,
        .netns_fd = netns_fd,
        .interface = arguments->interface == NULL ? "eth0" : arguments->interface,
        .sets_default_route = !arguments->has_no_default_route,
    };
    CLEANUP(json) json_t *bindings = json_object();
    CLEANUP(free) struct network_port *ports = NULL;
    int status = 0;
    if (arguments->ip != NULL) {
        status = ipam_parse_address(arguments->ip, &attachment.wanted_address, err);
    }
    for (size_t i = 0; status == 0 && i < arguments->publish.count; i++) {
        status = port_text_parse(arguments->publish.items[i], bindings, err);
    }
    for (size_t i = 0; i < arguments->alias.count && i < NETWORK_ALIASES_MAX; i++) {
        attachment.aliases[attachment.alias_count++] = arguments->alias.items[i];
    }
    if (status != 0 ||
        (status = port_bindings_read(bindings, &ports, &attachment.port_count, err)) != 0) {
        return status;
    }
    attachment.ports = ports;
    status = network_attach(state_root(arguments), network, &attachment, err);
    if (status == 0) {
        char address[16];
        char gateway[16];
        char mac[18];
        ipam_format_address(attachment.address, address);
        ipam_format_address(network->gateway, gateway);
        (void)snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", attachment.mac[0],
                       attachment.mac[1], attachment.mac[2], attachment.mac[3], attachment.mac[4],
                       attachment.mac[5]);
        print_json(json_pack("{ss si ss ss so}", "address", address, "prefixSize",
                             (int)network->subnet.prefix_size, "gateway", gateway, "mac", mac,
                             "ports", port_bindings_write(ports, attachment.port_count)));
    }
    return status;
}

static int attach(const struct arguments *arguments, const struct text_list *operands,
                  struct err *err)
{
    (void)operands;
    struct network network = {.mtu = 0};
    if (arguments->owner == NULL || arguments->netns == NULL || arguments->owner[0] == '\0' ||
        strlen(arguments->owner) > NETWORK_OWNER_MAX) {
        return err_set(err, ERR_INVALID, "attach needs --owner and --netns");
    }
    CLEANUP(close_fd) int netns_fd = open(arguments->netns, O_RDONLY | O_CLOEXEC);
    if (netns_fd < 0) {
        return err_set_errno(err, errno, "open '%s'", arguments->netns);
    }
    const char *name = arguments->network == NULL ? "bridge" : arguments->network;
    if (strcmp(name, "none") == 0) {
        int status = network_set_loopback_up(netns_fd, err);
        if (status == 0) {
            print_json(json_object());
        }
        return status;
    }
    int status = network_find(state_root(arguments), name, &network, err);
    if (status == 0) {
        status = attach_to(arguments, &network, netns_fd, err);
    }
    network_deinit(&network);
    return status;
}

static int detach(const struct arguments *arguments, const struct text_list *operands,
                  struct err *err)
{
    (void)operands;
    if (arguments->owner == NULL) {
        return err_set(err, ERR_INVALID, "detach needs --owner");
    }
    int status = network_detach(state_root(arguments), arguments->owner, err);
    if (status == 0) {
        print_json(json_object());
    }
    return status;
}

static bool is_listed(const char *owner, void *context)
{
    const struct text_list *alive = context;
    for (size_t i = 0; i < alive->count; i++) {
        if (strcmp(alive->items[i], owner) == 0) {
            return true;
        }
    }
    return false;
}

static int reconcile(const struct arguments *arguments, const struct text_list *operands,
                     struct err *err)
{
    (void)operands;
    struct text_list alive = arguments->alive;
    int status = network_reconcile(state_root(arguments), is_listed, &alive, err);
    if (status == 0) {
        print_json(json_object());
    }
    return status;
}

/* --peer NODE=SUBNET */
static int parse_peers(const struct arguments *arguments, struct network_peer *peers,
                       struct err *err)
{
    for (size_t i = 0; i < arguments->peer.count; i++) {
        CLEANUP(free) char *copy = mem_strdup(arguments->peer.items[i]);
        char *equals = strchr(copy, '=');
        if (equals == NULL) {
            return err_set(err, ERR_INVALID, "--peer '%.60s' is not NODE=SUBNET", copy);
        }
        *equals = '\0';
        int status = ipam_parse_address(copy, &peers[i].node_address, err);
        if (status == 0) {
            status = ipam_parse_subnet(equals + 1, &peers[i].subnet, err);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int reach(const struct arguments *arguments, const struct text_list *operands,
                 struct err *err)
{
    (void)operands;
    struct network network = {.mtu = 0};
    uint32_t local = 0;
    if (arguments->peer.count > PEERS_MAX) {
        return err_set(err, ERR_TOO_LARGE, "more than %d peers", PEERS_MAX);
    }
    CLEANUP(free)
    struct network_peer *peers = mem_calloc(arguments->peer.count + 1, sizeof(*peers));
    int status = parse_peers(arguments, peers, err);
    if (status == 0 && arguments->is_routed) {
        status = network_routes_set(peers, arguments->peer.count, err);
    } else if (status == 0) {
        if (arguments->local == NULL || arguments->vni == NULL) {
            return err_set(err, ERR_INVALID, "reach needs --local and --vni, or --routes");
        }
        status = ipam_parse_address(arguments->local, &local, err);
        if (status == 0) {
            status = network_find(state_root(arguments),
                                  arguments->network == NULL ? "bridge" : arguments->network,
                                  &network, err);
        }
        if (status == 0) {
            status = network_overlay_set(&network, (uint32_t)strtoul(arguments->vni, NULL, 10),
                                         local, peers, arguments->peer.count, err);
        }
        network_deinit(&network);
    }
    if (status == 0) {
        print_json(json_object());
    }
    return status;
}

static const struct {
    const char *name;
    int (*run)(const struct arguments *arguments, const struct text_list *operands,
               struct err *err);
    size_t operands;
} commands[] = {
    {"create", create, 1}, {"ls", list, 0},       {"inspect", inspect, 1},     {"rm", rm, 1},
    {"attach", attach, 0}, {"detach", detach, 0}, {"reconcile", reconcile, 0}, {"reach", reach, 0},
};

static int run(size_t command_index, int argc, char **argv)
{
    struct arguments arguments = {.root = NULL};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    struct err err = {.code = 0};
    const struct command command = {
        .usage = "net create|ls|inspect|rm|attach|detach|reconcile|reach [OPTIONS] [NAME]",
        .summary = "Networks of containers, with JSON results.",
        .operands_min = commands[command_index].operands,
        .operands_max = commands[command_index].operands,
    };
    const struct option_spec specs[] = {
        {0, "root", OPTION_TEXT, &arguments.root, "DIR", "State directory"},
        {0, "subnet", OPTION_TEXT, &arguments.subnet, "SUBNET", "create: 10.5.0.0/16"},
        {0, "gateway", OPTION_TEXT, &arguments.gateway, "ADDRESS", "create: the bridge's address"},
        {0, "bridge", OPTION_TEXT, &arguments.bridge, "NAME", "create: name of the interface"},
        {0, "mtu", OPTION_TEXT, &arguments.mtu, "BYTES", "create"},
        {0, "internal", OPTION_FLAG, &arguments.is_internal, NULL, "create: no way out"},
        {0, "network", OPTION_TEXT, &arguments.network, "NAME", "attach, reach: bridge"},
        {0, "owner", OPTION_TEXT, &arguments.owner, "ID", "attach, detach: the container"},
        {0, "netns", OPTION_TEXT, &arguments.netns, "PATH", "attach: its network namespace"},
        {0, "interface", OPTION_TEXT, &arguments.interface, "NAME", "attach: eth0"},
        {0, "ip", OPTION_TEXT, &arguments.ip, "ADDRESS", "attach: this address"},
        {0, "no-default-route", OPTION_FLAG, &arguments.has_no_default_route, NULL, "attach"},
        {'p', "publish", OPTION_LIST, &arguments.publish, "PORTS", "attach: [[IP:]HOST:]PORT"},
        {0, "alias", OPTION_LIST, &arguments.alias, "NAME", "attach: another name"},
        {0, "alive", OPTION_LIST, &arguments.alive, "ID", "reconcile: keep these"},
        {0, "peer", OPTION_LIST, &arguments.peer, "NODE=SUBNET", "reach: another node"},
        {0, "vni", OPTION_TEXT, &arguments.vni, "N", "reach: VXLAN network"},
        {0, "local", OPTION_TEXT, &arguments.local, "ADDRESS", "reach: this node's address"},
        {0, "routes", OPTION_FLAG, &arguments.is_routed, NULL, "reach: plain routes"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = commands[command_index].run(&arguments, &operands, &err);
    }
    text_list_deinit(&arguments.publish);
    text_list_deinit(&arguments.alias);
    text_list_deinit(&arguments.alive);
    text_list_deinit(&arguments.peer);
    return status == 0 ? 0 : word_fail(&err, EXIT_FAILED);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return run(i, argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "Usage: kvnet create|ls|inspect|rm|attach|detach|reconcile|reach [OPTIONS]\n");
    return EXIT_FAILED;
}
