#include "orchestrator/dns/dns_main.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "orchestrator/dns/dns_options.h"
#include "orchestrator/dns/registration.h"
#include "orchestrator/dns/server.h"
#include "orchestrator/objects/tree.h"
#include "orchestrator/remote/remote.h"

enum { EXIT_USAGE = 2, GATHER_MS = 5, REGISTER_RETRY_MS = 1000 };

struct dns {
    struct dns_options options;
    struct registration registration;
    struct kubeconfig kubeconfig;
    uv_loop_t loop;
    uv_signal_t interrupt;
    uv_signal_t terminate;
    struct wire_loop *wire;
    struct remote *remote;
    struct cache *cache;
    struct zone zone;
    struct forwarder forwarder;
    struct dns_server server;
    struct timer refresh_timer;
    struct timer register_timer;
    bool is_registering;
};

static void set_timer(struct dns *dns, struct timer *timer, uint64_t delay_ms)
{
    struct timers *timers = wire_loop_timers(dns->wire);
    timers_set(timers, timer, timers->now_ms + delay_ms);
}

static void on_registered(void *context, int code, const json_t *body)
{
    struct dns *dns = context;
    dns->is_registering = false;
    if (code < 200 || code >= 300) {
        log_warn("the service kube-dns could not be written; it will be tried again",
                 LOG_I64("code", code), LOG_TEXT("reason", tree_text_or(body, "message", "")));
        set_timer(dns, &dns->register_timer, REGISTER_RETRY_MS);
    }
    /* What comes next, if anything, is seen when the change arrives. */
}

static void on_register(struct timer *timer)
{
    struct dns *dns = container_of(timer, struct dns, register_timer);
    CLEANUP(free) char *path = NULL;
    if (*dns->options.cluster_dns == '\0' || dns->is_registering ||
        !remote_is_synced(dns->remote)) {
        return;
    }
    CLEANUP(json)
    json_t *object = registration_next(&dns->registration, dns->cache, &path);
    if (object != NULL) {
        dns->is_registering = true;
        remote_request(dns->remote, "PATCH", path, "application/apply-patch+yaml", object,
                       on_registered, dns);
    }
}

static void on_refresh(struct timer *timer)
{
    struct dns *dns = container_of(timer, struct dns, refresh_timer);
    zone_refresh(&dns->zone);
    if (!dns->server.is_ready) {
        dns->server.is_ready = true;
        log_info("answering", LOG_TEXT("address", dns->options.listen),
                 LOG_TEXT("domain", dns->options.zone.domain),
                 LOG_U64("upstreams", dns->forwarder.upstream_count));
    }
    if (!timer_is_set(&dns->register_timer)) {
        on_register(&dns->register_timer);
    }
}

static void on_change(void *context)
{
    struct dns *dns = context;
    if (!timer_is_set(&dns->refresh_timer)) {
        set_timer(dns, &dns->refresh_timer, dns->server.is_ready ? GATHER_MS : 0);
    }
}

static void on_state(void *context, const char *reason)
{
    (void)context;
    if (reason == NULL) {
        log_info("connected to the API server");
    } else {
        log_warn("no connection to the API server; answering from what is known",
                 LOG_TEXT("reason", reason));
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    log_info("stopping");
    uv_stop(handle->loop);
}

static int start(struct dns *dns, struct err *err)
{
    int result = kubeconfig_read(&dns->kubeconfig, dns->options.kubeconfig, err);
    if (result != 0) {
        return result;
    }
    uv_loop_init(&dns->loop);
    dns->wire = wire_loop_new(&dns->loop);
    dns->cache = cache_new(1);
    zone_init(&dns->zone, dns->cache, &dns->options.zone);
    result = forwarder_init(&dns->forwarder, &dns->loop, dns->options.upstream,
                            dns->options.resolv_conf, err);
    if (result != 0) {
        return result;
    }
    dns->server.zone = &dns->zone;
    dns->server.forwarder = &dns->forwarder;
    result = dns_server_open(&dns->server, &dns->loop, dns->options.listen, err);
    if (result != 0) {
        return result;
    }
    const char *colon = strchr(dns->options.listen, ':');
    dns->registration =
        (struct registration){.node_name = dns->options.node_name,
                              .node_ip = dns->options.node_ip,
                              .port = colon == NULL ? 53 : (uint16_t)strtoul(colon + 1, NULL, 10),
                              .cluster_dns = dns->options.cluster_dns};
    const struct remote_options options = {
        .wire = dns->wire,
        .config = &dns->kubeconfig,
        .user_agent = "orchd-dns",
        .cache = dns->cache,
        .on_change = on_change,
        .on_state = on_state,
        .context = dns,
    };
    timer_init(&dns->refresh_timer, on_refresh);
    timer_init(&dns->register_timer, on_register);
    dns->remote = remote_new(&options, err);
    if (dns->remote == NULL) {
        return err->code;
    }
    remote_follow(dns->remote, "/api/v1/services", "services");
    remote_follow(dns->remote, "/apis/discovery.k8s.io/v1/endpointslices", "endpointslices");
    return 0;
}

int dns_main(int argc, char *argv[])
{
    static struct dns dns;
    struct err err = {0};
    if (dns_options_parse(&dns.options, argc, argv, &err) != 0) {
        fprintf(stderr, "orchd dns: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (dns.options.wants_help) {
        printf("%s", dns_help);
        return EXIT_SUCCESS;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (start(&dns, &err) != 0) {
        fprintf(stderr, "orchd dns: %s\n", err.text);
        return EXIT_FAILURE;
    }
    dns.interrupt.data = &dns;
    dns.terminate.data = &dns;
    uv_signal_init(&dns.loop, &dns.interrupt);
    uv_signal_init(&dns.loop, &dns.terminate);
    uv_signal_start(&dns.interrupt, on_signal, SIGINT);
    uv_signal_start(&dns.terminate, on_signal, SIGTERM);
    uv_run(&dns.loop, UV_RUN_DEFAULT);
    return EXIT_SUCCESS;
}
