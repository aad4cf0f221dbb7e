/* snapshot.c - the containers of a project, as they are now. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/compose/compose.h"
#include "runtime/compose/service.h"
#include "runtime/image/json.h"
#include "runtime/words/health.h"
#include "runtime/words/lifecycle.h"

struct snapshot {
    const char *project; /* NULL: all */
    json_t *list;
};

static const char *label_of(const struct container *container, const char *name)
{
    const json_t *labels = json_object_get(container_config(container), "Labels");
    char key[80];
    (void)snprintf(key, sizeof(key), LABEL_PREFIX "%s", name);
    return json_get_text(labels, key, "");
}

json_t *snapshot_describe(struct container *container)
{
    enum container_status status = container_refresh(container);
    char health[16];
    health_read(container, health);
    return json_pack("{ss ss ss ss si sb ss ss ss ss si ss si}", "Id", container->id, "Name",
                     container_name(container), "Project", label_of(container, "project"),
                     "Service", label_of(container, "service"), "Number",
                     (int)strtol(label_of(container, "container-number"), NULL, 10), "Oneoff",
                     strcmp(label_of(container, "oneoff"), "True") == 0, "Hash",
                     label_of(container, "config-hash"), "Image",
                     json_get_text(container->document, "Image", ""), "ConfigFiles",
                     label_of(container, "project.config_files"), "Status",
                     container_status_text(status), "ExitCode",
                     (int)json_get_integer(container->state, "ExitCode", 0), "Health", health,
                     "Pid", status == CONTAINER_RUNNING ? (int)container_pid(container) : 0);
}

static int add(struct container *container, void *context)
{
    struct snapshot *snapshot = context;
    const char *project = label_of(container, "project");
    if (project[0] != '\0' &&
        (snapshot->project == NULL || strcmp(project, snapshot->project) == 0)) {
        json_t *about = snapshot_describe(container);
        if (about != NULL) {
            json_array_append_new(snapshot->list, about);
        }
    }
    return 0;
}

static int by_service(const void *a, const void *b)
{
    const json_t *first = *(const json_t *const *)a;
    const json_t *second = *(const json_t *const *)b;
    int order = strcmp(json_get_text(first, "Service", ""), json_get_text(second, "Service", ""));
    int64_t numbers = json_get_integer(first, "Number", 0) - json_get_integer(second, "Number", 0);
    return order != 0 ? order : numbers < 0 ? -1 : numbers > 0;
}

static json_t *sort(json_t *list)
{
    size_t count = json_array_size(list);
    CLEANUP(free) json_t **items = mem_calloc(count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        items[i] = json_array_get(list, i);
    }
    qsort(items, count, sizeof(*items), by_service);
    json_t *sorted = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append(sorted, items[i]);
    }
    json_decref(list);
    return sorted;
}

int compose_refresh(struct compose *compose, struct err *err)
{
    struct snapshot snapshot = {.project = compose_name(compose), .list = json_array()};
    int status = container_list(&compose->store, add, &snapshot, err);
    if (status != 0) {
        json_decref(snapshot.list);
        return status;
    }
    json_decref(compose->containers);
    compose->containers = sort(snapshot.list);
    return 0;
}

json_t *compose_find(const struct compose *compose, const char *service, int number)
{
    for (size_t i = 0; i < json_array_size(compose->containers); i++) {
        json_t *about = json_array_get(compose->containers, i);
        if (strcmp(json_get_text(about, "Service", ""), service) == 0 &&
            !json_get_flag(about, "Oneoff") &&
            (number == 0 || json_get_integer(about, "Number", 0) == number)) {
            return about;
        }
    }
    return NULL;
}

int compose_list_projects(const struct store *store, json_t **ret, struct err *err)
{
    struct snapshot snapshot = {.list = json_array()};
    int status = container_list(store, add, &snapshot, err);
    CLEANUP(json) json_t *list = snapshot.list;
    json_t *projects = json_object();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *about = json_array_get(list, i);
        const char *name = json_get_text(about, "Project", "");
        json_t *project = json_object_get(projects, name);
        if (project == NULL) {
            project = json_pack("{ss ss s{}}", "Name", name, "ConfigFiles",
                                json_get_text(about, "ConfigFiles", ""), "Counts");
            json_object_set_new(projects, name, project);
        }
        json_t *counts = json_object_get(project, "Counts");
        const char *state = json_get_text(about, "Status", "");
        json_object_set_new(counts, state, json_integer(json_get_integer(counts, state, 0) + 1));
    }
    if (status == 0) {
        *ret = projects;
    } else {
        json_decref(projects);
    }
    return status;
}
