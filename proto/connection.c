#include "proto/connection.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/http1_session.h"

enum { TLS_PLAIN_STEP_BYTES = 64 * 1024 };

static const char http2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct connection {
    struct connection_options options;
    struct http_peer peer;
    char *address;
    struct tls_session *tls;     /* NULL: plaintext */
    struct http2_session *http2; /* one of the two, once the protocol is known */
    struct http1_session *http1;
    struct buf plain;   /* TLS: decrypted, being taken in */
    struct buf sniffed; /* server: first bytes, until they tell the protocol */
    struct chain to_encrypt;
    struct timer handshake;
    struct err failure;
    bool told_established;
};

static void on_handshake_timeout(struct timer *timer)
{
    struct connection *connection = container_of(timer, struct connection, handshake);
    const struct http_session_options *http = &connection->options.http;
    http->on_dead(http->context, ERR_TIMEOUT, "handshake not complete within the time limit");
}

static void note_output(struct connection *connection)
{
    connection->options.http.on_output(connection->options.http.context);
}

static void begin_http2(struct connection *connection)
{
    connection->http2 = http2_session_new(&connection->options.http);
    note_output(connection);
}

struct connection *connection_new(const struct connection_options *options, struct err *err)
{
    struct connection *connection = mem_zalloc(sizeof *connection);
    connection->options = *options;
    connection->address = mem_strdup(options->address == NULL ? "" : options->address);
    connection->peer =
        (struct http_peer){.address = connection->address, .is_tls = options->tls != NULL};
    connection->options.http.peer = &connection->peer;
    chain_init(&connection->to_encrypt);
    timer_init(&connection->handshake, on_handshake_timeout);
    struct timers *timers = options->http.timers;
    timers_set(timers, &connection->handshake,
               timers->now_ms + options->http.limits.handshake_timeout_ms);
    connection->options.plaintext_too =
        options->plaintext_too && options->tls != NULL && options->http.role == HTTP_SERVER;
    connection->options.tls = NULL;
    if (options->tls != NULL) {
        connection->options.tls = tls_context_ref(options->tls);
        connection->tls = tls_session_new(options->tls, options->tls_name);
        tls_session_set_remote(connection->tls, connection->address);
        int rv = tls_session_start(connection->tls, err);
        if (rv < 0) {
            connection_free(connection, rv);
            return NULL;
        }
    } else if (options->http.role == HTTP_CLIENT) {
        begin_http2(connection);
    }
    return connection;
}

void connection_free(struct connection *connection, int reason)
{
    if (connection == NULL) {
        return;
    }
    http2_session_free(connection->http2, reason);
    http1_session_free(connection->http1, reason);
    tls_session_free(connection->tls);
    tls_context_unref(connection->options.tls);
    timers_clear(connection->options.http.timers, &connection->handshake);
    buf_deinit(&connection->plain);
    buf_deinit(&connection->sniffed);
    chain_deinit(&connection->to_encrypt);
    mem_free(connection->address);
    mem_free(connection);
}

static int receive_http(struct connection *connection, struct bytes input, struct err *err)
{
    return connection->http2 != NULL ? http2_session_receive(connection->http2, input, err)
                                     : http1_session_receive(connection->http1, input, err);
}

/* Server without ALPN: the first bytes are HTTP/2's preface or they are HTTP/1. */
static int sniff(struct connection *connection, struct bytes input, struct err *err)
{
    size_t preface_size = sizeof http2_preface - 1;
    buf_append_bytes(&connection->sniffed, input);
    struct bytes seen = buf_bytes(&connection->sniffed);
    size_t compared = seen.size < preface_size ? seen.size : preface_size;
    bool may_be_http2 = compared == 0 || memcmp(seen.data, http2_preface, compared) == 0;
    if (may_be_http2 && seen.size < preface_size) {
        return 0;
    }
    if (may_be_http2) {
        begin_http2(connection);
    } else {
        connection->http1 = http1_session_new(&connection->options.http);
    }
    struct buf first = connection->sniffed;
    buf_init(&connection->sniffed);
    int rv = receive_http(connection, buf_bytes(&first), err);
    buf_deinit(&first);
    return rv;
}

static void choose_by_alpn(struct connection *connection)
{
    if (connection->http2 != NULL || connection->http1 != NULL ||
        !tls_session_is_established(connection->tls)) {
        return;
    }
    connection->peer.tls = tls_session_peer(connection->tls);
    bool is_client = connection->options.http.role == HTTP_CLIENT;
    if (tls_session_is_h2(connection->tls)) {
        begin_http2(connection);
    } else if (tls_session_has_alpn(connection->tls) && !is_client) {
        connection->http1 = http1_session_new(&connection->options.http);
    }
}

static int receive_plain(struct connection *connection, struct bytes input, struct err *err)
{
    if (connection->http2 != NULL || connection->http1 != NULL) {
        return receive_http(connection, input, err);
    }
    if (connection->options.http.role == HTTP_CLIENT) {
        return err_set(err, ERR_PROTOCOL, "the server did not negotiate HTTP/2 (ALPN h2)");
    }
    return sniff(connection, input, err);
}

static int receive_tls(struct connection *connection, struct bytes input, struct err *err)
{
    int tls_rv = tls_session_receive(connection->tls, input, &connection->plain, err);
    choose_by_alpn(connection);
    note_output(connection);
    if (tls_rv == 0 && connection->options.http.role == HTTP_CLIENT &&
        tls_session_is_established(connection->tls) && connection->http2 == NULL) {
        return err_set(err, ERR_PROTOCOL, "the server did not negotiate HTTP/2 (ALPN h2)");
    }
    int rv = 0;
    if (buf_size(&connection->plain) > 0) {
        rv = receive_plain(connection, buf_bytes(&connection->plain), err);
        buf_clear(&connection->plain);
    }
    return tls_rv < 0 ? tls_rv : rv;
}

static void tell_established(struct connection *connection)
{
    if (!connection->told_established && connection_is_established(connection)) {
        connection->told_established = true;
        timers_clear(connection->options.http.timers, &connection->handshake);
        if (connection->options.on_established != NULL) {
            connection->options.on_established(connection->options.http.context);
        }
    }
}

/* Every TLS connection begins with a handshake record (RFC 8446, 5.1), no request of HTTP does. */
static void sniff_tls(struct connection *connection, struct bytes input)
{
    enum { RECORD_HANDSHAKE = 22 };
    if (!connection->options.plaintext_too || input.size == 0) {
        return;
    }
    connection->options.plaintext_too = false;
    if (input.data[0] != RECORD_HANDSHAKE) {
        tls_session_free(connection->tls);
        connection->tls = NULL;
        connection->peer.is_tls = false;
    }
}

int connection_receive(struct connection *connection, struct bytes input, struct err *err)
{
    sniff_tls(connection, input);
    int rv = connection->tls != NULL ? receive_tls(connection, input, err)
                                     : receive_plain(connection, input, err);
    if (rv == 0) {
        tell_established(connection);
    }
    return rv;
}

int connection_receive_end(struct connection *connection, struct err *err)
{
    if (connection->http1 != NULL && connection->tls == NULL) {
        return http1_session_receive_end(connection->http1, err);
    }
    return err_set(err, ERR_CLOSED, "connection closed by the peer");
}

static int send_http(struct connection *connection, struct chain *out, size_t limit,
                     struct err *err)
{
    if (connection->http2 != NULL) {
        return http2_session_send(connection->http2, out, limit, err);
    }
    return connection->http1 == NULL ? 0 : http1_session_send(connection->http1, out, limit, err);
}

/* Each write to OpenSSL becomes records of up to 16 KiB: give it as much as there is. */
static int encrypt(struct connection *connection, struct err *err)
{
    struct chain *plain = &connection->to_encrypt;
    while (plain->size > 0) {
        struct bytes piece = chain_front(plain);
        int rv = tls_session_send(connection->tls, piece, err);
        if (rv < 0) {
            return rv;
        }
        chain_consume(plain, piece.size);
    }
    return 0;
}

int connection_send(struct connection *connection, struct chain *out, size_t limit, struct err *err)
{
    if (connection->tls == NULL) {
        return send_http(connection, out, limit, err);
    }
    struct buf *cipher = tls_session_output(connection->tls);
    while (out->size < limit) {
        if (tls_session_is_established(connection->tls)) {
            int rv = send_http(connection, &connection->to_encrypt, TLS_PLAIN_STEP_BYTES, err);
            rv = rv < 0 ? rv : encrypt(connection, err);
            if (rv < 0) {
                return rv;
            }
        }
        if (buf_size(cipher) == 0) {
            break;
        }
        chain_append(out, buf_bytes(cipher));
        buf_clear(cipher);
    }
    return 0;
}

bool connection_wants_input(const struct connection *connection)
{
    return connection->http1 == NULL || http1_session_wants_input(connection->http1);
}

bool connection_has_output(const struct connection *connection)
{
    return (connection->tls != NULL && buf_size(tls_session_output(connection->tls)) > 0) ||
           (connection->http2 != NULL && http2_session_has_output(connection->http2)) ||
           (connection->http1 != NULL && http1_session_has_output(connection->http1));
}

bool connection_is_done(const struct connection *connection)
{
    return (connection->http2 != NULL && http2_session_is_done(connection->http2)) ||
           (connection->http1 != NULL && http1_session_is_done(connection->http1));
}

bool connection_is_established(const struct connection *connection)
{
    return connection->http1 != NULL ||
           (connection->http2 != NULL && http2_session_is_established(connection->http2));
}

uint32_t connection_exchange_count(const struct connection *connection)
{
    return connection->http2 != NULL   ? http2_session_exchange_count(connection->http2)
           : connection->http1 != NULL ? http1_session_exchange_count(connection->http1)
                                       : 0;
}

void connection_drain(struct connection *connection)
{
    const struct http_session_options *http = &connection->options.http;
    if (connection->http2 != NULL) {
        http2_session_drain(connection->http2);
    } else if (connection->http1 != NULL) {
        http1_session_drain(connection->http1);
    } else {
        http->on_dead(http->context, ERR_CLOSED, "the server shuts down");
    }
}

struct http2_session *connection_http2(struct connection *connection)
{
    return connection->http2;
}

const struct http_peer *connection_peer(const struct connection *connection)
{
    return &connection->peer;
}
