/* options.h - command lines the way docker reads them: -it, -p 80:80, -p80:80, --name=web,
 * --name web, --rm=false, options that may be given many times. */
#ifndef RUNTIME_WORDS_OPTIONS_H
#define RUNTIME_WORDS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct text_list {
    const char **items; /* borrowed texts of argv; the array is owned */
    size_t count;
};

void text_list_add(struct text_list *list, const char *text);
void text_list_deinit(struct text_list *list);

static inline void cleanup_text_list(struct text_list *list)
{
    text_list_deinit(list);
}

enum option_kind {
    OPTION_FLAG, /* target: bool */
    OPTION_TEXT, /* target: const char *; the last one counts */
    OPTION_LIST, /* target: struct text_list */
};

/* A table ends with a name of NULL. */
struct option_spec {
    char letter; /* 0: none */
    const char *name;
    enum option_kind kind;
    void *target;
    const char *placeholder; /* "NAME" in the help; NULL for flags */
    const char *help;
};

struct command {
    const char *usage;    /* "run [OPTIONS] IMAGE [COMMAND] [ARG...]" */
    const char *summary;  /* one line */
    const char *examples; /* lines, or NULL */
    size_t operands_min;
    size_t operands_max;
    bool stops_at_operand; /* what follows the first operand is not ours (run, exec) */
};

/* argv[0] is the word itself. Operands are added to *operands. ERR_INVALID with a text that says
 * how to get help; ERR_CANCELLED after --help has been printed. */
MUST_USE int options_parse(const struct command *command, const struct option_spec *specs, int argc,
                           char **argv, struct text_list *operands, struct err *err);

#endif
