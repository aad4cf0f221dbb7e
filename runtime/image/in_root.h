/* in_root.h - paths named by images and containers, resolved inside a directory that they cannot
 * leave.
 *
 * Every call goes through openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): "..", absolute paths
 * and symbolic links all stay below root_fd. Kernel 5.6 or newer (openat2(2)). */
#ifndef RUNTIME_IMAGE_IN_ROOT_H
#define RUNTIME_IMAGE_IN_ROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* As openat; returns the descriptor (O_CLOEXEC always) or -errno. path "" or "/" is the root. */
int in_root_open(int root_fd, const char *path, int flags, mode_t mode);

/* Open the directory that path's last component lives in, creating missing parents (0755) when
 * create is set. *ret_name points into path, to the last component without trailing slashes; it is
 * never empty, "." or "..". Returns the descriptor or -errno (-EINVAL when there is no such name).
 */
int in_root_open_parent(int root_fd, const char *path, bool create, char *name, size_t name_size);

/* mkdir -p inside root; returns 0 or -errno. */
MUST_USE int in_root_make_directories(int root_fd, const char *path, mode_t mode);

/* Remove name in directory_fd whatever it is, never following links. 0 or -errno; absent is fine.
 */
MUST_USE int in_root_remove(int directory_fd, const char *name);

/* Read a regular file of at most size_max bytes into out. 0, -errno, or ERR_TOO_LARGE. */
MUST_USE int in_root_read_file(int root_fd, const char *path, size_t size_max, struct buf *out);

#endif
