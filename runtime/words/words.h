/* words.h - the commands for people, and what they share. */
#ifndef RUNTIME_WORDS_WORDS_H
#define RUNTIME_WORDS_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Docker's exit codes; a container's own code otherwise, 128 + n when a signal killed it. */
enum {
    EXIT_FAILED = 1,       /* the command failed */
    EXIT_RUN_FAILED = 125, /* run: the container could not be made */
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
};

struct word {
    const char *name;
    int (*run)(int argc, char **argv); /* returns the exit code; argv[0] is the word */
};

/* Find argv[1] in the table and run it; unknown words get a list. */
int words_main(const struct word *words, const char *program, int argc, char **argv);

/* Print "kvctl: text" and return code; nothing for ERR_CANCELLED (help), which is success. */
int word_fail(const struct err *err, int code);

/* "2 hours ago", as docker says it; out holds 40. */
void format_age(int64_t seconds, char *out);
/* "1.24MB", decimal units with three digits, as docker; out holds 16. */
void format_size(int64_t bytes, char *out);
/* "12.3MiB", binary units; out holds 16. */
void format_memory(int64_t bytes, char *out);
/* RFC 3339 to seconds since 1970; 0 when it is not one. */
int64_t parse_time(const char *text);
/* "2026-01-02T03:04:05Z" as it is, "10m" as the time that was then, in the same form. */
MUST_USE int parse_moment(const char *text, char *out, size_t room, struct err *err);
/* Now, with nanoseconds; out holds 40. */
void format_now(char *out);

/* "64m", "1.5g", "1024": bytes, binary units. */
MUST_USE int parse_size(const char *text, int64_t *ret, struct err *err);

/* Replace this process by a program that is installed beside it (or in PATH). Returns only on
 * failure. */
MUST_USE int exec_sibling(const char *program, char **argv, struct err *err);
/* The path of such a program; out holds PATH_MAX. */
void find_sibling(const char *program, char *out);

#endif
