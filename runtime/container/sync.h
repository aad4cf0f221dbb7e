/* sync.h - typed messages between kvrun and the process that becomes the container's first one.
 *
 *   child                           parent
 *   SYNC_MAP        -> (maps written)      -> SYNC_PROCEED     only with a new user namespace
 *   SYNC_HOOKS      -> (runtime hooks run) -> SYNC_PROCEED     only with such hooks or devices to
 * move SYNC_SECCOMP fd -> (listener fetched)  -> SYNC_PROCEED     only with SCMP_ACT_NOTIFY
 *   SYNC_CREATED    -> everything is done but exec
 *                      SYNC_START  (run) or a connection to the start socket (create)
 *   end of stream: exec has succeeded; or SYNC_ERROR with one line at any time
 *   SYNC_WARNING at any time before exec. */
#ifndef RUNTIME_CONTAINER_SYNC_H
#define RUNTIME_CONTAINER_SYNC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum sync_type {
    SYNC_MAP = 1,
    SYNC_TIME, /* write the time namespace's offsets */
    SYNC_HOOKS,
    SYNC_SECCOMP,
    SYNC_CREATED,
    SYNC_PROCEED,
    SYNC_START,
    SYNC_WARNING,
    SYNC_ERROR,
    SYNC_CHILD, /* an intermediate process tells the pid of the real one */
};

struct sync_message {
    int32_t type;
    int32_t value;
    char text[512];
};

/* A connected pair, close-on-exec. -errno. */
MUST_USE int sync_open(int ret_ends[2]);
MUST_USE int sync_send(int fd, enum sync_type type, int value, const char *text);
/* 0 at the end of the stream, 1 with a message, -errno. */
MUST_USE int sync_receive(int fd, struct sync_message *ret);
/* Receive; the message must be of this type. SYNC_ERROR becomes *err; the end of the stream
 * ERR_CLOSED. */
MUST_USE int sync_expect(int fd, enum sync_type type, struct err *err);

/* Hand a descriptor over a unix socket, with a few bytes of text (not empty). -errno. */
MUST_USE int sync_send_fd(int socket, int fd, const char *text, size_t size);
/* The received descriptor, or -errno. */
MUST_USE int sync_receive_fd(int socket);

#endif
