/* shim_client.c - one request to a kvshim, for the tests: prints the reply as one line.
 *
 *     shim_client SOCKET state|start|stats|pause|resume|close-input|reopen-log
 *     shim_client SOCKET kill SIGNAL [all] | wait [EXEC] | delete [force] | resize W H
 *     shim_client SOCKET exec PROCESS_JSON     attached: input from stdin, output to stdout, exits
 * with its status shim_client SOCKET attach                likewise shim_client SOCKET update
 * RESOURCES_JSON | garbage */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "shim.pb-c.h"

static void send_request(int fd, const Coracle__Shim__ShimRequest *request)
{
    size_t size = coracle__shim__shim_request__get_packed_size(request);
    struct buf out = BUF_INIT;
    uint32_t header = htonl((uint32_t)size);
    buf_append(&out, &header, sizeof header);
    coracle__shim__shim_request__pack(request, buf_reserve(&out, size));
    buf_commit(&out, size);
    CHECK(write(fd, out.data, out.end) == (ssize_t)out.end);
    buf_deinit(&out);
}

static bool read_all(int fd, void *data, size_t size)
{
    uint8_t *at = data;
    while (size > 0) {
        ssize_t count = read(fd, at, size);
        if (count <= 0) {
            return false;
        }
        at += count;
        size -= (size_t)count;
    }
    return true;
}

static Coracle__Shim__ShimReply *receive(int fd)
{
    uint32_t size = 0;
    if (!read_all(fd, &size, sizeof size)) {
        (void)fprintf(stderr, "closed\n");
        exit(3);
    }
    size = ntohl(size);
    uint8_t *data = malloc(size + 1);
    CHECK(data != NULL && read_all(fd, data, size));
    Coracle__Shim__ShimReply *reply = coracle__shim__shim_reply__unpack(NULL, size, data);
    CHECK(reply != NULL);
    free(data);
    return reply;
}

static int show(const Coracle__Shim__ShimReply *reply)
{
    if (reply->error != NULL) {
        (void)fprintf(stderr, "error %d: %s\n", reply->error->code, reply->error->text);
        return 1;
    }
    switch (reply->result_case) {
    case CORACLE__SHIM__SHIM_REPLY__RESULT_STATE:
        (void)printf("phase=%d pid=%d execs=%u terminal=%d exit=%d\n", reply->state->phase,
                     reply->state->pid, reply->state->exec_count, reply->state->terminal,
                     reply->state->exited == NULL ? -1 : reply->state->exited->exit_code);
        return 0;
    case CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED:
        (void)printf("exit_code=%d signal=%d oom=%d\n", reply->exited->exit_code,
                     reply->exited->signal, reply->exited->oom_killed);
        return 0;
    case CORACLE__SHIM__SHIM_REPLY__RESULT_STATS:
        (void)printf("cpu=%d memory=%d pids=%lu networks=%zu\n", reply->stats->cpu_usage_ns > 0,
                     reply->stats->memory_usage_bytes > 0, reply->stats->pids,
                     reply->stats->n_networks);
        return 0;
    default:
        (void)printf("done\n");
        return 0;
    }
}

static void forward_input(int fd, bool *open)
{
    uint8_t data[4096];
    Coracle__Shim__ShimRequest request;
    coracle__shim__shim_request__init(&request);
    Coracle__Shim__ShimCloseInputRequest end;
    coracle__shim__shim_close_input_request__init(&end);
    ssize_t size = read(0, data, sizeof data);
    request.id = 9;
    if (size > 0) {
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_INPUT;
        request.input.data = data;
        request.input.len = (size_t)size;
    } else {
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_CLOSE_INPUT;
        request.close_input = &end;
        *open = false;
    }
    send_request(fd, &request);
}

/* Until `exited`: its exit code is ours. */
static int follow_stream(int fd)
{
    bool is_open = true;
    for (;;) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                                {.fd = is_open ? 0 : -1, .events = POLLIN}};
        CHECK(poll(fds, 2, -1) > 0 || errno == EINTR);
        if (fds[1].revents != 0) {
            forward_input(fd, &is_open);
        }
        if (fds[0].revents == 0) {
            continue;
        }
        Coracle__Shim__ShimReply *reply = receive(fd);
        if (reply->error != NULL) {
            return show(reply);
        }
        if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED) {
            return reply->exited->exit_code;
        }
        if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_OUTPUT) {
            int to =
                reply->output->stream == CORACLE__SHIM__SHIM_STREAM__SHIM_STREAM_STDERR ? 2 : 1;
            CHECK(write(to, reply->output->data.data, reply->output->data.len) ==
                  (ssize_t)reply->output->data.len);
        }
        coracle__shim__shim_reply__free_unpacked(reply, NULL);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc >= 3);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("connect");
        return 2;
    }
    const char *what = argv[2];
    if (strcmp(what, "garbage") == 0) {
        CHECK(write(fd, "\xff\xff\xff\xffnonsense", 12) == 12);
        uint8_t byte;
        return read(fd, &byte, 1) == 0 ? 0 : 1;
    }
    Coracle__Shim__ShimRequest request;
    coracle__shim__shim_request__init(&request);
    Coracle__Shim__ShimStateRequest state;
    coracle__shim__shim_state_request__init(&state);
    Coracle__Shim__ShimStartRequest start;
    coracle__shim__shim_start_request__init(&start);
    Coracle__Shim__ShimStatsRequest stats;
    coracle__shim__shim_stats_request__init(&stats);
    Coracle__Shim__ShimPauseRequest pause;
    coracle__shim__shim_pause_request__init(&pause);
    Coracle__Shim__ShimKillRequest kill;
    coracle__shim__shim_kill_request__init(&kill);
    Coracle__Shim__ShimWaitRequest wait;
    coracle__shim__shim_wait_request__init(&wait);
    Coracle__Shim__ShimDeleteRequest delete;
    coracle__shim__shim_delete_request__init(&delete);
    Coracle__Shim__ShimExecRequest exec;
    coracle__shim__shim_exec_request__init(&exec);
    Coracle__Shim__ShimAttachRequest attach;
    coracle__shim__shim_attach_request__init(&attach);
    Coracle__Shim__ShimUpdateRequest update;
    coracle__shim__shim_update_request__init(&update);
    Coracle__Shim__ShimResizeRequest resize;
    coracle__shim__shim_resize_request__init(&resize);
    Coracle__Shim__ShimReopenLogRequest reopen;
    coracle__shim__shim_reopen_log_request__init(&reopen);
    request.id = 7;
    bool is_stream = false;
#define COMMAND(name, member, number)                                                              \
    if (strcmp(what, name) == 0) {                                                                 \
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_##number;                      \
        request.member = &member;                                                                  \
    }
    COMMAND("state", state, STATE)
    COMMAND("start", start, START)
    COMMAND("stats", stats, STATS)
    COMMAND("pause", pause, PAUSE)
    COMMAND("kill", kill, KILL)
    COMMAND("wait", wait, WAIT)
    COMMAND("exec", exec, EXEC)
    COMMAND("attach", attach, ATTACH)
    COMMAND("update", update, UPDATE)
    COMMAND("resize", resize, RESIZE)
#undef COMMAND
    if (strcmp(what, "resume") == 0) {
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_PAUSE;
        request.pause = &pause;
        pause.resume = 1;
    } else if (strcmp(what, "delete") == 0) {
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_DELETE_CONTAINER;
        request.delete_container = &delete;
        delete.force = argc > 3;
    } else if (strcmp(what, "reopen-log") == 0) {
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_REOPEN_LOG;
        request.reopen_log = &reopen;
    } else if (strcmp(what, "kill") == 0) {
        kill.signal = atoi(argv[3]);
        kill.all = argc > 4;
    } else if (strcmp(what, "wait") == 0 && argc > 3) {
        wait.exec_id = argv[3];
    } else if (strcmp(what, "update") == 0) {
        update.resources_json = argv[3];
    } else if (strcmp(what, "resize") == 0) {
        resize.width = (uint32_t)atoi(argv[3]);
        resize.height = (uint32_t)atoi(argv[4]);
    } else if (strcmp(what, "exec") == 0) {
        exec.process_json = argv[3];
        exec.attach = 1;
        exec.input = 1;
        is_stream = true;
    } else if (strcmp(what, "attach") == 0) {
        attach.input = argc > 3;
        is_stream = true;
    }
    CHECK(request.command_case != CORACLE__SHIM__SHIM_REQUEST__COMMAND__NOT_SET);
    send_request(fd, &request);
    return is_stream ? follow_stream(fd) : show(receive(fd));
}
