#include "runtime/words/options.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void text_list_add(struct text_list *list, const char *text)
{
    list->items = mem_reallocarray(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = text;
}

void text_list_deinit(struct text_list *list)
{
    mem_free(list->items);
    *list = (struct text_list){NULL, 0};
}

static void print_help(const struct command *command, const struct option_spec *specs)
{
    printf("Usage: kvctl %s\n\n%s\n", command->usage, command->summary);
    if (command->examples != NULL) {
        printf("\nExamples:\n%s", command->examples);
    }
    if (specs->name != NULL) {
        printf("\nOptions:\n");
    }
    for (const struct option_spec *spec = specs; spec->name != NULL; spec++) {
        char left[64];
        char letter[8] = "    ";
        if (spec->letter != 0) {
            (void)snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
        }
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, spec->name,
                       spec->placeholder == NULL ? "" : " ",
                       spec->placeholder == NULL ? "" : spec->placeholder);
        printf("  %-30s %s\n", left, spec->help);
    }
}

static int store_value(const struct option_spec *spec, const char *value, struct err *err)
{
    switch (spec->kind) {
    case OPTION_FLAG: {
        bool is_true = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        if (!is_true && strcmp(value, "false") != 0 && strcmp(value, "0") != 0) {
            return err_set(err, ERR_INVALID, "--%s: '%.100s' is neither true nor false", spec->name,
                           value);
        }
        *(bool *)spec->target = is_true;
        return 0;
    }
    case OPTION_TEXT:
        *(const char **)spec->target = value;
        return 0;
    case OPTION_LIST:
        text_list_add(spec->target, value);
        return 0;
    }
    return 0;
}

static int parse_long(const struct option_spec *specs, char **argv, int argc, int *at,
                      struct err *err)
{
    const char *name = argv[*at] + 2;
    size_t size = strcspn(name, "=");
    for (const struct option_spec *spec = specs; spec->name != NULL; spec++) {
        if (strlen(spec->name) != size || memcmp(spec->name, name, size) != 0) {
            continue;
        }
        if (name[size] == '=') {
            return store_value(spec, name + size + 1, err);
        }
        if (spec->kind == OPTION_FLAG) {
            return store_value(spec, "true", err);
        }
        if (*at + 1 >= argc) {
            return err_set(err, ERR_INVALID, "--%s needs a value", spec->name);
        }
        return store_value(spec, argv[++*at], err);
    }
    return err_set(err, ERR_INVALID, "unknown option: --%.*s", (int)size, name);
}

static int parse_letters(const struct option_spec *specs, char **argv, int argc, int *at,
                         struct err *err)
{
    for (const char *letter = argv[*at] + 1; *letter != '\0'; letter++) {
        const struct option_spec *spec = specs;
        while (spec->name != NULL && spec->letter != *letter) {
            spec++;
        }
        if (spec->name == NULL) {
            return err_set(err, ERR_INVALID, "unknown option: -%c", *letter);
        }
        if (spec->kind == OPTION_FLAG) {
            bool has_value = letter[1] == '=';
            int status = store_value(spec, has_value ? letter + 2 : "true", err);
            if (status != 0 || has_value) {
                return status;
            }
            continue;
        }
        if (letter[1] != '\0') {
            return store_value(spec, letter + (letter[1] == '=' ? 2 : 1), err);
        }
        if (*at + 1 >= argc) {
            return err_set(err, ERR_INVALID, "-%c needs a value", *letter);
        }
        return store_value(spec, argv[++*at], err);
    }
    return 0;
}

static int check_operands(const struct command *command, size_t count, struct err *err)
{
    if (count < command->operands_min) {
        return err_set(err, ERR_INVALID, "too few arguments. Usage: kvctl %s", command->usage);
    }
    if (count > command->operands_max) {
        return err_set(err, ERR_INVALID, "too many arguments. Usage: kvctl %s", command->usage);
    }
    return 0;
}

int options_parse(const struct command *command, const struct option_spec *specs, int argc,
                  char **argv, struct text_list *operands, struct err *err)
{
    bool has_ended = false;
    for (int at = 1; at < argc; at++) {
        const char *text = argv[at];
        bool is_option = !has_ended && text[0] == '-' && text[1] != '\0';
        if (!is_option) {
            text_list_add(operands, text);
            has_ended = has_ended || command->stops_at_operand;
            continue;
        }
        if (strcmp(text, "--") == 0) {
            has_ended = true;
            continue;
        }
        if (strcmp(text, "--help") == 0) {
            print_help(command, specs);
            return err_set(err, ERR_CANCELLED, "help was asked for");
        }
        int status = text[1] == '-' ? parse_long(specs, argv, argc, &at, err)
                                    : parse_letters(specs, argv, argc, &at, err);
        if (status != 0) {
            (void)err_prefix(err, "%s", argv[0]);
            return status;
        }
    }
    return check_operands(command, operands->count, err);
}
