/* word_service.c - exec, attach, cp, run, build, pull, push: about services by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose_words.h"
#include "runtime/compose/service.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/start.h"
#include "runtime/words/words.h"

static const char *container_of(struct compose *compose, const char *service, const char *number,
                                struct err *err)
{
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    text_list_add(&names, service);
    int status = compose_check_names(compose, &names, err);
    if (status == 0) {
        status = compose_refresh(compose, err);
    }
    const json_t *about =
        status == 0
            ? compose_find(compose, service, number == NULL ? 0 : (int)strtol(number, NULL, 10))
            : NULL;
    if (status == 0 && about == NULL) {
        int ignored = err_set(err, ERR_NOT_FOUND, "service %s has no container", service);
        (void)ignored; /* NULL tells it */
    }
    return about == NULL ? NULL : json_get_text(about, "Id", "");
}

static int call(int (*word)(int argc, char **argv), const struct text_list *arguments)
{
    CLEANUP(text_list) struct text_list copy = {NULL, 0};
    for (size_t i = 0; i < arguments->count; i++) {
        text_list_add(&copy, arguments->items[i]);
    }
    text_list_add(&copy, NULL);
    return word((int)arguments->count, (char **)(uintptr_t)copy.items);
}

/* ---- exec, attach ---- */

struct exec_words {
    bool is_detached, has_no_tty, is_privileged, is_interactive;
    const char *user, *workdir, *number;
    struct text_list env;
};

static void fill_exec(const struct exec_words *words, struct text_list *arguments)
{
    bool has_terminal = !words->has_no_tty && !words->is_detached && isatty(STDIN_FILENO) != 0 &&
                        isatty(STDOUT_FILENO) != 0;
    text_list_add(arguments, "exec");
    text_list_add(arguments, words->is_detached ? "-d" : has_terminal ? "-it" : "-i");
    if (words->is_privileged) {
        text_list_add(arguments, "--privileged");
    }
    if (words->user != NULL) {
        text_list_add(arguments, "--user");
        text_list_add(arguments, words->user);
    }
    if (words->workdir != NULL) {
        text_list_add(arguments, "--workdir");
        text_list_add(arguments, words->workdir);
    }
    for (size_t i = 0; i < words->env.count; i++) {
        text_list_add(arguments, "--env");
        text_list_add(arguments, words->env.items[i]);
    }
}

int compose_word_exec(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose exec [OPTIONS] SERVICE COMMAND [ARG...]",
        .summary = "Run a command in a running container of a service.",
        .operands_min = 2,
        .operands_max = 100000,
        .stops_at_operand = true,
    };
    struct err err = {.code = 0};
    struct exec_words words = {.user = NULL};
    const struct option_spec specs[] = {
        {'d', "detach", OPTION_FLAG, &words.is_detached, NULL, "Do not wait for it"},
        {'T', "no-TTY", OPTION_FLAG, &words.has_no_tty, NULL, "No terminal"},
        {'i', "interactive", OPTION_FLAG, &words.is_interactive, NULL, "Accepted; it is so"},
        {0, "privileged", OPTION_FLAG, &words.is_privileged, NULL, "All capabilities"},
        {'u', "user", OPTION_TEXT, &words.user, "USER", "User name or number"},
        {'w', "workdir", OPTION_TEXT, &words.workdir, "DIR", "Working directory"},
        {'e', "env", OPTION_LIST, &words.env, "NAME=VALUE", "Set a variable"},
        {0, "index", OPTION_TEXT, &words.number, "N", "Of several containers"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(text_list) struct text_list arguments = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = compose_open(&compose, options, NULL, true, &err)) == 0) {
        const char *id = container_of(&compose, operands.items[0], words.number, &err);
        status = id == NULL ? err.code : 0;
        if (id != NULL) {
            fill_exec(&words, &arguments);
            text_list_add(&arguments, id);
            for (size_t i = 1; i < operands.count; i++) {
                text_list_add(&arguments, operands.items[i]);
            }
            code = call(word_exec, &arguments);
        }
    }
    text_list_deinit(&words.env);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : code;
}

int compose_word_attach(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose attach SERVICE",
        .summary = "Attach to a service's container.",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    const char *number = NULL;
    const struct option_spec specs[] = {
        {0, "index", OPTION_TEXT, &number, "N", "Of several containers"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(text_list) struct text_list arguments = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = compose_open(&compose, options, NULL, true, &err)) == 0) {
        const char *id = container_of(&compose, operands.items[0], number, &err);
        if (id != NULL) {
            text_list_add(&arguments, "attach");
            text_list_add(&arguments, id);
            return call(word_attach, &arguments);
        }
        status = err.code;
    }
    return word_fail(&err, EXIT_FAILED);
}

/* SERVICE:PATH becomes ID:PATH; a path stays. */
static const char *resolve_path(struct compose *compose, const char *text, const char *number,
                                struct err *err)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || text[0] == '/' || text[0] == '.') {
        return text;
    }
    char *service = arena_strdup(&compose->arena, text);
    service[colon - text] = '\0';
    const char *id = container_of(compose, service, number, err);
    return id == NULL ? NULL : arena_printf(&compose->arena, "%s%s", id, colon);
}

int compose_word_cp(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose cp SERVICE:PATH PATH | PATH SERVICE:PATH",
        .summary = "Copy files to or from a service's container.",
        .operands_min = 2,
        .operands_max = 2,
    };
    struct err err = {.code = 0};
    const char *number = NULL;
    bool is_archive = false;
    const struct option_spec specs[] = {
        {0, "index", OPTION_TEXT, &number, "N", "Of several containers"},
        {'a', "archive", OPTION_FLAG, &is_archive, NULL, "Keep owners"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(text_list) struct text_list arguments = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = compose_open(&compose, options, NULL, true, &err)) == 0) {
        text_list_add(&arguments, "cp");
        if (is_archive) {
            text_list_add(&arguments, "-a");
        }
        for (size_t i = 0; i < 2; i++) {
            const char *path = resolve_path(&compose, operands.items[i], number, &err);
            if (path == NULL) {
                return word_fail(&err, EXIT_FAILED);
            }
            text_list_add(&arguments, path);
        }
        return call(word_cp, &arguments);
    }
    return word_fail(&err, EXIT_FAILED);
}

/* ---- run ---- */

struct run_words {
    bool is_detached, is_removed, has_no_deps, has_service_ports, has_no_tty, is_interactive;
    bool has_build, is_quiet_pull, uses_aliases, removes_orphans;
    const char *name, *user, *workdir, *entrypoint;
    struct text_list env, volume, publish, label;
};

/* The service with what the command line changes. */
static json_t *change_service(const json_t *service, const struct run_words *words,
                              const struct text_list *operands)
{
    json_t *changed = json_copy((json_t *)(uintptr_t)service);
    json_object_del(changed, "container_name");
    json_object_del(changed, "healthcheck");
    if (operands->count > 1) {
        json_t *command = json_array();
        for (size_t i = 1; i < operands->count; i++) {
            json_array_append_new(command, json_text(operands->items[i]));
        }
        json_object_set_new(changed, "command", command);
    }
    if (words->entrypoint != NULL) {
        json_object_set_new(changed, "entrypoint",
                            words->entrypoint[0] == '\0' ? json_array()
                                                         : json_pack("[s]", words->entrypoint));
        if (operands->count <= 1) {
            json_object_del(changed, "command");
        }
    }
    if (words->user != NULL) {
        json_object_set_new(changed, "user", json_text(words->user));
    }
    if (words->workdir != NULL) {
        json_object_set_new(changed, "working_dir", json_text(words->workdir));
    }
    json_t *environment = json_copy(json_object_get(changed, "environment"));
    environment = environment == NULL ? json_object() : environment;
    for (size_t i = 0; i < words->env.count; i++) {
        CLEANUP(free) char *name = mem_strdup(words->env.items[i]);
        char *equals = strchr(name, '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        const char *value = equals == NULL ? getenv(name) : equals + 1;
        json_object_set_new(environment, name, json_text(value == NULL ? "" : value));
    }
    json_object_set_new(changed, "environment", environment);
    json_object_set_new(changed, "stdin_open", json_boolean(!words->is_detached));
    bool has_terminal = !words->has_no_tty && !words->is_detached && isatty(STDIN_FILENO) != 0 &&
                        isatty(STDOUT_FILENO) != 0;
    json_object_set_new(changed, "tty", json_boolean(has_terminal));
    return changed;
}

static const char *one_off_name(struct compose *compose, const char *service)
{
    uint32_t number = 0;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number)) {
        number = (uint32_t)getpid(); /* a name that is taken is an error, no more */
    }
    return arena_printf(&compose->arena, "%s-%s-run-%08x", compose_name(compose), service, number);
}

static int run_one_off(struct compose *compose, const struct run_words *words,
                       const struct text_list *operands, int *ret_code, struct err *err)
{
    const char *service = operands->items[0];
    CLEANUP(json)
    json_t *changed = change_service(compose_service(compose, service), words, operands);
    CLEANUP(container) struct container container = {.directory_fd = -1};
    const struct create_input input = {
        .service = service,
        .number = words->has_service_ports ? -1 : 0,
        .container_name = words->name != NULL ? words->name : one_off_name(compose, service),
        .service_document = changed,
    };
    int status = create_container(compose, &input, &container, err);
    if (status != 0) {
        return status;
    }
    if (words->is_removed) {
        json_object_set_new(json_object_get(container.document, "HostConfig"), "AutoRemove",
                            json_true());
        status = container_write_document(&container, false, err);
    }
    struct start start = {
        .store = &compose->store,
        .container = &container,
        .is_detached = words->is_detached,
        .lock = -1,
    };
    if (status == 0) {
        status = start_container(&start, ret_code, err);
    }
    if (status == 0 && words->is_detached) {
        printf("%s\n", container.id);
    }
    return status;
}

static int run_after_dependencies(struct compose *compose, const struct run_words *words,
                                  const struct text_list *operands, int *ret_code, struct err *err)
{
    json_t *service = compose_service(compose, operands->items[0]);
    CLEANUP(json) json_t *one = json_pack("{sO}", operands->items[0], service);
    CLEANUP(text_list) struct text_list dependencies = {NULL, 0};
    struct up_options up = {.timeout_s = -1, .wait_timeout_ms = -1};
    const char *name = NULL;
    json_t *dependency = NULL;
    int status = 0;
    up.images.is_quiet = words->is_quiet_pull;
    up.images.builds = words->has_build;
    json_object_foreach(json_object_get(service, "depends_on"), name, dependency)
    {
        text_list_add(&dependencies, name);
    }
    if (!words->has_no_deps && dependencies.count > 0) {
        status = compose_up(compose, &dependencies, &up, err);
        json_object_foreach(json_object_get(service, "depends_on"), name, dependency)
        {
            if (status == 0) {
                status = wait_for_condition(compose, name,
                                            json_get_text(dependency, "condition", ""), -1, err);
            }
        }
    }
    if (status == 0 && (status = images_ensure(compose, one, &up.images, err)) == 0 &&
        (status = resources_make(compose, one, err)) == 0) {
        status = run_one_off(compose, words, operands, ret_code, err);
    }
    return status;
}

int compose_word_run(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose run [OPTIONS] SERVICE [COMMAND] [ARG...]",
        .summary = "Run a one-off command in a new container of a service.",
        .examples = "  kvctl compose run --rm web sh -c 'ls /data'\n",
        .operands_min = 1,
        .operands_max = 100000,
        .stops_at_operand = true,
    };
    struct err err = {.code = 0};
    struct run_words words = {.name = NULL};
    const struct option_spec specs[] = {
        {'d', "detach", OPTION_FLAG, &words.is_detached, NULL, "Print the id, do not wait"},
        {0, "rm", OPTION_FLAG, &words.is_removed, NULL, "Remove it when it ends"},
        {0, "no-deps", OPTION_FLAG, &words.has_no_deps, NULL, "Without what it depends on"},
        {'P', "service-ports", OPTION_FLAG, &words.has_service_ports, NULL, "Publish its ports"},
        {'T', "no-TTY", OPTION_FLAG, &words.has_no_tty, NULL, "No terminal"},
        {'i', "interactive", OPTION_FLAG, &words.is_interactive, NULL, "Accepted; it is so"},
        {0, "build", OPTION_FLAG, &words.has_build, NULL, "Build the image first"},
        {0, "quiet-pull", OPTION_FLAG, &words.is_quiet_pull, NULL, "No progress of pulls"},
        {0, "use-aliases", OPTION_FLAG, &words.uses_aliases, NULL, "Accepted; it has them"},
        {0, "remove-orphans", OPTION_FLAG, &words.removes_orphans, NULL, "Accepted"},
        {0, "name", OPTION_TEXT, &words.name, "NAME", "Of the container"},
        {'u', "user", OPTION_TEXT, &words.user, "USER", "User name or number"},
        {'w', "workdir", OPTION_TEXT, &words.workdir, "DIR", "Working directory"},
        {0, "entrypoint", OPTION_TEXT, &words.entrypoint, "PROGRAM", "Instead of the service's"},
        {'e', "env", OPTION_LIST, &words.env, "NAME=VALUE", "Set a variable"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        text_list_add(&names, operands.items[0]);
        status = compose_open(&compose, options, &names, false, &err);
    }
    if (status == 0 && (status = compose_check_names(&compose, &names, &err)) == 0) {
        status = run_after_dependencies(&compose, &words, &operands, &code, &err);
    }
    text_list_deinit(&words.env);
    if (status != 0) {
        return word_fail(&err, lifecycle_exit_code(&err) == EXIT_RUN_FAILED
                                   ? EXIT_FAILED
                                   : lifecycle_exit_code(&err));
    }
    return code;
}
