#include "runtime/container/shim/shim_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/container/file.h"
#include "runtime/container/shim.h"

static int open_file(struct shim_log *log)
{
    int fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    struct stat info;
    if (fd < 0) {
        return -errno;
    }
    log->size = fstat(fd, &info) == 0 ? (uint64_t)info.st_size : 0;
    log->fd = fd;
    return 0;
}

int shim_log_open(struct shim_log *log, const char *path, uint64_t size_max, unsigned files_max,
                  struct err *err)
{
    *log = (struct shim_log){
        .path = path, .size_max = size_max, .files_max = files_max == 0 ? 1 : files_max, .fd = -1};
    if (path == NULL) {
        return 0;
    }
    int rc = open_file(log);
    return rc < 0 ? err_set_errno(err, -rc, "--log: open '%s'", path) : 0;
}

void shim_log_close(struct shim_log *log)
{
    if (log->fd >= 0) {
        (void)close(log->fd); /* each write was checked */
        log->fd = -1;
    }
    buf_deinit(&log->partial[0]);
    buf_deinit(&log->partial[1]);
    buf_deinit(&log->lines);
}

int shim_log_reopen(struct shim_log *log, struct err *err)
{
    if (log->path == NULL) {
        return 0;
    }
    int old = log->fd;
    int rc = open_file(log);
    if (rc < 0) {
        return err_set_errno(err, -rc, "open '%s'", log->path);
    }
    if (old >= 0) {
        (void)close(old); /* each write was checked */
    }
    log->has_failed = false;
    return 0;
}

/* PATH.1 -> PATH.2 ..., PATH -> PATH.1; the oldest goes. */
static void rotate(struct shim_log *log)
{
    char from[4096];
    char to[4096];
    for (unsigned i = log->files_max; i-- > 1;) {
        (void)snprintf(to, sizeof to, "%s.%u", log->path, i);
        if (i == 1) {
            (void)snprintf(from, sizeof from, "%s", log->path);
        } else {
            (void)snprintf(from, sizeof from, "%s.%u", log->path, i - 1);
        }
        (void)rename(from, to); /* not all exist yet */
    }
    if (log->files_max == 1) {
        (void)unlink(log->path);
    }
    err_ignore(shim_log_reopen(log, NULL)); /* if it fails the old file goes on growing */
}

static void flush(struct shim_log *log)
{
    size_t size = buf_size(&log->lines);
    if (size == 0) {
        return;
    }
    if (log->size_max > 0 && log->size > 0 && log->size + size > log->size_max) {
        rotate(log);
    }
    int rc = file_write_all(log->fd, log->lines.data + log->lines.start, size);
    log->has_failed = rc < 0;
    log->size += size;
    buf_clear(&log->lines);
}

void shim_log_write(struct shim_log *log, unsigned stream, struct bytes data, int64_t now_ns)
{
    if (log->fd < 0) {
        return;
    }
    struct buf *partial = &log->partial[stream];
    const uint8_t *at = data.data;
    const uint8_t *end = data.data + data.size;
    while (at < end) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *stop = newline == NULL ? end : newline;
        size_t room = SHIM_LOG_LINE_SIZE_MAX - buf_size(partial);
        size_t size = (size_t)(stop - at);
        if (size > room) {
            /* Too long for one line: a part of it. */
            buf_append(partial, at, room);
            shim_log_append_line(&log->lines, now_ns, stream, false, buf_bytes(partial));
            buf_clear(partial);
            at += room;
            continue;
        }
        if (newline == NULL) {
            buf_append(partial, at, size);
            break;
        }
        if (buf_size(partial) == 0) {
            shim_log_append_line(&log->lines, now_ns, stream, true, bytes_make(at, size));
        } else {
            buf_append(partial, at, size);
            shim_log_append_line(&log->lines, now_ns, stream, true, buf_bytes(partial));
            buf_clear(partial);
        }
        at = newline + 1;
    }
    flush(log);
}

void shim_log_end(struct shim_log *log, unsigned stream, int64_t now_ns)
{
    struct buf *partial = &log->partial[stream];
    if (log->fd >= 0 && buf_size(partial) > 0) {
        shim_log_append_line(&log->lines, now_ns, stream, false, buf_bytes(partial));
        buf_clear(partial);
        flush(log);
    }
}
