#include "kvstore/kvctl/flag.h"

#include <string.h>

#include "base/check.h"
#include "kvstore/kvctl/go_text.h"

void flag_set_init(struct flag_set *set)
{
    set->count = 0;
}

void flag_set_add(struct flag_set *set, const struct flag *table)
{
    for (; table != NULL && table->name != NULL; table++) {
        CHECK(set->count < FLAG_SET_SIZE_MAX);
        set->values[set->count] = (struct flag_value){
            .flag = table,
            .text = table->initial != NULL ? table->initial : "",
        };
        set->count += 1;
    }
}

struct flag_value *flag_set_find(struct flag_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->values[i].flag->name, name) == 0) {
            return &set->values[i];
        }
    }
    return NULL;
}

struct flag_value *flag_set_find_letter(struct flag_set *set, char letter)
{
    for (size_t i = 0; letter != 0 && i < set->count; i++) {
        if (set->values[i].flag->letter == letter) {
            return &set->values[i];
        }
    }
    return NULL;
}

static int check_value(const struct flag *flag, const char *text, struct err *err)
{
    switch (flag->type) {
    case FLAG_BOOL: {
        bool value;
        if (go_text_parse_bool(text, &value) < 0) {
            return err_set(err, ERR_INVALID, "strconv.ParseBool: parsing \"%s\": invalid syntax",
                           text);
        }
        return 0;
    }
    case FLAG_NUMBER: {
        int64_t value;
        return go_text_parse_i64(text, 0, &value, err);
    }
    case FLAG_DURATION: {
        uint64_t value;
        if (go_text_parse_duration_ns(text, &value) < 0) {
            return err_set(err, ERR_INVALID, "time: invalid duration \"%s\" (say 5s, 1m30s, 200ms)",
                           text);
        }
        return 0;
    }
    case FLAG_TEXT:
    case FLAG_LIST:
        return 0;
    }
    CHECK_UNREACHABLE();
}

int flag_value_assign(struct flag_value *value, const char *text, struct arena *arena,
                      struct err *err)
{
    const struct flag *flag = value->flag;
    struct err reason;
    if (check_value(flag, text, &reason) < 0) {
        if (flag->letter != 0) {
            return err_set(err, ERR_INVALID, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s",
                           text, flag->letter, flag->name, reason.text);
        }
        return err_set(err, ERR_INVALID, "invalid argument \"%s\" for \"--%s\" flag: %s", text,
                       flag->name, reason.text);
    }
    if (flag->type == FLAG_LIST && value->is_set) {
        text = arena_printf(arena, "%s,%s", value->text, text);
    }
    value->text = text;
    value->is_set = true;
    return 0;
}

/* Where the parser stands. */
struct parser {
    struct flag_set *set;
    const char *const *words;
    int word_count;
    int at;
    struct arena *arena;
    struct err *err;
};

static int parse_long(struct parser *parser)
{
    const char *word = parser->words[parser->at] + 2;
    const char *equals = strchr(word, '=');
    size_t name_size = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const char *name = arena_text(parser->arena, bytes_make(word, name_size));
    if (name_size == 0 || name[0] == '-') {
        return err_set(parser->err, ERR_INVALID, "bad flag syntax: --%s", word);
    }
    struct flag_value *value = flag_set_find(parser->set, name);
    if (value == NULL) {
        return strcmp(name, "help") == 0
                   ? err_set(parser->err, ERR_NOT_FOUND, "help wanted")
                   : err_set(parser->err, ERR_INVALID, "unknown flag: --%s", name);
    }
    if (equals != NULL) {
        return flag_value_assign(value, equals + 1, parser->arena, parser->err);
    }
    if (value->flag->type == FLAG_BOOL) {
        return flag_value_assign(value, "true", parser->arena, parser->err);
    }
    if (parser->at + 1 >= parser->word_count) {
        return err_set(parser->err, ERR_INVALID, "flag needs an argument: --%s", name);
    }
    parser->at += 1;
    return flag_value_assign(value, parser->words[parser->at], parser->arena, parser->err);
}

/* One word of single-letter flags: -i, -wjson, -w=json, -w json, -iw json. */
static int parse_letters(struct parser *parser)
{
    const char *all = parser->words[parser->at] + 1;
    for (const char *letters = all; *letters != '\0'; letters++) {
        struct flag_value *value = flag_set_find_letter(parser->set, *letters);
        if (value == NULL) {
            return *letters == 'h' ? err_set(parser->err, ERR_NOT_FOUND, "help wanted")
                                   : err_set(parser->err, ERR_INVALID,
                                             "unknown shorthand flag: '%c' in -%s", *letters, all);
        }
        if (letters[1] == '=') {
            return flag_value_assign(value, letters + 2, parser->arena, parser->err);
        }
        if (value->flag->type == FLAG_BOOL) {
            int result = flag_value_assign(value, "true", parser->arena, parser->err);
            if (result < 0) {
                return result;
            }
            continue;
        }
        if (letters[1] != '\0') {
            return flag_value_assign(value, letters + 1, parser->arena, parser->err);
        }
        if (parser->at + 1 >= parser->word_count) {
            return err_set(parser->err, ERR_INVALID, "flag needs an argument: '%c' in -%s",
                           *letters, all);
        }
        parser->at += 1;
        return flag_value_assign(value, parser->words[parser->at], parser->arena, parser->err);
    }
    return 0;
}

int flag_set_parse(struct flag_set *set, const char *const *words, int word_count,
                   struct arena *arena, const char *const **ret_arguments, int *ret_argument_count,
                   struct err *err)
{
    struct parser parser = {set, words, word_count, 0, arena, err};
    const char **arguments = arena_zalloc(arena, ((size_t)word_count + 1) * sizeof *arguments);
    int argument_count = 0;
    for (; parser.at < word_count; parser.at++) {
        const char *word = words[parser.at];
        int result = 0;
        if (strcmp(word, "--") == 0) {
            for (parser.at += 1; parser.at < word_count; parser.at++) {
                arguments[argument_count++] = words[parser.at];
            }
            break;
        }
        if (word[0] == '-' && word[1] == '-') {
            result = parse_long(&parser);
        } else if (word[0] == '-' && word[1] != '\0') {
            result = parse_letters(&parser);
        } else {
            arguments[argument_count++] = word;
        }
        if (result < 0) {
            return result;
        }
    }
    *ret_arguments = arguments;
    *ret_argument_count = argument_count;
    return 0;
}

static const struct flag_value *must_find(const struct flag_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->values[i].flag->name, name) == 0) {
            return &set->values[i];
        }
    }
    CHECK_UNREACHABLE();
}

bool flag_bool(const struct flag_set *set, const char *name)
{
    const char *text = must_find(set, name)->text;
    bool value = false;
    if (*text != '\0' && go_text_parse_bool(text, &value) < 0) {
        CHECK_UNREACHABLE(); /* checked when it was assigned */
    }
    return value;
}

const char *flag_text(const struct flag_set *set, const char *name)
{
    return must_find(set, name)->text;
}

int64_t flag_number(const struct flag_set *set, const char *name)
{
    const char *text = must_find(set, name)->text;
    int64_t value = 0;
    if (*text != '\0' && go_text_parse_i64(text, 0, &value, NULL) < 0) {
        CHECK_UNREACHABLE();
    }
    return value;
}

uint64_t flag_duration_ms(const struct flag_set *set, const char *name)
{
    const char *text = must_find(set, name)->text;
    uint64_t value_ns = 0;
    if (*text != '\0' && go_text_parse_duration_ns(text, &value_ns) < 0) {
        CHECK_UNREACHABLE();
    }
    return value_ns / 1000000 + (value_ns % 1000000 != 0);
}

bool flag_is_set(const struct flag_set *set, const char *name)
{
    return must_find(set, name)->is_set;
}
