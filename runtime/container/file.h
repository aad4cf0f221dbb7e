/* file.h - small files read and written whole, relative to a directory descriptor. */
#ifndef RUNTIME_CONTAINER_FILE_H
#define RUNTIME_CONTAINER_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Append the contents to out. -errno; ERR_TOO_LARGE above size_max bytes. */
MUST_USE int file_read(int dir, const char *path, size_t size_max, struct buf *out);
/* Read into text, NUL-terminated, trailing newlines removed. The length or -errno; longer is cut.
 */
MUST_USE int file_read_text(int dir, const char *path, char *text, size_t size);
/* Open an existing file for writing and write text in one call. -errno. */
MUST_USE int file_write(int dir, const char *path, const char *text);
/* Make the file appear whole or not at all: written beside and renamed. -errno. */
MUST_USE int file_replace(int dir, const char *path, struct bytes contents, mode_t mode);
/* A file that is not there yet. -EEXIST. */
MUST_USE int file_create(int dir, const char *path, struct bytes contents, mode_t mode);
/* All of it, whatever EINTR and short writes do. -errno. */
MUST_USE int file_write_all(int fd, const void *data, size_t size);
/* mkdir for each component of path below dir; existing ones are fine. -errno. */
MUST_USE int file_make_directories(const char *path, mode_t mode);
/* Remove the directory path below dir and what is in it (files and directories, links not
 * followed). -errno. */
MUST_USE int file_remove_tree(int dir, const char *path);

#endif
