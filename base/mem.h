/* mem.h - the heap. Running out of memory aborts: input sizes are limited before allocation, so it
 * is never a client's fault, and half-done transitions do more harm than a restart. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define MEM_RETURNS __attribute__((malloc, returns_nonnull, warn_unused_result))

MEM_RETURNS void *mem_alloc(size_t size_bytes);
MEM_RETURNS void *mem_zalloc(size_t size_bytes);
MEM_RETURNS void *mem_calloc(size_t count, size_t size_bytes); /* aborts on overflow, too */
__attribute__((returns_nonnull, warn_unused_result)) void *mem_realloc(void *old,
                                                                       size_t size_bytes);
__attribute__((returns_nonnull, warn_unused_result)) void *mem_reallocarray(void *old, size_t count,
                                                                            size_t size_bytes);
MEM_RETURNS void *mem_alloc_pages(size_t size_bytes); /* begins at a multiple of 4096 */
MEM_RETURNS char *mem_strdup(const char *text);
MEM_RETURNS void *mem_dup(const void *data, size_t size_bytes);
__attribute__((format(printf, 1, 2))) MEM_RETURNS char *mem_printf(const char *format, ...);
void mem_free(void *memory); /* NULL is fine */

#endif
