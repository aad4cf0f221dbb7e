#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void *or_abort(void *memory)
{
    if (memory == NULL) {
        check_failed(__FILE__, __LINE__, "out of memory");
    }
    return memory;
}

static size_t array_size(size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        check_failed(__FILE__, __LINE__, "array size overflows");
    }
    return total;
}

void *mem_alloc(size_t size_bytes)
{
    return or_abort(malloc(size_bytes == 0 ? 1 : size_bytes));
}

void *mem_zalloc(size_t size_bytes)
{
    return or_abort(calloc(1, size_bytes == 0 ? 1 : size_bytes));
}

void *mem_calloc(size_t count, size_t size_bytes)
{
    return mem_zalloc(array_size(count, size_bytes));
}

void *mem_realloc(void *old, size_t size_bytes)
{
    return or_abort(realloc(old, size_bytes == 0 ? 1 : size_bytes));
}

void *mem_reallocarray(void *old, size_t count, size_t size_bytes)
{
    return mem_realloc(old, array_size(count, size_bytes));
}

void *mem_alloc_pages(size_t size_bytes)
{
    enum { PAGE_BYTES = 4096 };
    void *memory = NULL;
    int code = posix_memalign(&memory, PAGE_BYTES, size_bytes == 0 ? 1 : size_bytes);
    return or_abort(code != 0 ? NULL : memory);
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

void *mem_dup(const void *data, size_t size_bytes)
{
    void *copy = mem_alloc(size_bytes);
    if (size_bytes > 0) {
        memcpy(copy, data, size_bytes);
    }
    return copy;
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return or_abort(length < 0 ? NULL : text);
}

void mem_free(void *memory)
{
    free(memory);
}
