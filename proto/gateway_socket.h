/* gateway_socket.h - a WebSocket (RFC 6455) under the JSON gateway: each text message in is one
 * JSON object, each out one line of the answer. For browsers, which cannot read a stream of a POST
 * and write it at the same time. Framing is libwslay's. */
#ifndef PROTO_GATEWAY_SOCKET_H
#define PROTO_GATEWAY_SOCKET_H

#include "proto/http_exchange.h"

struct gateway_socket;

enum { GATEWAY_SOCKET_NORMAL = 1000, GATEWAY_SOCKET_TOO_BIG = 1009 }; /* codes of closing */

/* Does the request ask for a WebSocket? */
bool gateway_socket_is_wanted(const struct http_exchange *x);
/* Answer 101 and make the exchange raw. A token that came as "Sec-WebSocket-Protocol: Bearer,
 * TOKEN" (browsers can send no other field) becomes the request's authorization. NULL: refused, and
 * not answered yet. on_message gets whole messages, from gateway_socket_receive. */
struct gateway_socket *gateway_socket_accept(struct http_exchange *x, size_t message_bytes_max,
                                             void (*on_message)(void *context, struct bytes text),
                                             void *context);
void gateway_socket_free(struct gateway_socket *socket); /* NULL is fine */

/* Raw bytes of the client. False: it has closed, or broke the protocol; the exchange is finished.
 */
bool gateway_socket_receive(struct gateway_socket *socket, struct bytes raw);
void gateway_socket_send(struct gateway_socket *socket, struct bytes text);
/* Say good-bye and finish the exchange. */
void gateway_socket_close(struct gateway_socket *socket, uint16_t code);

#endif
