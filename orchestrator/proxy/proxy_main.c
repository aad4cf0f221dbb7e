#include "orchestrator/proxy/proxy_main.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/proxy/nft_table.h"
#include "orchestrator/proxy/proxy_options.h"
#include "orchestrator/proxy/service_rules.h"
#include "orchestrator/remote/remote.h"

enum {
    EXIT_USAGE = 2,
    CHECK_MS = 30 * 1000, /* how often the kernel is asked whether our table and routes stand */
    RETRY_MS = 1000,
    GATHER_MS = 10, /* changes that come this close together are one transaction */
};

struct proxy {
    struct proxy_options options;
    struct kubeconfig kubeconfig;
    uv_loop_t loop;
    uv_signal_t interrupt;
    uv_signal_t terminate;
    struct wire_loop *wire;
    struct remote *remote;
    struct cache *cache;
    struct nft_table *table;
    struct pod_routes *routes;
    struct ruleset applied;
    bool has_applied; /* the kernel has what applied says */
    struct pod_peers routed;
    bool has_routed;
    struct timer sync_timer;
    struct timer check_timer;
};

static struct service_rules_settings settings_of(const struct proxy *proxy)
{
    return (struct service_rules_settings){.node_name = proxy->options.node_name,
                                           .cluster_cidr = proxy->options.cluster_cidr,
                                           .service_cidr = proxy->options.service_cidr};
}

static bool sync_rules(struct proxy *proxy)
{
    const struct service_rules_settings settings = settings_of(proxy);
    struct ruleset wanted;
    CLEANUP(buf) struct buf commands = BUF_INIT;
    service_rules_compute(proxy->cache, &settings, &wanted);
    if (proxy->has_applied) {
        ruleset_write_change(&commands, &proxy->applied, &wanted);
    } else {
        CLEANUP(buf) struct buf base = BUF_INIT;
        service_rules_write_base(&base, &settings);
        ruleset_write_all(&commands, buf_text(&base), &wanted);
    }
    struct err err = {0};
    if (buf_size(&commands) > 0 && nft_table_run(proxy->table, buf_text(&commands), &err) != 0) {
        log_error("the rules could not be changed; all are made anew",
                  LOG_TEXT("reason", err.text));
        ruleset_deinit(&wanted);
        proxy->has_applied = false;
        return false;
    }
    if (!proxy->has_applied) {
        log_info("the rules of all services are in place",
                 LOG_U64("chains", wanted.parts[RULESET_CHAIN].count));
    }
    ruleset_deinit(&proxy->applied);
    proxy->applied = wanted;
    proxy->has_applied = true;
    return true;
}

static uint32_t own_range(const struct proxy *proxy)
{
    const json_t *node = cache_find(proxy->cache, "nodes", "", proxy->options.node_name);
    uint32_t address = 0;
    uint8_t bits = 0;
    return address_parse_range(tree_text(node, "spec.podCIDR"), &address, &bits) ? address : 0;
}

static bool sync_routes(struct proxy *proxy)
{
    struct pod_peers wanted;
    pod_peers_collect(&wanted, proxy->cache, proxy->options.node_name, proxy->options.node_address);
    if (proxy->has_routed && pod_peers_equal(&wanted, &proxy->routed)) {
        pod_peers_deinit(&wanted);
        return true;
    }
    struct err err = {0};
    pod_peers_deinit(&proxy->routed);
    proxy->routed = wanted;
    proxy->has_routed = pod_routes_sync(proxy->routes, &wanted, own_range(proxy), &err) == 0;
    if (!proxy->has_routed) {
        log_warn("not every node's pods can be reached; it will be tried again",
                 LOG_TEXT("reason", err.text));
    }
    return proxy->has_routed;
}

static void set_timer(struct proxy *proxy, struct timer *timer, uint64_t delay_ms)
{
    struct timers *timers = wire_loop_timers(proxy->wire);
    timers_set(timers, timer, timers->now_ms + delay_ms);
}

static void on_sync(struct timer *timer)
{
    struct proxy *proxy = container_of(timer, struct proxy, sync_timer);
    bool has_rules = sync_rules(proxy);
    bool has_routes = sync_routes(proxy);
    if (!has_rules || !has_routes) {
        set_timer(proxy, &proxy->sync_timer, RETRY_MS);
    }
}

static void on_change(void *context)
{
    struct proxy *proxy = context;
    if (!timer_is_set(&proxy->sync_timer) || !proxy->has_applied) {
        set_timer(proxy, &proxy->sync_timer, proxy->has_applied ? GATHER_MS : 0);
    }
}

/* Somebody else may have emptied the kernel's tables ("nft flush ruleset", a firewall that
 * restarts). */
static void on_check(struct timer *timer)
{
    struct proxy *proxy = container_of(timer, struct proxy, check_timer);
    struct err err = {0};
    if (proxy->has_applied &&
        nft_table_run(proxy->table, "list chain ip " PROXY_TABLE " services\n", &err) != 0) {
        log_warn("the rules are gone; they are made anew", LOG_TEXT("reason", err.text));
        proxy->has_applied = false;
    }
    proxy->has_routed = false;
    if (remote_is_synced(proxy->remote)) {
        set_timer(proxy, &proxy->sync_timer, 0);
    }
    set_timer(proxy, &proxy->check_timer, CHECK_MS);
}

static void on_state(void *context, const char *reason)
{
    (void)context;
    if (reason == NULL) {
        log_info("connected to the API server");
    } else {
        log_warn("no connection to the API server; the rules stay", LOG_TEXT("reason", reason));
    }
}

/* The kernel forwards between pods and nodes, and shows us what crosses a bridge. */
static void allow_forwarding(void)
{
    static const char *const names[] = {"/proc/sys/net/ipv4/ip_forward",
                                        "/proc/sys/net/bridge/bridge-nf-call-iptables"};
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(close_fd) int fd = open(names[i], O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "1", 1) != 1) {
            log_warn("a kernel setting that pods need could not be changed",
                     LOG_TEXT("file", names[i]), LOG_TEXT("reason", strerror(errno)));
        }
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct proxy *proxy = handle->data;
    if (uv_is_closing((uv_handle_t *)handle)) {
        return;
    }
    log_info("stopping; the rules stay");
    uv_close((uv_handle_t *)&proxy->interrupt, NULL);
    uv_close((uv_handle_t *)&proxy->terminate, NULL);
    timers_clear(wire_loop_timers(proxy->wire), &proxy->sync_timer);
    timers_clear(wire_loop_timers(proxy->wire), &proxy->check_timer);
    remote_free(TAKE_PTR(proxy->remote));
    wire_loop_close(proxy->wire, NULL, NULL);
}

static int open_kernel(struct proxy *proxy, struct err *err)
{
    int result = nft_table_open(&proxy->table, err);
    return result != 0 ? result
                       : pod_routes_open(proxy->options.routes, proxy->options.node_address,
                                         &proxy->routes, err);
}

static int clean(struct proxy *proxy, struct err *err)
{
    int result = nft_table_run(
        proxy->table, "add table ip " PROXY_TABLE "\ndelete table ip " PROXY_TABLE "\n", err);
    return result != 0 ? result : pod_routes_clean(proxy->routes, err);
}

static int start(struct proxy *proxy, struct err *err)
{
    int result = kubeconfig_read(&proxy->kubeconfig, proxy->options.kubeconfig, err);
    if (result != 0) {
        return result;
    }
    uv_loop_init(&proxy->loop);
    proxy->wire = wire_loop_new(&proxy->loop);
    proxy->cache = cache_new(1);
    const struct remote_options options = {
        .wire = proxy->wire,
        .config = &proxy->kubeconfig,
        .user_agent = "orchd-proxy",
        .cache = proxy->cache,
        .on_change = on_change,
        .on_state = on_state,
        .context = proxy,
    };
    proxy->remote = remote_new(&options, err);
    if (proxy->remote == NULL) {
        return err->code;
    }
    remote_follow(proxy->remote, "/api/v1/services", "services");
    remote_follow(proxy->remote, "/apis/discovery.k8s.io/v1/endpointslices", "endpointslices");
    remote_follow(proxy->remote, "/api/v1/nodes", "nodes");
    timer_init(&proxy->sync_timer, on_sync);
    timer_init(&proxy->check_timer, on_check);
    set_timer(proxy, &proxy->check_timer, CHECK_MS);
    allow_forwarding();
    return 0;
}

static void run(struct proxy *proxy)
{
    proxy->interrupt.data = proxy;
    proxy->terminate.data = proxy;
    uv_signal_init(&proxy->loop, &proxy->interrupt);
    uv_signal_init(&proxy->loop, &proxy->terminate);
    uv_signal_start(&proxy->interrupt, on_signal, SIGINT);
    uv_signal_start(&proxy->terminate, on_signal, SIGTERM);
    uv_run(&proxy->loop, UV_RUN_DEFAULT);
    ruleset_deinit(&proxy->applied);
    pod_peers_deinit(&proxy->routed);
    cache_free(proxy->cache);
    kubeconfig_deinit(&proxy->kubeconfig);
}

int proxy_main(int argc, char *argv[])
{
    static struct proxy proxy;
    struct err err = {0};
    if (proxy_options_parse(&proxy.options, argc, argv, &err) != 0) {
        fprintf(stderr, "orchd proxy: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (proxy.options.wants_help) {
        printf("%s", proxy_help);
        return EXIT_SUCCESS;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    int result = open_kernel(&proxy, &err);
    if (result == 0 && proxy.options.cleans) {
        result = clean(&proxy, &err);
    } else if (result == 0) {
        result = start(&proxy, &err);
        if (result == 0) {
            run(&proxy);
        }
    }
    pod_routes_close(proxy.routes);
    nft_table_close(proxy.table);
    if (result != 0) {
        fprintf(stderr, "orchd proxy: %s\n", err.text);
    }
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
