#include "runtime/words/format.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"

static const json_t *find_field(const json_t *row, const char *path, size_t size)
{
    const json_t *value = row;
    while (size > 0 && *path == '.') {
        path++;
        size--;
        size_t run = 0;
        while (run < size && path[run] != '.') {
            run++;
        }
        if (run > 0) {
            CLEANUP(free) char *key = mem_strdup(path);
            key[run] = '\0';
            value = json_object_get(value, key);
        }
        path += run;
        size -= run;
    }
    return size == 0 ? value : NULL;
}

static void append_value(const json_t *value, bool as_json, struct buf *out)
{
    if (value == NULL) {
        buf_append_text(out, as_json ? "null" : "<no value>");
    } else if (json_is_string(value) && !as_json) {
        buf_append_text(out, json_string_value(value));
    } else {
        json_write(value, false, out);
    }
}

static void append_field(const char *text, size_t size, const json_t *row, struct buf *out)
{
    bool as_json = false;
    while (size > 0 && *text == ' ') {
        text++;
        size--;
    }
    while (size > 0 && text[size - 1] == ' ') {
        size--;
    }
    if (size > 5 && strncmp(text, "json ", 5) == 0) {
        as_json = true;
        text += 5;
        size -= 5;
    }
    append_value(find_field(row, text, size), as_json, out);
}

void format_expand(const char *format, const json_t *row, struct buf *out)
{
    for (const char *at = format; *at != '\0';) {
        const char *end = strncmp(at, "{{", 2) == 0 ? strstr(at, "}}") : NULL;
        if (end != NULL) {
            append_field(at + 2, (size_t)(end - at - 2), row, out);
            at = end + 2;
        } else if (at[0] == '\\' && (at[1] == 't' || at[1] == 'n')) {
            buf_append_text(out, at[1] == 't' ? "\t" : "\n");
            at += 2;
        } else {
            buf_append(out, at++, 1);
        }
    }
}

void format_row(const char *format, const json_t *row)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    if (strcmp(format, "json") == 0) {
        json_write(row, false, &out);
    } else {
        format_expand(strncmp(format, "table ", 6) == 0 ? format + 6 : format, row, &out);
    }
    printf("%s\n", buf_text(&out));
}
