/* create_prepare.c - the bundle, read and checked. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/container/create.h"
#include "runtime/container/file.h"
#include "runtime/container/report.h"

static const char *absolute(struct arena *arena, const char *base, const char *path)
{
    return path[0] == '/' ? path : arena_printf(arena, "%s/%s", base, path);
}

static int read_config(struct creation *creation, struct err *err)
{
    const struct container_create_options *create = creation->create;
    struct arena *arena = creation->options->arena;
    /* --config is relative to where we were called, everything in it to the bundle. */
    const char *path = create->config != NULL ? create->config : NULL;
    char here[PATH_MAX];
    if (path != NULL && path[0] != '/' && getcwd(here, sizeof here) != NULL) {
        path = absolute(arena, here, path);
    }
    if (create->bundle != NULL && chdir(create->bundle) < 0) {
        return err_set_errno(err, errno, "--bundle: chdir to '%s'", create->bundle);
    }
    path = path == NULL ? "config.json" : path;
    int rc = file_read(AT_FDCWD, path, JSON_SIZE_MAX, &creation->config_text);
    if (rc < 0) {
        return err_set_errno(err, -rc, "read '%s' of the bundle", path);
    }
    rc = spec_parse(arena, buf_bytes(&creation->config_text), &creation->spec, err);
    return rc < 0 ? err_prefix(err, "%s", path) : 0;
}

static int check_terminal(const struct creation *creation, struct err *err)
{
    const struct container_create_options *create = creation->create;
    bool detaches = !create->is_run || create->detach;
    bool has_socket = create->console_socket != NULL;
    if (creation->spec.process.terminal && detaches && !has_socket) {
        return err_set(err, ERR_INVALID,
                       "process.terminal: cannot allocate tty if kvrun will detach without setting "
                       "--console-socket");
    }
    if (has_socket && !(creation->spec.process.terminal && detaches)) {
        return err_set(err, ERR_INVALID,
                       "--console-socket: cannot use console socket if kvrun will not detach or "
                       "allocate tty");
    }
    return 0;
}

/* Some give destinations as they are on the host: below the rootfs. */
static void strip_rootfs(struct spec *spec, const char *rootfs)
{
    size_t size = strlen(rootfs);
    for (size_t i = 0; size > 1 && i < spec->mounts.count; i++) {
        struct spec_mount *mount = &spec->mounts.items[i];
        if (strncmp(mount->destination, rootfs, size) == 0 && mount->destination[size] == '/') {
            mount->destination += size;
        }
    }
}

static int check_rootfs(struct creation *creation, const char *bundle, struct err *err)
{
    struct stat info;
    const char *path = absolute(creation->options->arena, bundle, creation->spec.root.path);
    if (stat(path, &info) < 0) {
        return err_set_errno(err, errno, "root.path: invalid rootfs '%s'", path);
    }
    if (!S_ISDIR(info.st_mode)) {
        return err_set(err, -ENOTDIR, "root.path: invalid rootfs '%s': not a directory", path);
    }
    creation->state.rootfs = path;
    strip_rootfs(&creation->spec, path);
    return 0;
}

/* systemd's socket activation goes on into the container: LISTEN_FDS as given, for its process 1.
 */
static void pass_listen_fds(struct creation *creation)
{
    const char *count = getenv("LISTEN_FDS");
    struct text_list *env = &creation->spec.process.env;
    struct arena *arena = creation->options->arena;
    if (count == NULL || !creation->spec.has_process) {
        return;
    }
    char **items = arena_zalloc(arena, (env->count + 3) * sizeof *items);
    for (size_t i = 0; i < env->count; i++) {
        items[i] = env->items[i];
    }
    items[env->count] = arena_printf(arena, "LISTEN_FDS=%s", count);
    items[env->count + 1] = arena_strdup(arena, "LISTEN_PID=1");
    *env = (struct text_list){items, env->count + 2};
}

int creation_prepare(struct creation *creation, struct err *err)
{
    struct arena *arena = creation->options->arena;
    char bundle[PATH_MAX];
    int rc = state_check_id(creation->create->id, err);
    if (rc < 0 || (rc = read_config(creation, err)) < 0) {
        return rc;
    }
    pass_listen_fds(creation);
    if (getcwd(bundle, sizeof bundle) == NULL) {
        return err_set_errno(err, errno, "--bundle");
    }
    creation->state.bundle = arena_strdup(arena, bundle);
    if ((rc = check_terminal(creation, err)) < 0 ||
        (rc = check_rootfs(creation, creation->state.bundle, err)) < 0) {
        return rc;
    }
    if (creation->spec.linux_.seccomp != NULL) {
        rc = seccomp_compile(arena, creation->spec.linux_.seccomp, &creation->seccomp, err);
        if (rc < 0) {
            return rc;
        }
        report_debug("seccomp filter flags: %u", seccomp_flags(&creation->seccomp));
    }
    /* crun's annotation for those who want to know. */
    const char *strict =
        spec_find_annotation(&creation->spec, "run.oci.seccomp_fail_unknown_syscall");
    if (creation->seccomp.unknown != NULL && strict != NULL && strcmp(strict, "1") == 0) {
        return err_set(err, ERR_INVALID, "linux.seccomp.syscalls: unknown system call '%s'",
                       creation->seccomp.unknown);
    }
    process_warn_ambient(&creation->spec.process);
    if (creation->spec.process.capabilities.unknown != NULL) {
        report_warning("process.capabilities: unknown capability '%s' is ignored",
                       creation->spec.process.capabilities.unknown);
    }
    return namespaces_open(&creation->spec, &creation->namespaces, err);
}
