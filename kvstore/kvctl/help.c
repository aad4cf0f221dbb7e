#include "kvstore/kvctl/help.h"

#include <string.h>

#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/global_flags.h"

static const char *const family_titles[FAMILY_COUNT] = {
    [FAMILY_STORE] = "The store",
    [FAMILY_CONTAINERS] = "Containers on this machine",
    [FAMILY_WORKLOADS] = "Workloads on the cluster",
};

static void append_indented(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        buf_append_format(out, "  %.*s\n", (int)size, text);
        text += size + (text[size] == '\n');
    }
}

/* The first command of its group, within its family? */
static bool begins_group(const struct command *command)
{
    size_t cursor = 0;
    for (const struct command *other = command_table_next(&cursor); other != command;
         other = command_table_next(&cursor)) {
        if (!other->is_hidden && other->family == command->family &&
            strcmp(other->group, command->group) == 0) {
            return false;
        }
    }
    return true;
}

static void append_group(struct buf *out, enum family family, const char *group)
{
    buf_append_format(out, "  %s\n", group);
    size_t cursor = 0;
    for (const struct command *command = command_table_next(&cursor); command != NULL;
         command = command_table_next(&cursor)) {
        if (!command->is_hidden && command->family == family &&
            strcmp(command->group, group) == 0) {
            buf_append_format(out, "    %-24s %s\n", command->path, command->summary);
        }
    }
}

void help_append_overview(struct buf *out)
{
    buf_append_text(out, "kvctl - the store, the containers and the workloads of Coracle\n\n"
                         "Examples:\n"
                         "  $ kvctl put greeting hello\n"
                         "  $ kvctl get greeting\n"
                         "  $ kvctl watch --prefix /jobs/\n"
                         "  $ kvctl endpoint status --cluster -w table\n");
    for (int family = 0; family < FAMILY_COUNT; family++) {
        buf_append_format(out, "\n%s:\n", family_titles[family]);
        size_t cursor = 0;
        for (const struct command *command = command_table_next(&cursor); command != NULL;
             command = command_table_next(&cursor)) {
            if (!command->is_hidden && command->family == (enum family)family &&
                begins_group(command)) {
                append_group(out, command->family, command->group);
            }
        }
    }
    buf_append_text(out, "\nkvctl help COMMAND says more about one; kvctl options lists the flags "
                         "that all commands of\nthe store take. KVCTL_ENDPOINTS=... (or "
                         "ETCDCTL_ENDPOINTS) in the environment sets --endpoints, and so on.\n");
}

static const char *value_name(const struct flag *flag)
{
    static const char *const names[] = {
        [FLAG_BOOL] = "",          [FLAG_TEXT] = " TEXT", [FLAG_NUMBER] = " NUMBER",
        [FLAG_DURATION] = " TIME", [FLAG_LIST] = " LIST",
    };
    return names[flag->type];
}

static void append_flags(struct buf *out, const struct flag *flags)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        if (flag->is_hidden) {
            continue;
        }
        size_t begin = buf_size(out);
        if (flag->letter != 0) {
            buf_append_format(out, "  -%c, --%s%s", flag->letter, flag->name, value_name(flag));
        } else {
            buf_append_format(out, "      --%s%s", flag->name, value_name(flag));
        }
        size_t width = buf_size(out) - begin;
        buf_append_format(out, "%*s%s", width < 34 ? (int)(34 - width) : 1, "", flag->help);
        if (flag->initial != NULL) {
            buf_append_format(out, " (default %s)", flag->initial);
        }
        buf_append_u8(out, '\n');
    }
}

void help_append_command(struct buf *out, const struct command *command)
{
    buf_append_format(out, "kvctl %s - %s\n", command->path, command->summary);
    if (command->examples != NULL) {
        buf_append_text(out, "\nExamples:\n");
        append_indented(out, command->examples);
    }
    buf_append_format(out, "\nUsage:\n  kvctl %s%s%s%s\n", command->path,
                      command->flags != NULL ? " [flags]" : "",
                      command->arguments != NULL ? " " : "",
                      command->arguments != NULL ? command->arguments : "");
    if (command->more != NULL) {
        buf_append_format(out, "\n%s\n", command->more);
    }
    if (command->flags != NULL) {
        buf_append_text(out, "\nFlags:\n");
        append_flags(out, command->flags);
    }
    buf_append_text(out, "\nkvctl options lists the flags that all commands take.\n");
}

void help_append_group(struct buf *out, const char *word)
{
    size_t size = strlen(word);
    buf_append_format(out, "Usage:\n  kvctl %s COMMAND\n\nCommands:\n", word);
    size_t cursor = 0;
    for (const struct command *command = command_table_next(&cursor); command != NULL;
         command = command_table_next(&cursor)) {
        if (!command->is_hidden && strncmp(command->path, word, size) == 0 &&
            command->path[size] == ' ') {
            buf_append_format(out, "  %-24s %s\n", command->path + size + 1, command->summary);
        }
    }
    buf_append_format(out, "\nkvctl %s COMMAND --help says more about one.\n", word);
}

void help_append_unknown(struct buf *out, const char *words)
{
    enum { SUGGESTIONS_MAX = 4 };
    const struct command *near[SUGGESTIONS_MAX];
    buf_append_format(out, "Error: unknown command \"%s\" for \"kvctl\"\n", words);
    size_t count = command_table_suggest(words, near, SUGGESTIONS_MAX);
    if (count > 0) {
        buf_append_text(out, "\nDid you mean this?\n");
    }
    for (size_t i = 0; i < count; i++) {
        buf_append_format(out, "\t%s\n", near[i]->path);
    }
    buf_append_text(out, "\nRun 'kvctl help' for usage.\n");
}

void help_append_global_flags(struct buf *out)
{
    buf_append_text(out, "Flags of every command that talks to the store:\n");
    append_flags(out, global_flags);
    buf_append_text(out, "\nEach can be set in the environment, too: KVCTL_ENDPOINTS, "
                         "KVCTL_COMMAND_TIMEOUT, ...\n(or ETCDCTL_...). The command line wins.\n");
}

/* roff: a leading dot or quote would be a request, and a backslash an escape. */
static void append_roff(struct buf *out, const char *text)
{
    bool is_line_start = true;
    for (; *text != '\0'; text++) {
        if (is_line_start && (*text == '.' || *text == '\'')) {
            buf_append_text(out, "\\&");
        }
        if (*text == '\\') {
            buf_append_text(out, "\\e");
        } else if (*text == '-') {
            buf_append_text(out, "\\-");
        } else {
            buf_append_u8(out, (uint8_t)*text);
        }
        is_line_start = *text == '\n';
    }
}

static void append_man_flags(struct buf *out, const struct flag *flags)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        if (flag->is_hidden) {
            continue;
        }
        buf_append_text(out, ".TP\n\\fB");
        if (flag->letter != 0) {
            buf_append_format(out, "\\-%c\\fR, \\fB", flag->letter);
        }
        buf_append_text(out, "\\-\\-");
        append_roff(out, flag->name);
        buf_append_format(out, "\\fR%s\n", value_name(flag));
        append_roff(out, flag->help);
        if (flag->initial != NULL) {
            buf_append_text(out, " (default ");
            append_roff(out, flag->initial);
            buf_append_text(out, ")");
        }
        buf_append_u8(out, '\n');
    }
}

static void append_man_command(struct buf *out, const struct command *command)
{
    buf_append_text(out, ".SS kvctl ");
    append_roff(out, command->path);
    if (command->arguments != NULL) {
        buf_append_u8(out, ' ');
        append_roff(out, command->arguments);
    }
    buf_append_u8(out, '\n');
    append_roff(out, command->summary);
    buf_append_text(out, ".\n");
    if (command->more != NULL) {
        buf_append_text(out, ".PP\n.nf\n");
        append_roff(out, command->more);
        buf_append_text(out, "\n.fi\n");
    }
    append_man_flags(out, command->flags);
    if (command->examples != NULL) {
        buf_append_text(out, ".PP\n.nf\n.RS\n");
        append_roff(out, command->examples);
        buf_append_text(out, "\n.RE\n.fi\n");
    }
}

void help_append_man_page(struct buf *out)
{
    buf_append_text(
        out, ".\\\" Made by `kvctl completion man` from the command table; do not edit.\n"
             ".TH KVCTL 1 \"\" \"Coracle\" \"User Commands\"\n"
             ".SH NAME\nkvctl \\- the store, the containers and the workloads of Coracle\n"
             ".SH SYNOPSIS\n\\fBkvctl\\fR COMMAND [flags] [arguments]\n"
             ".SH DESCRIPTION\n"
             "One command line for everything Coracle runs. The commands of the store speak the "
             "etcd v3\n"
             "protocol and print what etcdctl prints, so they serve an etcd cluster as well.\n"
             ".SH GLOBAL FLAGS\n");
    append_man_flags(out, global_flags);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        buf_append_text(out, ".SH ");
        buf_append_format(out, "\"%s\"\n", family_titles[family]);
        size_t cursor = 0;
        for (const struct command *command = command_table_next(&cursor); command != NULL;
             command = command_table_next(&cursor)) {
            if (!command->is_hidden && command->family == (enum family)family) {
                append_man_command(out, command);
            }
        }
    }
    buf_append_text(
        out,
        ".SH ENVIRONMENT\nEvery global flag is also read from \\fBKVCTL_\\fR and\n"
        "\\fBETCDCTL_\\fR followed by its name in capitals, with _ for \\-.\n"
        ".SH EXIT STATUS\n"
        "0: done. 1: the cluster answered with an error, or did not answer. 2: no connection.\n"
        "3: bad lines on standard input. 4: a value that a flag does not know, or a format\n"
        "that the command does not have. 5: interrupted. 6: a local file. 128: bad arguments.\n"
        ".SH SEE ALSO\n\\fBkvd\\fR(1)\n");
}
