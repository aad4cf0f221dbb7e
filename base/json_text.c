#include "base/json_text.h"

#include "base/utf8.h"

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
        size_t length = utf8_character_size(text);
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
