/* resources.c - networks and volumes of a project. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose.h"
#include "runtime/compose/service.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/network/ipam.h"
#include "runtime/network/network.h"
#include "runtime/words/lifecycle.h"

static bool is_used_by(const json_t *services, const char *key)
{
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach((json_t *)(uintptr_t)services, name, service)
    {
        if (json_object_get(json_object_get(service, "networks"), key) != NULL) {
            return true;
        }
    }
    return false;
}

static char *label_text(const struct compose *compose, const char *kind, const char *key,
                        const json_t *given)
{
    json_t *labels = json_is_object(given) ? json_deep_copy(given) : json_object();
    char name[80];
    (void)snprintf(name, sizeof(name), LABEL_PREFIX "%s", kind);
    json_object_set_new(labels, LABEL_PREFIX "project", json_text(compose_name(compose)));
    json_object_set_new(labels, name, json_text(key));
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(labels, false, &text);
    json_decref(labels);
    return mem_strdup(buf_text(&text));
}

static int fill_network(const json_t *document, struct network *network, struct err *err)
{
    const json_t *ipam =
        json_array_get(json_object_get(json_object_get(document, "ipam"), "config"), 0);
    const char *subnet = json_get_text(ipam, "subnet", NULL);
    const char *gateway = json_get_text(ipam, "gateway", NULL);
    int status = 0;
    network->is_internal = json_get_flag(document, "internal");
    if (subnet != NULL) {
        status = ipam_parse_subnet(subnet, &network->subnet, err);
    }
    if (status == 0 && gateway != NULL) {
        status = ipam_parse_address(gateway, &network->gateway, err);
    }
    return status;
}

static int make_network(struct compose *compose, const char *key, const json_t *document,
                        struct err *err)
{
    const char *name = json_get_text(document, "name", key);
    struct network network = {.mtu = 0};
    int status = network_find(compose->store.root, name, &network, err);
    network_deinit(&network);
    if (status != ERR_NOT_FOUND) {
        return status;
    }
    if (json_get_flag(document, "external")) {
        return err_set(err, ERR_NOT_FOUND,
                       "networks.%s: the external network '%s' does not exist; make it with "
                       "`kvctl network create %s`",
                       key, name, name);
    }
    if (strlen(name) > NETWORK_NAME_MAX) {
        return err_set(err, ERR_INVALID, "networks.%s: the name '%s' is too long", key, name);
    }
    network = (struct network){.mtu = 0};
    (void)snprintf(network.name, sizeof(network.name), "%s", name);
    network.labels_json = label_text(compose, "network", key, json_object_get(document, "labels"));
    status = fill_network(document, &network, err);
    if (status == 0) {
        status = network_create(compose->store.root, &network, err);
    }
    network_deinit(&network);
    if (status == ERR_EXISTS) {
        return 0; /* another process was faster */
    }
    if (status == 0) {
        compose_say(compose, "Network", name, "Created");
    }
    return status == 0 ? 0 : err_prefix(err, "networks.%s", key);
}

/* The volume itself is made, and filled, by the first container that mounts it. */
static int check_volume(struct compose *compose, const char *key, const json_t *document,
                        struct err *err)
{
    const char *name = json_get_text(document, "name", key);
    CLEANUP(free) char *path = mem_printf("volumes/%s/_data", name);
    bool exists = faccessat(compose->store.root_fd, path, F_OK, 0) == 0;
    if (!exists && json_get_flag(document, "external")) {
        return err_set(err, ERR_NOT_FOUND,
                       "volumes.%s: the external volume '%s' does not exist; make it with `kvctl "
                       "volume create %s`",
                       key, name, name);
    }
    return 0;
}

int resources_make(struct compose *compose, const json_t *services, struct err *err)
{
    const char *key = NULL;
    json_t *document = NULL;
    json_object_foreach(json_object_get(compose->project.document, "volumes"), key, document)
    {
        int status = check_volume(compose, key, document, err);
        if (status != 0) {
            return status;
        }
    }
    json_object_foreach(json_object_get(compose->project.document, "networks"), key, document)
    {
        int status = is_used_by(services, key) ? make_network(compose, key, document, err) : 0;
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* ---- removing ---- */

struct owned {
    const char *project;
    json_t *names;
};

/* Networks carry the project's label, so that they are found without the files. */
static int add_owned(const struct network *network, void *context)
{
    struct owned *owned = context;
    CLEANUP(json) json_t *labels = NULL;
    if (network->labels_json != NULL &&
        json_parse(bytes_from_text(network->labels_json), "labels", &labels, NULL) == 0 &&
        strcmp(json_get_text(labels, LABEL_PREFIX "project", ""), owned->project) == 0) {
        json_array_append_new(owned->names, json_text(network->name));
    }
    return 0;
}

static int remove_networks(struct compose *compose, struct err *err)
{
    struct owned owned = {.project = compose_name(compose), .names = json_array()};
    CLEANUP(json) json_t *names = owned.names;
    int status = network_list(compose->store.root, add_owned, &owned, err);
    for (size_t i = 0; status == 0 && i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        struct err why;
        int removed = network_remove(compose->store.root, name, &why);
        if (removed == ERR_BUSY && lifecycle_reconcile(&compose->store, &why) == 0) {
            removed = network_remove(compose->store.root, name, &why);
        }
        if (removed == ERR_BUSY) {
            fprintf(stderr, "kvctl: warning: %s\n", why.text);
        } else if (removed == 0) {
            compose_say(compose, "Network", name, "Removed");
        } else if (removed != ERR_NOT_FOUND) {
            return err_set(err, removed, "%s", why.text);
        }
    }
    return status;
}

struct volume_user {
    const char *name;
    bool is_used;
};

static int find_user(struct container *container, void *context)
{
    struct volume_user *user = context;
    const json_t *mounts = json_object_get(container->state, "Mounts");
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        user->is_used |=
            strcmp(json_get_text(json_array_get(mounts, i), "Name", ""), user->name) == 0;
    }
    return user->is_used ? 1 : 0;
}

static int remove_volume(struct compose *compose, const char *name, struct err *err)
{
    struct volume_user user = {.name = name};
    CLEANUP(close_fd)
    int fd = openat(compose->store.root_fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || faccessat(fd, name, F_OK, 0) != 0) {
        return 0;
    }
    int status = container_list(&compose->store, find_user, &user, err);
    if (status < 0) {
        return status;
    }
    if (user.is_used) {
        fprintf(stderr, "kvctl: warning: volume %s is still used and stays\n", name);
        return 0;
    }
    status = in_root_remove(fd, name);
    if (status != 0) {
        return err_set_errno(err, -status, "remove volume '%s'", name);
    }
    compose_say(compose, "Volume", name, "Removed");
    return 0;
}

int resources_remove(struct compose *compose, bool removes_volumes, struct err *err)
{
    const char *key = NULL;
    json_t *document = NULL;
    int status = remove_networks(compose, err);
    json_object_foreach(json_object_get(compose->project.document, "volumes"), key, document)
    {
        if (status == 0 && removes_volumes && !json_get_flag(document, "external")) {
            status = remove_volume(compose, json_get_text(document, "name", key), err);
        }
    }
    return status;
}
