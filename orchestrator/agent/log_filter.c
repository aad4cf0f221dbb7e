#include "orchestrator/agent/log_filter.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/objects/timestamp.h"

struct parts {
    struct bytes time;
    bool is_full;
    struct bytes text;
};

static bool split(struct bytes line, struct parts *ret)
{
    struct bytes rest = line;
    struct bytes fields[3];
    for (int i = 0; i < 3; i++) {
        const uint8_t *space = rest.size == 0 ? NULL : memchr(rest.data, ' ', rest.size);
        if (space == NULL) {
            return false;
        }
        size_t size = (size_t)(space - rest.data);
        fields[i] = bytes_make(rest.data, size);
        rest = bytes_make(space + 1, rest.size - size - 1);
    }
    ret->time = fields[0];
    ret->is_full = fields[2].size == 1 && fields[2].data[0] == 'F';
    ret->text = rest;
    return true;
}

static int64_t time_of(struct bytes text)
{
    char copy[64];
    int64_t time_ms = 0;
    (void)snprintf(copy, sizeof(copy), "%.*s", (int)(text.size < 63 ? text.size : 63),
                   (const char *)text.data);
    return timestamp_parse(copy, &time_ms) == 0 ? time_ms : 0;
}

void log_filter_line(struct log_filter *filter, struct bytes line, struct buf *out)
{
    struct parts parts;
    size_t before = buf_size(out);
    if (!split(line, &parts) || (filter->since_ms > 0 && time_of(parts.time) < filter->since_ms)) {
        return;
    }
    if (filter->has_timestamps && !filter->is_within_line) {
        buf_append_bytes(out, parts.time);
        buf_append_u8(out, ' ');
    }
    buf_append_bytes(out, parts.text);
    if (parts.is_full) {
        buf_append_u8(out, '\n');
    }
    filter->is_within_line = !parts.is_full;
    size_t added = buf_size(out) - before;
    if (filter->bytes_left != INT64_MAX) {
        if ((int64_t)added > filter->bytes_left) {
            buf_truncate(out, before + (size_t)filter->bytes_left);
            added = (size_t)filter->bytes_left;
        }
        filter->bytes_left -= (int64_t)added;
    }
}

size_t log_tail_offset(struct bytes text, int64_t count, int64_t *ret_missing)
{
    size_t at = text.size;
    size_t begin = text.size; /* of the lines counted so far */
    int64_t found = 0;
    while (at > 0) {
        const uint8_t *newline = at < 2 ? NULL : memrchr(text.data, '\n', at - 1);
        size_t start = newline == NULL ? 0 : (size_t)(newline - text.data) + 1;
        struct parts parts;
        size_t size = at - start - (text.data[at - 1] == '\n');
        bool is_full = split(bytes_make(text.data + start, size), &parts) && parts.is_full;
        if (is_full && found == count) {
            break;
        }
        found += is_full;
        if (found > 0 || count > 0) {
            begin = start;
        }
        at = start;
    }
    *ret_missing = count - found;
    return begin;
}
