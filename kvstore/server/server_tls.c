#include <string.h>

#include "kvstore/server/server.h"

static enum tls_version version_of(const char *text)
{
    return strcmp(text, "TLS1.2") == 0   ? TLS_VERSION_1_2
           : strcmp(text, "TLS1.3") == 0 ? TLS_VERSION_1_3
                                         : TLS_VERSION_DEFAULT;
}

/* NULL for "", so that an unset flag is an unset option. */
static const char *or_null(const char *text)
{
    return text[0] == 0 ? NULL : text;
}

static int make_listener_tls(const struct config *config, const struct config_tls *tls,
                             struct tls_context **ret, struct err *err)
{
    if (tls->cert_file[0] == 0) {
        return 0; /* an https URL is refused when it is opened */
    }
    const char *const names[] = {or_null(tls->allowed_cn), NULL};
    const char *const hosts[] = {or_null(tls->allowed_hostname), NULL};
    const struct tls_options options = {
        .role = HTTP_SERVER,
        .certificate_file = tls->cert_file,
        .key_file = tls->key_file,
        .ca_file = or_null(tls->trusted_ca_file),
        .crl_file = or_null(tls->crl_file),
        .require_certificate = tls->client_cert_auth,
        .allowed_common_names = names[0] == NULL ? NULL : names,
        .allowed_host_names = hosts[0] == NULL ? NULL : hosts,
        .version_min = version_of(config->tls_min_version),
        .version_max = version_of(config->tls_max_version),
        .cipher_suites = or_null(config->cipher_suites),
    };
    *ret = tls_context_new(&options, err);
    return *ret == NULL ? err->code : 0;
}

static bool has_https(const struct config *config)
{
    for (unsigned i = 0; i < config->member_count; i++) {
        for (unsigned j = 0; j < config->members[i].peer_urls.count; j++) {
            if (config->members[i].peer_urls.url[j].is_tls) {
                return true;
            }
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
    const struct config *config = server->config;
    int code = make_listener_tls(config, &config->client_tls, &server->client_tls, err);
    code = code != 0 ? code : make_listener_tls(config, &config->peer_tls, &server->peer_tls, err);
    return code != 0 ? code : make_dial_tls(server, err);
}
