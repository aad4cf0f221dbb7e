/* pod_sandbox.c - the namespaces that the containers of a pod share, pinned as bind mounts: no
 * process has to live for them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/network/ipam.h"
#include "runtime/network/network.h"
#include "runtime/pod/pod.h"

#define NETWORK_NAME "pods"

enum { MOUNTS_MAX = 1024 };

int pod_network_set(const json_t *request, struct pod_answer *answer, struct err *err)
{
    const char *state = NULL;
    struct network wanted = {.is_routed = true};
    struct network present = {.mtu = 0};
    answer->reason = "NetworkPluginNotReady";
    (void)snprintf(wanted.name, sizeof(wanted.name), NETWORK_NAME);
    (void)snprintf(wanted.bridge, sizeof(wanted.bridge), "%.15s",
                   json_get_text(request, "bridge", "cni0"));
    int status = pod_path(request, "state", &state, err);
    if (status == 0) {
        status = ipam_parse_subnet(json_get_text(request, "subnet", ""), &wanted.subnet, err);
    }
    if (status != 0) {
        return status;
    }
    status = network_find(state, NETWORK_NAME, &present, err);
    if (status == 0) {
        bool is_same = present.subnet.address == wanted.subnet.address &&
                       present.subnet.prefix_size == wanted.subnet.prefix_size &&
                       strcmp(present.bridge, wanted.bridge) == 0;
        network_deinit(&present);
        if (is_same) {
            return 0;
        }
        status = network_remove(state, NETWORK_NAME, err);
        if (status != 0) {
            return err_prefix(err, "change the range of pod addresses");
        }
    } else if (status != ERR_NOT_FOUND) {
        return status;
    }
    return network_create(state, &wanted, err);
}

/* ---- namespaces ---- */

static void write_sysctl(const char *name, const char *value)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "/proc/sys/%.250s", name);
    for (char *at = path + strlen("/proc/sys/"); *at != '\0'; at++) {
        *at = *at == '.' ? '/' : *at;
    }
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0) {
        _exit(errno == 0 ? EIO : errno);
    }
}

/* In the child: new namespaces, then wait until the parent has pinned them. */
static void hold_namespaces(const json_t *request, bool is_host, int ready_fd, int release_fd)
{
    char byte = 0;
    if (unshare(CLONE_NEWIPC | (is_host ? 0 : CLONE_NEWNET)) != 0) {
        _exit(errno);
    }
    if (!is_host) {
        write_sysctl("net.ipv4.ip_unprivileged_port_start", "0");
        write_sysctl("net.ipv4.ping_group_range", "0 2147483647");
    }
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(request, "sysctls"), name, value)
    {
        write_sysctl(name, json_string_value(value));
    }
    if (write(ready_fd, &byte, 1) == 1) {
        ssize_t ignored = read(release_fd, &byte, 1); /* ends when the parent closes its end */
        (void)ignored;
    }
    _exit(0);
}

static int pin(const char *directory, pid_t child, const char *type, struct err *err)
{
    CLEANUP(free) char *source = mem_printf("/proc/%d/ns/%s", (int)child, type);
    CLEANUP(free) char *target = mem_printf("%s/ns/%s", directory, type);
    (void)umount2(target, MNT_DETACH); /* of a sandbox that was half made */
    CLEANUP(close_fd) int fd = open(target, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    if (fd < 0 || mount(source, target, NULL, MS_BIND, NULL) != 0) {
        return err_set_errno(err, errno, "pin the %s namespace of the pod", type);
    }
    return 0;
}

static int pin_all(const char *directory, pid_t child, bool is_host, struct err *err)
{
    int status = pin(directory, child, "ipc", err);
    return status != 0 || is_host ? status : pin(directory, child, "net", err);
}

static int make_namespaces(const json_t *request, const char *directory, bool is_host,
                           struct err *err)
{
    int ready[2] = {-1, -1};
    int release[2] = {-1, -1};
    if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(release, O_CLOEXEC) != 0) {
        return err_set_errno(err, errno, "make a pipe");
    }
    pid_t child = fork();
    if (child == 0) {
        (void)close(release[1]);
        hold_namespaces(request, is_host, ready[1], release[0]);
    }
    (void)close(ready[1]);
    (void)close(release[0]);
    int status = child < 0 ? err_set_errno(err, errno, "fork") : 0;
    char byte = 0;
    bool is_ready = status == 0 && read(ready[0], &byte, 1) == 1;
    if (is_ready) {
        status = pin_all(directory, child, is_host, err);
    }
    (void)close(ready[0]);
    (void)close(release[1]);
    int end = 0;
    while (child > 0 && waitpid(child, &end, 0) < 0 && errno == EINTR) {
    }
    if (status == 0 && !is_ready) {
        status = err_set_errno(err, WIFEXITED(end) ? WEXITSTATUS(end) : EIO,
                               "make the namespaces of the pod");
    }
    return status;
}

static int make_shm(const char *directory, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/shm", directory);
    int status = pod_make_directory(path, err);
    if (status == 0) {
        (void)umount2(path, MNT_DETACH);
        if (mount("shm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m") !=
            0) {
            status = err_set_errno(err, errno, "mount '%s'", path);
        }
    }
    return status;
}

static int attach(const char *state_root, const char *directory, const char *owner,
                  struct pod_answer *answer, struct err *err)
{
    CLEANUP(free) char *path = mem_printf("%s/ns/net", directory);
    CLEANUP(close_fd) int netns_fd = open(path, O_RDONLY | O_CLOEXEC);
    struct network network = {.mtu = 0};
    char address[16];
    if (netns_fd < 0) {
        return err_set_errno(err, errno, "open '%s'", path);
    }
    int status = network_detach(state_root, owner, err); /* of an attempt before */
    if (status == 0) {
        status = network_find(state_root, NETWORK_NAME, &network, err);
    }
    if (status != 0) {
        return status;
    }
    struct network_attachment attachment = {
        .owner = owner, .netns_fd = netns_fd, .interface = "eth0", .sets_default_route = true};
    status = network_attach(state_root, &network, &attachment, err);
    network_deinit(&network);
    if (status == 0) {
        ipam_format_address(attachment.address, address);
        answer->value = json_pack("{ss}", "address", address);
    }
    return status;
}

/* ---- everything mounted below a directory ---- */

static int unmount_below(const char *directory, struct err *err)
{
    CLEANUP(file) FILE *file = fopen("/proc/self/mountinfo", "re");
    char *targets[MOUNTS_MAX];
    size_t count = 0;
    char line[8192];
    size_t size = strlen(directory);
    while (file != NULL && count < MOUNTS_MAX && fgets(line, sizeof(line), file) != NULL) {
        char target[4096];
        if (sscanf(line, "%*d %*d %*s %*s %4095s", target) == 1 &&
            strncmp(target, directory, size) == 0 && target[size] == '/') {
            targets[count++] = mem_strdup(target);
        }
    }
    int status = file == NULL ? err_set_errno(err, errno, "read the mounts") : 0;
    while (count > 0) { /* the last ones first: they lie in the others */
        char *target = targets[--count];
        if (umount2(target, MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT) {
            status = err_set_errno(err, errno, "unmount '%s'", target);
        }
        mem_free(target);
    }
    return status;
}

static void remove_cgroup(const char *path)
{
    static const char *const hierarchies[] = {"",
                                              "unified",
                                              "memory",
                                              "cpu,cpuacct",
                                              "cpu",
                                              "cpuacct",
                                              "pids",
                                              "cpuset",
                                              "blkio",
                                              "devices",
                                              "freezer",
                                              "hugetlb",
                                              "net_cls,net_prio",
                                              "net_cls",
                                              "net_prio",
                                              "perf_event",
                                              "rdma",
                                              "misc",
                                              "systemd"};
    for (size_t i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++) {
        CLEANUP(free)
        char *directory = mem_printf("/sys/fs/cgroup/%s%s", hierarchies[i], path);
        (void)rmdir(directory); /* most do not exist; one in use stays */
    }
}

static int remove_tree(const char *directory, struct err *err)
{
    CLEANUP(free) char *parent = mem_strdup(directory);
    char *slash = strrchr(parent, '/');
    *slash = '\0';
    CLEANUP(close_fd) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = fd < 0 ? -errno : in_root_remove(fd, slash + 1);
    return status == 0 || status == -ENOENT ? 0
                                            : err_set_errno(err, -status, "remove '%s'", directory);
}

int pod_sandbox_create(const json_t *request, struct pod_answer *answer, struct err *err)
{
    const char *state = NULL;
    const char *directory = NULL;
    const char *owner = json_get_text(request, "id", "");
    bool is_host = json_get_flag(request, "host");
    answer->reason = "FailedCreatePodSandBox";
    int status = pod_path(request, "directory", &directory, err);
    if (status == 0) {
        status = pod_path(request, "state", &state, err);
    }
    if (status != 0) {
        return status;
    }
    CLEANUP(free) char *ns = mem_printf("%s/ns", directory);
    if ((status = pod_make_directory(ns, err)) != 0 ||
        (status = make_namespaces(request, directory, is_host, err)) != 0 ||
        (status = make_shm(directory, err)) != 0) {
        return status;
    }
    return is_host ? 0 : attach(state, directory, owner, answer, err);
}

int pod_sandbox_remove(const json_t *request, struct pod_answer *answer, struct err *err)
{
    const char *state = NULL;
    const char *directory = NULL;
    int status = pod_path(request, "directory", &directory, err);
    answer->reason = "KillPodSandboxError";
    if (status == 0) {
        status = pod_path(request, "state", &state, err);
    }
    if (status == 0) {
        status = network_detach(state, json_get_text(request, "id", ""), err);
    }
    if (status == 0) {
        status = unmount_below(directory, err);
    }
    const json_t *cgroups = json_object_get(request, "cgroups");
    for (size_t i = 0; i < json_array_size(cgroups); i++) {
        remove_cgroup(json_string_value(json_array_get(cgroups, i)));
    }
    bool keeps = json_get_flag(request, "keeps");
    return status != 0 || keeps ? status : remove_tree(directory, err);
}
