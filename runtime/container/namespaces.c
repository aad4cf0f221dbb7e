#include "runtime/container/namespaces.h"

#include <errno.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/file.h"
#include "runtime/container/kernel.h"

static const char *own_path(int flag)
{
    switch (flag) {
    case CLONE_NEWUSER:
        return "/proc/self/ns/user";
    case CLONE_NEWPID:
        return "/proc/self/ns/pid";
    case CLONE_NEWNET:
        return "/proc/self/ns/net";
    case CLONE_NEWIPC:
        return "/proc/self/ns/ipc";
    case CLONE_NEWUTS:
        return "/proc/self/ns/uts";
    case CLONE_NEWNS:
        return "/proc/self/ns/mnt";
    case CLONE_NEWCGROUP:
        return "/proc/self/ns/cgroup";
    default:
        return "/proc/self/ns/time";
    }
}

static bool is_own(int fd, int flag)
{
    struct stat theirs;
    struct stat ours;
    return fstat(fd, &theirs) == 0 && stat(own_path(flag), &ours) == 0 &&
           theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

int namespaces_open(const struct spec *spec, struct namespaces *ret, struct err *err)
{
    struct namespaces namespaces = {.new_flags = spec_new_namespace_flags(spec)};
    for (size_t i = 0; i < spec->linux_.namespaces.count; i++) {
        const struct spec_namespace *ns = &spec->linux_.namespaces.items[i];
        if (ns->path == NULL) {
            continue;
        }
        CLEANUP(close_fd) int fd = open(ns->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            int rc =
                err_set_errno(err, errno, "linux.namespaces[%zu].path: open '%s'", i, ns->path);
            namespaces_close(&namespaces);
            return rc;
        }
        if (ioctl(fd, NS_GET_NSTYPE) != ns->flag) {
            namespaces_close(&namespaces);
            return err_set(err, ERR_INVALID,
                           "linux.namespaces[%zu].path: '%s' is not a namespace of type %s", i,
                           ns->path, ns->type);
        }
        /* setns to the own user namespace is an error, to other own ones a waste. */
        if (!is_own(fd, ns->flag)) {
            namespaces.joins[namespaces.join_count].flag = ns->flag;
            namespaces.joins[namespaces.join_count++].fd = TAKE_FD(fd);
        }
    }
    *ret = namespaces;
    return 0;
}

void namespaces_close(struct namespaces *namespaces)
{
    for (size_t i = 0; i < namespaces->join_count; i++) {
        (void)close(namespaces->joins[i].fd); /* only referred to a namespace */
    }
    namespaces->join_count = 0;
}

int namespaces_join_fd(const struct namespaces *namespaces, int flag)
{
    for (size_t i = 0; i < namespaces->join_count; i++) {
        if (namespaces->joins[i].flag == flag) {
            return namespaces->joins[i].fd;
        }
    }
    return -1;
}

int namespaces_join(const struct namespaces *namespaces, int mask, struct err *err)
{
    /* The user namespace first: it gives the right to join the others. */
    static const int order[NAMESPACES_MAX] = {CLONE_NEWUSER, CLONE_NEWIPC,   CLONE_NEWUTS,
                                              CLONE_NEWNET,  CLONE_NEWPID,   CLONE_NEWTIME,
                                              CLONE_NEWNS,   CLONE_NEWCGROUP};
    for (size_t i = 0; i < NAMESPACES_MAX; i++) {
        int fd = (mask & order[i]) != 0 ? namespaces_join_fd(namespaces, order[i]) : -1;
        if (fd >= 0 && setns(fd, order[i]) < 0) {
            return err_set_errno(err, errno, "linux.namespaces: join %s",
                                 own_path(order[i]) + strlen("/proc/self/ns/"));
        }
    }
    return 0;
}

int namespaces_write_time_offsets(pid_t pid, const struct spec *spec, struct err *err)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/timens_offsets", pid);
    for (size_t i = 0; i < spec->linux_.time_offsets.count; i++) {
        const struct spec_time_offset *offset = &spec->linux_.time_offsets.items[i];
        char line[128];
        (void)snprintf(line, sizeof line, "%s %lld %u\n", offset->clock, (long long)offset->secs,
                       offset->nanosecs);
        int rc = file_write(AT_FDCWD, path, line);
        if (rc < 0) {
            return err_set_errno(err, -rc, "linux.timeOffsets: %s", offset->clock);
        }
    }
    return 0;
}

int namespaces_enter_time(struct err *err)
{
    /* What was made is for children; enter it ourselves. */
    CLEANUP(close_fd) int fd = open("/proc/thread-self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0) {
        return err_set_errno(err, errno, "linux.namespaces: enter the time namespace");
    }
    return 0;
}

int namespaces_make_late(int flags, struct err *err)
{
    if ((flags & CLONE_NEWCGROUP) != 0 && unshare(CLONE_NEWCGROUP) < 0) {
        return err_set_errno(err, errno, "linux.namespaces: new cgroup namespace");
    }
    if ((flags & CLONE_NEWTIME) != 0 && unshare(CLONE_NEWTIME) < 0) {
        return err_set_errno(err, errno, "linux.namespaces: new time namespace");
    }
    return 0;
}

int namespaces_raise_loopback(struct err *err)
{
    CLEANUP(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo"};
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        return err_set_errno(err, errno, "find the loopback interface");
    }
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
        return err_set_errno(err, errno, "raise the loopback interface");
    }
    return 0;
}
