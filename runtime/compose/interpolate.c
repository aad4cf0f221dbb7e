#include "runtime/compose/interpolate.h"

#include <ctype.h>
#include <string.h>

#include "runtime/image/json.h"

struct interpolation {
    const json_t *environment;
    json_t *unset;
    int depth;
    struct err *err;
};

static int replace(struct interpolation *state, const char *text, size_t size, struct buf *out);

static size_t name_size(const char *text, size_t size)
{
    size_t used = 0;
    if (size == 0 || isdigit((unsigned char)text[0])) {
        return 0;
    }
    while (used < size && (isalnum((unsigned char)text[used]) || text[used] == '_')) {
        used++;
    }
    return used;
}

static const char *look_up(const struct interpolation *state, const char *name, size_t size)
{
    CLEANUP(free) char *key = mem_strdup(name);
    key[size] = '\0';
    return json_string_value(json_object_get(state->environment, key));
}

static void note_unset(struct interpolation *state, const char *name, size_t size)
{
    if (state->unset != NULL) {
        CLEANUP(free) char *key = mem_strdup(name);
        key[size] = '\0';
        json_object_set_new(state->unset, key, json_true());
    }
}

/* The end of "${…": the brace that closes it, counting nested ones. */
static const char *find_end(const char *text, size_t size)
{
    int depth = 1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '$' && i + 1 < size && text[i + 1] == '{') {
            depth++;
            i++;
        } else if (text[i] == '}' && --depth == 0) {
            return text + i;
        }
    }
    return NULL;
}

/* What stands between the braces. */
static int replace_braced(struct interpolation *state, const char *text, size_t size,
                          struct buf *out)
{
    size_t used = name_size(text, size);
    const char *value = look_up(state, text, used);
    const char *rest = text + used;
    size_t rest_size = size - used;
    bool ignores_empty = rest_size > 0 && rest[0] == ':';
    rest += ignores_empty ? 1 : 0;
    rest_size -= ignores_empty ? 1 : 0;
    if (used == 0 || (rest_size == 0 && ignores_empty) ||
        (rest_size > 0 && strchr("-?+", rest[0]) == NULL)) {
        return err_set(state->err, ERR_MALFORMED, "invalid interpolation '${%.*s}'",
                       (int)(size > 80 ? 80 : size), text);
    }
    bool is_set = value != NULL && !(ignores_empty && value[0] == '\0');
    char action = rest_size > 0 ? rest[0] : '\0';
    if (action == '+') {
        return is_set ? replace(state, rest + 1, rest_size - 1, out) : 0;
    }
    if (is_set || action == '\0') {
        if (value == NULL) {
            note_unset(state, text, used);
        }
        buf_append_text(out, value == NULL ? "" : value);
        return 0;
    }
    if (action == '-') {
        return replace(state, rest + 1, rest_size - 1, out);
    }
    CLEANUP(buf) struct buf message = BUF_INIT;
    int status = replace(state, rest + 1, rest_size - 1, &message);
    return status != 0 ? status
                       : err_set(state->err, ERR_MALFORMED,
                                 "required variable %.*s is missing a value%s%.200s", (int)used,
                                 text, buf_size(&message) > 0 ? ": " : "", buf_text(&message));
}

static int replace(struct interpolation *state, const char *text, size_t size, struct buf *out)
{
    int status = 0;
    if (++state->depth > INTERPOLATE_DEPTH_MAX) {
        return err_set(state->err, ERR_TOO_LARGE, "variables are nested too deeply");
    }
    for (size_t i = 0; status == 0 && i < size;) {
        const char *next = text + i + 1;
        size_t left = size - i - 1;
        size_t used = name_size(next, left);
        if (text[i] != '$') {
            buf_append_u8(out, (uint8_t)text[i++]);
        } else if (left > 0 && *next == '$') {
            buf_append_text(out, "$");
            i += 2;
        } else if (left > 0 && *next == '{') {
            const char *end = find_end(next + 1, left - 1);
            if (end == NULL) {
                return err_set(state->err, ERR_MALFORMED, "invalid interpolation '%.80s': no }",
                               text + i);
            }
            status = replace_braced(state, next + 1, (size_t)(end - next - 1), out);
            i = (size_t)(end - text) + 1;
        } else if (used > 0) {
            status = replace_braced(state, next, used, out);
            i += used + 1;
        } else {
            return err_set(state->err, ERR_MALFORMED,
                           "invalid interpolation '%.80s': write $$ for a dollar sign", text + i);
        }
        if (buf_size(out) > INTERPOLATE_SIZE_MAX) {
            return err_set(state->err, ERR_TOO_LARGE, "a value is too large");
        }
    }
    state->depth--;
    return status;
}

int interpolate_text(const char *text, const json_t *environment, json_t *unset, struct buf *out,
                     struct err *err)
{
    struct interpolation state = {.environment = environment, .unset = unset, .err = err};
    return replace(&state, text, strlen(text), out);
}

/* A new value for a text with a dollar sign; NULL: stays as it is. */
static int interpolate_value(json_t *value, const json_t *environment, json_t *unset,
                             struct places *places, struct place place, json_t **ret,
                             struct err *err)
{
    *ret = NULL;
    if (!json_is_string(value)) {
        return interpolate_tree(value, environment, unset, places, err);
    }
    if (strchr(json_string_value(value), '$') == NULL) {
        return 0;
    }
    CLEANUP(buf) struct buf out = BUF_INIT;
    int status = interpolate_text(json_string_value(value), environment, unset, &out, err);
    if (status != 0) {
        struct err first = {.code = status};
        (void)memcpy(&first, err, sizeof(first));
        return place_error(places, place, err, status, "%s", first.text);
    }
    *ret = json_text(buf_text(&out));
    places_set(places, *ret, place);
    return 0;
}

int interpolate_tree(json_t *tree, const json_t *environment, json_t *unset, struct places *places,
                     struct err *err)
{
    struct err local = {.code = 0};
    const char *key = NULL;
    json_t *child = NULL;
    json_t *changed = NULL;
    void *next = NULL;
    err = err == NULL ? &local : err;
    json_object_foreach_safe(tree, next, key, child)
    {
        struct place place = places_find_key(places, tree, key);
        int status = interpolate_value(child, environment, unset, places, place, &changed, err);
        if (status != 0) {
            return status;
        }
        if (changed != NULL) {
            json_object_set_new(tree, key, changed);
        }
    }
    for (size_t i = 0; i < json_array_size(tree); i++) {
        child = json_array_get(tree, i);
        int status = interpolate_value(child, environment, unset, places,
                                       places_find(places, child), &changed, err);
        if (status != 0) {
            return status;
        }
        if (changed != NULL) {
            json_array_set_new(tree, i, changed);
        }
    }
    return 0;
}
