/* shim_io.c - streams of processes: pipes or a terminal. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/container/shim/shim_state.h"

enum { READ_SIZE = 16 * 1024, DRAIN_MAX = 64, INPUT_WAITING_MAX = 4 << 20 };

int64_t shim_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with a clock that exists */
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void shim_watch_add(struct shim *shim, struct shim_watch *watch, int fd, uint32_t events,
                    void (*on_ready)(struct shim *, struct shim_watch *, uint32_t))
{
    watch->fd = fd;
    watch->on_ready = on_ready;
    watch->is_suspended = false;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    CHECK(epoll_ctl(shim->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void suspend(struct shim *shim, struct shim_watch *watch)
{
    if (watch->fd >= 0 && !watch->is_suspended) {
        CHECK(epoll_ctl(shim->epoll, EPOLL_CTL_DEL, watch->fd, NULL) == 0);
        watch->is_suspended = true;
    }
}

static void resume(struct shim *shim, struct shim_watch *watch, uint32_t events)
{
    if (watch->fd >= 0 && watch->is_suspended) {
        shim_watch_add(shim, watch, watch->fd, events, watch->on_ready);
    }
}

void shim_watch_change(struct shim *shim, struct shim_watch *watch, uint32_t events)
{
    if (watch->is_suspended) {
        return; /* resume tells */
    }
    struct epoll_event event = {.events = events, .data.ptr = watch};
    CHECK(epoll_ctl(shim->epoll, EPOLL_CTL_MOD, watch->fd, &event) == 0);
}

void shim_watch_close(struct shim *shim, struct shim_watch *watch)
{
    if (watch->fd >= 0) {
        if (!watch->is_suspended) {
            (void)epoll_ctl(shim->epoll, EPOLL_CTL_DEL, watch->fd, NULL); /* close would, too */
        }
        (void)close(watch->fd); /* read or written before */
        watch->fd = -1;
    }
}

void shim_process_init(struct shim_process *process, const char *id)
{
    memset(process, 0, sizeof *process);
    list_init(&process->link);
    process->id = mem_strdup(id);
    process->input.fd = -1;
    process->output[0].fd = -1;
    process->output[1].fd = -1;
}

void shim_process_deinit(struct shim *shim, struct shim_process *process)
{
    shim_watch_close(shim, &process->input);
    shim_watch_close(shim, &process->output[0]);
    shim_watch_close(shim, &process->output[1]);
    buf_deinit(&process->input_waiting);
    mem_free(process->id);
    list_remove(&process->link);
}

static struct shim_process *find_owner(struct shim *shim, const struct shim_watch *watch)
{
    struct shim_process *main = &shim->main;
    if (watch == &main->input || watch == &main->output[0] || watch == &main->output[1]) {
        return main;
    }
    list_foreach (item, &shim->execs) {
        struct shim_process *process = container_of(item, struct shim_process, link);
        if (watch == &process->input || watch == &process->output[0] ||
            watch == &process->output[1]) {
            return process;
        }
    }
    CHECK_UNREACHABLE();
}

void shim_process_release_output(struct shim *shim, struct shim_process *process)
{
    if (process->is_output_held && !shim_server_is_slow(shim, process, SHIM_RELEASE_SIZE)) {
        process->is_output_held = false;
        bool has_input = process->has_terminal && buf_size(&process->input_waiting) > 0;
        resume(shim, &process->output[0], EPOLLIN | (has_input ? (uint32_t)EPOLLOUT : 0U));
        resume(shim, &process->output[1], EPOLLIN);
    }
}

static void hold_output(struct shim *shim, struct shim_process *process)
{
    if (!process->has_exited && shim_server_is_slow(shim, process, SHIM_HOLD_SIZE)) {
        process->is_output_held = true;
        suspend(shim, &process->output[0]);
        suspend(shim, &process->output[1]);
    }
}

/* One read; false when there is nothing more for now. */
static bool read_output(struct shim *shim, struct shim_process *process, unsigned stream)
{
    uint8_t data[READ_SIZE];
    struct shim_watch *watch = &process->output[stream];
    if (watch->fd < 0) {
        return false;
    }
    ssize_t size = read(watch->fd, data, sizeof data);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (size <= 0) {
        /* The end; a terminal says EIO when its last user is gone. */
        if (process == &shim->main) {
            shim_log_end(&shim->log, stream, shim_now_ns());
        }
        shim_watch_close(shim, watch);
        return false;
    }
    struct bytes bytes = bytes_make(data, (size_t)size);
    if (process == &shim->main) {
        shim_log_write(&shim->log, stream, bytes, shim_now_ns());
    }
    shim_server_output(shim, process, stream, bytes);
    hold_output(shim, process);
    return true;
}

static int input_fd(const struct shim_process *process)
{
    return process->has_terminal ? process->output[0].fd : process->input.fd;
}

static void write_input(struct shim *shim, struct shim_process *process)
{
    int fd = input_fd(process);
    while (fd >= 0 && buf_size(&process->input_waiting) > 0) {
        struct bytes bytes = buf_bytes(&process->input_waiting);
        ssize_t size = write(fd, bytes.data, bytes.size);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == EAGAIN) {
            break;
        }
        if (size < 0) {
            buf_clear(&process->input_waiting); /* nobody reads it any more */
            process->input_closing = !process->has_terminal;
            break;
        }
        buf_consume(&process->input_waiting, (size_t)size);
    }
    bool is_empty = buf_size(&process->input_waiting) == 0;
    if (process->has_terminal) {
        if (process->output[0].fd >= 0) {
            shim_watch_change(shim, &process->output[0], EPOLLIN | (is_empty ? 0U : EPOLLOUT));
        }
    } else if (process->input.fd >= 0 && is_empty && process->input_closing) {
        shim_watch_close(shim, &process->input);
    } else if (process->input.fd >= 0) {
        shim_watch_change(shim, &process->input, is_empty ? 0U : EPOLLOUT);
    }
    if (buf_size(&process->input_waiting) < SHIM_RELEASE_SIZE) {
        shim_server_release_input(shim, process);
    }
}

static void on_output(struct shim *shim, struct shim_watch *watch, uint32_t events)
{
    struct shim_process *process = find_owner(shim, watch);
    if ((events & EPOLLOUT) != 0) {
        write_input(shim, process);
    }
    if ((events & ~(uint32_t)EPOLLOUT) != 0) {
        (void)read_output(shim, process, watch == &process->output[1] ? 1 : 0);
    }
}

static void on_input(struct shim *shim, struct shim_watch *watch, uint32_t events)
{
    struct shim_process *process = find_owner(shim, watch);
    if ((events & EPOLLERR) != 0) {
        shim_watch_close(shim, watch); /* the reader is gone */
        buf_clear(&process->input_waiting);
        shim_server_release_input(shim, process);
        return;
    }
    write_input(shim, process);
}

static void set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    CHECK(flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
}

void shim_process_serve(struct shim *shim, struct shim_process *process, int input, int output,
                        int errors)
{
    if (input >= 0) {
        set_nonblocking(input);
        shim_watch_add(shim, &process->input, input, 0, on_input);
    }
    if (output >= 0) {
        set_nonblocking(output);
        shim_watch_add(shim, &process->output[0], output, EPOLLIN, on_output);
    }
    if (errors >= 0) {
        set_nonblocking(errors);
        shim_watch_add(shim, &process->output[1], errors, EPOLLIN, on_output);
    }
}

void shim_process_give_input(struct shim *shim, struct shim_process *process, struct bytes data)
{
    if (input_fd(process) < 0 || process->input_closing ||
        buf_size(&process->input_waiting) + data.size > INPUT_WAITING_MAX) {
        return; /* closed, or a reader that does not read: as a full pipe it loses what comes */
    }
    buf_append_bytes(&process->input_waiting, data);
    write_input(shim, process);
}

void shim_process_close_input(struct shim *shim, struct shim_process *process)
{
    if (process->has_terminal) {
        const uint8_t end = 4; /* ^D: a terminal's end of input */
        shim_process_give_input(shim, process, bytes_make(&end, 1));
        return;
    }
    process->input_closing = true;
    write_input(shim, process);
}

int shim_process_resize(struct shim_process *process, uint32_t width, uint32_t height)
{
    struct winsize size = {.ws_col = (unsigned short)width, .ws_row = (unsigned short)height};
    if (!process->has_terminal || process->output[0].fd < 0) {
        return -ENOTTY;
    }
    return ioctl(process->output[0].fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

void shim_process_finish(struct shim *shim, struct shim_process *process, int status)
{
    process->has_exited = true;
    process->pid = 0;
    process->finished_at_ns = shim_now_ns();
    process->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    process->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    process->oom_killed =
        shim->has_cgroup && process->signal != 0 && cgroup_oom_kills(&shim->cgroup) > 0;
    /* What it wrote before its end; those it left behind may keep the pipes and write on. */
    for (unsigned stream = 0; stream < 2; stream++) {
        for (int i = 0; i < DRAIN_MAX && read_output(shim, process, stream); i++) {
        }
    }
    buf_clear(&process->input_waiting);
    shim_server_release_input(shim, process);
    shim_process_release_output(shim, process);
    shim_server_exited(shim, process);
}
