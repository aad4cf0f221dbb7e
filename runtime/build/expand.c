#include "runtime/build/expand.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"

enum { DEPTH_MAX = 20, RESULT_SIZE_MAX = 1 << 20 };

static int expand_into(const struct expand *expand, const char **at, const char *stop,
                       bool keeps_quotes, int depth, struct buf *out, struct err *err);

static size_t name_size(const char *text)
{
    size_t size = 0;
    if (isalpha((unsigned char)text[0]) || text[0] == '_') {
        while (isalnum((unsigned char)text[size]) || text[size] == '_') {
            size++;
        }
    }
    return size;
}

/* After "${": NAME, then nothing or an sign and a word, then "}". */
static int expand_braces(const struct expand *expand, const char **at, bool keeps_quotes, int depth,
                         struct buf *out, struct err *err)
{
    const char *name = *at;
    size_t size = name_size(name);
    const char *rest = name + size;
    const char *value = size == 0 ? NULL : expand->lookup(expand->context, name, size);
    bool is_colon = *rest == ':';
    char sign = is_colon ? rest[1] : *rest;
    if (size == 0 || (sign != '}' && sign != '-' && sign != '+') || (is_colon && sign == '}')) {
        return err_set(err, ERR_MALFORMED, "'${%.40s' is not a variable that can be expanded",
                       name);
    }
    if (sign == '}') {
        buf_append_text(out, value == NULL ? "" : value);
        *at = rest + 1;
        return 0;
    }
    struct buf word = BUF_INIT;
    rest += is_colon ? 2 : 1;
    int status = expand_into(expand, &rest, "}", keeps_quotes, depth + 1, &word, err);
    if (status == 0 && *rest != '}') {
        status = err_set(err, ERR_MALFORMED, "'${%.40s' has no closing brace", name);
    }
    if (status == 0) {
        bool is_set = value != NULL && (!is_colon || value[0] != '\0');
        if (sign == '-') {
            buf_append_text(out, is_set ? value : buf_text(&word));
        } else if (is_set) {
            buf_append_bytes(out, buf_bytes(&word));
        }
        *at = rest + 1;
    }
    buf_deinit(&word);
    return status;
}

static int expand_dollar(const struct expand *expand, const char **at, bool keeps_quotes, int depth,
                         struct buf *out, struct err *err)
{
    const char *text = *at + 1;
    if (*text == '{') {
        *at = text + 1;
        return expand_braces(expand, at, keeps_quotes, depth, out, err);
    }
    size_t size = name_size(text);
    if (size == 0) {
        buf_append_text(out, "$");
        *at = text;
        return 0;
    }
    const char *value = expand->lookup(expand->context, text, size);
    buf_append_text(out, value == NULL ? "" : value);
    *at = text + size;
    return 0;
}

static int expand_into(const struct expand *expand, const char **at, const char *stop,
                       bool keeps_quotes, int depth, struct buf *out, struct err *err)
{
    char quote = '\0';
    if (depth > DEPTH_MAX) {
        return err_set(err, ERR_MALFORMED, "variables are nested too deeply");
    }
    for (const char *text = *at;; *at = text) {
        char c = *text;
        if (c == '\0' || (quote == '\0' && strchr(stop, c) != NULL)) {
            *at = text;
            return quote == '\0' || keeps_quotes
                       ? 0
                       : err_set(err, ERR_MALFORMED, "a quote is not closed");
        }
        if (buf_size(out) > RESULT_SIZE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "a value grows beyond %d bytes", RESULT_SIZE_MAX);
        }
        if (!keeps_quotes && (c == '"' || c == '\'') && (quote == '\0' || quote == c)) {
            quote = quote == '\0' ? c : '\0';
            text++;
        } else if (c == expand->escape && text[1] != '\0' && quote != '\'') {
            bool is_kept = (quote == '"' && strchr("\"$\\`", text[1]) == NULL) ||
                           (keeps_quotes && text[1] != '$');
            if (is_kept) {
                buf_append(out, text, 1);
            }
            buf_append(out, text + 1, 1);
            text += 2;
        } else if (c == '$' && quote != '\'') {
            *at = text;
            int status = expand_dollar(expand, at, keeps_quotes, depth, out, err);
            if (status != 0) {
                return status;
            }
            text = *at;
        } else {
            buf_append(out, text++, 1);
        }
    }
}

static int expand_whole(const struct expand *expand, const char *text, bool keeps_quotes,
                        const char **ret, struct err *err)
{
    struct buf out = BUF_INIT;
    int status = expand_into(expand, &text, "", keeps_quotes, 0, &out, err);
    if (status == 0) {
        *ret = arena_text(expand->arena, buf_bytes(&out));
    }
    buf_deinit(&out);
    return status;
}

int expand_text(const struct expand *expand, const char *text, const char **ret, struct err *err)
{
    return expand_whole(expand, text, false, ret, err);
}

int expand_body(const struct expand *expand, const char *text, const char **ret, struct err *err)
{
    return expand_whole(expand, text, true, ret, err);
}

int expand_words(const struct expand *expand, const char *text, const char **words,
                 uint32_t words_max, uint32_t *ret_count, struct err *err)
{
    uint32_t count = 0;
    for (const char *at = text + strspn(text, " \t\n"); *at != '\0'; at += strspn(at, " \t\n")) {
        struct buf word = BUF_INIT;
        int status = expand_into(expand, &at, " \t\n", false, 0, &word, err);
        if (status == 0 && count == words_max) {
            status = err_set(err, ERR_TOO_LARGE, "more than %u words", words_max);
        }
        if (status == 0) {
            words[count++] = arena_text(expand->arena, buf_bytes(&word));
        }
        buf_deinit(&word);
        if (status != 0) {
            return status;
        }
    }
    *ret_count = count;
    return 0;
}
