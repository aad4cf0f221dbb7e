#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

/* A daemon links base/crash.c, which makes it a line of its log. */
__attribute__((weak)) void check_report(const char *file, int line, const char *expression)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, expression);
}

_Noreturn void check_failed(const char *file, int line, const char *expression)
{
    check_report(file, line, expression);
    abort();
}
