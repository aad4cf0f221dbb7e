#include "base/json_text.h"

/* Length of the well-formed UTF-8 sequence at text[0] (RFC 3629 section 4), 0 if malformed. */
static size_t utf8_length(struct bytes text)
{
    uint8_t first = text.data[0];
    if (first < 0x80) {
        return 1;
    }
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size < length) {
        return 0;
    }
    uint8_t second = text.data[1];
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((text.data[i] & 0xc0U) != 0x80) {
            return 0;
        }
    }
    return length;
}

static void append_escaped(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"':
        buf_append_text(out, "\\\"");
        break;
    case '\\':
        buf_append_text(out, "\\\\");
        break;
    case '\n':
        buf_append_text(out, "\\n");
        break;
    case '\r':
        buf_append_text(out, "\\r");
        break;
    case '\t':
        buf_append_text(out, "\\t");
        break;
    default:
        buf_append_format(out, "\\u%04x", (unsigned)c);
        break;
    }
}

void json_text_append_quoted(struct buf *out, struct bytes text)
{
    buf_append_u8(out, '"');
    while (text.size > 0) {
        uint8_t c = text.data[0];
        size_t length = utf8_length(text);
        if (length == 0) {
            buf_append_text(out, "\xef\xbf\xbd");
            length = 1;
        } else if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
            append_escaped(out, c);
        } else {
            buf_append(out, text.data, length);
        }
        text = bytes_make(text.data + length, text.size - length);
    }
    buf_append_u8(out, '"');
}
