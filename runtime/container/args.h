/* args.h - command line options in both spellings that callers use: GNU's and Go's. Pure.
 *
 * "--name value", "--name=value", "-name value", "-n value", "-nvalue" is not accepted. A boolean
 * takes no value, or =true, =false. */
#ifndef RUNTIME_CONTAINER_ARGS_H
#define RUNTIME_CONTAINER_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "runtime/container/json/fields.h"

enum args_kind {
    ARGS_BOOL, /* bool * */
    ARGS_TEXT, /* const char ** */
    ARGS_LIST, /* struct text_list *: each use adds one */
};

struct args_option {
    const char *name; /* NULL ends a table */
    char letter;      /* 0: none */
    enum args_kind kind;
    void *target; /* NULL: accepted and without effect */
};

/* Read options from argv[*at] on. Words that are no options: with stop_at_word the first one ends
 * the parsing, else they are collected in words (room for argc). "--" ends options. ERR_INVALID. */
MUST_USE int args_parse(int argc, char **argv, int *at, const struct args_option *options,
                        bool stop_at_word, struct text_list *words, struct err *err);

/* A decimal number, all of the text. */
bool args_number(const char *text, long long *ret);
/* "64m", "1G", "-1", "1024": bytes; k, m, g, t by 1024. */
bool args_size(const char *text, long long *ret);
/* "KILL", "SIGKILL", "sigkill", "9", "RTMIN+1": a signal's number, or -1. */
int args_signal(const char *text);

#endif
