/* down.c - acting on the containers that a project has: stop, kill, remove, … */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose.h"
#include "runtime/compose/plan.h"
#include "runtime/compose/service.h"
#include "runtime/image/json.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/words.h"

enum { LEVELS_MAX = 500 };

static int64_t level_of(const struct compose *compose, const char *name, json_t *levels, int depth)
{
    json_t *known = json_object_get(levels, name);
    int64_t level = 0;
    const char *other = NULL;
    json_t *dependency = NULL;
    if (known != NULL || depth > LEVELS_MAX) {
        return json_integer_value(known);
    }
    json_object_foreach(json_object_get(compose_service(compose, name), "depends_on"), other,
                        dependency)
    {
        int64_t below = level_of(compose, other, levels, depth + 1);
        level = below + 1 > level ? below + 1 : level;
    }
    json_object_set_new(levels, name, json_integer(level));
    return level;
}

json_t *compose_levels(const struct compose *compose)
{
    json_t *levels = json_object();
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach(compose_services(compose), name, service)
    {
        int64_t ignored = level_of(compose, name, levels, 0);
        (void)ignored; /* it is in levels */
    }
    return levels;
}

static int act_on_one(struct compose *compose, const json_t *about, act_on_container *act,
                      const void *context)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    struct err err = {.code = 0};
    int status = container_find(&compose->store, json_get_text(about, "Id", ""), &container, &err);
    if (status == 0) {
        (void)container_refresh(&container);
        status = act(compose, &container, about, context, &err);
    }
    return status == 0 || status == ERR_NOT_FOUND ? 0 : word_fail(&err, EXIT_FAILED);
}

/* Processes that act on containers, one each. */
struct crew {
    pid_t *children;
    size_t count;
};

static void begin_level(struct compose *compose, const json_t *list, act_on_container *act,
                        const void *context, struct crew *crew)
{
    size_t count = json_array_size(list);
    crew->children = mem_reallocarray(crew->children, crew->count + count + 1, sizeof(pid_t));
    (void)fflush(NULL);
    for (size_t i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0) {
            int code = act_on_one(compose, json_array_get(list, i), act, context);
            (void)fflush(NULL);
            _exit(code);
        }
        crew->children[crew->count++] = child;
    }
}

static int open_pidfd(pid_t pid)
{
    return pid <= 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Until each container of the level has been dealt with, or (until_ended) at least its process has
 * ended: what is left then is cleaning up, which no other service waits for. */
static void wait_for_level(const json_t *list, const struct crew *crew, bool until_ended)
{
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        const json_t *about = json_array_get(list, i);
        CLEANUP(close_fd) int child = open_pidfd(crew->children[crew->count - count + i]);
        CLEANUP(close_fd)
        int process = until_ended ? open_pidfd((pid_t)json_get_integer(about, "Pid", 0)) : -1;
        struct pollfd fds[] = {{.fd = child, .events = POLLIN}, {.fd = process, .events = POLLIN}};
        while (child >= 0 && poll(fds, 2, -1) < 0 && errno == EINTR) {
        }
    }
}

static int end_crew(struct crew *crew)
{
    int failed = 0;
    for (size_t i = 0; i < crew->count; i++) {
        int code = 0;
        while (waitpid(crew->children[i], &code, 0) < 0 && errno == EINTR) {
        }
        failed = !WIFEXITED(code) || WEXITSTATUS(code) != 0 ? 1 : failed;
    }
    mem_free(crew->children);
    *crew = (struct crew){.count = 0};
    return failed;
}

static json_t *pick_level(const struct compose *compose, const struct text_list *names,
                          const json_t *levels, int64_t wanted, int64_t fallback)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(compose->containers); i++) {
        json_t *about = json_array_get(compose->containers, i);
        const char *service = json_get_text(about, "Service", "");
        if (json_get_integer(levels, service, fallback) == wanted &&
            !json_get_flag(about, "Oneoff") && compose_is_chosen(names, service)) {
            json_array_append(list, about);
        }
    }
    return list;
}

int compose_each(struct compose *compose, const struct text_list *names, bool is_reverse,
                 act_on_container *act, const void *context, struct err *err)
{
    CLEANUP(json) json_t *levels = compose_levels(compose);
    int status = compose_refresh(compose, err);
    struct crew crew = {.count = 0};
    int64_t last = 0;
    const char *name = NULL;
    json_t *level = NULL;
    json_object_foreach(levels, name, level)
    {
        last = json_integer_value(level) > last ? json_integer_value(level) : last;
    }
    for (int64_t i = 0; status == 0 && i <= last; i++) {
        CLEANUP(json)
        json_t *list = pick_level(compose, names, levels, is_reverse ? last - i : i, last);
        begin_level(compose, list, act, context, &crew);
        wait_for_level(list, &crew, is_reverse);
    }
    int failed = end_crew(&crew);
    return status != 0   ? status
           : failed != 0 ? err_set(err, ERR_IO, "not all containers could be dealt with")
                         : 0;
}

/* ---- stop, down ---- */

static bool runs(const json_t *about)
{
    const char *status = json_get_text(about, "Status", "");
    return strcmp(status, "running") == 0 || strcmp(status, "restarting") == 0 ||
           strcmp(status, "paused") == 0;
}

static int stop_one(struct compose *compose, struct container *container, const json_t *about,
                    const void *context, struct err *err)
{
    int timeout_s = *(const int *)context;
    if (!runs(about)) {
        return 0;
    }
    int status = lifecycle_stop(&compose->store, container, timeout_s, err);
    if (status == 0) {
        compose_say(compose, "Container", container_name(container), "Stopped");
    }
    return status;
}

int compose_stop(struct compose *compose, const struct text_list *names, int timeout_s,
                 struct err *err)
{
    return compose_each(compose, names, true, stop_one, &timeout_s, err);
}

static int remove_one(struct compose *compose, struct container *container, const json_t *about,
                      const void *context, struct err *err)
{
    const struct down_options *options = context;
    const char *name = container_name(container);
    (void)about;
    int status =
        remove_container(compose, container->id, options->timeout_s, options->removes_volumes, err);
    if (status == 0) {
        compose_say(compose, "Container", name, "Removed");
    }
    return status;
}

/* Containers that are not of a service: one-offs always go, orphans when that is wanted. */
static int remove_others(struct compose *compose, const struct down_options *options,
                         struct err *err)
{
    CLEANUP(json) json_t *list = json_array();
    int status = compose_refresh(compose, err);
    for (size_t i = 0; status == 0 && i < json_array_size(compose->containers); i++) {
        json_t *about = json_array_get(compose->containers, i);
        bool is_orphan = compose_service(compose, json_get_text(about, "Service", "")) == NULL;
        if (json_get_flag(about, "Oneoff") || (is_orphan && options->removes_orphans)) {
            json_array_append(list, about);
        }
    }
    struct crew crew = {.count = 0};
    begin_level(compose, list, remove_one, options, &crew);
    if (end_crew(&crew) != 0 && status == 0) {
        status = err_set(err, ERR_IO, "not all containers could be removed");
    }
    return status;
}

/* --rmi local: the images that were built here without a name of their own. */
static int remove_images(struct compose *compose, const char *which, struct err *err)
{
    const char *name = NULL;
    json_t *service = NULL;
    if (strcmp(which, "all") != 0 && strcmp(which, "local") != 0) {
        return err_set(err, ERR_INVALID, "--rmi: '%.40s' is neither all nor local", which);
    }
    json_object_foreach(compose_services(compose), name, service)
    {
        bool is_local = json_object_get(service, "image") == NULL;
        if (is_local || strcmp(which, "all") == 0) {
            CLEANUP(text_list) struct text_list arguments = {NULL, 0};
            int code = 0;
            text_list_add(&arguments, "rmi");
            text_list_add(&arguments, service_image(service));
            int status = run_sibling("kvctl-container", &arguments, true, &code, err);
            if (status != 0) {
                return status;
            }
        }
    }
    return 0;
}

int compose_down(struct compose *compose, const struct down_options *options, struct err *err)
{
    int status = compose_each(compose, NULL, true, remove_one, options, err);
    if (status == 0) {
        status = remove_others(compose, options, err);
    }
    if (status == 0) {
        status = resources_remove(compose, options->removes_volumes, err);
    }
    return status != 0 || options->images == NULL ? status
                                                  : remove_images(compose, options->images, err);
}
