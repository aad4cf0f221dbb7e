#include "kvstore/kvctl/completion.h"

#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/global_flags.h"

static const char bash_script[] =
    "# bash completion for kvctl: source <(kvctl completion bash)\n"
    "_kvctl() {\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=($(kvctl __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then compopt -o default; fi\n"
    "}\n"
    "complete -F _kvctl kvctl\n";

static const char zsh_script[] =
    "#compdef kvctl\n"
    "# zsh completion for kvctl: kvctl completion zsh > \"${fpath[1]}/_kvctl\"\n"
    "_kvctl() {\n"
    "    local -a candidates\n"
    "    candidates=(\"${(@f)$(kvctl __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    if [[ -n \"${candidates[1]}\" ]]; then compadd -- \"${candidates[@]}\"; else _files; fi\n"
    "}\n"
    "if [[ \"${funcstack[1]}\" == _kvctl ]]; then _kvctl; else compdef _kvctl kvctl; fi\n";

static const char fish_script[] =
    "# fish completion for kvctl: kvctl completion fish > ~/.config/fish/completions/kvctl.fish\n"
    "function __kvctl_candidates\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    kvctl __complete $words[2..-1] 2>/dev/null\n"
    "end\n"
    "complete -c kvctl -a '(__kvctl_candidates)'\n";

int completion_append_script(struct buf *out, const char *shell)
{
    static const struct {
        const char *shell;
        const char *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(shell, scripts[i].shell) == 0) {
            buf_append_text(out, scripts[i].script);
            return 0;
        }
    }
    return ERR_INVALID;
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* First or second words of commands, each once. */
static void append_words(struct buf *out, const char *group, const char *partial)
{
    CLEANUP(buf) struct buf last = BUF_INIT;
    size_t skip = group == NULL ? 0 : strlen(group) + 1;
    size_t cursor = 0;
    for (const struct command *command = command_table_next(&cursor); command != NULL;
         command = command_table_next(&cursor)) {
        bool is_inside =
            group == NULL || (begins_with(command->path, group) && command->path[skip - 1] == ' ');
        if (command->is_hidden || !is_inside || !begins_with(command->path + skip, partial)) {
            continue;
        }
        const char *word = command->path + skip;
        struct bytes bytes = bytes_make(word, strcspn(word, " "));
        if (bytes.size < strlen(partial) || bytes_equal(bytes, buf_bytes(&last))) {
            continue; /* words of one group stand together */
        }
        buf_clear(&last);
        buf_append_bytes(&last, bytes);
        buf_append_bytes(out, bytes);
        buf_append_u8(out, '\n');
    }
}

static void append_flags(struct buf *out, const struct flag *flags, const char *partial)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        if (!flag->is_hidden && begins_with("--", partial)) {
            buf_append_format(out, "--%s\n", flag->name);
        } else if (!flag->is_hidden && begins_with(partial, "--") &&
                   begins_with(flag->name, partial + 2)) {
            buf_append_format(out, "--%s\n", flag->name);
        }
    }
}

static const struct flag *find_flag(const struct flag *flags, const char *word)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        bool is_long = begins_with(word, "--") && strcmp(word + 2, flag->name) == 0;
        bool is_short = word[0] == '-' && word[1] == flag->letter && word[2] == '\0';
        if (is_long || (flag->letter != 0 && is_short)) {
            return flag;
        }
    }
    return NULL;
}

static void append_choices(struct buf *out, const char *choices, const char *partial)
{
    while (choices != NULL && *choices != '\0') {
        size_t size = strcspn(choices, " ");
        if (begins_with(choices, partial) && size >= strlen(partial)) {
            buf_append_format(out, "%.*s\n", (int)size, choices);
        }
        choices += size + (choices[size] == ' ');
    }
}

void completion_append_candidates(struct buf *out, const char *const *words, int count)
{
    static const char empty[] = "";
    const char *partial = count > 0 ? words[count - 1] : empty;
    const char *previous = count > 1 ? words[count - 2] : empty;
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct command_match match;
    command_table_match(words, count > 0 ? count - 1 : 0, global_flags, &arena, &match);
    const struct flag *own = match.command != NULL ? match.command->flags : NULL;
    const struct flag *flag = find_flag(own, previous);
    flag = flag != NULL ? flag : find_flag(global_flags, previous);
    if (flag != NULL && flag->type != FLAG_BOOL) {
        append_choices(out, flag->choices, partial);
        return;
    }
    if (partial[0] == '-') {
        append_flags(out, own, partial);
        append_flags(out, global_flags, partial);
        return;
    }
    if (match.command == NULL && match.unknown == NULL) {
        append_words(out, match.group, partial);
    }
}
