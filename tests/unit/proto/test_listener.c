/* The listener: addresses, caps, stalled peers, both HTTP versions on one port. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/proto/loopback.h"

static int dial(const struct loopback *loopback)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(listener_port(loopback->listener)),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Run the loop until the server has closed the connection; what it said is in text. */
static void await_close(struct loopback *loopback, int fd, char *text, size_t size)
{
    size_t used = 0;
    for (;;) {
        ssize_t got = recv(fd, text + used, size - 1 - used, 0);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            break;
        }
        used += got > 0 ? (size_t)got : 0;
        (void)uv_run(&loopback->loop, UV_RUN_NOWAIT);
        (void)usleep(100);
    }
    text[used] = 0;
    assert_int_equal(close(fd), 0);
}

static void accept_all(struct loopback *loopback, uint32_t count)
{
    while (listener_connection_count(loopback->listener) < count) {
        (void)uv_run(&loopback->loop, UV_RUN_ONCE);
    }
}

static void test_peers_that_say_nothing_are_cut_off(void **state)
{
    (void)state;
    struct loopback loopback;
    char text[100];
    loopback_open(&loopback,
                  &(struct loopback_options){.server_limits = {.handshake_timeout_ms = 30}});
    int silent = dial(&loopback);
    int dribbling = dial(&loopback);
    assert_int_equal(send(dribbling, "PRI * HT", 8, 0), 8);
    await_close(&loopback, silent, text, sizeof text);
    assert_string_equal(text, "");
    await_close(&loopback, dribbling, text, sizeof text);
    assert_int_equal(loopback.trouble_count, 2);
    assert_string_equal(loopback.trouble, "handshake not complete within the time limit");
    loopback_close(&loopback);
}

static void test_unfinished_handshakes_are_capped(void **state)
{
    (void)state;
    struct loopback loopback;
    struct outcome outcome = {0};
    char text[100];
    int silent[3];
    loopback_open(&loopback, &(struct loopback_options){.handshakes_max = 3});
    for (unsigned i = 0; i < 3; i++) {
        silent[i] = dial(&loopback);
    }
    accept_all(&loopback, 3);
    await_close(&loopback, dial(&loopback), text, sizeof text);
    assert_int_equal(listener_connection_count(loopback.listener), 3);
    assert_int_equal(close(silent[0]), 0);
    while (listener_connection_count(loopback.listener) == 3) {
        (void)uv_run(&loopback.loop, UV_RUN_ONCE);
    }
    struct grpc_client_call *call = grpc_channel_start(
        loopback.channel, &(struct grpc_call_options){.path = "/test.Test/Fail",
                                                      .handler = &outcome_handler,
                                                      .data = &outcome});
    grpc_client_call_send(call, BYTES_LITERAL("x"));
    loopback_run(&loopback, &outcome.done);
    assert_int_equal(outcome.status, GRPC_NOT_FOUND);
    assert_int_equal(close(silent[1]), 0);
    assert_int_equal(close(silent[2]), 0);
    loopback_close(&loopback);
    outcome_deinit(&outcome);
}

static void test_connections_are_capped(void **state)
{
    (void)state;
    struct loopback loopback;
    char text[100];
    int fds[5];
    loopback_open(&loopback, &(struct loopback_options){.connections_max = 5});
    for (unsigned i = 0; i < 5; i++) {
        fds[i] = dial(&loopback);
    }
    accept_all(&loopback, 5);
    await_close(&loopback, dial(&loopback), text, sizeof text);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
    loopback_close(&loopback);
}

static void test_garbage_is_answered_400(void **state)
{
    (void)state;
    struct loopback loopback;
    char text[300];
    loopback_open(&loopback, &(struct loopback_options){0});
    int fd = dial(&loopback);
    assert_int_equal(send(fd, "\x16\x03\x01\x02\x00\x01", 6, 0), 6); /* TLS on a plaintext port */
    await_close(&loopback, fd, text, sizeof text);
    assert_memory_equal(text, "HTTP/1.1 400 Bad Request\r\n", 26);
    assert_int_equal(loopback.trouble_count, 1);
    loopback_close(&loopback);
}

static void test_a_client_that_reads_nothing_gets_no_more_work_done(void **state)
{
    (void)state;
    struct loopback loopback;
    static const char request[] = "GET /unknown HTTP/1.1\r\nHost: x\r\n\r\n";
    loopback_open(&loopback, &(struct loopback_options){0});
    int fd = dial(&loopback);
    size_t sent = 0;
    unsigned refused = 0;
    /* Send until neither side moves any more: the kernel's buffers are full, both ways. */
    while (refused < 200) {
        ssize_t size = send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
        refused = size > 0 ? 0 : refused + 1;
        sent += size > 0 ? (size_t)size : 0;
        if (sent % 1000 < 40 || size < 0) {
            (void)uv_run(&loopback.loop, UV_RUN_NOWAIT);
        }
        assert_true(sent < 100 * 1024 * 1024);
    }
    assert_int_equal(listener_connection_count(loopback.listener), 1);
    assert_int_equal(close(fd), 0);
    loopback_close(&loopback);
}

static void test_addresses_that_cannot_be_used_are_named(void **state)
{
    (void)state;
    struct loopback loopback;
    struct err err = {0};
    loopback_open(&loopback, &(struct loopback_options){0});
    uint16_t port = listener_port(loopback.listener);
    char expected[100];
    (void)snprintf(expected, sizeof expected, "listen on 127.0.0.1:%u: address already in use",
                   port);
    assert_null(listener_open(loopback.wire,
                              &(struct listener_options){.host = "127.0.0.1", .port = port}, &err));
    assert_string_equal(err.text, expected);
    assert_null(listener_open(loopback.wire,
                              &(struct listener_options){.host = "nonsense", .port = 1}, &err));
    assert_string_equal(err.text, "listen on nonsense:1: invalid argument");
    assert_null(listener_open(
        loopback.wire, &(struct listener_options){.unix_path = "/nonexistent/socket"}, &err));
    assert_string_equal(err.text, "listen on unix:/nonexistent/socket: permission denied");
    loopback_close(&loopback);
}

struct child {
    unsigned done;
    int64_t status;
};

static void on_child_exit(uv_process_t *process, int64_t status, int number)
{
    (void)number;
    struct child *child = process->data;
    child->done++;
    child->status = status;
    uv_close((uv_handle_t *)process, NULL);
}

static int64_t run(struct loopback *loopback, char **arguments)
{
    struct child child = {0};
    uv_process_t process = {.data = &child};
    uv_process_options_t options = {
        .exit_cb = on_child_exit, .file = arguments[0], .args = arguments};
    assert_int_equal(uv_spawn(&loopback->loop, &process, &options), 0);
    loopback_run(loopback, &child.done);
    (void)uv_run(&loopback->loop, UV_RUN_NOWAIT);
    return child.status;
}

static void test_curl_is_served_in_either_version_on_one_port(void **state)
{
    (void)state;
    struct loopback loopback;
    char url[64];
    loopback_open(&loopback, &(struct loopback_options){0});
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/none", listener_port(loopback.listener));
    char *versions[] = {"--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge"};
    for (unsigned i = 0; i < 4; i++) {
        /* 22: an HTTP error status, here the 404 of a server that only knows gRPC. */
        char *arguments[] = {"curl", "-sf", "-o", "/dev/null", "-m", "10", versions[i], url, NULL};
        assert_int_equal(run(&loopback, arguments), 22);
        char *post[] = {"curl",      "-sf", "-o",   "/dev/null", "-m", "10",
                        versions[i], "-d",  "body", url,         NULL};
        assert_int_equal(run(&loopback, post), 22);
    }
    loopback_close(&loopback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers_that_say_nothing_are_cut_off),
        cmocka_unit_test(test_unfinished_handshakes_are_capped),
        cmocka_unit_test(test_connections_are_capped),
        cmocka_unit_test(test_garbage_is_answered_400),
        cmocka_unit_test(test_a_client_that_reads_nothing_gets_no_more_work_done),
        cmocka_unit_test(test_addresses_that_cannot_be_used_are_named),
        cmocka_unit_test(test_curl_is_served_in_either_version_on_one_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
