#include "orchestrator/words/exec_stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include <wslay/wslay.h>

#include "orchestrator/objects/base64.h"
#include "orchestrator/objects/tree.h"

enum channel {
    CHANNEL_STDIN = 0,
    CHANNEL_STDOUT = 1,
    CHANNEL_STDERR = 2,
    CHANNEL_STATUS = 3,
    CHANNEL_RESIZE = 4,
    CHANNEL_CLOSE = 255,
};
enum { STDIN_CHUNK = 16 * 1024, HANDSHAKE_SIZE_MAX = 64 * 1024, QUEUE_MAX = 256 * 1024 };

struct exec_stream {
    struct cluster *cluster;
    const struct exec_stream_options *options;
    wslay_event_context_ptr ws;
    struct buf early; /* what came behind the answer to the handshake */
    int socket;
    bool has_stdin;
    bool is_closed;
    json_t *status; /* how the command ended */
    struct termios terminal;
};

static volatile sig_atomic_t window_changed;

static void on_window_change(int number)
{
    (void)number;
    window_changed = 1;
}

/* ---- the filter ---- */

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *data, size_t size, int flags,
                       void *context)
{
    struct exec_stream *stream = context;
    (void)flags;
    ssize_t sent = cluster_send(stream->cluster, data, size);
    if (sent <= 0) {
        wslay_event_set_error(ws, sent == 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return sent;
}

static ssize_t on_receive(wslay_event_context_ptr ws, uint8_t *data, size_t size, int flags,
                          void *context)
{
    struct exec_stream *stream = context;
    (void)flags;
    struct bytes early = buf_bytes(&stream->early);
    if (early.size > 0) {
        size_t taken = early.size < size ? early.size : size;
        memcpy(data, early.data, taken);
        buf_consume(&stream->early, taken);
        return (ssize_t)taken;
    }
    ssize_t received = cluster_receive(stream->cluster, data, size);
    if (received <= 0) {
        stream->is_closed = received < 0;
        wslay_event_set_error(ws,
                              received == 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return received;
}

static int on_mask(wslay_event_context_ptr ws, uint8_t *data, size_t size, void *context)
{
    (void)ws;
    (void)context;
    return getrandom(data, size, 0) == (ssize_t)size ? 0 : -1;
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *arg,
                       void *context)
{
    struct exec_stream *stream = context;
    (void)ws;
    if (wslay_is_ctrl_frame(arg->opcode) || arg->msg_length == 0) {
        stream->is_closed = stream->is_closed || arg->opcode == WSLAY_CONNECTION_CLOSE;
        return;
    }
    const uint8_t *data = arg->msg + 1;
    size_t size = arg->msg_length - 1;
    if (arg->msg[0] == CHANNEL_STDOUT || arg->msg[0] == CHANNEL_STDERR) {
        FILE *file = arg->msg[0] == CHANNEL_STDOUT ? stdout : stderr;
        (void)fwrite(data, 1, size, file);
        (void)fflush(file); /* a reader that is gone is noticed at the end */
    } else if (arg->msg[0] == CHANNEL_STATUS) {
        json_decref(stream->status);
        stream->status = json_loadb((const char *)data, size, 0, NULL);
    }
}

static void queue(struct exec_stream *stream, uint8_t channel, const void *data, size_t size)
{
    CLEANUP(buf) struct buf message = BUF_INIT;
    buf_append_u8(&message, channel);
    buf_append(&message, data, size);
    const struct wslay_event_msg item = {
        .opcode = WSLAY_BINARY_FRAME, .msg = message.data, .msg_length = buf_size(&message)};
    if (wslay_event_queue_msg(stream->ws, &item) != 0) {
        stream->is_closed = true;
    }
}

static void queue_size(struct exec_stream *stream)
{
    struct winsize size = {0};
    char text[64];
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
        int length =
            snprintf(text, sizeof(text), "{\"Width\":%u,\"Height\":%u}", size.ws_col, size.ws_row);
        queue(stream, CHANNEL_RESIZE, text, (size_t)length);
    }
}

/* ---- the handshake (RFC 6455 section 4) ---- */

static int send_all(struct exec_stream *stream, struct bytes data, struct err *err)
{
    while (data.size > 0) {
        ssize_t sent = cluster_send(stream->cluster, data.data, data.size);
        if (sent < 0) {
            return err_set(err, ERR_IO, "the API server closed the connection");
        }
        data = bytes_make(data.data + sent, data.size - (size_t)sent);
        struct pollfd waits = {.fd = stream->socket, .events = POLLOUT};
        if (sent == 0 && poll(&waits, 1, -1) < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "wait for the API server");
        }
    }
    return 0;
}

static int send_handshake(struct exec_stream *stream, struct err *err)
{
    const struct kubeconfig *config = &stream->cluster->config;
    uint8_t random[16];
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return err_set_errno(err, errno, "get random bytes");
    }
    CLEANUP(free) char *key = base64_encode(bytes_make(random, sizeof(random)));
    buf_append_format(&text,
                      "GET %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n",
                      stream->options->path, config->host, config->port, key);
    if (config->token != NULL) {
        buf_append_format(&text, "Authorization: Bearer %s\r\n", config->token);
    }
    buf_append_text(&text, "User-Agent: kvctl\r\n\r\n");
    return send_all(stream, buf_bytes(&text), err);
}

/* The message of the Status that came instead of the upgrade. */
static int refused(struct exec_stream *stream, const char *headers, struct err *err)
{
    const char *body = strstr(headers, "\r\n\r\n") + 4;
    const char *brace = strchr(body, '{');
    CLEANUP(json)
    json_t *status = brace == NULL ? NULL : json_loads(brace, JSON_DISABLE_EOF_CHECK, NULL);
    const char *message = tree_text(status, "message");
    (void)stream;
    return message != NULL ? err_set(err, ERR_INVALID, "%s", message)
                           : err_set(err, ERR_PROTOCOL, "the API server answered '%.*s'",
                                     (int)strcspn(headers, "\r\n"), headers);
}

static int receive_handshake(struct exec_stream *stream, struct err *err)
{
    for (;;) {
        char chunk[4096];
        struct pollfd waits = {.fd = stream->socket, .events = POLLIN};
        ssize_t size = cluster_receive(stream->cluster, chunk, sizeof(chunk));
        if (size < 0 || buf_size(&stream->early) > HANDSHAKE_SIZE_MAX) {
            return err_set(err, ERR_PROTOCOL, "the API server does not speak WebSocket here");
        }
        if (size == 0) {
            if (poll(&waits, 1, -1) < 0 && errno != EINTR) {
                return err_set_errno(err, errno, "wait for the API server");
            }
            continue;
        }
        buf_append(&stream->early, chunk, (size_t)size);
        const char *text = buf_text(&stream->early);
        const char *end = strstr(text, "\r\n\r\n");
        if (end != NULL) {
            if (strncmp(text, "HTTP/1.1 101", 12) != 0) {
                return refused(stream, text, err);
            }
            buf_consume(&stream->early, (size_t)(end + 4 - text));
            return 0;
        }
    }
}

/* ---- the run ---- */

static void read_stdin(struct exec_stream *stream)
{
    char chunk[STDIN_CHUNK];
    static const uint8_t closed = CHANNEL_STDIN;
    ssize_t size = read(STDIN_FILENO, chunk, sizeof(chunk));
    if (size > 0) {
        queue(stream, CHANNEL_STDIN, chunk, (size_t)size);
    } else if (size == 0 || errno != EINTR) {
        stream->has_stdin = false;
        queue(stream, CHANNEL_CLOSE, &closed, 1);
    }
}

static bool step(struct exec_stream *stream)
{
    bool has_room = wslay_event_get_queued_msg_length(stream->ws) < QUEUE_MAX;
    struct pollfd waits[2] = {
        {.fd = stream->socket, .events = POLLIN},
        {.fd = stream->has_stdin && has_room ? STDIN_FILENO : -1, .events = POLLIN}};
    if (wslay_event_want_write(stream->ws)) {
        waits[0].events |= POLLOUT;
    }
    if (poll(waits, 2, buf_size(&stream->early) > 0 ? 0 : -1) < 0 && errno != EINTR) {
        return false;
    }
    if (window_changed) {
        window_changed = 0;
        queue_size(stream);
    }
    if ((waits[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        read_stdin(stream);
    }
    if (wslay_event_recv(stream->ws) != 0 || wslay_event_send(stream->ws) != 0) {
        return false;
    }
    return !stream->is_closed &&
           (wslay_event_want_read(stream->ws) || wslay_event_want_write(stream->ws));
}

/* A Status: Success, or NonZeroExitCode with the code among its causes. */
static int judge(const struct exec_stream *stream, struct err *err)
{
    if (stream->status == NULL) {
        return err_set(err, ERR_CLOSED, "the connection ended before the command did");
    }
    if (tree_has_text(stream->status, "status", "Success")) {
        return 0;
    }
    const json_t *cause =
        tree_find_item(tree_find(stream->status, "details.causes"), "reason", "ExitCode");
    long code = strtol(tree_text_or(cause, "message", "0"), NULL, 10);
    return code > 0 && code < 256
               ? (int)code
               : err_set(err, ERR_IO, "%s",
                         tree_text_or(stream->status, "message", "the command failed"));
}

static void set_raw(struct exec_stream *stream)
{
    struct termios raw = stream->terminal;
    cfmakeraw(&raw);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    (void)signal(SIGWINCH, on_window_change);
    queue_size(stream);
}

int exec_stream_run(struct cluster *cluster, const struct exec_stream_options *options,
                    struct err *err)
{
    static const struct wslay_event_callbacks callbacks = {.recv_callback = on_receive,
                                                           .send_callback = on_send,
                                                           .genmask_callback = on_mask,
                                                           .on_msg_recv_callback = on_message};
    struct exec_stream stream = {
        .cluster = cluster, .options = options, .has_stdin = options->has_stdin};
    int result = cluster_connect(cluster, &stream.socket, err);
    result = result != 0 ? result : send_handshake(&stream, err);
    result = result != 0 ? result : receive_handshake(&stream, err);
    if (result == 0 && wslay_event_context_client_init(&stream.ws, &callbacks, &stream) != 0) {
        result = err_set(err, ERR_IO, "start WebSocket");
    }
    if (result == 0) {
        bool is_raw = options->has_terminal && tcgetattr(STDIN_FILENO, &stream.terminal) == 0;
        if (is_raw) {
            set_raw(&stream);
        }
        while (step(&stream)) {
        }
        if (is_raw) {
            (void)tcsetattr(STDIN_FILENO, TCSANOW, &stream.terminal);
        }
        result = judge(&stream, err);
        wslay_event_context_free(stream.ws);
    }
    json_decref(stream.status);
    buf_deinit(&stream.early);
    return result;
}
