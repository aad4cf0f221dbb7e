#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "orchestrator/objects/names.h"
#include "orchestrator/objects/selector.h"

void label_selector_init(struct label_selector *selector)
{
    selector->terms = NULL;
}

void label_selector_deinit(struct label_selector *selector)
{
    json_decref(selector->terms);
    selector->terms = NULL;
}

/* A reader over the text of a query. */
struct reader {
    const char *at;
};

static void skip_spaces(struct reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t') {
        reader->at++;
    }
}

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.' || c == '/';
}

/* A word (maybe empty); the caller frees. */
static char *read_word(struct reader *reader)
{
    skip_spaces(reader);
    const char *start = reader->at;
    while (is_word_char(*reader->at)) {
        reader->at++;
    }
    CLEANUP(buf) struct buf word = BUF_INIT;
    buf_append(&word, start, (size_t)(reader->at - start));
    skip_spaces(reader);
    return mem_strdup(buf_text(&word));
}

static bool read_token(struct reader *reader, const char *token)
{
    size_t size = strlen(token);
    if (strncmp(reader->at, token, size) != 0) {
        return false;
    }
    reader->at += size;
    skip_spaces(reader);
    return true;
}

/* "(a,b,c)" into values; false when it is not well-formed. */
static bool read_values(struct reader *reader, json_t *values)
{
    if (!read_token(reader, "(")) {
        return false;
    }
    do {
        CLEANUP(free) char *word = read_word(reader);
        json_array_append_new(values, json_string(word));
    } while (read_token(reader, ","));
    return read_token(reader, ")");
}

static json_t *make_term(const char *key, const char *operator, json_t * take_values)
{
    return json_pack("{s:s, s:s, s:o}", "key", key, "operator", operator, "values", take_values);
}

/* What follows the key; NULL when it is not well-formed. */
static json_t *read_operation(struct reader *reader, const char *key)
{
    static const struct {
        const char *token;
        const char *operator;
    } comparisons[] = {{"==", "In"}, {"=", "In"}, {"!=", "NotIn"}, {">", "Gt"}, {"<", "Lt"}};
    for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
        if (read_token(reader, comparisons[i].token)) {
            CLEANUP(free) char *value = read_word(reader);
            return make_term(key, comparisons[i].operator, json_pack("[s]", value));
        }
    }
    if (*reader->at == '\0' || *reader->at == ',') {
        return make_term(key, "Exists", json_array());
    }
    CLEANUP(free) char *word = read_word(reader);
    bool is_in = strcmp(word, "in") == 0;
    CLEANUP(json) json_t *values = json_array();
    if ((!is_in && strcmp(word, "notin") != 0) || !read_values(reader, values)) {
        return NULL;
    }
    return make_term(key, is_in ? "In" : "NotIn", TAKE_PTR(values));
}

static json_t *read_term(struct reader *reader)
{
    skip_spaces(reader);
    bool is_absent = *reader->at == '!';
    reader->at += is_absent;
    CLEANUP(free) char *key = read_word(reader);
    if (!name_is_label_key(key)) {
        return NULL;
    }
    return is_absent ? make_term(key, "DoesNotExist", json_array()) : read_operation(reader, key);
}

json_t *label_selector_parse(struct label_selector *selector, const char *text)
{
    label_selector_init(selector);
    struct reader reader = {.at = text};
    skip_spaces(&reader);
    if (*reader.at == '\0') {
        return NULL;
    }
    CLEANUP(json) json_t *terms = json_array();
    do {
        json_t *term = read_term(&reader);
        if (term == NULL) {
            return status_bad_request("unable to parse requirement: invalid label selector \"%s\"",
                                      text);
        }
        json_array_append_new(terms, term);
    } while (read_token(&reader, ","));
    if (*reader.at != '\0') {
        return status_bad_request(
            "unable to parse requirement: found '%s' in label selector \"%s\"", reader.at, text);
    }
    selector->terms = TAKE_PTR(terms);
    return NULL;
}

static bool numbers_compare(const char *value, const char *limit, bool is_greater)
{
    char *value_end = NULL;
    char *limit_end = NULL;
    long long a = strtoll(value, &value_end, 10);
    long long b = strtoll(limit, &limit_end, 10);
    if (*value == '\0' || *limit == '\0' || *value_end != '\0' || *limit_end != '\0') {
        return false;
    }
    return is_greater ? a > b : a < b;
}

bool selector_term_matches(const json_t *term, const json_t *labels)
{
    const char *key = tree_text_or(term, "key", "");
    const char *operator= tree_text_or(term, "operator", "");
    const json_t *values = json_object_get(term, "values");
    const char *label = json_string_value(json_object_get(labels, key));
    if (strcmp(operator, "In") == 0) {
        return label != NULL && tree_list_has_text(values, label);
    }
    if (strcmp(operator, "NotIn") == 0) {
        return label == NULL || !tree_list_has_text(values, label);
    }
    if (strcmp(operator, "Exists") == 0) {
        return label != NULL;
    }
    if (strcmp(operator, "DoesNotExist") == 0) {
        return label == NULL;
    }
    const char *limit = json_string_value(json_array_get(values, 0));
    if (label == NULL || limit == NULL) {
        return false;
    }
    return (strcmp(operator, "Gt") == 0 && numbers_compare(label, limit, true)) ||
           (strcmp(operator, "Lt") == 0 && numbers_compare(label, limit, false));
}

bool label_selector_matches(const struct label_selector *selector, const json_t *labels)
{
    for (size_t i = 0; i < json_array_size(selector->terms); i++) {
        if (!selector_term_matches(json_array_get(selector->terms, i), labels)) {
            return false;
        }
    }
    return true;
}

static bool labels_contain(const json_t *map, const json_t *labels)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(map), key, value)
    {
        const char *label = json_string_value(json_object_get(labels, key));
        const char *wanted = json_string_value(value);
        if (label == NULL || wanted == NULL || strcmp(label, wanted) != 0) {
            return false;
        }
    }
    return true;
}

bool label_selector_object_matches(const json_t *selector, const json_t *labels)
{
    if (selector == NULL || !labels_contain(json_object_get(selector, "matchLabels"), labels)) {
        return false;
    }
    const json_t *terms = json_object_get(selector, "matchExpressions");
    for (size_t i = 0; i < json_array_size(terms); i++) {
        if (!selector_term_matches(json_array_get(terms, i), labels)) {
            return false;
        }
    }
    return true;
}

bool label_map_matches(const json_t *map, const json_t *labels)
{
    return json_object_size(map) > 0 && labels_contain(map, labels);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void append_map(struct buf *text, const json_t *map)
{
    size_t count = json_object_size(map);
    const char **keys = mem_calloc(count + 1, sizeof(keys[0]));
    size_t at = 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(map), key, value)
    {
        keys[at++] = key;
    }
    qsort(keys, count, sizeof(keys[0]), compare_keys);
    for (size_t i = 0; i < count; i++) {
        const char *wanted = json_string_value(json_object_get(map, keys[i]));
        buf_append_format(text, "%s%s=%s", buf_size(text) == 0 ? "" : ",", keys[i],
                          wanted == NULL ? "" : wanted);
    }
    mem_free(keys);
}

char *label_map_text(const json_t *map)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    append_map(&text, map);
    return mem_strdup(buf_text(&text));
}

static void append_term(struct buf *text, const json_t *term)
{
    const char *key = tree_text_or(term, "key", "");
    const char *operator= tree_text_or(term, "operator", "");
    buf_append_text(text, buf_size(text) == 0 ? "" : ",");
    if (strcmp(operator, "Exists") == 0 || strcmp(operator, "DoesNotExist") == 0) {
        buf_append_format(text, "%s%s", *operator== 'D' ? "!" : "", key);
        return;
    }
    buf_append_format(text, "%s %s (", key, strcmp(operator, "In") == 0 ? "in" : "notin");
    const json_t *values = json_object_get(term, "values");
    for (size_t i = 0; i < json_array_size(values); i++) {
        const char *value = json_string_value(json_array_get(values, i));
        buf_append_format(text, "%s%s", i == 0 ? "" : ",", value == NULL ? "" : value);
    }
    buf_append_text(text, ")");
}

char *label_selector_object_text(const json_t *selector)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    append_map(&text, json_object_get(selector, "matchLabels"));
    const json_t *terms = json_object_get(selector, "matchExpressions");
    for (size_t i = 0; i < json_array_size(terms); i++) {
        append_term(&text, json_array_get(terms, i));
    }
    return mem_strdup(buf_text(&text));
}

static void validate_term(const json_t *term, const char *field, struct causes *causes)
{
    const char *operator= tree_text_or(term, "operator", "");
    size_t values = tree_count(term, "values");
    CLEANUP(free) char *values_field = mem_printf("%s.values", field);
    CLEANUP(free) char *operator_field = mem_printf("%s.operator", field);
    if (strcmp(operator, "In") == 0 || strcmp(operator, "NotIn") == 0) {
        if (values == 0) {
            causes_add_required(causes, values_field,
                                "must be specified when `operator` is 'In' or 'NotIn'");
        }
    } else if (strcmp(operator, "Exists") == 0 || strcmp(operator, "DoesNotExist") == 0) {
        if (values > 0) {
            causes_add_forbidden(
                causes, values_field,
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
    } else {
        causes_add_invalid(causes, operator_field, json_object_get(term, "operator"),
                           "not a valid selector operator");
    }
    if (!name_is_label_key(tree_text_or(term, "key", ""))) {
        CLEANUP(free) char *key_field = mem_printf("%s.key", field);
        causes_add_invalid(causes, key_field, json_object_get(term, "key"),
                           "name part must consist of alphanumeric characters, '-', '_' or '.'");
    }
}

void label_selector_object_validate(const json_t *selector, const char *field,
                                    struct causes *causes)
{
    CLEANUP(free) char *labels_field = mem_printf("%s.matchLabels", field);
    names_validate_labels(json_object_get(selector, "matchLabels"), labels_field, causes);
    const json_t *terms = json_object_get(selector, "matchExpressions");
    for (size_t i = 0; i < json_array_size(terms); i++) {
        CLEANUP(free) char *term_field = mem_printf("%s.matchExpressions[%zu]", field, i);
        validate_term(json_array_get(terms, i), term_field, causes);
    }
}
