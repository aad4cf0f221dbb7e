/* version, options, completion. */
#include <stdio.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/completion.h"
#include "kvstore/kvctl/help.h"

#ifndef CORACLE_VERSION
#define CORACLE_VERSION "0.1.0"
#endif
#define API_VERSION "3.7"

static void print(struct buf *text)
{
    (void)fputs(buf_text(text), stdout);
}

static int run_version(struct invocation *inv)
{
    (void)inv;
    printf("kvctl version: %s\nAPI version: %s\n", CORACLE_VERSION, API_VERSION);
    return EXIT_CODE_OK;
}

static int run_options(struct invocation *inv)
{
    (void)inv;
    CLEANUP(buf) struct buf text = BUF_INIT;
    help_append_global_flags(&text);
    print(&text);
    return EXIT_CODE_OK;
}

static int complete_for(const char *shell)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (completion_append_script(&text, shell) < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "no completion for \"%s\"", shell);
    }
    print(&text);
    return EXIT_CODE_OK;
}

static int run_bash(struct invocation *inv)
{
    (void)inv;
    return complete_for("bash");
}

static int run_zsh(struct invocation *inv)
{
    (void)inv;
    return complete_for("zsh");
}

static int run_fish(struct invocation *inv)
{
    (void)inv;
    return complete_for("fish");
}

static int run_man(struct invocation *inv)
{
    (void)inv;
    CLEANUP(buf) struct buf text = BUF_INIT;
    help_append_man_page(&text);
    print(&text);
    return EXIT_CODE_OK;
}

const struct command misc_commands[] = {
    {
        .path = "version",
        .group = "about kvctl",
        .summary = "Print kvctl's version",
        .run = run_version,
        .examples = "$ kvctl version",
    },
    {
        .path = "options",
        .group = "about kvctl",
        .summary = "List the flags of every command",
        .run = run_options,
        .examples = "$ kvctl options",
    },
    {
        .path = "completion bash",
        .group = "about kvctl",
        .summary = "Completion for bash",
        .run = run_bash,
        .examples = "$ source <(kvctl completion bash)",
    },
    {
        .path = "completion zsh",
        .group = "about kvctl",
        .summary = "Completion for zsh",
        .run = run_zsh,
        .examples = "$ kvctl completion zsh > \"${fpath[1]}/_kvctl\"",
    },
    {
        .path = "completion fish",
        .group = "about kvctl",
        .summary = "Completion for fish",
        .run = run_fish,
        .examples = "$ kvctl completion fish > ~/.config/fish/completions/kvctl.fish",
    },
    {
        .path = "completion man",
        .group = "about kvctl",
        .summary = "This manual page in roff",
        .run = run_man,
        .is_hidden = true,
        .examples = "$ kvctl completion man > kvctl.1",
    },
    {.path = NULL},
};
