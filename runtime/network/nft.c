#include "runtime/network/nft.h"

#include <dlfcn.h>
#include <string.h>

#include <nftables/libnftables.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/network/ipam.h"
#include "runtime/network/netlink.h"

/* What stands in the table. Packets that enter a bridge of ours come from another port of it, from
 * a published port, or are answers: everything else that is routed there is dropped. */
static const char ruleset[] =
    "add table ip " NFT_TABLE "\n"
    "table ip " NFT_TABLE " {\n"
    "  set bridges { type ifname; }\n"
    "  set internal { type ifname; }\n"
    "  set same { type ifname . ifname; }\n"
    "  set subnets { type ipv4_addr; flags interval; }\n"
    "  map ports_any { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
    "  map ports_one { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
    "  chain publish {\n"
    "    dnat ip to ip daddr . meta l4proto . th dport map @ports_one\n"
    "    dnat ip to meta l4proto . th dport map @ports_any\n"
    "  }\n"
    "  chain spoofed {\n"
    "    type filter hook prerouting priority raw; policy accept;\n"
    "    iifname @bridges ip daddr 127.0.0.0/8 drop\n"
    "    iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n"
    "  }\n"
    "  chain prerouting {\n"
    "    type nat hook prerouting priority dstnat; policy accept;\n"
    "    fib daddr type local meta l4proto { tcp, udp, sctp } goto publish\n"
    "  }\n"
    "  chain output {\n"
    "    type nat hook output priority -100; policy accept;\n"
    "    fib daddr type local meta l4proto { tcp, udp, sctp } goto publish\n"
    "  }\n"
    "  chain postrouting {\n"
    "    type nat hook postrouting priority srcnat; policy accept;\n"
    "    oifname @bridges ip saddr 127.0.0.0/8 masquerade\n"
    "    oifname @bridges ct status dnat ip saddr @subnets masquerade\n"
    "    ip saddr @subnets oifname != @bridges masquerade\n"
    "  }\n"
    "  chain forward {\n"
    "    type filter hook forward priority filter; policy accept;\n"
    "    iifname != @bridges oifname != @bridges accept\n"
    "    iifname . oifname @same accept\n"
    "    ct state established,related accept\n"
    "    ct status dnat accept\n"
    "    iifname @internal drop\n"
    "    oifname @bridges drop\n"
    "  }\n"
    "}\n";

struct library {
    void *handle;
    struct nft_ctx *(*ctx_new)(uint32_t flags);
    void (*ctx_free)(struct nft_ctx *context);
    int (*buffer_output)(struct nft_ctx *context);
    int (*buffer_error)(struct nft_ctx *context);
    const char *(*get_error)(struct nft_ctx *context);
    int (*run)(struct nft_ctx *context, const char *commands);
};

/* ISO C has no cast from object to function pointers; POSIX says how (dlsym, "Application usage").
 */
static bool find_symbol(void *handle, const char *name, void *target)
{
    void *symbol = dlsym(handle, name);
    memcpy(target, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static int load(struct library *library, struct err *err)
{
    library->handle = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library->handle == NULL) {
        return err_set(err, ERR_UNSUPPORTED, "container networks need libnftables1: %s", dlerror());
    }
    if (!find_symbol(library->handle, "nft_ctx_new", &library->ctx_new) ||
        !find_symbol(library->handle, "nft_ctx_free", &library->ctx_free) ||
        !find_symbol(library->handle, "nft_ctx_buffer_output", &library->buffer_output) ||
        !find_symbol(library->handle, "nft_ctx_buffer_error", &library->buffer_error) ||
        !find_symbol(library->handle, "nft_ctx_get_error_buffer", &library->get_error) ||
        !find_symbol(library->handle, "nft_run_cmd_from_buffer", &library->run)) {
        (void)dlclose(library->handle);
        return err_set(err, ERR_UNSUPPORTED, "libnftables lacks a function: %s", dlerror());
    }
    return 0;
}

static int run(const char *commands, struct err *err)
{
    struct library library = {.handle = NULL};
    int status = load(&library, err);
    if (status != 0) {
        return status;
    }
    struct nft_ctx *context = library.ctx_new(NFT_CTX_DEFAULT);
    if (context == NULL || library.buffer_output(context) != 0 ||
        library.buffer_error(context) != 0) {
        status = err_set(err, ERR_IO, "start libnftables");
    } else if (library.run(context, commands) != 0) {
        const char *why = library.get_error(context);
        status = err_set(err, ERR_IO, "nftables: %.*s", (int)strcspn(why, "\n"), why);
    }
    if (context != NULL) {
        library.ctx_free(context);
    }
    (void)dlclose(library.handle);
    return status;
}

int nft_setup(struct err *err)
{
    return netlink_has_nft_table(NFT_TABLE) ? 0 : run(ruleset, err);
}

static void append_network(struct buf *out, const char *verb, const struct network *network)
{
    char subnet[20];
    ipam_format_subnet(network->subnet, subnet);
    buf_append_format(out, "%s element ip " NFT_TABLE " bridges { \"%s\" }\n", verb,
                      network->bridge);
    buf_append_format(out, "%s element ip " NFT_TABLE " same { \"%s\" . \"%s\" }\n", verb,
                      network->bridge, network->bridge);
    if (network->is_internal) {
        buf_append_format(out, "%s element ip " NFT_TABLE " internal { \"%s\" }\n", verb,
                          network->bridge);
    }
    buf_append_format(out, "%s element ip " NFT_TABLE " subnets { %s }\n", verb, subnet);
}

int nft_network_add(const struct network *network, struct err *err)
{
    CLEANUP(buf) struct buf commands = BUF_INIT;
    append_network(&commands, "add", network);
    return run(buf_text(&commands), err);
}

int nft_network_remove(const struct network *network, struct err *err)
{
    if (!netlink_has_nft_table(NFT_TABLE)) {
        return 0;
    }
    CLEANUP(buf) struct buf commands = BUF_INIT;
    append_network(&commands, "add", network); /* so that deleting finds every one of them */
    append_network(&commands, "delete", network);
    return run(buf_text(&commands), err);
}

static const char *protocol_text(enum network_protocol protocol)
{
    return protocol == NETWORK_UDP ? "udp" : protocol == NETWORK_SCTP ? "sctp" : "tcp";
}

static void append_port(struct buf *out, const char *verb, const struct network_port *port,
                        uint32_t address)
{
    char to[16];
    char host[16];
    ipam_format_address(address, to);
    ipam_format_address(port->host_address, host);
    bool is_any = port->host_address == 0;
    buf_append_format(out, "%s element ip " NFT_TABLE " %s { %s%s%s . %u : %s . %u }\n", verb,
                      is_any ? "ports_any" : "ports_one", is_any ? "" : host, is_any ? "" : " . ",
                      protocol_text(port->protocol), port->host_port, to, port->container_port);
}

int nft_ports_add(const struct network_port *ports, size_t count, uint32_t address, struct err *err)
{
    CLEANUP(buf) struct buf commands = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        append_port(&commands, "add", &ports[i], address);
    }
    return count == 0 ? 0 : run(buf_text(&commands), err);
}

int nft_ports_remove(const struct network_port *ports, size_t count, uint32_t address,
                     struct err *err)
{
    if (count == 0 || !netlink_has_nft_table(NFT_TABLE)) {
        return 0;
    }
    CLEANUP(buf) struct buf commands = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        append_port(&commands, "add", &ports[i], address); /* absent ones are fine */
        append_port(&commands, "delete", &ports[i], address);
    }
    return run(buf_text(&commands), err);
}
