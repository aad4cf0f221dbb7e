/* compose_open.c - which files, which variables, which project. */
#include "runtime/compose/compose.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/env_text.h"
#include "runtime/compose/yaml_text.h"
#include "runtime/image/json.h"

extern char **environ;

int compose_read_file(void *context, const char *path, struct buf *out, struct err *err)
{
    (void)context;
    CLEANUP(close_fd)
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "open '%s'", path);
    }
    for (;;) {
        ssize_t count = read(fd, buf_reserve(out, 65536), 65536);
        if (count < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "read '%s'", path);
        }
        if (count == 0) {
            return 0;
        }
        buf_commit(out, count < 0 ? 0 : (size_t)count);
        if (buf_size(out) > YAML_TEXT_SIZE_MAX) {
            return err_set(err, ERR_TOO_LARGE, "'%s' is larger than %d bytes", path,
                           YAML_TEXT_SIZE_MAX);
        }
    }
}

/* An absolute path by the text alone; "-" stays. */
static char *absolute(const char *path)
{
    CLEANUP(free) char *here = getcwd(NULL, 0);
    if (path[0] == '/' || strcmp(path, "-") == 0 || here == NULL) {
        return mem_strdup(path);
    }
    while (strncmp(path, "./", 2) == 0) {
        path += 2;
    }
    return strcmp(path, ".") == 0 || path[0] == '\0' ? mem_strdup(here)
                                                     : mem_printf("%s/%s", here, path);
}

static char *parent_of(const char *path)
{
    char *parent = mem_strdup(path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    return parent;
}

struct files {
    char *items[LOAD_FILES_MAX];
    size_t count;
};

static void add_file(struct files *files, char *path)
{
    if (files->count < LOAD_FILES_MAX) {
        files->items[files->count++] = path;
    } else {
        mem_free(path);
    }
}

/* compose.yaml before compose.yml before the old names; and the override beside it. */
static bool find_in(const char *directory, struct files *files)
{
    static const char *const names[] = {"compose", "docker-compose"};
    static const char *const ends[] = {"yaml", "yml"};
    for (size_t i = 0; i < 4; i++) {
        char *path = mem_printf("%s/%s.%s", directory, names[i / 2], ends[i % 2]);
        if (access(path, F_OK) != 0) {
            mem_free(path);
            continue;
        }
        add_file(files, path);
        for (size_t k = 0; k < 4; k++) {
            char *over = mem_printf("%s/%s.override.%s", directory, names[k / 2], ends[k % 2]);
            if (access(over, F_OK) == 0) {
                add_file(files, over);
                break;
            }
            mem_free(over);
        }
        return true;
    }
    return false;
}

/* -f, COMPOSE_FILE, or the files of this directory or one above. */
static int find_files(const struct compose_options *options, const json_t *environment,
                      struct files *files, struct err *err)
{
    const char *given = json_get_text(environment, "COMPOSE_FILE", NULL);
    for (size_t i = 0; i < options->file.count; i++) {
        add_file(files, absolute(options->file.items[i]));
    }
    if (files->count == 0 && given != NULL) {
        const char *separator = json_get_text(environment, "COMPOSE_PATH_SEPARATOR", ":");
        CLEANUP(free) char *copy = mem_strdup(given);
        char *rest = copy;
        for (char *item; (item = strsep(&rest, separator)) != NULL;) {
            add_file(files, absolute(item));
        }
    }
    if (files->count > 0) {
        return 0;
    }
    char *directory = absolute(options->directory == NULL ? "." : options->directory);
    bool is_found = find_in(directory, files);
    while (!is_found && strcmp(directory, "/") != 0 && options->directory == NULL) {
        char *parent = parent_of(directory);
        mem_free(directory);
        directory = parent;
        is_found = find_in(directory, files);
    }
    mem_free(directory);
    return is_found ? 0
                    : err_set(err, ERR_NOT_FOUND,
                              "there is no compose.yaml here or above; name a file with -f");
}

static json_t *own_environment(void)
{
    json_t *out = json_object();
    for (char **at = environ; *at != NULL; at++) {
        char *equals = strchr(*at, '=');
        if (equals != NULL && equals != *at) {
            CLEANUP(free) char *name = mem_strdup(*at);
            name[equals - *at] = '\0';
            json_object_set_new(out, name, json_text(equals + 1));
        }
    }
    return out;
}

static int read_dot_env(const struct compose_options *options, const char *directory,
                        json_t *environment, struct err *err)
{
    CLEANUP(json) json_t *values = json_object();
    struct text_list given = options->env_file;
    CLEANUP(free) char *standard = mem_printf("%s/.env", directory);
    const char *items[1] = {standard};
    bool is_given = given.count > 0;
    if (!is_given) {
        given = (struct text_list){.items = items, .count = 1};
    }
    for (size_t i = 0; i < given.count; i++) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        CLEANUP(free) char *path = absolute(given.items[i]);
        int status = compose_read_file(NULL, path, &text, err);
        if (status == -ENOENT && !is_given) {
            continue;
        }
        if (status == 0) {
            status = env_text_parse(buf_bytes(&text), path, false, environment, values, err);
        }
        if (status != 0) {
            return status;
        }
    }
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(values, name, value)
    {
        if (json_object_get(environment, name) == NULL && json_is_string(value)) {
            json_object_set(environment, name, value);
        }
    }
    return 0;
}

static void split_list(const char *text, struct text_list *list, struct arena *arena)
{
    char *rest = arena_strdup(arena, text);
    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        if (item[0] != '\0') {
            text_list_add(list, item);
        }
    }
}

static int load(struct compose *compose, const struct files *files,
                const struct text_list *services, bool keeps_all, struct err *err)
{
    CLEANUP(text_list) struct text_list profiles = {NULL, 0};
    const struct compose_options *options = compose->options;
    for (size_t i = 0; i < options->profile.count; i++) {
        text_list_add(&profiles, options->profile.items[i]);
    }
    if (profiles.count == 0) {
        split_list(json_get_text(compose->environment, "COMPOSE_PROFILES", ""), &profiles,
                   &compose->arena);
    }
    const struct load_input input = {
        .files = (const char *const *)files->items,
        .file_count = files->count,
        .directory = compose->directory,
        .name = options->name != NULL
                    ? options->name
                    : json_get_text(compose->environment, "COMPOSE_PROJECT_NAME", NULL),
        .environment = compose->environment,
        .profiles = profiles.items,
        .profile_count = profiles.count,
        .services = services == NULL ? NULL : services->items,
        .service_count = services == NULL ? 0 : services->count,
        .keeps_all = keeps_all,
        .read_file = compose_read_file,
    };
    return project_load(&input, &compose->project, err);
}

static void join_files(struct compose *compose, const struct files *files)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (size_t i = 0; i < files->count; i++) {
        buf_append_format(&text, "%s%s", i == 0 ? "" : ",", files->items[i]);
    }
    compose->config_files = mem_strdup(buf_text(&text));
}

static void begin(struct compose *compose, const struct compose_options *options)
{
    *compose = (struct compose){
        .options = options, .environment = own_environment(), .hashes = json_object()};
    arena_init(&compose->arena);
}

int compose_open(struct compose *compose, const struct compose_options *options,
                 const struct text_list *services, bool keeps_all, struct err *err)
{
    struct files files = {.count = 0};
    begin(compose, options);
    int status = find_files(options, compose->environment, &files, err);
    if (status == 0) {
        compose->directory = options->directory != NULL         ? absolute(options->directory)
                             : strcmp(files.items[0], "-") == 0 ? absolute(".")
                                                                : parent_of(files.items[0]);
        join_files(compose, &files);
        status = read_dot_env(options, compose->directory, compose->environment, err);
    }
    if (status == 0) {
        status = load(compose, &files, services, keeps_all, err);
    }
    for (size_t i = 0; i < files.count; i++) {
        mem_free(files.items[i]);
    }
    for (size_t i = 0; status == 0 && i < json_array_size(compose->project.warnings); i++) {
        fprintf(stderr, "kvctl: warning: %s\n",
                json_string_value(json_array_get(compose->project.warnings, i)));
    }
    return status != 0 ? status : store_open(&compose->store, NULL, err);
}

int compose_open_by_name(struct compose *compose, const struct compose_options *options,
                         struct err *err)
{
    char name[64];
    begin(compose, options);
    const char *given = options->name != NULL
                            ? options->name
                            : json_get_text(compose->environment, "COMPOSE_PROJECT_NAME", NULL);
    if (given == NULL) {
        return err_set(err, ERR_NOT_FOUND, "no project: name one with -p, or a file with -f");
    }
    project_name_clean(given, name);
    compose->directory = mem_strdup("/");
    compose->config_files = mem_strdup("");
    compose->project.document =
        json_pack("{ss s{} s{} s{}}", "name", name, "services", "networks", "volumes");
    compose->project.services_off = json_object();
    compose->project.warnings = json_array();
    return store_open(&compose->store, NULL, err);
}

void compose_close(struct compose *compose)
{
    if (compose->options == NULL) {
        return;
    }
    project_deinit(&compose->project);
    if (compose->store.root != NULL) {
        store_close(&compose->store);
    }
    arena_deinit(&compose->arena);
    mem_free(compose->directory);
    mem_free(compose->config_files);
    json_decref(compose->environment);
    json_decref(compose->containers);
    json_decref(compose->hashes);
    *compose = (struct compose){.options = NULL};
}

const char *compose_name(const struct compose *compose)
{
    return json_get_text(compose->project.document, "name", "");
}

json_t *compose_services(const struct compose *compose)
{
    return json_object_get(compose->project.document, "services");
}

json_t *compose_service(const struct compose *compose, const char *name)
{
    return json_object_get(compose_services(compose), name);
}

int compose_check_names(const struct compose *compose, const struct text_list *names,
                        struct err *err)
{
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        if (compose_service(compose, names->items[i]) == NULL) {
            return err_set(err, ERR_NOT_FOUND, "no such service: %.80s", names->items[i]);
        }
    }
    return 0;
}

bool compose_is_chosen(const struct text_list *names, const char *service)
{
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        if (strcmp(names->items[i], service) == 0) {
            return true;
        }
    }
    return names == NULL || names->count == 0;
}

void compose_say(const struct compose *compose, const char *kind, const char *name,
                 const char *what)
{
    if (!compose->options->is_quiet) {
        fprintf(stderr, " %s %s  %s\n", kind, name, what);
    }
}
