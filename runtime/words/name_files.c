#include "runtime/words/name_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"

enum { HOST_FILE_SIZE_MAX = 1 << 20 };

static bool is_loopback_server(struct bytes line)
{
    char address[64] = "";
    char text[256];
    (void)snprintf(text, sizeof(text), "%.*s", (int)(line.size < 255 ? line.size : 255),
                   (const char *)line.data);
    if (sscanf(text, "nameserver %63s", address) != 1) {
        return false;
    }
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool has_key(struct bytes line, const char *key)
{
    size_t size = strlen(key);
    return line.size > size && memcmp(line.data, key, size) == 0 &&
           (line.data[size] == ' ' || line.data[size] == '\t');
}

static void append_list(struct buf *out, const char *key, const json_t *list, bool is_one_line)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        buf_append_format(out, "%s %s", i == 0 || !is_one_line ? key : "",
                          json_string_value(json_array_get(list, i)));
        buf_append_text(out, is_one_line && i + 1 < json_array_size(list) ? "" : "\n");
    }
}

void resolv_conf_write(struct bytes host_text, const json_t *host_config, bool shares_network,
                       struct buf *out)
{
    const json_t *servers = json_object_get(host_config, "Dns");
    const json_t *search = json_object_get(host_config, "DnsSearch");
    const json_t *options = json_object_get(host_config, "DnsOptions");
    append_list(out, "nameserver", servers, false);
    append_list(out, "search", search, true);
    append_list(out, "options", options, true);
    while (host_text.size > 0) {
        const uint8_t *newline = memchr(host_text.data, '\n', host_text.size);
        size_t size = newline == NULL ? host_text.size : (size_t)(newline - host_text.data);
        struct bytes line = bytes_make(host_text.data, size);
        size_t used = size + (newline == NULL ? 0 : 1);
        host_text = bytes_make(host_text.data + used, host_text.size - used);
        bool is_replaced =
            (has_key(line, "nameserver") &&
             (json_array_size(servers) > 0 || (!shares_network && is_loopback_server(line)))) ||
            ((has_key(line, "search") || has_key(line, "domain")) && json_array_size(search) > 0) ||
            (has_key(line, "options") && json_array_size(options) > 0);
        if (!is_replaced && line.size > 0 && line.data[0] != '#' && line.data[0] != ';') {
            buf_append_bytes(out, line);
            buf_append_text(out, "\n");
        }
    }
}

/* In place: the file is mounted into the container, so its inode must stay. */
static int write_in_place(const struct container *container, const char *name, struct bytes content,
                          struct err *err)
{
    CLEANUP(close_fd)
    int fd =
        openat(container->directory_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 || fchmod(fd, 0644) != 0 ||
        pwrite(fd, content.data, content.size, 0) != (ssize_t)content.size ||
        ftruncate(fd, (off_t)content.size) != 0) {
        return err_set_errno(err, errno, "write '%s/%s'", container->directory, name);
    }
    return 0;
}

static int write_resolv_conf(const struct container *container, bool shares_network,
                             struct err *err)
{
    CLEANUP(close_fd) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(buf) struct buf host = BUF_INIT;
    CLEANUP(buf) struct buf out = BUF_INIT;
    int ignored = in_root_read_file(root, "/etc/resolv.conf", HOST_FILE_SIZE_MAX, &host);
    if (!shares_network && buf_size(&host) > 0 &&
        memmem(buf_bytes(&host).data, buf_size(&host), "127.0.0.53", 10) != NULL) {
        /* systemd-resolved keeps the servers it asks itself here. */
        CLEANUP(buf) struct buf real = BUF_INIT;
        if (in_root_read_file(root, "/run/systemd/resolve/resolv.conf", HOST_FILE_SIZE_MAX,
                              &real) == 0) {
            buf_clear(&host);
            buf_append_bytes(&host, buf_bytes(&real));
        }
    }
    (void)ignored; /* a host without the file has no name servers */
    resolv_conf_write(buf_bytes(&host), container_host(container), shares_network, &out);
    return write_in_place(container, "resolv.conf", buf_bytes(&out), err);
}

/* "NAME:ADDRESS"; the address may hold colons, the name may not. */
static void append_extra(struct buf *out, const json_t *state, const char *text)
{
    size_t size = strcspn(text, ":=");
    const char *address = text + size + 1;
    if (strcmp(address, "host-gateway") == 0) {
        const json_t *networks = json_object_get(state, "Networks");
        void *first = json_object_iter((json_t *)(uintptr_t)networks);
        address = first == NULL
                      ? "127.0.0.1"
                      : json_get_text(json_object_iter_value(first), "Gateway", "127.0.0.1");
    }
    buf_append_format(out, "%s\t%.*s\n", address, (int)size, text);
}

struct hosts {
    struct buf *out;
    const struct container *self;
    const char *network;
};

static void append_aliases(struct buf *out, const json_t *aliases)
{
    for (size_t i = 0; i < json_array_size(aliases); i++) {
        buf_append_format(out, " %s", json_string_value(json_array_get(aliases, i)));
    }
}

/* The names that a container has in one of its networks. */
static void append_names(struct buf *out, const struct container *container, const char *network,
                         const char *address)
{
    const json_t *host = container_host(container);
    const json_t *settings = json_object_get(json_object_get(host, "Networks"), network);
    buf_append_format(out, "%s\t%s", address, container_name(container));
    append_aliases(out, json_object_get(host, "NetworkAliases"));
    append_aliases(out, json_object_get(settings, "Aliases"));
    buf_append_format(out, " %.12s\n", container->id);
}

static int append_peer(struct container *container, void *context)
{
    struct hosts *hosts = context;
    const json_t *networks = json_object_get(container->state, "Networks");
    const json_t *network = json_object_get(networks, hosts->network);
    if (network != NULL && strcmp(container->id, hosts->self->id) != 0 &&
        container_refresh(container) == CONTAINER_RUNNING) {
        append_names(hosts->out, container, hosts->network,
                     json_get_text(network, "IPAddress", ""));
    }
    return 0;
}

static int write_hosts(const struct store *store, const struct container *container,
                       const char *hostname, struct err *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    buf_append_text(&out, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                          "fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\n"
                          "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
    const json_t *extra = json_object_get(container_host(container), "ExtraHosts");
    for (size_t i = 0; i < json_array_size(extra); i++) {
        append_extra(&out, container->state, json_string_value(json_array_get(extra, i)));
    }
    json_t *networks = json_object_get(container->state, "Networks");
    const char *name = NULL;
    json_t *network = NULL;
    json_object_foreach(networks, name, network)
    {
        buf_append_format(&out, "%s\t%s\n", json_get_text(network, "IPAddress", ""), hostname);
        if (strcmp(name, "bridge") != 0) {
            append_names(&out, container, name, json_get_text(network, "IPAddress", ""));
            struct hosts hosts = {.out = &out, .self = container, .network = name};
            int status = container_list(store, append_peer, &hosts, err);
            if (status != 0) {
                return status;
            }
        }
    }
    return write_in_place(container, "hosts", buf_bytes(&out), err);
}

int name_files_write(const struct store *store, const struct container *container,
                     const char *hostname, struct err *err)
{
    CLEANUP(buf) struct buf name = BUF_INIT;
    const char *mode = json_get_text(container_host(container), "NetworkMode", "bridge");
    buf_append_format(&name, "%s\n", hostname);
    int status = write_in_place(container, "hostname", buf_bytes(&name), err);
    if (status == 0) {
        status = write_resolv_conf(container, strcmp(mode, "host") == 0, err);
    }
    return status != 0 ? status : write_hosts(store, container, hostname, err);
}

struct peers {
    const struct store *store;
    const char *network;
};

static int update_peer(struct container *container, void *context)
{
    const struct peers *peers = context;
    const json_t *networks = json_object_get(container->state, "Networks");
    if (json_object_get(networks, peers->network) != NULL &&
        container_refresh(container) == CONTAINER_RUNNING) {
        struct err ignored;
        int status =
            write_hosts(peers->store, container,
                        json_get_text(container_config(container), "Hostname", ""), &ignored);
        (void)status; /* the peer may be going away */
    }
    return 0;
}

/* One writer at a time, each after what it tells about is in state.json: then the last one knows
 * all. */
static int lock_names(const struct store *store)
{
    int fd = openat(store->root_fd, "names.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

void name_files_update(const struct store *store, const json_t *networks)
{
    CLEANUP(close_fd) int lock = -1;
    const char *name = NULL;
    json_t *network = NULL;
    json_object_foreach((json_t *)(uintptr_t)networks, name, network)
    {
        if (strcmp(name, "bridge") != 0) {
            lock = lock >= 0 ? lock : lock_names(store);
            struct peers peers = {.store = store, .network = name};
            int ignored = container_list(store, update_peer, &peers, NULL);
            (void)ignored; /* a peer that is going away */
        }
    }
}
