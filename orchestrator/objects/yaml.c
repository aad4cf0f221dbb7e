#include "orchestrator/objects/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "orchestrator/objects/tree.h"

struct reading {
    yaml_document_t *document;
    struct err *err;
    int nodes_left;
};

static json_t *read_node(struct reading *reading, int index, int depth);

static bool is_one_of(const char *text, const char *const words[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], text) == 0) {
            return true;
        }
    }
    return false;
}

/* An integer in decimal, hexadecimal or octal ("0o17", "017"); false when text is none. */
static bool read_integer(const char *text, json_int_t *ret)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int base = 10;
    if (strncmp(digits, "0x", 2) == 0) {
        base = 16;
        digits += 2;
    } else if (strncmp(digits, "0o", 2) == 0) {
        base = 8;
        digits += 2;
    } else if (*digits == '0' && digits[1] != '\0') {
        base = 8;
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(digits, &end, base);
    if (*digits == '\0' || *digits == '-' || *digits == '+' || *digits == ' ' || *end != '\0' ||
        errno != 0) {
        return false;
    }
    *ret = *text == '-' ? -value : value;
    return true;
}

static bool read_real(const char *text, double *ret)
{
    if (strspn(text, "+-0123456789.eE") != strlen(text) || strpbrk(text, "0123456789") == NULL) {
        return false;
    }
    char *end = NULL;
    *ret = strtod(text, &end);
    return *end == '\0';
}

static json_t *read_scalar(const yaml_node_t *node)
{
    static const char *const truths[] = {"true", "True", "TRUE", "yes", "Yes", "YES",
                                         "on",   "On",   "ON",   "y",   "Y"};
    static const char *const lies[] = {"false", "False", "FALSE", "no", "No", "NO",
                                       "off",   "Off",   "OFF",   "n",  "N"};
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    const char *text = (const char *)node->data.scalar.value;
    json_int_t integer = 0;
    double real = 0;
    bool is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (!is_plain || strlen(text) != node->data.scalar.length ||
        strcmp((const char *)node->tag, YAML_STR_TAG "!") == 0) {
        return json_stringn(text, node->data.scalar.length);
    }
    if (is_one_of(text, truths, sizeof(truths) / sizeof(truths[0]))) {
        return json_true();
    }
    if (is_one_of(text, lies, sizeof(lies) / sizeof(lies[0]))) {
        return json_false();
    }
    if (is_one_of(text, nulls, 5)) {
        return json_null();
    }
    if (read_integer(text, &integer)) {
        return json_integer(integer);
    }
    return read_real(text, &real) ? json_real(real) : json_string(text);
}

static json_t *malformed(struct reading *reading, const yaml_node_t *node, const char *what)
{
    (void)err_set(reading->err, ERR_MALFORMED, "line %zu: %s", node->start_mark.line + 1, what);
    return NULL;
}

static json_t *read_mapping(struct reading *reading, const yaml_node_t *node, int depth)
{
    CLEANUP(json) json_t *object = json_object();
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reading->document, pair->key);
        if (key == NULL || key->type != YAML_SCALAR_NODE) {
            return malformed(reading, node, "a key is not a scalar");
        }
        const char *name = (const char *)key->data.scalar.value;
        if (json_object_get(object, name) != NULL) {
            (void)err_set(reading->err, ERR_MALFORMED, "line %zu: key \"%s\" already set in map",
                          key->start_mark.line + 1, name);
            return NULL;
        }
        json_t *value = read_node(reading, pair->value, depth + 1);
        if (value == NULL) {
            return NULL;
        }
        json_object_set_new(object, name, value);
    }
    return TAKE_PTR(object);
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
    if (depth > YAML_DEPTH_MAX || --reading->nodes_left < 0) {
        (void)err_set(reading->err, ERR_TOO_LARGE, "line %zu: nested or repeated too much",
                      node->start_mark.line + 1);
        return NULL;
    }
    json_t *value = NULL;
    switch (node->type) {
    case YAML_SCALAR_NODE:
        value = read_scalar(node);
        return value != NULL ? value : malformed(reading, node, "not UTF-8");
    case YAML_SEQUENCE_NODE:
        return read_sequence(reading, node, depth);
    case YAML_MAPPING_NODE:
        return read_mapping(reading, node, depth);
    case YAML_NO_NODE:
        break;
    }
    return json_null();
}

static int parser_problem(const yaml_parser_t *parser, struct err *err)
{
    return err_set(err, ERR_MALFORMED, "line %zu, column %zu: %s", parser->problem_mark.line + 1,
                   parser->problem_mark.column + 1,
                   parser->problem == NULL ? "not YAML" : parser->problem);
}

/* 1: a document was read (maybe an empty one), 0: the end. */
static int read_document(yaml_parser_t *parser, json_t *documents, struct err *err)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document)) {
        return parser_problem(parser, err);
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root == NULL) {
        yaml_document_delete(&document);
        return 0;
    }
    struct reading reading = {.document = &document, .err = err, .nodes_left = YAML_NODES_MAX};
    json_t *value = read_node(&reading, 1, 0);
    yaml_document_delete(&document);
    if (value == NULL) {
        return err == NULL ? ERR_MALFORMED : err->code;
    }
    if (json_is_null(value)) {
        json_decref(value);
    } else {
        json_array_append_new(documents, value);
    }
    return 1;
}

int yaml_read(struct bytes text, json_t **ret_documents, struct err *err)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return err_set(err, ERR_MALFORMED, "no YAML parser");
    }
    yaml_parser_set_input_string(&parser, text.data, text.size);
    CLEANUP(json) json_t *documents = json_array();
    int result = 1;
    while (result == 1) {
        result = read_document(&parser, documents, err);
    }
    yaml_parser_delete(&parser);
    if (result == 0) {
        *ret_documents = TAKE_PTR(documents);
    }
    return result;
}

static void write_value(struct buf *out, const json_t *value, int indent, bool is_item);

static void write_indent(struct buf *out, int indent)
{
    for (int i = 0; i < indent; i++) {
        buf_append_text(out, "  ");
    }
}

/* Text that would be read as something else, or breaks a line, is quoted as JSON, which is YAML. */
static bool needs_quotes(const char *text)
{
    static const char *const special[] = {"true", "false", "null", "yes",  "no",    "on",  "off",
                                          "y",    "n",     "~",    "True", "False", "Null"};
    json_int_t integer = 0;
    double real = 0;
    if (*text == '\0' || is_one_of(text, special, sizeof(special) / sizeof(special[0])) ||
        read_integer(text, &integer) || read_real(text, &real)) {
        return true;
    }
    if (strchr("-?:,[]{}#&*!|>'\"%@` =", *text) != NULL || text[strlen(text) - 1] == ' ') {
        return true;
    }
    for (const char *at = text; *at != '\0'; at++) {
        bool breaks = (*at == ':' && (at[1] == ' ' || at[1] == '\0')) ||
                      (*at == ' ' && at[1] == '#') || *at < ' ';
        if (breaks) {
            return true;
        }
    }
    return false;
}

static void write_scalar(struct buf *out, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text != NULL && !needs_quotes(text)) {
        buf_append_text(out, text);
    } else {
        CLEANUP(free) char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        buf_append_text(out, shown == NULL ? "null" : shown);
    }
    buf_append_u8(out, '\n');
}

static bool is_inline(const json_t *value)
{
    return !(json_is_object(value) && json_object_size(value) > 0) &&
           !(json_is_array(value) && json_array_size(value) > 0);
}

static void write_key(struct buf *out, const char *key)
{
    if (needs_quotes(key)) {
        CLEANUP(json) json_t *text = json_string(key);
        CLEANUP(free) char *shown = json_dumps(text, JSON_ENCODE_ANY);
        buf_append_text(out, shown == NULL ? "" : shown);
    } else {
        buf_append_text(out, key);
    }
    buf_append_u8(out, ':');
}

static void write_value(struct buf *out, const json_t *value, int indent, bool is_item)
{
    const char *key = NULL;
    json_t *child = NULL;
    bool is_first = true;
    if (is_inline(value)) {
        write_scalar(out, value);
        return;
    }
    json_object_foreach(tree_mutable(value), key, child)
    {
        write_indent(out, is_first && is_item ? 0 : indent);
        is_first = false;
        write_key(out, key);
        buf_append_u8(out, is_inline(child) ? ' ' : '\n');
        write_value(out, child, json_is_array(child) ? indent : indent + 1, false);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        write_indent(out, i == 0 && is_item ? 0 : indent);
        buf_append_text(out, "- ");
        write_value(out, json_array_get(value, i), indent + 1, true);
    }
}

void yaml_write(struct buf *out, const json_t *value)
{
    write_value(out, value, 0, false);
}
