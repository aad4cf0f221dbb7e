/* shim_main.c - kvshim: start, the loop, the end (runtime/container/shim.h is the manual). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_text.h"
#include "runtime/container/args.h"
#include "runtime/container/file.h"
#include "runtime/container/shim/shim_state.h"

enum { END_FLUSH_MS = 30000 };

struct shim_texts { /* options that are numbers */
    const char *log_max_size;
    const char *log_max_files;
    const char *console_size;
};

static int read_numbers(struct shim_options *options, const struct shim_texts *texts,
                        struct err *err)
{
    long long value = SHIM_LOG_SIZE_DEFAULT;
    if (texts->log_max_size != NULL && (!args_size(texts->log_max_size, &value) || value < 0)) {
        return err_set(err, ERR_INVALID, "--log-max-size: '%s' is no size", texts->log_max_size);
    }
    options->log_size_max = (uint64_t)value;
    value = SHIM_LOG_FILES_DEFAULT;
    if (texts->log_max_files != NULL &&
        (!args_number(texts->log_max_files, &value) || value < 1 || value > 1000)) {
        return err_set(err, ERR_INVALID, "--log-max-files: must be from 1 to 1000");
    }
    options->log_files_max = (unsigned)value;
    if (texts->console_size != NULL && sscanf(texts->console_size, "%ux%u", &options->console_width,
                                              &options->console_height) != 2) {
        return err_set(err, ERR_INVALID, "--console-size: expected WIDTHxHEIGHT, got '%s'",
                       texts->console_size);
    }
    return 0;
}

static const char *absolute(struct arena *arena, const char *path)
{
    char here[PATH_MAX];
    if (path == NULL || path[0] == '/' || getcwd(here, sizeof here) == NULL) {
        return path;
    }
    return arena_printf(arena, "%s/%s", here, path);
}

/* The kvrun beside this program; else whatever PATH has. */
static const char *find_runtime(struct arena *arena)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = NULL;
    if (length > 0) {
        self[length] = 0;
        slash = strrchr(self, '/');
    }
    if (slash == NULL) {
        return "kvrun";
    }
    const char *path = arena_printf(arena, "%.*s/kvrun", (int)(slash - self), self);
    return access(path, X_OK) == 0 ? path : "kvrun";
}

static int read_options(struct shim *shim, int argc, char **argv, struct err *err)
{
    struct shim_options *o = &shim->options;
    struct shim_texts texts = {.log_max_size = NULL};
    const struct args_option options[] = {
        {"id", 0, ARGS_TEXT, &o->id},
        {"bundle", 'b', ARGS_TEXT, &o->bundle},
        {"root", 0, ARGS_TEXT, &o->root},
        {"runtime", 0, ARGS_TEXT, &o->runtime},
        {"runtime-arg", 0, ARGS_LIST, &o->runtime_args},
        {"socket", 0, ARGS_TEXT, &o->socket},
        {"exit-file", 0, ARGS_TEXT, &o->exit_file},
        {"log", 0, ARGS_TEXT, &o->log},
        {"log-max-size", 0, ARGS_TEXT, &texts.log_max_size},
        {"log-max-files", 0, ARGS_TEXT, &texts.log_max_files},
        {"pid-file", 0, ARGS_TEXT, &o->pid_file},
        {"preserve-fds", 0, ARGS_TEXT, &o->preserve_fds},
        {"stdin", 0, ARGS_BOOL, &o->has_input},
        {"stdin-once", 0, ARGS_BOOL, &o->input_once},
        {"console-size", 0, ARGS_TEXT, &texts.console_size},
        {"start", 0, ARGS_BOOL, &o->start},
        {"delete", 0, ARGS_BOOL, &o->delete_at_end},
        {"no-pivot", 0, ARGS_BOOL, &o->no_pivot},
        {"no-new-keyring", 0, ARGS_BOOL, &o->no_new_keyring},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    struct text_list words = {arena_zalloc(shim->arena, ((size_t)argc + 1) * sizeof(char *)), 0};
    int at = 1;
    int rc = args_parse(argc, argv, &at, options, false, &words, err);
    if (rc < 0 || (rc = read_numbers(o, &texts, err)) < 0) {
        return rc;
    }
    if (words.count > 0) {
        return err_set(err, ERR_INVALID, "unexpected argument '%s'", words.items[0]);
    }
    if (o->id == NULL || o->bundle == NULL || o->socket == NULL || o->exit_file == NULL) {
        return err_set(err, ERR_INVALID,
                       "--id, --bundle, --socket and --exit-file are needed (see "
                       "runtime/container/shim.h)");
    }
    o->has_input |= o->input_once;
    o->bundle = absolute(shim->arena, o->bundle);
    o->root = absolute(shim->arena, o->root);
    o->socket = absolute(shim->arena, o->socket);
    o->exit_file = absolute(shim->arena, o->exit_file);
    o->log = absolute(shim->arena, o->log);
    o->pid_file = absolute(shim->arena, o->pid_file);
    o->runtime = o->runtime != NULL ? o->runtime : find_runtime(shim->arena);
    return 0;
}

static int find_terminal(struct shim *shim, struct err *err)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct json_value *document = NULL;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/config.json", shim->options.bundle);
    int rc = file_read(AT_FDCWD, path, JSON_SIZE_MAX, &text);
    if (rc < 0) {
        return err_set_errno(err, -rc, "read '%s'", path);
    }
    rc = json_parse(&arena, buf_bytes(&text), &document, err);
    if (rc < 0) {
        return err_prefix(err, "%s", path);
    }
    const struct json_value *terminal = json_find(json_find(document, "process"), "terminal");
    shim->main.has_terminal = terminal != NULL && terminal->type == JSON_BOOL && terminal->boolean;
    return 0;
}

/* One JSON line that survives everything else. */
static void write_exit_file(const struct shim *shim, pid_t pid)
{
    CLEANUP(buf) struct buf out = BUF_INIT;
    buf_append_text(&out, "{\"id\":");
    json_text_append_quoted(&out, bytes_from_text(shim->options.id));
    buf_append_format(&out, ",\"pid\":%d,\"exitCode\":%d,\"signal\":%d,\"oomKilled\":%s", pid,
                      shim->main.exit_code, shim->main.signal,
                      shim->main.oom_killed ? "true" : "false");
    buf_append_text(&out, ",\"startedAt\":\"");
    shim_log_append_time(&out, shim->main.started_at_ns);
    buf_append_text(&out, "\",\"finishedAt\":\"");
    shim_log_append_time(&out, shim->main.finished_at_ns);
    buf_append_text(&out, "\"}\n");
    /* Nobody is left to be told; who adopts the container finds the shim's own answer. */
    err_ignore(file_replace(AT_FDCWD, shim->options.exit_file, buf_bytes(&out), 0600));
}

static void end_main(struct shim *shim, int status)
{
    pid_t pid = shim->main.pid;
    shim_process_finish(shim, &shim->main, status);
    write_exit_file(shim, pid);
    if (shim->options.delete_at_end) {
        const char *const words[] = {"delete", "--force", shim->options.id, NULL};
        shim->is_deleted = shim_runtime_call(shim, words, NULL, NULL) == 0;
        shim->should_end = true;
    }
}

static void end_child(struct shim *shim, pid_t pid, int status)
{
    if (pid == shim->main.pid) {
        end_main(shim, status);
        return;
    }
    list_foreach (item, &shim->execs) {
        struct shim_process *process = container_of(item, struct shim_process, link);
        if (process->pid == pid) {
            shim_process_finish(shim, process, status);
            return;
        }
    }
    /* Someone the container left to us: only to be reaped. */
}

static void on_signal(struct shim *shim, struct shim_watch *watch, uint32_t events)
{
    (void)events;
    struct signalfd_siginfo info;
    while (read(watch->fd, &info, sizeof info) == sizeof info) {
    }
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        end_child(shim, pid, status);
    }
}

static int watch_signals(struct shim *shim, struct err *err)
{
    sigset_t mask;
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL); /* with valid arguments it cannot fail */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    int fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return err_set_errno(err, errno, "signalfd");
    }
    shim_watch_add(shim, &shim->signals, fd, EPOLLIN, on_signal);
    return 0;
}

static void run_once(struct shim *shim, int timeout_ms)
{
    struct epoll_event event;
    /* One at a time: a handler may close what a later event of a batch would be about. */
    if (epoll_wait(shim->epoll, &event, 1, timeout_ms) == 1) {
        struct shim_watch *watch = event.data.ptr;
        watch->on_ready(shim, watch, event.events);
    }
}

static bool has_unsent(const struct shim *shim)
{
    list_foreach (item, &shim->clients) {
        if (buf_size(&container_of(item, struct shim_client, link)->to_send) > 0) {
            return true;
        }
    }
    return false;
}

static void run_loop(struct shim *shim)
{
    while (!shim->should_end) {
        run_once(shim, shim_server_drop_stalled(shim));
    }
    int64_t deadline = shim_now_ns() + END_FLUSH_MS * INT64_C(1000000);
    while (has_unsent(shim) && shim_now_ns() < deadline) {
        run_once(shim, 100);
    }
}

static void open_cgroup(struct shim *shim)
{
    struct container_options options = {
        .arena = shim->arena,
        .root = shim->options.root != NULL ? shim->options.root : state_default_root(shim->arena)};
    struct container container;
    if (container_open(&options, shim->options.id, false, &container, NULL) < 0) {
        return; /* without it out-of-memory is not told apart */
    }
    (void)close(container.directory); /* a directory */
    shim->cgroup = container.cgroup;
    shim->has_cgroup = !container.state.no_cgroup && container.cgroup.count > 0;
}

static int set_up(struct shim *shim, struct err *err)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "become a subreaper");
    }
    shim->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (shim->epoll < 0) {
        return err_set_errno(err, errno, "epoll");
    }
    int rc = watch_signals(shim, err);
    if (rc < 0 || (rc = find_terminal(shim, err)) < 0 ||
        (rc = shim_log_open(&shim->log, shim->options.log, shim->options.log_size_max,
                            shim->options.log_files_max, err)) < 0 ||
        (rc = shim_server_listen(shim, err)) < 0 || (rc = shim_runtime_create(shim, err)) < 0) {
        return rc;
    }
    shim->created_at_ns = shim_now_ns();
    open_cgroup(shim);
    return shim->options.start ? shim_runtime_start(shim, err) : 0;
}

static void undo(struct shim *shim)
{
    if (shim->main.pid > 0) {
        const char *const words[] = {"delete", "--force", shim->options.id, NULL};
        err_ignore(
            shim_runtime_call(shim, words, NULL, NULL)); /* the first error is the one to tell */
    }
    if (shim->listener.fd >= 0) {
        shim_server_close(shim);
    }
}

static void detach_streams(int status_fd)
{
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3 && null >= 0; i++) {
        (void)dup2(null, i); /* they were open: it cannot fail */
    }
    if (null > 2) {
        (void)close(null);
    }
    (void)close(status_fd); /* the caller sees the end */
}

/* The lasting process. */
static int shim_process_main(struct shim *shim, int status_fd)
{
    struct err err = {.code = 0};
    (void)setsid(); /* a fresh child is no group leader */
    int rc = set_up(shim, &err);
    if (rc < 0) {
        undo(shim);
        dprintf(status_fd, "E%s", err.text);
        return 1;
    }
    if (shim->options.kept_fds > 0) {
        (void)close_range(3, 2 + shim->options.kept_fds, 0); /* the container's now */
    }
    dprintf(status_fd, "{\"pid\":%d,\"shimPid\":%d}\n", shim->main.pid, getpid());
    detach_streams(status_fd);
    if (chdir("/") < 0) {
        return 1;
    }
    run_loop(shim);
    shim_server_close(shim);
    shim_log_close(&shim->log);
    return 0;
}

static int follow_start(int status_fd)
{
    char text[1024];
    int length = 0;
    for (;;) {
        ssize_t size = read(status_fd, text + length, sizeof text - 1 - (size_t)length);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            break;
        }
        length += (int)size;
    }
    text[length] = 0;
    if (text[0] == '{') {
        err_ignore(file_write_all(STDOUT_FILENO, text, (size_t)length));
        return 0;
    }
    (void)fprintf(stderr, "kvshim: %s\n", length > 1 ? text + 1 : "the shim has ended early");
    return 1;
}

int main(int argc, char **argv)
{
    struct arena arena = ARENA_INIT;
    struct shim shim = {.arena = &arena, .listener = {.fd = -1}, .epoll = -1};
    struct err err = {.code = 0};
    int status[2];
    list_init(&shim.execs);
    list_init(&shim.clients);
    list_init(&shim.waiters);
    shim_process_init(&shim.main, "");
    cgroup_init(&shim.cgroup);
    if (read_options(&shim, argc, argv, &err) < 0) {
        (void)fprintf(stderr, "kvshim: %s\n", err.text);
        return 1;
    }
    /* Nothing of the caller's but what it wants the container to have. */
    long long kept = 0;
    if (shim.options.preserve_fds != NULL && !args_number(shim.options.preserve_fds, &kept)) {
        kept = 0; /* kvrun explains what is wrong with it */
    }
    shim.options.kept_fds = (unsigned)kept;
    (void)close_range(3 + shim.options.kept_fds, ~0U, 0); /* Linux 5.9 */
    if (pipe2(status, O_CLOEXEC) < 0) {
        (void)fprintf(stderr, "kvshim: pipe: %s\n", err_text(-errno));
        return 1;
    }
    pid_t pid = fork();
    if (pid < 0) {
        (void)fprintf(stderr, "kvshim: fork: %s\n", err_text(-errno));
        return 1;
    }
    if (pid == 0) {
        (void)close(status[0]); /* the caller's end */
        _exit(shim_process_main(&shim, status[1]));
    }
    (void)close(status[1]); /* the shim's end */
    return follow_start(status[0]);
}
