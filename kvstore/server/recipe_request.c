/* The few requests that the recipes are made of, encoded. */
#include "base/pb.h"
#include "kvstore/server/recipe.h"

enum { COMPARE_CREATE = 1, SORT_ASCEND = 1, SORT_DESCEND = 2, SORT_BY_CREATE = 2 };

/* The first key that does not begin with prefix; "\0" (all that follow) if there is none. */
struct bytes recipe_prefix_end(struct bytes prefix, struct arena *arena)
{
    uint8_t *end = arena_dup(arena, prefix.data, prefix.size);
    for (size_t size = prefix.size; size > 0; size--) {
        if (end[size - 1] < UINT8_MAX) {
            end[size - 1] += 1;
            return bytes_make(end, size);
        }
    }
    return BYTES_LITERAL("\0");
}

static void put_first(struct recipe *recipe, enum recipe_order order, int64_t created_max)
{
    struct buf *out = &recipe->request;
    pb_put_bytes(out, 1, recipe->prefix);
    pb_put_bytes(out, 2, recipe_prefix_end(recipe->prefix, &recipe->step));
    pb_put_i64(out, 3, 1);
    pb_put_u64(out, 5, order == RECIPE_OLDEST ? SORT_ASCEND : SORT_DESCEND);
    pb_put_u64(out, 6, SORT_BY_CREATE);
    pb_put_i64(out, 13, created_max);
}

void recipe_request_first(struct recipe *recipe, enum recipe_order order, int64_t created_max)
{
    buf_clear(&recipe->request);
    put_first(recipe, order, created_max);
}

void recipe_request_key(struct recipe *recipe, struct bytes key)
{
    buf_clear(&recipe->request);
    pb_put_bytes(&recipe->request, 1, key);
}

static void put_compare_create(struct buf *out, struct bytes key, int64_t revision)
{
    size_t mark = pb_begin_message(out, 1);
    pb_put_u64(out, 2, COMPARE_CREATE);
    pb_put_bytes(out, 3, key);
    pb_put_i64(out, 5, revision);
    pb_end_message(out, mark);
}

/* RequestOp{put} as an operation of the success branch. */
static void put_put(struct buf *out, struct bytes key, int64_t lease, struct bytes value)
{
    size_t operation = pb_begin_message(out, 2);
    size_t put = pb_begin_message(out, 2);
    pb_put_bytes(out, 1, key);
    pb_put_bytes(out, 2, value);
    if (lease != 0) {
        pb_put_i64(out, 3, lease);
    } else {
        pb_put_u64(out, 6, 1); /* keep the lease that the key has */
    }
    pb_end_message(out, put);
    pb_end_message(out, operation);
}

void recipe_request_enter(struct recipe *recipe)
{
    struct buf *out = &recipe->request;
    buf_clear(out);
    put_compare_create(out, recipe->key, 0);
    put_put(out, recipe->key, recipe->lease, recipe->value);
    size_t operation = pb_begin_message(out, 3);
    size_t range = pb_begin_message(out, 1);
    pb_put_bytes(out, 1, recipe->key);
    pb_end_message(out, range);
    pb_end_message(out, operation);
    for (uint32_t branch = 2; branch <= 3; branch++) {
        operation = pb_begin_message(out, branch);
        range = pb_begin_message(out, 1);
        put_first(recipe, RECIPE_OLDEST, 0);
        pb_end_message(out, range);
        pb_end_message(out, operation);
    }
}

void recipe_request_put_own(struct recipe *recipe, struct bytes key, int64_t revision,
                            int64_t lease, struct bytes value)
{
    buf_clear(&recipe->request);
    put_compare_create(&recipe->request, key, revision);
    put_put(&recipe->request, key, lease, value);
}

void recipe_request_delete_own(struct recipe *recipe, struct bytes key, int64_t revision)
{
    struct buf *out = &recipe->request;
    buf_clear(out);
    put_compare_create(out, key, revision);
    size_t operation = pb_begin_message(out, 2);
    size_t delete_range = pb_begin_message(out, 3);
    pb_put_bytes(out, 1, key);
    pb_end_message(out, delete_range);
    pb_end_message(out, operation);
}
