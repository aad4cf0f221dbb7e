#include "kvstore/client/endpoint_address.h"

#include <stddef.h>
#include <string.h>

enum { PORT_DEFAULT = 2379 };

static const struct {
    const char *prefix;
    enum endpoint_security security;
    bool is_unix;
} schemes[] = {
    {"https://", ENDPOINT_TLS, false}, {"http://", ENDPOINT_PLAIN, false},
    {"unixs://", ENDPOINT_TLS, true},  {"unix://", ENDPOINT_PLAIN, true},
    {"unixs:", ENDPOINT_TLS, true},    {"unix:", ENDPOINT_PLAIN, true},
};

static int copy_text(char *target, size_t capacity, const char *text, size_t size)
{
    if (size >= capacity) {
        return ERR_INVALID;
    }
    memcpy(target, text, size);
    target[size] = '\0';
    return 0;
}

static int parse_port(const char *text, size_t size, uint16_t *ret)
{
    uint32_t port = 0;
    if (size == 0 || size > 5) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return ERR_INVALID;
        }
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port == 0 || port > UINT16_MAX) {
        return ERR_INVALID;
    }
    *ret = (uint16_t)port;
    return 0;
}

/* host, host:port, [v6], [v6]:port, or a bare v6 address (more than one colon). */
static int parse_host_port(const char *text, size_t size, struct endpoint_address *address)
{
    const char *host = text;
    size_t host_size = size;
    const char *port = NULL;
    if (size > 0 && text[0] == '[') {
        const char *closing = memchr(text, ']', size);
        if (closing == NULL) {
            return ERR_INVALID;
        }
        host = text + 1;
        host_size = (size_t)(closing - host);
        const char *rest = closing + 1;
        if (rest != text + size && *rest != ':') {
            return ERR_INVALID;
        }
        port = rest != text + size ? rest + 1 : NULL;
    } else {
        const char *colon = memchr(text, ':', size);
        bool is_v6 = colon != NULL && memchr(colon + 1, ':', size - (size_t)(colon + 1 - text));
        if (colon != NULL && !is_v6) {
            host_size = (size_t)(colon - text);
            port = colon + 1;
        }
    }
    address->port = PORT_DEFAULT;
    if (port != NULL && parse_port(port, (size_t)(text + size - port), &address->port) < 0) {
        return ERR_INVALID;
    }
    return host_size == 0 ? ERR_INVALID
                          : copy_text(address->host, sizeof address->host, host, host_size);
}

int endpoint_address_parse(const char *text, struct endpoint_address *ret, struct err *err)
{
    struct endpoint_address address = {.security = ENDPOINT_AS_CONFIGURED};
    const char *rest = text;
    bool is_unix = false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t length = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, length) == 0) {
            rest = text + length;
            address.security = schemes[i].security;
            is_unix = schemes[i].is_unix;
            break;
        }
    }
    int result;
    if (is_unix) {
        size_t size = strlen(rest);
        result = size == 0 ? ERR_INVALID
                           : copy_text(address.unix_path, sizeof address.unix_path, rest, size);
    } else if (rest == text && strstr(text, "://") != NULL) {
        return err_set(err, ERR_INVALID,
                       "endpoint \"%s\": unknown scheme (http, https, unix or unixs)", text);
    } else {
        result = parse_host_port(rest, strcspn(rest, "/"), &address);
    }
    if (result < 0) {
        return err_set(err, ERR_INVALID, "endpoint \"%s\" is not host:port or a URL", text);
    }
    *ret = address;
    return 0;
}
