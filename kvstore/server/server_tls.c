#include <openssl/ssl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/data_dir.h"
#include "base/log.h"
#include "kvstore/server/self_signed.h"
#include "kvstore/server/server.h"

enum { DAYS_OF_YEAR = 365 };

static enum tls_version version_of(const char *text)
{
    return strcmp(text, "TLS1.2") == 0   ? TLS_VERSION_1_2
           : strcmp(text, "TLS1.3") == 0 ? TLS_VERSION_1_3
                                         : TLS_VERSION_DEFAULT;
}

/* NULL for "" and for what the listener has no flag for, so that both are an unset option. */
static const char *or_null(const char *text)
{
    return text == NULL || text[0] == 0 ? NULL : text;
}

/* --cipher-suites has the names of the RFCs, with commas, as Go's crypto/tls; OpenSSL has its own.
 * Suites of TLS 1.3 are always on, in Go, too. What begins with no "TLS_" is taken as OpenSSL's. */
static int translate_ciphers(struct config *config, struct err *err)
{
    CLEANUP(free) char *names = mem_strdup(config->cipher_suites);
    const char *result = "";
    char *rest = names;
    for (char *name = strsep(&rest, ",:"); name != NULL; name = strsep(&rest, ",:")) {
        bool is_newest =
            strncmp(name, "TLS_AES_", 8) == 0 || strncmp(name, "TLS_CHACHA20_", 13) == 0;
        if (name[0] == 0 || is_newest) {
            continue;
        }
        const char *own = name;
        if (strncmp(name, "TLS_", 4) == 0) {
            CLEANUP(free)
            char *full = mem_printf("%s_SHA256", name); /* Go's older CHACHA20 names */
            own = OPENSSL_cipher_name(name);
            own = strcmp(own, "(NONE)") == 0 ? OPENSSL_cipher_name(full) : own;
        }
        if (strcmp(own, "(NONE)") == 0) {
            return err_set(err, ERR_INVALID, "unexpected TLS cipher suite \"%s\"", name);
        }
        result = arena_printf(&config->arena, "%s%s%s", result, result[0] == 0 ? "" : ":", own);
    }
    config->cipher_suites = result;
    return 0;
}

enum { NAMES_MAX = 64 };

/* "a,b" as a list that ends with NULL; memory is cut into its names. */
static const char *const *split(char *memory, const char **names)
{
    size_t count = 0;
    for (char *name = strsep(&memory, ","); name != NULL; name = strsep(&memory, ",")) {
        if (name[0] != 0 && count < NAMES_MAX) {
            names[count++] = name;
        }
    }
    names[count] = NULL;
    return count == 0 ? NULL : names;
}

static int make_listener_tls(const struct config *config, const struct config_tls *tls,
                             bool is_peer, struct tls_context **ret, struct err *err)
{
    if (tls->cert_file[0] == 0) {
        return 0; /* an https URL is refused when it is opened */
    }
    if (or_null(tls->allowed_cn) != NULL && or_null(tls->allowed_hostname) != NULL) {
        return err_set(err, ERR_INVALID,
                       "AllowedCNs and AllowedHostnames are mutually exclusive (cns=%s, "
                       "hostnames=%s)",
                       tls->allowed_cn, tls->allowed_hostname);
    }
    CLEANUP(free) char *name_memory = mem_strdup(tls->allowed_cn == NULL ? "" : tls->allowed_cn);
    CLEANUP(free)
    char *host_memory = mem_strdup(tls->allowed_hostname == NULL ? "" : tls->allowed_hostname);
    const char *names[NAMES_MAX + 1];
    const char *hosts[NAMES_MAX + 1];
    const struct tls_options options = {
        .role = HTTP_SERVER,
        .certificate_file = tls->cert_file,
        .key_file = tls->key_file,
        .ca_file = or_null(tls->trusted_ca_file),
        .crl_file = or_null(tls->crl_file),
        /* As in etcd, --trusted-ca-file alone asks for a certificate that it has signed. */
        .require_certificate = tls->client_cert_auth || tls->trusted_ca_file[0] != 0,
        .allowed_common_names = split(name_memory, names),
        .allowed_host_names = split(host_memory, hosts),
        .check_remote = is_peer && tls->client_cert_auth && !tls->skip_client_san_verification,
        .version_min = version_of(config->tls_min_version),
        .version_max = version_of(config->tls_max_version),
        .cipher_suites = or_null(config->cipher_suites),
    };
    *ret = tls_context_new(&options, err);
    return *ret == NULL ? err->code : 0;
}

static bool any_is_tls(const struct config_urls *urls)
{
    for (unsigned i = 0; i < urls->count; i++) {
        if (urls->url[i].is_tls) {
            return true;
        }
    }
    return false;
}

/* fixtures/client or fixtures/peer below the data directory, as etcd keeps them. */
static int make_fixtures(struct config *config, const char *kind,
                         const struct self_signed_options *options, struct err *err)
{
    CLEANUP(free) char *fixtures = mem_printf("%s/fixtures", config->data_dir);
    CLEANUP(free) char *folder = mem_printf("%s/%s", fixtures, kind);
    int lock_fd = -1;
    int code = data_dir_open(config->data_dir, &lock_fd, err);
    if (code != 0) {
        return code;
    }
    code = data_dir_make(config->data_dir, "fixtures", err);
    code = code != 0 ? code : data_dir_make(fixtures, kind, err);
    code = code != 0 ? code : self_signed_ensure(folder, options, err);
    data_dir_close(lock_fd);
    return code;
}

/* --auto-tls: name the certificate that will be found in the fixtures. Own files go first. */
static int use_self_signed(struct config *config, struct config_tls *tls, const char *kind,
                           const struct config_urls *urls, struct err *err)
{
    if (!tls->auto_tls || !any_is_tls(urls)) {
        return 0;
    }
    if (tls->cert_file[0] != 0) {
        log_warn("ignoring auto TLS since certificates are given", LOG_TEXT("listener", kind));
        return 0;
    }
    const char *hosts[CONFIG_URLS_MAX];
    struct self_signed_options options = {
        .hosts = hosts,
        .validity_days = config->self_signed_cert_validity_years * DAYS_OF_YEAR,
    };
    for (unsigned i = 0; i < urls->count; i++) {
        if (!urls->url[i].is_unix) {
            hosts[options.host_count++] = urls->url[i].host;
        }
    }
    int code = make_fixtures(config, kind, &options, err);
    if (code != 0) {
        return code;
    }
    const char *folder = arena_printf(&config->arena, "%s/fixtures/%s", config->data_dir, kind);
    tls->cert_file = arena_printf(&config->arena, "%s/cert.pem", folder);
    tls->key_file = arena_printf(&config->arena, "%s/key.pem", folder);
    return 0;
}

static bool has_https(const struct config *config)
{
    for (unsigned i = 0; i < config->member_count; i++) {
        if (any_is_tls(&config->members[i].peer_urls)) {
            return true;
        }
    }
    return false;
}

/* A peer presents its server certificate as a client, unless it has another for that. */
static int make_dial_tls(struct server *server, struct err *err)
{
    const struct config_tls *tls = &server->config->peer_tls;
    if (!has_https(server->config) && tls->cert_file[0] == 0) {
        return 0;
    }
    bool has_own = tls->client_cert_file[0] != 0;
    const struct tls_options options = {
        .role = HTTP_CLIENT,
        .certificate_file = or_null(has_own ? tls->client_cert_file : tls->cert_file),
        .key_file = or_null(has_own ? tls->client_key_file : tls->key_file),
        .ca_file = or_null(tls->trusted_ca_file),
        .crl_file = or_null(tls->crl_file),
        .skip_verify = tls->trusted_ca_file[0] == 0 && tls->auto_tls,
        .version_min = version_of(server->config->tls_min_version),
        .version_max = version_of(server->config->tls_max_version),
    };
    server->dial_tls = tls_context_new(&options, err);
    return server->dial_tls == NULL ? err->code : 0;
}

int server_make_tls(struct server *server, struct err *err)
{
    struct config *config = server->config;
    int code = translate_ciphers(config, err);
    code = code != 0 ? code
                     : use_self_signed(config, &config->client_tls, "client",
                                       &config->listen_client_urls, err);
    code = code != 0
               ? code
               : use_self_signed(config, &config->peer_tls, "peer", &config->listen_peer_urls, err);
    code = code != 0 ? code
                     : make_listener_tls(config, &config->client_tls, /* is_peer= */ false,
                                         &server->client_tls, err);
    code = code != 0 ? code
                     : make_listener_tls(config, &config->peer_tls, /* is_peer= */ true,
                                         &server->peer_tls, err);
    return code != 0 ? code : make_dial_tls(server, err);
}
