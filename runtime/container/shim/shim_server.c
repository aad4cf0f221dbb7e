/* shim_server.c - connections: frames in, frames out. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/container/shim/shim_frame.h"
#include "runtime/container/shim/shim_state.h"

enum { READ_SIZE = 16 * 1024 };

static void drop_waiters(struct shim *shim, const struct shim_client *client)
{
    list_foreach_safe (item, &shim->waiters) {
        struct shim_waiter *waiter = container_of(item, struct shim_waiter, link);
        if (waiter->client == client) {
            list_remove(&waiter->link);
            mem_free(waiter);
        }
    }
}

void shim_client_drop(struct shim *shim, struct shim_client *client)
{
    struct shim_process *stream = client->stream;
    if (stream != NULL && client->gives_input && !stream->has_exited &&
        (stream != &shim->main || shim->options.input_once)) {
        shim_process_close_input(shim, stream);
    }
    drop_waiters(shim, client);
    shim_watch_close(shim, &client->watch);
    buf_deinit(&client->received);
    buf_deinit(&client->to_send);
    list_remove(&client->link);
    mem_free(client);
    shim->client_count--;
    if (stream != NULL) {
        shim_process_release_output(shim, stream);
    }
}

static void watch_client(struct shim *shim, struct shim_client *client)
{
    uint32_t events = client->is_input_held ? 0U : (uint32_t)EPOLLIN;
    events |= buf_size(&client->to_send) > 0 || client->is_closing ? (uint32_t)EPOLLOUT : 0U;
    shim_watch_change(shim, &client->watch, events);
}

bool shim_server_is_slow(const struct shim *shim, const struct shim_process *process, size_t size)
{
    list_foreach (item, &shim->clients) {
        const struct shim_client *client = container_of(item, struct shim_client, link);
        if (client->stream == process && client->wants_output && !client->is_closing &&
            buf_size(&client->to_send) > size) {
            return true;
        }
    }
    return false;
}

void shim_server_release_input(struct shim *shim, const struct shim_process *process)
{
    list_foreach (item, &shim->clients) {
        struct shim_client *client = container_of(item, struct shim_client, link);
        if (client->stream == process && client->is_input_held) {
            client->is_input_held = false;
            watch_client(shim, client);
        }
    }
}

int shim_server_drop_stalled(struct shim *shim)
{
    enum { LOOK_AGAIN_MS = 1000 };
    int again = -1;
    int64_t now = shim_now_ns();
    list_foreach (item, &shim->clients) {
        struct shim_client *client = container_of(item, struct shim_client, link);
        if (client->stream == NULL || !client->stream->is_output_held) {
            continue;
        }
        bool is_stalled = buf_size(&client->to_send) > SHIM_RELEASE_SIZE &&
                          now - client->moved_at_ns > SHIM_STALL_MAX_MS * INT64_C(1000000);
        if (is_stalled && client->stream == &shim->main) {
            /* An exec is the client's own affair; the container's first process is not. */
            shim_client_drop(shim, client);
            return LOOK_AGAIN_MS;
        }
        again = LOOK_AGAIN_MS;
    }
    return again;
}

/* false: the client is gone. */
static bool flush(struct shim *shim, struct shim_client *client)
{
    while (buf_size(&client->to_send) > 0) {
        struct bytes bytes = buf_bytes(&client->to_send);
        ssize_t size = send(client->watch.fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == EAGAIN) {
            break;
        }
        if (size < 0) {
            client->is_closing = true;
            buf_clear(&client->to_send);
            break;
        }
        buf_consume(&client->to_send, (size_t)size);
        client->moved_at_ns = shim_now_ns();
    }
    if (client->is_closing && buf_size(&client->to_send) == 0) {
        shim_client_drop(shim, client);
        return false;
    }
    watch_client(shim, client);
    if (client->stream != NULL) {
        shim_process_release_output(shim, client->stream);
    }
    return true;
}

/* Queue a reply; it is sent from the loop, so that a client never vanishes under its caller. */
void shim_client_send(struct shim *shim, struct shim_client *client,
                      const Coracle__Shim__ShimReply *reply)
{
    size_t size = coracle__shim__shim_reply__get_packed_size(reply);
    if (buf_size(&client->to_send) + size > SHIM_CLIENT_BACKLOG_MAX + SHIM_FRAME_HEADER_SIZE) {
        client->is_closing = true; /* replies to many requests that it does not read */
        buf_clear(&client->to_send);
        watch_client(shim, client);
        return;
    }
    if (buf_size(&client->to_send) == 0) {
        client->moved_at_ns = shim_now_ns();
    }
    shim_frame_append_header(&client->to_send, (uint32_t)size);
    uint8_t *place = buf_reserve(&client->to_send, size);
    (void)coracle__shim__shim_reply__pack(reply, place); /* writes what get_packed_size said */
    buf_commit(&client->to_send, size);
    watch_client(shim, client);
}

/* Carry out the whole frames that have arrived; false: nonsense. */
static bool handle_frames(struct shim *shim, struct shim_client *client)
{
    struct bytes body;
    int rc = 0;
    while ((rc = shim_frame_next(buf_bytes(&client->received), &body)) > 0) {
        Coracle__Shim__ShimRequest *request =
            coracle__shim__shim_request__unpack(NULL, body.size, body.data);
        if (request == NULL) {
            return false;
        }
        shim_request_handle(shim, client, request);
        coracle__shim__shim_request__free_unpacked(request, NULL);
        buf_consume(&client->received, SHIM_FRAME_HEADER_SIZE + body.size);
    }
    const struct shim_process *stream = client->stream;
    if (stream != NULL && client->gives_input &&
        buf_size(&stream->input_waiting) > SHIM_HOLD_SIZE) {
        client->is_input_held = true;
        watch_client(shim, client);
    }
    return rc == 0;
}

static void on_client(struct shim *shim, struct shim_watch *watch, uint32_t events)
{
    struct shim_client *client = container_of(watch, struct shim_client, watch);
    if ((events & EPOLLOUT) != 0 && !flush(shim, client)) {
        return;
    }
    /* One that is held and hangs up is read to its end. */
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        return;
    }
    uint8_t *place = buf_reserve(&client->received, READ_SIZE);
    ssize_t size = recv(client->watch.fd, place, READ_SIZE, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        shim_client_drop(shim, client);
        return;
    }
    buf_commit(&client->received, (size_t)size);
    if (!handle_frames(shim, client)) {
        shim_client_drop(shim, client);
    }
}

static void on_listener(struct shim *shim, struct shim_watch *watch, uint32_t events)
{
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    /* The socket is 0600; SO_PEERCRED for those who can reach it by other ways. */
    struct ucred peer;
    socklen_t size = sizeof peer;
    bool is_allowed = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                      (peer.uid == geteuid() || peer.uid == 0);
    if (!is_allowed || shim->client_count >= SHIM_CLIENTS_MAX) {
        (void)close(fd);
        return;
    }
    struct shim_client *client = mem_zalloc(sizeof *client);
    list_push_back(&shim->clients, &client->link);
    shim->client_count++;
    shim_watch_add(shim, &client->watch, fd, EPOLLIN, on_client);
}

int shim_server_listen(struct shim *shim, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s", shim->options.socket);
    if (length < 0 || (size_t)length >= sizeof address.sun_path) {
        return err_set(err, -ENAMETOOLONG, "--socket: path is longer than %zu bytes",
                       sizeof address.sun_path - 1);
    }
    (void)unlink(address.sun_path); /* of a shim that died */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    int bound = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
    int saved = errno;
    (void)umask(before);
    if (bound < 0 || listen(fd, 64) < 0) {
        int rc = err_set_errno(err, bound < 0 ? saved : errno, "--socket: listen on '%s'",
                               address.sun_path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    shim_watch_add(shim, &shim->listener, fd, EPOLLIN, on_listener);
    return 0;
}

void shim_server_close(struct shim *shim)
{
    list_foreach_safe (item, &shim->clients) {
        shim_client_drop(shim, container_of(item, struct shim_client, link));
    }
    shim_watch_close(shim, &shim->listener);
    (void)unlink(shim->options.socket); /* ours */
}

void shim_server_output(struct shim *shim, struct shim_process *process, unsigned stream,
                        struct bytes data)
{
    Coracle__Shim__ShimOutput output;
    coracle__shim__shim_output__init(&output);
    Coracle__Shim__ShimReply reply;
    coracle__shim__shim_reply__init(&reply);
    output.stream = stream == 0 ? CORACLE__SHIM__SHIM_STREAM__SHIM_STREAM_STDOUT
                                : CORACLE__SHIM__SHIM_STREAM__SHIM_STREAM_STDERR;
    output.data.data = (uint8_t *)(uintptr_t)data.data;
    output.data.len = data.size;
    reply.result_case = CORACLE__SHIM__SHIM_REPLY__RESULT_OUTPUT;
    reply.output = &output;
    list_foreach (item, &shim->clients) {
        struct shim_client *client = container_of(item, struct shim_client, link);
        if (client->stream == process && client->wants_output && !client->is_closing) {
            reply.id = client->stream_id;
            shim_client_send(shim, client, &reply);
        }
    }
}

void shim_server_exited(struct shim *shim, struct shim_process *process)
{
    Coracle__Shim__ShimExited exited;
    coracle__shim__shim_exited__init(&exited);
    Coracle__Shim__ShimReply reply;
    coracle__shim__shim_reply__init(&reply);
    shim_request_fill_exited(process, &exited);
    reply.result_case = CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED;
    reply.exited = &exited;
    list_foreach_safe (item, &shim->waiters) {
        struct shim_waiter *waiter = container_of(item, struct shim_waiter, link);
        if (waiter->process == process) {
            reply.id = waiter->id;
            shim_client_send(shim, waiter->client, &reply);
            list_remove(&waiter->link);
            mem_free(waiter);
        }
    }
    list_foreach (item, &shim->clients) {
        struct shim_client *client = container_of(item, struct shim_client, link);
        if (client->stream == process) {
            reply.id = client->stream_id;
            shim_client_send(shim, client, &reply);
            client->stream = NULL;
        }
    }
}
