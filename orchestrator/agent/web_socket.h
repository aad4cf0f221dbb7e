/* web_socket.h - the server's side of a WebSocket (RFC 6455, by libwslay) on a hijacked exchange.
 */
#ifndef ORCHESTRATOR_AGENT_WEB_SOCKET_H
#define ORCHESTRATOR_AGENT_WEB_SOCKET_H

#include "base/bytes.h"
#include "proto/http_exchange.h"

struct web_socket;

enum { WEB_SOCKET_MESSAGE_BYTES_MAX = 1 << 20 };

/* Answers the handshake with one of these subprotocols (NULL-terminated, best first), the first
 * that the client offers. NULL, and a 400 is sent, when it offers none or does not ask for a
 * WebSocket. on_message: a whole message, borrowed; it may not free the socket. */
struct web_socket *web_socket_accept(struct http_exchange *x, const char *const *protocols,
                                     void (*on_message)(void *context, struct bytes message),
                                     void *context);
void web_socket_free(struct web_socket *socket);
const char *web_socket_protocol(const struct web_socket *socket);

/* Bytes from the exchange. False: the other side closed, or broke the protocol. */
bool web_socket_receive(struct web_socket *socket, struct bytes data);
/* A binary message of two parts. */
void web_socket_send(struct web_socket *socket, struct bytes head, struct bytes body);
/* A close frame with code 1000, then the end of our side. */
void web_socket_close(struct web_socket *socket);

/* Sec-WebSocket-Accept for a key, into text of 32 bytes. Pure. */
void web_socket_accept_key(struct bytes key, char text[32]);

#endif
