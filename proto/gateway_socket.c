#include "proto/gateway_socket.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/base64.h"

enum { KEY_BYTES = 24 /* of 16 in base64 */, SHA1_BYTES = 20 };

struct gateway_socket {
    struct http_exchange *x;
    wslay_event_context_ptr ws;
    struct bytes incoming; /* during gateway_socket_receive */
    void (*on_message)(void *context, struct bytes text);
    void *context;
    bool is_closed;
};

static bool has_word(struct bytes list, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i + size <= list.size; i++) {
        if (strncasecmp((const char *)list.data + i, word, size) == 0) {
            return true;
        }
    }
    return false;
}

bool gateway_socket_is_wanted(const struct http_exchange *x)
{
    return bytes_equal(x->method, BYTES_LITERAL("GET")) &&
           has_word(http_headers_value(&x->headers, "upgrade"), "websocket");
}

/* --- libwslay's callbacks --------------------------------------------------------------------- */

static ssize_t give(wslay_event_context_ptr ws, uint8_t *buffer, size_t size, int flags,
                    void *context)
{
    (void)flags;
    struct gateway_socket *socket = context;
    size_t taken = socket->incoming.size < size ? socket->incoming.size : size;
    if (taken == 0) {
        wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buffer, socket->incoming.data, taken);
    socket->incoming = bytes_make(socket->incoming.data + taken, socket->incoming.size - taken);
    return (ssize_t)taken;
}

static ssize_t take(wslay_event_context_ptr ws, const uint8_t *data, size_t size, int flags,
                    void *context)
{
    (void)ws;
    (void)flags;
    struct gateway_socket *socket = context;
    http_exchange_send(socket->x, bytes_make(data, size));
    return (ssize_t)size;
}

static void on_received(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *arg,
                        void *context)
{
    (void)ws;
    struct gateway_socket *socket = context;
    if (!wslay_is_ctrl_frame(arg->opcode) && !socket->is_closed) {
        socket->on_message(socket->context, bytes_make(arg->msg, arg->msg_length));
    }
}

/* --- the handshake -----------------------------------------------------------------------------
 */

static void make_accept(struct bytes key, struct buf *out)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[SHA1_BYTES];
    CLEANUP(buf) struct buf input = BUF_INIT;
    buf_append_bytes(&input, key);
    buf_append_text(&input, guid);
    size_t size = 0;
    int ok = EVP_Q_digest(NULL, "SHA1", NULL, input.data, buf_size(&input), digest, &size);
    CHECK(ok == 1 && size == SHA1_BYTES);
    base64_append(out, bytes_make(digest, size));
}

/* "Bearer, TOKEN": the token becomes a field of the request; true: say "Bearer" in the answer. */
static bool take_token(struct http_exchange *x)
{
    struct bytes protocols = http_headers_value(&x->headers, "sec-websocket-protocol");
    const struct bytes bearer = BYTES_LITERAL("Bearer,");
    if (!bytes_has_prefix(protocols, bearer)) {
        return false;
    }
    struct bytes token = bytes_make(protocols.data + bearer.size, protocols.size - bearer.size);
    while (token.size > 0 && token.data[0] == ' ') {
        token = bytes_make(token.data + 1, token.size - 1);
    }
    for (uint32_t i = 0; i < x->headers.count; i++) {
        struct http_header *header = &x->headers.items[i];
        if (bytes_equal(header->name, BYTES_LITERAL("sec-websocket-protocol"))) {
            header->name = BYTES_LITERAL("authorization");
            header->value = token;
        }
    }
    return true;
}

static bool answer(struct http_exchange *x)
{
    struct bytes key = http_headers_value(&x->headers, "sec-websocket-key");
    struct bytes version = http_headers_value(&x->headers, "sec-websocket-version");
    if (key.size != KEY_BYTES || !bytes_equal(version, BYTES_LITERAL("13"))) {
        return false;
    }
    CLEANUP(buf) struct buf accept = BUF_INIT;
    make_accept(key, &accept);
    const struct http_header headers[] = {
        HTTP_HEADER_INIT("upgrade", "websocket"),
        {BYTES_LITERAL("sec-websocket-accept"), buf_bytes(&accept), HTTP_HEADER_VARYING},
        HTTP_HEADER_INIT("sec-websocket-protocol", "Bearer"),
    };
    return http_exchange_hijack(x, headers, take_token(x) ? 3 : 2) == 0;
}

struct gateway_socket *gateway_socket_accept(struct http_exchange *x, size_t message_bytes_max,
                                             void (*on_message)(void *context, struct bytes text),
                                             void *context)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = give, .send_callback = take, .on_msg_recv_callback = on_received};
    if (!answer(x)) {
        return NULL;
    }
    struct gateway_socket *socket = mem_zalloc(sizeof *socket);
    socket->x = x;
    socket->on_message = on_message;
    socket->context = context;
    int rv = wslay_event_context_server_init(&socket->ws, &callbacks, socket);
    CHECK(rv == 0); /* only memory can be missing */
    wslay_event_config_set_max_recv_msg_length(socket->ws, message_bytes_max);
    return socket;
}

void gateway_socket_free(struct gateway_socket *socket)
{
    if (socket != NULL) {
        wslay_event_context_free(socket->ws);
        mem_free(socket);
    }
}

/* --- messages -----------------------------------------------------------------------------------
 */

static void flush(struct gateway_socket *socket)
{
    (void)wslay_event_send(socket->ws); /* take() never fails */
}

static void finish(struct gateway_socket *socket)
{
    if (!socket->is_closed) {
        socket->is_closed = true;
        flush(socket);
        http_exchange_finish(socket->x, NULL, 0);
    }
}

bool gateway_socket_receive(struct gateway_socket *socket, struct bytes raw)
{
    socket->incoming = raw;
    int rv = wslay_event_recv(socket->ws);
    flush(socket); /* pongs, and the answer to a close */
    if (rv != 0 || wslay_event_get_close_received(socket->ws) != 0 ||
        wslay_event_get_read_enabled(socket->ws) == 0) {
        finish(socket);
    }
    return !socket->is_closed;
}

void gateway_socket_send(struct gateway_socket *socket, struct bytes text)
{
    const struct wslay_event_msg message = {
        .opcode = WSLAY_TEXT_FRAME, .msg = text.data, .msg_length = text.size};
    if (!socket->is_closed && wslay_event_queue_msg(socket->ws, &message) == 0) {
        flush(socket);
    }
}

void gateway_socket_close(struct gateway_socket *socket, uint16_t code)
{
    if (!socket->is_closed) {
        (void)wslay_event_queue_close(socket->ws, code, NULL, 0);
        finish(socket);
    }
}
