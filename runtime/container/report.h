/* report.h - what kvrun tells: one clear line for an error, warnings, debug lines.
 *
 * Errors go to the log (--log, --log-format text|json), and to standard error. containerd's shim
 * reads the last JSON line with "level":"error"; podman matches the text on standard error. */
#ifndef RUNTIME_CONTAINER_REPORT_H
#define RUNTIME_CONTAINER_REPORT_H

#include <stdbool.h>

#include "base/err.h"

enum report_level { REPORT_DEBUG, REPORT_WARNING, REPORT_ERROR };

/* Process-wide, once, before anything is reported. path NULL: standard error only. */
MUST_USE int report_open(const char *path, bool is_json, bool is_debug, struct err *err);
int report_fd(void);     /* the log's descriptor, -1: none; to be kept when others are closed */
void report_close(void); /* the log is not written any more */
bool report_is_debug(void);

__attribute__((format(printf, 2, 3))) void report(enum report_level level, const char *format, ...);

#define report_error(...) report(REPORT_ERROR, __VA_ARGS__)
#define report_warning(...) report(REPORT_WARNING, __VA_ARGS__)
#define report_debug(...)                                                                          \
    do {                                                                                           \
        if (report_is_debug()) {                                                                   \
            report(REPORT_DEBUG, __VA_ARGS__);                                                     \
        }                                                                                          \
    } while (0)

#endif
