/* main.c - orchd: the roles of one machine on one loop. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service_notify.h"
#include "orchestrator/agent/agent.h"
#include "orchestrator/apiserver/discovery.h"
#include "orchestrator/apiserver/forward.h"
#include "orchestrator/apiserver/server.h"
#include "orchestrator/controllers/runtime.h"
#include "orchestrator/dns/dns_main.h"
#include "orchestrator/objects/base64.h"
#include "orchestrator/orchd/advertise.h"
#include "orchestrator/orchd/leader.h"
#include "orchestrator/orchd/options.h"
#include "orchestrator/orchd/store_view.h"
#include "orchestrator/proxy/proxy_main.h"
#include "orchestrator/registry/store_kv.h"
#include "orchestrator/scheduler/loop.h"
#include "proto/service_watchdog.h"

enum { EXIT_USAGE = 2, TOKEN_KEY_SIZE_MAX = 4096, GRACE_MS = 2000 };

struct orchd {
    struct orchd_options options;
    uv_loop_t loop;
    uv_signal_t interrupt;
    uv_signal_t terminate;
    struct wire_loop *wire;
    struct kv_client *client;
    struct store_view *store_view;
    struct store_kv *store;
    struct registry *registry;
    struct plan_settings settings;
    struct runtime *controllers;
    struct scheduler_loop *scheduler;
    struct leader *controllers_leader;
    struct leader *scheduler_leader;
    char identity[160];
    char *root_ca; /* PEM; "" for none */
    struct apiserver *server;
    struct forwarder forwarder;
    struct advertise *advertise;
    struct apiserver_entry secure_entry;
    struct apiserver_entry trusted_entry;
    struct listener *secure;
    struct listener *trusted;
    struct tls_context *tls;
    uint8_t token_key[TOKEN_KEY_SIZE_MAX];
    size_t token_key_size;
    unsigned closing; /* listeners that are not closed yet */
    bool is_stopping;
    struct service_watchdog watchdog;
};

static int64_t wall_clock(void *context)
{
    (void)context;
    return clock_realtime_ms();
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        seed = clock_monotonic_ns() ^ ((uint64_t)getpid() << 32);
    }
    return seed;
}

static int read_token_key(struct orchd *orchd, struct err *err)
{
    const char *path = orchd->options.token_key_file;
    if (path == NULL) {
        return 0;
    }
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set_errno(err, errno, "read the token key '%s'", path);
    }
    orchd->token_key_size = fread(orchd->token_key, 1, sizeof(orchd->token_key), file);
    if (orchd->token_key_size < 32) {
        return err_set(err, ERR_INVALID, "the token key '%s' has less than 32 bytes", path);
    }
    return 0;
}

/* "10.96.0.0/16": its first address, and how many bits are the range's. */
static int parse_cidr(const char *flag, const char *text, uint32_t *ret_base, unsigned *ret_bits,
                      struct err *err)
{
    unsigned part[4];
    unsigned bits = 0;
    char rest = '\0';
    if (sscanf(text, "%3u.%3u.%3u.%3u/%2u%c", &part[0], &part[1], &part[2], &part[3], &bits,
               &rest) != 5 ||
        part[0] > 255 || part[1] > 255 || part[2] > 255 || part[3] > 255 || bits < 8 || bits > 24) {
        return err_set(err, ERR_INVALID, "%s: '%s' is no range such as 10.96.0.0/16", flag, text);
    }
    uint32_t base = part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3];
    *ret_base = base & ~(UINT32_MAX >> bits);
    *ret_bits = bits;
    return 0;
}

/* The first address is left out, and so is the last. */
static int parse_service_cidr(struct plan_settings *settings, const char *text, struct err *err)
{
    uint32_t base = 0;
    unsigned bits = 0;
    int result = parse_cidr("--service-cidr", text, &base, &bits, err);
    if (result == 0) {
        settings->service_ip_first = base + 1;
        settings->service_ip_count = (1U << (32 - bits)) - 2;
    }
    return result;
}

static int open_registry(struct orchd *orchd, struct err *err)
{
    const struct orchd_options *options = &orchd->options;
    const struct kv_client_options client_options = {
        .wire = orchd->wire,
        .endpoints = options->endpoints,
        .endpoint_count = options->endpoint_count,
        .ca_file = options->store_ca_file,
        .cert_file = options->store_cert_file,
        .key_file = options->store_key_file,
        .keepalive_time_ms = 30 * 1000,
        .keepalive_timeout_ms = 10 * 1000,
        .seed = random_seed(),
    };
    struct registry_options registry_options = {
        .seed = random_seed(),
        .now_ms = wall_clock,
        .settings = {.node_port_first = 30000, .node_port_count = 2768},
    };
    int result = parse_service_cidr(&registry_options.settings, options->service_cidr, err);
    if (result == 0) {
        result = kv_client_new(&client_options, &orchd->client, err);
    }
    if (result != 0) {
        return result;
    }
    orchd->store_view = store_view_new(orchd->client, &client_options);
    orchd->settings = registry_options.settings;
    orchd->store = store_kv_new(orchd->client, orchd->wire);
    registry_options.store = store_kv_store(orchd->store);
    orchd->registry = registry_new(&registry_options);
    return 0;
}

static void on_trouble(void *context, const char *peer_address, const char *reason)
{
    (void)context;
    /* Clients that go away in the middle of a watch are the rule. */
    if (strcmp(reason, "broken pipe") == 0 || strcmp(reason, "connection reset by peer") == 0) {
        return;
    }
    log_warn("connection ended badly", LOG_TEXT("peer", peer_address), LOG_TEXT("reason", reason));
}

static const struct listener_events listener_log = {.on_trouble = on_trouble};

static int listen_on(struct orchd *orchd, struct apiserver_entry *entry, const char *host,
                     uint16_t port, struct tls_context *tls, struct listener **ret, struct err *err)
{
    const struct listener_options options = {
        .host = host,
        .port = port,
        .tls = tls,
        .handler = &apiserver_handler,
        .handler_data = entry,
        .events = &listener_log,
    };
    struct listener *listener = listener_open(orchd->wire, &options, err);
    if (listener == NULL) {
        return err->code;
    }
    *ret = listener;
    log_info("serving the API", LOG_TEXT("host", host), LOG_U64("port", listener_port(listener)),
             LOG_BOOL("tls", tls != NULL));
    return 0;
}

static void view_store(void *context, void (*done)(void *call, json_t *take_view), void *call)
{
    const struct orchd *orchd = context;
    store_view_ask(orchd->store_view, done, call);
}

static int open_server(struct orchd *orchd, struct err *err)
{
    const struct orchd_options *options = &orchd->options;
    orchd->forwarder = (struct forwarder){.wire = orchd->wire, .registry = orchd->registry};
    const struct apiserver_options server_options = {
        .wire = orchd->wire,
        .registry = orchd->registry,
        .seed = random_seed(),
        .token_file = options->token_file,
        .forwarder = &orchd->forwarder,
        .view_store = view_store,
        .view_store_context = orchd,
        .token_key = bytes_make(orchd->token_key, orchd->token_key_size),
    };
    orchd->server = apiserver_new(&server_options, err);
    if (orchd->server == NULL) {
        return err->code;
    }
    orchd->secure_entry = (struct apiserver_entry){.server = orchd->server};
    orchd->trusted_entry = (struct apiserver_entry){.server = orchd->server, .is_trusted = true};
    int result = 0;
    if (options->insecure_port != 0) {
        result = listen_on(orchd, &orchd->trusted_entry, "127.0.0.1", options->insecure_port, NULL,
                           &orchd->trusted, err);
    }
    if (result != 0 || options->tls_cert_file == NULL) {
        return result;
    }
    const struct tls_options tls_options = {
        .role = HTTP_SERVER,
        .certificate_file = options->tls_cert_file,
        .key_file = options->tls_key_file,
        .ca_file = options->client_ca_file,
    };
    orchd->tls = tls_context_new(&tls_options, err);
    if (orchd->tls == NULL) {
        return err->code;
    }
    return listen_on(orchd, &orchd->secure_entry, options->host, options->port, orchd->tls,
                     &orchd->secure, err);
}

static void controllers_changed(void *context, bool is_leader)
{
    struct orchd *orchd = context;
    log_info(is_leader ? "leading the controllers" : "not leading the controllers any more");
    runtime_set_active(orchd->controllers, is_leader);
}

static void scheduler_changed(void *context, bool is_leader)
{
    struct orchd *orchd = context;
    log_info(is_leader ? "leading the scheduler" : "not leading the scheduler any more");
    scheduler_loop_set_active(orchd->scheduler, is_leader);
}

static void reconcile_failed(void *context, const char *controller, const char *key,
                             const json_t *status)
{
    (void)context;
    /* Somebody was faster: that is how it is meant to be. */
    if (status_code(status) == 409) {
        return;
    }
    log_warn("a reconcile failed and will be tried again", LOG_TEXT("controller", controller),
             LOG_TEXT("key", key), LOG_TEXT("reason", tree_text_or(status, "message", "")));
}

static char *read_root_ca(const char *path)
{
    CLEANUP(file) FILE *file = path == NULL ? NULL : fopen(path, "re");
    char *text = mem_zalloc(64 * 1024);
    size_t size = file == NULL ? 0 : fread(text, 1, 64 * 1024 - 1, file);
    text[size] = '\0';
    return text;
}

static struct leader *lead(struct orchd *orchd, const char *name,
                           void (*on_change)(void *context, bool is_leader))
{
    const struct leader_options options = {
        .registry = orchd->registry,
        .timers = wire_loop_timers(orchd->wire),
        .name = name,
        .identity = orchd->identity,
        .on_change = on_change,
        .context = orchd,
    };
    return leader_new(&options);
}

static void make_identity(struct orchd *orchd)
{
    char host[64] = "localhost";
    (void)gethostname(host, sizeof(host) - 1);
    if (orchd->options.identity != NULL) {
        (void)snprintf(orchd->identity, sizeof(orchd->identity), "%s", orchd->options.identity);
    } else {
        (void)snprintf(orchd->identity, sizeof(orchd->identity), "%s_%016llx", host,
                       (unsigned long long)random_seed());
    }
}

static int open_controllers(struct orchd *orchd, struct err *err)
{
    uint32_t base = 0;
    unsigned bits = 0;
    int result = parse_cidr("--cluster-cidr", orchd->options.cluster_cidr, &base, &bits, err);
    if (result != 0) {
        return result;
    }
    const struct runtime_options options = {
        .registry = orchd->registry,
        .timers = wire_loop_timers(orchd->wire),
        .controllers = controllers_all,
        .settings = {.root_ca = orchd->root_ca,
                     .service_ip_first = orchd->settings.service_ip_first,
                     .pod_cidr_first = base,
                     .pod_cidr_count = 1U << (24 - bits),
                     .node_grace_ms = orchd->options.node_grace_ms},
        .seed = random_seed(),
        .on_failure = reconcile_failed,
    };
    orchd->controllers = runtime_new(&options);
    orchd->controllers_leader = lead(orchd, "coracle-controllers", controllers_changed);
    return 0;
}

static void open_scheduler(struct orchd *orchd)
{
    orchd->scheduler =
        scheduler_loop_new(orchd->registry, wire_loop_timers(orchd->wire), random_seed());
    orchd->scheduler_leader = lead(orchd, "coracle-scheduler", scheduler_changed);
}

static void client_closed(void *context)
{
    struct orchd *orchd = context;
    registry_free(orchd->registry);
    advertise_free(orchd->advertise);
    leader_free(orchd->controllers_leader);
    leader_free(orchd->scheduler_leader);
    runtime_free(orchd->controllers);
    scheduler_loop_free(orchd->scheduler);
    mem_free(orchd->root_ca);
    store_kv_free(orchd->store);
    wire_loop_close(orchd->wire, NULL, NULL);
}

static void store_view_closed(void *context)
{
    struct orchd *orchd = context;
    kv_client_close(orchd->client, client_closed, orchd);
}

static void listener_closed(void *context)
{
    struct orchd *orchd = context;
    if (--orchd->closing == 0) {
        apiserver_free(orchd->server);
        store_view_close(orchd->store_view, store_view_closed, orchd);
    }
}

static void stop(struct orchd *orchd)
{
    if (orchd->is_stopping) {
        _exit(130);
    }
    orchd->is_stopping = true;
    log_info("stopping");
    service_notify("STOPPING=1");
    service_watchdog_stop(&orchd->watchdog);
    uv_close((uv_handle_t *)&orchd->interrupt, NULL);
    uv_close((uv_handle_t *)&orchd->terminate, NULL);
    orchd->closing = 1;
    if (orchd->advertise != NULL) {
        orchd->closing++;
        advertise_withdraw(orchd->advertise, listener_closed, orchd);
    }
    struct listener *listeners[] = {orchd->secure, orchd->trusted};
    for (size_t i = 0; i < 2; i++) {
        if (listeners[i] != NULL) {
            orchd->closing++;
            listener_close(listeners[i], GRACE_MS, listener_closed, orchd);
        }
    }
    listener_closed(orchd);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

/* A file with which kubectl reaches this server: by the token of an administrator over TLS, or over
 * the plaintext port. */
static int write_kubeconfig(const struct orchd *orchd, struct err *err)
{
    const struct orchd_options *options = &orchd->options;
    const char *path = options->kubeconfig;
    bool has_tls = orchd->secure != NULL;
    CLEANUP(free)
    char *token = has_tls ? apiserver_find_token(orchd->server, "system:masters") : NULL;
    if (path == NULL) {
        return 0;
    }
    if (has_tls && token == NULL) {
        return err_set(err, ERR_INVALID,
                       "--write-kubeconfig: --token-file names nobody in system:masters");
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CLEANUP(file) FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        return err_set_errno(err, errno, "write '%s'", path);
    }
    const char *host = strcmp(options->host, "0.0.0.0") == 0 ? "127.0.0.1" : options->host;
    unsigned port = has_tls ? listener_port(orchd->secure) : options->insecure_port;
    fprintf(file, "apiVersion: v1\nkind: Config\nclusters:\n- name: coracle\n  cluster:\n");
    fprintf(file, "    server: %s://%s:%u\n", has_tls ? "https" : "http",
            has_tls ? host : "127.0.0.1", port);
    if (has_tls && options->client_ca_file != NULL) {
        CLEANUP(free) char *ca = base64_encode(bytes_from_text(orchd->root_ca));
        fprintf(file, "    certificate-authority-data: %s\n", ca);
    }
    fprintf(file, "contexts:\n- name: coracle\n  context: {cluster: coracle, user: admin}\n");
    fprintf(file, "current-context: coracle\nusers:\n- name: admin\n  user: {%s%s}\n",
            token == NULL ? "" : "token: ", token == NULL ? "" : token);
    return 0;
}

static int start(struct orchd *orchd, struct err *err)
{
    orchd->root_ca = read_root_ca(orchd->options.client_ca_file);
    int result = read_token_key(orchd, err);
    result = result != 0 ? result : open_registry(orchd, err);
    if (result == 0 && (orchd->options.roles & ORCHD_API) != 0) {
        result = open_server(orchd, err);
    }
    make_identity(orchd);
    if (result == 0 && orchd->secure != NULL && orchd->options.advertise != NULL) {
        orchd->advertise = advertise_new(orchd->registry, wire_loop_timers(orchd->wire),
                                         orchd->options.advertise, listener_port(orchd->secure));
    }
    if (result == 0 && orchd->server != NULL) {
        result = write_kubeconfig(orchd, err);
    }
    if (result == 0 && (orchd->options.roles & ORCHD_CONTROLLERS) != 0) {
        result = open_controllers(orchd, err);
    }
    if (result == 0 && (orchd->options.roles & ORCHD_SCHEDULER) != 0) {
        open_scheduler(orchd);
    }
    return result;
}

/* Roles of a node: programs of their own, which know the API server only. */
static const struct {
    const char *name;
    int (*run)(int argc, char *argv[]);
} node_roles[] = {{"agent", agent_main}, {"dns", dns_main}, {"proxy", proxy_main}};

int main(int argc, char *argv[])
{
    static struct orchd orchd;
    for (size_t i = 0; argc > 1 && i < sizeof(node_roles) / sizeof(node_roles[0]); i++) {
        if (strcmp(argv[1], node_roles[i].name) == 0) {
            return node_roles[i].run(argc - 1, argv + 1);
        }
    }
    struct err err = {0};
    if (orchd_options_parse(&orchd.options, argc, argv, &err) != 0) {
        fprintf(stderr, "orchd: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (orchd.options.wants_help || orchd.options.wants_version) {
        printf("%s\n", orchd.options.wants_help ? orchd_help : DISCOVERY_GIT_VERSION);
        return EXIT_SUCCESS;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&orchd.loop);
    orchd.wire = wire_loop_new(&orchd.loop);
    if (start(&orchd, &err) != 0) {
        fprintf(stderr, "orchd: %s\n", err.text);
        return EXIT_FAILURE;
    }
    orchd.interrupt.data = &orchd;
    orchd.terminate.data = &orchd;
    uv_signal_init(&orchd.loop, &orchd.interrupt);
    uv_signal_init(&orchd.loop, &orchd.terminate);
    uv_signal_start(&orchd.interrupt, on_signal, SIGINT);
    uv_signal_start(&orchd.terminate, on_signal, SIGTERM);
    service_watchdog_start(&orchd.watchdog, wire_loop_timers(orchd.wire), NULL, NULL);
    service_notify("READY=1");
    uv_run(&orchd.loop, UV_RUN_DEFAULT);
    return EXIT_SUCCESS;
}
