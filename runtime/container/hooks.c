#include "runtime/container/hooks.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/container/file.h"
#include "runtime/container/kernel.h"

enum { SAID_SIZE = 200 };

_Noreturn static void exec_hook(const struct spec_hook *hook, int input, int errors)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(input, 0) < 0 || dup2(null, 1) < 0 || dup2(errors, 2) < 0) {
        _exit(126);
    }
    (void)close_range(3, ~0U, 0); /* Linux 5.9, always there */
    char *default_args[] = {(char *)(uintptr_t)hook->path, NULL};
    execve(hook->path, hook->args.count > 0 ? hook->args.items : default_args,
           hook->env.items == NULL ? environ : hook->env.items);
    dprintf(2, "execute '%s': %s", hook->path, strerrordesc_np(errno));
    _exit(127);
}

static void keep_tail(char *said, const char *text, size_t size)
{
    size_t used = strlen(said);
    if (used + size >= SAID_SIZE) {
        size_t drop = used + size - SAID_SIZE + 1;
        if (drop >= used) {
            said[0] = 0;
            used = 0;
            if (size >= SAID_SIZE) {
                text += size - SAID_SIZE + 1;
                size = SAID_SIZE - 1;
            }
        } else {
            memmove(said, said + drop, used - drop + 1);
            used -= drop;
        }
    }
    memcpy(said + used, text, size);
    said[used + size] = 0;
}

/* Read what is there; false at the end of the stream. */
static bool drain(int errors, char *said)
{
    for (;;) {
        char text[256];
        ssize_t size = read(errors, text, sizeof text);
        if (size <= 0) {
            return size < 0 && (errno == EAGAIN || errno == EINTR);
        }
        keep_tail(said, text, (size_t)size);
    }
}

/* Until the hook itself ends (what it left in the background may keep the pipe) or its time is up.
 */
static bool wait_until_done(int pidfd, int errors, const struct spec_hook *hook, char *said)
{
    uint64_t deadline = UINT64_MAX;
    if (hook->timeout_s.is_set) {
        deadline = clock_monotonic_ms() + (uint64_t)hook->timeout_s.value * 1000;
    }
    struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    for (;;) {
        int timeout = -1;
        if (deadline != UINT64_MAX) {
            uint64_t now = clock_monotonic_ms();
            if (now >= deadline) {
                return false;
            }
            timeout = deadline - now > 60000 ? 60000 : (int)(deadline - now);
        }
        if (poll(fds, 2, timeout) < 0 && errno != EINTR) {
            return false;
        }
        if (fds[1].revents != 0 && !drain(errors, said)) {
            fds[1].fd = -1;
        }
        if (fds[0].revents != 0) {
            (void)drain(errors, said); /* the last words */
            return true;
        }
    }
}

static int run_one(const struct spec_hook *hook, const char *stage, size_t index, const char *state,
                   struct err *err)
{
    int input[2] = {-1, -1};
    int errors[2] = {-1, -1};
    if (pipe2(input, O_CLOEXEC) < 0) {
        return err_set_errno(err, errno, "pipe for a hook");
    }
    CLEANUP(close_fd) int input_read = input[0];
    CLEANUP(close_fd) int input_write = input[1];
    if (pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0) {
        return err_set_errno(err, errno, "pipe for a hook");
    }
    CLEANUP(close_fd) int errors_read = errors[0];
    CLEANUP(close_fd) int errors_write = errors[1];
    int pidfd = -1;
    int pid = kernel_clone(0, -1, &pidfd, SIGCHLD);
    if (pid < 0) {
        return err_set_errno(err, -pid, "fork for a hook");
    }
    if (pid == 0) {
        exec_hook(hook, input_read, errors_write);
    }
    CLEANUP(close_fd) int pid_end = pidfd;
    (void)close(TAKE_FD(input_read));   /* the hook has them */
    (void)close(TAKE_FD(errors_write)); /* likewise */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    (void)sigaction(SIGPIPE, &ignore, &before); /* a hook need not read its input */
    err_ignore(file_write_all(input_write, state, strlen(state)));
    (void)sigaction(SIGPIPE, &before, NULL);
    (void)close(TAKE_FD(input_write)); /* end of input */
    char said[SAID_SIZE] = "";
    bool is_done = wait_until_done(pid_end, errors_read, hook, said);
    if (!is_done) {
        (void)kill(pid, SIGKILL); /* our own child, not yet waited for */
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!is_done) {
        return err_set(err, ERR_TIMEOUT,
                       "error running %s hook #%zu: '%s' ran past the timeout of %llds", stage,
                       index, hook->path, (long long)hook->timeout_s.value);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    char end[80];
    if (WIFEXITED(status)) {
        (void)snprintf(end, sizeof end, "exit code %d", WEXITSTATUS(status));
    } else {
        const char *name = sigdescr_np(WTERMSIG(status));
        (void)snprintf(end, sizeof end, "signal %d: %s", WTERMSIG(status),
                       name == NULL ? "" : name);
        char *first = strstr(end, ": ") + 2;
        *first = (char)tolower((unsigned char)*first); /* as Go has it */
    }
    return err_set(err, -EIO, "error running %s hook #%zu: '%s': %s hook failed with %s%s%s", stage,
                   index, hook->path, stage, end, said[0] == 0 ? "" : ", stderr: ", said);
}

int hooks_run(const struct spec_hook_list *hooks, const char *stage, const char *state,
              struct err *err)
{
    for (size_t i = 0; i < hooks->count; i++) {
        int rc = run_one(&hooks->items[i], stage, i, state, err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
