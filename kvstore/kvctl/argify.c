#include "kvstore/kvctl/argify.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "kvstore/kvctl/go_text.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* Bytes of the quoted word at text, quotes included; 0 if its end is missing. */
static size_t quoted_size(const char *text)
{
    char quote = text[0];
    for (size_t i = 1; text[i] != '\0'; i++) {
        if (text[i] == quote) {
            return i + 1;
        }
        if (quote == '"' && text[i] == '\\' && text[i + 1] != '\0') {
            i += 1;
        }
    }
    return 0;
}

static int unquote(const char *text, size_t size, struct arena *arena, const char **ret,
                   struct err *err)
{
    if (text[0] == '\'') {
        *ret = arena_text(arena, bytes_make(text + 1, size - 2));
        return 0;
    }
    CLEANUP(buf) struct buf value = BUF_INIT;
    struct bytes rest = bytes_make(text, size);
    if (go_text_unquote(&rest, &value) < 0) {
        return err_set(err, ERR_INVALID, "bad quoted string: %.*s", (int)size, text);
    }
    *ret = arena_text(arena, buf_bytes(&value));
    return 0;
}

int argify(const char *line, struct arena *arena, const char *const **ret_words, int *ret_count,
           struct err *err)
{
    const char **words = arena_alloc(arena, (strlen(line) / 2 + 2) * sizeof *words);
    int count = 0;
    while (*line != '\0') {
        bool is_quoted = *line == '"' || *line == '\'';
        size_t size = is_quoted ? quoted_size(line) : 0;
        if (is_space(*line) || (is_quoted && size == 0)) {
            line += 1; /* a lone quote separates, as in etcdctl */
            continue;
        }
        if (is_quoted) {
            int result = unquote(line, size, arena, &words[count], err);
            if (result < 0) {
                return result;
            }
        } else {
            while (line[size] != '\0' && !is_space(line[size])) {
                size += 1;
            }
            words[count] = arena_text(arena, bytes_make(line, size));
        }
        count += 1;
        line += size;
    }
    words[count] = NULL;
    *ret_words = words;
    *ret_count = count;
    return 0;
}
