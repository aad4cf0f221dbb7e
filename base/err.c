#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

const char *err_name(int code)
{
    switch (code) {
    case 0:
        return "OK";
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return "ERR_" #name;
        ERR_MAP(X)
#undef X
    default: {
        const char *name = strerrorname_np(-code);
        return name != NULL ? name : "ERR_UNKNOWN";
    }
    }
}

const char *err_text(int code)
{
    switch (code) {
    case 0:
        return "success";
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        ERR_MAP(X)
#undef X
    default: {
        const char *text = strerrordesc_np(-code);
        return text != NULL ? text : "unknown error";
    }
    }
}

int(err_set)(struct err *err, int code, const char *format, ...)
{
    CHECK(code < 0);
    if (err == NULL) {
        return code;
    }
    va_list arguments;
    va_start(arguments, format);
    char text[sizeof err->text]; /* the arguments may point into err->text */
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(err->text, text, sizeof text);
    err->code = code;
    return code;
}

int(err_set_errno)(struct err *err, int saved_errno, const char *format, ...)
{
    CHECK(saved_errno > 0);
    if (err == NULL) {
        return -saved_errno;
    }
    va_list arguments;
    va_start(arguments, format);
    char text[sizeof err->text];
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return err_set(err, -saved_errno, "%s: %s", text, err_text(-saved_errno));
}

int err_prefix(struct err *err, const char *format, ...)
{
    CHECK(err != NULL && err->code < 0);
    va_list arguments;
    va_start(arguments, format);
    char prefix[sizeof err->text];
    (void)vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    return err_set(err, err->code, "%s: %s", prefix, err->text);
}
