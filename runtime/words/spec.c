#include "runtime/words/spec.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/capabilities.h"

static json_t *texts(const char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_text(items[i]));
    }
    return list;
}

static bool has_option(const json_t *host, const char *option)
{
    const json_t *options = json_object_get(host, "SecurityOpt");
    for (size_t i = 0; i < json_array_size(options); i++) {
        const char *text = json_string_value(json_array_get(options, i));
        if (text != NULL && strcmp(text, option) == 0) {
            return true;
        }
    }
    return false;
}

/* Entrypoint, then Cmd; behind the small init when there is one. */
static json_t *make_arguments(const struct spec_input *input)
{
    json_t *arguments = json_array();
    if (json_get_flag(input->host, "Init")) {
        json_array_append_new(arguments, json_text("/sbin/docker-init"));
        json_array_append_new(arguments, json_text("--"));
    }
    json_array_extend(arguments, json_object_get(input->config, "Entrypoint"));
    json_array_extend(arguments, json_object_get(input->config, "Cmd"));
    return arguments;
}

static bool has_env(const json_t *env, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < json_array_size(env); i++) {
        const char *text = json_string_value(json_array_get(env, i));
        if (text != NULL && strncmp(text, name, size) == 0 && text[size] == '=') {
            return true;
        }
    }
    return false;
}

static json_t *make_env(const struct spec_input *input)
{
    json_t *env = json_deep_copy(json_object_get(input->config, "Env"));
    char text[300];
    if (!has_env(env, "HOSTNAME")) {
        (void)snprintf(text, sizeof(text), "HOSTNAME=%.255s", input->hostname);
        json_array_append_new(env, json_text(text));
    }
    if (!has_env(env, "HOME")) {
        (void)snprintf(text, sizeof(text), "HOME=%.255s", input->user->home);
        json_array_append_new(env, json_text(text));
    }
    if (json_get_flag(input->config, "Tty") && !has_env(env, "TERM")) {
        json_array_append_new(env, json_text("TERM=xterm"));
    }
    return env;
}

static json_t *make_user(const struct user *user)
{
    json_t *groups = json_array();
    for (uint32_t i = 0; i < user->group_count; i++) {
        json_array_append_new(groups, json_integer(user->groups[i]));
    }
    return json_pack("{sI sI so}", "uid", (json_int_t)user->uid, "gid", (json_int_t)user->gid,
                     "additionalGids", groups);
}

/* Without CAP_SYS_RESOURCE a hard limit cannot be raised: ask for what can be had. */
static rlim_t clamp(int64_t wanted, rlim_t hard)
{
    rlim_t value = wanted < 0 ? RLIM_INFINITY : (rlim_t)wanted;
    return value > hard ? hard : value;
}

static json_t *make_rlimits(const json_t *host)
{
    static const struct {
        const char *name;
        __rlimit_resource_t resource;
    } known[] = {
        {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
        {"data", RLIMIT_DATA},         {"fsize", RLIMIT_FSIZE},
        {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
        {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
        {"nofile", RLIMIT_NOFILE},     {"nproc", RLIMIT_NPROC},
        {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
        {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
        {"stack", RLIMIT_STACK},
    };
    bool may_raise = (capabilities_available() & UINT64_C(1) << 24) != 0;
    json_t *rlimits = json_array();
    const json_t *ulimits = json_object_get(host, "Ulimits");
    for (size_t i = 0; i < json_array_size(ulimits); i++) {
        const json_t *ulimit = json_array_get(ulimits, i);
        const char *name = json_get_text(ulimit, "Name", "");
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            struct rlimit now;
            if (strcmp(known[k].name, name) != 0 || getrlimit(known[k].resource, &now) != 0) {
                continue;
            }
            rlim_t ceiling = may_raise ? RLIM_INFINITY : now.rlim_max;
            char type[40] = "RLIMIT_";
            for (size_t at = 0; name[at] != '\0' && at + 8 < sizeof(type); at++) {
                type[7 + at] = (char)(name[at] - 'a' + 'A');
            }
            rlim_t soft = clamp(json_get_integer(ulimit, "Soft", 0), ceiling);
            rlim_t hard = clamp(json_get_integer(ulimit, "Hard", 0), ceiling);
            /* JSON integers are signed: what is unlimited is written as the largest of them. */
            json_array_append_new(
                rlimits,
                json_pack("{ss sI sI}", "type", type, "soft",
                          (json_int_t)(soft > INT64_MAX ? INT64_MAX : (int64_t)soft), "hard",
                          (json_int_t)(hard > INT64_MAX ? INT64_MAX : (int64_t)hard)));
        }
    }
    return rlimits;
}

/* Inheritable and ambient stay empty (CVE-2022-24769). */
static json_t *make_capabilities(const json_t *list)
{
    return json_pack("{sO sO sO s[] s[]}", "bounding", list, "effective", list, "permitted", list,
                     "inheritable", "ambient");
}

static json_t *make_process(const struct spec_input *input, const json_t *capabilities)
{
    const char *workdir = json_get_text(input->config, "WorkingDir", "");
    bool no_new_privileges = has_option(input->host, "no-new-privileges") ||
                             has_option(input->host, "no-new-privileges:true") ||
                             has_option(input->host, "no-new-privileges=true");
    json_t *process = json_pack(
        "{sb so so so ss so sb so}", "terminal", json_get_flag(input->config, "Tty"), "user",
        make_user(input->user), "args", make_arguments(input), "env", make_env(input), "cwd",
        workdir[0] == '\0' ? "/" : workdir, "capabilities", make_capabilities(capabilities),
        "noNewPrivileges", no_new_privileges, "rlimits", make_rlimits(input->host));
    const json_t *adjustment = json_object_get(input->host, "OomScoreAdj");
    if (json_is_integer(adjustment)) {
        json_object_set_new(process, "oomScoreAdj", json_integer(json_integer_value(adjustment)));
    }
    return process;
}

static void add_mount(json_t *mounts, const char *destination, const char *type, const char *source,
                      const char *options)
{
    json_t *list = json_array();
    for (const char *at = options; *at != '\0';) {
        size_t size = strcspn(at, ",");
        json_array_append_new(list, json_stringn(at, size));
        at += size + (at[size] == ',' ? 1 : 0);
    }
    json_array_append_new(mounts, json_pack("{ss ss ss so}", "destination", destination, "type",
                                            type, "source", source, "options", list));
}

static void add_default_mounts(const struct spec_input *input, json_t *mounts)
{
    bool is_privileged = json_get_flag(input->host, "Privileged");
    char shm[80];
    add_mount(mounts, "/proc", "proc", "proc", "nosuid,noexec,nodev");
    add_mount(mounts, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
    add_mount(mounts, "/dev/pts", "devpts", "devpts",
              "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
    add_mount(mounts, "/sys", "sysfs", "sysfs",
              is_privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro");
    add_mount(mounts, "/sys/fs/cgroup", "cgroup", "cgroup",
              is_privileged ? "nosuid,noexec,nodev" : "ro,nosuid,noexec,nodev");
    add_mount(mounts, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    (void)snprintf(shm, sizeof(shm), "nosuid,noexec,nodev,mode=1777,size=%lldk",
                   (long long)json_get_integer(input->host, "ShmSize", 64 << 20) / 1024);
    if (input->ipc_path == NULL) {
        add_mount(mounts, "/dev/shm", "tmpfs", "shm", shm);
    } else {
        add_mount(mounts, "/dev/shm", "bind", "/dev/shm", "rbind,rprivate");
    }
}

static void add_own_files(const struct spec_input *input, json_t *mounts)
{
    static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        CLEANUP(free) char *source = mem_printf("%s/%s", input->directory, files[i]);
        CLEANUP(free) char *destination = mem_printf("/etc/%s", files[i]);
        bool is_shadowed = false;
        for (size_t k = 0; k < json_array_size(input->mounts); k++) {
            is_shadowed |=
                strcmp(json_get_text(json_array_get(input->mounts, k), "destination", ""),
                       destination) == 0;
        }
        if (!is_shadowed) {
            add_mount(mounts, destination, "bind", source,
                      json_get_flag(input->host, "ReadonlyRootfs") ? "rbind,rprivate,ro"
                                                                   : "rbind,rprivate");
        }
    }
    if (json_get_flag(input->host, "Init")) {
        add_mount(mounts, "/sbin/docker-init", "bind", input->init_path, "bind,ro");
    }
}

static void add_tmpfs(const struct spec_input *input, json_t *mounts)
{
    const char *path = NULL;
    json_t *options = NULL;
    json_t *tmpfs = json_object_get(input->host, "Tmpfs");
    json_object_foreach(tmpfs, path, options)
    {
        const char *given = json_string_value(options);
        CLEANUP(free)
        char *all = mem_printf("nosuid,nodev,noexec%s%s", given[0] == '\0' ? "" : ",", given);
        add_mount(mounts, path, "tmpfs", "tmpfs", all);
    }
}

int spec_make(const struct spec_input *input, json_t **ret, struct err *err)
{
    uint64_t set = 0;
    CLEANUP(json) json_t *linux_object = NULL;
    CLEANUP(json) json_t *capabilities = NULL;
    int status = capabilities_merge(json_object_get(input->host, "CapAdd"),
                                    json_object_get(input->host, "CapDrop"), &set, err);
    if (status != 0) {
        return status;
    }
    set = json_get_flag(input->host, "Privileged") ? UINT64_MAX : set;
    capabilities = capabilities_list(set & capabilities_available());
    status = spec_make_linux(input, capabilities, &linux_object, err);
    if (status != 0) {
        return status;
    }
    json_t *mounts = json_array();
    add_default_mounts(input, mounts);
    add_own_files(input, mounts);
    add_tmpfs(input, mounts);
    json_array_extend(mounts, (json_t *)(uintptr_t)input->mounts);
    *ret = json_pack("{ss so s{ss sb} so sO}", "ociVersion", "1.0.2", "process",
                     make_process(input, capabilities), "root", "path", input->root_path,
                     "readonly", json_get_flag(input->host, "ReadonlyRootfs"), "mounts", mounts,
                     "linux", linux_object);
    if (strcmp(json_get_text(input->host, "UTSMode", ""), "host") != 0) {
        json_object_set_new(*ret, "hostname", json_text(input->hostname));
        const char *domain = json_get_text(input->config, "Domainname", "");
        if (domain[0] != '\0') {
            json_object_set_new(*ret, "domainname", json_text(domain));
        }
    }
    return 0;
}

json_t *spec_make_exec(const json_t *container_spec, const struct spec_exec *exec)
{
    json_t *process = json_deep_copy(json_object_get(container_spec, "process"));
    json_object_set_new(process, "args", texts(exec->arguments, exec->argument_count));
    json_object_set_new(process, "terminal", json_boolean(exec->is_tty));
    json_t *env = json_object_get(process, "env");
    for (size_t i = 0; i < exec->env_count; i++) {
        json_array_append_new(env, json_text(exec->env[i]));
    }
    if (exec->is_tty && !has_env(env, "TERM")) {
        json_array_append_new(env, json_text("TERM=xterm"));
    }
    if (exec->workdir != NULL) {
        json_object_set_new(process, "cwd", json_text(exec->workdir));
    }
    if (exec->user != NULL) {
        json_object_set_new(process, "user", make_user(exec->user));
    }
    if (exec->is_privileged) {
        CLEANUP(json) json_t *all = capabilities_list(capabilities_available());
        json_object_set_new(process, "capabilities", make_capabilities(all));
    }
    return process;
}
