#include "kvstore/kvctl/line_reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"

enum { READ_BYTES = 4096 };

static void deliver_lines(struct line_reader *reader)
{
    while (!reader->is_stopped) {
        struct bytes input = buf_bytes(&reader->input);
        uint8_t *end = input.size == 0 ? NULL : memchr(input.data, '\n', input.size);
        if (end == NULL) {
            return;
        }
        *end = '\0';
        reader->notify(reader->context, (const char *)input.data);
        if (!reader->is_stopped) {
            buf_consume(&reader->input, (size_t)(end + 1 - input.data));
        }
    }
}

static void read_some(struct line_reader *reader)
{
    ssize_t size = read(STDIN_FILENO, buf_reserve(&reader->input, READ_BYTES), READ_BYTES);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (size <= 0) {
        reader->notify(reader->context, NULL);
        return;
    }
    buf_commit(&reader->input, (size_t)size);
    deliver_lines(reader);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    read_some(container_of(poll, struct line_reader, poll));
}

static void on_idle(uv_idle_t *idle)
{
    read_some(container_of(idle, struct line_reader, idle));
}

int line_reader_start(struct line_reader *reader, uv_loop_t *loop, line_reader_notify *notify,
                      void *context, struct err *err)
{
    *reader = (struct line_reader){.notify = notify, .context = context};
    reader->is_file = uv_guess_handle(STDIN_FILENO) == UV_FILE;
    if (reader->is_file) {
        (void)uv_idle_init(loop, &reader->idle); /* never fails */
        (void)uv_idle_start(&reader->idle, on_idle);
        return 0;
    }
    int result = uv_poll_init(loop, &reader->poll, STDIN_FILENO);
    if (result < 0) {
        return err_set(err, result, "read standard input: %s", uv_strerror(result));
    }
    result = uv_poll_start(&reader->poll, UV_READABLE, on_poll);
    if (result < 0) {
        line_reader_stop(reader);
        return err_set(err, result, "read standard input: %s", uv_strerror(result));
    }
    return 0;
}

void line_reader_stop(struct line_reader *reader)
{
    reader->is_stopped = true;
    buf_deinit(&reader->input);
    if (reader->is_file) {
        uv_close((uv_handle_t *)&reader->idle, NULL);
    } else {
        uv_close((uv_handle_t *)&reader->poll, NULL);
    }
}
