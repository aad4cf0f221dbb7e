/* word_network.c - network create|ls|rm|inspect, volume create|ls|rm|inspect|prune. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/network/ipam.h"
#include "runtime/network/network.h"
#include "runtime/words/container.h"
#include "runtime/words/container_words.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/table.h"
#include "runtime/words/words.h"

struct network_options {
    bool is_internal, is_quiet;
    const char *subnet, *gateway, *driver;
    struct text_list label;
};

static int network_make(const struct store *store, const struct network_options *options,
                        const char *name, struct err *err)
{
    struct network network = {.is_internal = options->is_internal};
    CLEANUP(json) json_t *labels = json_object();
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = 0;
    if (options->driver != NULL && strcmp(options->driver, "bridge") != 0) {
        return err_set(err, ERR_UNSUPPORTED, "--driver: the only one is bridge");
    }
    if (strlen(name) > NETWORK_NAME_MAX) {
        return err_set(err, ERR_INVALID, "the name of the network is too long");
    }
    (void)snprintf(network.name, sizeof(network.name), "%s", name);
    if (options->subnet != NULL) {
        status = ipam_parse_subnet(options->subnet, &network.subnet, err);
    }
    if (status == 0 && options->gateway != NULL) {
        status = ipam_parse_address(options->gateway, &network.gateway, err);
    }
    for (size_t i = 0; i < options->label.count; i++) {
        CLEANUP(free) char *copy = mem_strdup(options->label.items[i]);
        char *equals = strchr(copy, '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        json_object_set_new(labels, copy, json_text(equals == NULL ? "" : equals + 1));
    }
    json_write(labels, false, &text);
    network.labels_json = mem_strdup(buf_text(&text));
    if (status == 0) {
        status = network_create(store->root, &network, err);
    }
    if (status == 0) {
        printf("%s\n", network.id);
    }
    network_deinit(&network);
    return status;
}

struct network_listing {
    struct table table;
    bool is_quiet;
};

static int add_network(const struct network *network, void *context)
{
    struct network_listing *listing = context;
    char id[13];
    char subnet[20];
    (void)snprintf(id, sizeof(id), "%.12s", network->id);
    ipam_format_subnet(network->subnet, subnet);
    if (listing->is_quiet) {
        printf("%s\n", id);
    } else {
        table_add(&listing->table, (const char *[]){id, network->name, "bridge", subnet});
    }
    return 0;
}

static int list_networks(const struct store *store, bool is_quiet, struct err *err)
{
    static const char *const titles[] = {"NETWORK ID", "NAME", "DRIVER", "SUBNET"};
    struct network_listing listing = {.is_quiet = is_quiet};
    struct network ignored = {.mtu = 0};
    int status = network_find(store->root, "bridge", &ignored, err); /* so that it is listed */
    network_deinit(&ignored);
    table_init(&listing.table, titles, 4);
    if (status == 0) {
        status = network_list(store->root, add_network, &listing, err);
    }
    if (status == 0 && !is_quiet) {
        table_print(&listing.table);
    }
    table_deinit(&listing.table);
    return status;
}

struct membership {
    const char *network;
    json_t *members;
};

static int add_member(struct container *container, void *context)
{
    struct membership *membership = context;
    const json_t *networks = json_object_get(container->state, "Networks");
    const json_t *network = json_object_get(networks, membership->network);
    if (network != NULL) {
        json_object_set_new(membership->members, container->id,
                            json_pack("{ss ss ss}", "Name", container_name(container),
                                      "IPv4Address", json_get_text(network, "IPAddress", ""),
                                      "MacAddress", json_get_text(network, "MacAddress", "")));
    }
    return 0;
}

static int network_show(const struct store *store, const char *name, json_t *out, struct err *err)
{
    struct network network = {.mtu = 0};
    char subnet[20];
    char gateway[16];
    int status = network_find(store->root, name, &network, err);
    if (status != 0) {
        return status;
    }
    struct membership membership = {.network = name, .members = json_object()};
    ipam_format_subnet(network.subnet, subnet);
    ipam_format_address(network.gateway, gateway);
    CLEANUP(json) json_t *labels = NULL;
    if (network.labels_json == NULL ||
        json_parse(bytes_from_text(network.labels_json), "labels", &labels, NULL) != 0) {
        labels = json_object();
    }
    status = container_list(store, add_member, &membership, err);
    json_array_append_new(
        out, json_pack("{ss ss ss sb s{ss s[{ss ss}]} so sO s{ss}}", "Name", network.name, "Id",
                       network.id, "Driver", "bridge", "Internal", network.is_internal, "IPAM",
                       "Driver", "default", "Config", "Subnet", subnet, "Gateway", gateway,
                       "Containers", membership.members, "Labels", labels, "Options",
                       "com.docker.network.bridge.name", network.bridge));
    network_deinit(&network);
    return status;
}

static int remove_if_free(const struct network *network, void *context)
{
    struct err ignored;
    if (strcmp(network->name, "bridge") != 0 &&
        network_remove(context, network->name, &ignored) == 0) {
        printf("%s\n", network->name);
    }
    return 0;
}

int networks_prune(const struct store *store, struct err *err)
{
    int status = lifecycle_reconcile(store, err); /* those that crashed are no members */
    return status != 0 ? status : network_list(store->root, remove_if_free, store->root, err);
}

static int act_on_network(const struct store *store, const struct network_options *options,
                          const struct text_list *operands, struct err *err)
{
    const char *verb = operands->items[0];
    int status = 0;
    if (strcmp(verb, "ls") == 0 || strcmp(verb, "list") == 0) {
        return list_networks(store, options->is_quiet, err);
    }
    if (strcmp(verb, "prune") == 0) {
        return networks_prune(store, err);
    }
    if (operands->count < 2) {
        return err_set(err, ERR_INVALID, "network %s needs the name of a network", verb);
    }
    CLEANUP(json) json_t *shown = json_array();
    for (size_t i = 1; status == 0 && i < operands->count; i++) {
        const char *name = operands->items[i];
        if (strcmp(verb, "create") == 0) {
            status = network_make(store, options, name, err);
        } else if (strcmp(verb, "rm") == 0) {
            status = lifecycle_reconcile(store, err);
            status = status == 0 ? network_remove(store->root, name, err) : status;
            if (status == 0) {
                printf("%s\n", name);
            }
        } else if (strcmp(verb, "inspect") == 0) {
            status = network_show(store, name, shown, err);
        } else {
            status = err_set(err, ERR_INVALID,
                             "network: '%.40s' is not one of create ls rm inspect prune", verb);
        }
    }
    if (status == 0 && strcmp(verb, "inspect") == 0) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        json_write(shown, true, &text);
        printf("%s\n", buf_text(&text));
    }
    return status;
}

int word_network(int argc, char **argv)
{
    static const struct command command = {
        .usage = "network create|ls|rm|inspect|prune [OPTIONS] [NAME...]",
        .summary = "Networks of containers; containers of one know each other by name.",
        .examples = "  kvctl network create --subnet 10.9.0.0/24 app\n",
        .operands_min = 1,
        .operands_max = 100,
    };
    struct err err = {.code = 0};
    struct network_options options = {.subnet = NULL};
    const struct option_spec specs[] = {
        {0, "subnet", OPTION_TEXT, &options.subnet, "SUBNET", "create: 10.9.0.0/24"},
        {0, "gateway", OPTION_TEXT, &options.gateway, "ADDRESS", "create: the bridge's address"},
        {0, "internal", OPTION_FLAG, &options.is_internal, NULL, "create: no way out"},
        {'d', "driver", OPTION_TEXT, &options.driver, "NAME", "create: bridge"},
        {0, "label", OPTION_LIST, &options.label, "NAME=VALUE", "create"},
        {'q', "quiet", OPTION_FLAG, &options.is_quiet, NULL, "ls: only ids"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = store_open(&store, NULL, &err)) == 0) {
        status = act_on_network(&store, &options, &operands, &err);
    }
    text_list_deinit(&options.label);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

/* ---- volumes ---- */

struct volume_user {
    const char *name;
    char id[CONTAINER_ID_SIZE + 1];
};

static int find_volume_user(struct container *container, void *context)
{
    struct volume_user *user = context;
    const json_t *mounts = json_object_get(container->state, "Mounts");
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        if (strcmp(json_get_text(json_array_get(mounts, i), "Name", ""), user->name) == 0) {
            (void)snprintf(user->id, sizeof(user->id), "%s", container->id);
            return 1;
        }
    }
    return 0;
}

static int open_volumes(const struct store *store, int *ret_fd, struct err *err)
{
    if (mkdirat(store->root_fd, "volumes", 0711) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "create '%s/volumes'", store->root);
    }
    *ret_fd = openat(store->root_fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : err_set_errno(err, errno, "open '%s/volumes'", store->root);
}

static bool is_volume_name(const char *name)
{
    return name[0] != '.' && name[0] != '\0' && strlen(name) <= 128 && strchr(name, '/') == NULL;
}

static int volume_remove(const struct store *store, int fd, const char *name, bool is_forced,
                         struct err *err)
{
    struct volume_user user = {.name = name, .id = ""};
    int status = container_list(store, find_volume_user, &user, err);
    if (status < 0) {
        return status;
    }
    if (user.id[0] != '\0') {
        return err_set(err, ERR_BUSY, "volume %s is used by container %.12s", name, user.id);
    }
    if (!is_volume_name(name) || (faccessat(fd, name, F_OK, 0) != 0 && !is_forced)) {
        return err_set(err, ERR_NOT_FOUND, "no such volume: %s", name);
    }
    status = in_root_remove(fd, name);
    return status == 0 ? 0 : err_set_errno(err, -status, "remove volume '%s'", name);
}

static int volume_make(int fd, const char *name, struct err *err)
{
    CLEANUP(free) char *data = mem_printf("%s/_data", name);
    if (!is_volume_name(name)) {
        return err_set(err, ERR_INVALID, "'%.80s' cannot be the name of a volume", name);
    }
    if ((mkdirat(fd, name, 0711) != 0 && errno != EEXIST) ||
        (mkdirat(fd, data, 0755) != 0 && errno != EEXIST)) {
        return err_set_errno(err, errno, "create volume '%s'", name);
    }
    return 0;
}

/* prunes: remove what no container uses instead of listing. */
static int volume_list(const struct store *store, int fd, bool is_quiet, bool prunes,
                       struct err *err)
{
    int listing = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = listing < 0 ? NULL : fdopendir(listing);
    if (directory == NULL) {
        return err_set_errno(err, errno, "list the volumes");
    }
    printf("%s", is_quiet || prunes ? "" : "DRIVER   VOLUME NAME\n");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct err ignored;
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (!prunes) {
            printf("%s%s\n", is_quiet ? "" : "local    ", entry->d_name);
        } else if (volume_remove(store, fd, entry->d_name, false, &ignored) == 0) {
            printf("%s\n", entry->d_name);
        }
    }
    (void)closedir(directory);
    return 0;
}

int volumes_prune(const struct store *store, struct err *err)
{
    CLEANUP(close_fd) int fd = -1;
    int status = open_volumes(store, &fd, err);
    return status != 0 ? status : volume_list(store, fd, true, true, err);
}

static int act_on_volume(const struct store *store, const struct text_list *operands, bool is_quiet,
                         bool is_forced, struct err *err)
{
    const char *verb = operands->items[0];
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(json) json_t *shown = json_array();
    int status = open_volumes(store, &fd, err);
    if (status != 0 || strcmp(verb, "ls") == 0 || strcmp(verb, "prune") == 0) {
        return status != 0 ? status
                           : volume_list(store, fd, is_quiet, strcmp(verb, "prune") == 0, err);
    }
    for (size_t i = 1; status == 0 && i < operands->count; i++) {
        const char *name = operands->items[i];
        if (strcmp(verb, "create") == 0) {
            status = volume_make(fd, name, err);
        } else if (strcmp(verb, "rm") == 0) {
            status = volume_remove(store, fd, name, is_forced, err);
        } else if (strcmp(verb, "inspect") == 0) {
            CLEANUP(free) char *point = mem_printf("%s/volumes/%s/_data", store->root, name);
            status = is_volume_name(name) && access(point, F_OK) == 0
                         ? 0
                         : err_set(err, ERR_NOT_FOUND, "no such volume: %s", name);
            json_array_append_new(shown, json_pack("{ss ss ss ss}", "Name", name, "Driver", "local",
                                                   "Mountpoint", point, "Scope", "local"));
        } else {
            status = err_set(err, ERR_INVALID,
                             "volume: '%.40s' is not one of create ls rm inspect prune", verb);
        }
        if (status == 0 && strcmp(verb, "inspect") != 0) {
            printf("%s\n", name);
        }
    }
    if (status == 0 && strcmp(verb, "inspect") == 0) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        json_write(shown, true, &text);
        printf("%s\n", buf_text(&text));
    }
    return status;
}

int word_volume(int argc, char **argv)
{
    static const struct command command = {
        .usage = "volume create|ls|rm|inspect|prune [OPTIONS] [NAME...]",
        .summary = "Named volumes.",
        .operands_min = 1,
        .operands_max = 100,
    };
    struct err err = {.code = 0};
    bool is_quiet = false;
    bool is_forced = false;
    const struct option_spec specs[] = {
        {'q', "quiet", OPTION_FLAG, &is_quiet, NULL, "ls: only names"},
        {'f', "force", OPTION_FLAG, &is_forced, NULL, "rm: missing ones are fine"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = store_open(&store, NULL, &err)) == 0) {
        status = act_on_volume(&store, &operands, is_quiet, is_forced, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}
