/* up.c - bring a project to what its files say, services in the order of depends_on, each in a
 * process of its own. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose.h"
#include "runtime/compose/plan.h"
#include "runtime/compose/service.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/start.h"
#include "runtime/words/words.h"

enum { SERVICES_MAX = 500 };

static void choose_with(const struct compose *compose, const char *name, bool has_no_deps,
                        json_t *chosen)
{
    json_t *service = compose_service(compose, name);
    const char *other = NULL;
    json_t *dependency = NULL;
    if (service == NULL || json_object_get(chosen, name) != NULL) {
        return;
    }
    json_object_set(chosen, name, service);
    if (has_no_deps) {
        return;
    }
    json_object_foreach(json_object_get(service, "depends_on"), other, dependency)
    {
        choose_with(compose, other, false, chosen);
    }
    static const char *const keys[] = {"network_mode", "pid", "ipc"};
    for (size_t i = 0; i < 3; i++) {
        const char *mode = json_get_text(service, keys[i], "");
        if (strncmp(mode, "service:", 8) == 0) {
            choose_with(compose, mode + 8, false, chosen);
        }
    }
}

json_t *compose_choose(const struct compose *compose, const struct text_list *names,
                       bool has_no_deps)
{
    json_t *chosen = json_object();
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach(compose_services(compose), name, service)
    {
        if (compose_is_chosen(names, name)) {
            choose_with(compose, name, has_no_deps, chosen);
        }
    }
    return chosen;
}

/* ---- one container ---- */

struct step {
    struct compose *compose;
    const struct up_options *options;
    const char *service;
    const json_t *plan;
};

static const char *name_of(const struct step *step)
{
    const json_t *existing = json_object_get(step->plan, "Container");
    return existing != NULL ? json_get_text(existing, "Name", "")
                            : service_container_name(step->compose->project.document, step->service,
                                                     compose_service(step->compose, step->service),
                                                     (int)json_get_integer(step->plan, "Number", 1),
                                                     &step->compose->arena);
}

static int start_existing(struct compose *compose, const char *id, struct err *err)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    int code = 0;
    int status = container_find(&compose->store, id, &container, err);
    if (status == 0 && container_refresh(&container) == CONTAINER_EXITED) {
        status = lifecycle_finish(&compose->store, &container, err);
    }
    struct start start = {
        .store = &compose->store,
        .container = &container,
        .is_detached = true,
        .lock = -1,
    };
    return status != 0 ? status : start_container(&start, &code, err);
}

/* Commands of post_start, in the container, one after the other. */
static int run_hooks(const struct step *step, const struct container *container, struct err *err)
{
    const json_t *hooks =
        json_object_get(compose_service(step->compose, step->service), "post_start");
    for (size_t i = 0; i < json_array_size(hooks); i++) {
        const json_t *hook = json_array_get(hooks, i);
        const json_t *command = json_object_get(hook, "command");
        const char *user = json_get_text(hook, "user", NULL);
        CLEANUP(text_list) struct text_list arguments = {NULL, 0};
        text_list_add(&arguments, "exec");
        if (user != NULL) {
            text_list_add(&arguments, "--user");
            text_list_add(&arguments, user);
        }
        text_list_add(&arguments, container->id);
        for (size_t k = 0; k < json_array_size(command); k++) {
            text_list_add(&arguments, json_string_value(json_array_get(command, k)));
        }
        int code = word_exec((int)arguments.count, (char **)(uintptr_t)arguments.items);
        if (code != 0) {
            return err_set(err, ERR_IO, "services.%s: post_start ended with %d", step->service,
                           code);
        }
    }
    return 0;
}

static int create_and_start(const struct step *step, struct err *err)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    const struct create_input input = {
        .service = step->service,
        .number = (int)json_get_integer(step->plan, "Number", 1),
    };
    int code = 0;
    int status = create_container(step->compose, &input, &container, err);
    if (status != 0 || step->options->has_no_start) {
        return status;
    }
    struct start start = {
        .store = &step->compose->store,
        .container = &container,
        .is_detached = true,
        .lock = -1,
    };
    status = start_container(&start, &code, err);
    if (status != 0) {
        struct err ignored;
        int removed = lifecycle_remove(&step->compose->store, &container, true, &ignored);
        (void)removed; /* nothing half-made stays; the first error is the one to tell */
        return err_prefix(err, "services.%s", step->service);
    }
    return run_hooks(step, &container, err);
}

static int take_step(const struct step *step, struct err *err)
{
    const json_t *existing = json_object_get(step->plan, "Container");
    const char *id = json_get_text(existing, "Id", "");
    enum plan_action action = (enum plan_action)json_get_integer(step->plan, "Action", 0);
    const char *name = name_of(step);
    int status = 0;
    switch (action) {
    case PLAN_KEEP:
        break;
    case PLAN_START:
        status = start_existing(step->compose, id, err);
        break;
    case PLAN_RECREATE:
    case PLAN_REMOVE:
        status = remove_container(step->compose, id, step->options->timeout_s,
                                  step->options->renews_volumes || action == PLAN_REMOVE, err);
        break;
    case PLAN_CREATE:
        break;
    }
    if (status == 0 && (action == PLAN_CREATE || action == PLAN_RECREATE)) {
        status = create_and_start(step, err);
    }
    if (status == 0) {
        compose_say(step->compose, "Container", name,
                    step->options->has_no_start && action != PLAN_REMOVE
                        ? "Created"
                        : plan_action_text(action));
    }
    return status;
}

/* ---- one service ---- */

static int wait_for_all(const pid_t *children, size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        int code = 0;
        while (waitpid(children[i], &code, 0) < 0 && errno == EINTR) {
        }
        failed = !WIFEXITED(code) || WEXITSTATUS(code) != 0 ? 1 : failed;
    }
    return failed;
}

/* Each container in a process of its own: its mounts belong to that. Returns the exit code. */
static int run_steps(const struct step *model, const json_t *steps)
{
    size_t count = json_array_size(steps);
    CLEANUP(free) pid_t *children = mem_calloc(count + 1, sizeof(*children));
    for (size_t i = 0; i < count; i++) {
        struct step step = *model;
        step.plan = json_array_get(steps, i);
        children[i] = fork();
        if (children[i] == 0) {
            struct err err = {.code = 0};
            int status = take_step(&step, &err);
            _exit(status == 0 ? 0 : word_fail(&err, EXIT_FAILED));
        }
    }
    return wait_for_all(children, count);
}

static int wait_for_dependencies(struct compose *compose, const char *name, struct err *err)
{
    json_t *service = compose_service(compose, name);
    const char *other = NULL;
    json_t *dependency = NULL;
    json_object_foreach(json_object_get(service, "depends_on"), other, dependency)
    {
        const char *condition = json_get_text(dependency, "condition", "service_started");
        if (strcmp(condition, "service_started") == 0) {
            continue; /* it has been, before this service's turn */
        }
        int status = wait_for_condition(compose, other, condition, -1, err);
        if (status != 0) {
            return err_prefix(err, "services.%s.depends_on.%s", name, other);
        }
    }
    return 0;
}

static void image_id(struct compose *compose, const json_t *service, char *out, size_t room)
{
    struct image image = {.config = NULL};
    out[0] = '\0';
    if (image_find(&compose->store, service_image(service), &image, NULL) == 0) {
        (void)snprintf(out, room, "%s", image.id);
        image_deinit(&image);
    }
}

/* A signal ends what waits, and lets what makes a container finish: a handler, because what is
 * ignored would stay ignored in the container. */
static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

static void catch_signal(int number)
{
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(number, &action, NULL); /* cannot fail for these */
}

/* In the process of this service. Returns the exit code. */
static int bring_up(struct compose *compose, const char *name, const struct up_options *options)
{
    struct err err = {.code = 0};
    char image[REFERENCE_DIGEST_MAX + 1];
    const json_t *service = compose_service(compose, name);
    int status = options->has_no_deps || options->has_no_start
                     ? 0
                     : wait_for_dependencies(compose, name, &err);
    if (status != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    catch_signal(SIGTERM);
    catch_signal(SIGINT);
    image_id(compose, service, image, sizeof(image));
    const struct plan_service wanted = {
        .name = name,
        .scale = service_scale(service),
        .hash = compose_hash(compose, name),
        .image = image,
    };
    const struct plan_options how = {
        .is_forced = options->is_forced,
        .keeps_old = options->keeps_old,
        .starts = !options->has_no_start,
    };
    CLEANUP(json) json_t *steps = plan_make(&wanted, compose->containers, &how);
    const struct step model = {.compose = compose, .options = options, .service = name};
    return run_steps(&model, steps);
}

/* ---- all services ---- */

struct task {
    const char *name;
    pid_t pid; /* 0: not begun, -1: done */
};

struct schedule {
    struct compose *compose;
    const struct up_options *options;
    const json_t *chosen;
    struct task tasks[SERVICES_MAX];
    size_t count;
    bool has_failed;
};

static const struct task *find_task(const struct schedule *schedule, const char *name)
{
    for (size_t i = 0; i < schedule->count; i++) {
        if (strcmp(schedule->tasks[i].name, name) == 0) {
            return &schedule->tasks[i];
        }
    }
    return NULL;
}

static bool is_done(const struct schedule *schedule, const char *name)
{
    const struct task *task = find_task(schedule, name);
    return task == NULL || task->pid == -1;
}

static bool is_ready(const struct schedule *schedule, const char *name)
{
    static const char *const keys[] = {"network_mode", "pid", "ipc"};
    const json_t *service = compose_service(schedule->compose, name);
    const char *other = NULL;
    json_t *dependency = NULL;
    json_object_foreach(json_object_get(service, "depends_on"), other, dependency)
    {
        if (!is_done(schedule, other)) {
            return false;
        }
    }
    for (size_t i = 0; i < 3; i++) {
        const char *mode = json_get_text(service, keys[i], "");
        if (strncmp(mode, "service:", 8) == 0 && !is_done(schedule, mode + 8)) {
            return false;
        }
    }
    return true;
}

static void begin_ready(struct schedule *schedule)
{
    for (size_t i = 0; i < schedule->count && !schedule->has_failed; i++) {
        struct task *task = &schedule->tasks[i];
        if (task->pid != 0 || !is_ready(schedule, task->name)) {
            continue;
        }
        (void)fflush(NULL);
        task->pid = fork();
        if (task->pid == 0) {
            (void)signal(SIGINT, SIG_DFL);
            _exit(bring_up(schedule->compose, task->name, schedule->options));
        }
        schedule->has_failed |= task->pid < 0;
    }
}

/* One that waits for something that will not come any more. */
static void end_running(struct schedule *schedule)
{
    for (size_t i = 0; i < schedule->count; i++) {
        if (schedule->tasks[i].pid > 0) {
            (void)kill(schedule->tasks[i].pid, SIGTERM);
        }
    }
}

static void run_schedule(struct schedule *schedule)
{
    begin_ready(schedule);
    for (;;) {
        int code = 0;
        pid_t ended = waitpid(-1, &code, 0);
        if (ended < 0 && errno == EINTR) {
            if (is_interrupted != 0 && !schedule->has_failed) {
                schedule->has_failed = true;
                end_running(schedule);
            }
            continue;
        }
        if (ended < 0) {
            return; /* none is left */
        }
        for (size_t i = 0; i < schedule->count; i++) {
            if (schedule->tasks[i].pid == ended) {
                schedule->tasks[i].pid = -1;
                bool is_bad = !WIFEXITED(code) || WEXITSTATUS(code) != 0;
                if (is_bad && !schedule->has_failed) {
                    schedule->has_failed = true;
                    end_running(schedule);
                }
            }
        }
        begin_ready(schedule);
    }
}

/* What this command began and could not finish does not stay running. */
static void undo(struct compose *compose, const json_t *before)
{
    struct err ignored;
    if (compose_refresh(compose, &ignored) != 0) {
        return;
    }
    for (size_t i = 0; i < json_array_size(compose->containers); i++) {
        const json_t *about = json_array_get(compose->containers, i);
        const char *id = json_get_text(about, "Id", "");
        bool was_there = json_get_flag(about, "Oneoff");
        for (size_t k = 0; k < json_array_size(before); k++) {
            was_there |= strcmp(json_get_text(json_array_get(before, k), "Id", ""), id) == 0;
        }
        if (!was_there) {
            int status = remove_container(compose, id, 1, true, &ignored);
            compose_say(compose, "Container", json_get_text(about, "Name", ""),
                        status == 0 ? "Removed (up failed)" : "cannot be removed");
        }
    }
}

static int apply_scale(struct compose *compose, const struct text_list *scale, struct err *err)
{
    for (size_t i = 0; scale != NULL && i < scale->count; i++) {
        CLEANUP(free) char *name = mem_strdup(scale->items[i]);
        char *equals = strchr(name, '=');
        char *end = NULL;
        long count = equals == NULL ? -1 : strtol(equals + 1, &end, 10);
        if (equals == NULL || end == equals + 1 || *end != '\0' || count < 0 ||
            count > SERVICE_SCALE_MAX) {
            return err_set(err, ERR_INVALID, "--scale: '%.60s' is not SERVICE=NUMBER",
                           scale->items[i]);
        }
        *equals = '\0';
        json_t *service = compose_service(compose, name);
        if (service == NULL) {
            return err_set(err, ERR_NOT_FOUND, "--scale: no such service: %.80s", name);
        }
        json_object_set_new(service, "scale", json_integer(count));
    }
    return scale != NULL && scale->count > 0 ? project_check(&compose->project, err) : 0;
}

static int treat_orphans(struct compose *compose, const struct up_options *options, struct err *err)
{
    CLEANUP(json)
    json_t *orphans =
        plan_orphans(compose_services(compose), compose->project.services_off, compose->containers);
    int status = 0;
    for (size_t i = 0; status == 0 && i < json_array_size(orphans); i++) {
        const json_t *about = json_array_get(orphans, i);
        const char *name = json_get_text(about, "Name", "");
        if (options->removes_orphans) {
            status = remove_container(compose, json_get_text(about, "Id", ""), options->timeout_s,
                                      false, err);
            compose_say(compose, "Container", name, "Removed");
        } else {
            fprintf(stderr,
                    "kvctl: warning: container %s is of a service that the project does not have "
                    "(--remove-orphans removes it)\n",
                    name);
        }
    }
    return status;
}

static int wait_until_ready(struct compose *compose, const json_t *chosen, int64_t timeout_ms,
                            struct err *err)
{
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach((json_t *)(uintptr_t)chosen, name, service)
    {
        int status = wait_for_condition(compose, name, "running_or_healthy", timeout_ms, err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int run_all(struct compose *compose, const struct up_options *options, const json_t *chosen,
                   struct err *err)
{
    CLEANUP(free) struct schedule *schedule = mem_zalloc(sizeof(*schedule));
    CLEANUP(json) json_t *before = json_incref(compose->containers);
    const char *name = NULL;
    json_t *service = NULL;
    schedule->compose = compose;
    schedule->options = options;
    schedule->chosen = chosen;
    json_object_foreach((json_t *)(uintptr_t)chosen, name, service)
    {
        if (schedule->count == SERVICES_MAX) {
            return err_set(err, ERR_TOO_LARGE, "more than %d services", SERVICES_MAX);
        }
        schedule->tasks[schedule->count++].name = name;
        (void)compose_hash(compose, name);
    }
    catch_signal(SIGINT);
    run_schedule(schedule);
    (void)signal(SIGINT, SIG_DFL);
    if (schedule->has_failed) {
        undo(compose, before);
        /* The process of the service has said why. */
        return err_set(err, ERR_IO, "the project is not up");
    }
    int status = options->waits && !options->has_no_start
                     ? wait_until_ready(compose, chosen, options->wait_timeout_ms, err)
                     : 0;
    if (status != 0) {
        undo(compose, before);
    }
    return status;
}

int compose_up(struct compose *compose, const struct text_list *names,
               const struct up_options *options, struct err *err)
{
    int status = compose_check_names(compose, names, err);
    if (status == 0) {
        status = apply_scale(compose, options->scale, err);
    }
    if (status != 0) {
        return status;
    }
    CLEANUP(json) json_t *chosen = compose_choose(compose, names, options->has_no_deps);
    if ((status = images_ensure(compose, chosen, &options->images, err)) != 0 ||
        (status = resources_make(compose, chosen, err)) != 0 ||
        (status = compose_refresh(compose, err)) != 0 ||
        (status = treat_orphans(compose, options, err)) != 0) {
        return status;
    }
    return run_all(compose, options, chosen, err);
}
