/* data_dir.h - a daemon's data directory: private, locked, on a file system that keeps promises. */
#ifndef BASE_DATA_DIR_H
#define BASE_DATA_DIR_H

#include "base/err.h"

/* Make path and what is missing above it, refuse it when it is not ours, make it private (0700),
 * and take the lock that one process at a time can hold. ERR_LOCKED, ERR_DENIED, ERR_UNSUPPORTED
 * (network file system), or a negative errno. */
MUST_USE int data_dir_open(const char *path, int *ret_fd, struct err *err);
/* Gives the lock back. */
void data_dir_close(int fd);

/* Make the directory name below parent_path (0700) and sync both, so that it survives a power loss.
 * Existing is fine. */
MUST_USE int data_dir_make(const char *parent_path, const char *name, struct err *err);

/* ERR_UNSUPPORTED on NFS, SMB, 9p and the like, where locks, mappings or syncs do not hold. */
MUST_USE int data_dir_check_file_system(const char *path, struct err *err);

#endif
