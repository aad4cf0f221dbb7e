/* child.h - running a user's command and waiting for it. */
#ifndef KVSTORE_KVCTL_CHILD_H
#define KVSTORE_KVCTL_CHILD_H

#include "base/err.h"

/* Run words (ended by NULL) with our standard streams and environment plus `extra` ("NAME=value",
 * ended by NULL). Blocks. ret_status is the exit code, or 128 + signal. Errors: it could not be
 * started. */
MUST_USE int child_run(const char *const *words, const char *const *extra, int *ret_status,
                       struct err *err);

#endif
