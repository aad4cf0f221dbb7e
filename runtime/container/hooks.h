/* hooks.h - programs that the configuration wants to be run at the stages of a container's life. */
#ifndef RUNTIME_CONTAINER_HOOKS_H
#define RUNTIME_CONTAINER_HOOKS_H

#include "runtime/container/spec.h"

/* Run them one after the other with the state on standard input; the environment is the
 * hook's own, or kvrun's when it says nothing about it. Stops at the first that fails: ERR_TIMEOUT,
 * or -EIO with exit status and the end of what it said on standard error. */
MUST_USE int hooks_run(const struct spec_hook_list *hooks, const char *stage, const char *state,
                       struct err *err);

#endif
