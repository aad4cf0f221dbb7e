/* config.h - the configuration of one kvd: etcd's flags, ETCD_* variables and YAML file (etcd 3.7
 * names and defaults; shared rules: the command line wins over the environment; a configuration
 * file, when given, is the only source). */
#ifndef KVSTORE_SERVER_CONFIG_H
#define KVSTORE_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum {
    CONFIG_URLS_MAX = 16,    /* URLs in one flag */
    CONFIG_MEMBERS_MAX = 9,  /* entries of --initial-cluster */
    CONFIG_WARNINGS_MAX = 32 /* remarks that are logged once the logger runs */
};

struct config_url {
    bool is_tls;      /* https or unixs */
    bool is_unix;     /* unix or unixs; host is the path */
    const char *host; /* name or address without brackets */
    uint16_t port;
    const char *text; /* as given */
};

struct config_urls {
    unsigned count;
    struct config_url url[CONFIG_URLS_MAX];
};

/* One entry of --initial-cluster; a name may have several URLs. */
struct config_member {
    const char *name;
    struct config_urls peer_urls;
};

struct config_tls {
    const char *cert_file;
    const char *key_file;
    const char *client_cert_file;
    const char *client_key_file;
    const char *trusted_ca_file;
    const char *crl_file;
    const char *allowed_cn;
    const char *allowed_hostname;
    bool client_cert_auth;
    bool auto_tls;
    bool skip_client_san_verification;
};

struct config {
    struct arena arena; /* owns every text below */

    /* Member */
    const char *name;
    const char *data_dir;
    const char *wal_dir;
    int64_t snapshot_count;
    int64_t snapshot_catchup_entries;
    int64_t heartbeat_interval_ms;
    int64_t election_timeout_ms;
    bool initial_election_tick_advance;
    const char *listen_peer_urls_text;
    const char *listen_client_urls_text;
    const char *listen_client_http_urls_text;
    int64_t max_snapshots;
    int64_t max_wals;
    bool memory_mlock;
    int64_t quota_backend_bytes; /* 0: default, <0: no limit */
    int64_t backend_batch_interval_ns;
    int64_t backend_batch_limit;
    const char *backend_bbolt_freelist_type;
    int64_t max_txn_ops;
    int64_t max_request_bytes;
    int64_t max_concurrent_streams;
    int64_t grpc_keepalive_min_time_ns;
    int64_t grpc_keepalive_interval_ns;
    int64_t grpc_keepalive_timeout_ns;
    bool socket_reuse_port;
    bool socket_reuse_address;
    bool enable_grpc_gateway;
    int64_t raft_read_timeout_ns;
    int64_t raft_write_timeout_ns;
    const char *feature_gates;

    /* Clustering */
    const char *initial_advertise_peer_urls_text;
    const char *initial_cluster_text;
    const char *initial_cluster_state; /* new or existing */
    const char *initial_cluster_token;
    const char *advertise_client_urls_text;
    const char *discovery_token;
    const char *discovery_endpoints;
    int64_t discovery_dial_timeout_ns;
    int64_t discovery_request_timeout_ns;
    int64_t discovery_keepalive_time_ns;
    int64_t discovery_keepalive_timeout_ns;
    bool discovery_insecure_transport;
    bool discovery_insecure_skip_tls_verify;
    const char *discovery_cert;
    const char *discovery_key;
    const char *discovery_cacert;
    const char *discovery_user;
    const char *discovery_password;
    const char *discovery_fallback;
    const char *discovery_srv;
    const char *discovery_srv_name;
    const char *discovery;
    const char *discovery_proxy;
    bool strict_reconfig_check;
    bool pre_vote;
    const char *auto_compaction_retention;
    const char *auto_compaction_mode;
    const char *v2_deprecation;

    /* Security */
    struct config_tls client_tls;
    struct config_tls peer_tls;
    int64_t self_signed_cert_validity_years;
    const char *cipher_suites;
    const char *cors;
    const char *host_whitelist;
    const char *tls_min_version;
    const char *tls_max_version;

    /* Auth */
    const char *auth_token;
    int64_t bcrypt_cost;
    int64_t auth_token_ttl_s;

    /* Monitoring, logging, tracing */
    bool enable_pprof;
    const char *metrics; /* basic or extensive */
    const char *listen_metrics_urls_text;
    const char *logger;
    const char *log_outputs;
    const char *log_level;
    const char *log_format;
    bool enable_log_rotation;
    const char *log_rotation_config_json;
    int64_t warning_apply_duration_ns;
    int64_t warning_unary_request_duration_ns;
    bool enable_distributed_tracing;
    const char *distributed_tracing_address;
    const char *distributed_tracing_service_name;
    const char *distributed_tracing_instance_id;
    int64_t distributed_tracing_sampling_rate;

    /* Features */
    int64_t corrupt_check_time_ns;
    int64_t compact_hash_check_time_ns;
    int64_t compaction_batch_limit;
    int64_t compaction_sleep_interval_ns;
    int64_t watch_progress_notify_interval_ns;
    int64_t downgrade_check_time_ns;
    int64_t bootstrap_defrag_threshold_megabytes;
    int64_t max_learners;

    /* Unsafe */
    bool force_new_cluster;
    bool unsafe_no_fsync;

    /* Ours */
    int64_t io_threads; /* threads that serve connections; 0: the core thread does */

    /* Not values but requests */
    const char *config_file;
    bool print_version;
    bool print_help;

    /* Derived by config_load */
    struct config_urls listen_peer_urls;
    struct config_urls listen_client_urls;
    struct config_urls listen_client_http_urls;
    struct config_urls listen_metrics_urls;
    struct config_urls initial_advertise_peer_urls;
    struct config_urls advertise_client_urls;
    unsigned member_count;
    struct config_member members[CONFIG_MEMBERS_MAX];
    bool is_existing_cluster;
    int64_t auto_compaction_period_ms; /* periodic mode; 0: off */
    int64_t auto_compaction_revisions; /* revision mode; 0: off */

    unsigned warning_count;
    const char *warnings[CONFIG_WARNINGS_MAX];
    uint64_t set_flags[4]; /* which flags were given; see config_is_set */
};

/* Read argv, environ and the configuration file into *config and check the whole. On failure *err
 * names the flag, variable or key (exit code 2 for a wrong flag, 1 for a wrong value, as etcd); the
 * configuration is to be deinitialised in both cases. print_version and print_help end reading. */
MUST_USE int config_load(struct config *config, int argc, char **argv, char **environment,
                         struct err *err);
void config_deinit(struct config *config);

/* Was the flag (etcd's name) given by any source? */
bool config_is_set(const struct config *config, const char *flag);

/* Is "Name=true" in --feature-gates? */
bool config_has_gate(const struct config *config, const char *name);

/* The text of --help. */
const char *config_help(struct arena *arena);

/* "1h2m3.5s", "100ms", "0" as Go's time.ParseDuration. 0 or ERR_INVALID. */
MUST_USE int config_parse_duration(const char *text, int64_t *ret_ns);

/* One URL (http, https, unix, unixs with host and port) into *ret; 0 or ERR_INVALID with *err. */
MUST_USE int config_parse_url(struct arena *arena, const char *text, struct config_url *ret,
                              struct err *err);
/* A comma-separated list of URLs. */
MUST_USE int config_parse_urls(struct arena *arena, const char *flag, const char *text,
                               struct config_urls *ret, struct err *err);
/* "name=url,name=url": members in the order of their first appearance. */
MUST_USE int config_parse_cluster(struct config *config, const char *text, struct err *err);

#endif
