#include "proto/grpc.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static const char *const status_names[] = {
#define X(name, number, text) [number] = (text),
    GRPC_STATUS_MAP(X)
#undef X
};

const char *grpc_status_name(enum grpc_status status)
{
    bool is_known = (unsigned)status < sizeof status_names / sizeof *status_names;
    return status_names[is_known ? status : GRPC_UNKNOWN];
}

enum grpc_status grpc_status_from_http(unsigned http_status)
{
    switch (http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

unsigned grpc_status_to_http(enum grpc_status status)
{
    switch (status) {
    case GRPC_OK:
        return 200;
    case GRPC_CANCELED:
        return 499;
    case GRPC_INVALID_ARGUMENT:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE:
        return 400;
    case GRPC_DEADLINE_EXCEEDED:
        return 504;
    case GRPC_NOT_FOUND:
        return 404;
    case GRPC_ALREADY_EXISTS:
    case GRPC_ABORTED:
        return 409;
    case GRPC_PERMISSION_DENIED:
        return 403;
    case GRPC_RESOURCE_EXHAUSTED:
        return 429;
    case GRPC_UNIMPLEMENTED:
        return 501;
    case GRPC_UNAVAILABLE:
        return 503;
    case GRPC_UNAUTHENTICATED:
        return 401;
    case GRPC_UNKNOWN:
    case GRPC_INTERNAL:
    case GRPC_DATA_LOSS:
        break;
    }
    return 500;
}

void grpc_message_percent_encode(struct buf *out, struct bytes text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
            buf_append_u8(out, byte);
        } else {
            buf_append_u8(out, '%');
            buf_append_u8(out, (uint8_t)digits[byte >> 4]);
            buf_append_u8(out, (uint8_t)digits[byte & 15]);
        }
    }
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

struct bytes grpc_message_percent_decode(struct bytes text, struct arena *arena)
{
    uint8_t *decoded = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int high = text.data[i] == '%' && i + 2 < text.size ? hex_value(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.data[i + 2]) : -1;
        if (low >= 0) {
            decoded[size++] = (uint8_t)(high * 16 + low);
            i += 2;
        } else {
            decoded[size++] = text.data[i];
        }
    }
    decoded[size] = 0;
    return bytes_make(decoded, size);
}

static const struct {
    char unit;
    uint64_t per_ms; /* units in a millisecond, or 0 */
    uint64_t ms;     /* milliseconds in a unit, or 0 */
} timeout_units[] = {
    {'H', 0, 3600 * 1000}, {'M', 0, 60 * 1000}, {'S', 0, 1000},
    {'m', 0, 1},           {'u', 1000, 0},      {'n', 1000 * 1000, 0},
};

enum { TIMEOUT_DIGITS_MAX = 8 };

bool grpc_timeout_parse(struct bytes text, uint64_t *ret_timeout_ms)
{
    if (text.size < 2 || text.size > TIMEOUT_DIGITS_MAX + 1) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    for (size_t i = 0; i < sizeof timeout_units / sizeof *timeout_units; i++) {
        if (timeout_units[i].unit == (char)text.data[text.size - 1]) {
            uint64_t per_ms = timeout_units[i].per_ms;
            *ret_timeout_ms =
                per_ms == 0 ? value * timeout_units[i].ms : (value + per_ms - 1) / per_ms;
            return true;
        }
    }
    return false;
}

struct bytes grpc_timeout_format(uint64_t timeout_ms, char text[GRPC_TIMEOUT_TEXT_MAX])
{
    const uint64_t digits_end = 100 * 1000 * 1000; /* the first number of nine digits */
    uint64_t value = timeout_ms;
    char unit = 'm';
    if (value >= digits_end) {
        value = timeout_ms / 1000;
        unit = 'S';
    }
    if (value >= digits_end) {
        value = timeout_ms / (3600 * 1000);
        unit = 'H';
    }
    value = value >= digits_end ? digits_end - 1 : value;
    int length = snprintf(text, GRPC_TIMEOUT_TEXT_MAX, "%llu%c", (unsigned long long)value, unit);
    CHECK(length > 0 && length < GRPC_TIMEOUT_TEXT_MAX);
    return bytes_make(text, (size_t)length);
}
