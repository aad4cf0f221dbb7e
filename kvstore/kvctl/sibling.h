/* sibling.h - the words of containers and workloads are run by programs beside this one, so that
 * `kvctl get` does not pay for their libraries. */
#ifndef KVSTORE_KVCTL_SIBLING_H
#define KVSTORE_KVCTL_SIBLING_H

#include "kvstore/kvctl/command.h"

/* kvctl-container or kvctl-workload: a word that both know (exec, logs, stats, cp, top) goes to the
 * cluster when an argument begins with "pod/" or another KIND/. */
const char *sibling_program(const struct command *command, const char *const *arguments, int count);
/* Replace this process; returns only an exit code, when that failed. words: as for main. */
int sibling_exec(const char *program, char *const *words);

#endif
