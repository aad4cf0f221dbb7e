#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "runtime/container/spec.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static const struct field id_mapping_fields[] = {
    FIELD(struct spec_id_mapping, container_id, "containerID", FIELD_U32),
    FIELD(struct spec_id_mapping, host_id, "hostID", FIELD_U32),
    FIELD(struct spec_id_mapping, size, "size", FIELD_U32),
    FIELD_END,
};

static const struct field namespace_fields[] = {
    FIELD(struct spec_namespace, type, "type", FIELD_TEXT),
    FIELD(struct spec_namespace, path, "path", FIELD_TEXT),
    FIELD_END,
};

static const struct field device_fields[] = {
    FIELD(struct spec_device, type, "type", FIELD_TEXT),
    FIELD(struct spec_device, path, "path", FIELD_TEXT),
    FIELD(struct spec_device, major, "major", FIELD_I64),
    FIELD(struct spec_device, minor, "minor", FIELD_I64),
    FIELD(struct spec_device, file_mode, "fileMode", FIELD_MAYBE_U64),
    FIELD(struct spec_device, uid, "uid", FIELD_MAYBE_U64),
    FIELD(struct spec_device, gid, "gid", FIELD_MAYBE_U64),
    FIELD_END,
};

static const struct field personality_fields[] = {
    FIELD(struct spec_personality, domain, "domain", FIELD_TEXT),
    FIELD(struct spec_personality, flags, "flags", FIELD_TEXT_LIST),
    FIELD_END,
};

static const struct field time_offset_fields[] = {
    FIELD(struct spec_time_offset, secs, "secs", FIELD_I64),
    FIELD(struct spec_time_offset, nanosecs, "nanosecs", FIELD_U32),
    FIELD_END,
};

static const struct field net_device_fields[] = {
    FIELD(struct spec_net_device, name, "name", FIELD_TEXT),
    FIELD_END,
};

static const struct field intel_rdt_fields[] = {
    FIELD(struct spec_intel_rdt, clos_id, "closID", FIELD_TEXT),
    FIELD(struct spec_intel_rdt, l3_cache_schema, "l3CacheSchema", FIELD_TEXT),
    FIELD(struct spec_intel_rdt, mem_bw_schema, "memBwSchema", FIELD_TEXT),
    FIELD(struct spec_intel_rdt, schemata, "schemata", FIELD_TEXT_LIST),
    FIELD_END,
};

static const struct field memory_policy_fields[] = {
    FIELD(struct spec_memory_policy, mode, "mode", FIELD_TEXT),
    FIELD(struct spec_memory_policy, nodes, "nodes", FIELD_TEXT),
    FIELD(struct spec_memory_policy, flags, "flags", FIELD_TEXT_LIST),
    FIELD_END,
};

const struct field spec_linux_fields[] = {
    FIELD_OF(struct spec_linux, uid_mappings, "uidMappings", FIELD_LIST, id_mapping_fields,
             struct spec_id_mapping),
    FIELD_OF(struct spec_linux, gid_mappings, "gidMappings", FIELD_LIST, id_mapping_fields,
             struct spec_id_mapping),
    FIELD_OF(struct spec_linux, namespaces, "namespaces", FIELD_LIST, namespace_fields,
             struct spec_namespace),
    FIELD_OF(struct spec_linux, devices, "devices", FIELD_LIST, device_fields, struct spec_device),
    FIELD(struct spec_linux, cgroups_path, "cgroupsPath", FIELD_TEXT),
    FIELD_OF(struct spec_linux, resources, "resources", FIELD_STRUCT, spec_resources_fields,
             struct spec_resources),
    FIELD(struct spec_linux, rootfs_propagation, "rootfsPropagation", FIELD_TEXT),
    FIELD_OF(struct spec_linux, seccomp, "seccomp", FIELD_POINTER, spec_seccomp_fields,
             struct spec_seccomp),
    FIELD(struct spec_linux, sysctl, "sysctl", FIELD_TEXT_MAP),
    FIELD(struct spec_linux, masked_paths, "maskedPaths", FIELD_TEXT_LIST),
    FIELD(struct spec_linux, readonly_paths, "readonlyPaths", FIELD_TEXT_LIST),
    FIELD(struct spec_linux, mount_label, "mountLabel", FIELD_TEXT),
    FIELD_OF(struct spec_linux, personality, "personality", FIELD_POINTER, personality_fields,
             struct spec_personality),
    FIELD_OF(struct spec_linux, time_offsets, "timeOffsets", FIELD_MAP, time_offset_fields,
             struct spec_time_offset),
    FIELD_OF(struct spec_linux, net_devices, "netDevices", FIELD_MAP, net_device_fields,
             struct spec_net_device),
    FIELD_OF(struct spec_linux, intel_rdt, "intelRdt", FIELD_POINTER, intel_rdt_fields,
             struct spec_intel_rdt),
    FIELD_OF(struct spec_linux, memory_policy, "memoryPolicy", FIELD_POINTER, memory_policy_fields,
             struct spec_memory_policy),
    FIELD_END,
};

static int namespace_flag(const char *type)
{
    static const struct {
        const char *type;
        int flag;
    } types[] = {
        {"pid", CLONE_NEWPID},   {"network", CLONE_NEWNET},   {"mount", CLONE_NEWNS},
        {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},       {"user", CLONE_NEWUSER},
        {"time", CLONE_NEWTIME}, {"cgroup", CLONE_NEWCGROUP},
    };
    for (size_t i = 0; type != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].type, type) == 0) {
            return types[i].flag;
        }
    }
    return 0;
}

static int check_namespaces(struct spec_linux *linux_, struct err *err)
{
    int seen = 0;
    for (size_t i = 0; i < linux_->namespaces.count; i++) {
        struct spec_namespace *ns = &linux_->namespaces.items[i];
        ns->flag = namespace_flag(ns->type);
        if (ns->flag == 0) {
            return err_set(err, ERR_INVALID, "linux.namespaces[%zu].type: invalid namespace '%s'",
                           i, ns->type == NULL ? "" : ns->type);
        }
        if ((seen & ns->flag) != 0) {
            return err_set(err, ERR_INVALID, "linux.namespaces[%zu].type: duplicate namespace '%s'",
                           i, ns->type);
        }
        seen |= ns->flag;
        if (ns->path != NULL && ns->path[0] == 0) {
            ns->path = NULL;
        }
        if (ns->path != NULL && ns->path[0] != '/') {
            return err_set(err, ERR_INVALID,
                           "linux.namespaces[%zu].path: must be an absolute path, got '%s'", i,
                           ns->path);
        }
    }
    return 0;
}

static int check_devices(const struct spec_linux *linux_, struct err *err)
{
    for (size_t i = 0; i < linux_->devices.count; i++) {
        const struct spec_device *device = &linux_->devices.items[i];
        if (device->path == NULL || device->path[0] != '/') {
            return err_set(err, ERR_INVALID, "linux.devices[%zu].path: must be an absolute path",
                           i);
        }
        if (device->type == NULL || device->type[0] == 0 || device->type[1] != 0 ||
            strchr("cbup", device->type[0]) == NULL) {
            return err_set(err, ERR_INVALID, "linux.devices[%zu].type: must be c, b, u or p", i);
        }
    }
    return 0;
}

static int check_paths(const struct text_list *paths, const char *name, struct err *err)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (paths->items[i][0] != '/') {
            return err_set(err, ERR_INVALID, "linux.%s[%zu]: must be an absolute path, got '%s'",
                           name, i, paths->items[i]);
        }
    }
    return 0;
}

static int check_propagation(const struct spec_linux *linux_, struct err *err)
{
    static const char *const known[] = {"shared",  "slave",  "private",  "unbindable",
                                        "rshared", "rslave", "rprivate", "runbindable"};
    if (linux_->rootfs_propagation == NULL || linux_->rootfs_propagation[0] == 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i], linux_->rootfs_propagation) == 0) {
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "linux.rootfsPropagation: invalid value '%s'",
                   linux_->rootfs_propagation);
}

static int check_mappings(const struct spec *spec, struct err *err)
{
    const struct spec_namespace *user = spec_find_namespace(spec, CLONE_NEWUSER);
    bool has_mappings = spec->linux_.uid_mappings.count > 0 || spec->linux_.gid_mappings.count > 0;
    if (has_mappings && user == NULL) {
        return err_set(err, ERR_INVALID,
                       "linux.uidMappings: given, but linux.namespaces has no user namespace");
    }
    if (user != NULL && user->path == NULL &&
        (spec->linux_.uid_mappings.count == 0 || spec->linux_.gid_mappings.count == 0)) {
        return err_set(err, ERR_INVALID,
                       "linux.uidMappings and linux.gidMappings: a new user namespace needs both");
    }
    return 0;
}

/* What a sysctl belongs to; 0: it is the host's and refused. */
static int sysctl_namespace(const char *name)
{
    static const char *const ipc[] = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                      "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                      "kernel.shmmni", "kernel.shm_rmid_forced"};
    for (size_t i = 0; i < sizeof ipc / sizeof ipc[0]; i++) {
        if (strcmp(name, ipc[i]) == 0) {
            return CLONE_NEWIPC;
        }
    }
    if (strncmp(name, "fs.mqueue.", 10) == 0) {
        return CLONE_NEWIPC;
    }
    if (strncmp(name, "net.", 4) == 0) {
        return CLONE_NEWNET;
    }
    bool is_uts = strcmp(name, "kernel.domainname") == 0 || strcmp(name, "kernel.hostname") == 0;
    return is_uts ? CLONE_NEWUTS : strncmp(name, "user.", 5) == 0 ? CLONE_NEWUSER : 0;
}

/* A sysctl must be private to the container (CVE-2022-0811: anything else is a way to the host). */
static int check_sysctls(const struct spec *spec, struct err *err)
{
    for (size_t i = 0; i < spec->linux_.sysctl.count; i++) {
        char name[256];
        (void)snprintf(name, sizeof name, "%s", spec->linux_.sysctl.items[i].name);
        /* Both spellings are in use: net.ipv4.ip_forward and net/ipv4/ip_forward. */
        char *slash = strchr(name, '/');
        char *dot = strchr(name, '.');
        if (slash != NULL && (dot == NULL || slash < dot)) {
            for (char *p = name; *p != 0; p++) {
                *p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
            }
        }
        /* Two separators in a row would be a step up the tree in one of the spellings. */
        bool climbs = strstr(name, "..") != NULL || strstr(name, "//") != NULL ||
                      strstr(name, "./") != NULL || strstr(name, "/.") != NULL;
        int flag = sysctl_namespace(name);
        if (flag == 0 || climbs) {
            return err_set(err, ERR_INVALID,
                           "linux.sysctl: sysctl \"%s\" is not in a separate kernel namespace",
                           name);
        }
        if (flag == CLONE_NEWUTS && strcmp(name, "kernel.hostname") == 0) {
            return err_set(err, ERR_INVALID,
                           "linux.sysctl: sysctl \"%s\" conflicts with hostname; use hostname",
                           name);
        }
        if (flag == CLONE_NEWUTS && spec->domainname != NULL && spec->domainname[0] != 0 &&
            strcmp(spec->domainname, spec->linux_.sysctl.items[i].value) != 0) {
            return err_set(err, ERR_INVALID,
                           "linux.sysctl: sysctl \"%s\" conflicts with domainname", name);
        }
        if (spec_find_namespace(spec, flag) == NULL) {
            return err_set(err, ERR_INVALID,
                           "linux.sysctl: sysctl \"%s\" is not allowed in the hosts namespace",
                           name);
        }
    }
    return 0;
}

static int check_names(const struct spec *spec, struct err *err)
{
    bool has_uts = spec_find_namespace(spec, CLONE_NEWUTS) != NULL;
    if (spec->hostname != NULL && spec->hostname[0] != 0 && !has_uts) {
        return err_set(err, ERR_INVALID, "hostname: unable to set without a uts namespace");
    }
    if (spec->domainname != NULL && spec->domainname[0] != 0 && !has_uts) {
        return err_set(err, ERR_INVALID, "domainname: unable to set without a uts namespace");
    }
    if (spec->hostname != NULL && strlen(spec->hostname) > 64) {
        return err_set(err, ERR_INVALID, "hostname: longer than 64 bytes");
    }
    if (spec->linux_.time_offsets.count > 0 &&
        (spec_new_namespace_flags(spec) & CLONE_NEWTIME) == 0) {
        return err_set(err, ERR_INVALID, "linux.timeOffsets: needs a new time namespace");
    }
    return 0;
}

/* What would change the container if it were passed over in silence is refused. */
static int check_unsupported(const struct spec_linux *linux_, struct err *err)
{
    if (linux_->net_devices.count > 0) {
        return err_set(err, ERR_UNSUPPORTED, "linux.netDevices: not supported");
    }
    if (linux_->intel_rdt != NULL) {
        return err_set(err, ERR_UNSUPPORTED, "linux.intelRdt: not supported");
    }
    return 0;
}

int spec_check_linux(struct spec *spec, struct err *err)
{
    struct spec_linux *linux_ = &spec->linux_;
    int rc = 0;
    if ((rc = check_namespaces(linux_, err)) < 0 || (rc = check_devices(linux_, err)) < 0 ||
        (rc = check_paths(&linux_->masked_paths, "maskedPaths", err)) < 0 ||
        (rc = check_paths(&linux_->readonly_paths, "readonlyPaths", err)) < 0 ||
        (rc = check_propagation(linux_, err)) < 0 || (rc = check_mappings(spec, err)) < 0 ||
        (rc = check_sysctls(spec, err)) < 0 || (rc = check_names(spec, err)) < 0) {
        return rc;
    }
    rc = check_unsupported(linux_, err);
    return rc < 0 ? rc : spec_check_resources(&linux_->resources, err);
}
