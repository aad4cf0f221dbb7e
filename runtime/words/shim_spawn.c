#include "runtime/words/shim_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/words.h"

enum { ARGUMENTS_MAX = 40, OUTPUT_SIZE_MAX = 65536 };

struct arguments {
    char *items[ARGUMENTS_MAX];
    size_t count;
};

static void add(struct arguments *arguments, const char *option, const char *value)
{
    arguments->items[arguments->count++] = mem_strdup(option);
    if (value != NULL) {
        arguments->items[arguments->count++] = mem_strdup(value);
    }
}

static void arguments_free(struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++) {
        mem_free(arguments->items[i]);
    }
}

static void add_log(const struct container *container, struct arguments *arguments)
{
    const json_t *log = json_object_get(container_host(container), "LogConfig");
    const json_t *config = json_object_get(log, "Config");
    int64_t size = 0;
    if (strcmp(json_get_text(log, "Type", "file"), "none") == 0) {
        return;
    }
    CLEANUP(free) char *path = mem_printf("%s/container.log", container->directory);
    add(arguments, "--log", path);
    if (parse_size(json_get_text(config, "max-size", "10m"), &size, NULL) == 0) {
        CLEANUP(free) char *text = mem_printf("%lld", (long long)size);
        add(arguments, "--log-max-size", text);
    }
    add(arguments, "--log-max-files", json_get_text(config, "max-file", "3"));
}

static int fill(const struct container *container, const struct lifecycle_options *options,
                struct arguments *arguments, struct err *err)
{
    char run[PATH_MAX];
    char socket_path[PATH_MAX];
    const json_t *config = container_config(container);
    int status;
    if ((status = container_run_directory(run, err)) != 0 ||
        (status = container_socket_path(container, socket_path, err)) != 0) {
        return status;
    }
    CLEANUP(free) char *root = mem_printf("%s/kvrun", run);
    CLEANUP(free) char *exit_file = mem_printf("%s/exit.json", container->directory);
    add(arguments, "kvshim", NULL);
    add(arguments, "--id", container->id);
    add(arguments, "--bundle", container->directory);
    add(arguments, "--socket", socket_path);
    add(arguments, "--exit-file", exit_file);
    add(arguments, "--root", root);
    add_log(container, arguments);
    if (json_get_flag(config, "OpenStdin")) {
        add(arguments, "--stdin", NULL);
        if (json_get_flag(config, "StdinOnce") && !options->keeps_input_open) {
            add(arguments, "--stdin-once", NULL);
        }
    }
    if (options->width > 0 && options->height > 0) {
        CLEANUP(free) char *size = mem_printf("%ux%u", options->width, options->height);
        add(arguments, "--console-size", size);
    }
    return 0;
}

static void read_all(int fd, struct buf *out)
{
    while (buf_size(out) < OUTPUT_SIZE_MAX) {
        ssize_t count = read(fd, buf_reserve(out, 4096), 4096);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return;
        }
        buf_commit(out, (size_t)count);
    }
}

/* Run a program; its output and its errors are short. Returns its exit code or -errno. */
static int run_program(const char *program, char *const *arguments, struct buf *output,
                       struct buf *errors)
{
    char path[PATH_MAX];
    int out_pipe[2];
    int err_pipe[2];
    find_sibling(program, path);
    if (pipe2(out_pipe, O_CLOEXEC) != 0) {
        return -errno;
    }
    if (pipe2(err_pipe, O_CLOEXEC) != 0) {
        int saved = errno;
        (void)close(out_pipe[0]);
        (void)close(out_pipe[1]);
        return -saved;
    }
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDONLY);
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(out_pipe[1], STDOUT_FILENO);
        (void)dup2(err_pipe[1], STDERR_FILENO);
        (void)execvp(path, arguments);
        dprintf(STDERR_FILENO, "start '%s': %s\n", path, strerror(errno));
        _exit(EXIT_NOT_FOUND);
    }
    int saved = errno;
    (void)close(out_pipe[1]);
    (void)close(err_pipe[1]);
    if (child > 0) {
        read_all(out_pipe[0], output);
        read_all(err_pipe[0], errors);
    }
    (void)close(out_pipe[0]);
    (void)close(err_pipe[0]);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child < 0 ? -saved : WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int fail(struct buf *errors, struct err *err)
{
    const char *text = buf_text(errors);
    size_t size = strcspn(text, "\n");
    return err_set(err, ERR_IO, "%.*s",
                   (int)(size == 0    ? 34
                         : size > 450 ? 450
                                      : size),
                   size == 0 ? "the container could not be created" : text);
}

int shim_spawn(const struct container *container, const struct lifecycle_options *options,
               pid_t *ret_pid, pid_t *ret_shim_pid, struct err *err)
{
    struct arguments arguments = {.count = 0};
    CLEANUP(buf) struct buf output = BUF_INIT;
    CLEANUP(buf) struct buf errors = BUF_INIT;
    CLEANUP(json) json_t *reply = NULL;
    int status = fill(container, options, &arguments, err);
    if (status == 0) {
        int code = run_program("kvshim", arguments.items, &output, &errors);
        status = code == 0  ? json_parse(buf_bytes(&output), "kvshim's answer", &reply, err)
                 : code < 0 ? err_set_errno(err, -code, "start kvshim")
                            : fail(&errors, err);
    }
    arguments_free(&arguments);
    if (status == 0) {
        *ret_pid = (pid_t)json_get_integer(reply, "pid", 0);
        *ret_shim_pid = (pid_t)json_get_integer(reply, "shimPid", 0);
        if (*ret_pid <= 0) {
            status = err_set(err, ERR_PROTOCOL, "kvshim did not tell the container's pid");
        }
    }
    return status;
}

void shim_force_delete(const struct container *container)
{
    char run[PATH_MAX];
    char state[PATH_MAX + 80];
    char socket_path[PATH_MAX];
    if (container_run_directory(run, NULL) != 0) {
        return;
    }
    if (container_socket_path(container, socket_path, NULL) == 0) {
        (void)unlink(socket_path); /* of a shim that was killed */
    }
    (void)snprintf(state, sizeof(state), "%s/kvrun/%s", run, container->id);
    if (access(state, F_OK) != 0) {
        return;
    }
    CLEANUP(free) char *root = mem_printf("%s/kvrun", run);
    struct arguments arguments = {.count = 0};
    CLEANUP(buf) struct buf output = BUF_INIT;
    CLEANUP(buf) struct buf errors = BUF_INIT;
    add(&arguments, "kvrun", NULL);
    add(&arguments, "--root", root);
    add(&arguments, "delete", NULL);
    add(&arguments, "--force", NULL);
    add(&arguments, container->id, NULL);
    (void)run_program("kvrun", arguments.items, &output, &errors); /* gone already is fine */
    arguments_free(&arguments);
}
