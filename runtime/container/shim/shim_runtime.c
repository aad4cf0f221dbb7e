/* shim_runtime.c - kvrun as a child: create, exec and the short commands. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/file.h"
#include "runtime/container/kernel.h"
#include "runtime/container/shim/shim_state.h"
#include "runtime/container/sync.h"

enum { WORDS_MAX = 64, SAID_SIZE = 400 };

struct call {
    char *words[WORDS_MAX];
    size_t count;
};

static void add(struct call *call, const char *word)
{
    CHECK(call->count < WORDS_MAX - 1);
    call->words[call->count++] = (char *)(uintptr_t)word;
    call->words[call->count] = NULL;
}

static void begin(struct shim *shim, struct call *call, const char *command)
{
    *call = (struct call){.count = 0};
    add(call, shim->options.runtime);
    if (shim->options.root != NULL) {
        add(call, "--root");
        add(call, shim->options.root);
    }
    for (size_t i = 0; i < shim->options.runtime_args.count && i < 16; i++) {
        add(call, shim->options.runtime_args.items[i]);
    }
    add(call, command);
}

/* streams: for standard input, output, error. kept: one more descriptor that survives, -1: none. */
static int run(struct call *call, const int streams[3], int kept, struct err *err)
{
    int pid = kernel_clone(0, -1, NULL, SIGCHLD);
    if (pid < 0) {
        return err_set_errno(err, -pid, "fork");
    }
    if (pid == 0) {
        sigset_t none;
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL); /* the shim blocks SIGCHLD */
        (void)signal(SIGPIPE, SIG_DFL);
        (void)signal(SIGHUP, SIG_DFL);
        for (int i = 0; i < 3; i++) {
            if (dup2(streams[i], i) < 0) {
                _exit(126);
            }
        }
        if (kept >= 0) {
            (void)fcntl(kept, F_SETFD, 0); /* the descriptor is open: it cannot fail */
        }
        execvp(call->words[0], call->words);
        dprintf(2, "run '%s': %s\n", call->words[0], strerrordesc_np(errno));
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return err_set_errno(err, errno, "wait for %s", call->words[0]);
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    return err_set(err, -EIO, "kvrun %s failed (status %d)", call->words[1],
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* kvrun's one clear line instead of its exit status. */
static void take_words(int errors, struct err *err)
{
    char text[SAID_SIZE];
    int flags = fcntl(errors, F_GETFL);
    (void)fcntl(errors, F_SETFL, flags | O_NONBLOCK);
    ssize_t size = read(errors, text, sizeof text - 1);
    if (size <= 0) {
        return;
    }
    text[size] = 0;
    while (size > 0 && text[size - 1] == '\n') {
        text[--size] = 0;
    }
    char *line = strrchr(text, '\n');
    line = line == NULL ? text : line + 1;
    const char *prefix = "kvrun: ";
    line += strncmp(line, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
    err_set(err, err->code, "%s", line);
}

int shim_runtime_call(struct shim *shim, const char *const words[], const char *input,
                      struct err *err)
{
    struct call call;
    int errors[2];
    begin(shim, &call, words[0]);
    for (size_t i = 1; words[i] != NULL; i++) {
        add(&call, words[i]);
    }
    CLEANUP(close_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    CLEANUP(close_fd) int text = -1;
    if (null < 0 || pipe2(errors, O_CLOEXEC) < 0) {
        return err_set_errno(err, errno, "open /dev/null and a pipe");
    }
    CLEANUP(close_fd) int errors_read = errors[0];
    CLEANUP(close_fd) int errors_write = errors[1];
    if (input != NULL) {
        text = memfd_create("input", MFD_CLOEXEC);
        if (text < 0 || file_write_all(text, input, strlen(input)) < 0 ||
            lseek(text, 0, SEEK_SET) < 0) {
            return err_set_errno(err, errno, "hand over the input");
        }
    }
    const int streams[3] = {text >= 0 ? text : null, null, errors_write};
    int rc = run(&call, streams, -1, err);
    if (rc < 0) {
        take_words(errors_read, err);
    }
    return rc;
}

int shim_runtime_start(struct shim *shim, struct err *err)
{
    const char *const words[] = {"start", shim->options.id, NULL};
    shim->main.started_at_ns = shim_now_ns();
    int rc = shim_runtime_call(shim, words, NULL, err);
    shim->is_started = shim->is_started || rc == 0;
    return rc;
}

/* Both ends of the three streams of a new process. */
struct ends {
    int ours[3];
    int theirs[3];
    int console; /* listening; -1: no terminal */
    char console_path[108];
};

static void close_ends(struct ends *ends)
{
    for (int i = 0; i < 3; i++) {
        if (ends->ours[i] >= 0) {
            (void)close(ends->ours[i]); /* of a process that does not exist */
        }
        if (ends->theirs[i] >= 0) {
            (void)close(ends->theirs[i]); /* the process has its own */
        }
    }
    if (ends->console >= 0) {
        (void)close(ends->console);
        (void)unlink(ends->console_path); /* made by us */
    }
}

static int open_console(struct shim *shim, struct ends *ends, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof address.sun_path, "%s.tty", shim->options.socket);
    if (length < 0 || (size_t)length >= sizeof address.sun_path) {
        return err_set(err, -ENAMETOOLONG, "--socket: too long for a terminal's socket beside it");
    }
    memcpy(ends->console_path, address.sun_path, sizeof ends->console_path);
    (void)unlink(address.sun_path); /* of an earlier shim */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0) {
        int rc = err_set_errno(err, errno, "make the terminal's socket '%s'", address.sun_path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    ends->console = fd;
    return 0;
}

static int open_ends(struct shim *shim, bool has_terminal, bool has_input, struct ends *ends,
                     struct err *err)
{
    *ends = (struct ends){.ours = {-1, -1, -1}, .theirs = {-1, -1, -1}, .console = -1};
    for (int i = has_input && !has_terminal ? 0 : 1; i < 3; i++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) < 0) {
            return err_set_errno(err, errno, "pipe");
        }
        ends->ours[i] = pair[i == 0 ? 1 : 0];
        ends->theirs[i] = pair[i == 0 ? 0 : 1];
    }
    if (ends->theirs[0] < 0) {
        ends->theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (ends->theirs[0] < 0) {
            return err_set_errno(err, errno, "open /dev/null");
        }
    }
    return has_terminal ? open_console(shim, ends, err) : 0;
}

static int accept_master(const struct ends *ends, struct err *err)
{
    CLEANUP(close_fd) int fd = accept4(ends->console, NULL, NULL, SOCK_CLOEXEC);
    int master = fd < 0 ? -errno : sync_receive_fd(fd);
    return master < 0 ? err_set_errno(err, -master, "receive the terminal") : master;
}

/* The new process is there: its streams become part of the loop. */
static int serve(struct shim *shim, struct shim_process *process, struct ends *ends,
                 struct err *err)
{
    if (process->has_terminal) {
        int master = accept_master(ends, err);
        if (master < 0) {
            return master;
        }
        shim_process_serve(shim, process, -1, master, -1);
        return 0;
    }
    shim_process_serve(shim, process, ends->ours[0], ends->ours[1], ends->ours[2]);
    ends->ours[0] = ends->ours[1] = ends->ours[2] = -1;
    return 0;
}

static int read_pid(const char *path, pid_t *ret, struct err *err)
{
    char text[32];
    int rc = file_read_text(AT_FDCWD, path, text, sizeof text);
    long long pid = 0;
    if (rc < 0 || (pid = strtoll(text, NULL, 10)) <= 0) {
        return err_set(err, ERR_INVALID, "no pid in '%s'", path);
    }
    *ret = (pid_t)pid;
    return 0;
}

static int finish_spawn(struct shim *shim, struct shim_process *process, struct call *call,
                        struct ends *ends, const char *pid_file, int kept, struct err *err)
{
    int rc = run(call, ends->theirs, kept, err);
    if (rc < 0) {
        take_words(ends->ours[2], err);
        return rc;
    }
    if ((rc = read_pid(pid_file, &process->pid, err)) < 0) {
        return rc;
    }
    return serve(shim, process, ends, err);
}

int shim_runtime_create(struct shim *shim, struct err *err)
{
    const struct shim_options *options = &shim->options;
    struct ends ends;
    struct call call;
    const char *pid_file = options->pid_file != NULL
                               ? options->pid_file
                               : arena_printf(shim->arena, "%s.pid", options->socket);
    int rc = open_ends(shim, shim->main.has_terminal, options->has_input, &ends, err);
    if (rc == 0) {
        begin(shim, &call, "create");
        add(&call, "--bundle");
        add(&call, options->bundle);
        add(&call, "--pid-file");
        add(&call, pid_file);
        if (ends.console >= 0) {
            add(&call, "--console-socket");
            add(&call, ends.console_path);
        }
        if (options->no_pivot) {
            add(&call, "--no-pivot");
        }
        if (options->no_new_keyring) {
            add(&call, "--no-new-keyring");
        }
        if (options->preserve_fds != NULL) {
            add(&call, "--preserve-fds");
            add(&call, options->preserve_fds);
        }
        add(&call, options->id);
        rc = finish_spawn(shim, &shim->main, &call, &ends, pid_file, -1, err);
    }
    if (options->pid_file == NULL) {
        (void)unlink(pid_file); /* only for us */
    }
    close_ends(&ends);
    if (rc == 0 && options->console_width != 0) {
        err_ignore(shim_process_resize(&shim->main, options->console_width,
                                       options->console_height)); /* only a wish */
    }
    return rc;
}

static bool wants_terminal(const char *process_json)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    struct json_value *document = NULL;
    if (json_parse(&arena, bytes_from_text(process_json), &document, NULL) < 0) {
        return false; /* kvrun tells what is wrong with it */
    }
    const struct json_value *terminal = json_find(document, "terminal");
    return terminal != NULL && terminal->type == JSON_BOOL && terminal->boolean;
}

int shim_runtime_exec(struct shim *shim, struct shim_process *process,
                      const Coracle__Shim__ShimExecRequest *request, struct err *err)
{
    struct ends ends;
    struct call call;
    char file[64];
    CLEANUP(close_fd) int memory = memfd_create("process", MFD_CLOEXEC);
    if (memory < 0 ||
        file_write_all(memory, request->process_json, strlen(request->process_json)) < 0) {
        return err_set_errno(err, errno, "hand over the process");
    }
    (void)snprintf(file, sizeof file, "/proc/self/fd/%d", memory);
    const char *pid_file =
        arena_printf(shim->arena, "%s.%s.pid", shim->options.socket, process->id);
    process->has_terminal = wants_terminal(request->process_json);
    process->started_at_ns = shim_now_ns();
    int rc = open_ends(shim, process->has_terminal, request->input, &ends, err);
    if (rc == 0) {
        begin(shim, &call, "exec");
        add(&call, "--process");
        add(&call, file);
        add(&call, "--pid-file");
        add(&call, pid_file);
        add(&call, "--detach");
        if (ends.console >= 0) {
            add(&call, "--console-socket");
            add(&call, ends.console_path);
        }
        add(&call, shim->options.id);
        rc = finish_spawn(shim, process, &call, &ends, pid_file, memory, err);
    }
    (void)unlink(pid_file); /* only for us */
    close_ends(&ends);
    if (rc == 0 && request->console_width != 0) {
        err_ignore(shim_process_resize(process, request->console_width, request->console_height));
    }
    return rc;
}
