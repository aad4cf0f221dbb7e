/* err.h - error numbers, and an error text for humans.
 *
 * A fallible function returns 0 or a negative number: a negative errno where one exists (libuv's
 * codes are these), else one of the ERR_ codes below. What touches the outside world also takes a
 * `struct err *` last and fills it on failure only. Out parameters are untouched on failure. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))

/* name, number, text */
#define ERR_MAP(X)                                                                                 \
    X(NOT_LEADER, -10000, "not leader")                                                            \
    X(BUSY, -10001, "too many requests in progress")                                               \
    X(CONFIG_PENDING, -10002, "a membership change is in progress")                                \
    X(CORRUPT, -10003, "data is corrupt")                                                          \
    X(TORN, -10004, "incomplete last record")                                                      \
    X(LOCKED, -10005, "in use by another process")                                                 \
    X(WRONG_CLUSTER, -10006, "belongs to another cluster")                                         \
    X(NO_SPACE, -10007, "no space left")                                                           \
    X(MALFORMED, -10008, "malformed input")                                                        \
    X(TOO_LARGE, -10009, "larger than the limit")                                                  \
    X(UNSUPPORTED, -10010, "not supported")                                                        \
    X(CLOSED, -10011, "closed")                                                                    \
    X(TIMEOUT, -10012, "timed out")                                                                \
    X(NOT_FOUND, -10013, "not found")                                                              \
    X(EXISTS, -10014, "already exists")                                                            \
    X(INVALID, -10015, "invalid argument")                                                         \
    X(IO, -10016, "input/output error")                                                            \
    X(CANCELLED, -10017, "cancelled")                                                              \
    X(DENIED, -10018, "permission denied")                                                         \
    X(PROTOCOL, -10019, "protocol violation")

enum err_code {
#define X(name, number, text) ERR_##name = (number),
    ERR_MAP(X)
#undef X
};

struct err {
    int code;
    char text[500];
};

/* Name ("ERR_BUSY", "ENOENT") and text of a code; never NULL. */
const char *err_name(int code);
const char *err_text(int code);

/* Fill *err (may be NULL) and return code, so that callers can `return err_set(...)`. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *err, int code, const char *format,
                                                  ...);
/* As err_set with ": <strerror>" appended; saved_errno is positive; returns -saved_errno. */
__attribute__((format(printf, 3, 4))) int err_set_errno(struct err *err, int saved_errno,
                                                        const char *format, ...);
/* For a call whose failure is harmless at this place; a comment at the call says why. */
static inline void err_ignore(int code)
{
    (void)code;
}
#ifdef __clang_analyzer__ /* what it cannot see from a declaration: the code comes back */
#define err_set(err, code, ...) ((void)(err_set)(err, code, __VA_ARGS__), (code))
#define err_set_errno(err, saved_errno, ...)                                                       \
    ((void)(err_set_errno)(err, saved_errno, __VA_ARGS__), -1)
#endif

/* Put "prefix: " before the text that is there; returns err->code. */
__attribute__((format(printf, 2, 3))) int err_prefix(struct err *err, const char *format, ...);

#endif
