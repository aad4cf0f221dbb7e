/* endpoint_address.h - where an endpoint is, from the text that users give.
 *
 * "host", "host:port", "[::1]:2379", "http://host:port", "https://host:port", "unix:/path",
 * "unix:///path", "unixs:///path"; a path after host:port is ignored. The port's default is 2379.
 */
#ifndef KVSTORE_CLIENT_ENDPOINT_ADDRESS_H
#define KVSTORE_CLIENT_ENDPOINT_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum endpoint_security {
    ENDPOINT_AS_CONFIGURED, /* no scheme: TLS if the client has TLS options */
    ENDPOINT_PLAIN,
    ENDPOINT_TLS,
};

struct endpoint_address {
    char host[256]; /* without brackets; "" for a unix socket */
    uint16_t port;
    char unix_path[108]; /* "" for TCP */
    enum endpoint_security security;
};

/* ERR_INVALID with a text that quotes the endpoint. */
MUST_USE int endpoint_address_parse(const char *text, struct endpoint_address *ret,
                                    struct err *err);

#endif
