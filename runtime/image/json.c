#include "runtime/image/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

int json_parse_any(struct bytes text, const char *what, json_t **ret, struct err *err)
{
    json_error_t problem;
    /* Jansson stops at 2048 levels by itself; duplicate keys: the last one counts, as in Go. */
    json_t *value = json_loadb((const char *)text.data, text.size, JSON_DECODE_ANY, &problem);
    if (value == NULL) {
        return err_set(err, ERR_MALFORMED, "%s: not valid JSON: %s (line %d, column %d)", what,
                       problem.text, problem.line, problem.column);
    }
    *ret = value;
    return 0;
}

int json_parse(struct bytes text, const char *what, json_t **ret, struct err *err)
{
    json_t *value = NULL;
    int status = json_parse_any(text, what, &value, err);
    if (status != 0) {
        return status;
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return err_set(err, ERR_MALFORMED, "%s: not a JSON object", what);
    }
    *ret = value;
    return 0;
}

const char *json_get_text(const json_t *object, const char *key, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? fallback : text;
}

int64_t json_get_integer(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

bool json_get_flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

void json_write(const json_t *value, bool is_indented, struct buf *out)
{
    size_t flags = JSON_ENCODE_ANY | (is_indented ? JSON_INDENT(4) : JSON_COMPACT);
    char *text = json_dumps(value, flags);
    CHECK(text != NULL);
    buf_append_text(out, text);
    free(text);
}

json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL) {
        return value;
    }
    CLEANUP(free) char *copy = mem_strdup(text);
    for (char *at = copy; *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80) {
            *at = '?';
        }
    }
    value = json_string(copy);
    CHECK(value != NULL);
    return value;
}
