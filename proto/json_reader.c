#include "proto/json_reader.h"

#include "base/utf8.h"

struct json_reader json_reader_make(struct bytes text, struct arena *arena)
{
    return (struct json_reader){.start = text.data, .left = text, .arena = arena};
}

size_t json_reader_position(const struct json_reader *reader)
{
    return (size_t)(reader->left.data - reader->start);
}

static void advance(struct json_reader *reader, size_t size)
{
    reader->left.data += size;
    reader->left.size -= size;
}

static void skip_space(struct json_reader *reader)
{
    while (reader->left.size > 0 && strchr(" \t\r\n", reader->left.data[0]) != NULL &&
           reader->left.data[0] != 0) {
        advance(reader, 1);
    }
}

enum json_type json_peek(struct json_reader *reader)
{
    skip_space(reader);
    if (reader->left.size == 0) {
        return JSON_END;
    }
    uint8_t c = reader->left.data[0];
    switch (c) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return c == '-' || (c >= '0' && c <= '9') ? JSON_NUMBER : JSON_BAD;
    }
}

bool json_take_mark(struct json_reader *reader, char mark)
{
    skip_space(reader);
    if (reader->left.size == 0 || reader->left.data[0] != (uint8_t)mark) {
        return false;
    }
    advance(reader, 1);
    return true;
}

static bool take_word(struct json_reader *reader, struct bytes word)
{
    skip_space(reader);
    if (!bytes_has_prefix(reader->left, word)) {
        return false;
    }
    advance(reader, word.size);
    return true;
}

bool json_take_bool(struct json_reader *reader, bool *ret_value)
{
    if (take_word(reader, BYTES_LITERAL("true"))) {
        *ret_value = true;
        return true;
    }
    if (take_word(reader, BYTES_LITERAL("false"))) {
        *ret_value = false;
        return true;
    }
    return false;
}

bool json_take_null(struct json_reader *reader)
{
    return take_word(reader, BYTES_LITERAL("null"));
}

static size_t digits_at(struct bytes text, size_t at)
{
    size_t count = 0;
    while (at + count < text.size && text.data[at + count] >= '0' && text.data[at + count] <= '9') {
        count++;
    }
    return count;
}

bool json_take_number(struct json_reader *reader, struct bytes *ret_text)
{
    skip_space(reader);
    struct bytes text = reader->left;
    size_t at = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    size_t digits = digits_at(text, at);
    if (digits == 0 || (digits > 1 && text.data[at] == '0')) {
        return false;
    }
    at += digits;
    if (at < text.size && text.data[at] == '.') {
        digits = digits_at(text, at + 1);
        if (digits == 0) {
            return false;
        }
        at += 1 + digits;
    }
    if (at < text.size && (text.data[at] | 0x20) == 'e') {
        at++;
        at += at < text.size && (text.data[at] == '+' || text.data[at] == '-') ? 1 : 0;
        digits = digits_at(text, at);
        if (digits == 0) {
            return false;
        }
        at += digits;
    }
    *ret_text = bytes_make(text.data, at);
    advance(reader, at);
    return true;
}

static bool hex4(struct bytes text, uint32_t *ret_value)
{
    uint32_t value = 0;
    if (text.size < 4) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = text.data[i];
        uint8_t lower = c | 0x20;
        uint32_t digit = 0;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            digit = (uint32_t)(lower - 'a' + 10);
        } else {
            return false;
        }
        value = value * 16 + digit;
    }
    *ret_value = value;
    return true;
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (c & 63));
        c >>= 6;
    }
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (uint8_t)(first[size] | c);
    return size;
}

/* After "\u". A pair of surrogates is one character; half a pair is none. */
static bool take_unicode(struct bytes *text, uint8_t *out, size_t *used)
{
    uint32_t high = 0;
    uint32_t low = 0;
    if (!hex4(*text, &high)) {
        return false;
    }
    *text = bytes_make(text->data + 4, text->size - 4);
    if (high >= 0xd800 && high < 0xe000) {
        if (high >= 0xdc00 || text->size < 6 || text->data[0] != '\\' || text->data[1] != 'u' ||
            !hex4(bytes_make(text->data + 2, text->size - 2), &low) || low < 0xdc00 ||
            low >= 0xe000) {
            return false;
        }
        *text = bytes_make(text->data + 6, text->size - 6);
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    *used += put_utf8(out + *used, high);
    return true;
}

static bool take_escape(struct bytes *text, uint8_t *out, size_t *used)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (text->size < 2) {
        return false;
    }
    uint8_t c = text->data[1];
    *text = bytes_make(text->data + 2, text->size - 2);
    if (c == 'u') {
        return take_unicode(text, out, used);
    }
    const char *found = c == 0 ? NULL : strchr(from, c);
    if (found == NULL) {
        return false;
    }
    out[(*used)++] = (uint8_t)to[found - from];
    return true;
}

/* Where the closing quote is, or 0. */
static size_t find_quote(struct bytes text)
{
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i] == '\\') {
            i++;
        } else if (text.data[i] == '"') {
            return i;
        }
    }
    return 0;
}

bool json_take_string(struct json_reader *reader, struct bytes *ret_text)
{
    if (json_peek(reader) != JSON_STRING) {
        return false;
    }
    size_t end = find_quote(reader->left);
    if (end == 0) {
        return false;
    }
    struct bytes text = bytes_make(reader->left.data + 1, end - 1);
    uint8_t *out = arena_alloc(reader->arena, text.size + 1); /* an escape is never shorter */
    size_t used = 0;
    while (text.size > 0) {
        if (text.data[0] == '\\') {
            if (!take_escape(&text, out, &used)) {
                return false;
            }
            continue;
        }
        size_t size = utf8_character_size(text);
        if (size == 0 || text.data[0] < 0x20) {
            return false;
        }
        memcpy(out + used, text.data, size);
        used += size;
        text = bytes_make(text.data + size, text.size - size);
    }
    out[used] = 0;
    *ret_text = bytes_make(out, used);
    advance(reader, end + 1);
    return true;
}

static bool skip_list(struct json_reader *reader, unsigned depth, char close, bool has_names)
{
    struct bytes name = {NULL, 0};
    if (json_take_mark(reader, close)) {
        return true;
    }
    do {
        if (has_names && (!json_take_string(reader, &name) || !json_take_mark(reader, ':'))) {
            return false;
        }
        if (!json_skip_value(reader, depth + 1)) {
            return false;
        }
    } while (json_take_mark(reader, ','));
    return json_take_mark(reader, close);
}

bool json_skip_value(struct json_reader *reader, unsigned depth)
{
    struct bytes text = {NULL, 0};
    bool value = false;
    if (depth > JSON_DEPTH_MAX) {
        return false;
    }
    switch (json_peek(reader)) {
    case JSON_OBJECT:
        return json_take_mark(reader, '{') && skip_list(reader, depth, '}', true);
    case JSON_ARRAY:
        return json_take_mark(reader, '[') && skip_list(reader, depth, ']', false);
    case JSON_STRING:
        return json_take_string(reader, &text);
    case JSON_NUMBER:
        return json_take_number(reader, &text);
    case JSON_BOOL:
        return json_take_bool(reader, &value);
    case JSON_NULL:
        return json_take_null(reader);
    case JSON_END:
    case JSON_BAD:
        break;
    }
    return false;
}
