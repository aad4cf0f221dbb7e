#include "runtime/container/sync.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int sync_open(int ret_ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) < 0 ? -errno : 0;
}

int sync_send(int fd, enum sync_type type, int value, const char *text)
{
    struct sync_message message = {.type = (int32_t)type, .value = value};
    size_t length = 0;
    if (text != NULL) {
        length = strnlen(text, sizeof message.text - 1);
        memcpy(message.text, text, length);
    }
    size_t size = offsetof(struct sync_message, text) + length + 1;
    ssize_t sent = 0;
    do {
        sent = write(fd, &message, size);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int sync_receive(int fd, struct sync_message *ret)
{
    ssize_t size = 0;
    do {
        size = read(fd, ret, sizeof *ret);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return errno == ECONNRESET ? 0 : -errno;
    }
    if (size == 0) {
        return 0;
    }
    if ((size_t)size <= offsetof(struct sync_message, text)) {
        return -EPROTO;
    }
    ret->text[sizeof ret->text - 1] = 0;
    return 1;
}

int sync_expect(int fd, enum sync_type type, struct err *err)
{
    struct sync_message message;
    int rc = sync_receive(fd, &message);
    if (rc < 0) {
        return err_set_errno(err, -rc, "read from the other side");
    }
    if (rc == 0) {
        return err_set(err, ERR_CLOSED, "the other side has ended");
    }
    if (message.type == SYNC_ERROR) {
        return err_set(err, message.value < 0 ? message.value : -EIO, "%s", message.text);
    }
    return message.type == (int32_t)type
               ? 0
               : err_set(err, ERR_PROTOCOL, "unexpected message %d", message.type);
}

int sync_send_fd(int socket, int fd, const char *text, size_t size)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    ssize_t sent = 0;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int sync_receive_fd(int socket)
{
    char text[4096];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = text, .iov_len = sizeof text};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t size = 0;
    do {
        size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size <= 0) {
        return size < 0 ? -errno : -EPIPE;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len < CMSG_LEN(sizeof(int))) {
        return -EPROTO;
    }
    int fd = -1;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}
