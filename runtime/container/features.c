/* features.c - `features` (runtime-spec features.md) and `spec`. */
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/json_text.h"
#include "runtime/container/caps.h"
#include "runtime/container/container.h"
#include "runtime/container/mount_options.h"
#include "runtime/container/seccomp.h"

static void append_names(struct buf *out, const char *const *names)
{
    buf_append_text(out, "[");
    for (size_t i = 0; names[i] != NULL; i++) {
        buf_append_text(out, i == 0 ? "" : ",");
        json_text_append_quoted(out, bytes_from_text(names[i]));
    }
    buf_append_text(out, "]");
}

static void append_capabilities(struct buf *out)
{
    buf_append_text(out, "[");
    for (unsigned i = 0; i < CAPS_COUNT; i++) {
        buf_append_format(out, "%s\"%s\"", i == 0 ? "" : ",", caps_name(i));
    }
    buf_append_text(out, "]");
}

static void append_seccomp(struct buf *out)
{
    buf_append_text(out, "\"seccomp\":{\"enabled\":true,\"actions\":");
    append_names(out, seccomp_action_names);
    buf_append_text(out, ",\"operators\":");
    append_names(out, seccomp_operator_names);
    buf_append_text(out, ",\"archs\":");
    append_names(out, seccomp_arch_names);
    buf_append_text(out, ",\"knownFlags\":");
    append_names(out, seccomp_flag_names);
    buf_append_text(out, ",\"supportedFlags\":");
    append_names(out, seccomp_flag_names);
    buf_append_text(out, "}");
}

void container_print_features(struct buf *out)
{
    buf_append_text(out, "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"1.3.0\",\"hooks\":["
                         "\"prestart\",\"createRuntime\",\"createContainer\",\"startContainer\","
                         "\"poststart\",\"poststop\"],\"mountOptions\":");
    buf_append_text(out, "[");
    for (size_t i = 0; mount_options_name(i) != NULL; i++) {
        buf_append_format(out, "%s\"%s\"", i == 0 ? "" : ",", mount_options_name(i));
    }
    buf_append_text(out, "]");
    buf_append_text(out, ",\"linux\":{\"namespaces\":[\"cgroup\",\"ipc\",\"mount\",\"network\","
                         "\"pid\",\"time\",\"user\",\"uts\"],\"capabilities\":");
    append_capabilities(out);
    buf_append_text(out, ",\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":false,"
                         "\"systemdUser\":false,\"rdma\":true},");
    append_seccomp(out);
    buf_append_text(out, ",\"apparmor\":{\"enabled\":false},\"selinux\":{\"enabled\":false},"
                         "\"intelRdt\":{\"enabled\":false},\"memoryPolicy\":{},"
                         "\"mountExtensions\":{\"idmap\":{\"enabled\":true}},"
                         "\"netDevices\":{\"enabled\":false}},"
                         "\"annotations\":{},\"potentiallyUnsafeConfigAnnotations\":[]}\n");
}

#define SPEC_CAPS "[\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]"

static const char spec_process[] =
    "{\n"
    "  \"ociVersion\": \"1.0.2\",\n"
    "  \"process\": {\n"
    "    \"terminal\": true,\n"
    "    \"user\": {\"uid\": 0, \"gid\": 0},\n"
    "    \"args\": [\"sh\"],\n"
    "    \"env\": [\n"
    "      \"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\n"
    "      \"TERM=xterm\"\n"
    "    ],\n"
    "    \"cwd\": \"/\",\n"
    "    \"capabilities\": {\n"
    "      \"bounding\": " SPEC_CAPS ",\n"
    "      \"effective\": " SPEC_CAPS ",\n"
    "      \"permitted\": " SPEC_CAPS "\n"
    "    },\n"
    "    \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024}],\n"
    "    \"noNewPrivileges\": true\n"
    "  },\n"
    "  \"root\": {\"path\": \"rootfs\", \"readonly\": true},\n"
    "  \"hostname\": \"kvrun\",\n";

static const char spec_mounts[] =
    "  \"mounts\": [\n"
    "    {\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\"},\n"
    "    {\"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\",\n"
    "     \"options\": [\"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\"]},\n"
    "    {\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\",\n"
    "     \"options\": [\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", "
    "\"mode=0620\"%s]},\n"
    "    {\"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\",\n"
    "     \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\"]},\n"
    "    {\"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\",\n"
    "     \"options\": [\"nosuid\", \"noexec\", \"nodev\"]},\n"
    "%s"
    "    {\"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\",\n"
    "     \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"relatime\", \"ro\"]}\n"
    "  ],\n";

static const char spec_tail[] =
    "    \"maskedPaths\": [\n"
    "      \"/proc/acpi\", \"/proc/asound\", \"/proc/interrupts\", \"/proc/kcore\", "
    "\"/proc/keys\",\n"
    "      \"/proc/latency_stats\", \"/proc/sched_debug\", \"/proc/scsi\", \"/proc/timer_list\",\n"
    "      \"/proc/timer_stats\", \"/sys/devices/virtual/powercap\", \"/sys/firmware\"\n"
    "    ],\n"
    "    \"readonlyPaths\": [\n"
    "      \"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", \"/proc/sysrq-trigger\"\n"
    "    ]\n"
    "  }\n"
    "}\n";

/* With version 1 a cgroup namespace hides from a container where its own groups are: as runc, only
 * version 2 gets one. */
static bool has_only_cgroup2(void)
{
    struct statfs about;
    return statfs("/sys/fs/cgroup", &about) == 0 && about.f_type == CGROUP2_SUPER_MAGIC;
}

void container_print_spec(struct buf *out, bool is_rootless)
{
    buf_append_text(out, spec_process);
    buf_append_format(
        out, spec_mounts, is_rootless ? "" : ", \"gid=5\"",
        is_rootless
            ? "    {\"destination\": \"/sys\", \"type\": \"none\", \"source\": \"/sys\",\n"
              "     \"options\": [\"rbind\", \"nosuid\", \"noexec\", \"nodev\", \"ro\"]},\n"
            : "    {\"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\",\n"
              "     \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"ro\"]},\n");
    buf_append_text(out, "  \"linux\": {\n");
    if (is_rootless) {
        buf_append_format(
            out,
            "    \"uidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],\n"
            "    \"gidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],\n",
            geteuid(), getegid());
    } else {
        buf_append_text(out, "    \"resources\": {\"devices\": [{\"allow\": false, \"access\": "
                             "\"rwm\"}]},\n");
    }
    buf_append_format(out,
                      "    \"namespaces\": [\n"
                      "      {\"type\": \"pid\"}, %s{\"type\": \"ipc\"}, {\"type\": \"uts\"}, "
                      "{\"type\": \"mount\"}%s%s\n"
                      "    ],\n",
                      is_rootless ? "" : "{\"type\": \"network\"}, ",
                      has_only_cgroup2() ? ",\n      {\"type\": \"cgroup\"}" : "",
                      is_rootless ? ", {\"type\": \"user\"}" : "");
    buf_append_text(out, spec_tail);
}
