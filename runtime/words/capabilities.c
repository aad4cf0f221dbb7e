#include "runtime/words/capabilities.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

#include "runtime/image/json.h"

/* In the order of linux/capability.h. */
static const char *const names[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};
enum { NAME_COUNT = sizeof(names) / sizeof(names[0]) };
static const uint64_t CAPABILITIES_ALL = (UINT64_C(1) << NAME_COUNT) - 1;

int capabilities_parse(const char *name, uint64_t *ret, struct err *err)
{
    const char *bare = strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;
    if (strcasecmp(bare, "ALL") == 0) {
        *ret = CAPABILITIES_ALL;
        return 0;
    }
    for (int i = 0; i < NAME_COUNT; i++) {
        if (strcasecmp(names[i], bare) == 0) {
            *ret = UINT64_C(1) << i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "unknown capability '%.60s'", name);
}

static int collect(const json_t *list, uint64_t *ret, struct err *err)
{
    uint64_t set = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        uint64_t one = 0;
        int status = capabilities_parse(name == NULL ? "" : name, &one, err);
        if (status != 0) {
            return status;
        }
        set |= one;
    }
    *ret = set;
    return 0;
}

int capabilities_merge(const json_t *add, const json_t *drop, uint64_t *ret, struct err *err)
{
    uint64_t added = 0;
    uint64_t dropped = 0;
    int status = collect(add, &added, err);
    if (status == 0) {
        status = collect(drop, &dropped, err);
    }
    if (status != 0) {
        return status;
    }
    if (dropped == CAPABILITIES_ALL) {
        *ret = added == CAPABILITIES_ALL ? 0 : added;
    } else {
        *ret = (CAPABILITIES_DEFAULT | added) & ~dropped;
    }
    return 0;
}

json_t *capabilities_list(uint64_t set)
{
    json_t *list = json_array();
    for (int i = 0; i < NAME_COUNT; i++) {
        if ((set & UINT64_C(1) << i) != 0) {
            char name[40];
            (void)snprintf(name, sizeof(name), "CAP_%s", names[i]);
            json_array_append_new(list, json_text(name));
        }
    }
    return list;
}

uint64_t capabilities_available(void)
{
    uint64_t set = 0;
    for (int i = 0; i < NAME_COUNT; i++) {
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) {
            set |= UINT64_C(1) << i;
        }
    }
    return set;
}
