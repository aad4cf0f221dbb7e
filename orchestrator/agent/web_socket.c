#include "orchestrator/agent/web_socket.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct web_socket {
    struct http_exchange *x; /* borrowed */
    wslay_event_context_ptr wslay;
    struct bytes input; /* during web_socket_receive */
    const char *protocol;
    void (*on_message)(void *context, struct bytes message);
    void *context;
    bool is_closed;
};

void web_socket_accept_key(struct bytes key, char text[32])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
    CLEANUP(buf) struct buf joined = BUF_INIT;
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    unsigned size = 0;
    buf_append_bytes(&joined, key);
    buf_append_text(&joined, magic);
    struct bytes all = buf_bytes(&joined);
    (void)EVP_Digest(all.data, all.size, digest, &size, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock((unsigned char *)text, digest, (int)size);
}

static ssize_t on_recv(wslay_event_context_ptr context, uint8_t *data, size_t size, int flags,
                       void *user)
{
    struct web_socket *socket = user;
    size_t taken = size < socket->input.size ? size : socket->input.size;
    (void)flags;
    if (taken == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(data, socket->input.data, taken);
    socket->input.data += taken;
    socket->input.size -= taken;
    return (ssize_t)taken;
}

static ssize_t on_send(wslay_event_context_ptr context, const uint8_t *data, size_t size, int flags,
                       void *user)
{
    struct web_socket *socket = user;
    (void)context;
    (void)flags;
    http_exchange_send(socket->x, bytes_make(data, size));
    return (ssize_t)size;
}

static void on_event(wslay_event_context_ptr context,
                     const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    struct web_socket *socket = user;
    (void)context;
    if (!wslay_is_ctrl_frame(message->opcode)) {
        socket->on_message(socket->context, bytes_make(message->msg, message->msg_length));
    }
}

static bool offers(const struct http_exchange *x, const char *protocol)
{
    for (uint32_t i = 0; i < x->headers.count; i++) {
        const struct http_header *header = &x->headers.items[i];
        if (!bytes_equal(header->name, BYTES_LITERAL("sec-websocket-protocol"))) {
            continue;
        }
        CLEANUP(free)
        char *copy = mem_printf("%.*s", (int)header->value.size, (const char *)header->value.data);
        char *rest = copy;
        for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
            part += strspn(part, " ");
            if (strcmp(part, protocol) == 0) {
                return true;
            }
        }
    }
    return false;
}

struct web_socket *web_socket_accept(struct http_exchange *x, const char *const *protocols,
                                     void (*on_message)(void *context, struct bytes message),
                                     void *context)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_event};
    char accept[32];
    struct bytes key = http_headers_value(&x->headers, "sec-websocket-key");
    const char *protocol = NULL;
    for (size_t i = 0; protocols[i] != NULL && protocol == NULL; i++) {
        protocol = offers(x, protocols[i]) ? protocols[i] : NULL;
    }
    web_socket_accept_key(key, accept);
    const struct http_header headers[] = {
        HTTP_HEADER_INIT("upgrade", "websocket"),
        {BYTES_LITERAL("sec-websocket-accept"), bytes_from_text(accept), 0},
        {BYTES_LITERAL("sec-websocket-protocol"), bytes_from_text(protocol == NULL ? "" : protocol),
         0},
    };
    if (protocol == NULL || key.size == 0 || http_exchange_hijack(x, headers, 3) != 0) {
        http_exchange_reply(x, 400, "text/plain",
                            BYTES_LITERAL("this needs a WebSocket with a subprotocol we speak\n"));
        return NULL;
    }
    struct web_socket *socket = mem_zalloc(sizeof(*socket));
    socket->x = x;
    socket->protocol = protocol;
    socket->on_message = on_message;
    socket->context = context;
    if (wslay_event_context_server_init(&socket->wslay, &callbacks, socket) != 0) {
        mem_free(socket);
        http_exchange_reset(x, HTTP_RESET_INTERNAL);
        return NULL;
    }
    wslay_event_config_set_max_recv_msg_length(socket->wslay, WEB_SOCKET_MESSAGE_BYTES_MAX);
    return socket;
}

void web_socket_free(struct web_socket *socket)
{
    if (socket != NULL) {
        wslay_event_context_free(socket->wslay);
        mem_free(socket);
    }
}

const char *web_socket_protocol(const struct web_socket *socket)
{
    return socket->protocol;
}

bool web_socket_receive(struct web_socket *socket, struct bytes data)
{
    socket->input = data;
    int status = wslay_event_recv(socket->wslay);
    if (status == 0) {
        status = wslay_event_send(socket->wslay); /* pongs, close */
    }
    return status == 0 && !wslay_event_get_close_received(socket->wslay);
}

void web_socket_send(struct web_socket *socket, struct bytes head, struct bytes body)
{
    CLEANUP(buf) struct buf joined = BUF_INIT;
    buf_append_bytes(&joined, head);
    buf_append_bytes(&joined, body);
    struct bytes all = buf_bytes(&joined);
    const struct wslay_event_msg message = {
        .opcode = WSLAY_BINARY_FRAME, .msg = all.data, .msg_length = all.size};
    if (!socket->is_closed && wslay_event_queue_msg(socket->wslay, &message) == 0) {
        (void)wslay_event_send(socket->wslay); /* on_send never fails */
    }
}

void web_socket_close(struct web_socket *socket)
{
    if (!socket->is_closed) {
        socket->is_closed = true;
        (void)wslay_event_queue_close(socket->wslay, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
        (void)wslay_event_send(socket->wslay);
        http_exchange_finish(socket->x, NULL, 0);
    }
}
