/* help.h - what `kvrun --help` and `kvrun COMMAND --help` print. */
#ifndef RUNTIME_CONTAINER_HELP_H
#define RUNTIME_CONTAINER_HELP_H

#include <stdio.h>

#include "runtime/container/args.h"

void help_print(FILE *to);
/* command: a name of the command table; options: its table. */
void help_print_command(const char *command, const struct args_option *options);

#endif
