#include "runtime/compose/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/compose/duration.h"
#include "runtime/image/json.h"

struct translation {
    const struct service_input *input;
    const json_t *service;
    struct arena *arena;
    struct service_container *out;
};

int service_scale(const json_t *service)
{
    const json_t *scale = json_object_get(service, "scale");
    const json_t *replicas = json_object_get(json_object_get(service, "deploy"), "replicas");
    if (json_is_integer(scale)) {
        return (int)json_integer_value(scale);
    }
    return json_is_integer(replicas) ? (int)json_integer_value(replicas) : 1;
}

const char *service_image(const json_t *service)
{
    return json_get_text(service, "image", json_get_text(service, "x-coracle-image", ""));
}

const char *service_container_name(const json_t *project, const char *name, const json_t *service,
                                   int number, struct arena *arena)
{
    const char *given = json_get_text(service, "container_name", NULL);
    return given != NULL
               ? given
               : arena_printf(arena, "%s-%s-%d", json_get_text(project, "name", ""), name, number);
}

/* ---- texts ---- */

static const char *text_of(const struct translation *t, const char *key)
{
    const json_t *value = json_object_get(t->service, key);
    if (json_is_integer(value)) {
        return arena_printf(t->arena, "%lld", (long long)json_integer_value(value));
    }
    return json_string_value(value);
}

static bool flag_of(const struct translation *t, const char *key)
{
    return json_get_flag(t->service, key);
}

static void add_texts(struct text_list *list, const json_t *texts)
{
    for (size_t i = 0; i < json_array_size(texts); i++) {
        text_list_add(list, json_string_value(json_array_get(texts, i)));
    }
}

static void add_list(const struct translation *t, struct text_list *list, const char *key)
{
    add_texts(list, json_object_get(t->service, key));
}

static void add_pairs(const struct translation *t, struct text_list *list, const json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (json_is_string(value)) {
            text_list_add(list, arena_printf(t->arena, "%s=%s", name, json_string_value(value)));
        }
    }
}

/* ---- parts ---- */

static void add_labels(const struct translation *t)
{
    const struct service_input *input = t->input;
    struct text_list *list = &t->out->options.label;
    const struct {
        const char *key;
        const char *value;
    } own[] = {
        {"project", json_get_text(input->project, "name", "")},
        {"service", input->name},
        {"container-number", arena_printf(t->arena, "%d", input->number <= 0 ? 1 : input->number)},
        {"oneoff", input->number <= 0 ? "True" : "False"},
        {"config-hash", input->hash},
        {"project.config_files", input->config_files},
        {"project.working_dir", input->directory},
        {"version", "2.40.0"},
    };
    add_pairs(t, list, json_object_get(t->service, "labels"));
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        text_list_add(list, arena_printf(t->arena, LABEL_PREFIX "%s=%s", own[i].key, own[i].value));
    }
}

static void add_ports(const struct translation *t)
{
    const json_t *ports = json_object_get(t->service, "ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        const char *address = json_get_text(port, "host_ip", "");
        bool is_v6 = strchr(address, ':') != NULL;
        text_list_add(&t->out->options.publish,
                      arena_printf(t->arena, "%s%s%s%s%s:%lld/%s", is_v6 ? "[" : "", address,
                                   is_v6 ? "]" : "", address[0] == '\0' ? "" : ":",
                                   json_get_text(port, "published", ""),
                                   (long long)json_get_integer(port, "target", 0),
                                   json_get_text(port, "protocol", "tcp")));
    }
    add_list(t, &t->out->options.expose, "expose");
}

/* The name on the machine of a network or a volume. */
static const char *real_name(const struct translation *t, const char *section, const char *key)
{
    const json_t *object = json_object_get(json_object_get(t->input->project, section), key);
    return json_get_text(object, "name", key);
}

static void add_volume(const struct translation *t, const json_t *volume)
{
    const char *type = json_get_text(volume, "type", "volume");
    const char *source = json_get_text(volume, "source", "");
    const char *target = json_get_text(volume, "target", "");
    const char *ro = json_get_flag(volume, "read_only") ? "ro" : "rw";
    const json_t *bind = json_object_get(volume, "bind");
    const json_t *tmpfs = json_object_get(volume, "tmpfs");
    if (strcmp(type, "tmpfs") == 0) {
        const char *size = json_get_text(tmpfs, "size", NULL);
        int64_t mode = json_get_integer(tmpfs, "mode", 01777);
        text_list_add(&t->out->options.tmpfs,
                      arena_printf(t->arena, "%s:mode=%o%s%s,%s", target, (unsigned)mode,
                                   size == NULL ? "" : ",size=", size == NULL ? "" : size, ro));
        return;
    }
    const char *propagation = json_get_text(bind, "propagation", "");
    bool must_exist = strcmp(type, "bind") == 0 && !json_get_flag(bind, "create_host_path") &&
                      json_object_get(bind, "create_host_path") != NULL;
    bool has_comma = strchr(source, ',') != NULL || strchr(target, ',') != NULL;
    if (!has_comma && (must_exist || strchr(source, ':') != NULL)) {
        text_list_add(
            &t->out->options.mount,
            arena_printf(t->arena, "type=%s,source=%s,target=%s%s%s%s", type, source, target,
                         ro[1] == 'o' ? ",readonly" : "",
                         propagation[0] == '\0' ? "" : ",bind-propagation=", propagation));
        return;
    }
    if (strcmp(type, "volume") == 0 && source[0] == '\0') {
        text_list_add(&t->out->options.volume, target);
        return;
    }
    bool nocopy = json_get_flag(json_object_get(volume, "volume"), "nocopy");
    text_list_add(
        &t->out->options.volume,
        arena_printf(t->arena, "%s:%s:%s%s%s%s",
                     strcmp(type, "volume") == 0 ? real_name(t, "volumes", source) : source, target,
                     ro, nocopy ? ",nocopy" : "", propagation[0] == '\0' ? "" : ",", propagation));
}

static void add_mounts(const struct translation *t)
{
    const json_t *volumes = json_object_get(t->service, "volumes");
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        add_volume(t, json_array_get(volumes, i));
    }
    add_list(t, &t->out->options.tmpfs, "tmpfs");
}

/* Files of secrets and configs are numbered in the order of service_translate: secrets first. */
static void add_files(const struct translation *t)
{
    static const char *const sections[] = {"secrets", "configs"};
    unsigned number = 0;
    for (size_t s = 0; s < 2; s++) {
        const json_t *list = json_object_get(t->service, sections[s]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *item = json_array_get(list, i);
            const char *source = json_get_text(item, "source", "");
            const char *target = json_get_text(item, "target", source);
            const char *path = target[0] == '/' ? target
                               : s == 0         ? arena_printf(t->arena, "/run/secrets/%s", target)
                                                : arena_printf(t->arena, "/%s", target);
            text_list_add(&t->out->options.mount,
                          arena_printf(t->arena, "type=bind,source=%s/%u,target=%s,readonly",
                                       t->input->secrets_directory, number++, path));
        }
    }
}

/* In each network: the service, what it says itself. The name and the id are added anyway. */
static void add_networks(const struct translation *t)
{
    json_t *networks = json_object_get(t->service, "networks");
    const char *mode = t->input->network_mode != NULL
                           ? t->input->network_mode
                           : json_get_text(t->service, "network_mode", NULL);
    json_t *joined = json_object();
    const char *key = NULL;
    json_t *network = NULL;
    json_object_foreach(networks, key, network)
    {
        json_t *aliases = json_pack("[s]", t->input->name);
        json_array_extend(aliases, json_object_get(network, "aliases"));
        json_t *settings = json_pack("{so}", "Aliases", aliases);
        const char *address = json_get_text(network, "ipv4_address", NULL);
        if (address != NULL) {
            json_object_set_new(settings, "IPAddress", json_text(address));
        }
        const char *name = real_name(t, "networks", key);
        t->out->options.network = t->out->options.network == NULL ? name : t->out->options.network;
        json_object_set_new(joined, name, settings);
    }
    if (mode != NULL) {
        t->out->options.network = mode;
    }
    if (json_object_size(joined) > 0 && mode == NULL) {
        json_object_set(t->out->host_patch, "Networks", joined);
    }
    json_decref(joined);
}

static void add_ulimits(const struct translation *t)
{
    json_t *ulimits = json_object_get(t->service, "ulimits");
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(ulimits, name, value)
    {
        int64_t soft =
            json_is_integer(value) ? json_integer_value(value) : json_get_integer(value, "soft", 0);
        int64_t hard = json_is_integer(value) ? soft : json_get_integer(value, "hard", soft);
        text_list_add(&t->out->options.ulimit, arena_printf(t->arena, "%s=%lld:%lld", name,
                                                            (long long)soft, (long long)hard));
    }
}

static void add_limits(const struct translation *t)
{
    struct run_options *options = &t->out->options;
    const json_t *resources = json_object_get(json_object_get(t->service, "deploy"), "resources");
    const json_t *limits = json_object_get(resources, "limits");
    const json_t *reserved = json_object_get(resources, "reservations");
    options->memory = text_of(t, "mem_limit");
    options->memory = json_get_text(limits, "memory", options->memory);
    options->memory_reservation = text_of(t, "mem_reservation");
    options->memory_reservation = json_get_text(reserved, "memory", options->memory_reservation);
    options->memory_swap = text_of(t, "memswap_limit");
    options->cpus = text_of(t, "cpus");
    options->cpus = json_get_text(limits, "cpus", options->cpus);
    options->cpu_shares = text_of(t, "cpu_shares");
    options->cpu_quota = text_of(t, "cpu_quota");
    options->cpu_period = text_of(t, "cpu_period");
    options->cpuset_cpus = text_of(t, "cpuset");
    options->pids_limit = text_of(t, "pids_limit");
    if (json_is_integer(json_object_get(limits, "pids"))) {
        options->pids_limit =
            arena_printf(t->arena, "%lld", (long long)json_get_integer(limits, "pids", 0));
    }
    options->shm_size = text_of(t, "shm_size");
    options->oom_score_adj = text_of(t, "oom_score_adj");
    options->is_oom_kill_disabled = flag_of(t, "oom_kill_disable");
    add_ulimits(t);
}

static void add_restart(const struct translation *t)
{
    const json_t *policy = json_object_get(json_object_get(t->service, "deploy"), "restart_policy");
    const char *condition = json_get_text(policy, "condition", NULL);
    t->out->options.restart = text_of(t, "restart");
    if (t->input->number <= 0) {
        t->out->options.restart = NULL; /* a one-off runs once */
    } else if (condition != NULL) {
        int64_t attempts = json_get_integer(policy, "max_attempts", 0);
        t->out->options.restart =
            strcmp(condition, "none") == 0 ? "no"
            : strcmp(condition, "on-failure") == 0
                ? arena_printf(t->arena, "on-failure:%lld", (long long)attempts)
                : "always";
    } else if (policy != NULL && t->out->options.restart == NULL) {
        t->out->options.restart = "always";
    }
}

static void set_duration(json_t *health, const json_t *check, const char *key, const char *name)
{
    int64_t ns = 0;
    const char *text = json_get_text(check, key, NULL);
    if (text != NULL && duration_parse(text, &ns) == 0) {
        json_object_set_new(health, name, json_integer(ns));
    }
}

/* Config.Healthcheck as in images: durations in nanoseconds. */
static void add_health(const struct translation *t)
{
    json_t *check = json_object_get(t->service, "healthcheck");
    if (check == NULL) {
        return;
    }
    if (json_get_flag(check, "disable")) {
        t->out->options.no_healthcheck = true;
        return;
    }
    json_t *health = json_object();
    json_t *test = json_object_get(check, "test");
    if (test != NULL) {
        json_object_set(health, "Test", test);
    }
    set_duration(health, check, "interval", "Interval");
    set_duration(health, check, "timeout", "Timeout");
    set_duration(health, check, "start_period", "StartPeriod");
    set_duration(health, check, "start_interval", "StartInterval");
    if (json_is_integer(json_object_get(check, "retries"))) {
        json_object_set(health, "Retries", json_object_get(check, "retries"));
    }
    json_object_set_new(t->out->config_patch, "Healthcheck", health);
}

static void add_command(const struct translation *t)
{
    const json_t *entrypoint = json_object_get(t->service, "entrypoint");
    const json_t *command = json_object_get(t->service, "command");
    t->out->command_size = json_array_size(command);
    t->out->command = arena_alloc(t->arena, (t->out->command_size + 1) * sizeof(char *));
    for (size_t i = 0; i < t->out->command_size; i++) {
        t->out->command[i] = json_string_value(json_array_get(command, i));
    }
    if (json_is_array(entrypoint)) {
        /* The option takes one word and clears the image's command; the patch has all of them. */
        const char *first = json_string_value(json_array_get(entrypoint, 0));
        t->out->options.entrypoint = first == NULL ? "" : first;
        json_object_set(t->out->config_patch, "Entrypoint", (json_t *)(uintptr_t)entrypoint);
    }
}

static void add_lists(const struct translation *t)
{
    struct run_options *options = &t->out->options;
    add_list(t, &options->cap_add, "cap_add");
    add_list(t, &options->cap_drop, "cap_drop");
    add_list(t, &options->security_opt, "security_opt");
    add_list(t, &options->device, "devices");
    add_list(t, &options->dns, "dns");
    add_list(t, &options->dns_search, "dns_search");
    add_list(t, &options->dns_option, "dns_opt");
    add_list(t, &options->add_host, "extra_hosts");
    add_list(t, &options->group_add, "group_add");
    add_pairs(t, &options->env, json_object_get(t->service, "environment"));
    add_pairs(t, &options->sysctl, json_object_get(t->service, "sysctls"));
    const json_t *logging = json_object_get(t->service, "logging");
    add_pairs(t, &options->log_opt, json_object_get(logging, "options"));
    options->log_driver = json_get_text(logging, "driver", NULL);
}

static void add_texts_and_flags(const struct translation *t)
{
    struct run_options *options = &t->out->options;
    int64_t grace = 0;
    options->user = text_of(t, "user");
    options->workdir = text_of(t, "working_dir");
    options->hostname = text_of(t, "hostname");
    options->domainname = text_of(t, "domainname");
    options->platform = text_of(t, "platform");
    options->stop_signal = text_of(t, "stop_signal");
    options->cgroup_parent = text_of(t, "cgroup_parent");
    options->pid = t->input->pid != NULL ? t->input->pid : text_of(t, "pid");
    options->ipc = t->input->ipc != NULL ? t->input->ipc : text_of(t, "ipc");
    options->uts = text_of(t, "uts");
    options->is_privileged = flag_of(t, "privileged");
    options->is_read_only = flag_of(t, "read_only");
    options->has_init = flag_of(t, "init");
    options->is_tty = flag_of(t, "tty");
    options->is_interactive = flag_of(t, "stdin_open");
    options->is_detached = true;
    options->is_quiet = true;
    options->pull = "never"; /* images are there before containers are made */
    const char *text = json_get_text(t->service, "stop_grace_period", NULL);
    if (text != NULL && duration_parse(text, &grace) == 0) {
        options->stop_timeout =
            arena_printf(t->arena, "%lld", (long long)((grace + 999999999) / 1000000000));
    }
}

void service_translate(const struct service_input *input, struct arena *arena,
                       struct service_container *ret)
{
    *ret = (struct service_container){
        .image = service_image(input->service),
        .config_patch = json_object(),
        .host_patch = json_object(),
    };
    const struct translation t = {
        .input = input,
        .service = input->service,
        .arena = arena,
        .out = ret,
    };
    ret->options.name = input->container_name != NULL
                            ? input->container_name
                            : service_container_name(input->project, input->name, input->service,
                                                     input->number, arena);
    add_texts_and_flags(&t);
    add_lists(&t);
    add_labels(&t);
    if (input->number != 0) {
        add_ports(&t);
    }
    add_mounts(&t);
    add_files(&t);
    add_networks(&t);
    add_limits(&t);
    add_restart(&t);
    add_health(&t);
    add_command(&t);
}

void service_container_deinit(struct service_container *container)
{
    run_options_deinit(&container->options);
    json_decref(container->config_patch);
    json_decref(container->host_patch);
}

json_t *service_fingerprint(const json_t *project, const char *name, const json_t *service)
{
    static const char *const left_out[] = {"build",       "depends_on", "scale", "profiles",
                                           "pull_policy", "develop",    "attach"};
    static const char *const sections[] = {"networks", "volumes"};
    json_t *out = json_copy((json_t *)(uintptr_t)service);
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++) {
        json_object_del(out, left_out[i]);
    }
    json_t *deploy = json_copy(json_object_get(out, "deploy"));
    if (deploy != NULL) {
        json_object_del(deploy, "replicas");
        json_object_set_new(out, "deploy", deploy);
    }
    json_object_set_new(out, "project", json_text(json_get_text(project, "name", "")));
    json_object_set_new(out, "name", json_text(name));
    /* What its networks and volumes are called. */
    for (size_t i = 0; i < 2; i++) {
        json_t *objects = json_object_get((json_t *)(uintptr_t)project, sections[i]);
        const char *key = NULL;
        json_t *object = NULL;
        json_object_foreach(objects, key, object)
        {
            CLEANUP(free) char *label = mem_printf("%s.%s", sections[i], key);
            bool is_used =
                i == 1 || json_object_get(json_object_get(service, "networks"), key) != NULL;
            if (is_used) {
                json_object_set_new(out, label, json_text(json_get_text(object, "name", "")));
            }
        }
    }
    return out;
}
