#include "orchestrator/agent/shim_link.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/list.h"

enum { FRAME_SIZE_MAX = 1 << 20 }; /* SHIM_FRAME_SIZE_MAX */

struct shim_link {
    uv_pipe_t pipe;
    uv_connect_t connect;
    const struct shim_link_events *events;
    void *context;
    uint64_t last_id;
    struct buf input;
    struct buf early; /* before it is connected */
    bool is_connected;
    bool is_closing;
    bool is_heard; /* callbacks are made */
};

struct frame {
    uv_write_t write;
    size_t size;
    uint8_t data[];
};

static void on_closed(uv_handle_t *handle)
{
    struct shim_link *link = handle->data;
    buf_deinit(&link->input);
    buf_deinit(&link->early);
    mem_free(link);
}

static void close_link(struct shim_link *link)
{
    if (!link->is_closing) {
        link->is_closing = true;
        uv_close((uv_handle_t *)&link->pipe, on_closed);
    }
}

static void end(struct shim_link *link, int code)
{
    bool was_heard = link->is_heard;
    link->is_heard = false;
    close_link(link);
    if (was_heard) {
        link->events->on_end(link->context, code == UV_EOF ? 0 : code);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct shim_link *link = write->handle->data;
    (void)status; /* reading tells */
    mem_free(container_of(write, struct frame, write));
    if (link->is_heard && link->events->on_drained != NULL && shim_link_queued(link) == 0) {
        link->events->on_drained(link->context);
    }
}

static void write_bytes(struct shim_link *link, struct bytes data)
{
    struct frame *frame = mem_alloc(sizeof(*frame) + data.size);
    frame->size = data.size;
    if (data.size > 0) {
        memcpy(frame->data, data.data, data.size);
    }
    uv_buf_t buf = uv_buf_init((char *)frame->data, (unsigned)data.size);
    if (link->is_closing ||
        uv_write(&frame->write, (uv_stream_t *)&link->pipe, &buf, 1, on_written) != 0) {
        mem_free(frame);
    }
}

static void take_frames(struct shim_link *link)
{
    while (link->is_heard) {
        struct bytes all = buf_bytes(&link->input);
        if (all.size < 4) {
            return;
        }
        size_t size = (size_t)all.data[0] << 24 | (size_t)all.data[1] << 16 |
                      (size_t)all.data[2] << 8 | all.data[3];
        if (size > FRAME_SIZE_MAX) {
            end(link, ERR_PROTOCOL);
            return;
        }
        if (all.size < 4 + size) {
            return;
        }
        Coracle__Shim__ShimReply *reply =
            coracle__shim__shim_reply__unpack(NULL, size, all.data + 4);
        buf_consume(&link->input, 4 + size);
        if (reply == NULL) {
            end(link, ERR_PROTOCOL);
            return;
        }
        link->events->on_reply(link->context, reply);
        coracle__shim__shim_reply__free_unpacked(reply, NULL);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct shim_link *link = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)buf_reserve(&link->input, 16384), 16384);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct shim_link *link = stream->data;
    (void)buf;
    if (count < 0) {
        end(link, (int)count);
        return;
    }
    buf_commit(&link->input, (size_t)count);
    take_frames(link);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct shim_link *link = connect->data;
    if (link->is_closing) {
        return;
    }
    if (status != 0) {
        end(link, status);
        return;
    }
    link->is_connected = true;
    uv_read_start((uv_stream_t *)&link->pipe, on_alloc, on_read);
    if (buf_size(&link->early) > 0) {
        write_bytes(link, buf_bytes(&link->early));
        buf_clear(&link->early);
    }
    if (link->events->on_connected != NULL) {
        link->events->on_connected(link->context);
    }
}

struct shim_link *shim_link_open(uv_loop_t *loop, const char *path,
                                 const struct shim_link_events *events, void *context)
{
    struct shim_link *link = mem_zalloc(sizeof(*link));
    link->events = events;
    link->context = context;
    link->is_heard = true;
    buf_init(&link->input);
    buf_init(&link->early);
    uv_pipe_init(loop, &link->pipe, 0);
    link->pipe.data = link;
    link->connect.data = link;
    uv_pipe_connect(&link->connect, &link->pipe, path, on_connected);
    return link;
}

void shim_link_close(struct shim_link *link)
{
    if (link != NULL) {
        link->is_heard = false;
        close_link(link);
    }
}

uint64_t shim_link_send(struct shim_link *link, Coracle__Shim__ShimRequest *request)
{
    CLEANUP(buf) struct buf frame = BUF_INIT;
    request->id = ++link->last_id;
    size_t size = coracle__shim__shim_request__get_packed_size(request);
    uint8_t *data = buf_reserve(&frame, 4 + size);
    data[0] = (uint8_t)(size >> 24);
    data[1] = (uint8_t)(size >> 16);
    data[2] = (uint8_t)(size >> 8);
    data[3] = (uint8_t)size;
    (void)coracle__shim__shim_request__pack(request, data + 4);
    buf_commit(&frame, 4 + size);
    if (link->is_connected) {
        write_bytes(link, buf_bytes(&frame));
    } else {
        buf_append_bytes(&link->early, buf_bytes(&frame));
    }
    return request->id;
}

uint64_t shim_link_kill(struct shim_link *link, int signal, bool is_all)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimKillRequest kill;
    coracle__shim__shim_kill_request__init(&kill);
    kill.signal = signal;
    kill.all = is_all;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_KILL;
    request.kill = &kill;
    return shim_link_send(link, &request);
}

uint64_t shim_link_input(struct shim_link *link, struct bytes data)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_INPUT;
    request.input.data = (uint8_t *)(uintptr_t)data.data;
    request.input.len = data.size;
    return shim_link_send(link, &request);
}

size_t shim_link_queued(const struct shim_link *link)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&link->pipe);
}

void shim_link_pause(struct shim_link *link, bool is_paused)
{
    if (link->is_closing || !link->is_connected) {
        return;
    }
    if (is_paused) {
        uv_read_stop((uv_stream_t *)&link->pipe);
    } else if (!uv_is_active((const uv_handle_t *)&link->pipe)) {
        uv_read_start((uv_stream_t *)&link->pipe, on_alloc, on_read);
    }
}
