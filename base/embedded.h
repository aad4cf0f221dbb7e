/* embedded.h - files that a program carries in itself (cmake/embed.cmake makes the tables). */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name; /* without directories; NULL ends a table */
    const unsigned char *data;
    size_t size; /* bytes */
};

#endif
