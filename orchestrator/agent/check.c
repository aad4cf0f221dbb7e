#include "orchestrator/agent/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "orchestrator/agent/shim_link.h"
#include "orchestrator/objects/tree.h"

enum { OUTPUT_BYTES_MAX = 4096, ANSWER_BYTES_MAX = 16 * 1024 };

/* Every kind of check; the timer ends it, whatever else happens. */
struct check {
    struct check_options options;
    struct timer timer;
    struct wire_task finish;
    struct buf output;
    bool is_success;
    bool is_over;
    /* exec */
    struct shim_link *link;
    /* sockets */
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct buf request;
    bool is_socket;
    bool is_tcp_only;
    bool is_grpc;
};

static void check_free(struct check *check)
{
    buf_deinit(&check->output);
    buf_deinit(&check->request);
    mem_free(check);
}

static void on_closed(uv_handle_t *handle)
{
    check_free(handle->data);
}

static void run_finish(struct wire_task *task)
{
    struct check *check = container_of(task, struct check, finish);
    check->options.done(check->options.context, check->is_success, buf_text(&check->output));
    if (check->is_socket) {
        uv_close((uv_handle_t *)&check->tcp, on_closed);
    } else {
        check_free(check);
    }
}

static void end(struct check *check, bool is_success)
{
    if (check->is_over) {
        return;
    }
    check->is_over = true;
    check->is_success = is_success;
    timers_clear(wire_loop_timers(check->options.wire), &check->timer);
    shim_link_close(check->link);
    check->link = NULL;
    wire_loop_defer(check->options.wire, &check->finish);
}

static void fail(struct check *check, const char *text)
{
    buf_clear(&check->output);
    buf_append_text(&check->output, text);
    end(check, false);
}

static void on_timeout(struct timer *timer)
{
    struct check *check = container_of(timer, struct check, timer);
    CLEANUP(free)
    char *text =
        mem_printf("timed out after %llu ms", (unsigned long long)check->options.timeout_ms);
    fail(check, text);
}

static struct check *check_new(const struct check_options *options)
{
    struct check *check = mem_zalloc(sizeof(*check));
    struct timers *timers = wire_loop_timers(options->wire);
    check->options = *options;
    buf_init(&check->output);
    buf_init(&check->request);
    wire_task_init(&check->finish, run_finish);
    timer_init(&check->timer, on_timeout);
    timers_set(timers, &check->timer, timers->now_ms + options->timeout_ms);
    return check;
}

/* ---- exec ---- */

static void on_reply(void *context, const Coracle__Shim__ShimReply *reply)
{
    struct check *check = context;
    if (reply->error != NULL) {
        fail(check, reply->error->text);
    } else if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_OUTPUT) {
        if (buf_size(&check->output) < OUTPUT_BYTES_MAX) {
            buf_append(&check->output, reply->output->data.data, reply->output->data.len);
        }
    } else if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED) {
        if (reply->exited->exit_code != 0 && buf_size(&check->output) == 0) {
            buf_append_format(&check->output, "command ended with exit code %d",
                              reply->exited->exit_code);
        }
        end(check, reply->exited->exit_code == 0);
    }
}

static void on_link_end(void *context, int code)
{
    struct check *check = context;
    (void)code;
    check->link = NULL;
    fail(check, "the container is gone");
}

static const struct shim_link_events link_events = {.on_reply = on_reply, .on_end = on_link_end};

void check_exec(const struct check_options *options, const char *socket, const json_t *process)
{
    struct check *check = check_new(options);
    char *text = process == NULL ? NULL : json_dumps(process, JSON_COMPACT);
    if (text == NULL) {
        fail(check, "the container's configuration cannot be read");
        return;
    }
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimExecRequest exec;
    coracle__shim__shim_exec_request__init(&exec);
    exec.process_json = text;
    exec.attach = true;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_EXEC;
    request.exec = &exec;
    check->link = shim_link_open(wire_loop_uv(options->wire), socket, &link_events, check);
    (void)shim_link_send(check->link, &request);
    free(text);
}

/* ---- sockets ---- */

/* An HTTP/2 answer to the health check: the only message byte that matters is SERVING (1), in
 * HealthCheckResponse{status = 1}; grpc_health.proto. */
static bool is_serving(struct bytes answer)
{
    static const uint8_t message[] = {0, 0, 0, 0, 2, 8, 1};
    for (size_t i = 0; i + sizeof(message) <= answer.size; i++) {
        if (memcmp(answer.data + i, message, sizeof(message)) == 0) {
            return true;
        }
    }
    return false;
}

static void judge(struct check *check, bool is_end)
{
    struct bytes answer = buf_bytes(&check->output);
    if (check->is_grpc) {
        if (is_serving(answer)) {
            end(check, true);
        } else if (is_end || answer.size > ANSWER_BYTES_MAX) {
            fail(check, "service is not serving");
        }
        return;
    }
    int code = 0;
    if (answer.size >= 12 && sscanf(buf_text(&check->output), "HTTP/1.%*d %3d", &code) == 1) {
        CLEANUP(free) char *text = mem_printf("HTTP probe failed with statuscode: %d", code);
        if (code >= 200 && code < 400) {
            end(check, true);
        } else {
            fail(check, text);
        }
    } else if (is_end || answer.size >= 12) {
        fail(check, "the answer is not HTTP");
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct check *check = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)buf_reserve(&check->output, 4096), 4096);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct check *check = stream->data;
    (void)buf;
    if (check->is_over) {
        return;
    }
    if (count > 0) {
        buf_commit(&check->output, (size_t)count);
    }
    judge(check, count < 0);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct check *check = connect->data;
    if (check->is_over) {
        return;
    }
    if (status != 0) {
        CLEANUP(free)
        char *text =
            mem_printf("dial tcp %s: connect: %s", check->options.host, uv_strerror(status));
        fail(check, text);
        return;
    }
    if (check->is_tcp_only) {
        end(check, true);
        return;
    }
    struct bytes request = buf_bytes(&check->request);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)request.data, (unsigned)request.size);
    uv_read_start((uv_stream_t *)&check->tcp, on_alloc, on_read);
    (void)uv_write(&check->write, (uv_stream_t *)&check->tcp, &buf, 1, NULL); /* reading tells */
}

static void dial(struct check *check, int port)
{
    struct sockaddr_in address;
    uv_tcp_init(wire_loop_uv(check->options.wire), &check->tcp);
    check->is_socket = true;
    check->tcp.data = check;
    check->connect.data = check;
    if (port <= 0 || port > UINT16_MAX || uv_ip4_addr(check->options.host, port, &address) != 0) {
        fail(check, "the probe names no right host and port");
        return;
    }
    int status = uv_tcp_connect(&check->connect, &check->tcp, (const struct sockaddr *)&address,
                                on_connected);
    if (status != 0) {
        fail(check, uv_strerror(status));
    }
}

void check_tcp(const struct check_options *options, int port)
{
    struct check *check = check_new(options);
    check->is_tcp_only = true;
    dial(check, port);
}

void check_http(const struct check_options *options, int port, const json_t *http)
{
    struct check *check = check_new(options);
    const json_t *headers = json_object_get(http, "httpHeaders");
    const char *path = tree_text_or(http, "path", "/");
    bool has_host = false;
    buf_append_format(&check->request, "GET %s%s HTTP/1.1\r\n", *path == '/' ? "" : "/", path);
    for (size_t i = 0; i < json_array_size(headers); i++) {
        const json_t *header = json_array_get(headers, i);
        const char *name = tree_text_or(header, "name", "");
        has_host |= strcasecmp(name, "host") == 0;
        buf_append_format(&check->request, "%s: %s\r\n", name, tree_text_or(header, "value", ""));
    }
    if (!has_host) {
        buf_append_format(&check->request, "Host: %s:%d\r\n", options->host, port);
    }
    buf_append_text(&check->request,
                    "User-Agent: kube-probe/1.32\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    if (tree_has_text(http, "scheme", "HTTPS")) {
        /* Kubelet does not verify the certificate; that the port accepts is what we check. */
        check->is_tcp_only = true;
    }
    dial(check, port);
}

/* Frames of HTTP/2 (RFC 9113): preface, SETTINGS, HEADERS with literal fields, DATA with
 * HealthCheckRequest{service = 1}. */
static void append_frame(struct buf *out, uint8_t type, uint8_t flags, uint8_t stream,
                         struct bytes payload)
{
    const uint8_t head[9] = {(uint8_t)(payload.size >> 16),
                             (uint8_t)(payload.size >> 8),
                             (uint8_t)payload.size,
                             type,
                             flags,
                             0,
                             0,
                             0,
                             stream};
    buf_append(out, head, sizeof(head));
    buf_append_bytes(out, payload);
}

static void append_field(struct buf *out, const char *name, const char *value)
{
    buf_append_u8(out, 0); /* literal, never indexed; lengths below 127 (RFC 7541 section 6.2.2) */
    buf_append_u8(out, (uint8_t)strlen(name));
    buf_append_text(out, name);
    buf_append_u8(out, (uint8_t)strlen(value));
    buf_append_text(out, value);
}

void check_grpc(const struct check_options *options, int port, const char *service)
{
    enum {
        SETTINGS = 4,
        HEADERS = 1,
        DATA = 0,
        END_HEADERS = 4,
        END_STREAM = 1,
        SERVICE_MAX = 100
    };
    struct check *check = check_new(options);
    CLEANUP(buf) struct buf fields = BUF_INIT;
    CLEANUP(buf) struct buf message = BUF_INIT;
    CLEANUP(free) char *authority = mem_printf("%s:%d", options->host, port);
    size_t size = strlen(service) < SERVICE_MAX ? strlen(service) : SERVICE_MAX;
    const uint8_t head[5] = {0, 0, 0, 0, (uint8_t)(size == 0 ? 0 : size + 2)};
    check->is_grpc = true;
    append_field(&fields, ":method", "POST");
    append_field(&fields, ":scheme", "http");
    append_field(&fields, ":path", "/grpc.health.v1.Health/Check");
    append_field(&fields, ":authority", authority);
    append_field(&fields, "content-type", "application/grpc");
    append_field(&fields, "te", "trailers");
    buf_append(&message, head, sizeof(head));
    if (size > 0) {
        buf_append_u8(&message, 1 << 3 | 2);
        buf_append_u8(&message, (uint8_t)size);
        buf_append(&message, service, size);
    }
    buf_append_text(&check->request, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    append_frame(&check->request, SETTINGS, 0, 0, bytes_make(NULL, 0));
    append_frame(&check->request, HEADERS, END_HEADERS, 1, buf_bytes(&fields));
    append_frame(&check->request, DATA, END_STREAM, 1, buf_bytes(&message));
    dial(check, port);
}

/* ---- sleep ---- */

static void on_slept(struct timer *timer)
{
    end(container_of(timer, struct check, timer), true);
}

void check_sleep(const struct check_options *options, int64_t duration_ms)
{
    struct check *check = check_new(options);
    struct timers *timers = wire_loop_timers(options->wire);
    check->timer.fired = on_slept;
    timers_set(timers, &check->timer, timers->now_ms + (uint64_t)duration_ms);
}
