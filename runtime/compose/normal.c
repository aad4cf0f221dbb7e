/* normal.c - the shapes that values have. */
#include "runtime/compose/normal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "runtime/compose/duration.h"
#include "runtime/compose/shell_words.h"
#include "runtime/compose/yaml_text.h"
#include "runtime/image/json.h"

int normal_fail(struct normal *normal, int code, const char *format, ...)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(&text, format, arguments);
    va_end(arguments);
    return place_error(normal->places, normal->place, normal->err, code, "%s: %s", normal->path,
                       buf_text(&text));
}

void normal_warn(struct normal *normal, const char *format, ...)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(&text, format, arguments);
    va_end(arguments);
    CLEANUP(free)
    char *whole =
        place_text(normal->places, normal->place, "%s: %s", normal->path, buf_text(&text));
    json_array_append_new(normal->warnings, json_text(whole));
}

json_t *normal_mark(struct normal *normal, json_t *value)
{
    places_set(normal->places, value, normal->place);
    return value;
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "a mapping",    [JSON_ARRAY] = "a list",  [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number",    [JSON_REAL] = "a number", [JSON_TRUE] = "a truth value",
        [JSON_FALSE] = "a truth value", [JSON_NULL] = "nothing",
    };
    return names[json_typeof(value)];
}

static int wrong_type(struct normal *normal, const json_t *value, const char *wanted)
{
    return normal_fail(normal, ERR_MALFORMED, "must be %s, not %s", wanted, type_name(value));
}

/* ---- objects and lists ---- */

/* The path grows by a key for the time of a call. */
static size_t push(struct normal *normal, const char *key)
{
    size_t size = strlen(normal->path);
    (void)snprintf(normal->path + size, sizeof(normal->path) - size, "%s%.60s",
                   size == 0 ? "" : ".", key);
    return size;
}

static void pop(struct normal *normal, size_t size, struct place place)
{
    normal->path[size] = '\0';
    normal->place = place;
}

static void go_to(struct normal *normal, struct place place)
{
    if (place.file != 0) {
        normal->place = place;
    }
}

/* How many letters have to change, for "did you mean". */
static size_t distance(const char *a, const char *b)
{
    enum { SIZE_MAX_NAME = 40 };
    size_t row[SIZE_MAX_NAME + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    if (a_size > SIZE_MAX_NAME || b_size > SIZE_MAX_NAME) {
        return SIZE_MAX_NAME;
    }
    for (size_t k = 0; k <= b_size; k++) {
        row[k] = k;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b_size; k++) {
            size_t change = diagonal + (a[i - 1] == b[k - 1] ? 0 : 1);
            diagonal = row[k];
            size_t least = row[k] + 1 < row[k - 1] + 1 ? row[k] + 1 : row[k - 1] + 1;
            row[k] = change < least ? change : least;
        }
    }
    return row[b_size];
}

static int unknown_key(struct normal *normal, const struct normal_key *keys, const char *key)
{
    enum { NEAR = 2 };
    const char *near = NULL;
    size_t least = NEAR + 1;
    for (; keys->name != NULL; keys++) {
        size_t steps = distance(keys->name, key);
        if (steps < least) {
            least = steps;
            near = keys->name;
        }
    }
    return near == NULL ? normal_fail(normal, ERR_MALFORMED, "unknown key '%.60s'", key)
                        : normal_fail(normal, ERR_MALFORMED,
                                      "unknown key '%.60s' (did you mean '%s'?)", key, near);
}

static int read_key(struct normal *normal, const struct normal_key *keys, const char *key,
                    json_t *value, json_t *out)
{
    json_t *read = NULL;
    const struct normal_key *rule = keys;
    while (rule->name != NULL && strcmp(rule->name, key) != 0) {
        rule++;
    }
    if (rule->name == NULL && strncmp(key, "x-", 2) == 0) {
        json_object_set(out, key, value);
        return 0;
    }
    if (rule->name == NULL) {
        return unknown_key(normal, keys, key);
    }
    bool is_special = json_is_object(value) && json_object_size(value) == 1 &&
                      (json_object_get(value, YAML_TEXT_RESET) != NULL ||
                       json_object_get(value, YAML_TEXT_OVERRIDE) != NULL);
    if (is_special && json_object_get(value, YAML_TEXT_RESET) != NULL) {
        json_object_set(out, key, value);
        return 0;
    }
    size_t size = push(normal, key);
    struct place before = normal->place;
    json_t *inner = is_special ? json_object_get(value, YAML_TEXT_OVERRIDE) : value;
    int status = rule->shape(normal, inner, &read);
    if (status == 0 && rule->unsupported != NULL) {
        normal_warn(normal, "is not supported and has no effect%s%s",
                    rule->unsupported[0] == '\0' ? "" : ": ", rule->unsupported);
    }
    pop(normal, size, before);
    if (status == 0) {
        read = is_special ? json_pack("{so}", YAML_TEXT_OVERRIDE, read) : read;
        json_object_set_new(out, key, normal_mark(normal, read));
    }
    return status;
}

int normal_object(struct normal *normal, json_t *value, const struct normal_key *keys, json_t **ret)
{
    CLEANUP(json) json_t *out = json_object();
    struct place before = normal->place;
    const char *key = NULL;
    json_t *child = NULL;
    if (!json_is_object(value)) {
        return wrong_type(normal, value, "a mapping");
    }
    json_object_foreach(value, key, child)
    {
        go_to(normal, places_find_key(normal->places, value, key));
        int status = read_key(normal, keys, key, child, out);
        if (status != 0) {
            return status;
        }
        normal->place = before;
    }
    *ret = TAKE_PTR(out);
    return 0;
}

int normal_named(struct normal *normal, json_t *value, normal_shape *shape, json_t **ret)
{
    CLEANUP(json) json_t *out = json_object();
    struct place before = normal->place;
    const char *key = NULL;
    json_t *child = NULL;
    if (!json_is_object(value)) {
        return wrong_type(normal, value, "a mapping");
    }
    json_object_foreach(value, key, child)
    {
        json_t *read = NULL;
        size_t size = push(normal, key);
        go_to(normal, places_find_key(normal->places, value, key));
        int status = shape(normal, child, &read);
        if (status != 0) {
            return status;
        }
        json_object_set_new(out, key, normal_mark(normal, read));
        pop(normal, size, before);
    }
    *ret = TAKE_PTR(out);
    return 0;
}

int normal_items(struct normal *normal, json_t *value, normal_shape *shape, json_t **ret)
{
    CLEANUP(json) json_t *out = json_array();
    struct place before = normal->place;
    if (!json_is_array(value) && !json_is_null(value)) {
        return wrong_type(normal, value, "a list");
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *read = NULL;
        json_t *item = json_array_get(value, i);
        go_to(normal, places_find(normal->places, item));
        int status = shape(normal, item, &read);
        if (status != 0) {
            return status;
        }
        normal_mark(normal, read);
        if (json_is_array(read)) { /* one item can mean several */
            json_array_extend(out, read);
            json_decref(read);
        } else {
            json_array_append_new(out, read);
        }
        normal->place = before;
    }
    *ret = TAKE_PTR(out);
    return 0;
}

/* ---- scalars ---- */

json_t *normal_scalar_text(const json_t *value)
{
    char text[64];
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_text(json_string_value(value));
    case JSON_INTEGER:
        (void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
        return json_text(text);
    case JSON_REAL:
        (void)snprintf(text, sizeof(text), "%.15g", json_real_value(value));
        return json_text(text);
    case JSON_TRUE:
    case JSON_FALSE:
        return json_text(json_is_true(value) ? "true" : "false");
    default:
        return NULL;
    }
}

int normal_any(struct normal *normal, json_t *value, json_t **ret)
{
    (void)normal;
    *ret = json_incref(value);
    return 0;
}

int normal_text(struct normal *normal, json_t *value, json_t **ret)
{
    json_t *text = normal_scalar_text(value);
    if (text == NULL) {
        return wrong_type(normal, value, "a text");
    }
    *ret = normal_mark(normal, text);
    return 0;
}

int normal_text_or_null(struct normal *normal, json_t *value, json_t **ret)
{
    if (json_is_null(value)) {
        *ret = json_null();
        return 0;
    }
    return normal_text(normal, value, ret);
}

int normal_bool(struct normal *normal, json_t *value, json_t **ret)
{
    static const char *const truths[] = {"true", "yes", "on", "y", "1"};
    static const char *const lies[] = {"false", "no", "off", "n", "0"};
    const char *text = json_string_value(value);
    if (json_is_boolean(value)) {
        *ret = json_incref(value);
        return 0;
    }
    for (size_t i = 0; text != NULL && i < 5; i++) {
        if (strcasecmp(text, truths[i]) == 0 || strcasecmp(text, lies[i]) == 0) {
            *ret = json_boolean(strcasecmp(text, truths[i]) == 0);
            return 0;
        }
    }
    return wrong_type(normal, value, "true or false");
}

int normal_integer(struct normal *normal, json_t *value, json_t **ret)
{
    const char *text = json_string_value(value);
    char *end = NULL;
    long long number = text == NULL ? json_integer_value(value) : strtoll(text, &end, 0);
    if (!json_is_integer(value) && (text == NULL || text[0] == '\0' || *end != '\0')) {
        return text != NULL
                   ? normal_fail(normal, ERR_MALFORMED, "must be a whole number, not '%.60s'", text)
                   : wrong_type(normal, value, "a whole number");
    }
    *ret = normal_mark(normal, json_integer(number));
    return 0;
}

/* Kept as text: "0.5" */
int normal_number(struct normal *normal, json_t *value, json_t **ret)
{
    CLEANUP(json) json_t *text = normal_scalar_text(value);
    const char *shown = json_string_value(text);
    char *end = NULL;
    double number = shown == NULL ? -1 : strtod(shown, &end);
    if (shown == NULL || json_is_boolean(value) || shown[0] == '\0' || *end != '\0' ||
        !(number >= 0)) {
        return normal_fail(normal, ERR_MALFORMED, "must be a number that is not negative");
    }
    *ret = normal_mark(normal, TAKE_PTR(text));
    return 0;
}

/* 64m, 1gb, 1024: kept as text in the form that run's options take. */
int normal_size(struct normal *normal, json_t *value, json_t **ret)
{
    CLEANUP(json) json_t *text = normal_scalar_text(value);
    const char *shown = json_string_value(text);
    size_t digits = shown == NULL ? 0 : strspn(shown, "0123456789.");
    bool is_size = shown != NULL && !json_is_boolean(value) &&
                   (digits > 0 || strcmp(shown, "-1") == 0) &&
                   (strcmp(shown, "-1") == 0 || shown[digits] == '\0' ||
                    (strchr("bBkKmMgGtT", shown[digits]) != NULL && strlen(shown + digits) <= 3));
    if (!is_size) {
        return normal_fail(normal, ERR_MALFORMED, "must be a size like 64m or 1gb");
    }
    *ret = normal_mark(normal, TAKE_PTR(text));
    return 0;
}

int normal_duration(struct normal *normal, json_t *value, json_t **ret)
{
    CLEANUP(json) json_t *text = normal_scalar_text(value);
    int64_t ignored = 0;
    if (text == NULL || duration_parse(json_string_value(text), &ignored) != 0) {
        return normal_fail(normal, ERR_MALFORMED, "must be a duration like 1m30s");
    }
    *ret = normal_mark(normal, TAKE_PTR(text));
    return 0;
}

/* ---- lists and maps of texts ---- */

int normal_texts(struct normal *normal, json_t *value, json_t **ret)
{
    return normal_items(normal, value, normal_text, ret);
}

int normal_text_or_texts(struct normal *normal, json_t *value, json_t **ret)
{
    if (json_is_array(value) || json_is_null(value)) {
        return normal_texts(normal, value, ret);
    }
    json_t *text = NULL;
    int status = normal_text(normal, value, &text);
    if (status == 0) {
        *ret = json_pack("[o]", text);
    }
    return status;
}

/* NAME=VALUE texts become a map; NAME alone has the value null. */
static int read_pairs(struct normal *normal, json_t *value, json_t **ret)
{
    CLEANUP(json) json_t *out = json_object();
    for (size_t i = 0; i < json_array_size(value); i++) {
        CLEANUP(json) json_t *text = normal_scalar_text(json_array_get(value, i));
        if (text == NULL) {
            return wrong_type(normal, json_array_get(value, i), "NAME=VALUE");
        }
        CLEANUP(free) char *name = mem_strdup(json_string_value(text));
        char *equals = strchr(name, '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        json_object_set_new(
            out, name, equals == NULL ? json_null() : normal_mark(normal, json_text(equals + 1)));
    }
    *ret = TAKE_PTR(out);
    return 0;
}

int normal_environment(struct normal *normal, json_t *value, json_t **ret)
{
    if (json_is_array(value)) {
        return read_pairs(normal, value, ret);
    }
    if (json_is_null(value)) {
        *ret = json_object();
        return 0;
    }
    return normal_named(normal, value, normal_text_or_null, ret);
}

/* Labels, sysctls: a missing value is an empty one. */
int normal_map(struct normal *normal, json_t *value, json_t **ret)
{
    const char *key = NULL;
    json_t *child = NULL;
    int status = normal_environment(normal, value, ret);
    if (status == 0) {
        json_object_foreach(*ret, key, child)
        {
            if (json_is_null(child)) {
                json_object_set_new(*ret, key, json_text(""));
            }
        }
    }
    return status;
}

/* {"a": "1.2.3.4"} or ["a:1.2.3.4"] */
int normal_hosts(struct normal *normal, json_t *value, json_t **ret)
{
    if (!json_is_object(value)) {
        return normal_texts(normal, value, ret);
    }
    CLEANUP(json) json_t *out = json_array();
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(value, key, child)
    {
        CLEANUP(json) json_t *list = NULL;
        int status = normal_text_or_texts(normal, child, &list);
        for (size_t i = 0; status == 0 && i < json_array_size(list); i++) {
            CLEANUP(free)
            char *text = mem_printf("%s:%s", key, json_string_value(json_array_get(list, i)));
            json_array_append_new(out, json_text(text));
        }
        if (status != 0) {
            return status;
        }
    }
    *ret = TAKE_PTR(out);
    return 0;
}

/* A text is split into words; null leaves the image's, an empty list clears it. */
int normal_command(struct normal *normal, json_t *value, json_t **ret)
{
    if (json_is_null(value)) {
        *ret = json_null();
        return 0;
    }
    if (!json_is_string(value)) {
        return normal_texts(normal, value, ret);
    }
    struct err why;
    int status = shell_words_split(json_string_value(value), ret, &why);
    return status == 0 ? 0 : normal_fail(normal, status, "%s", why.text);
}

/* ---- paths ---- */

/* Drop ".", resolve ".." by the text, as Compose does. */
static void clean_path(const char *text, struct buf *out)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "/");
        struct bytes so_far = buf_bytes(out);
        if (size == 2 && text[0] == '.' && text[1] == '.') {
            while (so_far.size > 0 && so_far.data[so_far.size - 1] != '/') {
                so_far.size--;
            }
            buf_truncate(out, so_far.size > 0 ? so_far.size - 1 : 0);
        } else if (size > 0 && !(size == 1 && text[0] == '.')) {
            buf_append_text(out, "/");
            buf_append(out, text, size);
        }
        text += size + (text[size] == '/' ? 1 : 0);
    }
    if (buf_size(out) == 0) {
        buf_append_text(out, "/");
    }
}

json_t *normal_make_path(struct normal *normal, const char *text)
{
    CLEANUP(buf) struct buf whole = BUF_INIT;
    CLEANUP(buf) struct buf out = BUF_INIT;
    if (text[0] == '~' && (text[1] == '/' || text[1] == '\0')) {
        buf_append_format(&whole, "%s/%s", json_get_text(normal->environment, "HOME", "/root"),
                          text + 1);
    } else if (text[0] == '/') {
        buf_append_text(&whole, text);
    } else {
        buf_append_format(&whole, "%s/%s", normal->directory, text);
    }
    clean_path(buf_text(&whole), &out);
    return normal_mark(normal, json_text(buf_text(&out)));
}

int normal_path(struct normal *normal, json_t *value, json_t **ret)
{
    if (!json_is_string(value) || json_string_length(value) == 0) {
        return wrong_type(normal, value, "a path");
    }
    *ret = normal_make_path(normal, json_string_value(value));
    return 0;
}
