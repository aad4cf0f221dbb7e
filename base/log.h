/* log.h - structured log lines: a constant message and key/value fields, one JSON object per line.
 *
 *     log_info("peer unreachable", LOG_U64("peer", id), LOG_TEXT("address", text));
 *
 * Only the layer that decides what to do about an event logs it; libraries and pure cores do not.
 * Lines look like etcd's: {"level":"info","ts":"…Z","caller":"kvstore/node.c:12","msg":"…",…}. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

enum log_field_type { LOG_FIELD_TEXT, LOG_FIELD_U64, LOG_FIELD_I64, LOG_FIELD_BOOL, LOG_FIELD_ID };

struct log_field {
    const char *key; /* NULL ends the list */
    enum log_field_type type;
    union {
        const char *text; /* NULL prints as null */
        uint64_t u64;
        int64_t i64;
        bool boolean;
    };
};

#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_TEXT, .text = (v)})
#define LOG_U64(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_U64, .u64 = (v)})
#define LOG_I64(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_I64, .i64 = (v)})
#define LOG_BOOL(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_BOOL, .boolean = (v)})
/* A 64-bit id as lower-case hexadecimal text, as etcd prints member ids. */
#define LOG_ID(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_ID, .u64 = (v)})

enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_CONSOLE };

/* Receives whole lines without the newline; may be called from any thread. */
typedef void log_sink(void *context, enum log_level level, const char *line, size_t size);

/* Process-wide, set once at start before threads exist; default: info, JSON, standard error. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
void log_set_sink(log_sink *sink, void *context); /* NULL: standard error */
bool log_is_enabled(enum log_level level);

/* Use the macros. fields ends with a key of NULL. */
void log_write(enum log_level level, const char *file, int line, const char *message,
               const struct log_field *fields);

#define LOG_AT(level, message, ...)                                                                \
    do {                                                                                           \
        if (log_is_enabled(level)) {                                                               \
            log_write(level, __FILE__, __LINE__, message,                                          \
                      (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}});        \
        }                                                                                          \
    } while (0)

#define log_debug(message, ...) LOG_AT(LOG_DEBUG, message __VA_OPT__(, ) __VA_ARGS__)
#define log_info(message, ...) LOG_AT(LOG_INFO, message __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(message, ...) LOG_AT(LOG_WARN, message __VA_OPT__(, ) __VA_ARGS__)
#define log_error(message, ...) LOG_AT(LOG_ERROR, message __VA_OPT__(, ) __VA_ARGS__)
#define log_fatal(message, ...) LOG_AT(LOG_FATAL, message __VA_OPT__(, ) __VA_ARGS__)

#endif
