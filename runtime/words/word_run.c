/* word_run.c - run, create, start, attach. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/event_log.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/run_options.h"
#include "runtime/words/session.h"
#include "runtime/words/words.h"

/* `kvimage pull`, with its progress on standard error so that -d prints only the id. */
static int pull(const char *image, const struct run_options *options, struct err *err)
{
    char path[PATH_MAX];
    find_sibling("kvimage", path);
    pid_t child = fork();
    if (child == 0) {
        const char *arguments[8] = {"kvimage", "pull"};
        size_t count = 2;
        if (options->is_quiet) {
            arguments[count++] = "--quiet";
        }
        if (options->platform != NULL) {
            arguments[count++] = "--platform";
            arguments[count++] = options->platform;
        }
        arguments[count++] = image;
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        (void)execvp(path, (char *const *)(uintptr_t)arguments);
        _exit(EXIT_NOT_FOUND);
    }
    int code = 0;
    while (child > 0 && waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    if (child < 0 || !WIFEXITED(code) || WEXITSTATUS(code) != 0) {
        return err_set(err, ERR_NOT_FOUND, "image %s could not be pulled", image);
    }
    return 0;
}

static int find_image(const struct store *store, const char *name,
                      const struct run_options *options, struct image *ret, struct err *err)
{
    const char *when = options->pull == NULL ? "missing" : options->pull;
    if (strcmp(when, "missing") != 0 && strcmp(when, "always") != 0 && strcmp(when, "never") != 0) {
        return err_set(err, ERR_INVALID, "--pull: '%.60s' is not one of always, missing, never",
                       when);
    }
    int status = strcmp(when, "always") == 0 ? ERR_NOT_FOUND : image_find(store, name, ret, err);
    if (status == 0 && !image_is_whole(store, ret)) {
        image_deinit(ret);
        status =
            err_set(err, ERR_NOT_FOUND,
                    "image %s was damaged when the machine stopped; load or pull it again", name);
    }
    if (status == ERR_NOT_FOUND && strcmp(when, "never") != 0) {
        struct err first = *err;
        struct reference ignored;
        if (reference_parse(name, &ignored, err) != 0) {
            return ERR_INVALID;
        }
        if (strcmp(when, "missing") == 0) {
            fprintf(stderr, "Unable to find image '%s' locally\n", name);
        }
        status = pull(name, options, err);
        if (status == 0) {
            status = image_find(store, name, ret, err);
        } else if (strstr(first.text, "did you mean") != NULL) {
            (void)err_set(err, ERR_NOT_FOUND, "%s", first.text);
        }
    }
    if (status == 0) {
        status = image_read_config(store, ret, err);
    }
    return status;
}

static void set_image(struct container *container, const struct image *image, const char *name)
{
    json_t *layers = json_array();
    char now[40];
    for (uint32_t i = 0; i < image->layer_count; i++) {
        json_array_append_new(layers, json_text(image->layers[i]));
    }
    format_now(now);
    json_object_set_new(container->document, "layers", layers);
    json_object_set_new(container->document, "Image", json_text(image->id));
    json_object_set_new(container->document, "ImageName", json_text(name));
    json_object_set_new(container->document, "Created", json_text(now));
}

/* Without --hostname the first twelve digits of the id, as in Docker. */
static void set_hostname(struct container *container, const struct run_options *options,
                         json_t *config)
{
    char name[256];
    if (options->hostname != NULL) {
        (void)snprintf(name, sizeof(name), "%s", options->hostname);
    } else if (options->network != NULL && strcmp(options->network, "host") == 0) {
        (void)gethostname(name, sizeof(name));
    } else {
        (void)snprintf(name, sizeof(name), "%.12s", container->id);
    }
    json_object_set_new(config, "Hostname", json_text(name));
}

static int write_cidfile(const char *path, const char *id, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, id, strlen(id)) != (ssize_t)strlen(id)) {
        return err_set_errno(err, errno, "write the id to '%s'", path);
    }
    return 0;
}

/* Make the container's directory with everything that describes it. */
static int make_container(const struct store *store, const struct run_options *options,
                          const struct text_list *operands, struct container *container,
                          struct err *err)
{
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(json) json_t *config = NULL;
    CLEANUP(json) json_t *host = NULL;
    CLEANUP(close_fd) int lock = -1;
    int status = run_host_config(options, &host, err);
    if (status != 0 || (status = store_lock(store, STORE_LOCK_SHARED, &lock, err)) != 0 ||
        (status = find_image(store, operands->items[0], options, &image, err)) != 0 ||
        (status = run_config_merge(options, json_object_get(image.config, "config"),
                                   operands->items + 1, operands->count - 1, &config, err)) != 0 ||
        (status = container_new(store, options->name, container, err)) != 0) {
        return status;
    }
    set_image(container, &image, operands->items[0]);
    set_hostname(container, options, config);
    json_object_set(container->document, "Config", config);
    json_object_set(container->document, "HostConfig", host);
    status = container_write_document(container, !options->is_removed, err);
    if (status == 0) {
        status = container_write_state(container, err);
    }
    if (status == 0) {
        event_log(store, container, "create", NULL, NULL);
    }
    if (status == 0 && options->cidfile != NULL) {
        status = write_cidfile(options->cidfile, container->id, err);
    }
    if (status != 0) {
        int ignored = container_remove_files(store, container, NULL);
        (void)ignored;
        container_close(container);
    }
    return status;
}

struct start {
    const struct store *store;
    struct container *container;
    bool is_detached;
    const char *detach_keys;
    int lock; /* the container's, while it is being started; -1 */
};

static void unlock(struct start *start)
{
    cleanup_close_fd(&start->lock);
    start->lock = -1;
}

/* Attach before the start, so that nothing of the output is missed. */
static int run_attached(struct start *start, int *ret_code, struct err *err)
{
    const json_t *config = container_config(start->container);
    struct session session = {
        .has_input = json_get_flag(config, "OpenStdin"),
        .is_tty = json_get_flag(config, "Tty"),
        .forwards_signals = true,
        .detach_keys = start->detach_keys,
    };
    int status = session_open(&session, start->container, err);
    if (status != 0) {
        return status;
    }
    status = session_attach(&session, err);
    if (status == 0) {
        status = lifecycle_start(start->store, start->container, err);
    }
    unlock(start);
    if (status == 0) {
        status = session_run(&session, ret_code, err);
    }
    session_close(&session);
    return status;
}

/* 0: locked and up to date; ERR_NOT_FOUND: somebody else has removed it. */
static int lock_again(struct start *start, struct err *err)
{
    if (start->lock >= 0) {
        return 0;
    }
    int status = container_lock(start->container, &start->lock, err);
    return status != 0 ? status : container_read_state(start->container, err);
}

static void clean_failed(struct start *start, const struct err *why)
{
    struct err ignored;
    struct container *container = start->container;
    if (lock_again(start, &ignored) != 0) {
        return;
    }
    json_object_set_new(container->state, "Error", json_text(why->text));
    json_object_set_new(container->state, "ExitCode", json_integer(lifecycle_exit_code(why)));
    int status = json_get_flag(container_host(container), "AutoRemove")
                     ? lifecycle_remove(start->store, container, true, &ignored)
                     : lifecycle_finish(start->store, container, &ignored);
    (void)status; /* the first error is the one to tell */
}

/* After an attached run: clean up, unless a monitor does or somebody else has. */
static int finish_attached(struct start *start, pid_t pid, struct err *err)
{
    int status = lock_again(start, err);
    if (status == ERR_NOT_FOUND) {
        return 0;
    }
    if (status == 0 && container_pid(start->container) == pid) {
        status = lifecycle_finish(start->store, start->container, err);
    }
    bool is_over = container_pid(start->container) == 0; /* else it was started again */
    if (status == 0 && is_over && json_get_flag(container_host(start->container), "AutoRemove")) {
        status = lifecycle_remove(start->store, start->container, true, err);
    }
    return status;
}

/* With the lock held: up to the parked process, or to the running one of a detached container. */
static int create_process(const struct start *start, bool is_monitored, struct err *err)
{
    struct lifecycle_options options = {.keeps_input_open = start->is_detached};
    if (!session_terminal_size(&options.width, &options.height)) {
        options.width = 0;
    }
    int status = lifecycle_create(start->store, start->container, &options, err);
    if (status == 0 && is_monitored) {
        status = lifecycle_spawn_monitor(start->store, start->container, err);
    }
    if (status == 0 && start->is_detached) {
        status = lifecycle_start(start->store, start->container, err);
    }
    return status;
}

static int start_locked(struct start *start, int *ret_code, struct err *err)
{
    struct container *container = start->container;
    bool is_monitored = lifecycle_needs_monitor(container, start->is_detached);
    int status = create_process(start, is_monitored, err);
    const pid_t pid = container_pid(container);
    if (status == 0 && !start->is_detached) {
        status = run_attached(start, ret_code, err);
    }
    if (status != 0) {
        clean_failed(start, err);
        return status;
    }
    if (start->is_detached) {
        return 0;
    }
    if (*ret_code == SESSION_DETACHED) {
        *ret_code = 0;
        /* From here on nobody waits; --rm needs somebody. */
        return !is_monitored && lifecycle_needs_monitor(container, true)
                   ? lifecycle_spawn_monitor(start->store, container, err)
                   : 0;
    }
    return is_monitored ? 0 : finish_attached(start, pid, err);
}

/* Starting what runs is no error: nothing is done. */
static int start_container(struct start *start, int *ret_code, struct err *err)
{
    struct container *container = start->container;
    start->lock = -1;
    int status = lock_again(start, err);
    if (status != 0) {
        return status;
    }
    bool is_unfinished = container_pid(container) != 0; /* if it has ended, nobody has noted it */
    enum container_status now = container_refresh(container);
    if (now == CONTAINER_DEAD || now == CONTAINER_PAUSED) {
        status = err_set(err, ERR_INVALID, "container %s is %s and cannot be started",
                         container_name(container), container_status_text(now));
    } else if (now == CONTAINER_EXITED && is_unfinished) {
        status = lifecycle_finish(start->store, container, err);
    }
    if (status == 0 && now != CONTAINER_RUNNING && now != CONTAINER_RESTARTING) {
        status = start_locked(start, ret_code, err);
    }
    unlock(start);
    return status;
}

static int check_terminal(const struct run_options *options, struct err *err)
{
    if (options->is_tty && options->is_interactive && !options->is_detached &&
        !isatty(STDIN_FILENO)) {
        return err_set(err, ERR_INVALID, "-t needs a terminal on standard input; leave -t out");
    }
    return 0;
}

int word_run(int argc, char **argv)
{
    static const struct command command = {
        .usage = "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        .summary = "Make a container of an image and run a command in it.",
        .examples = "  kvctl run -it --rm busybox\n"
                    "  kvctl run -d --name web -p 8080:80 -v data:/data httpd:2\n"
                    "  kvctl run --rm --memory 64m --cpus 0.5 --network none busybox true\n",
        .operands_min = 1,
        .operands_max = 100000,
        .stops_at_operand = true,
    };
    struct err err = {.code = 0};
    CLEANUP(run_options) struct run_options options = {.name = NULL};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    int code = 0;
    int status = run_options_parse(&command, argc, argv, &options, &operands, &err);
    if (status != 0 || (status = check_terminal(&options, &err)) != 0 ||
        (status = store_open(&store, NULL, &err)) != 0 ||
        (status = make_container(&store, &options, &operands, &container, &err)) != 0) {
        return word_fail(&err, EXIT_RUN_FAILED);
    }
    struct start start = {
        .store = &store,
        .container = &container,
        .is_detached = options.is_detached,
        .detach_keys = options.detach_keys,
    };
    status = start_container(&start, &code, &err);
    if (status != 0) {
        return word_fail(&err, lifecycle_exit_code(&err));
    }
    if (options.is_detached) {
        printf("%s\n", container.id);
    }
    return code;
}

int word_create(int argc, char **argv)
{
    static const struct command command = {
        .usage = "create [OPTIONS] IMAGE [COMMAND] [ARG...]",
        .summary = "Make a container without starting it; options as run.",
        .operands_min = 1,
        .operands_max = 100000,
        .stops_at_operand = true,
    };
    struct err err = {.code = 0};
    CLEANUP(run_options) struct run_options options = {.name = NULL};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    int status = run_options_parse(&command, argc, argv, &options, &operands, &err);
    if (status == 0 && (status = store_open(&store, NULL, &err)) == 0) {
        status = make_container(&store, &options, &operands, &container, &err);
    }
    if (status != 0) {
        return word_fail(&err, EXIT_RUN_FAILED);
    }
    printf("%s\n", container.id);
    return 0;
}

static int start_one(const struct store *store, const char *name, bool is_attached, int *ret_code,
                     struct err *err)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    int status = container_find(store, name, &container, err);
    if (status != 0) {
        return status;
    }
    struct start start = {
        .store = store,
        .container = &container,
        .is_detached = !is_attached,
    };
    return start_container(&start, ret_code, err);
}

int word_start(int argc, char **argv)
{
    static const struct command command = {
        .usage = "start [OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Start containers that have ended or never ran.",
        .examples = "  kvctl start web\n  kvctl start -ai shell\n",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    bool is_attached = false;
    bool is_interactive = false;
    const struct option_spec specs[] = {
        {'a', "attach", OPTION_FLAG, &is_attached, NULL, "Attach to its output"},
        {'i', "interactive", OPTION_FLAG, &is_interactive, NULL, "Attach its input, too"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = store_open(&store, NULL, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    is_attached = is_attached || is_interactive;
    if (is_attached && operands.count > 1) {
        (void)err_set(&err, ERR_INVALID, "only one container can be attached at a time");
        return word_fail(&err, EXIT_FAILED);
    }
    for (size_t i = 0; i < operands.count; i++) {
        status = start_one(&store, operands.items[i], is_attached, &code, &err);
        if (status != 0) {
            code = word_fail(&err, is_attached ? lifecycle_exit_code(&err) : EXIT_FAILED);
        } else if (!is_attached) {
            printf("%s\n", operands.items[i]);
        }
    }
    return code;
}

int word_attach(int argc, char **argv)
{
    static const struct command command = {
        .usage = "attach [OPTIONS] CONTAINER",
        .summary = "Attach to the input and output of a running container (leave: ctrl-p ctrl-q).",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    bool has_no_input = false;
    const char *detach_keys = NULL;
    const struct option_spec specs[] = {
        {0, "no-stdin", OPTION_FLAG, &has_no_input, NULL, "Output only"},
        {0, "detach-keys", OPTION_TEXT, &detach_keys, "KEYS", "ctrl-p,ctrl-q"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = store_open(&store, NULL, &err)) != 0 ||
        (status = container_find(&store, operands.items[0], &container, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    const json_t *config = container_config(&container);
    struct session session = {
        .has_input = json_get_flag(config, "OpenStdin") && !has_no_input,
        .is_tty = json_get_flag(config, "Tty"),
        .forwards_signals = true,
        .detach_keys = detach_keys,
    };
    if (container_refresh(&container) != CONTAINER_RUNNING) {
        status = err_set(&err, ERR_INVALID, "container %s does not run", operands.items[0]);
    } else if ((status = session_open(&session, &container, &err)) == 0) {
        status = session_attach(&session, &err);
        if (status == 0) {
            status = session_run(&session, &code, &err);
        }
        session_close(&session);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : code == SESSION_DETACHED ? 0 : code;
}
