/* word_stop.c - stop, restart, kill, pause, unpause, wait, rm: one container after the
 * other. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/event_log.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/shim_client.h"
#include "runtime/words/words.h"

struct each {
    const struct store *store;
    const char *name;
    const char *signal;
    int timeout_s;
    bool is_forced;
    bool removes_volumes;
};

typedef int each_container(const struct each *each, struct container *container, struct err *err);

/* Do it for every operand, go on after failures, print what succeeded. */
static int for_operands(const struct text_list *operands, struct each *each, each_container *act)
{
    struct err err = {.code = 0};
    CLEANUP(store) struct store store = {.root = NULL};
    int code = 0;
    if (store_open(&store, NULL, &err) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    each->store = &store;
    for (size_t i = 0; i < operands->count; i++) {
        CLEANUP(container) struct container container = {.directory_fd = -1};
        each->name = operands->items[i];
        int status = container_find(&store, each->name, &container, &err);
        if (status == ERR_NOT_FOUND && each->is_forced) {
            continue; /* rm -f: gone is what was wanted */
        }
        if (status == 0) {
            status = act(each, &container, &err);
        }
        if (status != 0) {
            code = word_fail(&err, EXIT_FAILED);
        } else {
            printf("%s\n", each->name);
        }
    }
    each->store = NULL; /* it closes here */
    return code;
}

static int stop(const struct each *each, struct container *container, struct err *err)
{
    if (each->signal != NULL) {
        json_object_set_new(json_object_get(container->document, "Config"), "StopSignal",
                            json_text(each->signal));
    }
    return lifecycle_stop(each->store, container, each->timeout_s, err);
}

static int parse_timeout(const char *text, int *ret, struct err *err)
{
    char *end = NULL;
    long value = text == NULL ? -1 : strtol(text, &end, 10);
    if (text != NULL && (end == text || *end != '\0' || value < -1 || value > 86400)) {
        return err_set(err, ERR_INVALID, "'%.40s' is not a number of seconds", text);
    }
    *ret = (int)value;
    return 0;
}

int word_stop(int argc, char **argv)
{
    static const struct command command = {
        .usage = "stop [OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Ask containers to end, and kill those that do not in time.",
        .examples = "  kvctl stop web\n  kvctl stop -t 2 web db\n",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    struct each each = {.name = NULL};
    const char *timeout = NULL;
    const struct option_spec specs[] = {
        {'t', "time", OPTION_TEXT, &timeout, "SECONDS", "Then it is killed (10)"},
        {0, "timeout", OPTION_TEXT, &timeout, "SECONDS", "Same"},
        {'s', "signal", OPTION_TEXT, &each.signal, "SIGNAL", "Instead of the container's own"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = parse_timeout(timeout, &each.timeout_s, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : for_operands(&operands, &each, stop);
}

int word_restart(int argc, char **argv)
{
    static const struct command command = {
        .usage = "restart [OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Stop containers and start them again.",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    struct each each = {.name = NULL};
    const char *timeout = NULL;
    const struct option_spec specs[] = {
        {'t', "time", OPTION_TEXT, &timeout, "SECONDS", "Then it is killed (10)"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = parse_timeout(timeout, &each.timeout_s, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    for (size_t i = 0; i < operands.count; i++) {
        CLEANUP(store) struct store store = {.root = NULL};
        CLEANUP(container) struct container container = {.directory_fd = -1};
        if ((status = store_open(&store, NULL, &err)) == 0 &&
            (status = container_find(&store, operands.items[i], &container, &err)) == 0) {
            status = lifecycle_stop(&store, &container, each.timeout_s, &err);
        }
        char *start_argv[] = {argv[0], (char *)(uintptr_t)operands.items[i], NULL};
        int failed = status != 0 ? word_fail(&err, EXIT_FAILED) : word_start(2, start_argv);
        code = failed != 0 ? failed : code;
    }
    return code;
}

/* Lock, read again, and connect to the shim of a container with this status. */
static int open_shim(const struct each *each, struct container *container,
                     enum container_status wanted, bool or_paused, int *ret_lock,
                     struct shim_client *client, struct err *err)
{
    char path[PATH_MAX];
    CLEANUP(close_fd) int lock = -1;
    int status;
    if ((status = container_lock(container, &lock, err)) != 0 ||
        (status = container_read_state(container, err)) != 0) {
        return status;
    }
    enum container_status now = container_refresh(container);
    if (now != wanted && !(or_paused && now == CONTAINER_PAUSED)) {
        return err_set(err, ERR_INVALID, "container %s is %s, not %s", each->name,
                       container_status_text(now), container_status_text(wanted));
    }
    if ((status = container_socket_path(container, path, err)) != 0 ||
        (status = shim_client_open(client, path, err)) != 0) {
        return status;
    }
    *ret_lock = TAKE_FD(lock);
    return 0;
}

/* A signal that is meant to end it: nobody restarts it then. */
static bool is_ending(const struct container *container, int number)
{
    int stop = SIGTERM;
    int status = signal_parse(json_get_text(container_config(container), "StopSignal", "SIGTERM"),
                              &stop, NULL);
    return number == SIGKILL || (status == 0 && number == stop);
}

static int send(const struct each *each, struct container *container, struct err *err)
{
    struct shim_client client;
    CLEANUP(close_fd) int lock = -1;
    int number = 0;
    int status = signal_parse(each->signal, &number, err);
    if (status != 0 ||
        (status = open_shim(each, container, CONTAINER_RUNNING, true, &lock, &client, err)) != 0) {
        return status;
    }
    if (is_ending(container, number)) {
        json_object_set_new(container->state, "StopRequested", json_true());
        status = container_write_state(container, err);
    }
    if (status == 0) {
        status = shim_client_kill(&client, number, false, NULL, err);
    }
    if (status == 0) {
        event_log(each->store, container, "kill", "signal", each->signal);
    }
    shim_client_close(&client);
    return status;
}

int word_kill(int argc, char **argv)
{
    static const struct command command = {
        .usage = "kill [OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Send a signal (KILL) to the first process of containers.",
        .examples = "  kvctl kill web\n  kvctl kill -s HUP web\n",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    struct each each = {.signal = "KILL"};
    const struct option_spec specs[] = {
        {'s', "signal", OPTION_TEXT, &each.signal, "SIGNAL", "Name or number"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : for_operands(&operands, &each, send);
}

static int set_paused(const struct each *each, struct container *container, bool is_resume,
                      struct err *err)
{
    struct shim_client client;
    CLEANUP(close_fd) int lock = -1;
    int status = open_shim(each, container, is_resume ? CONTAINER_PAUSED : CONTAINER_RUNNING, false,
                           &lock, &client, err);
    if (status != 0) {
        return status;
    }
    status = shim_client_pause(&client, is_resume, err);
    shim_client_close(&client);
    if (status == 0) {
        json_object_set_new(container->state, "Status",
                            json_text(is_resume ? "running" : "paused"));
        status = container_write_state(container, err);
        event_log(each->store, container, is_resume ? "unpause" : "pause", NULL, NULL);
    }
    return status;
}

static int pause_one(const struct each *each, struct container *container, struct err *err)
{
    return set_paused(each, container, false, err);
}

static int unpause_one(const struct each *each, struct container *container, struct err *err)
{
    return set_paused(each, container, true, err);
}

static int plain_word(const struct command *command, int argc, char **argv, each_container *act)
{
    struct err err = {.code = 0};
    struct each each = {.name = NULL};
    const struct option_spec specs[] = {{0, NULL, OPTION_FLAG, NULL, NULL, NULL}};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(command, specs, argc, argv, &operands, &err);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : for_operands(&operands, &each, act);
}

int word_pause(int argc, char **argv)
{
    static const struct command command = {
        .usage = "pause CONTAINER [CONTAINER...]",
        .summary = "Freeze all processes of containers.",
        .operands_min = 1,
        .operands_max = 1000,
    };
    return plain_word(&command, argc, argv, pause_one);
}

int word_unpause(int argc, char **argv)
{
    static const struct command command = {
        .usage = "unpause CONTAINER [CONTAINER...]",
        .summary = "Let frozen containers go on.",
        .operands_min = 1,
        .operands_max = 1000,
    };
    return plain_word(&command, argc, argv, unpause_one);
}

int word_wait(int argc, char **argv)
{
    static const struct command command = {
        .usage = "wait CONTAINER [CONTAINER...]",
        .summary = "Wait for containers to end and print their exit codes.",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    const struct option_spec specs[] = {{0, NULL, OPTION_FLAG, NULL, NULL, NULL}};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = store_open(&store, NULL, &err);
    }
    for (size_t i = 0; status == 0 && i < operands.count; i++) {
        CLEANUP(container) struct container container = {.directory_fd = -1};
        int code = 0;
        status = container_find(&store, operands.items[i], &container, &err);
        if (status == 0) {
            status = lifecycle_wait(&container, -1, &code, &err);
        }
        if (status == 0) {
            printf("%d\n", code);
            (void)fflush(stdout);
        }
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

static int remove_one(const struct each *each, struct container *container, struct err *err)
{
    enum container_status now = container_refresh(container);
    bool is_alive =
        now == CONTAINER_RUNNING || now == CONTAINER_PAUSED || now == CONTAINER_RESTARTING;
    if (is_alive && !each->is_forced) {
        return err_set(err, ERR_BUSY, "container %s is %s; stop it first, or use rm -f", each->name,
                       container_status_text(now));
    }
    int status = is_alive ? lifecycle_stop(each->store, container, 0, err) : 0;
    CLEANUP(close_fd) int lock = -1;
    if (status == 0) {
        status = container_lock(container, &lock, err);
    }
    if (status == ERR_NOT_FOUND) {
        return 0; /* --rm was faster */
    }
    if (status == 0) {
        int ignored = container_read_state(container, err);
        (void)ignored; /* half made or damaged: it is to go all the same */
        status = lifecycle_remove(each->store, container, each->removes_volumes, err);
    }
    return status;
}

int word_rm(int argc, char **argv)
{
    static const struct command command = {
        .usage = "rm [OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Remove containers.",
        .examples = "  kvctl rm web\n  kvctl rm -f $(kvctl ps -aq)\n",
        .operands_min = 1,
        .operands_max = 10000,
    };
    struct err err = {.code = 0};
    struct each each = {.name = NULL};
    const struct option_spec specs[] = {
        {'f', "force", OPTION_FLAG, &each.is_forced, NULL, "Also running ones, and missing ones"},
        {'v', "volumes", OPTION_FLAG, &each.removes_volumes, NULL, "And their anonymous volumes"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : for_operands(&operands, &each, remove_one);
}
