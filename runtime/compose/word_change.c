/* word_change.c - start, stop, restart, kill, pause, unpause, rm, wait. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/compose/compose_words.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/start.h"
#include "runtime/words/words.h"

/* What the words here share: their options, and how they begin. */
struct change {
    const struct command *command;
    bool is_reverse;
    act_on_container *act;
    const char *timeout, *signal;
    bool is_forced, stops, removes_volumes;
    int timeout_s;
};

static int begin(const struct compose_options *options, struct change *change, int argc,
                 char **argv, struct text_list *names, struct compose *compose, struct err *err)
{
    bool ignored = false;
    const struct option_spec specs[] = {
        {'t', "timeout", OPTION_TEXT, &change->timeout, "SECONDS", "Then a container is killed"},
        {'s', "signal", OPTION_TEXT, &change->signal, "SIGNAL", "Instead of SIGKILL (kill)"},
        {'f', "force", OPTION_FLAG, &change->is_forced, NULL, "Accepted; nothing is asked (rm)"},
        {0, "stop", OPTION_FLAG, &change->stops, NULL, "Those that run, too (rm)"},
        {'v', "volumes", OPTION_FLAG, &change->removes_volumes, NULL, "Anonymous volumes (rm)"},
        {0, "no-deps", OPTION_FLAG, &ignored, NULL, "Accepted"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    int status = options_parse(change->command, specs, argc, argv, names, err);
    change->timeout_s = -1;
    if (status == 0 && change->timeout != NULL) {
        char *end = NULL;
        change->timeout_s = (int)strtol(change->timeout, &end, 10);
        if (end == change->timeout || *end != '\0' || change->timeout_s < 0) {
            return err_set(err, ERR_INVALID, "--timeout: '%.40s' is not a number of seconds",
                           change->timeout);
        }
    }
    if (status == 0) {
        status = compose_open(compose, options, names, true, err);
    }
    return status != 0 ? status : compose_check_names(compose, names, err);
}

static int run(const struct compose_options *options, struct change *change, int argc, char **argv)
{
    struct err err = {.code = 0};
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int status = begin(options, change, argc, argv, &names, &compose, &err);
    if (status == 0) {
        status = compose_each(&compose, &names, change->is_reverse, change->act, change, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

static bool is_alive(const json_t *about)
{
    const char *status = json_get_text(about, "Status", "");
    return strcmp(status, "running") == 0 || strcmp(status, "restarting") == 0 ||
           strcmp(status, "paused") == 0;
}

static int stop_one(struct compose *compose, struct container *container, const json_t *about,
                    const void *context, struct err *err)
{
    const struct change *change = context;
    if (!is_alive(about)) {
        return 0;
    }
    int status = lifecycle_stop(&compose->store, container, change->timeout_s, err);
    if (status == 0) {
        compose_say(compose, "Container", container_name(container), "Stopped");
    }
    return status;
}

static int start_one(struct compose *compose, struct container *container, const json_t *about,
                     const void *context, struct err *err)
{
    int code = 0;
    int status = 0;
    (void)context;
    if (is_alive(about)) {
        return 0;
    }
    if (container_refresh(container) == CONTAINER_EXITED) {
        status = lifecycle_finish(&compose->store, container, err);
    }
    struct start start = {
        .store = &compose->store,
        .container = container,
        .is_detached = true,
        .lock = -1,
    };
    if (status == 0) {
        status = start_container(&start, &code, err);
    }
    if (status == 0) {
        compose_say(compose, "Container", container_name(container), "Started");
    }
    return status;
}

static int restart_one(struct compose *compose, struct container *container, const json_t *about,
                       const void *context, struct err *err)
{
    const struct change *change = context;
    int status =
        is_alive(about) ? lifecycle_stop(&compose->store, container, change->timeout_s, err) : 0;
    if (status == 0) {
        CLEANUP(json) json_t *now = snapshot_describe(container);
        status = start_one(compose, container, now, context, err);
    }
    return status;
}

/* One of the words about a single container, with its full id. */
static int call(int (*word)(int argc, char **argv), const char *const *arguments, size_t count,
                struct err *err)
{
    char *copy[8] = {NULL};
    for (size_t i = 0; i < count && i < 7; i++) {
        copy[i] = (char *)(uintptr_t)arguments[i];
    }
    /* It prints the id for the user of `kvctl kill`; here the name has been printed. */
    (void)fflush(stdout);
    if (freopen("/dev/null", "w", stdout) == NULL) {
        return err_set(err, ERR_IO, "open /dev/null");
    }
    return word((int)count, copy) == 0 ? 0 : err_set(err, ERR_IO, "%s failed", arguments[0]);
}

static int kill_one(struct compose *compose, struct container *container, const json_t *about,
                    const void *context, struct err *err)
{
    const struct change *change = context;
    const char *arguments[] = {"kill", "--signal",
                               change->signal == NULL ? "SIGKILL" : change->signal, container->id};
    if (!is_alive(about)) {
        return 0;
    }
    int status = call(word_kill, arguments, 4, err);
    if (status == 0) {
        compose_say(compose, "Container", container_name(container), "Killed");
    }
    return status;
}

static int pause_one(struct compose *compose, struct container *container, const json_t *about,
                     const void *context, struct err *err)
{
    const struct change *change = context;
    bool resumes = change->is_reverse;
    const char *arguments[] = {resumes ? "unpause" : "pause", container->id};
    if (strcmp(json_get_text(about, "Status", ""), resumes ? "paused" : "running") != 0) {
        return 0;
    }
    int status = call(resumes ? word_unpause : word_pause, arguments, 2, err);
    if (status == 0) {
        compose_say(compose, "Container", container_name(container),
                    resumes ? "Unpaused" : "Paused");
    }
    return status;
}

static int rm_one(struct compose *compose, struct container *container, const json_t *about,
                  const void *context, struct err *err)
{
    const struct change *change = context;
    const char *name = container_name(container);
    if (is_alive(about) && !change->stops) {
        return 0;
    }
    int status =
        remove_container(compose, container->id, change->timeout_s, change->removes_volumes, err);
    if (status == 0) {
        compose_say(compose, "Container", name, "Removed");
    }
    return status;
}

#define COMMAND(word, text)                                                                        \
    static const struct command command = {                                                        \
        .usage = "compose " word " [OPTIONS] [SERVICE...]", .summary = text, .operands_max = 1000}

int compose_word_stop(const struct compose_options *options, int argc, char **argv)
{
    COMMAND("stop", "Stop containers; they stay.");
    struct change change = {.command = &command, .is_reverse = true, .act = stop_one};
    return run(options, &change, argc, argv);
}

int compose_word_start(const struct compose_options *options, int argc, char **argv)
{
    COMMAND("start", "Start containers that are there.");
    struct change change = {.command = &command, .act = start_one};
    return run(options, &change, argc, argv);
}

int compose_word_restart(const struct compose_options *options, int argc, char **argv)
{
    COMMAND("restart", "Stop and start containers.");
    struct change change = {.command = &command, .act = restart_one};
    return run(options, &change, argc, argv);
}

int compose_word_kill(const struct compose_options *options, int argc, char **argv)
{
    COMMAND("kill", "Send a signal to containers.");
    struct change change = {.command = &command, .act = kill_one};
    return run(options, &change, argc, argv);
}

int compose_word_pause(const struct compose_options *options, int argc, char **argv)
{
    COMMAND("pause", "Halt containers.");
    struct change change = {.command = &command, .act = pause_one};
    return run(options, &change, argc, argv);
}

int compose_word_unpause(const struct compose_options *options, int argc, char **argv)
{
    COMMAND("unpause", "Let halted containers go on.");
    struct change change = {.command = &command, .is_reverse = true, .act = pause_one};
    return run(options, &change, argc, argv);
}

int compose_word_rm(const struct compose_options *options, int argc, char **argv)
{
    COMMAND("rm", "Remove containers that do not run.");
    struct change change = {.command = &command, .is_reverse = true, .act = rm_one};
    return run(options, &change, argc, argv);
}

int compose_word_wait(const struct compose_options *options, int argc, char **argv)
{
    COMMAND("wait", "Wait until services end; prints their exit codes.");
    struct change change = {.command = &command};
    struct err err = {.code = 0};
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int code = 0;
    int status = begin(options, &change, argc, argv, &names, &compose, &err);
    if (status == 0) {
        status = compose_refresh(&compose, &err);
    }
    for (size_t i = 0; status == 0 && i < json_array_size(compose.containers); i++) {
        const json_t *about = json_array_get(compose.containers, i);
        if (compose_is_chosen(&names, json_get_text(about, "Service", ""))) {
            const char *id = json_get_text(about, "Id", "");
            char *arguments[] = {(char *)(uintptr_t) "wait", (char *)(uintptr_t)id, NULL};
            code |= word_wait(2, arguments);
        }
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : code;
}
