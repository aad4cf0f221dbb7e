#include "runtime/words/session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/words/words.h"

int session_open(struct session *session, const struct container *container, struct err *err)
{
    char path[PATH_MAX];
    session->stream = (struct shim_client){.fd = -1};
    session->control = (struct shim_client){.fd = -1};
    int status = container_socket_path(container, path, err);
    if (status == 0) {
        status = shim_client_open(&session->stream, path, err);
    }
    if (status == 0) {
        status = shim_client_open(&session->control, path, err);
        if (status != 0) {
            shim_client_close(&session->stream);
        }
    }
    return status;
}

void session_close(struct session *session)
{
    shim_client_close(&session->stream);
    shim_client_close(&session->control);
}

bool session_terminal_size(unsigned *ret_width, unsigned *ret_height)
{
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 &&
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) {
        return false;
    }
    *ret_width = size.ws_col;
    *ret_height = size.ws_row;
    return size.ws_col > 0 && size.ws_row > 0;
}

int session_attach(struct session *session, struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimAttachRequest attach = CORACLE__SHIM__SHIM_ATTACH_REQUEST__INIT;
    attach.input = session->has_input;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_ATTACH;
    request.attach = &attach;
    return shim_client_call(&session->stream, &request, NULL, err);
}

int session_exec(struct session *session, const char *process_json, bool is_attached,
                 struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimExecRequest exec;
    Coracle__Shim__ShimReply *reply = NULL;
    unsigned width = 0;
    unsigned height = 0;
    coracle__shim__shim_exec_request__init(&exec);
    if (session->is_tty && session_terminal_size(&width, &height)) {
        exec.console_width = width;
        exec.console_height = height;
    }
    exec.process_json = (char *)(uintptr_t)process_json; /* only read */
    exec.attach = is_attached;
    exec.input = session->has_input;
    request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_EXEC;
    request.exec = &exec;
    int status = shim_client_call(&session->stream, &request, &reply, err);
    if (status == 0 && reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXEC &&
        strlen(reply->exec->exec_id) < sizeof(session->exec_id)) {
        memcpy(session->exec_id, reply->exec->exec_id, strlen(reply->exec->exec_id) + 1);
    }
    if (reply != NULL) {
        coracle__shim__shim_reply__free_unpacked(reply, NULL);
    }
    return status;
}

/* ---- the terminal ---- */

struct terminal {
    bool is_raw;
    struct termios before;
};

static void make_raw(struct terminal *terminal)
{
    struct termios raw;
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &terminal->before) != 0) {
        return;
    }
    raw = terminal->before;
    cfmakeraw(&raw);
    terminal->is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void restore(struct terminal *terminal)
{
    if (terminal->is_raw) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->before); /* nothing else can be tried */
        terminal->is_raw = false;
    }
}

static void send_size(struct session *session)
{
    unsigned width = 0;
    unsigned height = 0;
    if (session->is_tty && session_terminal_size(&width, &height)) {
        struct err ignored;
        int status =
            shim_client_resize(&session->control, session->exec_id, width, height, &ignored);
        (void)status; /* the process may just have ended */
    }
}

/* ---- input ---- */

struct detach {
    unsigned char keys[16];
    size_t count;
    size_t matched;
};

/* "ctrl-p,ctrl-q" or single letters. */
static void parse_keys(const char *text, struct detach *detach)
{
    text = text == NULL ? "ctrl-p,ctrl-q" : text;
    while (*text != '\0' && detach->count < sizeof(detach->keys)) {
        size_t size = strcspn(text, ",");
        if (size == 6 && strncmp(text, "ctrl-", 5) == 0) {
            detach->keys[detach->count++] = (unsigned char)(text[5] & 0x1f);
        } else if (size == 1) {
            detach->keys[detach->count++] = (unsigned char)text[0];
        }
        text += size + (text[size] == ',' ? 1 : 0);
    }
}

static int send_input(struct session *session, const uint8_t *data, size_t size, struct err *err)
{
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimCloseInputRequest end;
    coracle__shim__shim_close_input_request__init(&end);
    if (size == 0) {
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_CLOSE_INPUT;
        request.close_input = &end;
    } else {
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_INPUT;
        request.input.data = (uint8_t *)(uintptr_t)data; /* only read */
        request.input.len = size;
    }
    return shim_client_send(&session->stream, &request, err);
}

/* 1: the person wants to leave. Keys that might be the start of the sequence are held back. */
static int carry_input(struct session *session, struct detach *detach, bool *has_ended,
                       struct err *err)
{
    uint8_t data[16384];
    uint8_t out[sizeof(data) + sizeof(detach->keys)];
    size_t size = 0;
    ssize_t count = read(STDIN_FILENO, data, sizeof(data));
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
        return 0;
    }
    if (count <= 0) {
        *has_ended = true;
        return send_input(session, NULL, 0, err);
    }
    for (ssize_t i = 0; i < count; i++) {
        bool is_next =
            session->is_tty && detach->count > 0 && data[i] == detach->keys[detach->matched];
        if (is_next && ++detach->matched == detach->count) {
            return 1;
        }
        if (!is_next) {
            memcpy(out + size, detach->keys, detach->matched);
            size += detach->matched;
            detach->matched = 0;
            out[size++] = data[i];
        }
    }
    return size == 0 ? 0 : send_input(session, out, size, err);
}

/* ---- output ---- */

static int write_all(int fd, const uint8_t *data, size_t size, struct err *err)
{
    while (size > 0) {
        ssize_t count = write(fd, data, size);
        if (count < 0 && errno == EAGAIN) {
            struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
            (void)poll(&poll_fd, 1, -1);
            continue;
        }
        if (count < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "write the container's output");
        }
        data += count < 0 ? 0 : count;
        size -= count < 0 ? 0 : (size_t)count;
    }
    return 0;
}

/* 1: the process has ended. */
static int carry_output(struct session *session, int *ret_code, struct err *err)
{
    for (;;) {
        Coracle__Shim__ShimReply *reply = NULL;
        int status = shim_client_receive(&session->stream, 0, &reply, err);
        if (status != 0) {
            return status == ERR_TIMEOUT ? 0 : status;
        }
        if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_OUTPUT) {
            int fd = reply->output->stream == CORACLE__SHIM__SHIM_STREAM__SHIM_STREAM_STDERR
                         ? STDERR_FILENO
                         : STDOUT_FILENO;
            status = write_all(fd, reply->output->data.data, reply->output->data.len, err);
        } else if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED) {
            *ret_code = reply->exited->exit_code;
            status = 1;
        }
        coracle__shim__shim_reply__free_unpacked(reply, NULL);
        if (status != 0) {
            return status;
        }
    }
}

/* ---- signals ---- */

static int open_signals(sigset_t *before)
{
    sigset_t wanted;
    sigemptyset(&wanted);
    static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
    for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++) {
        sigaddset(&wanted, forwarded[i]);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &wanted, before) != 0) {
        return -1;
    }
    return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void carry_signal(struct session *session, int signals)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGWINCH) {
            send_size(session);
        } else if (session->forwards_signals) {
            struct err ignored;
            int status = shim_client_kill(&session->control, (int)info.ssi_signo, false,
                                          session->exec_id, &ignored);
            (void)status; /* the process may just have ended */
        }
    }
}

static int loop(struct session *session, int signals, int *ret_code, struct err *err)
{
    struct detach detach = {.count = 0};
    bool has_ended = !session->has_input;
    parse_keys(session->detach_keys, &detach);
    for (;;) {
        struct pollfd fds[] = {
            {.fd = session->stream.fd, .events = POLLIN},
            {.fd = signals, .events = POLLIN},
            {.fd = has_ended ? -1 : STDIN_FILENO, .events = POLLIN},
        };
        /* What came together with the answer to attach is in the buffer already. */
        int status = carry_output(session, ret_code, err);
        if (status != 0) {
            return status > 0 ? 0 : status;
        }
        if (poll(fds, 3, -1) < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "wait for the container");
        }
        if (fds[1].revents != 0) {
            carry_signal(session, signals);
        }
        if (fds[2].revents != 0) {
            status = carry_input(session, &detach, &has_ended, err);
            if (status > 0) {
                *ret_code = SESSION_DETACHED;
                return 0;
            }
            if (status < 0 && status != -EPIPE && status != -ECONNRESET) {
                return status;
            }
        }
    }
}

int session_run(struct session *session, int *ret_code, struct err *err)
{
    struct terminal terminal = {.is_raw = false};
    sigset_t before;
    CLEANUP(close_fd) int signals = open_signals(&before);
    if (session->is_tty && session->has_input) {
        make_raw(&terminal);
    }
    send_size(session);
    int status = loop(session, signals, ret_code, err);
    restore(&terminal);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
