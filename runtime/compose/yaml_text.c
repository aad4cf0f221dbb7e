#include "runtime/compose/yaml_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "runtime/image/json.h"

struct reading {
    yaml_document_t *document;
    struct places *places;
    uint32_t file;
    int nodes_left;
    struct err *err;
};

static json_t *read_node(struct reading *reading, int index, int depth);

static struct place place_of(const struct reading *reading, const yaml_node_t *node)
{
    return (struct place){.file = reading->file, .line = (uint32_t)node->start_mark.line + 1};
}

static json_t *fail(struct reading *reading, const yaml_node_t *node, int code, const char *what)
{
    int ignored =
        place_error(reading->places, place_of(reading, node), reading->err, code, "%s", what);
    (void)ignored; /* NULL tells it */
    return NULL;
}

static bool read_integer(const char *text, json_int_t *ret)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int base = 10;
    if (strncmp(digits, "0x", 2) == 0 || strncmp(digits, "0o", 2) == 0) {
        base = digits[1] == 'x' ? 16 : 8;
        digits += 2;
    } else if (digits[0] == '0' && digits[1] != '\0') {
        base = 8; /* modes of files are written so */
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(digits, &end, base);
    if (*digits == '\0' || strchr("+- \t", *digits) != NULL || *end != '\0' || errno != 0) {
        return false;
    }
    *ret = *text == '-' ? -value : value;
    return true;
}

static bool read_real(const char *text, double *ret)
{
    char *end = NULL;
    if (strspn(text, "+-0123456789.eE") != strlen(text) || strpbrk(text, "0123456789") == NULL ||
        strpbrk(text, ".eE") == NULL) {
        return false;
    }
    *ret = strtod(text, &end);
    return *end == '\0' && isfinite(*ret);
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(*words, text) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *read_scalar(const yaml_node_t *node)
{
    static const char *const truths[] = {"true", "True", "TRUE", NULL};
    static const char *const lies[] = {"false", "False", "FALSE", NULL};
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    const char *text = (const char *)node->data.scalar.value;
    size_t size = node->data.scalar.length;
    json_int_t integer = 0;
    double real = 0;
    bool is_text = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || strlen(text) != size ||
                   strcmp((const char *)node->tag, "!") == 0 ||
                   strcmp((const char *)node->tag, "!!str") == 0;
    if (is_text) {
        return json_stringn(text, size);
    }
    if (is_one_of(text, nulls)) {
        return json_null();
    }
    if (is_one_of(text, truths) || is_one_of(text, lies)) {
        return json_boolean(is_one_of(text, truths));
    }
    if (read_integer(text, &integer)) {
        return json_integer(integer);
    }
    return read_real(text, &real) ? json_real(real) : json_string(text);
}

/* Keys of base that object does not have. */
static void merge_missing(struct reading *reading, json_t *object, json_t *base)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(base, key, value)
    {
        if (json_object_get(object, key) == NULL) {
            json_object_set(object, key, value);
            places_set_key(reading->places, object, key,
                           places_find_key(reading->places, base, key));
        }
    }
}

/* "<<": a mapping, or a list of them; what stands in the mapping itself wins, then the first. */
static bool merge_keys(struct reading *reading, const yaml_node_t *node, json_t *object,
                       json_t *bases)
{
    for (size_t i = 0; i < json_array_size(bases); i++) {
        json_t *base = json_array_get(bases, i);
        for (size_t k = 0; json_is_array(base) && k < json_array_size(base); k++) {
            if (!json_is_object(json_array_get(base, k))) {
                (void)fail(reading, node, ERR_MALFORMED, "<< needs a mapping");
                return false;
            }
            merge_missing(reading, object, json_array_get(base, k));
        }
        if (json_is_object(base)) {
            merge_missing(reading, object, base);
        } else if (!json_is_array(base) && !json_is_null(base)) {
            (void)fail(reading, node, ERR_MALFORMED, "<< needs a mapping");
            return false;
        }
    }
    return true;
}

static json_t *read_mapping(struct reading *reading, const yaml_node_t *node, int depth)
{
    CLEANUP(json) json_t *object = json_object();
    CLEANUP(json) json_t *bases = json_array();
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reading->document, pair->key);
        if (key == NULL || key->type != YAML_SCALAR_NODE) {
            return fail(reading, node, ERR_MALFORMED, "a key is not a text");
        }
        const char *name = (const char *)key->data.scalar.value;
        json_t *value = read_node(reading, pair->value, depth + 1);
        if (value == NULL) {
            return NULL;
        }
        if (strcmp(name, "<<") == 0 && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
            json_array_append_new(bases, value);
            continue;
        }
        if (json_object_get(object, name) != NULL) {
            json_decref(value);
            CLEANUP(free) char *text = mem_printf("the key '%.100s' stands here twice", name);
            return fail(reading, key, ERR_MALFORMED, text);
        }
        if (json_object_set_new(object, name, value) != 0) {
            return fail(reading, key, ERR_MALFORMED, "a key is not UTF-8");
        }
        places_set_key(reading->places, object, name, place_of(reading, key));
    }
    return merge_keys(reading, node, object, bases) ? TAKE_PTR(object) : NULL;
}

static json_t *read_sequence(struct reading *reading, const yaml_node_t *node, int depth)
{
    CLEANUP(json) json_t *list = json_array();
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        json_t *value = read_node(reading, *item, depth + 1);
        if (value == NULL) {
            return NULL;
        }
        json_array_append_new(list, value);
    }
    return TAKE_PTR(list);
}

static json_t *read_node(struct reading *reading, int index, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(reading->document, index);
    if (node == NULL) {
        return json_null();
    }
    if (depth > YAML_TEXT_DEPTH_MAX || --reading->nodes_left < 0) {
        return fail(reading, node, ERR_TOO_LARGE, "nested or repeated too much");
    }
    json_t *value = node->type == YAML_MAPPING_NODE    ? read_mapping(reading, node, depth)
                    : node->type == YAML_SEQUENCE_NODE ? read_sequence(reading, node, depth)
                                                       : read_scalar(node);
    if (value == NULL) {
        return node->type == YAML_SCALAR_NODE ? fail(reading, node, ERR_MALFORMED, "not UTF-8")
                                              : NULL;
    }
    places_set(reading->places, value, place_of(reading, node));
    const char *tag = (const char *)node->tag;
    bool is_special =
        tag != NULL && (strcmp(tag, YAML_TEXT_RESET) == 0 || strcmp(tag, YAML_TEXT_OVERRIDE) == 0);
    if (is_special) {
        value = json_pack("{so}", tag, value);
        places_set(reading->places, value, place_of(reading, node));
    }
    return value;
}

/* An alias to a node that is being read would never end; depth stops it, with a poor message. */
int yaml_text_parse(struct bytes text, const char *path, struct places *places, json_t **ret,
                    struct err *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    struct err local = {.code = 0};
    uint32_t file = places_add_file(places, path);
    if (text.size > YAML_TEXT_SIZE_MAX || file == 0) {
        return err_set(err, ERR_TOO_LARGE, "%s: too large, or too many files", path);
    }
    if (!yaml_parser_initialize(&parser)) {
        return err_set(err, ERR_MALFORMED, "%s: no YAML parser", path);
    }
    /* An empty file may have no bytes at all; the parser insists on a place. */
    yaml_parser_set_input_string(&parser, text.size == 0 ? (const unsigned char *)"" : text.data,
                                 text.size);
    if (!yaml_parser_load(&parser, &document)) {
        struct place place = {.file = file, .line = (uint32_t)parser.problem_mark.line + 1};
        int status = place_error(places, place, err, ERR_MALFORMED, "%s",
                                 parser.problem == NULL ? "not YAML" : parser.problem);
        yaml_parser_delete(&parser);
        return status;
    }
    struct reading reading = {
        .document = &document,
        .places = places,
        .file = file,
        .nodes_left = YAML_TEXT_NODES_MAX,
        .err = err == NULL ? &local : err,
    };
    bool is_empty = yaml_document_get_root_node(&document) == NULL;
    json_t *value = is_empty ? json_object() : read_node(&reading, 1, 0);
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    if (value != NULL && !json_is_object(value)) {
        json_decref(value);
        return err_set(err, ERR_MALFORMED, "%s:1: the top of a Compose file is a mapping", path);
    }
    if (value == NULL) {
        return reading.err->code;
    }
    *ret = value;
    return 0;
}

/* ---- writing ---- */

static void emit_text(yaml_emitter_t *emitter, const char *text, size_t size, bool is_plain)
{
    yaml_event_t event;
    yaml_scalar_style_t style = is_plain                        ? YAML_PLAIN_SCALAR_STYLE
                                : memchr(text, '\n', size) != 0 ? YAML_LITERAL_SCALAR_STYLE
                                                                : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)size, 1, 1,
                                     style)) {
        (void)yaml_emitter_emit(emitter, &event);
    }
}

/* True when a plain scalar would be read as this very text. */
static bool reads_as_text(const char *text)
{
    static const char *const words[] = {"true", "True", "TRUE", "false", "False", "FALSE",
                                        "",     "~",    "null", "Null",  "NULL",  "yes",
                                        "Yes",  "no",   "No",   "on",    "On",    "off",
                                        "Off",  "y",    "n",    "Y",     "N",     NULL};
    bool is_number_like = strspn(text, "0123456789.:+-_eExXobaAcdf") == strlen(text);
    return !is_one_of(text, words) && !is_number_like && text[0] != '!' && text[0] != '=';
}

static void emit(yaml_emitter_t *emitter, const json_t *value)
{
    yaml_event_t event;
    const char *key = NULL;
    json_t *child = NULL;
    if (json_is_object(value)) {
        (void)yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_MAPPING_STYLE);
        (void)yaml_emitter_emit(emitter, &event);
        json_object_foreach((json_t *)(uintptr_t)value, key, child)
        {
            emit_text(emitter, key, strlen(key), reads_as_text(key));
            emit(emitter, child);
        }
        (void)yaml_mapping_end_event_initialize(&event);
        (void)yaml_emitter_emit(emitter, &event);
        return;
    }
    if (json_is_array(value)) {
        (void)yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_SEQUENCE_STYLE);
        (void)yaml_emitter_emit(emitter, &event);
        for (size_t i = 0; i < json_array_size(value); i++) {
            emit(emitter, json_array_get(value, i));
        }
        (void)yaml_sequence_end_event_initialize(&event);
        (void)yaml_emitter_emit(emitter, &event);
        return;
    }
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        emit_text(emitter, text, json_string_length(value), reads_as_text(text));
        return;
    }
    CLEANUP(free) char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    emit_text(emitter, shown == NULL ? "null" : shown, strlen(shown == NULL ? "null" : shown),
              true);
}

static int append(void *context, unsigned char *data, size_t size)
{
    buf_append(context, data, size);
    return 1;
}

void yaml_text_write(const json_t *value, struct buf *out)
{
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (!yaml_emitter_initialize(&emitter)) {
        return;
    }
    yaml_emitter_set_output(&emitter, append, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    (void)yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    (void)yaml_emitter_emit(&emitter, &event);
    (void)yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    (void)yaml_emitter_emit(&emitter, &event);
    emit(&emitter, value);
    (void)yaml_document_end_event_initialize(&event, 1);
    (void)yaml_emitter_emit(&emitter, &event);
    (void)yaml_stream_end_event_initialize(&event);
    (void)yaml_emitter_emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
}
