#include "runtime/compose/env_text.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "runtime/compose/interpolate.h"
#include "runtime/image/json.h"

struct reader {
    const char *at;
    const char *path;
    unsigned line;
    bool is_raw;
    json_t *known; /* the environment, and what stands above */
    struct err *err;
};

static int fail(const struct reader *reader, const char *what)
{
    return err_set(reader->err, ERR_MALFORMED, "%s:%u: %s", reader->path, reader->line, what);
}

static void skip_line(struct reader *reader)
{
    reader->at += strcspn(reader->at, "\n");
    if (*reader->at == '\n') {
        reader->at++;
        reader->line++;
    }
}

/* After the opening quote, up to the closing one. */
static int read_quoted(struct reader *reader, char quote, struct buf *out)
{
    unsigned start = reader->line;
    for (; *reader->at != quote; reader->at++) {
        char c = *reader->at;
        if (c == '\0') {
            reader->line = start;
            return fail(reader, "the quote has no end");
        }
        reader->line += c == '\n' ? 1 : 0;
        if (c == '\\' && quote == '"' && reader->at[1] != '\0') {
            static const char names[] = "nrt\"\\$";
            static const char meant[] = "\n\r\t\"\\$";
            const char *found = strchr(names, reader->at[1]);
            if (found != NULL) {
                /* An escaped dollar survives the variables as two. */
                buf_append_text(out, *found == '$' ? "$" : "");
                buf_append_u8(out, (uint8_t)meant[found - names]);
                reader->at++;
                continue;
            }
        }
        buf_append_u8(out, (uint8_t)c);
    }
    reader->at++;
    return 0;
}

static void read_plain(struct reader *reader, struct buf *out)
{
    const char *end = reader->at + strcspn(reader->at, "\n");
    for (const char *at = reader->at; !reader->is_raw && at < end; at++) {
        if (*at == '#' && (at == reader->at || isspace((unsigned char)at[-1]))) {
            end = at;
        }
    }
    while (end > reader->at &&
           (reader->is_raw ? end[-1] == '\r' : isspace((unsigned char)end[-1]) != 0)) {
        end--;
    }
    buf_append(out, reader->at, (size_t)(end - reader->at));
}

static int read_value(struct reader *reader, struct buf *out)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (!reader->is_raw) {
        reader->at += strspn(reader->at, " \t");
    }
    char quote = *reader->at;
    if (reader->is_raw || (quote != '"' && quote != '\'')) {
        read_plain(reader, &text);
        quote = '\0';
    } else {
        reader->at++;
        int status = read_quoted(reader, quote, &text);
        if (status != 0) {
            return status;
        }
    }
    if (reader->is_raw || quote == '\'') {
        buf_append_bytes(out, buf_bytes(&text));
        return 0;
    }
    int status = interpolate_text(buf_text(&text), reader->known, NULL, out, reader->err);
    return status == 0 ? 0 : err_prefix(reader->err, "%s:%u", reader->path, reader->line);
}

static int read_assignment(struct reader *reader, json_t *values)
{
    CLEANUP(buf) struct buf value = BUF_INIT;
    if (strncmp(reader->at, "export", 6) == 0 && isblank((unsigned char)reader->at[6])) {
        reader->at += 6;
        reader->at += strspn(reader->at, " \t");
    }
    size_t size = strcspn(reader->at, "=:\n# \t\r");
    CLEANUP(free) char *name = mem_strdup(reader->at);
    name[size] = '\0';
    const char *after = reader->at + size + strspn(reader->at + size, " \t\r");
    if (size == 0 ||
        (*after != '=' && *after != ':' && *after != '\n' && *after != '\0' && *after != '#')) {
        return fail(reader, "this is not NAME=VALUE");
    }
    if (*after != '=' && *after != ':') {
        json_object_set_new(values, name, json_null());
        return 0;
    }
    reader->at = after + 1;
    int status = read_value(reader, &value);
    if (status == 0) {
        json_t *text = json_text(buf_text(&value));
        json_object_set(values, name, text);
        json_object_set_new(reader->known, name, text);
    }
    return status;
}

int env_text_parse(struct bytes text, const char *path, bool is_raw, const json_t *environment,
                   json_t *values, struct err *err)
{
    CLEANUP(buf) struct buf copy = BUF_INIT;
    CLEANUP(json) json_t *known = json_copy((json_t *)(uintptr_t)environment);
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    if (text.size > ENV_TEXT_SIZE_MAX) {
        return err_set(err, ERR_TOO_LARGE, "%s: larger than %d bytes", path, ENV_TEXT_SIZE_MAX);
    }
    if (bytes_has_prefix(text, bytes_make(mark, sizeof(mark)))) {
        text = bytes_make(text.data + 3, text.size - 3);
    }
    buf_append_bytes(&copy, text);
    struct reader reader = {
        .at = buf_text(&copy),
        .path = path,
        .line = 1,
        .is_raw = is_raw,
        .known = known,
        .err = err,
    };
    while (*reader.at != '\0') {
        reader.at += strspn(reader.at, " \t\r");
        if (*reader.at != '\n' && *reader.at != '#' && *reader.at != '\0') {
            int status = read_assignment(&reader, values);
            if (status != 0) {
                return status;
            }
        }
        skip_line(&reader);
    }
    return 0;
}
