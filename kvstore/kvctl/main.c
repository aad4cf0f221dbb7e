/* kvctl: find the command, read its flags, run it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/completion.h"
#include "kvstore/kvctl/global_flags.h"
#include "kvstore/kvctl/help.h"
#include "kvstore/kvctl/session.h"
#include "kvstore/kvctl/sibling.h"

static const char *environment(const char *name)
{
    return getenv(name);
}

static void print(FILE *file, struct buf *text)
{
    (void)fputs(buf_text(text), file);
    buf_clear(text);
}

/* kvctl help [COMMAND...] */
static int run_help(const struct command_match *match, char **words)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (match->command != NULL && match->command->run == NULL) {
        const char *program = sibling_program(match->command, match->rest, match->rest_count);
        return sibling_exec(program, words);
    }
    if (match->unknown != NULL) {
        help_append_unknown(&text, match->unknown);
        print(stderr, &text);
        return EXIT_CODE_ERROR;
    }
    if (match->command != NULL) {
        help_append_command(&text, match->command);
    } else if (match->group != NULL) {
        help_append_group(&text, match->group);
    } else {
        help_append_overview(&text);
    }
    print(stdout, &text);
    return EXIT_CODE_OK;
}

static int run_command(const struct command_match *match, char **words, struct arena *arena)
{
    const struct command *command = match->command;
    if (command->run == NULL) {
        return sibling_exec(sibling_program(command, match->rest, match->rest_count), words);
    }
    struct invocation invocation = {
        .command = command,
        .raw = match->rest,
        .raw_count = match->rest_count,
        .arena = arena,
    };
    flag_set_init(&invocation.flags);
    flag_set_add(&invocation.flags, command->flags);
    flag_set_add(&invocation.flags, global_flags);
    struct err err;
    int result = flag_set_parse(&invocation.flags, match->rest, match->rest_count, arena,
                                &invocation.arguments, &invocation.argument_count, &err);
    if (result == ERR_NOT_FOUND) {
        return run_help(match, words);
    }
    if (result < 0) {
        (void)command_fail(EXIT_CODE_ERROR, "%s", err.text);
        fprintf(stderr, "Run 'kvctl %s --help' for usage.\n", command->path);
        return EXIT_CODE_ERROR;
    }
    if (global_flags_read_environment(&invocation.flags, environment, arena, &err) < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "%s", err.text);
    }
    int code = command->run(&invocation);
    session_close(&invocation);
    return code;
}

/* kvctl __complete WORDS...: for the completion scripts. */
static int run_complete(int count, char **words)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    completion_append_candidates(&text, (const char *const *)words, count);
    print(stdout, &text);
    return EXIT_CODE_OK;
}

static int dispatch(int count, char **words, struct arena *arena)
{
    if (count > 1 && strcmp(words[1], "__complete") == 0) {
        return run_complete(count - 2, words + 2);
    }
    struct command_match match;
    const char *const *rest = (const char *const *)words + 1;
    bool is_help = count > 1 && strcmp(words[1], "help") == 0;
    command_table_match(rest + is_help, count - 1 - is_help, global_flags, arena, &match);
    if (is_help || (match.command == NULL && match.wants_help)) {
        return run_help(&match, words);
    }
    if (match.command != NULL) {
        return run_command(&match, words, arena);
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (match.unknown != NULL) {
        help_append_unknown(&text, match.unknown);
        print(stderr, &text);
        return EXIT_CODE_ERROR;
    }
    return run_help(&match, words);
}

int main(int argc, char **argv)
{
    /* A reader that went away must not kill us in the middle of a lock: writes fail instead. */
    (void)signal(SIGPIPE, SIG_IGN);
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    int code = dispatch(argc, argv, &arena);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return code == EXIT_CODE_OK ? EXIT_CODE_IO : code;
    }
    return code;
}
