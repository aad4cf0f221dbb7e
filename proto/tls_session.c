#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/tls_internal.h"

enum { READ_STEP_BYTES = 16 * 1024 };

static void expect_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    if (tls_is_address(name)) {
        CHECK(X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1);
        return;
    }
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    CHECK(X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1);
    /* SSL_set_tlsext_host_name, whose macro drops a const. */
    (void)SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                   (void *)(uintptr_t)name);
}

struct tls_session *tls_session_new(struct tls_context *context, const char *name)
{
    struct tls_session *session = mem_zalloc(sizeof *session);
    const struct tls_options *options = &context->options;
    session->context = tls_context_ref(context);
    session->ssl = SSL_new(context->ssl);
    session->in = BIO_new(BIO_s_mem());
    session->out = BIO_new(BIO_s_mem());
    CHECK(session->ssl != NULL && session->in != NULL && session->out != NULL);
    SSL_set_bio(session->ssl, session->in, session->out);
    (void)SSL_set_app_data(session->ssl, session);
    if (options->role == HTTP_SERVER) {
        SSL_set_accept_state(session->ssl);
        return session;
    }
    SSL_set_connect_state(session->ssl);
    const char *expected = options->server_name != NULL ? options->server_name : name;
    if (expected != NULL) {
        expect_name(session->ssl, expected);
    }
    return session;
}

static void free_peer(struct tls_peer *peer)
{
    mem_free(peer->common_name);
    mem_free(peer->subject);
    for (size_t i = 0; peer->names != NULL && peer->names[i] != NULL; i++) {
        mem_free(peer->names[i]);
    }
    mem_free(peer->names);
}

void tls_session_free(struct tls_session *session)
{
    if (session == NULL) {
        return;
    }
    SSL_free(session->ssl);
    tls_context_unref(session->context);
    buf_deinit(&session->output);
    free_peer(&session->peer);
    mem_free(session->remote);
    mem_free(session);
}

static char *name_text(const GENERAL_NAME *name)
{
    char address[INET6_ADDRSTRLEN];
    const ASN1_STRING *text = NULL;
    if (name->type == GEN_DNS) {
        text = name->d.dNSName;
    } else if (name->type == GEN_URI) {
        text = name->d.uniformResourceIdentifier;
    } else if (name->type == GEN_IPADD) {
        int size = ASN1_STRING_length(name->d.iPAddress);
        int family = size == 4 ? AF_INET : AF_INET6;
        if ((size != 4 && size != 16) || inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress),
                                                   address, sizeof address) == NULL) {
            return NULL;
        }
        return mem_strdup(address);
    }
    if (text == NULL) {
        return NULL;
    }
    size_t size = (size_t)ASN1_STRING_length(text);
    const char *data = (const char *)ASN1_STRING_get0_data(text);
    /* A NUL inside a name is an attempt to be taken for another one. */
    return memchr(data, 0, size) != NULL ? NULL : mem_printf("%.*s", (int)size, data);
}

static char **names_of(X509 *certificate)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = all == NULL ? 0 : sk_GENERAL_NAME_num(all);
    char **names = mem_calloc((size_t)count + 1, sizeof *names);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        char *text = name_text(sk_GENERAL_NAME_value(all, i));
        if (text != NULL) {
            names[used++] = text;
        }
    }
    GENERAL_NAMES_free(all);
    return names;
}

static int take_peer(struct tls_session *session, struct err *err)
{
    const struct tls_options *options = &session->context->options;
    bool lists = options->allowed_common_names != NULL || options->allowed_host_names != NULL;
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    bool is_verified = certificate != NULL && !options->skip_verify &&
                       SSL_get_verify_mode(session->ssl) != SSL_VERIFY_NONE &&
                       SSL_get_verify_result(session->ssl) == X509_V_OK;
    if (!is_verified) {
        return lists ? err_set(err, ERR_DENIED, "no certificate to check against the allowed names")
                     : 0;
    }
    session->peer = (struct tls_peer){.common_name = tls_common_name(certificate),
                                      .names = names_of(certificate),
                                      .subject = tls_subject(certificate)};
    session->has_peer = true;
    return 0; /* what it may be called was checked in the handshake (tls_check.c) */
}

static void collect_output(struct tls_session *session)
{
    size_t size = BIO_ctrl_pending(session->out);
    if (size > 0) {
        int got = BIO_read(session->out, buf_reserve(&session->output, size), (int)size);
        CHECK(got == (int)size);
        buf_commit(&session->output, size);
    }
}

/* What went wrong, as people say it: the verification's verdict if there is one. */
static int fail(struct tls_session *session, struct err *err)
{
    char reason[200];
    session->is_over = true;
    collect_output(session); /* the alert */
    long verdict = SSL_get_verify_result(session->ssl);
    unsigned long code = ERR_peek_last_error();
    if (session->refusal.code != 0) {
        ERR_clear_error();
        return err_set(err, ERR_DENIED, "%s", session->refusal.text);
    }
    if (verdict != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        ERR_clear_error();
        return err_set(err, ERR_DENIED, "tls: certificate refused: %s",
                       X509_verify_cert_error_string(verdict));
    }
    if (ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET) {
        /* The other side refused: the words of Go's crypto/tls, which people search logs for. */
        const char *words = tls_error_text(reason, sizeof reason);
        const char *alert = strstr(words, "alert ");
        return err_set(err, ERR_PROTOCOL, "remote error: tls: %s",
                       alert == NULL ? words : alert + strlen("alert "));
    }
    int which =
        ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ? ERR_DENIED : ERR_PROTOCOL;
    return err_set(err, which, "tls: %s%s", session->is_established ? "" : "handshake failed: ",
                   tls_error_text(reason, sizeof reason));
}

static int advance_handshake(struct tls_session *session, struct err *err)
{
    if (session->is_established) {
        return 0;
    }
    ERR_clear_error();
    int rv = SSL_do_handshake(session->ssl);
    collect_output(session);
    if (rv == 1) {
        rv = take_peer(session, err);
        if (rv < 0) {
            session->is_over = true;
            return rv;
        }
        session->is_established = true;
        return 0;
    }
    int reason = SSL_get_error(session->ssl, rv);
    return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? 0 : fail(session, err);
}

void tls_session_set_remote(struct tls_session *session, const char *address)
{
    mem_free(session->remote);
    session->remote = mem_strdup(address);
}

int tls_session_start(struct tls_session *session, struct err *err)
{
    return session->context->options.role == HTTP_CLIENT ? advance_handshake(session, err) : 0;
}

static int decrypt(struct tls_session *session, struct buf *plain, struct err *err)
{
    for (;;) {
        size_t size = 0;
        ERR_clear_error();
        int rv =
            SSL_read_ex(session->ssl, buf_reserve(plain, READ_STEP_BYTES), READ_STEP_BYTES, &size);
        if (rv == 1) {
            buf_commit(plain, size);
            continue;
        }
        int reason = SSL_get_error(session->ssl, rv);
        collect_output(session);
        if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
            return 0;
        }
        if (reason == SSL_ERROR_ZERO_RETURN) {
            session->is_over = true;
            return err_set(err, ERR_CLOSED, "tls: closed by the peer");
        }
        return fail(session, err);
    }
}

int tls_session_receive(struct tls_session *session, struct bytes cipher, struct buf *plain,
                        struct err *err)
{
    if (session->is_over) {
        return err_set(err, ERR_CLOSED, "tls: session is over");
    }
    CHECK(cipher.size <= INT32_MAX);
    if (cipher.size > 0) {
        CHECK(BIO_write(session->in, cipher.data, (int)cipher.size) == (int)cipher.size);
    }
    int rv = advance_handshake(session, err);
    if (rv < 0 || !session->is_established) {
        return rv;
    }
    return decrypt(session, plain, err);
}

int tls_session_send(struct tls_session *session, struct bytes plain, struct err *err)
{
    CHECK(session->is_established);
    if (session->is_over) {
        return err_set(err, ERR_CLOSED, "tls: session is over");
    }
    while (plain.size > 0) {
        size_t written = 0;
        ERR_clear_error();
        if (SSL_write_ex(session->ssl, plain.data, plain.size, &written) != 1) {
            return fail(session, err);
        }
        plain.data += written;
        plain.size -= written;
    }
    collect_output(session);
    return 0;
}

void tls_session_shutdown(struct tls_session *session)
{
    if (session->is_established && !session->is_over) {
        session->is_over = true;
        (void)SSL_shutdown(session->ssl); /* 0: sent, the answer is not awaited */
        collect_output(session);
    }
}

struct buf *tls_session_output(struct tls_session *session)
{
    return &session->output;
}

bool tls_session_is_established(const struct tls_session *session)
{
    return session->is_established;
}

static struct bytes alpn_of(const struct tls_session *session)
{
    const unsigned char *data = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(session->ssl, &data, &size);
    return bytes_make(data, size);
}

bool tls_session_is_h2(const struct tls_session *session)
{
    return bytes_equal(alpn_of(session), BYTES_LITERAL("h2"));
}

bool tls_session_has_alpn(const struct tls_session *session)
{
    return alpn_of(session).size > 0;
}

const struct tls_peer *tls_session_peer(const struct tls_session *session)
{
    return session->has_peer ? &session->peer : NULL;
}

const char *tls_session_version(const struct tls_session *session)
{
    return SSL_get_version(session->ssl);
}
