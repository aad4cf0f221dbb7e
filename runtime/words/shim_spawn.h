/* shim_spawn.h - starting a kvshim for a container (runtime/container/shim.h says how). */
#ifndef RUNTIME_WORDS_SHIM_SPAWN_H
#define RUNTIME_WORDS_SHIM_SPAWN_H

#include <sys/types.h>

#include "base/err.h"
#include "runtime/words/container.h"
#include "runtime/words/lifecycle.h"

/* The container is created and waits to be started. */
MUST_USE int shim_spawn(const struct container *container, const struct lifecycle_options *options,
                        pid_t *ret_pid, pid_t *ret_shim_pid, struct err *err);
/* `kvrun delete --force`, for containers whose shim is gone; quiet when there is nothing. */
void shim_force_delete(const struct container *container);

#endif
