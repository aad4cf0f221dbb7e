#include "kvstore/kvctl/command_table.h"

#include <string.h>

static const struct command *const tables[] = {
    kv_commands,    txn_commands,     watch_commands,    lease_commands,    lock_commands,
    elect_commands, member_commands,  endpoint_commands, snapshot_commands, maintenance_commands,
    auth_commands,  user_commands,    role_commands,     check_commands,    mirror_commands,
    misc_commands,  migrate_commands, sibling_commands,
};

const struct command *command_table_next(size_t *cursor)
{
    size_t left = *cursor;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        for (const struct command *command = tables[i]; command->path != NULL; command++) {
            if (left == 0) {
                *cursor += 1;
                return command;
            }
            left -= 1;
        }
    }
    return NULL;
}

const struct command *command_table_find(const char *path)
{
    size_t cursor = 0;
    for (const struct command *command = command_table_next(&cursor); command != NULL;
         command = command_table_next(&cursor)) {
        if (strcmp(command->path, path) == 0) {
            return command;
        }
    }
    return NULL;
}

bool command_table_is_group(const char *word)
{
    size_t size = strlen(word);
    size_t cursor = 0;
    for (const struct command *command = command_table_next(&cursor); command != NULL;
         command = command_table_next(&cursor)) {
        if (strncmp(command->path, word, size) == 0 && command->path[size] == ' ') {
            return true;
        }
    }
    return false;
}

/* Does this flag word take the next word as its value? */
static bool takes_next(const char *word, const struct flag *globals)
{
    for (const struct flag *flag = globals; flag->name != NULL; flag++) {
        bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, flag->name) == 0;
        bool is_short = word[1] == flag->letter && word[2] == '\0';
        if (is_long || is_short) {
            return flag->type != FLAG_BOOL;
        }
    }
    return false;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Index of the next word from at on that is not a flag or a flag's value; count: none. */
static int next_plain(const char *const *words, int count, int at, const struct flag *globals,
                      bool *ret_help)
{
    while (at < count) {
        const char *word = words[at];
        if (strcmp(word, "--") == 0) {
            return count;
        }
        if (word[0] != '-' || word[1] == '\0') {
            return at;
        }
        *ret_help |= is_help(word);
        at += takes_next(word, globals) ? 2 : 1;
    }
    return count;
}

static void copy_rest(const char *const *words, int count, int first, int second,
                      struct arena *arena, struct command_match *ret)
{
    const char **rest = arena_alloc(arena, ((size_t)count + 1) * sizeof *rest);
    int rest_count = 0;
    for (int i = 0; i < count; i++) {
        if (i != first && i != second) {
            rest[rest_count++] = words[i];
        }
    }
    rest[rest_count] = NULL;
    ret->rest = rest;
    ret->rest_count = rest_count;
}

void command_table_match(const char *const *words, int count, const struct flag *globals,
                         struct arena *arena, struct command_match *ret)
{
    *ret = (struct command_match){.command = NULL};
    int first = next_plain(words, count, 0, globals, &ret->wants_help);
    if (first >= count) {
        copy_rest(words, count, count, count, arena, ret);
        return;
    }
    if (!command_table_is_group(words[first])) {
        copy_rest(words, count, first, count, arena, ret);
        ret->command = command_table_find(words[first]);
        ret->unknown = ret->command == NULL ? words[first] : NULL;
        return;
    }
    int second = next_plain(words, count, first + 1, globals, &ret->wants_help);
    copy_rest(words, count, first, second, arena, ret);
    if (second >= count) {
        ret->group = words[first];
        return;
    }
    const char *path = arena_printf(arena, "%s %s", words[first], words[second]);
    ret->command = command_table_find(path);
    if (ret->command == NULL) {
        ret->group = words[first];
        ret->unknown = path;
    }
}

/* Levenshtein's distance, for words of sane length. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 48 };
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    if (a_size > WORD_MAX || b_size > WORD_MAX) {
        return SIZE_MAX;
    }
    size_t row[WORD_MAX + 1];
    for (size_t k = 0; k <= b_size; k++) {
        row[k] = k;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b_size; k++) {
            size_t changed = diagonal + (a[i - 1] != b[k - 1]);
            diagonal = row[k];
            size_t nearest = row[k] < row[k - 1] ? row[k] + 1 : row[k - 1] + 1;
            row[k] = changed < nearest ? changed : nearest;
        }
    }
    return row[b_size];
}

static bool is_near(const char *word, const char *path, size_t limit)
{
    size_t size = strlen(word);
    return edit_distance(word, path) <= limit || (size >= 2 && strncmp(word, path, size) == 0);
}

size_t command_table_suggest(const char *word, const struct command **ret, size_t max)
{
    size_t count = 0;
    for (size_t limit = 1; limit <= 2 && count == 0; limit++) {
        size_t cursor = 0;
        for (const struct command *command = command_table_next(&cursor);
             command != NULL && count < max; command = command_table_next(&cursor)) {
            if (!command->is_hidden && is_near(word, command->path, limit)) {
                ret[count++] = command;
            }
        }
    }
    return count;
}
