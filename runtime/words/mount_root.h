/* mount_root.h - the root file system of a container: its image's layers under a layer of its own.
 *
 * The mount is made in a private mount namespace of the calling process. The container, its shim
 * and its monitor inherit it; nobody else sees it; it is gone when the last of them is. Nothing has
 * to be unmounted, and no crash can leave a mount behind. */
#ifndef RUNTIME_WORDS_MOUNT_ROOT_H
#define RUNTIME_WORDS_MOUNT_ROOT_H

#include "base/err.h"
#include "runtime/image/store.h"
#include "runtime/words/container.h"

/* Leave the mount namespace of the caller; mounts made there later still arrive here. */
MUST_USE int mount_root_isolate(struct err *err);
/* Mount at <directory>/merged, unless it is mounted. *ret_fd: the opened root. */
MUST_USE int mount_root(const struct store *store, const struct container *container, int *ret_fd,
                        struct err *err);

/* Unmount it in the calling process' namespace, so that its directory can be removed. */
void mount_root_unmount(const struct container *container);

#endif
