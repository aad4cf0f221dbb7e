/* run.c - waiting for a process in the foreground, and what is done when a container has ended. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/console.h"
#include "runtime/container/container.h"
#include "runtime/container/file.h"
#include "runtime/container/hooks.h"
#include "runtime/container/report.h"
#include "runtime/container/sync.h"

int container_write_pid_file(const char *path, pid_t pid, struct err *err)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%d", pid);
    int rc = file_replace(AT_FDCWD, path, bytes_make(text, (size_t)length), 0644);
    return rc < 0 ? err_set_errno(err, -rc, "--pid-file: write '%s'", path) : 0;
}

int container_send_pidfd(const char *path, int pidfd, struct err *err)
{
    CLEANUP(close_fd) int fd = console_connect(path, err);
    if (fd < 0) {
        return err_prefix(err, "--pidfd-socket");
    }
    int rc = sync_send_fd(fd, pidfd, "pidfd", 5);
    return rc < 0 ? err_set_errno(err, -rc, "--pidfd-socket: send") : 0;
}

static int exit_status(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return 255;
        }
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool is_forwarded(uint32_t number)
{
    return number != SIGCHLD && number != SIGWINCH && number != SIGPIPE && number != SIGTTIN &&
           number != SIGTTOU && number != SIGURG;
}

int container_wait(pid_t pid, int pidfd, int master)
{
    if (master >= 0) {
        console_forward(master, pidfd);
        return exit_status(pid);
    }
    sigset_t mask;
    (void)sigfillset(&mask);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL); /* with valid arguments it cannot fail */
    CLEANUP(close_fd) int signals = signalfd(-1, &mask, SFD_CLOEXEC);
    struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    while (fds[0].revents == 0) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        struct signalfd_siginfo info;
        if (fds[1].revents != 0 && read(signals, &info, sizeof info) == sizeof info &&
            is_forwarded(info.ssi_signo)) {
            (void)pidfd_send_signal(pidfd, (int)info.ssi_signo, NULL, 0); /* it may have ended */
        }
    }
    return exit_status(pid);
}

static void run_poststop(struct container *container)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct spec spec;
    struct err err = {.code = 0};
    /* Most configurations have no such hook: look before parsing it all again. */
    if (file_read(container->directory, "config.json", JSON_SIZE_MAX, &text) < 0 ||
        strstr(buf_text(&text), "\"poststop\"") == NULL ||
        spec_parse(container->options->arena, buf_bytes(&text), &spec, &err) < 0) {
        return;
    }
    CLEANUP(buf) struct buf state = BUF_INIT;
    state_append_public(&state, &spec, container->state.id, "stopped", 0, container->state.bundle);
    if (hooks_run(&spec.hooks.poststop, "poststop", buf_text(&state), &err) < 0) {
        report_warning("%s", err.text); /* the specification: log and go on */
    }
}

int container_destroy(struct container *container, struct err *err)
{
    if (!container->state.no_cgroup) {
        int rc = cgroup_remove(&container->cgroup, (unsigned)container->state.cgroup_depth, err);
        if (rc < 0) {
            return rc;
        }
    }
    run_poststop(container);
    int rc = state_remove(container->options->root, container->state.id);
    return rc < 0 ? err_set_errno(err, -rc, "remove the state of '%s'", container->state.id) : 0;
}
