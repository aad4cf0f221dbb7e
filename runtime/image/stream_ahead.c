/* stream_ahead.c - a stage that lets everything before it run in a thread of its own, a few chunks
 * ahead: reading, hashing and decompressing beside unpacking. The only thread of kvimage's
 * archives. */
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "runtime/image/stream.h"

enum { AHEAD_CHUNKS = 16 };

struct ahead_chunk {
    uint8_t *data; /* STREAM_CHUNK_SIZE or more; owned */
    size_t capacity;
    size_t size;
};

struct ahead_stream {
    struct stream stream;
    pthread_t thread;
    bool is_running;
    bool is_lent; /* the reader has the chunk at taken */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct ahead_chunk chunks[AHEAD_CHUNKS]; /* a ring */
    unsigned written;                        /* by the thread */
    unsigned taken;    /* by the reader; its chunk stays until the next call */
    bool is_cancelled; /* the reader goes away */
    bool has_ended;    /* the thread's last word: status and err are valid */
    int status;
    struct err err;
};

static bool wait_for_room(struct ahead_stream *self)
{
    CHECK(pthread_mutex_lock(&self->mutex) == 0);
    while (!self->is_cancelled && self->written - self->taken == AHEAD_CHUNKS) {
        CHECK(pthread_cond_wait(&self->changed, &self->mutex) == 0);
    }
    bool may_go_on = !self->is_cancelled;
    CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    return may_go_on;
}

static void publish(struct ahead_stream *self, int status, const struct err *err)
{
    CHECK(pthread_mutex_lock(&self->mutex) == 0);
    if (status > 0) {
        self->written++;
    } else {
        self->has_ended = true;
        self->status = status;
        self->err = *err;
    }
    CHECK(pthread_cond_broadcast(&self->changed) == 0);
    CHECK(pthread_mutex_unlock(&self->mutex) == 0);
}

static void *run(void *context)
{
    struct ahead_stream *self = context;
    struct err err = {.code = 0};
    int status = 1;
    while (status > 0 && wait_for_room(self)) {
        struct bytes bytes;
        struct ahead_chunk *chunk = &self->chunks[self->written % AHEAD_CHUNKS];
        status = stream_next(self->stream.source, &bytes, &err);
        if (status > 0) {
            if (bytes.size > chunk->capacity) {
                mem_free(chunk->data);
                chunk->data = mem_alloc(bytes.size);
                chunk->capacity = bytes.size;
            }
            memcpy(chunk->data, bytes.data, bytes.size);
            chunk->size = bytes.size;
        }
        publish(self, status, &err);
    }
    return NULL;
}

static void join(struct ahead_stream *self)
{
    if (self->is_running) {
        CHECK(pthread_join(self->thread, NULL) == 0);
        self->is_running = false;
    }
}

/* The chunk that was given out last is free again with this call. */
static int ahead_next(struct stream *stream, struct bytes *ret, struct err *err)
{
    struct ahead_stream *self = container_of(stream, struct ahead_stream, stream);
    CHECK(pthread_mutex_lock(&self->mutex) == 0);
    if (self->is_lent) {
        self->is_lent = false;
        self->taken++;
        CHECK(pthread_cond_broadcast(&self->changed) == 0);
    }
    while (self->written == self->taken && !self->has_ended) {
        CHECK(pthread_cond_wait(&self->changed, &self->mutex) == 0);
    }
    int status = 1;
    if (self->written == self->taken) {
        status = self->status;
        if (status < 0 && err != NULL) {
            *err = self->err;
        }
    } else {
        const struct ahead_chunk *chunk = &self->chunks[self->taken % AHEAD_CHUNKS];
        *ret = bytes_make(chunk->data, chunk->size);
        self->is_lent = true;
    }
    CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    if (status <= 0) {
        join(self); /* what the chain has counted and hashed may be read now */
    }
    return status;
}

static void ahead_free(struct stream *stream)
{
    struct ahead_stream *self = container_of(stream, struct ahead_stream, stream);
    CHECK(pthread_mutex_lock(&self->mutex) == 0);
    self->is_cancelled = true;
    CHECK(pthread_cond_broadcast(&self->changed) == 0);
    CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    join(self);
    for (size_t i = 0; i < AHEAD_CHUNKS; i++) {
        mem_free(self->chunks[i].data);
    }
    CHECK(pthread_cond_destroy(&self->changed) == 0);
    CHECK(pthread_mutex_destroy(&self->mutex) == 0);
    mem_free(self);
}

struct stream *stream_new_ahead(struct stream *source)
{
    struct ahead_stream *self = mem_zalloc(sizeof(*self));
    self->stream = (struct stream){.next = ahead_next, .free = ahead_free, .source = source};
    CHECK(pthread_mutex_init(&self->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&self->changed, NULL) == 0);
    CHECK(pthread_create(&self->thread, NULL, run, self) == 0);
    self->is_running = true;
    return &self->stream;
}
