/* exit_code.h - why a daemon stopped, for the service manager and the operator.
 *
 * 0 and 1 are the usual ones, 2 is wrong usage. The codes below say that a restart alone does not
 * help, or when it does; docs/operations names what to do for each. */
#ifndef BASE_EXIT_CODE_H
#define BASE_EXIT_CODE_H

#include <stdbool.h>

#include "base/err.h"

enum exit_code {
    EXIT_WRONG_USAGE = 2,
    EXIT_CORRUPT_LOG = 70,    /* the write-ahead log is damaged: replace this member's data */
    EXIT_CORRUPT_STORE = 71,  /* the backend is damaged: replace this member's data */
    EXIT_DISK_FAILED = 72,    /* a write or sync failed: check the disk, then restart */
    EXIT_WRONG_CLUSTER = 73,  /* the data directory belongs to another cluster or member */
    EXIT_LOCKED = 74,         /* another process uses the data directory */
    EXIT_DISK_FULL = 75,      /* no space to start: free some, then restart */
    EXIT_MEMBER_REMOVED = 76, /* the cluster removed this member: do not restart */
    EXIT_CRASHED = 79 /* a bug: a failed CHECK or a fatal signal (base/crash.h); restart, report */
};

/* The code for an error of the log (is_log) or of the backend. */
static inline int exit_code_from_error(int code, bool is_log)
{
    switch (code) {
    case ERR_CORRUPT:
        return is_log ? EXIT_CORRUPT_LOG : EXIT_CORRUPT_STORE;
    case ERR_IO:
        return EXIT_DISK_FAILED;
    case ERR_WRONG_CLUSTER:
        return EXIT_WRONG_CLUSTER;
    case ERR_LOCKED:
        return EXIT_LOCKED;
    case ERR_NO_SPACE:
        return EXIT_DISK_FULL;
    default:
        return 1;
    }
}

#endif
