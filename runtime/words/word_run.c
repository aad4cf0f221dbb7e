/* word_run.c - run, create, start, attach. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/make.h"
#include "runtime/words/run_options.h"
#include "runtime/words/session.h"
#include "runtime/words/start.h"
#include "runtime/words/words.h"

static int make(const struct store *store, const struct run_options *options,
                const struct text_list *operands, struct container *container, struct err *err)
{
    const struct make_input input = {
        .options = options,
        .image = operands->items[0],
        .command = operands->items + 1,
        .command_size = operands->count - 1,
    };
    return make_container(store, &input, container, err);
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
        (status = make(&store, &options, &operands, &container, &err)) != 0) {
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
        status = make(&store, &options, &operands, &container, &err);
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
