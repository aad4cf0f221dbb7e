/* exec_stream.c - kubectl exec and attach: a WebSocket on one side, a shim on the other.
 *
 * Subprotocols v5.channel.k8s.io and v4: the first byte of a message is its channel
 * (kubernetes-api.md 1.8). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/agent/server.h"
#include "orchestrator/agent/shim_link.h"
#include "orchestrator/agent/web_socket.h"
#include "orchestrator/objects/tree.h"

enum {
    CHANNEL_INPUT = 0,
    CHANNEL_OUTPUT = 1,
    CHANNEL_ERRORS = 2,
    CHANNEL_STATUS = 3,
    CHANNEL_RESIZE = 4,
    CHANNEL_CLOSE = 255, /* v5 */
    OUTPUT_HIGH_BYTES = 256 * 1024,
    INPUT_HIGH_BYTES = 256 * 1024,
    SIDE_MAX = 10000, /* of a terminal */
};

struct exec_stream {
    struct http_exchange *x; /* a reference */
    struct web_socket *socket;
    struct shim_link *link;
    struct shim_link *control; /* sizes and signals: the stream's own answers only its stream */
    char *socket_path;
    struct wire_loop *wire;
    char exec_id[65];
    size_t unconsumed; /* bytes of the client that the shim has not taken */
    bool is_attach;
    bool is_tty;
    bool is_over;
};

static const char *const protocols[] = {"v5.channel.k8s.io", "v4.channel.k8s.io", NULL};

static void send_channel(struct exec_stream *stream, uint8_t channel, struct bytes data)
{
    web_socket_send(stream->socket, bytes_make(&channel, 1), data);
}

static void end(struct exec_stream *stream, json_t *take_status)
{
    char *text = json_dumps(take_status, JSON_COMPACT);
    json_decref(take_status);
    if (!stream->is_over) {
        stream->is_over = true;
        send_channel(stream, CHANNEL_STATUS, bytes_from_text(text));
        web_socket_close(stream->socket);
    }
    free(text);
}

static void end_with_error(struct exec_stream *stream, const char *message)
{
    end(stream, json_pack("{s:{}, s:s, s:s, s:s, s:i}", "metadata", "status", "Failure", "reason",
                          "InternalError", "message", message, "code", 500));
}

static void end_with_code(struct exec_stream *stream, int code)
{
    if (code == 0) {
        end(stream, json_pack("{s:{}, s:s}", "metadata", "status", "Success"));
        return;
    }
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", code);
    end(stream,
        json_pack("{s:{}, s:s, s:s, s:o, s:{s:[{s:s, s:s}]}}", "metadata", "status", "Failure",
                  "reason", "NonZeroExitCode", "message",
                  json_sprintf("command terminated with non-zero exit code: exit status %d", code),
                  "details", "causes", "reason", "ExitCode", "message", text));
}

/* ---- from the shim ---- */

static void on_reply(void *context, const Coracle__Shim__ShimReply *reply)
{
    struct exec_stream *stream = context;
    if (reply->error != NULL) {
        end_with_error(stream, reply->error->text);
    } else if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXEC) {
        (void)snprintf(stream->exec_id, sizeof(stream->exec_id), "%s", reply->exec->exec_id);
    } else if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_OUTPUT) {
        const Coracle__Shim__ShimOutput *output = reply->output;
        bool is_error = output->stream == CORACLE__SHIM__SHIM_STREAM__SHIM_STREAM_STDERR;
        send_channel(stream, is_error ? CHANNEL_ERRORS : CHANNEL_OUTPUT,
                     bytes_make(output->data.data, output->data.len));
        if (http_exchange_queued_bytes(stream->x) > OUTPUT_HIGH_BYTES) {
            shim_link_pause(stream->link, true); /* until on_writable */
        }
    } else if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED) {
        end_with_code(stream, reply->exited->exit_code);
    }
}

static void on_link_end(void *context, int code)
{
    struct exec_stream *stream = context;
    (void)code;
    stream->link = NULL;
    end_with_error(stream, "the container is gone");
}

static void on_drained(void *context)
{
    struct exec_stream *stream = context;
    size_t size = stream->unconsumed;
    stream->unconsumed = 0;
    http_exchange_consume(stream->x, size);
}

static const struct shim_link_events link_events = {
    .on_reply = on_reply, .on_drained = on_drained, .on_end = on_link_end};

static void on_control_reply(void *context, const Coracle__Shim__ShimReply *reply)
{
    (void)context; /* a size that cannot be set changes nothing */
    (void)reply;
}

static void on_control_end(void *context, int code)
{
    struct exec_stream *stream = context;
    (void)code;
    stream->control = NULL;
}

static const struct shim_link_events control_events = {.on_reply = on_control_reply,
                                                       .on_end = on_control_end};

static struct shim_link *control(struct exec_stream *stream)
{
    if (stream->control == NULL) {
        stream->control = shim_link_open(wire_loop_uv(stream->wire), stream->socket_path,
                                         &control_events, stream);
    }
    return stream->control;
}

/* ---- from the client ---- */

static void resize(struct exec_stream *stream, struct bytes text)
{
    CLEANUP(json) json_t *size = json_loadb((const char *)text.data, text.size, 0, NULL);
    int64_t width = tree_int(size, "Width", 0);
    int64_t height = tree_int(size, "Height", 0);
    if (width <= 0 || height <= 0 || width > SIDE_MAX || height > SIDE_MAX) {
        return;
    }
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimResizeRequest body;
    coracle__shim__shim_resize_request__init(&body);
    body.exec_id = stream->exec_id;
    body.width = (uint32_t)width;
    body.height = (uint32_t)height;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_RESIZE;
    request.resize = &body;
    /* Before the exec has an id, its own connection knows what is meant. */
    bool is_early = !stream->is_attach && stream->exec_id[0] == '\0';
    (void)shim_link_send(is_early ? stream->link : control(stream), &request);
}

static void close_input(struct exec_stream *stream)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimCloseInputRequest body;
    coracle__shim__shim_close_input_request__init(&body);
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_CLOSE_INPUT;
    request.close_input = &body;
    (void)shim_link_send(stream->link, &request);
}

static void on_message(void *context, struct bytes message)
{
    struct exec_stream *stream = context;
    if (message.size == 0 || stream->link == NULL || stream->is_over) {
        return;
    }
    struct bytes body = bytes_make(message.data + 1, message.size - 1);
    if (message.data[0] == CHANNEL_INPUT && body.size > 0) {
        (void)shim_link_input(stream->link, body);
    } else if (message.data[0] == CHANNEL_RESIZE) {
        resize(stream, body);
    } else if (message.data[0] == CHANNEL_CLOSE && body.size == 1 &&
               body.data[0] == CHANNEL_INPUT) {
        close_input(stream);
    }
}

static void on_body(struct http_exchange *x, struct bytes data)
{
    struct exec_stream *stream = x->data;
    bool is_open = web_socket_receive(stream->socket, data);
    if (stream->link != NULL && shim_link_queued(stream->link) > INPUT_HIGH_BYTES) {
        stream->unconsumed += data.size;
    } else {
        http_exchange_consume(x, data.size);
    }
    if (!is_open && !stream->is_over) {
        stream->is_over = true;
        http_exchange_finish(x, NULL, 0);
    }
}

static void on_end(struct http_exchange *x)
{
    http_exchange_finish(x, NULL, 0);
}

static void on_close(struct http_exchange *x, int reason)
{
    struct exec_stream *stream = x->data;
    (void)reason;
    x->handler = NULL;
    shim_link_close(stream->link);
    shim_link_close(stream->control);
    web_socket_free(stream->socket);
    http_exchange_unref(stream->x);
    mem_free(stream->socket_path);
    mem_free(stream);
}

static void on_writable(struct http_exchange *x)
{
    struct exec_stream *stream = x->data;
    if (stream->link != NULL) {
        shim_link_pause(stream->link, false);
    }
}

static const struct http_handler handler = {
    .on_body = on_body, .on_end = on_end, .on_writable = on_writable, .on_close = on_close};

/* ---- beginning ---- */

static void start_attach(struct exec_stream *stream, bool has_input)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimAttachRequest attach = CORACLE__SHIM__SHIM_ATTACH_REQUEST__INIT;
    attach.input = has_input;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_ATTACH;
    request.attach = &attach;
    (void)shim_link_send(stream->link, &request);
}

static void start_exec(struct exec_stream *stream, const struct server_call *call, bool has_input)
{
    CLEANUP(json)
    json_t *process = pods_exec_process(call->pods, call->record, call->unit,
                                        json_object_get(call->query, "command"), stream->is_tty);
    char *text = process == NULL ? NULL : json_dumps(process, JSON_COMPACT);
    if (text == NULL) {
        end_with_error(stream, "the container's configuration cannot be read");
        return;
    }
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimExecRequest exec;
    coracle__shim__shim_exec_request__init(&exec);
    exec.process_json = text;
    exec.attach = true;
    exec.input = has_input;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_EXEC;
    request.exec = &exec;
    (void)shim_link_send(stream->link, &request);
    free(text);
}

void exec_stream_start(struct server_call *call, bool is_attach)
{
    bool has_input = server_query_bool(call, "stdin");
    if (call->unit->state != UNIT_RUNNING) {
        server_refuse(call, 400, "BadRequest", "container %s of pod %s is not running",
                      call->unit->name, object_name(call->record->pod));
        return;
    }
    if (!is_attach && tree_count(call->query, "command") == 0) {
        server_refuse(call, 400, "BadRequest",
                      "you must specify at least 1 command for the "
                      "container");
        return;
    }
    struct exec_stream *stream = mem_zalloc(sizeof(*stream));
    stream->socket = web_socket_accept(call->x, protocols, on_message, stream);
    if (stream->socket == NULL) {
        json_decref(call->query);
        mem_free(stream);
        return;
    }
    stream->x = http_exchange_ref(call->x);
    stream->wire = call->wire;
    stream->is_attach = is_attach;
    stream->is_tty =
        is_attach ? tree_bool(call->unit->spec, "tty", false) : server_query_bool(call, "tty");
    stream->socket_path = pods_socket(call->pods, call->unit);
    call->x->handler = &handler;
    call->x->data = stream;
    stream->link =
        shim_link_open(wire_loop_uv(call->wire), stream->socket_path, &link_events, stream);
    if (is_attach) {
        start_attach(stream, has_input && tree_bool(call->unit->spec, "stdin", false));
    } else {
        start_exec(stream, call, has_input);
    }
    json_decref(call->query);
    call->query = NULL;
}
