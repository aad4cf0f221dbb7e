/* migrate_command.h - migrate live, for the command table. */
#ifndef KVSTORE_KVCTL_MIGRATE_COMMAND_H
#define KVSTORE_KVCTL_MIGRATE_COMMAND_H

#include "kvstore/kvctl/command.h"

extern const struct flag migrate_live_flags[];
int migrate_live_run(struct invocation *inv);

#endif
