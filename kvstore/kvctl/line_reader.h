/* line_reader.h - lines of standard input while a loop runs: from a terminal, a pipe or a file. */
#ifndef KVSTORE_KVCTL_LINE_READER_H
#define KVSTORE_KVCTL_LINE_READER_H

#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"

/* line NULL: the end of input (an unfinished last line is dropped). */
typedef void line_reader_notify(void *context, const char *line);

struct line_reader {
    uv_poll_t poll;
    uv_idle_t idle; /* instead of poll for a regular file, which is always readable */
    bool is_file;
    bool is_stopped;
    struct buf input;
    line_reader_notify *notify;
    void *context;
};

MUST_USE int line_reader_start(struct line_reader *reader, uv_loop_t *loop,
                               line_reader_notify *notify, void *context, struct err *err);
/* Its handles close with the loop's next iterations; the struct must live until then. */
void line_reader_stop(struct line_reader *reader);

#endif
