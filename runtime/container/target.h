/* target.h - finding and making places inside a root file system that an attacker may have written.
 *
 * No path is ever joined as text: everything is resolved by openat2 with RESOLVE_IN_ROOT below the
 * root's descriptor, so a link can lead nowhere but into the same root, and the result is a
 * descriptor that a later rename cannot change (CVE-2021-30465, CVE-2024-45310 and their kin). */
#ifndef RUNTIME_CONTAINER_TARGET_H
#define RUNTIME_CONTAINER_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum target_flag {
    TARGET_NO_FOLLOW = 1, /* the last component is taken as it is, even a link */
};

/* An O_PATH descriptor, or -errno. */
MUST_USE int target_find(int root, const char *path, unsigned flags);
/* Find it; make missing directories (0755), and the last component as a directory or an empty file.
 * -errno; *err names the path. */
MUST_USE int target_make(int root, const char *path, bool is_directory, unsigned flags,
                         struct err *err);
/* The directory that path lies in (made when missing) and, in name, the last component. */
MUST_USE int target_make_parent(int root, const char *path, char *name, size_t name_size,
                                struct err *err);

#endif
