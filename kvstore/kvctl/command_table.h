/* command_table.h - all commands, how one is found in a command line, and what to suggest instead.
 */
#ifndef KVSTORE_KVCTL_COMMAND_TABLE_H
#define KVSTORE_KVCTL_COMMAND_TABLE_H

#include "kvstore/kvctl/command.h"

/* The tables of the cmd_*.c files. */
extern const struct command kv_commands[];
extern const struct command txn_commands[];
extern const struct command watch_commands[];
extern const struct command lease_commands[];
extern const struct command member_commands[];
extern const struct command endpoint_commands[];
extern const struct command maintenance_commands[];
extern const struct command snapshot_commands[];
extern const struct command lock_commands[];
extern const struct command elect_commands[];
extern const struct command auth_commands[];
extern const struct command user_commands[];
extern const struct command role_commands[];
extern const struct command check_commands[];
extern const struct command mirror_commands[];
extern const struct command migrate_commands[];
extern const struct command misc_commands[];
extern const struct command sibling_commands[];

/* Iterate: *cursor begins as 0; NULL at the end. */
const struct command *command_table_next(size_t *cursor);
const struct command *command_table_find(const char *path); /* NULL: no such command */
/* Is it the first word of commands with two ("lease")? */
bool command_table_is_group(const char *word);

/* What a command line asks for. */
struct command_match {
    const struct command *command; /* NULL: none */
    const char *group;             /* the word, when it stands alone and is a group */
    const char *unknown;           /* the words that are no command; NULL: there are none at all */
    bool wants_help;               /* --help or -h before any command */
    const char *const *rest;       /* flags and arguments, without the command's words */
    int rest_count;
};
/* words: argv without the program's name. Flags may come before the command; global_flags tells
 * which of them take a value. Texts and arrays live in arena or are borrowed from words. */
void command_table_match(const char *const *words, int count, const struct flag *globals,
                         struct arena *arena, struct command_match *ret);

/* The nearest commands by edit distance, at most max; returns how many. */
size_t command_table_suggest(const char *word, const struct command **ret, size_t max);

#endif
