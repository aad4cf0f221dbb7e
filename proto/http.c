#include "proto/http.h"

const struct http_header *http_headers_find(const struct http_headers *headers, const char *name)
{
    struct bytes wanted = bytes_from_text(name);
    for (uint32_t i = 0; i < headers->count; i++) {
        if (bytes_equal(headers->items[i].name, wanted)) {
            return &headers->items[i];
        }
    }
    return NULL;
}

struct bytes http_headers_value(const struct http_headers *headers, const char *name)
{
    const struct http_header *header = http_headers_find(headers, name);
    return header == NULL ? bytes_make(NULL, 0) : header->value;
}

static void set_default(uint32_t *value, uint32_t by_default)
{
    if (*value == 0) {
        *value = by_default;
    }
}

void http_limits_set_defaults(struct http_limits *limits)
{
    set_default(&limits->header_list_bytes_max, 16 * 1024);
    set_default(&limits->header_count_max, 128);
    set_default(&limits->concurrent_streams_max, 1000);
    set_default(&limits->stream_window_bytes, 512 * 1024);
    set_default(&limits->connection_window_bytes, 2 * 1024 * 1024);
    set_default(&limits->resets_burst, 1000);
    set_default(&limits->resets_per_s, 33);
    set_default(&limits->frames_burst, 10000);
    set_default(&limits->frames_per_s, 1000);
    set_default(&limits->output_bytes_max, 1024 * 1024);
    set_default(&limits->handshake_timeout_ms, 10 * 1000);
    set_default(&limits->header_timeout_ms, 10 * 1000);
    set_default(&limits->idle_timeout_ms, 120 * 1000);
    set_default(&limits->keepalive_time_ms, 2 * 3600 * 1000);
    set_default(&limits->keepalive_timeout_ms, 20 * 1000);
    set_default(&limits->ping_interval_min_ms, 5 * 1000);
}
