#include "runtime/container/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json_text.h"
#include "runtime/container/file.h"

/* The one log of the process (conventions.md: no globals besides the log sink). */
static struct {
    int fd;
    bool is_json;
    bool is_debug;
} sink = {.fd = -1};

int report_open(const char *path, bool is_json, bool is_debug, struct err *err)
{
    sink.is_json = is_json;
    sink.is_debug = is_debug;
    if (path == NULL || path[0] == 0) {
        return 0;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd < 0) {
        return err_set_errno(err, errno, "open log file '%s'", path);
    }
    sink.fd = fd;
    return 0;
}

int report_fd(void)
{
    return sink.fd;
}

void report_close(void)
{
    sink.fd = -1;
}

bool report_is_debug(void)
{
    return sink.is_debug;
}

static const char *level_name(enum report_level level)
{
    static const char *const names[] = {"debug", "warning", "error"};
    return names[level];
}

static void append_line(struct buf *line, enum report_level level, const char *text, bool is_json)
{
    char stamp[40];
    struct timespec now;
    struct tm tm;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (is_json) {
        buf_append_format(line, "{\"level\":\"%s\",\"msg\":", level_name(level));
        json_text_append_quoted(line, bytes_from_text(text));
        buf_append_format(line, ",\"time\":\"%s\"}\n", stamp);
    } else {
        buf_append_format(line, "time=\"%s\" level=%s msg=", stamp, level_name(level));
        json_text_append_quoted(line, bytes_from_text(text));
        buf_append_text(line, "\n");
    }
}

void report(enum report_level level, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    CLEANUP(buf) struct buf line = BUF_INIT;
    if (sink.fd >= 0) {
        append_line(&line, level, text, sink.is_json);
        err_ignore(file_write_all(sink.fd, line.data, line.end)); /* nowhere left to complain */
        buf_clear(&line);
    }
    if (sink.fd >= 0 && level != REPORT_ERROR) {
        return;
    }
    if (sink.is_json && sink.fd < 0) {
        append_line(&line, level, text, true);
    } else if (level == REPORT_ERROR) {
        buf_append_format(&line, "kvrun: %s\n", text);
    } else {
        append_line(&line, level, text, false);
    }
    err_ignore(file_write_all(STDERR_FILENO, line.data, line.end)); /* as above */
}
