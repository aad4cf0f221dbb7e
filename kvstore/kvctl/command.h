/* command.h - one row of kvctl's command table, and what a running command is given.
 *
 * To add a command: write its run function in a cmd_*.c file, put its row into that file's table,
 * and name the table in command_table.c. Help, completion, the man page and "did you mean" all read
 * the same rows, so there is nothing else to keep in step. */
#ifndef KVSTORE_KVCTL_COMMAND_H
#define KVSTORE_KVCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvstore/kvctl/flag.h"

/* Process exit codes; the numbers are etcdctl's (pkg/cobrautl), scripts depend on them. */
enum command_exit {
    EXIT_CODE_OK = 0,
    EXIT_CODE_ERROR = 1,
    EXIT_CODE_BAD_CONNECTION = 2,
    EXIT_CODE_INVALID_INPUT = 3, /* lines read by txn and watch */
    EXIT_CODE_BAD_FEATURE = 4,   /* a known flag with a value that is not supported */
    EXIT_CODE_INTERRUPTED = 5,
    EXIT_CODE_IO = 6,
    EXIT_CODE_BAD_ARGS = 128,
};

/* The three families of words: the store, containers of this machine, workloads on the cluster. */
enum family { FAMILY_STORE, FAMILY_CONTAINERS, FAMILY_WORKLOADS, FAMILY_COUNT };

struct session;

/* A command line after parsing; everything in it is borrowed and lives until the program ends. */
struct invocation {
    const struct command *command;
    struct flag_set flags;        /* the command's own flags and the global ones */
    const char *const *arguments; /* what is not a flag, without the command's words */
    int argument_count;
    const char *const *raw; /* all words after the command's own, flags and "--" included */
    int raw_count;
    struct arena *arena;     /* of the whole run */
    struct session *session; /* NULL until a command needs the cluster: session.h */
};

/* Returns a command_exit; on failure it has printed "Error: ..." on standard error itself. */
typedef int command_run(struct invocation *invocation);

struct command {
    const char *path; /* "get", "lease grant"; NULL ends a table */
    enum family family;
    const char *group;        /* heading in the help: "keys", "leases", ... */
    const char *summary;      /* one line without a full stop */
    const char *arguments;    /* usage after the path: "<key> [range_end]"; NULL: none */
    const char *examples;     /* lines "$ kvctl ..." and "# comment"; shown first in the help */
    const struct flag *flags; /* ended by a row without name; NULL: none */
    command_run *run;         /* NULL: a sibling program kvctl-<family> runs it */
    const char *more;         /* further text of the help; NULL: none */
    bool has_table;           /* knows --write-out=table */
    bool is_hidden;           /* an alias: runs, but is not listed */
};

/* Print "Error: <text>" on standard error; returns code. */
__attribute__((format(printf, 2, 3))) int command_fail(enum command_exit code, const char *format,
                                                       ...);

#endif
