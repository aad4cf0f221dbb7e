#include "runtime/network/leases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/image/store.h"
#include "runtime/network/ipam.h"

enum { LEASES_SIZE_MAX = 16 << 20 };

int leases_open_directory(const char *state_root, int *ret_fd, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/networks", state_root);
    if ((mkdir(state_root, 0711) != 0 && errno != EEXIST) ||
        (mkdir(path, 0700) != 0 && errno != EEXIST)) {
        return err_set_errno(err, errno, "create directory '%s'", path);
    }
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : err_set_errno(err, errno, "open '%s'", path);
}

int leases_lock(int directory_fd, int *ret_fd, struct err *err)
{
    CLEANUP(close_fd) int fd = openat(directory_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "open the lock of the networks");
    }
    while (flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            return err_set_errno(err, errno, "lock the networks");
        }
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static void lease_deinit(struct lease *lease)
{
    mem_free(lease->ports);
    for (size_t i = 0; i < lease->alias_count; i++) {
        mem_free(lease->aliases[i]);
    }
}

void leases_deinit(struct leases *leases)
{
    for (size_t i = 0; i < leases->count; i++) {
        lease_deinit(&leases->items[i]);
    }
    mem_free(leases->items);
    *leases = (struct leases){.count = 0};
}

struct lease *leases_add(struct leases *leases, const char *owner, uint32_t address)
{
    leases->items = mem_reallocarray(leases->items, leases->count + 1, sizeof(*leases->items));
    struct lease *lease = &leases->items[leases->count++];
    *lease = (struct lease){.address = address};
    (void)snprintf(lease->owner, sizeof(lease->owner), "%s", owner);
    return lease;
}

struct lease *leases_find(const struct leases *leases, const char *owner)
{
    for (size_t i = 0; i < leases->count; i++) {
        if (strcmp(leases->items[i].owner, owner) == 0) {
            return &leases->items[i];
        }
    }
    return NULL;
}

void leases_remove(struct leases *leases, const char *owner)
{
    struct lease *lease = leases_find(leases, owner);
    if (lease != NULL) {
        lease_deinit(lease);
        *lease = leases->items[--leases->count];
    }
}

static void read_ports(const json_t *list, struct lease *lease)
{
    lease->ports = mem_calloc(json_array_size(list) + 1, sizeof(*lease->ports));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *port = json_array_get(list, i);
        lease->ports[lease->port_count++] = (struct network_port){
            .host_address = (uint32_t)json_get_integer(port, "hostAddress", 0),
            .host_port = (uint16_t)json_get_integer(port, "hostPort", 0),
            .container_port = (uint16_t)json_get_integer(port, "containerPort", 0),
            .protocol = (enum network_protocol)json_get_integer(port, "protocol", NETWORK_TCP),
        };
    }
}

static void read_aliases(const json_t *list, struct lease *lease)
{
    for (size_t i = 0; i < json_array_size(list) && i < NETWORK_ALIASES_MAX; i++) {
        const char *alias = json_string_value(json_array_get(list, i));
        if (alias != NULL) {
            lease->aliases[lease->alias_count++] = mem_strdup(alias);
        }
    }
}

int leases_read(int directory_fd, const char *network, struct leases *ret, struct err *err)
{
    char name[NETWORK_NAME_MAX + 16];
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *root = NULL;
    (void)snprintf(name, sizeof(name), "%s.leases", network);
    *ret = (struct leases){.count = 0};
    int status = in_root_read_file(directory_fd, name, LEASES_SIZE_MAX, &text);
    if (status == -ENOENT) {
        return 0;
    }
    if (status != 0) {
        return err_set(err, status, "read the leases of network '%s': %s", network,
                       err_text(status));
    }
    status = json_parse(buf_bytes(&text), name, &root, err);
    if (status != 0) {
        return status;
    }
    ret->last = (uint32_t)json_get_integer(root, "last", 0);
    const json_t *list = json_object_get(root, "leases");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct lease *lease = leases_add(ret, json_get_text(item, "owner", ""),
                                         (uint32_t)json_get_integer(item, "address", 0));
        read_ports(json_object_get(item, "ports"), lease);
        read_aliases(json_object_get(item, "aliases"), lease);
    }
    return 0;
}

static json_t *write_lease(const struct lease *lease)
{
    json_t *ports = json_array();
    json_t *aliases = json_array();
    for (size_t i = 0; i < lease->port_count; i++) {
        const struct network_port *port = &lease->ports[i];
        json_array_append_new(
            ports, json_pack("{sI si si si}", "hostAddress", (json_int_t)port->host_address,
                             "hostPort", (int)port->host_port, "containerPort",
                             (int)port->container_port, "protocol", (int)port->protocol));
    }
    for (size_t i = 0; i < lease->alias_count; i++) {
        json_array_append_new(aliases, json_text(lease->aliases[i]));
    }
    return json_pack("{ss sI so so}", "owner", lease->owner, "address", (json_int_t)lease->address,
                     "ports", ports, "aliases", aliases);
}

int leases_write(int directory_fd, const char *network, const struct leases *leases,
                 struct err *err)
{
    char name[NETWORK_NAME_MAX + 16];
    json_t *list = json_array();
    (void)snprintf(name, sizeof(name), "%s.leases", network);
    for (size_t i = 0; i < leases->count; i++) {
        json_array_append_new(list, write_lease(&leases->items[i]));
    }
    CLEANUP(json)
    json_t *root = json_pack("{sI so}", "last", (json_int_t)leases->last, "leases", list);
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_write(root, false, &text);
    /* After a power failure no container is alive, and every lease is free. */
    return store_replace_file(directory_fd, name, buf_bytes(&text), err);
}
