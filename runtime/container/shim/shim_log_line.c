/* shim_log_line.c - the format of log lines. Pure. */
#include <time.h>

#include "runtime/container/shim/shim_log.h"

void shim_log_append_time(struct buf *out, int64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    char text[40];
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_append_format(out, "%s.%09lldZ", text, (long long)(ns % 1000000000));
}

void shim_log_append_line(struct buf *out, int64_t now_ns, unsigned stream, bool is_full,
                          struct bytes text)
{
    shim_log_append_time(out, now_ns);
    buf_append_text(out, stream == 0 ? " stdout " : " stderr ");
    buf_append_text(out, is_full ? "F " : "P ");
    buf_append_bytes(out, text);
    buf_append_u8(out, '\n');
}
