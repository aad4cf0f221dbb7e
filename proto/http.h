/* http.h - what HTTP/1.1 and HTTP/2 have in common: header fields, roles, and limits. */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum http_role { HTTP_SERVER, HTTP_CLIENT };

enum http_header_flag {
    /* name and value live as long as the program: they are sent without a copy. */
    HTTP_HEADER_STATIC = 1,
    /* Differs each time, or is secret: kept out of the compression table. */
    HTTP_HEADER_VARYING = 2,
};

/* name is in lower case, on both versions and in both directions. */
struct http_header {
    struct bytes name;
    struct bytes value;
    uint32_t flags;
};

/* An initializer: struct http_header h = HTTP_HEADER_INIT("te", "trailers"); */
#define HTTP_HEADER_INIT(n, v)                                                                     \
    {                                                                                              \
        {(const uint8_t *)(n), sizeof(n) - 1}, {(const uint8_t *)(v), sizeof(v) - 1},              \
            HTTP_HEADER_STATIC                                                                     \
    }

struct http_headers {
    struct http_header *items;
    uint32_t count;
    uint32_t capacity;
};

/* The first field of that name, or NULL. */
const struct http_header *http_headers_find(const struct http_headers *headers, const char *name);
/* Its value; {NULL, 0} if there is none. */
struct bytes http_headers_value(const struct http_headers *headers, const char *name);

/* Who is at the other end of a connection. Borrowed from it. */
struct tls_peer;
struct http_peer {
    const char *address; /* "127.0.0.1:4711", "[::1]:4711", "unix:/path" or "" */
    bool is_tls;
    const struct tls_peer *tls; /* NULL without a verified certificate (proto/tls.h) */
};

/* Every limit that a peer can run into; 0 in an option means the default of http_limits_default.
 * Times are milliseconds, sizes bytes. */
struct http_limits {
    uint32_t header_list_bytes_max;   /* a request's header section, 32 per field added (RFC 9113
                                         section 6.5.2): 16 KiB */
    uint32_t header_count_max;        /* 128 */
    uint32_t concurrent_streams_max;  /* 1000; UINT32_MAX for etcd's "no limit" */
    uint32_t stream_window_bytes;     /* 512 KiB */
    uint32_t connection_window_bytes; /* 2 MiB */
    uint32_t resets_burst;            /* RST_STREAM frames taken, or provoked, at once: 1000 */
    uint32_t resets_per_s;            /* and from then on: 33 */
    uint32_t frames_burst;            /* frames that carry no work (PING, SETTINGS, PRIORITY,
                                         WINDOW_UPDATE, empty DATA) at once: 10000 */
    uint32_t frames_per_s;            /* and from then on: 1000 */
    uint32_t output_bytes_max;        /* made and given to the socket at a time: 1 MiB */
    uint32_t handshake_timeout_ms;    /* TLS, and the HTTP/2 preface with SETTINGS: 10 s */
    uint32_t header_timeout_ms;    /* from the first to the last byte of a header section: 10 s */
    uint32_t idle_timeout_ms;      /* HTTP/1.1 between requests: 120 s */
    uint32_t keepalive_time_ms;    /* quiet time before we ping: 2 h; UINT32_MAX: never */
    uint32_t keepalive_timeout_ms; /* for the answer: 20 s */
    uint32_t ping_interval_min_ms; /* what we grant the peer's pings: 5 s; UINT32_MAX: any */
    bool pings_without_stream;     /* may the peer ping while it has no stream: false */
};

void http_limits_set_defaults(struct http_limits *limits); /* fills every 0 */

#endif
