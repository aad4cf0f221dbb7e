/* idmap.c - uid and gid maps: of the container's user namespace, and of idmapped mounts. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/container/file.h"
#include "runtime/container/kernel.h"
#include "runtime/container/rootfs.h"

static int write_map(pid_t pid, const char *name, const struct spec_id_mappings *mappings)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (size_t i = 0; i < mappings->count; i++) {
        const struct spec_id_mapping *mapping = &mappings->items[i];
        buf_append_format(&text, "%u %u %u\n", mapping->container_id, mapping->host_id,
                          mapping->size);
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return file_write(AT_FDCWD, path, buf_text(&text));
}

/* newuidmap PID container host size ... : setuid programs that may map what /etc/subuid grants. */
static int run_helper(const char *program, pid_t pid, const struct spec_id_mappings *mappings,
                      struct err *err)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    char **argv = arena_zalloc(&arena, (mappings->count * 3 + 3) * sizeof *argv);
    size_t count = 0;
    argv[count++] = arena_strdup(&arena, program);
    argv[count++] = arena_printf(&arena, "%d", pid);
    for (size_t i = 0; i < mappings->count; i++) {
        argv[count++] = arena_printf(&arena, "%u", mappings->items[i].container_id);
        argv[count++] = arena_printf(&arena, "%u", mappings->items[i].host_id);
        argv[count++] = arena_printf(&arena, "%u", mappings->items[i].size);
    }
    pid_t child = fork();
    if (child < 0) {
        return err_set_errno(err, errno, "fork for %s", program);
    }
    if (child == 0) {
        execvp(program, argv);
        _exit(127);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return err_set_errno(err, errno, "wait for %s", program);
        }
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return err_set(err, -EPERM,
                       "linux.uidMappings: %s failed (is it installed, and is the range in "
                       "/etc/subuid and /etc/subgid?)",
                       program);
    }
    return 0;
}

/* Without privilege a process may map exactly its own id, and no groups may be dropped then. */
static bool is_own_id(const struct spec_id_mappings *mappings, uint32_t id)
{
    return mappings->count == 1 && mappings->items[0].size == 1 && mappings->items[0].host_id == id;
}

int idmap_write(pid_t pid, const struct spec_id_mappings *uids, const struct spec_id_mappings *gids,
                struct err *err)
{
    int rc = write_map(pid, "uid_map", uids);
    if (rc == -EPERM && !is_own_id(uids, geteuid())) {
        rc = run_helper("newuidmap", pid, uids, err);
        if (rc < 0) {
            return rc;
        }
    }
    if (rc < 0) {
        return err_set_errno(err, -rc, "linux.uidMappings: write uid_map");
    }
    rc = write_map(pid, "gid_map", gids);
    if (rc == -EPERM && is_own_id(gids, getegid())) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%d/setgroups", pid);
        rc = file_write(AT_FDCWD, path, "deny");
        rc = rc < 0 ? rc : write_map(pid, "gid_map", gids);
    } else if (rc == -EPERM) {
        rc = run_helper("newgidmap", pid, gids, err);
        if (rc < 0) {
            return rc;
        }
    }
    return rc < 0 ? err_set_errno(err, -rc, "linux.gidMappings: write gid_map") : 0;
}

int idmap_open(const struct spec_id_mappings *uids, const struct spec_id_mappings *gids,
               struct err *err)
{
    /* A namespace lives as long as a process is in it or a descriptor refers to it. */
    int pid = kernel_clone(CLONE_NEWUSER, -1, NULL, SIGCHLD);
    if (pid < 0) {
        return err_set_errno(err, -pid, "make a user namespace for an idmapped mount");
    }
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    int rc = idmap_write(pid, uids, gids, err);
    int fd = -1;
    if (rc == 0) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        rc = fd < 0 ? err_set_errno(err, errno, "open %s", path) : fd;
    }
    (void)kill(pid, SIGKILL); /* our own child, not yet waited for */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return rc;
}
