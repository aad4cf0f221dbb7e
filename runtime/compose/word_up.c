/* word_up.c - up, create, down, scale. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose_words.h"
#include "runtime/compose/kubernetes.h"
#include "runtime/compose/yaml_text.h"
#include "runtime/image/json.h"
#include "runtime/words/words.h"

struct up_words {
    struct up_options up;
    bool is_detached, has_build, has_no_build, has_no_prefix, aborts, has_times, has_no_color;
    bool is_quiet_pull, on_cluster;
    const char *pull, *timeout, *wait_timeout, *exit_code_from, *attach, *namespace;
    struct text_list scale, ignored;
};

static int read_seconds(const char *option, const char *text, int64_t *ret, struct err *err)
{
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < 0 || value > 1000000) {
        return err_set(err, ERR_INVALID, "--%s: '%.40s' is not a number of seconds", option, text);
    }
    *ret = value;
    return 0;
}

static int settle(struct up_words *words, struct err *err)
{
    int64_t seconds = -1;
    int status = 0;
    words->up.scale = &words->scale;
    words->up.timeout_s = -1;
    words->up.wait_timeout_ms = -1;
    words->up.images.builds = words->has_build;
    words->up.images.never_builds = words->has_no_build;
    words->up.images.is_quiet = words->is_quiet_pull;
    if (words->timeout != NULL) {
        status = read_seconds("timeout", words->timeout, &seconds, err);
        words->up.timeout_s = (int)seconds;
    }
    if (status == 0 && words->wait_timeout != NULL) {
        status = read_seconds("wait-timeout", words->wait_timeout, &seconds, err);
        words->up.wait_timeout_ms = seconds * 1000;
    }
    if (status == 0 && words->pull != NULL) {
        static const char *const known[] = {"missing", "always", "never", "policy", "build"};
        size_t i = 0;
        while (i < 5 && strcmp(known[i], words->pull) != 0) {
            i++;
        }
        words->up.images.has_pulls = i < 3;
        words->up.images.pulls = i < 3 ? (enum images_when)i : IMAGES_MISSING;
        status = i < 5 ? 0
                       : err_set(err, ERR_INVALID,
                                 "--pull: '%.40s' is not one of always, missing, "
                                 "never",
                                 words->pull);
    }
    if (status == 0 && words->up.is_forced && words->up.keeps_old) {
        status = err_set(err, ERR_INVALID, "--force-recreate and --no-recreate exclude each other");
    }
    return status;
}

/* The exit code of a service's container. */
static int exit_code_of(struct compose *compose, const char *service)
{
    struct err ignored;
    const json_t *about =
        compose_refresh(compose, &ignored) == 0 ? compose_find(compose, service, 0) : NULL;
    return (int)json_get_integer(about, "ExitCode", 0);
}

/* In the foreground: show what they write until they end, or somebody wants them to. */
static int attend(struct compose *compose, const struct text_list *names,
                  const struct up_words *words, int *ret_code, struct err *err)
{
    const struct logs_options options = {
        .follows = true,
        .tail = -1,
        .stops_on_signal = true,
        .has_times = words->has_times,
        .has_no_prefix = words->has_no_prefix,
        .has_no_color = words->has_no_color,
        .aborts = words->aborts,
        .exit_with = words->exit_code_from,
    };
    int signal_number = 0;
    int status = compose_logs(compose, names, &options, &signal_number, err);
    if (status == 0 && (signal_number != 0 || words->aborts || words->exit_code_from != NULL)) {
        fprintf(stderr, "Stopping…\n");
        status = compose_stop(compose, NULL, words->up.timeout_s, err);
    }
    *ret_code = signal_number != 0 ? 128 + signal_number : 0;
    if (status == 0 && words->exit_code_from != NULL) {
        *ret_code = exit_code_of(compose, words->exit_code_from);
    }
    return status;
}

static int write_objects(struct compose *compose, int fd, struct err *err)
{
    json_t *objects = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT;
    const struct kubernetes_input input = {
        .project = compose->project.document,
        .environment = compose->environment,
        .read_file = compose_read_file,
    };
    int status = kubernetes_convert(&input, &objects, err);
    for (size_t i = 0; status == 0 && i < json_array_size(objects); i++) {
        buf_append_text(&text, i == 0 ? "" : "---\n");
        yaml_text_write(json_array_get(objects, i), &text);
    }
    json_decref(objects);
    struct bytes bytes = buf_bytes(&text);
    for (size_t done = 0; status == 0 && done < bytes.size;) {
        ssize_t count = write(fd, bytes.data + done, bytes.size - done);
        status = count < 0 && errno != EINTR ? err_set_errno(err, errno, "write objects") : 0;
        done += count < 0 ? 0 : (size_t)count;
    }
    return status != 0 || lseek(fd, 0, SEEK_SET) == 0 ? status
                                                      : err_set_errno(err, errno, "write objects");
}

/* --cluster: the objects go to `kvctl deploy -f -`, which applies them and follows the roll-out. */
static int up_on_cluster(const struct compose_options *options, const struct up_words *words,
                         const struct text_list *names)
{
    struct err err = {.code = 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    CLEANUP(text_list) struct text_list arguments = {NULL, 0};
    CLEANUP(close_fd) int fd = memfd_create("objects", MFD_CLOEXEC);
    int code = 0;
    int status = compose_open(&compose, options, names, false, &err);
    if (status == 0) {
        status = write_objects(&compose, fd, &err);
    }
    if (status == 0 && dup2(fd, STDIN_FILENO) < 0) {
        status = err_set_errno(&err, errno, "pass the objects on");
    }
    const char *const pairs[] = {
        "-f", "-", "--namespace", words->namespace, "--timeout", words->wait_timeout};
    text_list_add(&arguments, "deploy");
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i += 2) {
        if (pairs[i + 1] != NULL) {
            text_list_add(&arguments, pairs[i]);
            text_list_add(&arguments, pairs[i + 1]);
        }
    }
    if (words->is_detached) {
        text_list_add(&arguments, "--no-wait");
    }
    if (status == 0) {
        status = run_sibling("kvctl-workload", &arguments, false, &code, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : code;
}

static int run_up(const struct compose_options *options, struct up_words *words,
                  const struct text_list *names, bool is_create)
{
    struct err err = {.code = 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int code = 0;
    bool is_detached = words->is_detached || words->up.waits || is_create || words->up.has_no_start;
    words->up.has_no_start |= is_create;
    int status = settle(words, &err);
    if (status == 0 && words->exit_code_from != NULL && is_detached) {
        status = err_set(&err, ERR_INVALID, "--exit-code-from and --detach exclude each other");
    }
    if (status == 0 && (status = compose_open(&compose, options, names, false, &err)) == 0) {
        status = compose_up(&compose, names, &words->up, &err);
    }
    if (status == 0 && !is_detached) {
        status = attend(&compose, names, words, &code, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : code;
}

static int up_or_create(const struct compose_options *options, int argc, char **argv,
                        bool is_create)
{
    static const struct command command = {
        .usage = "compose up [OPTIONS] [SERVICE...]",
        .summary = "Make and start what the files describe; change only what changed.",
        .examples = "  kvctl compose up -d --wait\n  kvctl compose up -d --build --scale web=3\n"
                    "  kvctl compose up --cluster\n",
        .operands_max = 1000,
    };
    struct up_words words = {.timeout = NULL};
    struct err err = {.code = 0};
    struct up_options *up = &words.up;
    const struct option_spec specs[] = {
        {'d', "detach", OPTION_FLAG, &words.is_detached, NULL, "Leave them in the background"},
        {0, "build", OPTION_FLAG, &words.has_build, NULL, "Build images first"},
        {0, "no-build", OPTION_FLAG, &words.has_no_build, NULL, "Never build"},
        {0, "wait", OPTION_FLAG, &up->waits, NULL, "Until all run and are healthy; implies -d"},
        {0, "wait-timeout", OPTION_TEXT, &words.wait_timeout, "SECONDS", "At most so long"},
        {0, "scale", OPTION_LIST, &words.scale, "SERVICE=N", "How many containers"},
        {0, "force-recreate", OPTION_FLAG, &up->is_forced, NULL, "New containers for all"},
        {0, "no-recreate", OPTION_FLAG, &up->keeps_old, NULL, "Keep those there are"},
        {0, "no-deps", OPTION_FLAG, &up->has_no_deps, NULL, "Without what they depend on"},
        {0, "no-start", OPTION_FLAG, &up->has_no_start, NULL, "Make, do not start"},
        {0, "remove-orphans", OPTION_FLAG, &up->removes_orphans, NULL, "Of services that are gone"},
        {'V', "renew-anon-volumes", OPTION_FLAG, &up->renews_volumes, NULL, "Empty ones"},
        {'t', "timeout", OPTION_TEXT, &words.timeout, "SECONDS", "To stop a container"},
        {0, "pull", OPTION_TEXT, &words.pull, "WHEN", "always, missing, never"},
        {0, "quiet-pull", OPTION_FLAG, &words.is_quiet_pull, NULL, "No progress of pulls"},
        {0, "abort-on-container-exit", OPTION_FLAG, &words.aborts, NULL, "Stop all when one ends"},
        {0, "exit-code-from", OPTION_TEXT, &words.exit_code_from, "SERVICE", "End with it"},
        {0, "no-log-prefix", OPTION_FLAG, &words.has_no_prefix, NULL, "No names before lines"},
        {0, "no-color", OPTION_FLAG, &words.has_no_color, NULL, "No colors"},
        {0, "timestamps", OPTION_FLAG, &words.has_times, NULL, "With times"},
        {0, "attach", OPTION_LIST, &words.ignored, "SERVICE", "Accepted"},
        {0, "cluster", OPTION_FLAG, &words.on_cluster, NULL, "On the orchestrator"},
        {'n', "namespace", OPTION_TEXT, &words.namespace, "NAME", "With --cluster"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &names, &err);
    int code = status != 0        ? word_fail(&err, EXIT_FAILED)
               : words.on_cluster ? up_on_cluster(options, &words, &names)
                                  : run_up(options, &words, &names, is_create);
    text_list_deinit(&words.scale);
    text_list_deinit(&words.ignored);
    return code;
}

int compose_word_up(const struct compose_options *options, int argc, char **argv)
{
    return up_or_create(options, argc, argv, false);
}

int compose_word_create(const struct compose_options *options, int argc, char **argv)
{
    return up_or_create(options, argc, argv, true);
}

/* `scale web=3 db=1` */
int compose_word_scale(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose scale SERVICE=N...",
        .summary = "Set the number of containers of services.",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    struct up_words words = {.is_detached = true};
    const struct option_spec specs[] = {
        {0, "no-deps", OPTION_FLAG, &words.up.has_no_deps, NULL, "Without dependencies"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    int status = options_parse(&command, specs, argc, argv, &words.scale, &err);
    for (size_t i = 0; status == 0 && i < words.scale.count; i++) {
        char *name = arena_strdup(&arena, words.scale.items[i]);
        name[strcspn(name, "=")] = '\0';
        text_list_add(&names, name);
    }
    int code = status != 0 ? word_fail(&err, EXIT_FAILED) : run_up(options, &words, &names, false);
    text_list_deinit(&words.scale);
    return code;
}

int compose_word_down(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose down [OPTIONS]",
        .summary = "Stop and remove the containers and networks of the project.",
        .examples = "  kvctl compose down -v\n  kvctl -p app compose down --remove-orphans\n",
    };
    struct err err = {.code = 0};
    struct down_options down = {.timeout_s = -1};
    const char *timeout = NULL;
    const struct option_spec specs[] = {
        {'v', "volumes", OPTION_FLAG, &down.removes_volumes, NULL, "Volumes, too"},
        {0, "remove-orphans", OPTION_FLAG, &down.removes_orphans, NULL,
         "Of services that are gone"},
        {0, "rmi", OPTION_TEXT, &down.images, "WHICH", "Images, too: all, local"},
        {'t', "timeout", OPTION_TEXT, &timeout, "SECONDS", "To stop a container"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int64_t seconds = -1;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && timeout != NULL) {
        status = read_seconds("timeout", timeout, &seconds, &err);
        down.timeout_s = (int)seconds;
    }
    if (status == 0) {
        status = compose_open(&compose, options, NULL, true, &err);
        if (status == ERR_NOT_FOUND && options->file.count == 0 && options->name != NULL) {
            compose_close(&compose);
            down.removes_orphans = true; /* without files nothing is a service */
            status = compose_open_by_name(&compose, options, &err);
        }
    }
    if (status == 0) {
        status = compose_down(&compose, &down, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}
