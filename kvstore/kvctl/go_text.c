#include "kvstore/kvctl/go_text.h"

#include <limits.h>
#include <string.h>

#include "base/utf8.h"

static const uint32_t REPLACEMENT = 0xfffd;

/* Decode one UTF-8 sequence; returns its length, or 1 with *is_valid false. */
static size_t utf8_decode(struct bytes text, uint32_t *ret_rune, bool *ret_is_valid)
{
    size_t size = utf8_character_size(text);
    *ret_is_valid = size > 0;
    if (size == 0) {
        *ret_rune = REPLACEMENT;
        return 1;
    }
    uint32_t rune = size == 1 ? text.data[0] : text.data[0] & (0xffU >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        rune = rune << 6 | (text.data[i] & 0x3fU);
    }
    *ret_rune = rune;
    return size;
}

/* unicode.IsPrint without the tables of unassigned characters: spaces other than U+0020, controls,
 * formats, private use and noncharacters are not printable. */
static bool rune_is_printable(uint32_t rune)
{
    static const struct {
        uint32_t first;
        uint32_t last;
    } hidden[] = {{0, 0x1f},          {0x7f, 0xa0},       {0xad, 0xad},       {0x600, 0x605},
                  {0x61c, 0x61c},     {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x1680, 0x1680},
                  {0x180e, 0x180e},   {0x2000, 0x200f},   {0x2028, 0x202f},   {0x205f, 0x206f},
                  {0x3000, 0x3000},   {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},   {0xfeff, 0xfeff},
                  {0xfff0, 0xfffb},   {0xfffe, 0xffff},   {0x1fffe, 0x1ffff}, {0x2fffe, 0x2ffff},
                  {0xe0000, 0xe00ff}, {0xf0000, 0x10ffff}};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        if (rune >= hidden[i].first && rune <= hidden[i].last) {
            return false;
        }
    }
    return true;
}

static void append_quoted_rune(struct buf *out, uint32_t rune)
{
    static const char short_names[] = "abtnvfr"; /* 7..13 */
    if (rune >= 7 && rune <= 13) {
        buf_append_format(out, "\\%c", short_names[rune - 7]);
    } else if (rune < 0x20 || rune == 0x7f) {
        buf_append_format(out, "\\x%02x", (unsigned)rune);
    } else if (rune < 0x10000) {
        buf_append_format(out, "\\u%04x", (unsigned)rune);
    } else {
        buf_append_format(out, "\\U%08x", (unsigned)rune);
    }
}

void go_text_append_quoted(struct buf *out, struct bytes text)
{
    buf_append_u8(out, '"');
    while (text.size > 0) {
        uint32_t rune;
        bool is_valid;
        size_t length = utf8_decode(text, &rune, &is_valid);
        if (!is_valid) {
            buf_append_format(out, "\\x%02x", text.data[0]);
        } else if (rune == '"' || rune == '\\') {
            buf_append_format(out, "\\%c", (int)rune);
        } else if (rune_is_printable(rune)) {
            buf_append(out, text.data, length);
        } else {
            append_quoted_rune(out, rune);
        }
        text = bytes_make(text.data + length, text.size - length);
    }
    buf_append_u8(out, '"');
}

static void append_json_escape(struct buf *out, uint32_t rune)
{
    switch (rune) {
    case '"':
    case '\\':
        buf_append_format(out, "\\%c", (int)rune);
        break;
    case '\b':
        buf_append_text(out, "\\b");
        break;
    case '\f':
        buf_append_text(out, "\\f");
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
        buf_append_format(out, "\\u%04x", (unsigned)rune);
        break;
    }
}

void go_text_append_json(struct buf *out, struct bytes text)
{
    buf_append_u8(out, '"');
    while (text.size > 0) {
        uint32_t rune;
        bool is_valid;
        size_t length = utf8_decode(text, &rune, &is_valid);
        if (!is_valid) {
            buf_append_text(out, "\\ufffd");
        } else if (rune < 0x20 || rune == '"' || rune == '\\' || rune == '<' || rune == '>' ||
                   rune == '&' || rune == 0x2028 || rune == 0x2029) {
            append_json_escape(out, rune);
        } else {
            buf_append(out, text.data, length);
        }
        text = bytes_make(text.data + length, text.size - length);
    }
    buf_append_u8(out, '"');
}

void go_text_append_json_base64(struct buf *out, struct bytes data)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_append_u8(out, '"');
    size_t encoded_size = (data.size + 2) / 3 * 4;
    uint8_t *target = buf_reserve(out, encoded_size + 1);
    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t group = (uint32_t)data.data[i] << 16;
        group |= left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0;
        group |= left > 2 ? data.data[i + 2] : 0U;
        *target++ = (uint8_t)letters[group >> 18];
        *target++ = (uint8_t)letters[(group >> 12) & 63];
        *target++ = left > 1 ? (uint8_t)letters[(group >> 6) & 63] : '=';
        *target++ = left > 2 ? (uint8_t)letters[group & 63] : '=';
    }
    *target = '"';
    buf_commit(out, encoded_size + 1);
}

void go_text_append_hex(struct buf *out, struct bytes data)
{
    for (size_t i = 0; i < data.size; i++) {
        buf_append_format(out, "\\x%02x", data.data[i]);
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void append_utf8(struct buf *out, uint32_t rune)
{
    if (rune < 0x80) {
        buf_append_u8(out, (uint8_t)rune);
    } else if (rune < 0x800) {
        buf_append_u8(out, (uint8_t)(0xc0U | rune >> 6));
        buf_append_u8(out, (uint8_t)(0x80U | (rune & 0x3fU)));
    } else if (rune < 0x10000) {
        buf_append_u8(out, (uint8_t)(0xe0U | rune >> 12));
        buf_append_u8(out, (uint8_t)(0x80U | (rune >> 6 & 0x3fU)));
        buf_append_u8(out, (uint8_t)(0x80U | (rune & 0x3fU)));
    } else {
        buf_append_u8(out, (uint8_t)(0xf0U | rune >> 18));
        buf_append_u8(out, (uint8_t)(0x80U | (rune >> 12 & 0x3fU)));
        buf_append_u8(out, (uint8_t)(0x80U | (rune >> 6 & 0x3fU)));
        buf_append_u8(out, (uint8_t)(0x80U | (rune & 0x3fU)));
    }
}

/* digits hexadecimal or octal digits at text[*at]; the value is a byte or a code point. */
static int unquote_number(struct bytes text, size_t *at, size_t digits, uint32_t base,
                          uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++, (*at)++) {
        int digit = *at < text.size ? hex_digit(text.data[*at]) : -1;
        if (digit < 0 || (uint32_t)digit >= base) {
            return ERR_INVALID;
        }
        value = value * base + (uint32_t)digit;
    }
    *ret = value;
    return 0;
}

/* The escape after a backslash; text.data[*at] is the letter. */
static int unquote_escape(struct bytes text, size_t *at, struct buf *out)
{
    if (*at >= text.size) {
        return ERR_INVALID;
    }
    static const char names[] = "abtnvfr";
    uint8_t c = text.data[*at];
    const char *name = c == 0 ? NULL : strchr(names, c);
    uint32_t value;
    if (name != NULL) {
        *at += 1;
        buf_append_u8(out, (uint8_t)(7 + (name - names)));
        return 0;
    }
    if (c == '\\' || c == '"') {
        *at += 1;
        buf_append_u8(out, c);
        return 0;
    }
    if (c == 'x' || (c >= '0' && c <= '7')) {
        *at += c == 'x';
        int result = c == 'x' ? unquote_number(text, at, 2, 16, &value)
                              : unquote_number(text, at, 3, 8, &value);
        if (result < 0 || value > 255) {
            return ERR_INVALID;
        }
        buf_append_u8(out, (uint8_t)value);
        return 0;
    }
    if (c != 'u' && c != 'U') {
        return ERR_INVALID;
    }
    *at += 1;
    int result = unquote_number(text, at, c == 'u' ? 4 : 8, 16, &value);
    if (result < 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return ERR_INVALID;
    }
    append_utf8(out, value);
    return 0;
}

static int unquote_raw(struct bytes *text, struct buf *out)
{
    for (size_t at = 1; at < text->size; at++) {
        if (text->data[at] == '`') {
            buf_append(out, text->data + 1, at - 1);
            *text = bytes_make(text->data + at + 1, text->size - at - 1);
            return 0;
        }
    }
    return ERR_INVALID;
}

int go_text_unquote(struct bytes *text, struct buf *out)
{
    if (text->size < 2) {
        return ERR_INVALID;
    }
    if (text->data[0] == '`') {
        return unquote_raw(text, out);
    }
    if (text->data[0] != '"') {
        return ERR_INVALID;
    }
    size_t at = 1;
    while (at < text->size) {
        uint8_t c = text->data[at];
        at += 1;
        if (c == '"') {
            *text = bytes_make(text->data + at, text->size - at);
            return 0;
        }
        if (c == '\n') {
            return ERR_INVALID;
        }
        if (c != '\\') {
            buf_append_u8(out, c);
        } else if (unquote_escape(*text, &at, out) < 0) {
            return ERR_INVALID;
        }
    }
    return ERR_INVALID;
}

/* Magnitude of a number with optional base prefix; false: not a number; *ret_overflow if too big.
 */
static bool parse_magnitude(const char *text, int base, uint64_t *ret, bool *ret_overflow)
{
    if (base == 0) {
        base = 10;
        if (text[0] == '0' && text[1] != '\0') {
            char kind = (char)(text[1] | 0x20);
            base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
            text += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
        }
    }
    if (*text == '\0') {
        return false;
    }
    uint64_t value = 0;
    for (; *text != '\0'; text++) {
        int digit = hex_digit((uint8_t)*text);
        if (digit < 0 || digit >= base) {
            return false;
        }
        *ret_overflow |= __builtin_mul_overflow(value, (uint64_t)base, &value);
        *ret_overflow |= __builtin_add_overflow(value, (uint64_t)digit, &value);
    }
    *ret = value;
    return true;
}

static int parse_failed(struct err *err, const char *function, const char *text, const char *why)
{
    struct buf quoted = BUF_INIT;
    go_text_append_quoted(&quoted, bytes_from_text(text));
    int result =
        err_set(err, ERR_INVALID, "strconv.%s: parsing %s: %s", function, buf_text(&quoted), why);
    buf_deinit(&quoted);
    return result;
}

int go_text_parse_u64(const char *text, int base, uint64_t *ret, struct err *err)
{
    bool overflow = false;
    uint64_t value;
    if (!parse_magnitude(text, base, &value, &overflow)) {
        return parse_failed(err, "ParseUint", text, "invalid syntax");
    }
    if (overflow) {
        return parse_failed(err, "ParseUint", text, "value out of range");
    }
    *ret = value;
    return 0;
}

int go_text_parse_i64(const char *text, int base, int64_t *ret, struct err *err)
{
    bool is_negative = text[0] == '-';
    bool overflow = false;
    uint64_t value;
    if (!parse_magnitude(text + (text[0] == '-' || text[0] == '+'), base, &value, &overflow)) {
        return parse_failed(err, "ParseInt", text, "invalid syntax");
    }
    if (overflow || value > (uint64_t)INT64_MAX + (is_negative ? 1 : 0)) {
        return parse_failed(err, "ParseInt", text, "value out of range");
    }
    *ret = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}

int go_text_parse_bool(const char *text, bool *ret)
{
    static const char *const words[] = {"1", "t", "T", "TRUE",  "true",  "True",
                                        "0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < 12; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = i < 6;
            return 0;
        }
    }
    return ERR_INVALID;
}

static bool unit_ns(const char **text, uint64_t *ret)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},
                 {"us", 1000},
                 {"\xc2\xb5s", 1000},
                 {"\xce\xbcs", 1000},
                 {"ms", 1000000},
                 {"s", 1000000000},
                 {"m", UINT64_C(60000000000)},
                 {"h", UINT64_C(3600000000000)}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = strlen(units[i].name);
        if (strncmp(*text, units[i].name, length) == 0) {
            *ret = units[i].ns;
            *text += length;
            return true;
        }
    }
    return false;
}

/* Digits with an optional fraction and a unit, e.g. "1.5s"; the fraction is exact to 1e-9. */
static bool duration_part(const char **text, uint64_t *total_ns)
{
    uint64_t whole = 0;
    uint64_t fraction = 0;
    uint64_t scale = 1;
    bool any = false;
    bool overflow = false;
    for (; **text >= '0' && **text <= '9'; (*text)++, any = true) {
        overflow |= __builtin_mul_overflow(whole, 10, &whole);
        overflow |= __builtin_add_overflow(whole, (uint64_t)(**text - '0'), &whole);
    }
    if (**text == '.') {
        (*text)++;
        for (; **text >= '0' && **text <= '9'; (*text)++, any = true) {
            if (scale < 1000000000) {
                fraction = fraction * 10 + (uint64_t)(**text - '0');
                scale *= 10;
            }
        }
    }
    uint64_t unit;
    if (!any || overflow || !unit_ns(text, &unit)) {
        return false;
    }
    uint64_t part;
    overflow |= __builtin_mul_overflow(whole, unit, &part);
    overflow |=
        __builtin_add_overflow(part, (uint64_t)((__uint128_t)fraction * unit / scale), &part);
    overflow |= __builtin_add_overflow(*total_ns, part, total_ns);
    return !overflow && *total_ns <= INT64_MAX;
}

int go_text_parse_duration_ns(const char *text, uint64_t *ret_ns)
{
    if (*text == '+') {
        text++;
    }
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    if (*text == '\0') {
        return ERR_INVALID;
    }
    uint64_t total = 0;
    while (*text != '\0') {
        if (!duration_part(&text, &total)) {
            return ERR_INVALID;
        }
    }
    *ret_ns = total;
    return 0;
}

/* value/unit with up to `digits` decimals, without trailing zeros. */
static void append_decimal(struct buf *out, uint64_t value, uint64_t unit, int digits)
{
    buf_append_format(out, "%llu", (unsigned long long)(value / unit));
    uint64_t fraction = value % unit;
    if (fraction == 0) {
        return;
    }
    while (fraction % 10 == 0) {
        fraction /= 10;
        digits -= 1;
    }
    buf_append_format(out, ".%0*llu", digits, (unsigned long long)fraction);
}

void go_text_append_duration(struct buf *out, uint64_t duration_ns)
{
    const uint64_t second = 1000000000;
    if (duration_ns == 0) {
        buf_append_text(out, "0s");
    } else if (duration_ns < 1000) {
        buf_append_format(out, "%lluns", (unsigned long long)duration_ns);
    } else if (duration_ns < 1000000) {
        append_decimal(out, duration_ns, 1000, 3);
        buf_append_text(out, "\xc2\xb5s");
    } else if (duration_ns < second) {
        append_decimal(out, duration_ns, 1000000, 6);
        buf_append_text(out, "ms");
    } else {
        uint64_t minutes = duration_ns / (60 * second);
        if (minutes >= 60) {
            buf_append_format(out, "%lluh", (unsigned long long)(minutes / 60));
        }
        if (minutes > 0) {
            buf_append_format(out, "%llum", (unsigned long long)(minutes % 60));
        }
        append_decimal(out, duration_ns % (60 * second), second, 9);
        buf_append_u8(out, 's');
    }
}

void go_text_append_size(struct buf *out, uint64_t size_bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (size_bytes < 10) {
        buf_append_format(out, "%llu B", (unsigned long long)size_bytes);
        return;
    }
    size_t unit = 0;
    uint64_t divisor = 1;
    while (unit < 6 && size_bytes / divisor >= 1000) {
        divisor *= 1000;
        unit += 1;
    }
    /* One decimal, rounded half up, shown below ten only. */
    uint64_t tenths = (uint64_t)(((__uint128_t)size_bytes * 10 + divisor / 2) / divisor);
    if (tenths < 100) {
        buf_append_format(out, "%llu.%llu %s", (unsigned long long)(tenths / 10),
                          (unsigned long long)(tenths % 10), units[unit]);
    } else {
        /* %.0f of a value that already has one decimal: half to even. */
        uint64_t whole = tenths / 10;
        uint64_t rest = tenths % 10;
        whole += rest > 5 || (rest == 5 && whole % 2 == 1);
        buf_append_format(out, "%llu %s", (unsigned long long)whole, units[unit]);
    }
}
