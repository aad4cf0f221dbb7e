#include "proto/http2_memory.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { CLASS_BYTES_MIN = 32, LARGE = UINT32_MAX, SPARE_PER_CLASS_MAX = 128 };

struct http2_memory_block {
    _Alignas(16) union {
        struct http2_memory_block *next; /* spare */
        struct {
            uint32_t kind; /* in use; LARGE: by itself */
            uint32_t size;
        };
    };
    uint8_t data[];
};

/* 32, 64, 128, 256, 512 */
static size_t class_bytes(unsigned kind)
{
    return (size_t)CLASS_BYTES_MIN << kind;
}

static unsigned class_of(size_t size)
{
    if (size <= CLASS_BYTES_MIN) {
        return 0;
    }
    return (unsigned)(sizeof(unsigned long) * 8) -
           (unsigned)__builtin_clzl((size - 1) / CLASS_BYTES_MIN);
}

static void *allocate(size_t size, void *context)
{
    struct http2_memory *memory = context;
    unsigned kind = class_of(size);
    struct http2_memory_block *block = NULL;
    if (kind >= HTTP2_MEMORY_CLASSES) {
        CHECK(size < UINT32_MAX);
        block = mem_alloc(sizeof *block + size);
        block->kind = LARGE;
        block->size = (uint32_t)size;
        return block->data;
    }
    block = memory->spare[kind];
    if (block != NULL) {
        memory->spare[kind] = block->next;
        memory->spare_count[kind]--;
    } else {
        block = mem_alloc(sizeof *block + class_bytes(kind));
    }
    block->kind = kind;
    block->size = (uint32_t)class_bytes(kind);
    return block->data;
}

static struct http2_memory_block *block_of(void *data)
{
    return (struct http2_memory_block *)((uint8_t *)data -
                                         offsetof(struct http2_memory_block, data));
}

static void release(void *data, void *context)
{
    struct http2_memory *memory = context;
    if (data == NULL) {
        return;
    }
    struct http2_memory_block *block = block_of(data);
    uint32_t kind = block->kind;
    if (kind == LARGE || memory->spare_count[kind] >= SPARE_PER_CLASS_MAX) {
        mem_free(block);
        return;
    }
    block->next = memory->spare[kind];
    memory->spare[kind] = block;
    memory->spare_count[kind]++;
}

static void *allocate_zeroed(size_t count, size_t size, void *context)
{
    CHECK(size == 0 || count <= UINT32_MAX / size);
    return memset(allocate(count * size, context), 0, count * size);
}

static void *reallocate(void *data, size_t size, void *context)
{
    if (data == NULL) {
        return allocate(size, context);
    }
    uint32_t old_size = block_of(data)->size;
    if (size <= old_size) {
        return data;
    }
    void *grown = allocate(size, context);
    memcpy(grown, data, old_size);
    release(data, context);
    return grown;
}

nghttp2_mem http2_memory_functions(struct http2_memory *memory)
{
    return (nghttp2_mem){.mem_user_data = memory,
                         .malloc = allocate,
                         .free = release,
                         .calloc = allocate_zeroed,
                         .realloc = reallocate};
}

void http2_memory_deinit(struct http2_memory *memory)
{
    for (unsigned kind = 0; kind < HTTP2_MEMORY_CLASSES; kind++) {
        while (memory->spare[kind] != NULL) {
            struct http2_memory_block *block = memory->spare[kind];
            memory->spare[kind] = block->next;
            mem_free(block);
        }
        memory->spare_count[kind] = 0;
    }
}
