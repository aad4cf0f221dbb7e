#include "kvstore/kvctl/metrics_fetch.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "kvstore/client/endpoint_address.h"

enum { PAGE_BYTES_MAX = 16 << 20, TIMEOUT_S = 10 };

int metrics_find_number(struct bytes page, const char *name, double *ret)
{
    size_t name_size = strlen(name);
    while (page.size > 0) {
        const uint8_t *end = memchr(page.data, '\n', page.size);
        size_t size = end == NULL ? page.size : (size_t)(end - page.data);
        if (size > name_size && memcmp(page.data, name, name_size) == 0 &&
            page.data[name_size] == ' ') {
            char text[64];
            size_t length = size - name_size < sizeof text ? size - name_size : sizeof text - 1;
            memcpy(text, page.data + name_size, length);
            text[length] = '\0';
            char *rest;
            double value = strtod(text, &rest);
            if (rest == text) {
                return ERR_MALFORMED;
            }
            *ret = value;
            return 0;
        }
        size_t step = end == NULL ? size : size + 1;
        page = bytes_make(page.data + step, page.size - step);
    }
    return ERR_NOT_FOUND;
}

static int connect_tcp(const struct endpoint_address *address, int *ret_fd, struct err *err)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", address->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int result = getaddrinfo(address->host, port, &hints, &list);
    if (result != 0) {
        return err_set(err, ERR_IO, "%s: %s", address->host, gai_strerror(result));
    }
    CLEANUP(close_fd) int fd = -1;
    int reason = EHOSTUNREACH;
    for (const struct addrinfo *item = list; item != NULL && fd < 0; item = item->ai_next) {
        int candidate = socket(item->ai_family, item->ai_socktype | SOCK_CLOEXEC, 0);
        if (candidate >= 0 && connect(candidate, item->ai_addr, item->ai_addrlen) == 0) {
            fd = candidate;
        } else {
            reason = errno;
            if (candidate >= 0) {
                (void)close(candidate);
            }
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        return err_set_errno(err, reason, "connect to %s:%s", address->host, port);
    }
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* HTTP/1.0, so that the end of the page is the end of the connection. */
static int exchange(int fd, const char *host, struct buf *page, struct err *err)
{
    CLEANUP(buf) struct buf request = BUF_INIT;
    buf_append_format(&request, "GET /metrics HTTP/1.0\r\nHost: %s\r\n\r\n", host);
    struct bytes bytes = buf_bytes(&request);
    if (send(fd, bytes.data, bytes.size, MSG_NOSIGNAL) != (ssize_t)bytes.size) {
        return err_set_errno(err, errno, "ask for /metrics");
    }
    for (;;) {
        ssize_t size = recv(fd, buf_reserve(page, 65536), 65536, 0);
        if (size < 0) {
            return err_set_errno(err, errno, "read /metrics");
        }
        if (size == 0) {
            return 0;
        }
        buf_commit(page, (size_t)size);
        if (buf_size(page) > PAGE_BYTES_MAX) {
            return err_set(err, ERR_TOO_LARGE, "/metrics is too large");
        }
    }
}

int metrics_fetch_number(const char *endpoint, const char *name, double *ret, struct err *err)
{
    struct endpoint_address address;
    int result = endpoint_address_parse(endpoint, &address, err);
    if (result < 0) {
        return result;
    }
    if (address.security == ENDPOINT_TLS || address.unix_path[0] != '\0') {
        return err_set(err, ERR_UNSUPPORTED, "/metrics is read over plain TCP only");
    }
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(buf) struct buf page = BUF_INIT;
    result = connect_tcp(&address, &fd, err);
    if (result == 0) {
        result = exchange(fd, address.host, &page, err);
    }
    if (result == 0 && metrics_find_number(buf_bytes(&page), name, ret) < 0) {
        result = err_set(err, ERR_NOT_FOUND, "/metrics has no %s", name);
    }
    return result;
}
