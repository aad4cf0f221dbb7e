/* settle.c - what is left once all files are one: profiles, names on the machine, env_file, links,
 * volumes_from. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/compose/env_text.h"
#include "runtime/compose/load.h"
#include "runtime/image/json.h"

struct settle {
    struct project *project;
    const struct load_input *input;
    struct err *err;
};

static json_t *services_of(const struct project *project)
{
    return json_object_get(project->document, "services");
}

/* ---- profiles ---- */

static bool is_listed(const char *const *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], text) == 0 || strcmp(list[i], "*") == 0) {
            return true;
        }
    }
    return false;
}

static bool is_on(const struct load_input *input, const char *name, const json_t *service,
                  const json_t *named)
{
    const json_t *profiles = json_object_get(service, "profiles");
    if (json_array_size(profiles) == 0 || input->keeps_all ||
        is_listed(input->services, input->service_count, name)) {
        return true;
    }
    for (size_t i = 0; i < json_array_size(profiles); i++) {
        const char *profile = json_string_value(json_array_get(profiles, i));
        if (is_listed(input->profiles, input->profile_count, profile) ||
            json_object_get(named, profile) != NULL) {
            return true;
        }
    }
    return false;
}

/* A service that is named enables its profiles, and so what it depends on in them. */
static void filter_profiles(struct settle *settle)
{
    json_t *services = services_of(settle->project);
    CLEANUP(json) json_t *named = json_object();
    for (size_t i = 0; i < settle->input->service_count; i++) {
        const json_t *profiles =
            json_object_get(json_object_get(services, settle->input->services[i]), "profiles");
        for (size_t k = 0; k < json_array_size(profiles); k++) {
            json_object_set_new(named, json_string_value(json_array_get(profiles, k)), json_true());
        }
    }
    const char *name = NULL;
    json_t *service = NULL;
    void *next = NULL;
    json_object_foreach_safe(services, next, name, service)
    {
        if (!is_on(settle->input, name, service, named)) {
            json_object_set(settle->project->services_off, name, service);
            json_object_del(services, name);
        }
    }
}

/* ---- names on the machine ---- */

static void name_section(struct settle *settle, const char *section)
{
    const char *project = json_get_text(settle->project->document, "name", "");
    json_t *objects = json_object_get(settle->project->document, section);
    const char *key = NULL;
    json_t *object = NULL;
    json_object_foreach(objects, key, object)
    {
        if (json_object_get(object, "name") != NULL) {
            continue;
        }
        CLEANUP(free)
        char *name =
            json_get_flag(object, "external") ? mem_strdup(key) : mem_printf("%s_%s", project, key);
        json_t *copy = json_copy(object);
        places_set(&settle->project->places, copy, places_find(&settle->project->places, object));
        json_object_set_new(copy, "name", json_text(name));
        json_object_set_new(objects, key, copy);
    }
}

/* Services that say nothing are in the network "default". */
static void add_default_network(struct settle *settle)
{
    json_t *document = settle->project->document;
    bool is_used = false;
    const char *name = NULL;
    json_t *service = NULL;
    json_object_foreach(services_of(settle->project), name, service)
    {
        if (json_object_get(service, "networks") == NULL &&
            json_object_get(service, "network_mode") == NULL) {
            json_object_set_new(service, "networks", json_pack("{s{}}", "default"));
        }
        is_used |= json_object_get(json_object_get(service, "networks"), "default") != NULL;
    }
    json_t *networks = json_object_get(document, "networks");
    if (networks == NULL) {
        networks = json_object();
        json_object_set_new(document, "networks", networks);
    }
    if (is_used && json_object_get(networks, "default") == NULL) {
        json_object_set_new(networks, "default", json_object());
    }
}

/* ---- environment ---- */

static int read_env_file(struct settle *settle, const json_t *file, json_t *values)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    const char *path = json_get_text(file, "path", "");
    int status = settle->input->read_file(settle->input->context, path, &text, settle->err);
    if (status == -ENOENT && json_is_false(json_object_get(file, "required"))) {
        return 0;
    }
    if (status != 0) {
        struct err why = *settle->err;
        return place_error(&settle->project->places, places_find(&settle->project->places, file),
                           settle->err, status, "env_file: %s", why.text);
    }
    return env_text_parse(buf_bytes(&text), path,
                          strcmp(json_get_text(file, "format", ""), "raw") == 0,
                          settle->input->environment, values, settle->err);
}

/* env_file below environment; a name without a value has the one of our environment, or is left
 * out. */
static int settle_environment(struct settle *settle, json_t *service)
{
    CLEANUP(json) json_t *values = json_object();
    json_t *files = json_object_get(service, "env_file");
    for (size_t i = 0; i < json_array_size(files); i++) {
        int status = read_env_file(settle, json_array_get(files, i), values);
        if (status != 0) {
            return status;
        }
    }
    json_t *own = json_object_get(service, "environment");
    (void)json_object_update(values, own == NULL ? values : own);
    const char *name = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(values, next, name, value)
    {
        if (json_is_null(value)) {
            json_t *known = json_object_get(settle->input->environment, name);
            if (known != NULL) {
                json_object_set(values, name, known);
            }
        }
    }
    json_object_del(service, "env_file");
    if (json_object_size(values) > 0) {
        json_object_set(service, "environment", values);
    }
    return 0;
}

/* ---- links, volumes_from ---- */

/* "db:database": the service db is also known as database in the networks of both. */
static void add_link(json_t *services, const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL) {
        return;
    }
    CLEANUP(free) char *name = mem_strdup(text);
    name[colon - text] = '\0';
    json_t *networks = json_object_get(json_object_get(services, name), "networks");
    const char *key = NULL;
    json_t *network = NULL;
    json_object_foreach(networks, key, network)
    {
        json_t *aliases = json_object_get(network, "aliases");
        json_t *copy = aliases == NULL ? json_array() : json_copy(aliases);
        json_array_append_new(copy, json_text(colon + 1));
        json_t *changed = json_copy(network);
        json_object_set_new(changed, "aliases", copy);
        json_object_set_new(networks, key, changed);
    }
}

/* A link or volumes_from also says which service comes first. */
static void add_dependency(json_t *service, const char *text)
{
    CLEANUP(free) char *name = mem_strdup(text);
    name[strcspn(name, ":")] = '\0';
    json_t *depends = json_object_get(service, "depends_on");
    json_t *copy = depends == NULL ? json_object() : json_copy(depends);
    if (json_object_get(copy, name) == NULL) {
        json_object_set_new(copy, name,
                            json_pack("{ss sb}", "condition", "service_started", "required", 1));
    }
    json_object_set_new(service, "depends_on", copy);
}

static void add_volumes(json_t *services, json_t *service, const char *text)
{
    CLEANUP(free) char *name = mem_strdup(text);
    char *mode = strchr(name, ':');
    if (mode != NULL) {
        *mode++ = '\0';
    }
    const json_t *theirs = json_object_get(json_object_get(services, name), "volumes");
    json_t *own = json_object_get(service, "volumes");
    json_t *all = own == NULL ? json_array() : json_copy(own);
    for (size_t i = 0; i < json_array_size(theirs); i++) {
        json_t *volume = json_copy(json_array_get(theirs, i));
        if (mode != NULL && strcmp(mode, "ro") == 0) {
            json_object_set_new(volume, "read_only", json_true());
        }
        json_array_append_new(all, volume);
    }
    json_object_set_new(service, "volumes", all);
}

static void settle_old_keys(json_t *services, json_t *service)
{
    const json_t *links = json_object_get(service, "links");
    for (size_t i = 0; i < json_array_size(links); i++) {
        add_link(services, json_string_value(json_array_get(links, i)));
        add_dependency(service, json_string_value(json_array_get(links, i)));
    }
    const json_t *from = json_object_get(service, "volumes_from");
    for (size_t i = 0; i < json_array_size(from); i++) {
        const char *text = json_string_value(json_array_get(from, i));
        if (strncmp(text, "container:", 10) != 0) {
            add_volumes(services, service, text);
            add_dependency(service, text);
        }
    }
    json_object_del(service, "links");
    json_object_del(service, "volumes_from");
}

static void settle_name(struct settle *settle, const char *name, json_t *service)
{
    if (json_object_get(service, "image") == NULL && json_object_get(service, "build") != NULL) {
        CLEANUP(free)
        char *image =
            mem_printf("%s-%s", json_get_text(settle->project->document, "name", ""), name);
        json_object_set_new(service, "x-coracle-image", json_text(image));
    }
}

int project_settle(struct project *project, const struct load_input *input, struct err *err)
{
    struct settle settle = {.project = project, .input = input, .err = err};
    json_t *services = services_of(project);
    const char *name = NULL;
    json_t *service = NULL;
    if (!json_is_object(services)) {
        services = json_object();
        json_object_set_new(project->document, "services", services);
    }
    filter_profiles(&settle);
    /* Services of included or extended files may be shared; they are changed from here on. */
    json_object_foreach(services, name, service)
    {
        json_t *copy = json_copy(service);
        places_set(&project->places, copy, places_find(&project->places, service));
        json_object_set_new(services, name, copy);
    }
    add_default_network(&settle);
    json_object_foreach(services, name, service)
    {
        int status = settle_environment(&settle, service);
        if (status != 0) {
            return status;
        }
        settle_old_keys(services, service);
        settle_name(&settle, name, service);
    }
    static const char *const sections[] = {"networks", "volumes", "secrets", "configs"};
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        name_section(&settle, sections[i]);
    }
    return 0;
}
