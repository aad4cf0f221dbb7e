/* arena.h - memory that is dropped whole: one arena per request. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/bytes.h"

#define ARENA_RETURNS __attribute__((returns_nonnull))

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes of the newest chunk */
    size_t total;               /* bytes given out, for limits */
};

#define ARENA_INIT                                                                                 \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

void arena_init(struct arena *arena);
void arena_deinit(struct arena *arena);
/* Forget everything but keep one chunk for the next request. */
void arena_reset(struct arena *arena);
/* Aligned for any type; never NULL; lives until reset or deinit. */
ARENA_RETURNS void *arena_alloc(struct arena *arena, size_t size_bytes);
ARENA_RETURNS void *arena_zalloc(struct arena *arena, size_t size_bytes);
ARENA_RETURNS void *arena_dup(struct arena *arena, const void *data, size_t size_bytes);
ARENA_RETURNS char *arena_strdup(struct arena *arena, const char *text);
ARENA_RETURNS char *arena_text(struct arena *arena, struct bytes bytes); /* a NUL-terminated copy */
__attribute__((format(printf, 2, 3))) ARENA_RETURNS char *arena_printf(struct arena *arena,
                                                                       const char *format, ...);

static inline void cleanup_arena(struct arena *arena)
{
    arena_deinit(arena);
}

#endif
