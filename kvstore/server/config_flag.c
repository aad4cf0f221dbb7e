#include "kvstore/server/config_flag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define FIELD(member) offsetof(struct config, member)
#define TEXT(flag, member, initial, section, help)                                                 \
    {                                                                                              \
        flag, CONFIG_TEXT, FIELD(member), initial, section, help                                   \
    }
#define BOOL(flag, member, initial, section, help)                                                 \
    {                                                                                              \
        flag, CONFIG_BOOL, FIELD(member), initial, section, help                                   \
    }
#define INTEGER(flag, member, initial, section, help)                                              \
    {                                                                                              \
        flag, CONFIG_INTEGER, FIELD(member), initial, section, help                                \
    }
#define DURATION(flag, member, initial, section, help)                                             \
    {                                                                                              \
        flag, CONFIG_DURATION, FIELD(member), initial, section, help                               \
    }
#define IGNORED(flag)                                                                              \
    {                                                                                              \
        flag, CONFIG_IGNORED, 0, "", NULL, NULL                                                    \
    }

/* clang-format off */
const struct config_flag config_flags[] = {
    TEXT("name", name, "default", "Member", "name of this member"),
    TEXT("data-dir", data_dir, "", "Member", "data directory (${name}.etcd)"),
    TEXT("wal-dir", wal_dir, "", "Member", "directory of the write-ahead log (inside data-dir)"),
    INTEGER("snapshot-count", snapshot_count, "10000", "Member", "entries applied between log compactions"),
    INTEGER("snapshot-catchup-entries", snapshot_catchup_entries, "5000", "Member", "entries kept for slow followers"),
    INTEGER("heartbeat-interval", heartbeat_interval_ms, "100", "Member", "milliseconds between heartbeats"),
    INTEGER("election-timeout", election_timeout_ms, "1000", "Member", "milliseconds without a leader before an election"),
    BOOL("initial-election-tick-advance", initial_election_tick_advance, "true", "Member", "shorten the first election timeout"),
    TEXT("listen-peer-urls", listen_peer_urls_text, "http://localhost:2380", "Member", "URLs to listen on for peers"),
    TEXT("listen-client-urls", listen_client_urls_text, "http://localhost:2379", "Member", "URLs to listen on for clients"),
    TEXT("listen-client-http-urls", listen_client_http_urls_text, "", "Member", "URLs for HTTP only; gRPC stays on listen-client-urls"),
    INTEGER("max-snapshots", max_snapshots, "5", "Member", "without effect: there are no snapshot files"),
    INTEGER("max-wals", max_wals, "5", "Member", "without effect: segments go when the store has them"),
    BOOL("memory-mlock", memory_mlock, "false", "Member", "lock memory"),
    INTEGER("quota-backend-bytes", quota_backend_bytes, "0", "Member", "size limit of the store (0: 2 GiB, negative: none)"),
    TEXT("backend-bbolt-freelist-type", backend_bbolt_freelist_type, "map", "Member", "without effect"),
    DURATION("backend-batch-interval", backend_batch_interval_ns, "0s", "Member", "longest time before changes reach the store"),
    INTEGER("backend-batch-limit", backend_batch_limit, "0", "Member", "most changes in one store transaction"),
    INTEGER("max-txn-ops", max_txn_ops, "128", "Member", "most operations in one transaction"),
    INTEGER("max-request-bytes", max_request_bytes, "1572864", "Member", "largest request"),
    INTEGER("max-concurrent-streams", max_concurrent_streams, "4294967295", "Member", "streams of one connection"),
    DURATION("grpc-keepalive-min-time", grpc_keepalive_min_time_ns, "5s", "Member", "shortest interval between a client's pings"),
    DURATION("grpc-keepalive-interval", grpc_keepalive_interval_ns, "2h0m0s", "Member", "idle time before the server pings"),
    DURATION("grpc-keepalive-timeout", grpc_keepalive_timeout_ns, "20s", "Member", "time to answer a ping"),
    BOOL("socket-reuse-port", socket_reuse_port, "false", "Member", "set SO_REUSEPORT on listeners"),
    BOOL("socket-reuse-address", socket_reuse_address, "false", "Member", "set SO_REUSEADDR on listeners (always set here)"),
    BOOL("enable-grpc-gateway", enable_grpc_gateway, "true", "Member", "serve the JSON gateway"),
    DURATION("raft-read-timeout", raft_read_timeout_ns, "5s", "Member", "read timeout of peer connections"),
    DURATION("raft-write-timeout", raft_write_timeout_ns, "5s", "Member", "write timeout of peer connections"),
    TEXT("feature-gates", feature_gates, "", "Member", "Name=true,… (see docs/etcd-compatibility.md)"),
    INTEGER("io-threads", io_threads, "0", "Member", "threads that serve connections (0: the core thread)"),

    TEXT("initial-advertise-peer-urls", initial_advertise_peer_urls_text, "http://localhost:2380", "Clustering", "this member's URLs for its peers"),
    TEXT("initial-cluster", initial_cluster_text, "default=http://localhost:2380", "Clustering", "name=URL of every member"),
    TEXT("initial-cluster-state", initial_cluster_state, "new", "Clustering", "new or existing"),
    TEXT("initial-cluster-token", initial_cluster_token, "etcd-cluster", "Clustering", "sets clusters apart"),
    TEXT("advertise-client-urls", advertise_client_urls_text, "http://localhost:2379", "Clustering", "this member's URLs for clients"),
    TEXT("discovery", discovery, "", "Clustering", "v2 discovery (gone, refused)"),
    TEXT("discovery-proxy", discovery_proxy, "", "Clustering", "v2 discovery (gone, refused)"),
    TEXT("discovery-token", discovery_token, "", "Clustering", "v3 discovery token"),
    TEXT("discovery-endpoints", discovery_endpoints, "", "Clustering", "v3 discovery endpoints"),
    DURATION("discovery-dial-timeout", discovery_dial_timeout_ns, "2s", "Clustering", "v3 discovery dial timeout"),
    DURATION("discovery-request-timeout", discovery_request_timeout_ns, "5s", "Clustering", "v3 discovery request timeout"),
    DURATION("discovery-keepalive-time", discovery_keepalive_time_ns, "2s", "Clustering", "v3 discovery keepalive time"),
    DURATION("discovery-keepalive-timeout", discovery_keepalive_timeout_ns, "6s", "Clustering", "v3 discovery keepalive timeout"),
    BOOL("discovery-insecure-transport", discovery_insecure_transport, "true", "Clustering", "v3 discovery without TLS"),
    BOOL("discovery-insecure-skip-tls-verify", discovery_insecure_skip_tls_verify, "false", "Clustering", "v3 discovery without verification"),
    TEXT("discovery-cert", discovery_cert, "", "Clustering", "v3 discovery client certificate"),
    TEXT("discovery-key", discovery_key, "", "Clustering", "v3 discovery client key"),
    TEXT("discovery-cacert", discovery_cacert, "", "Clustering", "v3 discovery CA"),
    TEXT("discovery-user", discovery_user, "", "Clustering", "v3 discovery user"),
    TEXT("discovery-password", discovery_password, "", "Clustering", "v3 discovery password"),
    TEXT("discovery-fallback", discovery_fallback, "exit", "Clustering", "exit"),
    TEXT("discovery-srv", discovery_srv, "", "Clustering", "DNS domain of the initial cluster"),
    TEXT("discovery-srv-name", discovery_srv_name, "", "Clustering", "suffix of the DNS service name"),
    BOOL("strict-reconfig-check", strict_reconfig_check, "true", "Clustering", "refuse changes that would lose quorum"),
    BOOL("pre-vote", pre_vote, "true", "Clustering", "always on"),
    TEXT("auto-compaction-retention", auto_compaction_retention, "0", "Clustering", "what auto-compaction keeps"),
    TEXT("auto-compaction-mode", auto_compaction_mode, "periodic", "Clustering", "periodic or revision"),
    TEXT("v2-deprecation", v2_deprecation, "write-only", "Clustering", "ignored"),

    TEXT("cert-file", client_tls.cert_file, "", "Security", "server certificate for clients"),
    TEXT("key-file", client_tls.key_file, "", "Security", "its key"),
    TEXT("client-cert-file", client_tls.client_cert_file, "", "Security", "certificate for own client connections"),
    TEXT("client-key-file", client_tls.client_key_file, "", "Security", "its key"),
    BOOL("client-cert-auth", client_tls.client_cert_auth, "false", "Security", "require client certificates"),
    TEXT("client-crl-file", client_tls.crl_file, "", "Security", "revocation list for clients"),
    TEXT("client-cert-allowed-hostname", client_tls.allowed_hostname, "", "Security", "allowed SAN of clients"),
    TEXT("trusted-ca-file", client_tls.trusted_ca_file, "", "Security", "CA of client certificates"),
    BOOL("auto-tls", client_tls.auto_tls, "false", "Security", "self-made certificates for clients"),
    TEXT("peer-cert-file", peer_tls.cert_file, "", "Security", "certificate for peers"),
    TEXT("peer-key-file", peer_tls.key_file, "", "Security", "its key"),
    TEXT("peer-client-cert-file", peer_tls.client_cert_file, "", "Security", "certificate for connections to peers"),
    TEXT("peer-client-key-file", peer_tls.client_key_file, "", "Security", "its key"),
    BOOL("peer-client-cert-auth", peer_tls.client_cert_auth, "false", "Security", "require peer certificates"),
    TEXT("peer-trusted-ca-file", peer_tls.trusted_ca_file, "", "Security", "CA of peer certificates"),
    TEXT("peer-cert-allowed-cn", peer_tls.allowed_cn, "", "Security", "allowed CN of peers"),
    TEXT("peer-cert-allowed-hostname", peer_tls.allowed_hostname, "", "Security", "allowed SAN of peers"),
    BOOL("peer-auto-tls", peer_tls.auto_tls, "false", "Security", "self-made certificates for peers"),
    TEXT("peer-crl-file", peer_tls.crl_file, "", "Security", "revocation list for peers"),
    BOOL("peer-skip-client-san-verification", peer_tls.skip_client_san_verification, "false", "Security", "do not check the SAN of a peer as a client"),
    INTEGER("self-signed-cert-validity", self_signed_cert_validity_years, "1", "Security", "years a self-made certificate is valid"),
    TEXT("cipher-suites", cipher_suites, "", "Security", "comma-separated cipher suites (Go or OpenSSL names)"),
    TEXT("cors", cors, "*", "Security", "allowed origins"),
    TEXT("host-whitelist", host_whitelist, "*", "Security", "allowed Host values of plain HTTP"),
    TEXT("tls-min-version", tls_min_version, "TLS1.2", "Security", "TLS1.2 or TLS1.3"),
    TEXT("tls-max-version", tls_max_version, "", "Security", "TLS1.2, TLS1.3 or nothing"),

    TEXT("auth-token", auth_token, "simple", "Auth", "simple or jwt,…"),
    INTEGER("bcrypt-cost", bcrypt_cost, "10", "Auth", "cost of password hashes, 4 to 31"),
    INTEGER("auth-token-ttl", auth_token_ttl_s, "300", "Auth", "seconds a simple token lives"),

    BOOL("enable-pprof", enable_pprof, "false", "Monitoring", "without effect"),
    TEXT("metrics", metrics, "basic", "Monitoring", "basic or extensive"),
    TEXT("listen-metrics-urls", listen_metrics_urls_text, "", "Monitoring", "extra URLs for /metrics and /health"),
    TEXT("logger", logger, "zap", "Logging", "zap (its line format)"),
    TEXT("log-outputs", log_outputs, "default", "Logging", "default, stderr, stdout or files"),
    TEXT("log-level", log_level, "info", "Logging", "debug, info, warn, error, panic, fatal"),
    TEXT("log-format", log_format, "json", "Logging", "json or console"),
    BOOL("enable-log-rotation", enable_log_rotation, "false", "Logging", "rotate log files"),
    TEXT("log-rotation-config-json", log_rotation_config_json, "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, \"compress\": false}", "Logging", "rotation settings"),
    DURATION("warning-apply-duration", warning_apply_duration_ns, "100ms", "Logging", "log an apply that takes longer"),
    DURATION("warning-unary-request-duration", warning_unary_request_duration_ns, "300ms", "Logging", "log a request that takes longer"),
    BOOL("enable-distributed-tracing", enable_distributed_tracing, "false", "Tracing", "without effect"),
    TEXT("distributed-tracing-address", distributed_tracing_address, "localhost:4317", "Tracing", "without effect"),
    TEXT("distributed-tracing-service-name", distributed_tracing_service_name, "etcd", "Tracing", "without effect"),
    TEXT("distributed-tracing-instance-id", distributed_tracing_instance_id, "", "Tracing", "without effect"),
    INTEGER("distributed-tracing-sampling-rate", distributed_tracing_sampling_rate, "0", "Tracing", "without effect"),

    DURATION("corrupt-check-time", corrupt_check_time_ns, "0s", "Features", "interval of corruption checks (0: 60s, they are always on)"),
    DURATION("compact-hash-check-time", compact_hash_check_time_ns, "1m0s", "Features", "interval of compaction hash checks"),
    INTEGER("compaction-batch-limit", compaction_batch_limit, "1000", "Features", "revisions deleted in one slice"),
    DURATION("compaction-sleep-interval", compaction_sleep_interval_ns, "10ms", "Features", "pause between slices"),
    DURATION("watch-progress-notify-interval", watch_progress_notify_interval_ns, "10m0s", "Features", "interval of progress notifications"),
    DURATION("downgrade-check-time", downgrade_check_time_ns, "5s", "Features", "interval of downgrade checks"),
    INTEGER("bootstrap-defrag-threshold-megabytes", bootstrap_defrag_threshold_megabytes, "0", "Features", "defragment at start above this gain (0: never)"),
    INTEGER("max-learners", max_learners, "1", "Features", "learners in the cluster"),

    BOOL("force-new-cluster", force_new_cluster, "false", "Unsafe", "make a one-member cluster of this member's data"),
    BOOL("unsafe-no-fsync", unsafe_no_fsync, "false", "Unsafe", "do not sync: data loss on a crash"),

    TEXT("config-file", config_file, "", "Other", "YAML file; other flags and variables are then ignored"),
    BOOL("version", print_version, "false", "Other", "print the version and exit"),
    BOOL("help", print_help, "false", "Other", "print this text and exit"),
    BOOL("h", print_help, "false", NULL, NULL),

    IGNORED("cluster-active-size"), IGNORED("cluster-remove-delay"), IGNORED("cluster-sync-interval"),
    IGNORED("config"), IGNORED("force"), IGNORED("max-result-buffer"), IGNORED("max-retry-attempts"),
    IGNORED("peer-heartbeat-interval"), IGNORED("peer-election-timeout"), IGNORED("retry-interval"),
    IGNORED("snapshot"), IGNORED("v"), IGNORED("vv"), IGNORED("test.coverprofile"), IGNORED("test.outputdir"),
};
/* clang-format on */

const unsigned config_flag_count = sizeof config_flags / sizeof config_flags[0];

static const struct config_flag *find_exact(const char *name)
{
    for (unsigned i = 0; i < config_flag_count; i++) {
        if (strcmp(config_flags[i].name, name) == 0) {
            return &config_flags[i];
        }
    }
    return NULL;
}

const struct config_flag *config_flag_find(const char *name)
{
    static const char prefix[] = "experimental-";
    static const struct config_flag unknown_experiment = IGNORED("experimental-*");
    const struct config_flag *flag = find_exact(name);
    if (flag != NULL || strncmp(name, prefix, sizeof prefix - 1) != 0) {
        return flag;
    }
    flag = find_exact(name + sizeof prefix - 1);
    return flag != NULL ? flag : &unknown_experiment;
}

void config_warn(struct config *config, const char *warning)
{
    if (config->warning_count < CONFIG_WARNINGS_MAX) {
        config->warnings[config->warning_count++] = warning;
    }
}

/* As Go's strconv.ParseBool. */
static int parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0) {
            *ret = true;
            return 0;
        }
        if (strcmp(text, no[i]) == 0) {
            *ret = false;
            return 0;
        }
    }
    return ERR_INVALID;
}

static int parse_integer(const char *text, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 0);
    if (errno != 0 || end == text || *end != 0) {
        return ERR_INVALID;
    }
    *ret = value;
    return 0;
}

int config_flag_set(struct config *config, const struct config_flag *flag, const char *text,
                    struct err *err)
{
    void *field = (char *)config + flag->offset;
    int code = 0;
    switch (flag->type) {
    case CONFIG_TEXT:
        *(const char **)field = arena_strdup(&config->arena, text);
        break;
    case CONFIG_BOOL:
        code = parse_bool(text, field);
        break;
    case CONFIG_INTEGER:
        code = parse_integer(text, field);
        break;
    case CONFIG_DURATION:
        code = config_parse_duration(text, field);
        break;
    case CONFIG_IGNORED:
        config_warn(config, arena_printf(&config->arena, "flag %s is accepted and has no effect",
                                         flag->name));
        return 0;
    }
    if (code != 0) {
        return err_set(err, ERR_INVALID, "invalid value \"%s\" for flag -%s: parse error", text,
                       flag->name);
    }
    size_t index = (size_t)(flag - config_flags);
    CHECK(index < sizeof config->set_flags * 8);
    config->set_flags[index / 64] |= UINT64_C(1) << (index % 64);
    return 0;
}

bool config_is_set(const struct config *config, const char *name)
{
    const struct config_flag *flag = find_exact(name);
    CHECK(flag != NULL);
    size_t index = (size_t)(flag - config_flags);
    return (config->set_flags[index / 64] & (UINT64_C(1) << (index % 64))) != 0;
}
