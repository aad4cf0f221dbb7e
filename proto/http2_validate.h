/* http2_validate.h - what RFC 9113 section 8 demands of a request's fields, checked by us.
 *
 * nghttp2 checks the same and one thing more: that :authority has only an authority's characters.
 * grpc-go clients (etcdctl 3.4 among them) send "http://127.0.0.1:2379" there, and Go's servers
 * take it; so do we. */
#ifndef PROTO_HTTP2_VALIDATE_H
#define PROTO_HTTP2_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* The state of one request's sections; zero it at the start. */
struct http2_validator {
    uint8_t pseudo; /* bit set of what was seen */
    bool has_regular;
    bool is_trailer;
    bool has_length;
    uint64_t content_length;
};

/* One field, in order. False: the request is malformed. */
bool http2_validate_field(struct http2_validator *validator, struct bytes name, struct bytes value);
/* The first section is complete. */
bool http2_validate_request(struct http2_validator *validator, bool is_end);
/* The message is complete with this many body bytes. */
bool http2_validate_end(const struct http2_validator *validator, uint64_t body_bytes);

#endif
