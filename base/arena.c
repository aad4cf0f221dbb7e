#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { ARENA_CHUNK_BYTES = 2048, ARENA_ALIGNMENT = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t capacity;
    _Alignas(ARENA_ALIGNMENT) uint8_t data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena)ARENA_INIT;
}

void arena_deinit(struct arena *arena)
{
    while (arena->chunks != NULL) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        mem_free(chunk);
    }
    arena_init(arena);
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *kept = NULL;
    while (arena->chunks != NULL) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        if (kept == NULL && chunk->capacity == ARENA_CHUNK_BYTES) {
            kept = chunk;
            kept->next = NULL;
        } else {
            mem_free(chunk);
        }
    }
    arena->chunks = kept;
    arena->used = 0;
    arena->total = 0;
}

static void add_chunk(struct arena *arena, size_t size_bytes)
{
    size_t capacity = size_bytes > ARENA_CHUNK_BYTES ? size_bytes : (size_t)ARENA_CHUNK_BYTES;
    struct arena_chunk *chunk = mem_alloc(sizeof *chunk + capacity);
    chunk->capacity = capacity;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    CHECK(size_bytes <= SIZE_MAX / 2);
    size_t rounded = (size_bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (arena->chunks == NULL || arena->chunks->capacity - arena->used < rounded) {
        add_chunk(arena, rounded);
    }
    void *memory = arena->chunks->data + arena->used;
    arena->used += rounded;
    arena->total += rounded;
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t size_bytes)
{
    return memset(arena_alloc(arena, size_bytes), 0, size_bytes);
}

void *arena_dup(struct arena *arena, const void *data, size_t size_bytes)
{
    void *copy = arena_alloc(arena, size_bytes);
    if (size_bytes > 0) {
        memcpy(copy, data, size_bytes);
    }
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_dup(arena, text, strlen(text) + 1);
}

char *arena_text(struct arena *arena, struct bytes bytes)
{
    char *text = arena_alloc(arena, bytes.size + 1);
    if (bytes.size > 0) {
        memcpy(text, bytes.data, bytes.size);
    }
    text[bytes.size] = 0;
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    va_start(arguments, format);
    (void)vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}
