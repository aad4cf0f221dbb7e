#include "runtime/compose/shell_words.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "runtime/image/json.h"

static int take_word(const char **at, struct buf *word, struct err *err)
{
    char quote = '\0';
    for (; **at != '\0' && (quote != '\0' || !isspace((unsigned char)**at)); (*at)++) {
        char c = **at;
        bool escapes = c == '\\' && quote != '\'' && (*at)[1] != '\0' &&
                       (quote == '\0' || strchr("\"\\$`", (*at)[1]) != NULL);
        if (escapes) {
            (*at)++;
            buf_append_u8(word, (uint8_t) * *at);
        } else if (quote == '\0' && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == quote) {
            quote = '\0';
        } else {
            buf_append_u8(word, (uint8_t)c);
        }
    }
    return quote == '\0' ? 0 : err_set(err, ERR_MALFORMED, "a quote (%c) has no end", quote);
}

int shell_words_split(const char *text, json_t **ret, struct err *err)
{
    CLEANUP(json) json_t *words = json_array();
    for (const char *at = text; *at != '\0';) {
        CLEANUP(buf) struct buf word = BUF_INIT;
        if (isspace((unsigned char)*at)) {
            at++;
            continue;
        }
        int status = take_word(&at, &word, err);
        if (status != 0) {
            return status;
        }
        json_array_append_new(words, json_text(buf_text(&word)));
    }
    *ret = TAKE_PTR(words);
    return 0;
}
