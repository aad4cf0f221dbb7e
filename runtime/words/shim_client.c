#include "runtime/words/shim_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/container/shim.h"

enum { HEADER_SIZE = 4 };

int shim_client_open(struct shim_client *client, const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *client = (struct shim_client){.fd = -1};
    buf_init(&client->input);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        return err_set_errno(err, errno, "connect to the container's shim");
    }
    client->fd = TAKE_FD(fd);
    return 0;
}

void shim_client_close(struct shim_client *client)
{
    cleanup_close_fd(&client->fd);
    client->fd = -1;
    buf_deinit(&client->input);
}

int shim_client_send(struct shim_client *client, Coracle__Shim__ShimRequest *request,
                     struct err *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    request->id = ++client->last_id;
    size_t size = coracle__shim__shim_request__get_packed_size(request);
    if (size > SHIM_FRAME_SIZE_MAX) {
        return err_set(err, ERR_TOO_LARGE, "the request to the shim has %zu bytes", size);
    }
    uint8_t *frame = buf_reserve(&out, HEADER_SIZE + size);
    const uint8_t header[HEADER_SIZE] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16),
                                         (uint8_t)(size >> 8), (uint8_t)size};
    memcpy(frame, header, HEADER_SIZE);
    (void)coracle__shim__shim_request__pack(request, frame + HEADER_SIZE);
    for (size_t done = 0; done < HEADER_SIZE + size;) {
        ssize_t count = send(client->fd, frame + done, HEADER_SIZE + size - done, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "send to the container's shim");
        }
        done += count < 0 ? 0 : (size_t)count;
    }
    return 0;
}

/* 1: *ret is a reply; 0: not complete yet. */
static int take_frame(struct shim_client *client, Coracle__Shim__ShimReply **ret, struct err *err)
{
    struct bytes input = buf_bytes(&client->input);
    if (input.size < HEADER_SIZE) {
        return 0;
    }
    size_t size = (size_t)input.data[0] << 24 | (size_t)input.data[1] << 16 |
                  (size_t)input.data[2] << 8 | input.data[3];
    if (size > SHIM_FRAME_SIZE_MAX) {
        return err_set(err, ERR_PROTOCOL, "the shim sent a frame of %zu bytes", size);
    }
    if (input.size < HEADER_SIZE + size) {
        return 0;
    }
    *ret = coracle__shim__shim_reply__unpack(NULL, size, input.data + HEADER_SIZE);
    buf_consume(&client->input, HEADER_SIZE + size);
    return *ret != NULL ? 1 : err_set(err, ERR_PROTOCOL, "the shim sent a malformed reply");
}

static int wait_readable(int fd, uint64_t deadline_ms, struct err *err)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int timeout = -1;
        if (deadline_ms != UINT64_MAX) {
            uint64_t now = clock_monotonic_ms();
            timeout = now >= deadline_ms ? 0 : (int)(deadline_ms - now);
        }
        int count = poll(&poll_fd, 1, timeout);
        if (count > 0) {
            return 0;
        }
        if (count == 0) {
            return err_set(err, ERR_TIMEOUT, "the shim did not answer in time");
        }
        if (errno != EINTR) {
            return err_set_errno(err, errno, "wait for the shim");
        }
    }
}

int shim_client_receive(struct shim_client *client, int timeout_ms, Coracle__Shim__ShimReply **ret,
                        struct err *err)
{
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_monotonic_ms() + (uint64_t)timeout_ms;
    for (;;) {
        int status = take_frame(client, ret, err);
        if (status != 0) {
            return status > 0 ? 0 : status;
        }
        status = wait_readable(client->fd, deadline, err);
        if (status != 0) {
            return status;
        }
        enum { READ_SIZE = 65536 };
        ssize_t count = recv(client->fd, buf_reserve(&client->input, READ_SIZE), READ_SIZE, 0);
        if (count == 0) {
            return err_set(err, ERR_CLOSED, "the container's shim closed the connection");
        }
        if (count < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "receive from the container's shim");
        }
        buf_commit(&client->input, count < 0 ? 0 : (size_t)count);
    }
}

int shim_client_call(struct shim_client *client, Coracle__Shim__ShimRequest *request,
                     Coracle__Shim__ShimReply **ret, struct err *err)
{
    Coracle__Shim__ShimReply *reply = NULL;
    int status = shim_client_send(client, request, err);
    while (status == 0) {
        status = shim_client_receive(client, -1, &reply, err);
        if (status != 0 || reply->id == request->id) {
            break;
        }
        coracle__shim__shim_reply__free_unpacked(reply, NULL);
        reply = NULL;
    }
    if (status == 0 && reply->error != NULL) {
        int code = reply->error->code < 0 ? reply->error->code : ERR_IO;
        status = err_set(err, code, "%s", reply->error->text == NULL ? "" : reply->error->text);
    }
    if (status == 0 && ret != NULL) {
        *ret = reply;
    } else if (reply != NULL) {
        coracle__shim__shim_reply__free_unpacked(reply, NULL);
    }
    return status;
}

int shim_client_start(struct shim_client *client, struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimStartRequest start = CORACLE__SHIM__SHIM_START_REQUEST__INIT;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_START;
    request.start = &start;
    return shim_client_call(client, &request, NULL, err);
}

/* The generated structures want char *, but only read. */
static char *as_mutable(const char *text)
{
    return (char *)(uintptr_t)(text == NULL ? "" : text);
}

int shim_client_kill(struct shim_client *client, int signal, bool is_all, const char *exec_id,
                     struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimKillRequest kill;
    coracle__shim__shim_kill_request__init(&kill);
    kill.signal = signal;
    kill.all = is_all;
    kill.exec_id = as_mutable(exec_id);
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_KILL;
    request.kill = &kill;
    return shim_client_call(client, &request, NULL, err);
}

int shim_client_resize(struct shim_client *client, const char *exec_id, unsigned width,
                       unsigned height, struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimResizeRequest resize;
    coracle__shim__shim_resize_request__init(&resize);
    resize.exec_id = as_mutable(exec_id);
    resize.width = width;
    resize.height = height;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_RESIZE;
    request.resize = &resize;
    return shim_client_call(client, &request, NULL, err);
}

int shim_client_pause(struct shim_client *client, bool is_resume, struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimPauseRequest pause = CORACLE__SHIM__SHIM_PAUSE_REQUEST__INIT;
    pause.resume = is_resume;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_PAUSE;
    request.pause = &pause;
    return shim_client_call(client, &request, NULL, err);
}

int shim_client_update(struct shim_client *client, const char *resources, struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimUpdateRequest update;
    coracle__shim__shim_update_request__init(&update);
    update.resources_json = as_mutable(resources);
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_UPDATE;
    request.update = &update;
    return shim_client_call(client, &request, NULL, err);
}

int shim_client_delete(struct shim_client *client, bool is_forced, struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimDeleteRequest removal = CORACLE__SHIM__SHIM_DELETE_REQUEST__INIT;
    removal.force = is_forced;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_DELETE_CONTAINER;
    request.delete_container = &removal;
    return shim_client_call(client, &request, NULL, err);
}

int shim_client_wait(struct shim_client *client, int timeout_ms, int *ret_code, struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimWaitRequest wait;
    coracle__shim__shim_wait_request__init(&wait);
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_WAIT;
    request.wait = &wait;
    int status = shim_client_send(client, &request, err);
    while (status == 0) {
        Coracle__Shim__ShimReply *reply = NULL;
        status = shim_client_receive(client, timeout_ms, &reply, err);
        if (status != 0) {
            break;
        }
        bool is_end = reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED;
        if (is_end) {
            *ret_code = reply->exited->exit_code;
        } else if (reply->error != NULL) {
            status = err_set(err, ERR_IO, "%s", reply->error->text);
        }
        coracle__shim__shim_reply__free_unpacked(reply, NULL);
        if (is_end) {
            break;
        }
    }
    return status;
}
