/* spec_linux.c - namespaces, limits, devices, masks and system calls of a container. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/words/seccomp_profile.h"
#include "runtime/words/spec.h"

static const char *const masked_paths[] = {
    "/proc/acpi",       "/proc/asound",        "/proc/interrupts",  "/proc/kcore",
    "/proc/keys",       "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
    "/proc/timer_list", "/proc/timer_stats",   "/sys/firmware",     "/sys/devices/virtual/powercap",
};
static const char *const read_only_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static json_t *texts(const char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_text(items[i]));
    }
    return list;
}

/* path: NULL a new one, "" the host's, else one to join. */
static void add_namespace(json_t *namespaces, const char *type, const char *path)
{
    if (path != NULL && path[0] == '\0') {
        return;
    }
    json_t *entry = json_pack("{ss}", "type", type);
    if (path != NULL) {
        json_object_set_new(entry, "path", json_text(path));
    }
    json_array_append_new(namespaces, entry);
}

static json_t *make_namespaces(const struct spec_input *input)
{
    json_t *namespaces = json_array();
    bool has_host_uts = strcmp(json_get_text(input->host, "UTSMode", ""), "host") == 0;
    add_namespace(namespaces, "mount", NULL);
    add_namespace(namespaces, "network", input->network_path);
    add_namespace(namespaces, "uts", has_host_uts ? "" : NULL);
    add_namespace(namespaces, "pid", input->pid_path);
    add_namespace(namespaces, "ipc", input->ipc_path);
    add_namespace(namespaces, "cgroup", json_get_flag(input->host, "Privileged") ? "" : NULL);
    return namespaces;
}

static void add_device_rule(json_t *rules, bool allow, const char *type, int64_t major,
                            int64_t minor, const char *access)
{
    json_t *rule = json_pack("{sb ss}", "allow", allow, "access", access);
    if (type != NULL) {
        json_object_set_new(rule, "type", json_text(type));
    }
    if (major >= 0) {
        json_object_set_new(rule, "major", json_integer(major));
    }
    if (minor >= 0) {
        json_object_set_new(rule, "minor", json_integer(minor));
    }
    json_array_append_new(rules, rule);
}

static json_t *make_device_rules(bool is_privileged)
{
    static const struct {
        int major;
        int minor;
    } usual[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}, {136, -1}};
    json_t *rules = json_array();
    if (is_privileged) {
        add_device_rule(rules, true, NULL, -1, -1, "rwm");
        return rules;
    }
    add_device_rule(rules, false, NULL, -1, -1, "rwm");
    add_device_rule(rules, true, "c", -1, -1, "m");
    add_device_rule(rules, true, "b", -1, -1, "m");
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        add_device_rule(rules, true, "c", usual[i].major, usual[i].minor, "rwm");
    }
    return rules;
}

static int add_device(json_t *devices, json_t *rules, const char *source, const char *target,
                      const char *access, struct err *err)
{
    struct stat about;
    if (stat(source, &about) != 0) {
        return err_set_errno(err, errno, "--device '%.200s'", source);
    }
    bool is_character = S_ISCHR(about.st_mode);
    if (!is_character && !S_ISBLK(about.st_mode)) {
        return err_set(err, ERR_INVALID, "--device '%.200s' is not a device", source);
    }
    json_array_append_new(
        devices,
        json_pack("{ss ss sI sI sI sI sI}", "path", target, "type", is_character ? "c" : "b",
                  "major", (json_int_t)major(about.st_rdev), "minor",
                  (json_int_t)minor(about.st_rdev), "fileMode", (json_int_t)(about.st_mode & 0777),
                  "uid", (json_int_t)about.st_uid, "gid", (json_int_t)about.st_gid));
    add_device_rule(rules, true, is_character ? "c" : "b", major(about.st_rdev),
                    minor(about.st_rdev), access);
    return 0;
}

/* --privileged: the nodes of /dev itself and its subdirectories are the host's. */
static void add_host_devices(json_t *devices, json_t *rules, const char *directory, int depth)
{
    static const char *const own[] = {"pts", "shm", "mqueue", "console", "fd", ".", ".."};
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        bool is_own = false;
        for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
            is_own |= strcmp(entry->d_name, own[i]) == 0;
        }
        CLEANUP(free) char *path = mem_printf("%s/%s", directory, entry->d_name);
        struct stat about;
        if (is_own || lstat(path, &about) != 0) {
            continue;
        }
        if (S_ISDIR(about.st_mode) && depth < 4) {
            add_host_devices(devices, rules, path, depth + 1);
        } else if (S_ISCHR(about.st_mode) || S_ISBLK(about.st_mode)) {
            struct err ignored;
            int status = add_device(devices, rules, path, path, "rwm", &ignored);
            (void)status; /* it vanished in between */
        }
    }
    (void)closedir(dir);
}

static int make_devices(const struct spec_input *input, json_t *devices, json_t *rules,
                        struct err *err)
{
    if (json_get_flag(input->host, "Privileged")) {
        add_host_devices(devices, rules, "/dev", 0);
    }
    const json_t *asked = json_object_get(input->host, "Devices");
    for (size_t i = 0; i < json_array_size(asked); i++) {
        const json_t *one = json_array_get(asked, i);
        int status = add_device(devices, rules, json_get_text(one, "PathOnHost", ""),
                                json_get_text(one, "PathInContainer", ""),
                                json_get_text(one, "CgroupPermissions", "rwm"), err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static void copy_number(const json_t *host, const char *from, json_t *object, const char *to)
{
    const json_t *value = json_object_get(host, from);
    if (json_is_integer(value)) {
        json_object_set_new(object, to, json_integer(json_integer_value(value)));
    }
}

static json_t *make_memory(const json_t *host)
{
    json_t *memory = json_object();
    copy_number(host, "Memory", memory, "limit");
    copy_number(host, "MemoryReservation", memory, "reservation");
    copy_number(host, "MemorySwap", memory, "swap");
    int64_t limit = json_get_integer(host, "Memory", 0);
    if (limit > 0 && json_object_get(memory, "swap") == NULL) {
        json_object_set_new(memory, "swap", json_integer(limit * 2)); /* Docker's default */
    }
    if (json_get_flag(host, "OomKillDisable")) {
        json_object_set_new(memory, "disableOOMKiller", json_true());
    }
    return memory;
}

static json_t *make_cpu(const json_t *host)
{
    enum { PERIOD_US = 100000 };
    json_t *cpu = json_object();
    copy_number(host, "CpuShares", cpu, "shares");
    copy_number(host, "CpuQuota", cpu, "quota");
    copy_number(host, "CpuPeriod", cpu, "period");
    int64_t nano_cpus = json_get_integer(host, "NanoCpus", 0);
    if (nano_cpus > 0) {
        json_object_set_new(cpu, "period", json_integer(PERIOD_US));
        json_object_set_new(cpu, "quota", json_integer(nano_cpus / 1000 * PERIOD_US / 1000000));
    }
    const char *cpus = json_get_text(host, "CpusetCpus", "");
    const char *mems = json_get_text(host, "CpusetMems", "");
    if (cpus[0] != '\0') {
        json_object_set_new(cpu, "cpus", json_text(cpus));
    }
    if (mems[0] != '\0') {
        json_object_set_new(cpu, "mems", json_text(mems));
    }
    return cpu;
}

static void set_if_filled(json_t *object, const char *key, json_t *value)
{
    if (json_object_size(value) > 0) {
        json_object_set(object, key, value);
    }
    json_decref(value);
}

static int set_seccomp(const struct spec_input *input, const json_t *capabilities, json_t *out,
                       struct err *err)
{
    const json_t *options = json_object_get(input->host, "SecurityOpt");
    const char *profile = NULL;
    for (size_t i = 0; i < json_array_size(options); i++) {
        const char *text = json_string_value(json_array_get(options, i));
        if (text != NULL && strncmp(text, "seccomp=", 8) == 0) {
            profile = text + 8;
        }
    }
    bool is_privileged = json_get_flag(input->host, "Privileged");
    if (profile == NULL ? is_privileged : strcmp(profile, "unconfined") == 0) {
        return 0;
    }
    if (profile == NULL || strcmp(profile, "builtin") == 0) {
        json_object_set_new(out, "seccomp", seccomp_profile_default(capabilities));
        return 0;
    }
    CLEANUP(close_fd) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = profile[0] == '/' ? in_root_read_file(root, profile, 4 << 20, &text) : -ENOENT;
    if (status != 0) {
        return err_set(err, status, "--security-opt seccomp='%.200s': %s (an absolute path)",
                       profile, err_text(status));
    }
    json_t *object = NULL;
    status = json_parse(buf_bytes(&text), profile, &object, err);
    if (status == 0) {
        json_object_set_new(out, "seccomp", object);
    }
    return status;
}

static void set_sysctls(const struct spec_input *input, json_t *out)
{
    json_t *sysctl = json_object();
    if (input->network_path == NULL) {
        /* Low ports and ping without capabilities, as Docker. */
        json_object_set_new(sysctl, "net.ipv4.ip_unprivileged_port_start", json_text("0"));
        json_object_set_new(sysctl, "net.ipv4.ping_group_range", json_text("0 2147483647"));
    }
    const json_t *asked = json_object_get(input->host, "Sysctls");
    if (json_is_object(asked)) {
        (void)json_object_update_new(sysctl, json_deep_copy(asked)); /* both are objects */
    }
    set_if_filled(out, "sysctl", sysctl);
}

json_t *spec_make_resources(const json_t *host)
{
    json_t *resources = json_object();
    set_if_filled(resources, "memory", make_memory(host));
    set_if_filled(resources, "cpu", make_cpu(host));
    int64_t pids = json_get_integer(host, "PidsLimit", 0);
    if (pids != 0) {
        json_object_set_new(resources, "pids", json_pack("{sI}", "limit", (json_int_t)pids));
    }
    return resources;
}

int spec_make_linux(const struct spec_input *input, const json_t *capabilities, json_t **ret,
                    struct err *err)
{
    bool is_privileged = json_get_flag(input->host, "Privileged");
    const json_t *security = json_object_get(input->host, "SecurityOpt");
    bool has_open_paths = is_privileged;
    for (size_t i = 0; i < json_array_size(security); i++) {
        has_open_paths |=
            strcmp(json_string_value(json_array_get(security, i)), "systempaths=unconfined") == 0;
    }
    const char *parent = json_get_text(input->host, "CgroupParent", "");
    CLEANUP(free)
    char *cgroup = mem_printf("%s/%s", parent[0] == '\0' ? "/coracle" : parent, input->id);
    CLEANUP(json) json_t *devices = json_array();
    CLEANUP(json) json_t *rules = make_device_rules(is_privileged);
    int status = make_devices(input, devices, rules, err);
    if (status != 0) {
        return status;
    }
    json_t *resources = spec_make_resources(input->host);
    json_object_set(resources, "devices", rules);
    CLEANUP(json)
    json_t *out = json_pack("{ss so so sO}", "cgroupsPath", cgroup, "namespaces",
                            make_namespaces(input), "resources", resources, "devices", devices);
    if (!has_open_paths) {
        json_object_set_new(out, "maskedPaths",
                            texts(masked_paths, sizeof(masked_paths) / sizeof(masked_paths[0])));
        json_object_set_new(
            out, "readonlyPaths",
            texts(read_only_paths, sizeof(read_only_paths) / sizeof(read_only_paths[0])));
    }
    set_sysctls(input, out);
    status = set_seccomp(input, capabilities, out, err);
    if (status == 0) {
        *ret = TAKE_PTR(out);
    }
    return status;
}
