/* restore_command.h - the commands that make a data directory: their flags, and how they are run.
 */
#ifndef KVSTORE_KVCTL_RESTORE_COMMAND_H
#define KVSTORE_KVCTL_RESTORE_COMMAND_H

#include "kvstore/kvctl/command.h"

extern const struct flag restore_snapshot_flags[]; /* snapshot restore */
extern const struct flag restore_migrate_flags[];  /* migrate offline */

/* A command_run: the program kvctl-restore takes over, because it links the storage libraries. */
int restore_command_run(struct invocation *inv);

#endif
