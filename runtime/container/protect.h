/* protect.h - kvrun's own program must not be writable from a container.
 *
 * A container may get hold of /proc/PID/exe of a process of ours (CVE-2019-5736), for instance by
 * `#!/proc/self/exe`. Commands that run code of a container therefore run from a read-only,
 * detached clone of the mount that our program lies on; where such a clone is not allowed
 * (rootless), from a sealed copy in memory. Writing through either is refused whoever asks. */
#ifndef RUNTIME_CONTAINER_PROTECT_H
#define RUNTIME_CONTAINER_PROTECT_H

#include "base/err.h"

/* Exec ourselves again from a protected place; returns 0 when we are there already. */
MUST_USE int protect_self(char **argv, struct err *err);

#endif
