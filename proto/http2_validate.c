#include "proto/http2_validate.h"

#include <nghttp2/nghttp2.h>

enum { PSEUDO_METHOD = 1, PSEUDO_SCHEME = 2, PSEUDO_PATH = 4, PSEUDO_AUTHORITY = 8 };

enum { CONTENT_LENGTH_DIGITS_MAX = 18 };

static bool is_name(struct bytes name, const char *text)
{
    return bytes_equal(name, bytes_from_text(text));
}

static bool validate_pseudo(struct http2_validator *validator, struct bytes name,
                            struct bytes value)
{
    uint8_t bit = is_name(name, ":method")      ? PSEUDO_METHOD
                  : is_name(name, ":scheme")    ? PSEUDO_SCHEME
                  : is_name(name, ":path")      ? PSEUDO_PATH
                  : is_name(name, ":authority") ? PSEUDO_AUTHORITY
                                                : 0;
    bool is_allowed = bit != 0 && (validator->pseudo & bit) == 0 && !validator->has_regular &&
                      !validator->is_trailer;
    if (!is_allowed || (bit != PSEUDO_AUTHORITY && value.size == 0)) {
        return false;
    }
    validator->pseudo |= bit;
    /* "*" is for OPTIONS of a whole server. */
    return bit != PSEUDO_PATH || value.data[0] == '/' || (value.size == 1 && value.data[0] == '*');
}

/* Fields that speak of a connection have no meaning on a stream (section 8.2.2). */
static bool is_connection_field(struct bytes name, struct bytes value)
{
    static const char *const names[] = {"connection", "keep-alive", "proxy-connection",
                                        "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_name(name, names[i])) {
            return true;
        }
    }
    return is_name(name, "te") && !is_name(value, "trailers");
}

static bool validate_length(struct http2_validator *validator, struct bytes value)
{
    if (validator->has_length || value.size == 0 || value.size > CONTENT_LENGTH_DIGITS_MAX) {
        return false;
    }
    validator->has_length = true;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
        validator->content_length = validator->content_length * 10 + (value.data[i] - '0');
    }
    return true;
}

bool http2_validate_field(struct http2_validator *validator, struct bytes name, struct bytes value)
{
    if (nghttp2_check_header_value(value.data, value.size) == 0) {
        return false;
    }
    if (name.size > 1 && name.data[0] == ':') {
        return validate_pseudo(validator, name, value);
    }
    validator->has_regular = true;
    if (nghttp2_check_header_name(name.data, name.size) == 0 || is_connection_field(name, value)) {
        return false;
    }
    if (is_name(name, "content-length")) {
        return validate_length(validator, value);
    }
    return true;
}

bool http2_validate_request(struct http2_validator *validator, bool is_end)
{
    if (validator->is_trailer) {
        return is_end; /* a second section that does not end the message */
    }
    validator->is_trailer = true;
    unsigned needed = PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_PATH;
    return (validator->pseudo & needed) == needed;
}

bool http2_validate_end(const struct http2_validator *validator, uint64_t body_bytes)
{
    return !validator->has_length || validator->content_length == body_bytes;
}
