/* help.h - the help texts, made from the command table. Pure: text is appended to out. */
#ifndef KVSTORE_KVCTL_HELP_H
#define KVSTORE_KVCTL_HELP_H

#include "base/buf.h"
#include "kvstore/kvctl/command.h"

void help_append_overview(struct buf *out);
void help_append_command(struct buf *out, const struct command *command);
void help_append_group(struct buf *out, const char *word);
/* "Error: unknown command ..." with suggestions. */
void help_append_unknown(struct buf *out, const char *words);
/* The flags of every command: `kvctl options`. */
void help_append_global_flags(struct buf *out);
/* The man page kvctl.1 in roff; scripts keep docs/man/kvctl.1 equal to it. */
void help_append_man_page(struct buf *out);

#endif
