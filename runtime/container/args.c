#include "runtime/container/args.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

static const struct args_option *find(const struct args_option *options, const char *name,
                                      size_t size)
{
    for (; options->name != NULL; options++) {
        bool is_letter = size == 1 && options->letter != 0 && options->letter == name[0];
        if (is_letter ||
            (strlen(options->name) == size && strncmp(options->name, name, size) == 0)) {
            return options;
        }
    }
    return NULL;
}

static void add_to_list(struct text_list *list, char *value)
{
    list->items = mem_reallocarray(list->items, list->count + 2, sizeof *list->items);
    list->items[list->count++] = value;
    list->items[list->count] = NULL;
}

static int store(const struct args_option *option, char *value, struct err *err)
{
    if (option->kind == ARGS_BOOL) {
        bool is_true = value == NULL || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        bool is_false = !is_true && (strcmp(value, "false") == 0 || strcmp(value, "0") == 0);
        if (!is_true && !is_false) {
            return err_set(err, ERR_INVALID, "--%s: expected true or false, got '%s'", option->name,
                           value);
        }
        if (option->target != NULL) {
            *(bool *)option->target = is_true;
        }
        return 0;
    }
    if (option->target == NULL) {
        return 0;
    }
    if (option->kind == ARGS_TEXT) {
        *(const char **)option->target = value;
    } else {
        add_to_list(option->target, value);
    }
    return 0;
}

static int parse_option(int argc, char **argv, int *at, const struct args_option *options,
                        struct err *err)
{
    char *word = argv[*at];
    char *name = word + (word[1] == '-' ? 2 : 1);
    char *equals = strchr(name, '=');
    size_t size = equals == NULL ? strlen(name) : (size_t)(equals - name);
    const struct args_option *option = find(options, name, size);
    if (option == NULL) {
        return err_set(err, ERR_INVALID, "flag provided but not defined: %s", word);
    }
    char *value = equals == NULL ? NULL : equals + 1;
    if (option->kind != ARGS_BOOL && value == NULL) {
        if (*at + 1 >= argc) {
            return err_set(err, ERR_INVALID, "flag needs an argument: %s", word);
        }
        value = argv[++*at];
    }
    ++*at;
    return store(option, value, err);
}

int args_parse(int argc, char **argv, int *at, const struct args_option *options, bool stop_at_word,
               struct text_list *words, struct err *err)
{
    bool is_ended = false;
    while (*at < argc) {
        char *word = argv[*at];
        if (!is_ended && strcmp(word, "--") == 0) {
            is_ended = true;
            ++*at;
            continue;
        }
        if (!is_ended && word[0] == '-' && word[1] != 0) {
            int rc = parse_option(argc, argv, at, options, err);
            if (rc < 0) {
                return rc;
            }
            continue;
        }
        if (stop_at_word) {
            return 0;
        }
        words->items[words->count++] = word;
        ++*at;
    }
    return 0;
}

bool args_number(const char *text, long long *ret)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != 0 || errno != 0 || isspace((unsigned char)text[0])) {
        return false;
    }
    *ret = value;
    return true;
}

bool args_size(const char *text, long long *ret)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || errno != 0 || isspace((unsigned char)text[0])) {
        return false;
    }
    static const char units[] = "kmgt";
    const char *unit = *end == 0 ? NULL : strchr(units, tolower((unsigned char)*end));
    int shift = unit == NULL ? 0 : 10 * (int)(unit - units + 1);
    const char *rest = unit == NULL ? end : end + 1;
    if (strcasecmp(rest, "ib") == 0 || strcasecmp(rest, "b") == 0) {
        rest = "";
    }
    if (*rest != 0 || value > (INT64_MAX >> shift) || value < -(INT64_MAX >> shift)) {
        return false;
    }
    *ret = value * (1LL << shift);
    return true;
}

int args_signal(const char *text)
{
    long long number = 0;
    if (args_number(text, &number)) {
        return number >= 0 && number < NSIG ? (int)number : -1;
    }
    if (strncasecmp(text, "SIG", 3) == 0) {
        text += 3;
    }
    for (int i = 1; i < SIGRTMIN; i++) {
        const char *name = sigabbrev_np(i);
        if (name != NULL && strcasecmp(name, text) == 0) {
            return i;
        }
    }
    bool is_min = strncasecmp(text, "RTMIN", 5) == 0;
    if (is_min || strncasecmp(text, "RTMAX", 5) == 0) {
        int base = is_min ? SIGRTMIN : SIGRTMAX;
        number = 0;
        if (text[5] != 0 && !args_number(text + 5 + (text[5] == '+'), &number)) {
            return -1;
        }
        long long value = base + number;
        return value >= SIGRTMIN && value <= SIGRTMAX ? (int)value : -1;
    }
    return strcasecmp(text, "IOT") == 0    ? SIGABRT
           : strcasecmp(text, "CLD") == 0  ? SIGCHLD
           : strcasecmp(text, "POLL") == 0 ? SIGIO
                                           : -1;
}
