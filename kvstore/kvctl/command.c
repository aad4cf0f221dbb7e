#include "kvstore/kvctl/command.h"

#include <stdarg.h>
#include <stdio.h>

int command_fail(enum command_exit code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    /* What was printed before comes first, also when both go to one file. */
    (void)fflush(stdout);
    fputs("Error: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return (int)code;
}
