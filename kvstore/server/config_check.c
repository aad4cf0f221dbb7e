#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvstore/server/config_flag.h"

enum {
    ELECTION_TIMEOUT_MAX_MS = 50000,
    ELECTION_HEARTBEAT_RATIO_MIN = 5,
    BCRYPT_COST_MIN = 4,
    BCRYPT_COST_MAX = 31,
    MS_PER_HOUR = 60 * 60 * 1000,
    NS_PER_MS = 1000 * 1000,
    COMPACTION_HOURS_MAX = 100 * 366 * 24
};

static bool is_one_of(const char *text, const char *const *allowed)
{
    for (; *allowed != NULL; allowed++) {
        if (strcmp(text, *allowed) == 0) {
            return true;
        }
    }
    return false;
}

static int check_timing(const struct config *config, struct err *err)
{
    int64_t heartbeat = config->heartbeat_interval_ms;
    int64_t election = config->election_timeout_ms;
    if (heartbeat <= 0) {
        return err_set(err, ERR_INVALID, "--heartbeat-interval must be >0 (set to %lldms)",
                       (long long)heartbeat);
    }
    if (election <= 0) {
        return err_set(err, ERR_INVALID, "--election-timeout must be >0 (set to %lldms)",
                       (long long)election);
    }
    if (election < heartbeat * ELECTION_HEARTBEAT_RATIO_MIN) {
        return err_set(err, ERR_INVALID,
                       "--election-timeout[%lldms] should be at least as 5 times as "
                       "--heartbeat-interval[%lldms]",
                       (long long)election, (long long)heartbeat);
    }
    if (election > ELECTION_TIMEOUT_MAX_MS) {
        return err_set(err, ERR_INVALID,
                       "--election-timeout[%lldms] is too long, and should be set less than %dms",
                       (long long)election, ELECTION_TIMEOUT_MAX_MS);
    }
    return 0;
}

static int check_words(struct config *config, struct err *err)
{
    static const char *const states[] = {"new", "existing", NULL};
    static const char *const modes[] = {"periodic", "revision", NULL};
    static const char *const levels[] = {"debug", "info",  "warn",   "error",
                                         "panic", "fatal", "dpanic", NULL};
    static const char *const formats[] = {"json", "console", NULL};
    static const char *const metrics[] = {"basic", "extensive", NULL};
    static const char *const versions[] = {"", "TLS1.2", "TLS1.3", NULL};
    const struct {
        const char *flag;
        const char *value;
        const char *const *allowed;
    } words[] = {
        {"initial-cluster-state", config->initial_cluster_state, states},
        {"auto-compaction-mode", config->auto_compaction_mode, modes},
        {"log-level", config->log_level, levels},
        {"log-format", config->log_format, formats},
        {"metrics", config->metrics, metrics},
        {"tls-min-version", config->tls_min_version, versions},
        {"tls-max-version", config->tls_max_version, versions},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!is_one_of(words[i].value, words[i].allowed)) {
            return err_set(err, ERR_INVALID, "invalid value \"%s\" for flag -%s", words[i].value,
                           words[i].flag);
        }
    }
    if (strcmp(config->tls_min_version, "TLS1.3") == 0 &&
        strcmp(config->tls_max_version, "TLS1.2") == 0) {
        return err_set(err, ERR_INVALID, "--tls-min-version is above --tls-max-version");
    }
    if (strcmp(config->v2_deprecation, "not-yet") == 0) {
        return err_set(err, ERR_INVALID,
                       "invalid value \"not-yet\" for flag -v2-deprecation: invalid value "
                       "\"not-yet\"");
    }
    if (config->discovery[0] != 0 || config->discovery_proxy[0] != 0) {
        return err_set(err, ERR_UNSUPPORTED, "v2 discovery is gone: use --discovery-token");
    }
    return 0;
}

static int check_limits(const struct config *config, struct err *err)
{
    const struct {
        const char *flag;
        int64_t value;
        int64_t least;
        int64_t most;
    } limits[] = {
        {"max-txn-ops", config->max_txn_ops, 1, 1 << 20},
        {"max-request-bytes", config->max_request_bytes, 1024, 64 << 20},
        {"max-concurrent-streams", config->max_concurrent_streams, 1, UINT32_MAX},
        {"snapshot-count", config->snapshot_count, 1, INT64_MAX},
        {"snapshot-catchup-entries", config->snapshot_catchup_entries, 1, INT64_MAX},
        {"bcrypt-cost", config->bcrypt_cost, BCRYPT_COST_MIN, BCRYPT_COST_MAX},
        {"auth-token-ttl", config->auth_token_ttl_s, 1, INT64_MAX},
        {"max-learners", config->max_learners, 0, CONFIG_MEMBERS_MAX},
        {"compaction-batch-limit", config->compaction_batch_limit, 1, INT64_MAX},
        {"self-signed-cert-validity", config->self_signed_cert_validity_years, 1, 100},
        {"io-threads", config->io_threads, 0, 64},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (limits[i].value < limits[i].least || limits[i].value > limits[i].most) {
            return err_set(err, ERR_INVALID, "--%s must be from %lld to %lld, got %lld",
                           limits[i].flag, (long long)limits[i].least, (long long)limits[i].most,
                           (long long)limits[i].value);
        }
    }
    return 0;
}

/* A listener binds to an address, not to a name that may mean several. */
static int check_listen_hosts(const char *flag, const struct config_urls *urls, struct err *err)
{
    for (unsigned i = 0; i < urls->count; i++) {
        const struct config_url *url = &urls->url[i];
        bool is_address =
            url->host[strspn(url->host, "0123456789.")] == 0 || strchr(url->host, ':') != NULL;
        if (!url->is_unix && !is_address && strcmp(url->host, "localhost") != 0) {
            return err_set(err, ERR_INVALID, "expected IP in URL for binding (--%s: %s)", flag,
                           url->text);
        }
    }
    return 0;
}

static int parse_all_urls(struct config *config, struct err *err)
{
    const struct {
        const char *flag;
        const char *text;
        struct config_urls *urls;
        bool is_listener;
    } lists[] = {
        {"listen-peer-urls", config->listen_peer_urls_text, &config->listen_peer_urls, true},
        {"listen-client-urls", config->listen_client_urls_text, &config->listen_client_urls, true},
        {"listen-client-http-urls", config->listen_client_http_urls_text,
         &config->listen_client_http_urls, true},
        {"listen-metrics-urls", config->listen_metrics_urls_text, &config->listen_metrics_urls,
         true},
        {"initial-advertise-peer-urls", config->initial_advertise_peer_urls_text,
         &config->initial_advertise_peer_urls, false},
        {"advertise-client-urls", config->advertise_client_urls_text,
         &config->advertise_client_urls, false},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        int code =
            config_parse_urls(&config->arena, lists[i].flag, lists[i].text, lists[i].urls, err);
        if (code == 0 && lists[i].is_listener) {
            code = check_listen_hosts(lists[i].flag, lists[i].urls, err);
        }
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static int check_tls_files(const char *prefix, const struct config_tls *tls, struct err *err)
{
    if ((tls->cert_file[0] != 0) != (tls->key_file[0] != 0)) {
        return err_set(err, ERR_INVALID, "--%scert-file and --%skey-file go together", prefix,
                       prefix);
    }
    if (tls->client_cert_auth && tls->trusted_ca_file[0] == 0 && !tls->auto_tls) {
        return err_set(err, ERR_INVALID, "--%sclient-cert-auth needs --%strusted-ca-file", prefix,
                       prefix);
    }
    return 0;
}

/* The members come from one place. */
static int check_discovery(const struct config *config, struct err *err)
{
    bool has_endpoints = config->discovery_endpoints[0] != 0;
    bool has_srv = config->discovery_srv[0] != 0;
    bool has_cluster = config_is_set(config, "initial-cluster");
    if (has_endpoints + has_srv + has_cluster > 1) {
        return err_set(err, ERR_INVALID,
                       "multiple discovery or bootstrap flags are set. Choose one of "
                       "\"initial-cluster\", \"discovery-endpoints\" or \"discovery-srv\"");
    }
    if (has_endpoints != (config->discovery_token[0] != 0)) {
        return err_set(err, ERR_INVALID, "--discovery-token and --discovery-endpoints go together");
    }
    return 0;
}

static int check_cluster(struct config *config, struct err *err)
{
    const char *text = config->initial_cluster_text;
    if (!config_is_set(config, "initial-cluster")) {
        const char *urls = config->initial_advertise_peer_urls_text;
        text = "";
        for (unsigned i = 0; i < config->initial_advertise_peer_urls.count; i++) {
            text = arena_printf(&config->arena, "%s%s%s=%s", text, i == 0 ? "" : ",", config->name,
                                config->initial_advertise_peer_urls.url[i].text);
        }
        config->initial_cluster_text = text[0] == 0 ? urls : text;
    }
    int code = check_discovery(config, err);
    code = code != 0 ? code : config_parse_cluster(config, text, err);
    if (code != 0) {
        return code;
    }
    config->is_existing_cluster = strcmp(config->initial_cluster_state, "existing") == 0;
    for (unsigned i = 0; i < config->member_count; i++) {
        if (strcmp(config->members[i].name, config->name) == 0) {
            return 0;
        }
    }
    return err_set(err, ERR_INVALID,
                   "couldn't find local name \"%s\" in the initial cluster configuration",
                   config->name);
}

/* A bare number is hours in periodic mode, revisions in revision mode; else a duration of Go. */
static int check_compaction(struct config *config, struct err *err)
{
    const char *text = config->auto_compaction_retention;
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool is_number = text[0] != 0 && errno == 0 && *end == 0;
    bool is_by_revision = strcmp(config->auto_compaction_mode, "revision") == 0;
    int64_t duration_ns = 0;
    if (is_by_revision && is_number && number >= 0) {
        config->auto_compaction_revisions = number;
        return 0;
    }
    if (!is_by_revision && is_number && number >= 0 && number <= COMPACTION_HOURS_MAX) {
        config->auto_compaction_period_ms = number * MS_PER_HOUR;
        return 0;
    }
    if (!is_by_revision && !is_number && config_parse_duration(text, &duration_ns) == 0 &&
        duration_ns >= 0) {
        config->auto_compaction_period_ms = duration_ns / NS_PER_MS;
        return 0;
    }
    return err_set(err, ERR_INVALID,
                   "error parsing --auto-compaction-retention: invalid value "
                   "\"%s\" in %s mode",
                   text, config->auto_compaction_mode);
}

int config_check(struct config *config, struct err *err)
{
    int code = check_words(config, err);
    code = code != 0 ? code : check_timing(config, err);
    code = code != 0 ? code : check_limits(config, err);
    code = code != 0 ? code : check_compaction(config, err);
    code = code != 0 ? code : parse_all_urls(config, err);
    code = code != 0 ? code : check_tls_files("", &config->client_tls, err);
    code = code != 0 ? code : check_tls_files("peer-", &config->peer_tls, err);
    if (code != 0) {
        return code;
    }
    if (config->name[0] == 0) {
        return err_set(err, ERR_INVALID, "--name must not be empty");
    }
    if (config_is_set(config, "listen-client-urls") &&
        !config_is_set(config, "advertise-client-urls")) {
        return err_set(err, ERR_INVALID,
                       "--advertise-client-urls is required when --listen-client-urls is set "
                       "explicitly");
    }
    if (config->data_dir[0] == 0) {
        config->data_dir = arena_printf(&config->arena, "%s.etcd", config->name);
    }
    if (config_is_set(config, "max-snapshots")) {
        config_warn(config, "--max-snapshots is deprecated in 3.6 and will be decommissioned in "
                            "3.8");
    }
    if (config_is_set(config, "v2-deprecation")) {
        config->v2_deprecation = "write-only";
        config_warn(config, "--v2-deprecation is deprecated and scheduled for removal in v3.8. "
                            "The default value is enforced, ignoring user input");
    }
    return check_cluster(config, err);
}
