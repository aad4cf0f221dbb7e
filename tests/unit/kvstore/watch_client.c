#include "tests/unit/kvstore/watch_client.h"

static int send(struct watch_stream *stream, struct buf *request)
{
    int code = watch_stream_request(stream, buf_bytes(request));
    buf_deinit(request);
    return code;
}

int watch_client_create(struct watch_stream *stream, const struct watch_create *create)
{
    struct buf request = BUF_INIT;
    size_t mark = pb_begin_message(&request, 1);
    pb_put_text(&request, 1, create->key);
    if (create->range_end != NULL) {
        bool is_zero = create->range_end[0] == 0;
        pb_put_bytes(&request, 2,
                     is_zero ? BYTES_LITERAL("\0") : bytes_from_text(create->range_end));
    }
    pb_put_i64(&request, 3, create->start_revision);
    pb_put_u64(&request, 4, create->progress_notify);
    if (create->no_put || create->no_delete) {
        size_t filters = pb_begin_message(&request, 5);
        if (create->no_put) {
            pb_put_varint(&request, 0);
        }
        if (create->no_delete) {
            pb_put_varint(&request, 1);
        }
        pb_end_message(&request, filters);
    }
    pb_put_u64(&request, 6, create->prev_kv);
    pb_put_i64(&request, 7, create->watch_id);
    pb_put_u64(&request, 8, create->fragment);
    pb_end_message(&request, mark);
    return send(stream, &request);
}

int watch_client_cancel(struct watch_stream *stream, int64_t watch_id)
{
    struct buf request = BUF_INIT;
    size_t mark = pb_begin_message(&request, 2);
    pb_put_i64(&request, 1, watch_id);
    pb_end_message(&request, mark);
    return send(stream, &request);
}

int watch_client_progress(struct watch_stream *stream)
{
    struct buf request = BUF_INIT;
    pb_put_message(&request, 3, (struct bytes){NULL, 0});
    return send(stream, &request);
}

void watch_client_take(struct watch_stream *stream, size_t max_bytes,
                       struct watch_responses *responses)
{
    struct buf out = BUF_INIT;
    uint32_t count = watch_stream_take(stream, &out, max_bytes);
    struct bytes rest = buf_bytes(&out);
    struct bytes message;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(watch_take_next(&rest, &message));
        assert_true(responses->count < WATCH_CLIENT_RESPONSES_MAX);
        Etcdserverpb__WatchResponse *response =
            etcdserverpb__watch_response__unpack(NULL, message.size, message.data);
        assert_non_null(response);
        assert_non_null(response->header);
        assert_int_equal(response->header->cluster_id, WORLD_CLUSTER);
        responses->response[responses->count++] = response;
    }
    assert_int_equal(rest.size, 0);
    buf_deinit(&out);
}

void watch_responses_clear(struct watch_responses *responses)
{
    for (size_t i = 0; i < responses->count; i++) {
        world_free_message(responses->response[i]);
    }
    responses->count = 0;
}
