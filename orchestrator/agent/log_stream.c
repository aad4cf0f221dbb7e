/* log_stream.c - kubectl logs: the files of one attempt of a container, filtered, perhaps followed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "orchestrator/agent/log_filter.h"
#include "orchestrator/agent/server.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    LOG_BYTES_MAX = 64 << 20, /* a file is rotated at 10 MiB */
    ROTATED_FILES = 2,
    LOOK_MS = 1000, /* for what no event tells: rotation, the container's end */
};

struct log_stream {
    struct http_exchange *x; /* a reference */
    struct pods *pods;
    struct wire_loop *wire;
    struct log_filter filter;
    struct timer timer;
    uv_fs_event_t event;
    bool has_event;
    char *path;
    char *namespace;
    char *pod;
    char *unit;
    int attempt;
    int fd;
    struct buf rest; /* of a line that is not complete */
    bool follows;
    bool is_over;
};

static void stream_free(struct log_stream *stream)
{
    if (stream->fd >= 0) {
        (void)close(stream->fd);
    }
    http_exchange_unref(stream->x);
    buf_deinit(&stream->rest);
    mem_free(stream->path);
    mem_free(stream->namespace);
    mem_free(stream->pod);
    mem_free(stream->unit);
    mem_free(stream);
}

static void on_event_closed(uv_handle_t *handle)
{
    stream_free(handle->data);
}

static void on_close(struct http_exchange *x, int reason)
{
    struct log_stream *stream = x->data;
    (void)reason;
    x->handler = NULL;
    stream->is_over = true;
    timers_clear(wire_loop_timers(stream->wire), &stream->timer);
    if (stream->has_event) {
        uv_close((uv_handle_t *)&stream->event, on_event_closed);
    } else {
        stream_free(stream);
    }
}

static void send_lines(struct log_stream *stream, struct bytes text)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    buf_append_bytes(&stream->rest, text);
    for (;;) {
        struct bytes all = buf_bytes(&stream->rest);
        const uint8_t *newline = all.size == 0 ? NULL : memchr(all.data, '\n', all.size);
        if (newline == NULL || stream->filter.bytes_left == 0) {
            break;
        }
        size_t size = (size_t)(newline - all.data);
        log_filter_line(&stream->filter, bytes_make(all.data, size), &out);
        buf_consume(&stream->rest, size + 1);
    }
    if (buf_size(&out) > 0) {
        http_exchange_send(stream->x, buf_bytes(&out));
    }
}

/* The container of this log runs still, or may be written to yet. */
static bool is_alive(const struct log_stream *stream)
{
    const struct pod_record *record = pods_find(stream->pods, stream->namespace, stream->pod);
    const struct unit *unit = record == NULL ? NULL : pod_record_find(record, stream->unit);
    return unit != NULL && unit->attempt == stream->attempt &&
           (unit->state == UNIT_RUNNING || unit->state == UNIT_STARTING);
}

static bool is_rotated(const struct log_stream *stream)
{
    struct stat opened;
    struct stat named;
    return fstat(stream->fd, &opened) == 0 && stat(stream->path, &named) == 0 &&
           opened.st_ino != named.st_ino;
}

/* Everything that is there, as long as the client takes it. */
static void pump(struct log_stream *stream)
{
    uint8_t chunk[CHUNK_BYTES];
    bool was_alive = stream->follows && is_alive(stream);
    while (!stream->is_over && stream->filter.bytes_left != 0) {
        if (http_exchange_queued_bytes(stream->x) > HTTP_QUEUE_HIGH_BYTES) {
            return; /* on_writable goes on */
        }
        ssize_t count = read(stream->fd, chunk, sizeof(chunk));
        if (count > 0) {
            send_lines(stream, bytes_make(chunk, (size_t)count));
            continue;
        }
        if (is_rotated(stream)) {
            int next = open(stream->path, O_RDONLY | O_CLOEXEC);
            if (next >= 0) {
                (void)close(stream->fd);
                stream->fd = next;
                continue;
            }
        }
        break;
    }
    if (stream->is_over) {
        return;
    }
    if (!was_alive || stream->filter.bytes_left == 0) {
        http_exchange_finish(stream->x, NULL, 0);
        return;
    }
    struct timers *timers = wire_loop_timers(stream->wire);
    timers_set(timers, &stream->timer, timers->now_ms + LOOK_MS);
}

static void on_writable(struct http_exchange *x)
{
    pump(x->data);
}

static void on_timer(struct timer *timer)
{
    pump(container_of(timer, struct log_stream, timer));
}

static void on_file_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct log_stream *stream = event->data;
    (void)name;
    (void)events;
    if (status == 0 && !stream->is_over) {
        pump(stream);
    }
}

static const struct http_handler handler = {.on_writable = on_writable, .on_close = on_close};

/* ---- where to begin ---- */

/* From the rotated files and the present one, what the last lines are. Leaves stream->fd where the
 * rest begins. */
static void send_tail(struct log_stream *stream, int64_t lines)
{
    CLEANUP(buf) struct buf all = BUF_INIT;
    int64_t missing = 0;
    struct err ignored;
    for (int i = ROTATED_FILES; i >= 1; i--) {
        CLEANUP(free) char *path = mem_printf("%s.%d", stream->path, i);
        err_ignore(disk_read(path, LOG_BYTES_MAX, &all, &ignored)); /* most logs are in one file */
    }
    for (;;) {
        ssize_t count = read(stream->fd, buf_reserve(&all, CHUNK_BYTES), CHUNK_BYTES);
        if (count <= 0 || buf_size(&all) > LOG_BYTES_MAX) {
            break;
        }
        buf_commit(&all, (size_t)count);
    }
    struct bytes text = buf_bytes(&all);
    size_t whole = text.size;
    while (whole > 0 && text.data[whole - 1] != '\n') {
        whole--;
    }
    size_t from = lines < 0 ? 0 : log_tail_offset(bytes_make(text.data, whole), lines, &missing);
    send_lines(stream, bytes_make(text.data + from, text.size - from));
}

static int64_t since_of(const struct server_call *call)
{
    const char *seconds = server_query(call, "sinceSeconds");
    const char *time = server_query(call, "sinceTime");
    int64_t time_ms = 0;
    if (seconds != NULL) {
        return pods_now_ms() - strtoll(seconds, NULL, 10) * 1000;
    }
    return time != NULL && timestamp_parse(time, &time_ms) == 0 ? time_ms : 0;
}

static int64_t number_of(const struct server_call *call, const char *name, int64_t fallback)
{
    const char *text = server_query(call, name);
    char *end = NULL;
    long long value = text == NULL ? 0 : strtoll(text, &end, 10);
    return text == NULL || end == text || value < 0 ? fallback : value;
}

/* Which process's log; -1 when a refusal was sent. */
static int choose_attempt(struct server_call *call)
{
    const struct unit *unit = call->unit;
    const char *pod = object_name(call->record->pod);
    bool wants_previous = server_query_bool(call, "previous");
    bool is_present = unit->state == UNIT_RUNNING || unit->state == UNIT_EXITED;
    int attempt = unit->attempt - (wants_previous && is_present ? 1 : 0);
    if (!wants_previous && !is_present && unit->last == NULL) {
        server_refuse(call, 400, "BadRequest",
                      "container \"%s\" in pod \"%s\" is waiting to start: %s", unit->name, pod,
                      unit->waiting_message != NULL  ? unit->waiting_message
                      : unit->waiting_reason != NULL ? unit->waiting_reason
                                                     : "ContainerCreating");
        return -1;
    }
    if (attempt < 0) {
        server_refuse(call, 400, "BadRequest",
                      "previous terminated container \"%s\" in pod \"%s\" not found", unit->name,
                      pod);
    }
    return attempt;
}

static void begin(struct server_call *call, struct log_stream *stream)
{
    const struct http_header headers[] = {HTTP_HEADER_INIT("content-type", "text/plain")};
    http_exchange_respond(call->x, 200, headers, 1);
    send_tail(stream, number_of(call, "tailLines", -1));
    if (stream->follows) {
        stream->event.data = stream;
        stream->has_event = uv_fs_event_init(wire_loop_uv(stream->wire), &stream->event) == 0;
        /* Without events (no more inotify watches) the timer looks. */
        (void)uv_fs_event_start(&stream->event, on_file_event, stream->path, 0);
    }
    json_decref(call->query);
    call->query = NULL;
    pump(stream);
}

void log_stream_start(struct server_call *call)
{
    int attempt = choose_attempt(call);
    if (attempt < 0) {
        return;
    }
    CLEANUP(free)
    char *directory = pods_attempt_directory(call->pods, call->record, call->unit, attempt);
    CLEANUP(free) char *path = mem_printf("%s/container.log", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        /* A program that could not be started has no log. */
        const struct http_header headers[] = {HTTP_HEADER_INIT("content-type", "text/plain")};
        http_exchange_respond_alone(call->x, 200, headers, 1);
        json_decref(call->query);
        return;
    }
    struct log_stream *stream = mem_zalloc(sizeof(*stream));
    *stream = (struct log_stream){
        .x = http_exchange_ref(call->x),
        .pods = call->pods,
        .wire = call->wire,
        .filter = {.since_ms = since_of(call),
                   .bytes_left = number_of(call, "limitBytes", INT64_MAX),
                   .has_timestamps = server_query_bool(call, "timestamps")},
        .path = TAKE_PTR(path),
        .namespace = mem_strdup(object_namespace(call->record->pod)),
        .pod = mem_strdup(object_name(call->record->pod)),
        .unit = mem_strdup(call->unit->name),
        .attempt = attempt,
        .fd = fd,
        .follows = server_query_bool(call, "follow"),
    };
    buf_init(&stream->rest);
    timer_init(&stream->timer, on_timer);
    call->x->handler = &handler;
    call->x->data = stream;
    begin(call, stream);
}
