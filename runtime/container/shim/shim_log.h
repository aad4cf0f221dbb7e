/* shim_log.h - the container's output as a CRI log with rotation. */
#ifndef RUNTIME_CONTAINER_SHIM_SHIM_LOG_H
#define RUNTIME_CONTAINER_SHIM_SHIM_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct shim_log {
    const char *path;  /* NULL: no log */
    uint64_t size_max; /* bytes; 0: never rotate */
    unsigned files_max;
    int fd;
    uint64_t size;
    struct buf partial[2]; /* of stdout and stderr: a line that has not ended yet */
    struct buf lines;      /* scratch */
    bool has_failed;       /* the disk is full, say: output is dropped, the container goes on */
};

MUST_USE int shim_log_open(struct shim_log *log, const char *path, uint64_t size_max,
                           unsigned files_max, struct err *err);
void shim_log_close(struct shim_log *log);
/* stream: 0 stdout, 1 stderr. */
void shim_log_write(struct shim_log *log, unsigned stream, struct bytes data, int64_t now_ns);
/* The stream has ended: what is left of its last line is written. */
void shim_log_end(struct shim_log *log, unsigned stream, int64_t now_ns);
MUST_USE int shim_log_reopen(struct shim_log *log, struct err *err);

/* Pure: append one log line. */
void shim_log_append_line(struct buf *out, int64_t now_ns, unsigned stream, bool is_full,
                          struct bytes text);
/* Pure: RFC 3339 with nanoseconds, UTC. */
void shim_log_append_time(struct buf *out, int64_t ns);

#endif
