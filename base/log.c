#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json_text.h"

static atomic_int enabled_level = LOG_INFO;
static atomic_int current_format = LOG_FORMAT_JSON;
static log_sink *current_sink;
static void *current_sink_context;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&enabled_level, (int)level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
    atomic_store_explicit(&current_format, (int)format, memory_order_relaxed);
}

void log_set_sink(log_sink *sink, void *context)
{
    current_sink = sink;
    current_sink_context = context;
}

bool log_is_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&enabled_level, memory_order_relaxed);
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error", "fatal"};
    return names[level];
}

/* The last two parts of the path, as zap's short caller. */
static const char *short_path(const char *path)
{
    const char *short_from = path;
    const char *previous = path;
    for (const char *c = path; *c != 0; c++) {
        if (*c == '/') {
            short_from = previous;
            previous = c + 1;
        }
    }
    return short_from;
}

static void append_time(struct buf *line)
{
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    buf_append_format(line, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", utc.tm_year + 1900,
                      utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                      now.tv_nsec / 1000);
}

static void append_value(struct buf *line, const struct log_field *field)
{
    switch (field->type) {
    case LOG_FIELD_TEXT:
        if (field->text == NULL) {
            buf_append_text(line, "null");
        } else {
            json_text_append_quoted(line, bytes_from_text(field->text));
        }
        break;
    case LOG_FIELD_U64:
        buf_append_format(line, "%llu", (unsigned long long)field->u64);
        break;
    case LOG_FIELD_I64:
        buf_append_format(line, "%lld", (long long)field->i64);
        break;
    case LOG_FIELD_BOOL:
        buf_append_text(line, field->boolean ? "true" : "false");
        break;
    case LOG_FIELD_ID:
        buf_append_format(line, "\"%llx\"", (unsigned long long)field->u64);
        break;
    }
}

static void append_fields(struct buf *line, const struct log_field *fields)
{
    for (const struct log_field *field = fields; field->key != NULL; field++) {
        buf_append_u8(line, ',');
        json_text_append_quoted(line, bytes_from_text(field->key));
        buf_append_u8(line, ':');
        append_value(line, field);
    }
}

static void write_standard_error(const char *line, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, line, size);
        if (written < 0 && errno != EINTR) {
            return; /* there is nowhere left to say so */
        }
        if (written > 0) {
            line += written;
            size -= (size_t)written;
        }
    }
}

void log_write(enum log_level level, const char *file, int line_number, const char *message,
               const struct log_field *fields)
{
    CLEANUP(buf) struct buf line = BUF_INIT;
    if (atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_FORMAT_JSON) {
        buf_append_format(&line, "{\"level\":\"%s\",\"ts\":\"", level_name(level));
        append_time(&line);
        buf_append_format(&line, "\",\"caller\":\"%s:%d\",\"msg\":", short_path(file), line_number);
        json_text_append_quoted(&line, bytes_from_text(message));
        append_fields(&line, fields);
        buf_append_u8(&line, '}');
    } else {
        append_time(&line);
        buf_append_format(&line, "\t%s\t%s:%d\t%s", level_name(level), short_path(file),
                          line_number, message);
        if (fields->key != NULL) {
            buf_append_text(&line, "\t{");
            size_t comma_at = buf_size(&line);
            append_fields(&line, fields);
            line.data[comma_at] = ' ';
            buf_append_u8(&line, '}');
        }
    }
    if (current_sink != NULL) {
        current_sink(current_sink_context, level, buf_text(&line), buf_size(&line));
        return;
    }
    buf_append_u8(&line, '\n');
    write_standard_error((const char *)buf_bytes(&line).data, buf_size(&line));
}
