#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "base/mem.h"
#include "kvstore/server/discovery.h"
#include "kvstore/server/server.h"
#include "kvstore/watch/watch_hub.h"

enum { GRPC_OVERHEAD_BYTES = 512 * 1024 };

/* Is there a log, so that this is not the first start? */
static bool has_log(const struct config *config)
{
    CLEANUP(free)
    char *path = config->wal_dir[0] != 0 ? mem_strdup(config->wal_dir)
                                         : mem_printf("%s/member/wal", config->data_dir);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return false;
    }
    bool is_there = false;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *dot = strrchr(entry->d_name, '.');
        is_there = is_there || (dot != NULL && strcmp(dot, ".wal") == 0);
    }
    (void)closedir(folder);
    return is_there;
}

static int find_identity(struct server *server, struct core_options *options, struct err *err)
{
    struct config *config = server->config;
    if (has_log(config)) {
        /* The log knows who we are; the members are needed if the first start died half-way. What
         * discovery found then is not known any more. */
        if (!config->is_existing_cluster && !discovery_is_wanted(config) &&
            bootstrap_new_cluster(config, &server->bootstrap, NULL) == 0) {
            options->initial = &server->bootstrap;
        }
        return 0;
    }
    options->is_new = true;
    int code = discovery_is_wanted(config) ? discovery_run(config, server->wire, err) : 0;
    if (code != 0) {
        return code;
    }
    code = config->is_existing_cluster
               ? bootstrap_join(config, server->wire, server->dial_tls, &server->bootstrap, err)
               : bootstrap_new_cluster(config, &server->bootstrap, err);
    if (code != 0) {
        return code;
    }
    options->cluster_id = server->bootstrap.cluster_id;
    options->member_id = server->bootstrap.member_id;
    if (!config->is_existing_cluster) {
        options->initial = &server->bootstrap;
    }
    return 0;
}

static int open_core(struct server *server, int *ret_exit_code, struct err *err)
{
    const struct config *config = server->config;
    struct core_options options = {
        .loop = server->loop,
        .data_dir = config->data_dir,
        .wal_dir = config->wal_dir[0] != 0 ? config->wal_dir : NULL,
        .is_unsafe_no_sync = config->unsafe_no_fsync,
        .is_forced_alone = config->force_new_cluster,
        .election_timeout_ms = (uint32_t)config->election_timeout_ms,
        .heartbeat_interval_ms = (uint32_t)config->heartbeat_interval_ms,
        .txn_ops_max = (uint32_t)config->max_txn_ops,
        .request_bytes_max = (uint32_t)config->max_request_bytes,
        .quota_bytes = config->quota_backend_bytes,
        .compact_entries = (uint64_t)config->snapshot_count,
        .catchup_entries = (uint64_t)config->snapshot_catchup_entries,
        .max_learners = (uint32_t)config->max_learners,
        .strict_reconfig_check = config->strict_reconfig_check,
        .version = KVD_VERSION,
        .metrics = server->metrics,
        .events = server_core_events(server),
    };
    int code = find_identity(server, &options, err);
    if (code != 0) {
        *ret_exit_code = exit_code_from_error(code, /* is_log= */ true);
        return code;
    }
    return core_open(&options, &server->core, ret_exit_code, err);
}

static void on_trouble(void *context, const char *address, const char *reason)
{
    const bool *is_peer = context;
    if (*is_peer) {
        log_warn("rejected connection on peer endpoint", LOG_TEXT("remote-addr", address),
                 LOG_TEXT("error", reason));
    } else {
        log_warn("rejected connection on client endpoint", LOG_TEXT("remote-addr", address),
                 LOG_TEXT("error", reason));
    }
}

static void on_reload_error(void *context, const struct err *err)
{
    (void)context;
    log_error("cannot reload certificates; the old ones stay in use", LOG_TEXT("error", err->text));
}

static bool is_same_place(const struct config_url *a, const struct config_url *b)
{
    return a->is_unix == b->is_unix && a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* A place may be listed with and without TLS: then one listener serves both, and the URL that comes
 * second needs none of its own. */
static bool is_shared(const struct config_urls *urls, const struct config_url *url, bool is_tls)
{
    for (unsigned i = 0; i < urls->count; i++) {
        if (urls->url[i].is_tls == is_tls && is_same_place(&urls->url[i], url)) {
            return true;
        }
    }
    return false;
}

static int open_listener(struct server *server, const struct config_urls *urls,
                         const struct config_url *url, struct http_service *http,
                         struct tls_context *tls, bool is_peer, struct err *err)
{
    static const struct listener_events events = {.on_trouble = on_trouble,
                                                  .on_reload_error = on_reload_error};
    static bool is_peer_context[] = {false, true};
    const struct config *config = server->config;
    if (!url->is_tls && is_shared(urls, url, /* is_tls= */ true)) {
        return 0;
    }
    if (url->is_tls && tls == NULL && urls == &config->listen_metrics_urls) {
        return err_set(err, ERR_INVALID,
                       "client TLS key/cert (--cert-file, --key-file) must be provided for "
                       "metrics secure url %s",
                       url->text);
    }
    if (url->is_tls && tls == NULL) {
        return err_set(err, ERR_INVALID,
                       is_peer ? "TLS key/cert (--peer-cert-file, --peer-key-file) must be "
                                 "provided for peer url %s with HTTPS scheme"
                               : "TLS key/cert (--cert-file, --key-file) must be provided for "
                                 "client url %s with HTTPS scheme",
                       url->text);
    }
    const struct listener_options options = {
        .host = strcmp(url->host, "localhost") == 0 ? "127.0.0.1" : url->host,
        .port = url->port,
        .unix_path = url->is_unix ? url->host : NULL,
        .tls = url->is_tls ? tls : NULL,
        .plaintext_too = url->is_tls && is_shared(urls, url, /* is_tls= */ false),
        .handler = &http_service_handler,
        .handler_data = http,
        .limits = {.concurrent_streams_max = (uint32_t)config->max_concurrent_streams,
                   .keepalive_time_ms = (uint32_t)(config->grpc_keepalive_interval_ns / 1000000),
                   .keepalive_timeout_ms = (uint32_t)(config->grpc_keepalive_timeout_ns / 1000000),
                   .ping_interval_min_ms =
                       is_peer ? UINT32_MAX
                               : (uint32_t)(config->grpc_keepalive_min_time_ns / 1000000),
                   .pings_without_stream = is_peer},
        .reuse_port = config->socket_reuse_port,
        .events = &events,
        .events_context = &is_peer_context[is_peer],
    };
    struct listener *listener = listener_open(server->wire, &options, err);
    if (listener == NULL) {
        return err->code != 0 ? err->code : ERR_IO;
    }
    server->listeners[server->listener_count++] = listener;
    return 0;
}

static int open_listeners(struct server *server, struct err *err)
{
    const struct config *config = server->config;
    const struct {
        const struct config_urls *urls;
        struct http_service *http;
        struct tls_context *tls;
        bool is_peer;
    } groups[] = {
        {&config->listen_peer_urls, &server->peer_http, server->peer_tls, true},
        {&config->listen_client_urls, &server->client_http, server->client_tls, false},
        {&config->listen_client_http_urls, &server->client_http_only, server->client_tls, false},
        {&config->listen_metrics_urls, &server->metrics_http, server->client_tls, false},
    };
    for (size_t group = 0; group < sizeof groups / sizeof groups[0]; group++) {
        for (unsigned i = 0; i < groups[group].urls->count; i++) {
            int code =
                open_listener(server, groups[group].urls, &groups[group].urls->url[i],
                              groups[group].http, groups[group].tls, groups[group].is_peer, err);
            if (code != 0) {
                return code;
            }
        }
    }
    return 0;
}

static void make_services(struct server *server)
{
    const struct config *config = server->config;
    struct timers *timers = wire_loop_timers(server->wire);
    service_init(&server->service, server->core, server->metrics, timers, config);
    server->peer_service = (struct peer_service){
        .core = server->core, .registry = core_registry(server->core), .metrics = server->metrics};
    list_init(&server->peer_service.streams);
    server->client_grpc = grpc_server_new(&(struct grpc_server_options){
        .methods = service_methods,
        .method_count = service_method_count,
        .handler = &service_handler,
        .context = &server->service,
        .timers = timers,
        .receive_bytes_max = (size_t)config->max_request_bytes + GRPC_OVERHEAD_BYTES,
    });
    server->peer_grpc = grpc_server_new(&(struct grpc_server_options){
        .methods = peer_service_methods,
        .method_count = peer_service_method_count,
        .handler = &peer_service_handler,
        .context = &server->peer_service,
        .timers = timers,
        .receive_bytes_max = PEER_MESSAGE_BYTES_MAX,
    });
    const struct http_service http = {.service = &server->service,
                                      .metrics = server->metrics,
                                      .refresh_metrics = server_refresh_metrics,
                                      .context = server,
                                      .cors = config->cors,
                                      .host_whitelist = config->host_whitelist,
                                      .version = KVD_VERSION};
    server->client_http = http;
    server->client_http.grpc = server->client_grpc;
    if (server->config->enable_grpc_gateway) {
        server->client_http.gateway =
            grpc_gateway_new(server->client_grpc, "/v3/", etcd_routes, etcd_route_count);
    }
    server->client_http_only = http;
    server->client_http_only.gateway = server->client_http.gateway;
    server->metrics_http = http;
    server->peer_http = http;
    server->peer_http.cors = NULL;
    server->peer_http.grpc = server->peer_grpc;
    server->peer_http.has_peer_paths = true;
}

/* SetMemberLocalAddr: speak to peers from the address that is advertised to them, so that it is the
 * one in the certificate. */
static const char *local_address(const struct config *config)
{
    const struct config_urls *urls = &config->initial_advertise_peer_urls;
    uint8_t parsed[16];
    for (unsigned i = 0; config_has_gate(config, "SetMemberLocalAddr") && i < urls->count; i++) {
        const char *host = urls->url[i].host;
        bool is_address =
            inet_pton(AF_INET, host, parsed) == 1 || inet_pton(AF_INET6, host, parsed) == 1;
        if (is_address && !urls->url[i].is_unix) {
            return host;
        }
    }
    return NULL;
}

static void make_peers(struct server *server)
{
    uint64_t seed = 0;
    int ok = RAND_bytes((unsigned char *)&seed, sizeof seed);
    CHECK(ok == 1);
    server->peers = peers_new(&(struct peers_options){
        .wire = server->wire,
        .core = server->core,
        .tls = server->dial_tls,
        .metrics = server->metrics,
        .local_address = local_address(server->config),
        .seed = seed,
        .on_removed = server_on_removed,
        .on_lost_data = server_on_lost_data,
        .context = server,
    });
    server->peer_service.peers = server->peers;
    /* Until the log has told who is a member, the configuration says where others may be. */
    for (unsigned i = 0; i < server->bootstrap.member_count; i++) {
        const struct bootstrap_member *member = &server->bootstrap.members[i];
        if (member->id != core_member_id(server->core)) {
            peers_put(server->peers, member->id, &member->peer_urls);
        }
    }
}

static void set_static_metrics(struct server *server)
{
    struct metrics *metrics = server->metrics;
    char id[32];
    (void)snprintf(id, sizeof id, "%llx", (unsigned long long)core_member_id(server->core));
    metric_set_only(metrics, METRIC_SERVER_ID, id, 1);
    metric_set_only(metrics, METRIC_SERVER_VERSION, KVD_VERSION, 1);
    metric_set_only(metrics, METRIC_CLUSTER_VERSION, "3.7", 1);
    metric_set_only(metrics, METRIC_GO_VERSION, "none (C)", 1);
    char pair[64];
    (void)snprintf(pair, sizeof pair, "%s,%s", id, id);
    metric_child_set(metric_get(metrics, METRIC_KNOWN_PEERS, pair), 1); /* etcd counts itself */
}

int server_open(struct server *server, struct config *config, uv_loop_t *loop, int *ret_exit_code,
                struct err *err)
{
    *ret_exit_code = 1;
    *server = (struct server){.config = config, .loop = loop};
    server->metrics = metrics_new();
    server->wire = wire_loop_new(loop);
    int code = server_make_tls(server, err);
    code = code != 0 ? code : open_core(server, ret_exit_code, err);
    if (code != 0) {
        return code;
    }
    make_services(server);
    code = auth_service_init(&server->service, loop, config, err);
    if (code != 0) {
        return code;
    }
    make_peers(server);
    server_update_peers(server);
    set_static_metrics(server);
    code = open_listeners(server, err);
    if (code != 0) {
        return code;
    }
    struct watch_hub *hub = kv_watch_hub(node_kv(core_node(server->core)));
    watch_hub_set_fragment_bytes(hub, (size_t)config->max_request_bytes + GRPC_OVERHEAD_BYTES);
    upkeep_start(&server->upkeep, &server->service, wire_loop_timers(server->wire), config);
    memory_keeper_start(&server->memory_keeper, wire_loop_timers(server->wire));
    publish_start(server);
    return 0;
}
