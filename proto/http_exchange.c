#include "proto/http_exchange.h"

#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "proto/http_session.h"

enum { SPARE_COUNT_MAX = 64 };

void http_exchange_pool_init(struct http_exchange_pool *pool)
{
    *pool = (struct http_exchange_pool){0};
    list_init(&pool->open);
    list_init(&pool->spare);
}

static void free_memory(struct http_exchange *x)
{
    chain_deinit(&x->out);
    arena_deinit(&x->arena);
    mem_free(x);
}

void http_exchange_pool_deinit(struct http_exchange_pool *pool)
{
    CHECK(list_is_empty(&pool->open));
    for (;;) {
        struct list *link = list_pop_front(&pool->spare);
        if (link == NULL) {
            return;
        }
        free_memory(container_of(link, struct http_exchange, link));
    }
}

/* Everything but the memory it keeps. */
static void reset_fields(struct http_exchange *x)
{
    struct arena arena = x->arena;
    struct chain out = x->out;
    *x = (struct http_exchange){.arena = arena, .out = out, .reference_count = 1};
    list_init(&x->link);
    list_init(&x->linger);
}

struct http_exchange *http_exchange_open(struct http_exchange_pool *pool,
                                         const struct http_session_options *options,
                                         const struct http_exchange_ops *ops, void *session)
{
    struct list *link = list_pop_front(&pool->spare);
    struct http_exchange *x = NULL;
    if (link != NULL) {
        pool->spare_count--;
        x = container_of(link, struct http_exchange, link);
    } else {
        x = mem_zalloc(sizeof *x);
        arena_init(&x->arena);
        chain_init(&x->out);
    }
    reset_fields(x);
    x->handler = options->handler;
    x->data = options->handler_data;
    x->role = options->role;
    x->peer = options->peer;
    x->ops = ops;
    x->session = session;
    x->pool = pool;
    list_push_back(&pool->open, &x->link);
    pool->open_count++;
    return x;
}

/* Its part in the connection's sum, brought up to date. */
static void count_output(struct http_exchange *x)
{
    if (x->pool != NULL) {
        x->pool->queued_bytes += x->out.size;
        x->pool->queued_bytes -= x->counted_bytes;
        x->counted_bytes = x->out.size;
    }
}

void http_exchange_close(struct http_exchange_pool *pool, struct http_exchange *x, int reason)
{
    pool->queued_bytes -= x->counted_bytes;
    x->counted_bytes = 0;
    x->pool = NULL;
    x->session = NULL;
    list_remove(&x->link);
    list_remove(&x->linger);
    pool->open_count--;
    /* A server's handler never hears the end of a request that it was not told of. */
    bool is_known = x->headers_received || x->role == HTTP_CLIENT;
    if (is_known && x->handler != NULL && x->handler->on_close != NULL) {
        x->handler->on_close(x, reason);
    }
    x->peer = NULL;
    x->handler = NULL;
    chain_clear(&x->out);
    if (x->reference_count > 1 || pool->spare_count >= SPARE_COUNT_MAX) {
        http_exchange_unref(x);
        return;
    }
    arena_reset(&x->arena);
    list_push_front(&pool->spare, &x->link);
    pool->spare_count++;
}

struct http_exchange *http_exchange_ref(struct http_exchange *x)
{
    CHECK(x->reference_count > 0);
    x->reference_count++;
    return x;
}

void http_exchange_unref(struct http_exchange *x)
{
    if (x == NULL) {
        return;
    }
    CHECK(x->reference_count > 0);
    x->reference_count--;
    if (x->reference_count == 0) {
        CHECK(x->session == NULL);
        free_memory(x);
    }
}

void http_exchange_receive_headers(struct http_exchange *x)
{
    x->headers_received = true;
    if (x->handler != NULL && x->handler->on_headers != NULL) {
        x->handler->on_headers(x);
    }
}

void http_exchange_receive(struct http_exchange *x, struct bytes data)
{
    CHECK(data.size <= UINT32_MAX - x->unconsumed_bytes);
    x->body_bytes += data.size;
    x->unconsumed_bytes += (uint32_t)data.size;
    if (x->handler != NULL && x->handler->on_body != NULL) {
        x->handler->on_body(x, data);
    } else {
        http_exchange_consume(x, data.size);
    }
}

void http_exchange_receive_end(struct http_exchange *x)
{
    x->in_ended = true;
    if (x->handler != NULL && x->handler->on_end != NULL) {
        x->handler->on_end(x);
    }
}

void http_exchange_taken(struct http_exchange *x)
{
    count_output(x);
    if (x->was_blocked && x->out.size < HTTP_QUEUE_HIGH_BYTES / 2) {
        x->was_blocked = false;
        if (x->handler != NULL && x->handler->on_writable != NULL) {
            x->handler->on_writable(x);
        }
    }
}

static void grow(struct http_exchange *x, struct http_headers *headers, uint32_t wanted)
{
    uint32_t capacity = headers->capacity == 0 ? 16 : headers->capacity * 2;
    while (capacity < wanted) {
        capacity *= 2;
    }
    struct http_header *items = arena_alloc(&x->arena, capacity * sizeof *items);
    if (headers->count > 0) {
        memcpy(items, headers->items, headers->count * sizeof *items);
    }
    headers->items = items;
    headers->capacity = capacity;
}

bool http_exchange_add_header(struct http_exchange *x, struct http_headers *headers,
                              const struct http_limits *limits, struct bytes name,
                              struct bytes value)
{
    if (headers->count >= limits->header_count_max) {
        return false;
    }
    if (headers->count == headers->capacity) {
        grow(x, headers, headers->count + 1);
    }
    uint8_t *copy = arena_alloc(&x->arena, name.size + value.size);
    if (name.size > 0) {
        memcpy(copy, name.data, name.size);
    }
    if (value.size > 0) {
        memcpy(copy + name.size, value.data, value.size);
    }
    headers->items[headers->count++] = (struct http_header){
        .name = bytes_make(copy, name.size), .value = bytes_make(copy + name.size, value.size)};
    return true;
}

bool http_exchange_is_open(const struct http_exchange *x)
{
    return x->session != NULL;
}

static bool can_send(const struct http_exchange *x)
{
    return x->session != NULL && !x->out_finished;
}

void http_exchange_add_answer_header(struct http_exchange *x, const char *name, struct bytes value)
{
    if (x->extra.count == x->extra.capacity) {
        grow(x, &x->extra, x->extra.count + 1);
    }
    x->extra.items[x->extra.count++] = (struct http_header){
        .name = bytes_from_text(arena_strdup(&x->arena, name)),
        .value = bytes_make(arena_dup(&x->arena, value.data, value.size), value.size)};
}

/* What was given and what was added; in the arena if both are there. */
static const struct http_header *all_headers(struct http_exchange *x,
                                             const struct http_header *headers, size_t *count)
{
    if (x->extra.count == 0) {
        return headers;
    }
    size_t total = *count + x->extra.count;
    struct http_header *all = arena_alloc(&x->arena, total * sizeof *all);
    if (*count > 0) {
        memcpy(all, headers, *count * sizeof *all);
    }
    memcpy(all + *count, x->extra.items, x->extra.count * sizeof *all);
    *count = total;
    return all;
}

void http_exchange_respond(struct http_exchange *x, unsigned status,
                           const struct http_header *headers, size_t count)
{
    CHECK(x->role == HTTP_SERVER);
    if (can_send(x) && !x->headers_sent) {
        x->headers_sent = true;
        const struct http_header *all = all_headers(x, headers, &count);
        x->ops->respond(x, status, all, count, /* ends= */ false);
    }
}

void http_exchange_respond_alone(struct http_exchange *x, unsigned status,
                                 const struct http_header *headers, size_t count)
{
    CHECK(x->role == HTTP_SERVER);
    if (can_send(x) && !x->headers_sent) {
        x->headers_sent = true;
        x->out_finished = true;
        const struct http_header *all = all_headers(x, headers, &count);
        x->ops->respond(x, status, all, count, /* ends= */ true);
    }
}

void http_exchange_note_output(struct http_exchange *x)
{
    count_output(x);
    if (x->out.size >= HTTP_QUEUE_HIGH_BYTES) {
        x->was_blocked = true;
    }
    x->ops->output(x);
}

void http_exchange_send(struct http_exchange *x, struct bytes data)
{
    if (can_send(x) && data.size > 0) {
        chain_append(&x->out, data);
        http_exchange_note_output(x);
    }
}

void http_exchange_send_blob(struct http_exchange *x, struct blob *blob, size_t offset, size_t size)
{
    if (can_send(x) && size > 0) {
        chain_append_blob(&x->out, blob, offset, size);
        http_exchange_note_output(x);
    }
}

void http_exchange_finish(struct http_exchange *x, const struct http_header *trailers, size_t count)
{
    if (!can_send(x)) {
        return;
    }
    x->out_finished = true;
    if (count > 0) {
        grow(x, &x->out_trailers, (uint32_t)count);
        x->out_trailers.count = (uint32_t)count;
    }
    for (size_t i = 0; i < count; i++) {
        struct http_header *trailer = &x->out_trailers.items[i];
        *trailer = trailers[i];
        if ((trailer->flags & HTTP_HEADER_STATIC) == 0) {
            trailer->name.data = arena_dup(&x->arena, trailers[i].name.data, trailer->name.size);
            trailer->value.data = arena_dup(&x->arena, trailers[i].value.data, trailer->value.size);
        }
    }
    x->ops->output(x);
}

void http_exchange_reply(struct http_exchange *x, unsigned status, const char *content_type,
                         struct bytes body)
{
    char length[24];
    int digits = snprintf(length, sizeof length, "%zu", body.size);
    const struct http_header headers[] = {
        {BYTES_LITERAL("content-type"), bytes_from_text(content_type), 0},
        {BYTES_LITERAL("content-length"), bytes_make(length, (size_t)digits), HTTP_HEADER_VARYING},
    };
    if (body.size == 0) {
        http_exchange_respond_alone(x, status, headers + 1, 1);
        return;
    }
    http_exchange_respond(x, status, headers, 2);
    bool is_head = bytes_equal(x->method, BYTES_LITERAL("HEAD"));
    http_exchange_send(x, is_head ? bytes_make(NULL, 0) : body);
    http_exchange_finish(x, NULL, 0);
}

void http_exchange_reset(struct http_exchange *x, enum http_reset code)
{
    if (x->session != NULL) {
        x->out_finished = true;
        x->ops->reset(x, code);
    }
}

void http_exchange_consume(struct http_exchange *x, size_t size)
{
    if (x->session != NULL && size > 0) {
        CHECK(size <= x->unconsumed_bytes);
        x->unconsumed_bytes -= (uint32_t)size;
        x->ops->consume(x, size);
    }
}

size_t http_exchange_queued_bytes(const struct http_exchange *x)
{
    return x->out.size;
}

size_t http_exchange_connection_queued_bytes(const struct http_exchange *x)
{
    return x->pool == NULL ? 0 : x->pool->queued_bytes;
}

int http_exchange_hijack(struct http_exchange *x, const struct http_header *headers, size_t count)
{
    if (x->session == NULL || x->ops->hijack == NULL || x->headers_sent) {
        return ERR_UNSUPPORTED;
    }
    return x->ops->hijack(x, headers, count);
}

bool http_bucket_take(struct http_bucket *bucket, uint32_t burst, uint32_t per_s, uint64_t now_ms)
{
    uint64_t full = (uint64_t)burst * 1000;
    if (bucket->filled_ms == 0) {
        bucket->tokens_milli = full;
    } else {
        uint64_t elapsed_ms = now_ms - (bucket->filled_ms - 1);
        uint64_t added = elapsed_ms > full ? full : elapsed_ms * per_s;
        bucket->tokens_milli =
            added >= full - bucket->tokens_milli ? full : bucket->tokens_milli + added;
    }
    bucket->filled_ms = now_ms + 1; /* 0 means never used */
    if (bucket->tokens_milli < 1000) {
        return false;
    }
    bucket->tokens_milli -= 1000;
    return true;
}
