/* global_flags.h - flags that every command of the store takes, and where else they come from:
 * KVCTL_<FLAG> in the environment, then ETCDCTL_<FLAG>; the command line wins. */
#ifndef KVSTORE_KVCTL_GLOBAL_FLAGS_H
#define KVSTORE_KVCTL_GLOBAL_FLAGS_H

#include "kvstore/kvctl/flag.h"

extern const struct flag global_flags[];

/* Fill what the command line left open; lookup is getenv, or a test's own. ERR_INVALID names the
 * variable. */
MUST_USE int global_flags_read_environment(struct flag_set *set,
                                           const char *(*lookup)(const char *name),
                                           struct arena *arena, struct err *err);

#endif
