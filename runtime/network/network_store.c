/* network_store.c - the files that say which networks there are. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/image/store.h"
#include "runtime/network/ipam.h"
#include "runtime/network/leases.h"
#include "runtime/network/netlink.h"
#include "runtime/network/network.h"
#include "runtime/network/nft.h"

enum { NETWORK_SIZE_MAX = 1 << 20, NETWORKS_MAX = 512 };
static const char default_name[] = "bridge";
static const char default_bridge[] = "kvbr0";

void network_deinit(struct network *network)
{
    mem_free(network->labels_json);
    network->labels_json = NULL;
}

static bool is_name(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= NETWORK_NAME_MAX && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               size &&
           strcmp(name, "host") != 0 && strcmp(name, "none") != 0 && strcmp(name, "lock") != 0;
}

static int parse(const json_t *root, const char *name, struct network *ret, struct err *err)
{
    struct network out = {.is_internal = json_get_flag(root, "internal"),
                          .is_routed = json_get_flag(root, "routed")};
    int status = ipam_parse_subnet(json_get_text(root, "subnet", ""), &out.subnet, err);
    if (status == 0) {
        status = ipam_parse_address(json_get_text(root, "gateway", ""), &out.gateway, err);
    }
    const char *bridge = json_get_text(root, "bridge", "");
    if (status != 0 || strlen(bridge) >= sizeof(out.bridge) || bridge[0] == '\0') {
        return err_set(err, ERR_CORRUPT, "the file of network '%s' is damaged", name);
    }
    (void)snprintf(out.name, sizeof(out.name), "%s", name);
    (void)snprintf(out.bridge, sizeof(out.bridge), "%s", bridge);
    (void)snprintf(out.id, sizeof(out.id), "%s", json_get_text(root, "id", ""));
    out.mtu = (uint32_t)json_get_integer(root, "mtu", 0);
    out.created_ms = json_get_integer(root, "createdMs", 0);
    const json_t *labels = json_object_get(root, "labels");
    if (json_is_object(labels)) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        json_write(labels, false, &text);
        out.labels_json = mem_strdup(buf_text(&text));
    }
    *ret = out;
    return 0;
}

static int read_network(int directory_fd, const char *name, struct network *ret, struct err *err)
{
    char file[NETWORK_NAME_MAX + 16];
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *root = NULL;
    if (!is_name(name)) {
        return err_set(err, ERR_INVALID, "'%.80s' is not the name of a network", name);
    }
    (void)snprintf(file, sizeof(file), "%s.json", name);
    int status = in_root_read_file(directory_fd, file, NETWORK_SIZE_MAX, &text);
    if (status == -ENOENT) {
        return err_set(err, ERR_NOT_FOUND, "no such network: %s", name);
    }
    if (status != 0) {
        return err_set(err, status, "read network '%s': %s", name, err_text(status));
    }
    status = json_parse(buf_bytes(&text), file, &root, err);
    return status != 0 ? status : parse(root, name, ret, err);
}

static int write_network(int directory_fd, const struct network *network, struct err *err)
{
    char file[NETWORK_NAME_MAX + 16];
    char subnet[20];
    char gateway[16];
    CLEANUP(json) json_t *labels = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT;
    ipam_format_subnet(network->subnet, subnet);
    ipam_format_address(network->gateway, gateway);
    (void)snprintf(file, sizeof(file), "%s.json", network->name);
    if (network->labels_json != NULL) {
        int status = json_parse(bytes_from_text(network->labels_json), "labels", &labels, err);
        if (status != 0) {
            return status;
        }
    } else {
        labels = json_object();
    }
    CLEANUP(json)
    json_t *root =
        json_pack("{ss ss ss ss ss si sb sb sI sO}", "name", network->name, "id", network->id,
                  "bridge", network->bridge, "subnet", subnet, "gateway", gateway, "mtu",
                  (int)network->mtu, "internal", network->is_internal, "routed", network->is_routed,
                  "createdMs", (json_int_t)network->created_ms, "labels", labels);
    json_write(root, false, &text);
    return store_write_file(directory_fd, file, buf_bytes(&text), err);
}

/* Names of all networks, sorted. */
static int list_names(int directory_fd, char (*names)[NETWORK_NAME_MAX + 1], size_t *ret_count,
                      struct err *err)
{
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    size_t count = 0;
    if (directory == NULL) {
        return err_set_errno(err, errno, "list the networks");
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && count < NETWORKS_MAX;) {
        size_t size = strlen(entry->d_name);
        if (size <= 5 || size - 5 > NETWORK_NAME_MAX || entry->d_name[0] == '.' ||
            strcmp(entry->d_name + size - 5, ".json") != 0) {
            continue;
        }
        size_t place = count++;
        char name[NETWORK_NAME_MAX + 1];
        (void)snprintf(name, sizeof(name), "%.*s", (int)(size - 5), entry->d_name);
        while (place > 0 && strcmp(names[place - 1], name) > 0) {
            memcpy(names[place], names[place - 1], sizeof(names[place]));
            place--;
        }
        memcpy(names[place], name, sizeof(name));
    }
    (void)closedir(directory);
    *ret_count = count;
    return 0;
}

static void random_id(char out[65])
{
    uint8_t bytes[32];
    size_t done = 0;
    while (done < sizeof(bytes)) {
        ssize_t count = getrandom(bytes + done, sizeof(bytes) - done, 0);
        done += count > 0 ? (size_t)count : 0;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Subnets of other networks and of this host's interfaces. */
static size_t collect_taken(int directory_fd, struct network_subnet *taken, size_t room)
{
    char(*names)[NETWORK_NAME_MAX + 1] = mem_calloc(NETWORKS_MAX, sizeof(*names));
    size_t name_count = 0;
    size_t count = 0;
    if (list_names(directory_fd, names, &name_count, NULL) == 0) {
        for (size_t i = 0; i < name_count && count < room; i++) {
            struct network network = {.mtu = 0};
            if (read_network(directory_fd, names[i], &network, NULL) == 0) {
                taken[count++] = network.subnet;
            }
            network_deinit(&network);
        }
    }
    mem_free(names);
    struct ifaddrs *interfaces = NULL;
    if (getifaddrs(&interfaces) != 0) {
        return count;
    }
    for (struct ifaddrs *one = interfaces; one != NULL && count < room; one = one->ifa_next) {
        if (one->ifa_addr == NULL || one->ifa_netmask == NULL ||
            one->ifa_addr->sa_family != AF_INET) {
            continue;
        }
        struct sockaddr_in address;
        struct sockaddr_in mask;
        memcpy(&address, one->ifa_addr, sizeof(address));
        memcpy(&mask, one->ifa_netmask, sizeof(mask));
        uint32_t bits = ntohl(mask.sin_addr.s_addr);
        taken[count++] = (struct network_subnet){
            .address = ntohl(address.sin_addr.s_addr) & bits,
            .prefix_size = (uint8_t)__builtin_popcount(bits),
        };
    }
    freeifaddrs(interfaces);
    return count;
}

static int complete(int directory_fd, struct network *network, struct err *err)
{
    if (network->subnet.prefix_size == 0) {
        enum { TAKEN_MAX = 1024 };
        struct network_subnet taken[TAKEN_MAX];
        size_t count = collect_taken(directory_fd, taken, TAKEN_MAX);
        int status = ipam_choose_subnet(taken, count, &network->subnet, err);
        if (status != 0) {
            return status;
        }
    }
    if (network->gateway == 0) {
        network->gateway = network->subnet.address + 1;
    }
    if (!ipam_contains(network->subnet, network->gateway)) {
        return err_set(err, ERR_INVALID, "the gateway is not in the subnet");
    }
    random_id(network->id);
    if (network->bridge[0] == '\0') {
        (void)snprintf(network->bridge, sizeof(network->bridge), "kv-%.11s", network->id);
    }
    network->created_ms = clock_realtime_ms();
    return 0;
}

static int create_locked(int directory_fd, struct network *network, struct err *err)
{
    struct network existing = {.mtu = 0};
    int status = read_network(directory_fd, network->name, &existing, err);
    network_deinit(&existing);
    if (status == 0) {
        return err_set(err, ERR_EXISTS, "network '%s' exists", network->name);
    }
    if (status != ERR_NOT_FOUND || (status = complete(directory_fd, network, err)) != 0) {
        return status;
    }
    return write_network(directory_fd, network, err);
}

int network_create(const char *state_root, struct network *network, struct err *err)
{
    CLEANUP(close_fd) int directory_fd = -1;
    CLEANUP(close_fd) int lock = -1;
    if (!is_name(network->name)) {
        return err_set(err, ERR_INVALID, "'%.80s' cannot be the name of a network", network->name);
    }
    int status = leases_open_directory(state_root, &directory_fd, err);
    if (status == 0) {
        status = leases_lock(directory_fd, &lock, err);
    }
    return status != 0 ? status : create_locked(directory_fd, network, err);
}

int network_find(const char *state_root, const char *name, struct network *ret, struct err *err)
{
    CLEANUP(close_fd) int directory_fd = -1;
    int status = leases_open_directory(state_root, &directory_fd, err);
    if (status != 0) {
        return status;
    }
    status = read_network(directory_fd, name, ret, err);
    if (status != ERR_NOT_FOUND || strcmp(name, default_name) != 0) {
        return status;
    }
    struct network network = {.mtu = 0};
    (void)snprintf(network.name, sizeof(network.name), "%s", default_name);
    (void)snprintf(network.bridge, sizeof(network.bridge), "%s", default_bridge);
    status = network_create(state_root, &network, err);
    /* ERR_EXISTS: another process was faster. */
    return status != 0 && status != ERR_EXISTS ? status
                                               : read_network(directory_fd, name, ret, err);
}

int network_remove(const char *state_root, const char *name, struct err *err)
{
    CLEANUP(close_fd) int directory_fd = -1;
    CLEANUP(close_fd) int lock = -1;
    CLEANUP(close_fd) int netlink = -1;
    CLEANUP(leases) struct leases leases = {.count = 0};
    struct network network = {.mtu = 0};
    char file[NETWORK_NAME_MAX + 16];
    int status;
    if ((status = leases_open_directory(state_root, &directory_fd, err)) != 0 ||
        (status = leases_lock(directory_fd, &lock, err)) != 0 ||
        (status = read_network(directory_fd, name, &network, err)) != 0) {
        return status;
    }
    status = leases_read(directory_fd, name, &leases, err);
    if (status == 0 && leases.count > 0) {
        status = err_set(err, ERR_BUSY, "network '%s' is used by %zu container%s", name,
                         leases.count, leases.count == 1 ? "" : "s");
    }
    if (status == 0 && !network.is_routed) {
        status = nft_network_remove(&network, err);
    }
    if (status == 0 && (status = netlink_open(-1, &netlink, err)) == 0) {
        int removed = netlink_link_delete(netlink, network.bridge);
        if (removed != 0 && removed != -ENODEV) {
            status = err_set_errno(err, -removed, "remove bridge '%s'", network.bridge);
        }
    }
    network_deinit(&network);
    if (status == 0) {
        (void)snprintf(file, sizeof(file), "%s.leases", name);
        (void)unlinkat(directory_fd, file, 0); /* may be missing */
        (void)snprintf(file, sizeof(file), "%s.json", name);
        if (unlinkat(directory_fd, file, 0) != 0) {
            status = err_set_errno(err, errno, "remove network '%s'", name);
        }
    }
    return status;
}

int network_list(const char *state_root, int (*visit)(const struct network *network, void *context),
                 void *context, struct err *err)
{
    CLEANUP(close_fd) int directory_fd = -1;
    int status = leases_open_directory(state_root, &directory_fd, err);
    if (status != 0) {
        return status;
    }
    char(*names)[NETWORK_NAME_MAX + 1] = mem_calloc(NETWORKS_MAX, sizeof(*names));
    size_t count = 0;
    status = list_names(directory_fd, names, &count, err);
    for (size_t i = 0; status == 0 && i < count; i++) {
        struct network network = {.mtu = 0};
        status = read_network(directory_fd, names[i], &network, err);
        if (status == 0) {
            status = visit(&network, context);
        }
        network_deinit(&network);
    }
    mem_free(names);
    return status;
}
