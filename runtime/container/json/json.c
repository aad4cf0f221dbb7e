#include "runtime/container/json/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"

struct parser {
    struct arena *arena;
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *begin;
    struct err *err;
};

static int parse_value(struct parser *parser, struct json_value *value, unsigned depth);

static int fail(const struct parser *parser, const char *what)
{
    size_t line = 1;
    size_t column = 1;
    for (const uint8_t *p = parser->begin; p < parser->at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return err_set(parser->err, ERR_MALFORMED, "not valid JSON at line %zu, column %zu: %s", line,
                   column, what);
}

static void skip_space(struct parser *parser)
{
    while (parser->at < parser->end && (*parser->at == ' ' || *parser->at == '\n' ||
                                        *parser->at == '\t' || *parser->at == '\r')) {
        parser->at++;
    }
}

static bool take(struct parser *parser, char c)
{
    if (parser->at < parser->end && *parser->at == (uint8_t)c) {
        parser->at++;
        return true;
    }
    return false;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex4(struct parser *parser, uint32_t *ret)
{
    if (parser->end - parser->at < 4) {
        return false;
    }
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(parser->at[i]);
        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint32_t)digit;
    }
    parser->at += 4;
    *ret = value;
    return true;
}

static char *put_utf8(char *out, uint32_t point)
{
    if (point < 0x80) {
        *out++ = (char)point;
    } else if (point < 0x800) {
        *out++ = (char)(0xc0 | point >> 6);
        *out++ = (char)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *out++ = (char)(0xe0 | point >> 12);
        *out++ = (char)(0x80 | (point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (point & 0x3f));
    } else {
        *out++ = (char)(0xf0 | point >> 18);
        *out++ = (char)(0x80 | (point >> 12 & 0x3f));
        *out++ = (char)(0x80 | (point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (point & 0x3f));
    }
    return out;
}

/* After "\u". Surrogates come in pairs; a lone one becomes U+FFFD, as Go's decoder does. */
static int parse_unicode_escape(struct parser *parser, char **out)
{
    uint32_t point = 0;
    if (!take_hex4(parser, &point)) {
        return fail(parser, "four hexadecimal digits must follow \\u");
    }
    if (point == 0) {
        return fail(parser, "a string must not contain U+0000");
    }
    if (point >= 0xd800 && point < 0xe000) {
        uint32_t low = 0;
        const uint8_t *before = parser->at;
        bool is_pair = point < 0xdc00 && take(parser, '\\') && take(parser, 'u') &&
                       take_hex4(parser, &low) && low >= 0xdc00 && low < 0xe000;
        if (is_pair) {
            point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        } else {
            parser->at = before;
            point = 0xfffd;
        }
    }
    *out = put_utf8(*out, point);
    return 0;
}

static int parse_escape(struct parser *parser, char **out)
{
    if (parser->at == parser->end) {
        return fail(parser, "the string does not end");
    }
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    uint8_t c = *parser->at++;
    if (c == 'u') {
        return parse_unicode_escape(parser, out);
    }
    const char *place = c == 0 ? NULL : strchr(from, c);
    if (place == NULL) {
        return fail(parser, "unknown escape in a string");
    }
    *(*out)++ = to[place - from];
    return 0;
}

/* Bytes of the UTF-8 sequence at p, 0 when it is not valid (RFC 3629 table 3-7). */
static size_t utf8_length(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        uint8_t low = p[0] == 0xe0 ? 0xa0 : 0x80;
        uint8_t high = p[0] == 0xed ? 0x9f : 0xbf;
        bool is_valid = left >= 3 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80;
        return is_valid ? 3 : 0;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        uint8_t low = p[0] == 0xf0 ? 0x90 : 0x80;
        uint8_t high = p[0] == 0xf4 ? 0x8f : 0xbf;
        bool is_valid = left >= 4 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 &&
                        (p[3] & 0xc0) == 0x80;
        return is_valid ? 4 : 0;
    }
    return 0;
}

/* Bytes that the decoded string can need at most: what lies before the closing quote. */
static size_t raw_string_size(const struct parser *parser)
{
    const uint8_t *p = parser->at;
    while (p < parser->end && *p != '"') {
        p += *p == '\\' ? 2 : 1;
    }
    return (size_t)((p < parser->end ? p : parser->end) - parser->at);
}

/* After the opening quote. */
static int parse_string(struct parser *parser, const char **ret, size_t *ret_size)
{
    char *text = arena_alloc(parser->arena, raw_string_size(parser) + 1);
    char *out = text;
    for (;;) {
        if (parser->at >= parser->end) {
            return fail(parser, "the string does not end");
        }
        uint8_t c = *parser->at;
        if (c == '"') {
            parser->at++;
            break;
        }
        if (c < 0x20) {
            return fail(parser, "control character in a string");
        }
        if (c == '\\') {
            parser->at++;
            int rc = parse_escape(parser, &out);
            if (rc < 0) {
                return rc;
            }
            continue;
        }
        size_t length = utf8_length(parser->at, parser->end);
        if (length == 0) {
            return fail(parser, "invalid UTF-8");
        }
        memcpy(out, parser->at, length);
        out += length;
        parser->at += length;
    }
    *out = 0;
    *ret = text;
    *ret_size = (size_t)(out - text);
    return 0;
}

static size_t skip_digits(struct parser *parser)
{
    const uint8_t *before = parser->at;
    while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9') {
        parser->at++;
    }
    return (size_t)(parser->at - before);
}

static int parse_number(struct parser *parser, struct json_value *value)
{
    const uint8_t *begin = parser->at;
    (void)take(parser, '-');
    bool has_leading_zero = parser->at < parser->end && *parser->at == '0';
    size_t digits = skip_digits(parser);
    if (digits == 0 || (has_leading_zero && digits > 1)) {
        return fail(parser, "not a number");
    }
    if (take(parser, '.') && skip_digits(parser) == 0) {
        return fail(parser, "digits must follow the decimal point");
    }
    if (take(parser, 'e') || take(parser, 'E')) {
        if (!take(parser, '+')) {
            (void)take(parser, '-');
        }
        if (skip_digits(parser) == 0) {
            return fail(parser, "digits must follow the exponent");
        }
    }
    value->type = JSON_NUMBER;
    value->text_size = (size_t)(parser->at - begin);
    value->text = arena_text(parser->arena, bytes_make(begin, value->text_size));
    return 0;
}

static bool take_word(struct parser *parser, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(parser->end - parser->at) < size || memcmp(parser->at, word, size) != 0) {
        return false;
    }
    parser->at += size;
    return true;
}

/* One member or element; links it behind *tail. */
static int parse_child(struct parser *parser, struct json_value *parent, struct json_value ***tail,
                       unsigned depth)
{
    struct json_value *child = arena_zalloc(parser->arena, sizeof *child);
    child->parent = parent;
    skip_space(parser);
    if (parent->type == JSON_OBJECT) {
        size_t key_size = 0;
        if (!take(parser, '"')) {
            return fail(parser, "expected a member name in quotes");
        }
        int rc = parse_string(parser, &child->key, &key_size);
        if (rc < 0) {
            return rc;
        }
        skip_space(parser);
        if (!take(parser, ':')) {
            return fail(parser, "expected ':' after a member name");
        }
    }
    int rc = parse_value(parser, child, depth + 1);
    if (rc < 0) {
        return rc;
    }
    **tail = child;
    *tail = &child->next;
    parent->count++;
    return 0;
}

/* After the opening bracket. */
static int parse_children(struct parser *parser, struct json_value *value, char close,
                          unsigned depth)
{
    struct json_value **tail = &value->first;
    skip_space(parser);
    if (take(parser, close)) {
        return 0;
    }
    for (;;) {
        int rc = parse_child(parser, value, &tail, depth);
        if (rc < 0) {
            return rc;
        }
        skip_space(parser);
        if (take(parser, close)) {
            return 0;
        }
        if (!take(parser, ',')) {
            return fail(parser, close == ']' ? "expected ',' or ']'" : "expected ',' or '}'");
        }
    }
}

static int parse_value(struct parser *parser, struct json_value *value, unsigned depth)
{
    if (depth > JSON_DEPTH_MAX) {
        return fail(parser, "nested too deep");
    }
    skip_space(parser);
    if (parser->at == parser->end) {
        return fail(parser, "the document ends too early");
    }
    if (take(parser, '{')) {
        value->type = JSON_OBJECT;
        return parse_children(parser, value, '}', depth);
    }
    if (take(parser, '[')) {
        value->type = JSON_ARRAY;
        return parse_children(parser, value, ']', depth);
    }
    if (take(parser, '"')) {
        value->type = JSON_STRING;
        return parse_string(parser, &value->text, &value->text_size);
    }
    if (take_word(parser, "null")) {
        value->type = JSON_NULL;
        return 0;
    }
    if (take_word(parser, "true") || take_word(parser, "false")) {
        value->type = JSON_BOOL;
        value->boolean = parser->at[-2] == 'u';
        return 0;
    }
    return parse_number(parser, value);
}

int json_parse(struct arena *arena, struct bytes text, struct json_value **ret, struct err *err)
{
    if (text.size > JSON_SIZE_MAX) {
        return err_set(err, ERR_TOO_LARGE, "JSON document of %zu bytes; at most %d are accepted",
                       text.size, JSON_SIZE_MAX);
    }
    struct parser parser = {.arena = arena,
                            .at = text.data,
                            .begin = text.data,
                            .end = text.size == 0 ? text.data : text.data + text.size,
                            .err = err};
    struct json_value *document = arena_zalloc(arena, sizeof *document);
    int rc = parse_value(&parser, document, 0);
    if (rc < 0) {
        return rc;
    }
    skip_space(&parser);
    if (parser.at != parser.end) {
        return fail(&parser, "text after the end of the document");
    }
    *ret = document;
    return 0;
}

const struct json_value *json_find(const struct json_value *object, const char *key)
{
    if (object == NULL || object->type != JSON_OBJECT) {
        return NULL;
    }
    const struct json_value *found = NULL;
    for (const struct json_value *member = object->first; member != NULL; member = member->next) {
        if (strcmp(member->key, key) == 0) {
            found = member;
        }
    }
    return found;
}

const char *json_type_name(enum json_type type)
{
    static const char *const names[] = {"null",     "a boolean", "a number",
                                        "a string", "an array",  "an object"};
    return names[type];
}

bool json_get_i64(const struct json_value *value, int64_t *ret)
{
    if (value->type != JSON_NUMBER || strpbrk(value->text, ".eE") != NULL) {
        return false;
    }
    errno = 0;
    long long number = strtoll(value->text, NULL, 10);
    if (errno != 0) {
        return false;
    }
    *ret = number;
    return true;
}

bool json_get_u64(const struct json_value *value, uint64_t *ret)
{
    if (value->type != JSON_NUMBER || strpbrk(value->text, "-.eE") != NULL) {
        return false;
    }
    errno = 0;
    unsigned long long number = strtoull(value->text, NULL, 10);
    if (errno != 0) {
        return false;
    }
    *ret = number;
    return true;
}

static size_t index_in_parent(const struct json_value *value)
{
    size_t index = 0;
    for (const struct json_value *item = value->parent->first; item != NULL && item != value;
         item = item->next) {
        index++;
    }
    return index;
}

void json_path(const struct json_value *value, char *out, size_t size)
{
    if (value == NULL || value->parent == NULL) {
        out[0] = 0;
        return;
    }
    json_path(value->parent, out, size);
    size_t used = strlen(out);
    if (value->parent->type == JSON_ARRAY) {
        (void)snprintf(out + used, size - used, "[%zu]", index_in_parent(value));
    } else {
        (void)snprintf(out + used, size - used, "%s%s", used == 0 ? "" : ".", value->key);
    }
}

void json_append(struct buf *out, const struct json_value *value)
{
    switch (value->type) {
    case JSON_NULL:
        buf_append_text(out, "null");
        return;
    case JSON_BOOL:
        buf_append_text(out, value->boolean ? "true" : "false");
        return;
    case JSON_NUMBER:
        buf_append(out, value->text, value->text_size);
        return;
    case JSON_STRING:
        json_text_append_quoted(out, bytes_make(value->text, value->text_size));
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    buf_append_u8(out, value->type == JSON_ARRAY ? '[' : '{');
    for (const struct json_value *child = value->first; child != NULL; child = child->next) {
        if (child != value->first) {
            buf_append_u8(out, ',');
        }
        if (child->key != NULL) {
            json_text_append_quoted(out, bytes_from_text(child->key));
            buf_append_u8(out, ':');
        }
        json_append(out, child);
    }
    buf_append_u8(out, value->type == JSON_ARRAY ? ']' : '}');
}
