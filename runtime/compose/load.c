#include "runtime/compose/load.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/compose/env_text.h"
#include "runtime/compose/interpolate.h"
#include "runtime/compose/merge.h"
#include "runtime/compose/normal.h"
#include "runtime/compose/yaml_text.h"
#include "runtime/image/json.h"

struct load {
    const struct load_input *input;
    struct project *project;
    json_t *unset; /* variables without a value */
    json_t *raw;   /* path -> file after variables */
    unsigned depth;
    struct err *err;
};

/* Files that belong together: their directory and their variables. */
struct group {
    const char *directory;
    const json_t *environment;
};

static int load_group(struct load *load, const struct group *group, const char *const *files,
                      size_t count, json_t **ret);

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = mem_strdup(path);
    directory[slash == NULL ? 0 : slash == path ? 1 : slash - path] = '\0';
    return directory;
}

static char *join_path(const char *directory, const char *text)
{
    struct places places = {.file_count = 0};
    struct normal normal = {.directory = directory, .places = &places};
    CLEANUP(json) json_t *path = normal_make_path(&normal, text);
    return mem_strdup(json_string_value(path));
}

/* ---- one file ---- */

static int read_raw(struct load *load, const struct group *group, const char *path, json_t **ret)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *tree = NULL;
    json_t *known = json_object_get(load->raw, path);
    if (known != NULL) {
        *ret = known;
        return 0;
    }
    if (json_object_size(load->raw) == LOAD_FILES_MAX) {
        return err_set(load->err, ERR_TOO_LARGE, "%s: more than %d files", path, LOAD_FILES_MAX);
    }
    int status = load->input->read_file(load->input->context, path, &text, load->err);
    if (status != 0) {
        return status;
    }
    status = yaml_text_parse(buf_bytes(&text), path, &load->project->places, &tree, load->err);
    if (status == 0) {
        status = interpolate_tree(tree, group->environment, load->unset, &load->project->places,
                                  load->err);
    }
    if (status == 0) {
        json_array_append(load->project->places.kept, tree);
        json_object_set(load->raw, path, tree);
        *ret = tree;
    }
    return status;
}

static struct normal make_normal(struct load *load, const struct group *group, const char *section,
                                 const char *name)
{
    struct normal normal = {
        .places = &load->project->places,
        .directory = group->directory,
        .environment = group->environment,
        .warnings = load->project->warnings,
        .err = load->err,
    };
    (void)snprintf(normal.path, sizeof(normal.path), "%s%s%.60s", section,
                   name[0] == '\0' ? "" : ".", name);
    return normal;
}

/* ---- extends ---- */

struct chain {
    const struct chain *before;
    const char *path;
    const char *service;
};

static bool is_in_chain(const struct chain *chain, const char *path, const char *service)
{
    for (; chain != NULL; chain = chain->before) {
        if (strcmp(chain->path, path) == 0 && strcmp(chain->service, service) == 0) {
            return true;
        }
    }
    return false;
}

static int read_service(struct load *load, const struct group *group, const struct chain *chain,
                        json_t *raw_file, json_t **ret);

static int read_base(struct load *load, const struct group *group, const struct chain *chain,
                     json_t *raw_file, const json_t *extends, struct place place, json_t **ret)
{
    const char *name = json_get_text(extends, "service", "");
    const char *file = json_get_text(extends, "file", NULL);
    CLEANUP(free)
    char *path = file == NULL ? mem_strdup(chain->path) : join_path(group->directory, file);
    CLEANUP(free) char *directory = directory_of(path);
    const struct group other = {.directory = file == NULL ? group->directory : directory,
                                .environment = group->environment};
    if (is_in_chain(chain, path, name)) {
        return place_error(&load->project->places, place, load->err, ERR_MALFORMED,
                           "services.%.60s.extends: services extend each other in a circle",
                           chain->service);
    }
    const struct chain next = {.before = chain, .path = path, .service = name};
    if (file != NULL) {
        int status = read_raw(load, &other, path, &raw_file);
        if (status != 0) {
            struct err why = *load->err;
            return status == -ENOENT ? place_error(&load->project->places, place, load->err,
                                                   ERR_NOT_FOUND, "extends: %s", why.text)
                                     : status;
        }
    }
    if (json_object_get(json_object_get(raw_file, "services"), name) == NULL) {
        return place_error(&load->project->places, place, load->err, ERR_NOT_FOUND,
                           "services.%.60s.extends: there is no service '%.60s' in %s",
                           chain->service, name, path);
    }
    return read_service(load, &other, &next, raw_file, ret);
}

/* The normal form of one service, over what it extends. */
static int read_service(struct load *load, const struct group *group, const struct chain *chain,
                        json_t *raw_file, json_t **ret)
{
    json_t *services = json_object_get(raw_file, "services");
    json_t *raw = json_object_get(services, chain->service);
    struct normal normal = make_normal(load, group, "services", chain->service);
    CLEANUP(json) json_t *own = NULL;
    CLEANUP(json) json_t *base = NULL;
    normal.place = places_find_key(&load->project->places, services, chain->service);
    int status = normal_service(&normal, raw, &own);
    if (status != 0) {
        return status;
    }
    places_set(&load->project->places, own, normal.place);
    CLEANUP(json) json_t *extends = json_incref(json_object_get(own, "extends"));
    if (extends == NULL) {
        *ret = TAKE_PTR(own);
        return 0;
    }
    struct place place = places_find_key(&load->project->places, raw, "extends");
    json_object_del(own, "extends");
    status = read_base(load, group, chain, raw_file, extends, place, &base);
    if (status == 0) {
        json_t *copy = json_copy(base);
        merge_service(copy, own);
        merge_settle(copy);
        places_set(&load->project->places, copy, normal.place);
        *ret = copy;
    }
    return status;
}

/* ---- files ---- */

static int read_services(struct load *load, const struct group *group, const char *path,
                         json_t *raw_file, json_t *out)
{
    json_t *services = json_object_get(raw_file, "services");
    json_t *result = json_object();
    json_object_set_new(out, "services", result);
    const char *name = NULL;
    json_t *raw = NULL;
    json_object_foreach(services, name, raw)
    {
        bool is_special = json_is_object(raw) && (json_object_get(raw, YAML_TEXT_RESET) != NULL ||
                                                  json_object_get(raw, YAML_TEXT_OVERRIDE) != NULL);
        struct place place = places_find_key(&load->project->places, services, name);
        if (name[0] == '\0' || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789._-") != strlen(name)) {
            return place_error(&load->project->places, place, load->err, ERR_MALFORMED,
                               "'%.60s' cannot be the name of a service", name);
        }
        if (is_special) {
            json_object_set(result, name, raw);
            continue;
        }
        const struct chain chain = {.path = path, .service = name};
        json_t *service = NULL;
        int status = read_service(load, group, &chain, raw_file, &service);
        if (status != 0) {
            return status;
        }
        json_object_set_new(result, name, service);
    }
    return 0;
}

static int read_section(struct load *load, const struct group *group, json_t *raw_file,
                        const char *section, normal_shape *shape, json_t *out)
{
    json_t *raw = json_object_get(raw_file, section);
    json_t *read = NULL;
    if (raw == NULL || json_is_null(raw)) {
        return 0;
    }
    struct normal normal = make_normal(load, group, section, "");
    normal.place = places_find_key(&load->project->places, raw_file, section);
    int status = normal_named(&normal, raw, shape, &read);
    if (status == 0) {
        json_object_set_new(out, section, read);
    }
    return status;
}

/* The keys at the top of a file; those that are not sections have no shape here. */
static int check_top(struct load *load, json_t *raw_file)
{
    static const char *const known[] = {"name",    "version", "services", "networks", "volumes",
                                        "secrets", "configs", "include",  "models"};
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(raw_file, key, value)
    {
        bool is_known = strncmp(key, "x-", 2) == 0;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            is_known |= strcmp(known[i], key) == 0;
        }
        struct place place = places_find_key(&load->project->places, raw_file, key);
        bool needs_mapping = strcmp(key, "services") == 0;
        if (!is_known) {
            return place_error(&load->project->places, place, load->err, ERR_MALFORMED,
                               "unknown key '%.60s' at the top", key);
        }
        if (needs_mapping && !json_is_object(value)) {
            return place_error(&load->project->places, place, load->err, ERR_MALFORMED,
                               "services must be a mapping");
        }
        if (strcmp(key, "version") == 0 || strcmp(key, "models") == 0) {
            CLEANUP(free)
            char *text = place_text(&load->project->places, place, "%s has no effect", key);
            json_array_append_new(load->project->warnings, json_text(text));
        }
    }
    return 0;
}

/* ---- include ---- */

static int read_variables(struct load *load, const char *path, bool is_required, json_t *values)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = load->input->read_file(load->input->context, path, &text, load->err);
    if (status == -ENOENT && !is_required) {
        return 0;
    }
    return status != 0 ? status
                       : env_text_parse(buf_bytes(&text), path, false, load->input->environment,
                                        values, load->err);
}

/* What is included may not change what is there. */
static int add_included(struct load *load, struct place place, json_t *file, json_t *included)
{
    static const char *const sections[] = {"services", "networks", "volumes", "secrets", "configs"};
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        json_t *theirs = json_object_get(included, sections[i]);
        json_t *ours = json_object_get(file, sections[i]);
        if (ours == NULL && theirs != NULL) {
            ours = json_object();
            json_object_set_new(file, sections[i], ours);
        }
        const char *name = NULL;
        json_t *value = NULL;
        json_object_foreach(theirs, name, value)
        {
            json_t *old = json_object_get(ours, name);
            if (old != NULL && !json_equal(old, value)) {
                return place_error(&load->project->places, place, load->err, ERR_MALFORMED,
                                   "include: %s.%.60s is defined twice", sections[i], name);
            }
            json_object_set(ours, name, value);
        }
    }
    return 0;
}

static int include_one(struct load *load, const struct group *group, struct place place,
                       json_t *item, json_t *file)
{
    json_t *paths = json_is_object(item) ? json_object_get(item, "path") : item;
    CLEANUP(json)
    json_t *list = json_is_array(paths) ? json_incref(paths) : json_pack("[O]", paths);
    CLEANUP(json) json_t *environment = json_object();
    CLEANUP(json) json_t *included = NULL;
    char *files[LOAD_FILES_MAX] = {NULL};
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        if (!json_is_string(json_array_get(list, i)) || count > LOAD_FILES_MAX) {
            return place_error(&load->project->places, place, load->err, ERR_MALFORMED,
                               "include: needs paths of files");
        }
        files[i] = join_path(group->directory, json_string_value(json_array_get(list, i)));
    }
    const char *given =
        json_is_object(item) ? json_get_text(item, "project_directory", NULL) : NULL;
    CLEANUP(free)
    char *directory = given != NULL ? join_path(group->directory, given)
                      : count > 0   ? directory_of(files[0])
                                    : mem_strdup(group->directory);
    const char *env_name = json_is_object(item) ? json_get_text(item, "env_file", NULL) : NULL;
    CLEANUP(free)
    char *env_path =
        env_name != NULL ? join_path(group->directory, env_name) : join_path(directory, ".env");
    int status = read_variables(load, env_path, env_name != NULL, environment);
    (void)json_object_update(environment, (json_t *)(uintptr_t)load->input->environment);
    const struct group inner = {.directory = directory, .environment = environment};
    if (status == 0) {
        status = load_group(load, &inner, (const char *const *)files, count, &included);
    }
    if (status == 0) {
        status = add_included(load, place, file, included);
    }
    for (size_t i = 0; i < count; i++) {
        mem_free(files[i]);
    }
    return status;
}

static int include(struct load *load, const struct group *group, json_t *raw_file, json_t *file)
{
    json_t *list = json_object_get(raw_file, "include");
    struct place place = places_find_key(&load->project->places, raw_file, "include");
    int status = 0;
    if (list != NULL && !json_is_array(list)) {
        return place_error(&load->project->places, place, load->err, ERR_MALFORMED,
                           "include must be a list");
    }
    for (size_t i = 0; status == 0 && i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        struct place of_item = places_find(&load->project->places, item);
        status = include_one(load, group, of_item.file != 0 ? of_item : place, item, file);
    }
    return status;
}

static int read_file(struct load *load, const struct group *group, const char *path, json_t **ret)
{
    CLEANUP(json) json_t *out = json_object();
    json_t *raw = NULL;
    int status;
    if ((status = read_raw(load, group, path, &raw)) != 0 || (status = check_top(load, raw)) != 0 ||
        (status = read_services(load, group, path, raw, out)) != 0 ||
        (status = read_section(load, group, raw, "networks", normal_network, out)) != 0 ||
        (status = read_section(load, group, raw, "volumes", normal_top_volume, out)) != 0 ||
        (status = read_section(load, group, raw, "secrets", normal_secret, out)) != 0 ||
        (status = read_section(load, group, raw, "configs", normal_config, out)) != 0 ||
        (status = include(load, group, raw, out)) != 0) {
        return status;
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(raw, key, value)
    {
        if (strncmp(key, "x-", 2) == 0 || strcmp(key, "name") == 0) {
            json_object_set(out, key, value);
        }
    }
    *ret = TAKE_PTR(out);
    return 0;
}

static int load_group(struct load *load, const struct group *group, const char *const *files,
                      size_t count, json_t **ret)
{
    CLEANUP(json) json_t *out = json_object();
    int status = 0;
    if (++load->depth > LOAD_DEPTH_MAX) {
        return err_set(load->err, ERR_TOO_LARGE, "%s: files include each other too deeply",
                       files[0]);
    }
    for (size_t i = 0; status == 0 && i < count; i++) {
        CLEANUP(json) json_t *file = NULL;
        status = read_file(load, group, files[i], &file);
        if (status == 0) {
            merge_file(out, file);
        }
    }
    load->depth--;
    if (status == 0) {
        merge_settle(out);
        *ret = TAKE_PTR(out);
    }
    return status;
}

/* ---- the whole ---- */

void project_name_clean(const char *text, char *out)
{
    enum { ROOM = 64 };
    size_t size = 0;
    for (; *text != '\0' && size < ROOM - 1; text++) {
        char c = (char)tolower((unsigned char)*text);
        bool is_good = isalnum((unsigned char)c) || (size > 0 && (c == '_' || c == '-'));
        if (is_good && (unsigned char)c < 128) {
            out[size++] = c;
        }
    }
    out[size] = '\0';
}

static int name_project(struct load *load)
{
    json_t *document = load->project->document;
    const char *given =
        load->input->name != NULL ? load->input->name : json_get_text(document, "name", NULL);
    const char *slash = strrchr(load->input->directory, '/');
    char name[64];
    project_name_clean(given != NULL ? given : slash == NULL ? "" : slash + 1, name);
    if (name[0] == '\0' || (given != NULL && strcmp(given, name) != 0)) {
        return err_set(load->err, ERR_INVALID,
                       "'%.80s' cannot be the name of a project (lower case letters, digits, then "
                       "also _ and -); give one with -p",
                       given == NULL ? load->input->directory : given);
    }
    json_object_set_new(document, "name", json_text(name));
    return 0;
}

static void warn_unset(struct load *load)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(load->unset, name, value)
    {
        CLEANUP(free)
        char *text = mem_printf("The variable %s is not set and counts as empty", name);
        json_array_append_new(load->project->warnings, json_text(text));
    }
}

void project_deinit(struct project *project)
{
    json_decref(project->document);
    json_decref(project->warnings);
    json_decref(project->services_off);
    if (project->places.file_count > 0) {
        places_deinit(&project->places);
    }
    *project = (struct project){.document = NULL};
}

int project_load(const struct load_input *input, struct project *ret, struct err *err)
{
    struct project project = {.warnings = json_array(), .services_off = json_object()};
    struct err local = {.code = 0};
    places_init(&project.places);
    struct load load = {
        .input = input,
        .project = &project,
        .unset = json_object(),
        .raw = json_object(),
        .err = err == NULL ? &local : err,
    };
    const struct group group = {.directory = input->directory, .environment = input->environment};
    int status = load_group(&load, &group, input->files, input->file_count, &project.document);
    if (status == 0) {
        status = name_project(&load);
    }
    if (status == 0) {
        warn_unset(&load);
        status = project_settle(&project, input, load.err);
    }
    if (status == 0) {
        status = project_check(&project, load.err);
    }
    json_decref(load.unset);
    json_decref(load.raw);
    if (status != 0) {
        project_deinit(&project);
        return status;
    }
    *ret = project;
    return 0;
}
