#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/session.h"
#include "runtime/words/spec.h"
#include "runtime/words/words.h"

struct exec_options {
    bool is_detached, is_interactive, is_tty, is_privileged;
    const char *user, *workdir, *detach_keys;
    struct text_list env, env_file;
};

/* The running container's own files, so that a user added meanwhile is known: /proc/PID/root is
 * opened as the host sees it, and everything below is resolved inside it. */
static int look_up_user(const struct container *container, const char *text, struct user *ret,
                        struct err *err)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/root", (int)container_pid(container));
    CLEANUP(close_fd) int root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        return err_set(err, ERR_INVALID, "container %.12s does not run", container->id);
    }
    return user_lookup(text, root_fd, NULL, 0, ret, err);
}

static int make_process(const struct container *container, const struct exec_options *options,
                        const struct text_list *operands, struct buf *out, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *spec = NULL;
    CLEANUP(free) struct user *user = mem_zalloc(sizeof(*user));
    enum { SPEC_SIZE_MAX = 8 << 20 };
    int status = in_root_read_file(container->directory_fd, "config.json", SPEC_SIZE_MAX, &text);
    if (status != 0) {
        return err_set(err, status, "read the container's configuration: %s", err_text(status));
    }
    status = json_parse(buf_bytes(&text), "config.json", &spec, err);
    if (status == 0 && options->user != NULL) {
        status = look_up_user(container, options->user, user, err);
    }
    if (status != 0) {
        return status;
    }
    const struct spec_exec exec = {
        .arguments = operands->items + 1,
        .argument_count = operands->count - 1,
        .env = options->env.items,
        .env_count = options->env.count,
        .workdir = options->workdir,
        .user = options->user == NULL ? NULL : user,
        .is_tty = options->is_tty,
        .is_privileged = options->is_privileged,
    };
    CLEANUP(json) json_t *process = spec_make_exec(spec, &exec);
    json_write(process, false, out);
    return 0;
}

static int run_exec(const struct container *container, const struct exec_options *options,
                    const char *process, int *ret_code, struct err *err)
{
    struct session session = {
        .has_input = options->is_interactive,
        .is_tty = options->is_tty,
        .forwards_signals = true,
        .detach_keys = options->detach_keys,
    };
    int status = session_open(&session, container, err);
    if (status != 0) {
        return status;
    }
    status = session_exec(&session, process, !options->is_detached, err);
    if (status == 0 && !options->is_detached) {
        status = session_run(&session, ret_code, err);
    }
    session_close(&session);
    return status;
}

static int exec(const struct exec_options *options, const struct text_list *operands, int *ret_code,
                struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    CLEANUP(buf) struct buf process = BUF_INIT;
    int status;
    if ((status = store_open(&store, NULL, err)) != 0 ||
        (status = container_find(&store, operands->items[0], &container, err)) != 0) {
        return status;
    }
    enum container_status now = container_refresh(&container);
    if (now != CONTAINER_RUNNING) {
        return err_set(err, ERR_INVALID, "container %s is %s; exec needs a running one",
                       operands->items[0], container_status_text(now));
    }
    status = make_process(&container, options, operands, &process, err);
    return status != 0 ? status : run_exec(&container, options, buf_text(&process), ret_code, err);
}

int word_exec(int argc, char **argv)
{
    static const struct command command = {
        .usage = "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
        .summary = "Run another command in a running container.",
        .examples = "  kvctl exec -it web sh\n  kvctl exec -u 1000 -w /data web ls\n",
        .operands_min = 2,
        .operands_max = 100000,
        .stops_at_operand = true,
    };
    struct err err = {.code = 0};
    struct exec_options options = {.user = NULL};
    const struct option_spec specs[] = {
        {'d', "detach", OPTION_FLAG, &options.is_detached, NULL, "Do not wait for it"},
        {'i', "interactive", OPTION_FLAG, &options.is_interactive, NULL, "Keep its input open"},
        {'t', "tty", OPTION_FLAG, &options.is_tty, NULL, "Give it a terminal"},
        {'e', "env", OPTION_LIST, &options.env, "NAME=VALUE", "Set an environment variable"},
        {'u', "user", OPTION_TEXT, &options.user, "USER[:GROUP]", "User name or number"},
        {'w', "workdir", OPTION_TEXT, &options.workdir, "DIR", "Working directory"},
        {0, "privileged", OPTION_FLAG, &options.is_privileged, NULL, "All capabilities"},
        {0, "detach-keys", OPTION_TEXT, &options.detach_keys, "KEYS", "ctrl-p,ctrl-q"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = exec(&options, &operands, &code, &err);
    }
    text_list_deinit(&options.env);
    if (status != 0) {
        int failed = lifecycle_exit_code(&err);
        return word_fail(&err, failed == EXIT_RUN_FAILED ? EXIT_FAILED : failed);
    }
    return code == SESSION_DETACHED ? 0 : code;
}
