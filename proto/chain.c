#include "proto/chain.h"

#include "base/check.h"
#include "base/mem.h"

enum { CHAIN_KEPT_BYTES_MAX = 16 * 1024, CHAIN_KEPT_SEGMENTS_MAX = 64 };

void chain_init(struct chain *chain)
{
    *chain = (struct chain){0};
}

static void drop_blobs(struct chain *chain)
{
    for (uint32_t i = chain->first; i < chain->end; i++) {
        blob_unref(chain->segments[i].blob);
    }
    chain->first = 0;
    chain->end = 0;
    chain->size = 0;
}

void chain_deinit(struct chain *chain)
{
    drop_blobs(chain);
    buf_deinit(&chain->copied);
    mem_free(chain->segments);
    chain_init(chain);
}

void chain_clear(struct chain *chain)
{
    if (chain->copied.capacity > CHAIN_KEPT_BYTES_MAX ||
        chain->capacity > CHAIN_KEPT_SEGMENTS_MAX) {
        chain_deinit(chain);
        return;
    }
    drop_blobs(chain);
    buf_clear(&chain->copied);
}

static struct chain_segment *add_segment(struct chain *chain)
{
    if (chain->end == chain->capacity) {
        uint32_t count = chain->end - chain->first;
        if (chain->first > count) {
            memcpy(chain->segments, chain->segments + chain->first,
                   count * sizeof *chain->segments);
        } else {
            chain->capacity = chain->capacity == 0 ? 4 : chain->capacity * 2;
            struct chain_segment *segments = mem_calloc(chain->capacity, sizeof *chain->segments);
            if (count > 0) {
                memcpy(segments, chain->segments + chain->first, count * sizeof *segments);
            }
            mem_free(chain->segments);
            chain->segments = segments;
        }
        chain->first = 0;
        chain->end = count;
    }
    struct chain_segment *segment = &chain->segments[chain->end++];
    *segment = (struct chain_segment){0};
    return segment;
}

uint8_t *chain_reserve(struct chain *chain, size_t size)
{
    return buf_reserve(&chain->copied, size);
}

void chain_commit(struct chain *chain, size_t size)
{
    if (size == 0) {
        return;
    }
    buf_commit(&chain->copied, size);
    bool joins = chain->end > chain->first && chain->segments[chain->end - 1].blob == NULL;
    struct chain_segment *last = joins ? &chain->segments[chain->end - 1] : add_segment(chain);
    CHECK(size <= UINT32_MAX - last->size);
    last->size += (uint32_t)size;
    chain->size += size;
}

void chain_append(struct chain *chain, struct bytes bytes)
{
    if (bytes.size > 0) {
        CHECK(bytes.data != NULL);
        memcpy(chain_reserve(chain, bytes.size), bytes.data, bytes.size);
        chain_commit(chain, bytes.size);
    }
}

void chain_append_blob(struct chain *chain, struct blob *blob, size_t offset, size_t size)
{
    CHECK(offset <= blob->size && size <= blob->size - offset);
    if (size <= CHAIN_COPY_BYTES_MAX) {
        chain_append(chain, bytes_make(blob->data + offset, size));
        return;
    }
    struct chain_segment *segment = add_segment(chain);
    segment->blob = blob_ref(blob);
    segment->offset = (uint32_t)offset;
    segment->size = (uint32_t)size;
    chain->size += size;
}

/* The first piece of the first segment, at most size bytes. */
static struct bytes front_of(const struct chain *chain, size_t size)
{
    const struct chain_segment *segment = &chain->segments[chain->first];
    const uint8_t *data = segment->blob != NULL ? segment->blob->data + segment->offset
                                                : buf_bytes(&chain->copied).data;
    return bytes_make(data, segment->size < size ? segment->size : size);
}

void chain_move(struct chain *to, struct chain *from, size_t size)
{
    CHECK(size <= from->size);
    while (size > 0) {
        const struct chain_segment *segment = &from->segments[from->first];
        struct bytes piece = front_of(from, size);
        if (segment->blob != NULL) {
            chain_append_blob(to, segment->blob, segment->offset, piece.size);
        } else {
            chain_append(to, piece);
        }
        chain_consume(from, piece.size);
        size -= piece.size;
    }
}

void chain_consume(struct chain *chain, size_t size)
{
    CHECK(size <= chain->size);
    chain->size -= size;
    while (size > 0) {
        struct chain_segment *segment = &chain->segments[chain->first];
        uint32_t part = segment->size < size ? segment->size : (uint32_t)size;
        if (segment->blob == NULL) {
            buf_consume(&chain->copied, part);
        }
        segment->offset += part;
        segment->size -= part;
        size -= part;
        if (segment->size == 0) {
            blob_unref(segment->blob);
            chain->first++;
        }
    }
    if (chain->first == chain->end) {
        chain->first = 0;
        chain->end = 0;
    }
}

unsigned chain_peek(const struct chain *chain, struct iovec *vectors, unsigned count)
{
    unsigned used = 0;
    const uint8_t *copied = buf_bytes(&chain->copied).data;
    for (uint32_t i = chain->first; i < chain->end && used < count; i++) {
        const struct chain_segment *segment = &chain->segments[i];
        const uint8_t *data =
            segment->blob != NULL ? segment->blob->data + segment->offset : copied;
        vectors[used++] = (struct iovec){(void *)(uintptr_t)data, segment->size};
        if (segment->blob == NULL) {
            copied += segment->size;
        }
    }
    return used;
}

struct bytes chain_front(const struct chain *chain)
{
    return chain->first == chain->end ? bytes_make(NULL, 0) : front_of(chain, SIZE_MAX);
}
