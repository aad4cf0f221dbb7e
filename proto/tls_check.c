/* What a server asks of a client's certificate beside a good chain: its names, and that it is used
 * from where it says. Inside the handshake, so that the client gets an alert and not an end. */
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/tls_internal.h"

bool tls_is_address(const char *name)
{
    uint8_t parsed[16];
    return inet_pton(AF_INET, name, parsed) == 1 || inet_pton(AF_INET6, name, parsed) == 1;
}

char *tls_common_name(X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int position = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (position < 0) {
        return mem_strdup("");
    }
    unsigned char *utf8 = NULL;
    ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, position));
    int size = ASN1_STRING_to_UTF8(&utf8, value);
    bool is_clean = size >= 0 && memchr(utf8, 0, (size_t)size) == NULL;
    char *text = mem_printf("%.*s", is_clean ? size : 0, is_clean ? (const char *)utf8 : "");
    OPENSSL_free(utf8);
    return text;
}

char *tls_subject(X509 *certificate)
{
    BIO *memory = BIO_new(BIO_s_mem());
    CHECK(memory != NULL);
    (void)X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    char *data = NULL;
    long size = BIO_get_mem_data(memory, &data);
    char *text = mem_printf("%.*s", (int)size, data == NULL ? "" : data);
    BIO_free(memory);
    return text;
}

static bool list_has(const char *const *list, const char *text)
{
    for (size_t i = 0; list[i] != NULL; i++) {
        if (strcasecmp(list[i], text) == 0) {
            return true;
        }
    }
    return false;
}

/* The allow-lists come on top of the chain's verification. */
static int check_lists(const struct tls_options *options, X509 *certificate, const char *subject,
                       struct err *err)
{
    CLEANUP(free) char *name_of_peer = tls_common_name(certificate);
    if (options->allowed_common_names != NULL &&
        !list_has(options->allowed_common_names, name_of_peer)) {
        return err_set(err, ERR_DENIED,
                       "client certificate authentication failed: common name of %s is not allowed",
                       subject);
    }
    if (options->allowed_host_names == NULL) {
        return 0;
    }
    for (size_t i = 0; options->allowed_host_names[i] != NULL; i++) {
        const char *name = options->allowed_host_names[i];
        int matches = tls_is_address(name) ? X509_check_ip_asc(certificate, name, 0)
                                           : X509_check_host(certificate, name, 0, 0, NULL);
        if (matches == 1) {
            return 0;
        }
    }
    return err_set(err, ERR_DENIED,
                   "client certificate authentication failed: host name is not allowed for %s",
                   subject);
}

/* The address of "127.0.0.1:4711" or "[::1]:4711"; false for a unix socket. */
static bool split_address(const char *remote, char *address, size_t size)
{
    const char *end = strrchr(remote, ':');
    const char *begin = remote[0] == '[' ? remote + 1 : remote;
    if (end == NULL || end <= begin) {
        return false;
    }
    size_t length = (size_t)(end - begin) - (remote[0] == '[' ? 1 : 0);
    if (length >= size) {
        return false;
    }
    memcpy(address, begin, length);
    address[length] = 0;
    return tls_is_address(address);
}

/* A certificate for addresses is good from these addresses. One that has names too, or only names,
 * passes: names are not looked up here, for a resolver may take seconds. */
static int check_remote(const char *remote, X509 *certificate, struct err *err)
{
    char address[INET6_ADDRSTRLEN];
    char text[INET6_ADDRSTRLEN] = "";
    if (remote == NULL || !split_address(remote, address, sizeof address)) {
        return 0;
    }
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool has_name = false;
    bool has_address = false;
    for (int i = 0; all != NULL && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        has_name = has_name || name->type == GEN_DNS;
        if (name->type == GEN_IPADD) {
            int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
            has_address = true;
            (void)inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof text);
        }
    }
    GENERAL_NAMES_free(all);
    if (!has_address || has_name || X509_check_ip_asc(certificate, address, 0) == 1) {
        return 0;
    }
    return err_set(err, ERR_DENIED, "x509: certificate is valid for %s, not %s", text, address);
}

int tls_check_chain(X509_STORE_CTX *store, void *context)
{
    const struct tls_context *tls = context;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    if (X509_verify_cert(store) != 1) {
        return 0;
    }
    CLEANUP(free) char *subject = tls_subject(certificate);
    int code = check_lists(&tls->options, certificate, subject, &session->refusal);
    if (code == 0 && tls->options.check_remote) {
        code = check_remote(session->remote, certificate, &session->refusal);
    }
    if (code != 0) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED); /* the alert bad_certificate */
    }
    return code == 0;
}
