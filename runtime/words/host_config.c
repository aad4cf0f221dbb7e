/* host_config.c - the HostConfig object: what docker inspect shows, checked at the gate. */
#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/capabilities.h"
#include "runtime/words/mount_text.h"
#include "runtime/words/port_text.h"
#include "runtime/words/run_options.h"
#include "runtime/words/words.h"

static json_t *list_of(const struct text_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++) {
        json_array_append_new(array, json_text(list->items[i]));
    }
    return array;
}

/* A whole number within bounds; NULL text sets nothing. */
static int set_integer(json_t *host, const char *key, const char *option, const char *text,
                       int64_t low, int64_t high, struct err *err)
{
    if (text == NULL) {
        return 0;
    }
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < low || value > high) {
        return err_set(err, ERR_INVALID, "--%s: '%.60s' is not a number from %lld to %lld", option,
                       text, (long long)low, (long long)high);
    }
    json_object_set_new(host, key, json_integer(value));
    return 0;
}

static int set_size(json_t *host, const char *key, const char *option, const char *text,
                    struct err *err)
{
    int64_t value = 0;
    if (text == NULL) {
        return 0;
    }
    if (strcmp(text, "-1") == 0) {
        value = -1;
    } else {
        int status = parse_size(text, &value, err);
        if (status != 0) {
            return err_prefix(err, "--%s", option);
        }
    }
    json_object_set_new(host, key, json_integer(value));
    return 0;
}

static int set_memory(const struct run_options *options, json_t *host, struct err *err)
{
    enum { MEMORY_MIN = 6 << 20 }; /* Docker's; less does not even start */
    int status;
    if ((status = set_size(host, "Memory", "memory", options->memory, err)) != 0 ||
        (status = set_size(host, "MemorySwap", "memory-swap", options->memory_swap, err)) != 0 ||
        (status = set_size(host, "MemoryReservation", "memory-reservation",
                           options->memory_reservation, err)) != 0 ||
        (status = set_size(host, "ShmSize", "shm-size", options->shm_size, err)) != 0) {
        return status;
    }
    int64_t limit = json_get_integer(host, "Memory", 0);
    int64_t swap = json_get_integer(host, "MemorySwap", 0);
    if (limit != 0 && limit < MEMORY_MIN) {
        return err_set(err, ERR_INVALID, "--memory: the least is 6m");
    }
    if (swap > 0 && limit == 0) {
        return err_set(err, ERR_INVALID, "--memory-swap needs --memory");
    }
    if (swap > 0 && swap < limit) {
        return err_set(err, ERR_INVALID,
                       "--memory-swap is memory and swap together, so it cannot be below --memory");
    }
    return 0;
}

static int set_cpus(const struct run_options *options, json_t *host, struct err *err)
{
    if (options->cpus != NULL) {
        char *end = NULL;
        double cpus = strtod(options->cpus, &end);
        if (end == options->cpus || *end != '\0' || !(cpus > 0) || cpus > 10000) {
            return err_set(err, ERR_INVALID, "--cpus: '%.60s' is not a number of processors",
                           options->cpus);
        }
        if (options->cpu_quota != NULL || options->cpu_period != NULL) {
            return err_set(err, ERR_INVALID, "--cpus and --cpu-quota exclude each other");
        }
        json_object_set_new(host, "NanoCpus", json_integer((json_int_t)llround(cpus * 1e9)));
    }
    int status;
    if ((status = set_integer(host, "CpuShares", "cpu-shares", options->cpu_shares, 0, 262144,
                              err)) != 0 ||
        (status = set_integer(host, "CpuQuota", "cpu-quota", options->cpu_quota, 1000, INT64_MAX,
                              err)) != 0 ||
        (status = set_integer(host, "CpuPeriod", "cpu-period", options->cpu_period, 1000, 1000000,
                              err)) != 0 ||
        (status = set_integer(host, "PidsLimit", "pids-limit", options->pids_limit, -1, INT32_MAX,
                              err)) != 0 ||
        (status = set_integer(host, "OomScoreAdj", "oom-score-adj", options->oom_score_adj, -1000,
                              1000, err)) != 0) {
        return status;
    }
    if (options->cpuset_cpus != NULL) {
        json_object_set_new(host, "CpusetCpus", json_text(options->cpuset_cpus));
    }
    if (options->cpuset_mems != NULL) {
        json_object_set_new(host, "CpusetMems", json_text(options->cpuset_mems));
    }
    return 0;
}

/* no, on-failure[:N], always, unless-stopped */
static int set_restart(const struct run_options *options, json_t *host, struct err *err)
{
    const char *text = options->restart == NULL ? "no" : options->restart;
    long count = 0;
    size_t size = strcspn(text, ":");
    if (text[size] == ':') {
        char *end = NULL;
        count = strtol(text + size + 1, &end, 10);
        if (end == text + size + 1 || *end != '\0' || count < 0 ||
            strncmp(text, "on-failure", size) != 0) {
            return err_set(err, ERR_INVALID, "--restart: invalid policy '%.60s'", text);
        }
    }
    CLEANUP(free) char *name = mem_strdup(text);
    name[size] = '\0';
    if (strcmp(name, "no") != 0 && strcmp(name, "on-failure") != 0 && strcmp(name, "always") != 0 &&
        strcmp(name, "unless-stopped") != 0) {
        return err_set(
            err, ERR_INVALID,
            "--restart: '%.60s' is not one of no, on-failure[:N], always, unless-stopped", text);
    }
    if (options->is_removed && strcmp(name, "no") != 0) {
        return err_set(err, ERR_INVALID, "--restart and --rm exclude each other");
    }
    json_object_set_new(host, "RestartPolicy",
                        json_pack("{ss si}", "Name", name, "MaximumRetryCount", (int)count));
    return 0;
}

/* NAME=SOFT[:HARD]; -1 is unlimited. */
static int set_ulimits(const struct run_options *options, json_t *host, struct err *err)
{
    static const char *const known[] = {
        "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
        "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack",
    };
    json_t *list = json_array();
    json_object_set_new(host, "Ulimits", list);
    for (size_t i = 0; i < options->ulimit.count; i++) {
        const char *text = options->ulimit.items[i];
        size_t size = strcspn(text, "=");
        bool is_known = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            is_known |= strlen(known[k]) == size && strncmp(known[k], text, size) == 0;
        }
        char *end = NULL;
        long long soft = text[size] == '=' ? strtoll(text + size + 1, &end, 10) : -2;
        long long hard = soft;
        if (end != NULL && *end == ':') {
            hard = strtoll(end + 1, &end, 10);
        }
        if (!is_known || end == NULL || end == text + size + 1 || *end != '\0' || soft < -1 ||
            hard < -1 || (hard >= 0 && (soft < 0 || soft > hard))) {
            return err_set(err, ERR_INVALID, "--ulimit: invalid limit '%.60s' (nofile=1024:2048)",
                           text);
        }
        CLEANUP(free) char *name = mem_strdup(text);
        name[size] = '\0';
        json_array_append_new(list, json_pack("{ss sI sI}", "Name", name, "Soft", (json_int_t)soft,
                                              "Hard", (json_int_t)hard));
    }
    return 0;
}

/* Only what belongs to the container's own namespaces (containers.md 5.1 "sysctl injection"). */
static int set_sysctls(const struct run_options *options, json_t *host, struct err *err)
{
    static const char *const allowed[] = {
        "net.",       "fs.mqueue.",    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",
        "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
    json_t *object = json_object();
    json_object_set_new(host, "Sysctls", object);
    for (size_t i = 0; i < options->sysctl.count; i++) {
        const char *text = options->sysctl.items[i];
        size_t size = strcspn(text, "=");
        bool is_allowed = false;
        for (size_t k = 0; k < sizeof(allowed) / sizeof(allowed[0]); k++) {
            size_t length = strlen(allowed[k]);
            bool is_family = allowed[k][length - 1] == '.';
            is_allowed |= strncmp(text, allowed[k], length) == 0 && (is_family || size == length);
        }
        if (!is_allowed || text[size] != '=' || strchr(text, '\n') != NULL ||
            strstr(text, "..") != NULL) {
            return err_set(err, ERR_INVALID,
                           "--sysctl: '%.100s' is not NAME=VALUE of a parameter that a container "
                           "has for itself",
                           text);
        }
        CLEANUP(free) char *name = mem_strdup(text);
        name[size] = '\0';
        json_object_set_new(object, name, json_text(text + size + 1));
    }
    return 0;
}

/* HOST[:CONTAINER[:rwm]] */
static int set_devices(const struct run_options *options, json_t *host, struct err *err)
{
    json_t *list = json_array();
    json_object_set_new(host, "Devices", list);
    for (size_t i = 0; i < options->device.count; i++) {
        CLEANUP(free) char *copy = mem_strdup(options->device.items[i]);
        char *rest = copy;
        const char *source = strsep(&rest, ":");
        const char *target = rest == NULL ? source : strsep(&rest, ":");
        const char *access = rest == NULL ? "rwm" : rest;
        if (target[0] != '/' && strspn(target, "rwm") == strlen(target)) {
            access = target;
            target = source;
        }
        if (source[0] != '/' || target[0] != '/' || access[0] == '\0' ||
            strspn(access, "rwm") != strlen(access)) {
            return err_set(err, ERR_INVALID, "--device: invalid device '%.100s'",
                           options->device.items[i]);
        }
        json_array_append_new(list, json_pack("{ss ss ss}", "PathOnHost", source, "PathInContainer",
                                              target, "CgroupPermissions", access));
    }
    return 0;
}

static int set_security(const struct run_options *options, json_t *host, struct err *err)
{
    for (size_t i = 0; i < options->security_opt.count; i++) {
        const char *text = options->security_opt.items[i];
        bool is_known =
            strcmp(text, "no-new-privileges") == 0 || strcmp(text, "no-new-privileges:true") == 0 ||
            strcmp(text, "no-new-privileges=true") == 0 ||
            strcmp(text, "no-new-privileges:false") == 0 || strncmp(text, "seccomp=", 8) == 0 ||
            strncmp(text, "label=", 6) == 0 || strncmp(text, "apparmor=", 9) == 0 ||
            strncmp(text, "label:", 6) == 0 || strcmp(text, "systempaths=unconfined") == 0;
        if (!is_known) {
            return err_set(err, ERR_INVALID, "--security-opt: unknown option '%.100s'", text);
        }
    }
    uint64_t ignored = 0;
    json_object_set_new(host, "SecurityOpt", list_of(&options->security_opt));
    json_object_set_new(host, "CapAdd", list_of(&options->cap_add));
    json_object_set_new(host, "CapDrop", list_of(&options->cap_drop));
    return capabilities_merge(json_object_get(host, "CapAdd"), json_object_get(host, "CapDrop"),
                              &ignored, err);
}

static int set_modes(const struct run_options *options, json_t *host, struct err *err)
{
    const char *network = options->network == NULL ? "bridge" : options->network;
    const char *pid = options->pid == NULL ? "" : options->pid;
    const char *ipc = options->ipc == NULL ? "private" : options->ipc;
    const char *uts = options->uts == NULL ? "" : options->uts;
    struct in_addr address;
    network = strcmp(network, "default") == 0 ? "bridge" : network;
    if (pid[0] != '\0' && strcmp(pid, "host") != 0 && strncmp(pid, "container:", 10) != 0) {
        return err_set(err, ERR_INVALID, "--pid: '%.60s' is neither host nor container:ID", pid);
    }
    if (strcmp(ipc, "private") != 0 && strcmp(ipc, "host") != 0 && strcmp(ipc, "shareable") != 0 &&
        strcmp(ipc, "none") != 0 && strncmp(ipc, "container:", 10) != 0) {
        return err_set(err, ERR_INVALID, "--ipc: unknown mode '%.60s'", ipc);
    }
    if (uts[0] != '\0' && strcmp(uts, "host") != 0) {
        return err_set(err, ERR_INVALID, "--uts: the only mode is host");
    }
    if (options->ip != NULL && inet_pton(AF_INET, options->ip, &address) != 1) {
        return err_set(err, ERR_INVALID, "--ip: '%.60s' is not an IPv4 address", options->ip);
    }
    bool has_own_network = strcmp(network, "host") != 0 && strcmp(network, "none") != 0 &&
                           strncmp(network, "container:", 10) != 0;
    if (!has_own_network && options->publish.count > 0 && strncmp(network, "container:", 10) == 0) {
        return err_set(err, ERR_INVALID,
                       "ports are published by the container that owns the network, not by one "
                       "that joins it");
    }
    json_object_set_new(host, "NetworkMode", json_text(network));
    json_object_set_new(host, "PidMode", json_text(pid));
    json_object_set_new(host, "IpcMode", json_text(ipc));
    json_object_set_new(host, "UTSMode", json_text(uts));
    if (options->ip != NULL) {
        json_object_set_new(host, "IPAddress", json_text(options->ip));
    }
    return 0;
}

static int set_mounts(const struct run_options *options, json_t *host, struct err *err)
{
    json_t *mounts = json_array();
    json_t *tmpfs = json_object();
    json_object_set_new(host, "Mounts", mounts);
    json_object_set_new(host, "Tmpfs", tmpfs);
    json_object_set_new(host, "Binds", list_of(&options->volume));
    int status = 0;
    for (size_t i = 0; status == 0 && i < options->volume.count; i++) {
        status = mount_text_parse_volume(options->volume.items[i], mounts, err);
    }
    for (size_t i = 0; status == 0 && i < options->mount.count; i++) {
        status = mount_text_parse_mount(options->mount.items[i], mounts, err);
    }
    for (size_t i = 0; status == 0 && i < options->tmpfs.count; i++) {
        status = mount_text_parse_tmpfs(options->tmpfs.items[i], tmpfs, err);
    }
    return status == 0 ? mount_text_check(mounts, err) : status;
}

static int set_log(const struct run_options *options, json_t *host, struct err *err)
{
    const char *driver = options->log_driver == NULL ? "file" : options->log_driver;
    bool is_file = strcmp(driver, "file") == 0 || strcmp(driver, "json-file") == 0 ||
                   strcmp(driver, "local") == 0;
    if (!is_file && strcmp(driver, "none") != 0) {
        return err_set(err, ERR_UNSUPPORTED, "--log-driver: '%.60s' is neither file nor none",
                       driver);
    }
    json_t *config = json_object();
    json_object_set_new(host, "LogConfig",
                        json_pack("{ss so}", "Type", is_file ? "file" : "none", "Config", config));
    for (size_t i = 0; i < options->log_opt.count; i++) {
        CLEANUP(free) char *copy = mem_strdup(options->log_opt.items[i]);
        char *equals = strchr(copy, '=');
        if (equals == NULL) {
            return err_set(err, ERR_INVALID, "--log-opt: '%.100s' is not NAME=VALUE", copy);
        }
        *equals = '\0';
        json_object_set_new(config, copy, json_text(equals + 1));
    }
    return 0;
}

static int check_hosts(const struct run_options *options, struct err *err)
{
    for (size_t i = 0; i < options->add_host.count; i++) {
        const char *text = options->add_host.items[i];
        size_t size = strcspn(text, ":=");
        if (size == 0 || text[size] == '\0' || strpbrk(text, " \t\n") != NULL) {
            return err_set(err, ERR_INVALID, "--add-host: '%.100s' is not NAME:ADDRESS", text);
        }
    }
    for (size_t i = 0; i < options->dns.count; i++) {
        struct in6_addr address;
        if (inet_pton(AF_INET, options->dns.items[i], &address) != 1 &&
            inet_pton(AF_INET6, options->dns.items[i], &address) != 1) {
            return err_set(err, ERR_INVALID, "--dns: '%.100s' is not an address",
                           options->dns.items[i]);
        }
    }
    return 0;
}

int run_host_config(const struct run_options *options, json_t **ret, struct err *err)
{
    CLEANUP(json) json_t *host = json_object();
    json_t *ports = json_object();
    json_object_set_new(host, "PortBindings", ports);
    int status;
    if ((status = set_memory(options, host, err)) != 0 ||
        (status = set_cpus(options, host, err)) != 0 ||
        (status = set_restart(options, host, err)) != 0 ||
        (status = set_ulimits(options, host, err)) != 0 ||
        (status = set_sysctls(options, host, err)) != 0 ||
        (status = set_devices(options, host, err)) != 0 ||
        (status = set_security(options, host, err)) != 0 ||
        (status = set_modes(options, host, err)) != 0 ||
        (status = set_mounts(options, host, err)) != 0 ||
        (status = set_log(options, host, err)) != 0 || (status = check_hosts(options, err)) != 0) {
        return status;
    }
    for (size_t i = 0; i < options->publish.count; i++) {
        status = port_text_parse(options->publish.items[i], ports, err);
        if (status != 0) {
            return status;
        }
    }
    json_object_set_new(host, "Privileged", json_boolean(options->is_privileged));
    json_object_set_new(host, "ReadonlyRootfs", json_boolean(options->is_read_only));
    json_object_set_new(host, "AutoRemove", json_boolean(options->is_removed));
    json_object_set_new(host, "Init", json_boolean(options->has_init));
    json_object_set_new(host, "PublishAllPorts", json_boolean(options->publishes_all));
    json_object_set_new(host, "OomKillDisable", json_boolean(options->is_oom_kill_disabled));
    json_object_set_new(host, "GroupAdd", list_of(&options->group_add));
    json_object_set_new(host, "ExtraHosts", list_of(&options->add_host));
    json_object_set_new(host, "Dns", list_of(&options->dns));
    json_object_set_new(host, "DnsSearch", list_of(&options->dns_search));
    json_object_set_new(host, "DnsOptions", list_of(&options->dns_option));
    json_object_set_new(host, "NetworkAliases", list_of(&options->network_alias));
    json_object_set_new(host, "CgroupParent",
                        json_text(options->cgroup_parent == NULL ? "" : options->cgroup_parent));
    *ret = TAKE_PTR(host);
    return 0;
}
