/* create.c - `create` and `run`: kvrun's side of making a container. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "runtime/container/console.h"
#include "runtime/container/create.h"
#include "runtime/container/file.h"
#include "runtime/container/hooks.h"
#include "runtime/container/kernel.h"
#include "runtime/container/notify.h"
#include "runtime/container/report.h"
#include "runtime/container/sync.h"

static const char *now_text(struct arena *arena)
{
    struct timespec now;
    struct tm tm;
    char text[40];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    return arena_printf(arena, "%s.%09ldZ", text, now.tv_nsec);
}

static bool needs_v2_controllers(const struct creation *creation)
{
    /* On a hybrid host version 2 has what little version 1 does not: only then is it worth the
     * writes. */
    return creation->cgroup.is_v2_only || creation->spec.linux_.resources.hugepage_limits.count > 0;
}

static int make_cgroup(struct creation *creation, struct err *err)
{
    if (creation->options->no_cgroup) {
        creation->state.no_cgroup = true;
        return 0;
    }
    int rc = cgroup_create(&creation->cgroup, creation->state.cgroup_path,
                           needs_v2_controllers(creation), err);
    if (rc == -EACCES || rc == -EPERM || rc == -EROFS) {
        if (geteuid() != 0 || creation->spec.linux_.cgroups_path == NULL) {
            report_warning("cgroups are not used: %s", err->text);
            cgroup_deinit(&creation->cgroup);
            creation->state.no_cgroup = true;
            return 0;
        }
    }
    if (rc < 0) {
        return rc;
    }
    creation->has_cgroup = true;
    creation->state.cgroup_depth = (int64_t)cgroup_created_depth(&creation->cgroup);
    rc = cgroup_apply(&creation->cgroup, &creation->spec.linux_.resources, err);
    return rc < 0 ? rc : cgroup_join_prepare(&creation->cgroup, &creation->join, err);
}

static int make_state(struct creation *creation, struct err *err)
{
    struct arena *arena = creation->options->arena;
    char path[CGROUP_PATH_SIZE];
    int rc = cgroup_path_choose(creation->spec.linux_.cgroups_path, creation->create->id, path,
                                sizeof path, err);
    if (rc < 0) {
        return rc;
    }
    struct state *state = &creation->state;
    state->id = creation->create->id;
    state->oci_version = creation->spec.oci_version;
    state->created = now_text(arena);
    state->cgroup_path = arena_strdup(arena, path);
    state->owner = getuid();
    state->no_cgroup = creation->options->no_cgroup;
    state->annotations = creation->spec.annotations;
    creation->directory = state_make_directory(creation->options->root, state->id, err);
    if (creation->directory < 0) {
        return creation->directory;
    }
    creation->has_directory = true;
    if ((rc = state_lock(creation->directory, err)) < 0) {
        return rc;
    }
    /* Written before the cgroup is made: `delete --force` can clean up whatever happens next. */
    rc = file_create(creation->directory, "config.json", buf_bytes(&creation->config_text), 0600);
    if (rc < 0) {
        return err_set_errno(err, -rc, "save config.json");
    }
    return state_write(creation->directory, state, err);
}

static int open_start_socket(struct creation *creation, struct err *err)
{
    if (creation->create->is_run) {
        return -1;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start",
                   creation->directory);
    CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 8) < 0) {
        return err_set_errno(err, errno, "make the start socket");
    }
    return TAKE_FD(fd);
}

static int open_console(struct creation *creation, struct err *err)
{
    const struct container_create_options *create = creation->create;
    if (!creation->spec.process.terminal) {
        return -1;
    }
    if (create->console_socket != NULL) {
        return console_connect(create->console_socket, err);
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        return err_set_errno(err, errno, "socket for the terminal");
    }
    creation->console_parent = ends[0];
    return ends[1];
}

static int prepare_init(struct creation *creation, struct err *err)
{
    const struct container_create_options *create = creation->create;
    const struct spec *spec = &creation->spec;
    struct init *init = &creation->init;
    bool joins_user = namespaces_join_fd(&creation->namespaces, CLONE_NEWUSER) >= 0;
    bool new_user = (creation->namespaces.new_flags & CLONE_NEWUSER) != 0;
    *init = (struct init){
        .spec = spec,
        .id = create->id,
        .bundle = creation->state.bundle,
        .arena = creation->options->arena,
        .rootfs = {.spec = spec,
                   .cgroup = &creation->cgroup,
                   .arena = creation->options->arena,
                   .path = creation->state.rootfs,
                   .has_user_ns = joins_user || new_user,
                   .is_privileged = geteuid() == 0,
                   .tree = -1,
                   .root = -1,
                   .dev_readonly = -1,
                   .mask_directory = -1},
        .namespaces = &creation->namespaces,
        .join = &creation->join,
        .seccomp = spec->linux_.seccomp == NULL ? NULL : &creation->seccomp,
        .sync = -1,
        .start_socket = -1,
        .console_socket = -1,
        .preserve_fds = create->preserve_fds,
        .no_pivot = create->no_pivot,
        .no_new_keyring = create->no_new_keyring,
        .has_runtime_hooks = spec->hooks.prestart.count + spec->hooks.create_runtime.count +
                                 spec->hooks.create_container.count +
                                 spec->hooks.start_container.count >
                             0,
        .parent_maps = new_user,
    };
    int rc = rootfs_open_sources(&init->rootfs, err);
    if (rc < 0 || (rc = rootfs_open_devices(&init->rootfs, err)) < 0) {
        return rc;
    }
    init->console_socket = open_console(creation, err);
    if (init->console_socket < -1) {
        return init->console_socket;
    }
    init->console_flags = creation->console_parent >= 0 ? CONSOLE_FORWARDED : 0;
    init->start_socket = open_start_socket(creation, err);
    return init->start_socket < -1 ? init->start_socket : 0;
}

static int proceed(struct creation *creation, struct err *err)
{
    int rc = sync_send(creation->sync, SYNC_PROCEED, creation->pid, NULL);
    return rc < 0 ? err_set_errno(err, -rc, "write to the container's process") : 0;
}

static int write_maps(struct creation *creation, struct err *err)
{
    const struct spec_linux *linux_ = &creation->spec.linux_;
    int rc = idmap_write(creation->pid, &linux_->uid_mappings, &linux_->gid_mappings, err);
    if (rc < 0) {
        return rc;
    }
    process_raise_limits_of(creation->pid, &creation->spec.process);
    if (creation->spec.process.oom_score_adj.is_set) {
        char path[64];
        char value[24];
        (void)snprintf(path, sizeof path, "/proc/%d/oom_score_adj", creation->pid);
        (void)snprintf(value, sizeof value, "%lld",
                       (long long)creation->spec.process.oom_score_adj.value);
        if (file_write(AT_FDCWD, path, value) < 0) {
            report_warning("process.oomScoreAdj: cannot be set to %s", value);
        }
    }
    return proceed(creation, err);
}

static int run_runtime_hooks(struct creation *creation, struct err *err)
{
    const struct spec_hooks *hooks = &creation->spec.hooks;
    creation->has_hooks_run = true;
    /* Hooks may ask kvrun for the state. */
    int rc = state_write(creation->directory, &creation->state, err);
    CLEANUP(buf) struct buf state = BUF_INIT;
    state_append_public(&state, &creation->spec, creation->state.id, "creating", creation->pid,
                        creation->state.bundle);
    /* prestart is older than the status "creating" and sees "created", as ever. */
    CLEANUP(buf) struct buf old_state = BUF_INIT;
    state_append_public(&old_state, &creation->spec, creation->state.id, "created", creation->pid,
                        creation->state.bundle);
    if (rc < 0 || (rc = hooks_run(&hooks->prestart, "prestart", buf_text(&old_state), err)) < 0 ||
        (rc = hooks_run(&hooks->create_runtime, "createRuntime", buf_text(&state), err)) < 0) {
        return rc;
    }
    return proceed(creation, err);
}

static int fetch_listener(struct creation *creation, int number, struct err *err)
{
    CLEANUP(close_fd) int listener = pidfd_getfd(creation->pidfd, number, 0);
    if (listener < 0) {
        return err_set_errno(err, errno, "linux.seccomp: fetch the listener");
    }
    CLEANUP(buf) struct buf state = BUF_INIT;
    state_append_public(&state, &creation->spec, creation->state.id, "creating", creation->pid,
                        creation->state.bundle);
    int rc = notify_send(creation->spec.linux_.seccomp, creation->spec.oci_version, creation->pid,
                         buf_text(&state), listener, err);
    return rc < 0 ? rc : proceed(creation, err);
}

/* Serve the child until it is created. */
static int follow(struct creation *creation, struct err *err)
{
    for (;;) {
        struct sync_message message;
        int rc = sync_receive(creation->sync, &message);
        if (rc < 0) {
            return err_set_errno(err, -rc, "read from the container's process");
        }
        if (rc == 0) {
            return err_set(err, ERR_CLOSED,
                           "the container's process has ended before it was created (killed, or "
                           "out of memory: is linux.resources.memory.limit too low?)");
        }
        switch (message.type) {
        case SYNC_MAP:
            rc = write_maps(creation, err);
            break;
        case SYNC_TIME:
            rc = namespaces_write_time_offsets(creation->pid, &creation->spec, err);
            rc = rc < 0 ? rc : proceed(creation, err);
            break;
        case SYNC_HOOKS:
            rc = run_runtime_hooks(creation, err);
            break;
        case SYNC_SECCOMP:
            rc = fetch_listener(creation, message.value, err);
            break;
        case SYNC_CREATED:
            report_debug("init: closing the pipe to signal completion");
            return 0;
        case SYNC_ERROR:
            return err_set(err, message.value < 0 ? message.value : -EIO, "%s", message.text);
        default:
            return err_set(err, ERR_PROTOCOL, "unexpected message %d", message.type);
        }
        if (rc < 0) {
            return rc;
        }
    }
}

/* Where no hook can see the difference this is done while the child is still at work. */
static int write_created(struct creation *creation, struct err *err)
{
    creation->state.is_created = true;
    return state_write(creation->directory, &creation->state, err);
}

/* The container is there: make it known. */
static int publish(struct creation *creation, struct err *err)
{
    const struct container_create_options *create = creation->create;
    int rc = creation->state.is_created ? 0 : write_created(creation, err);
    if (rc == 0 && create->pid_file != NULL) {
        creation->has_pid_file = true;
        rc = container_write_pid_file(create->pid_file, creation->pid, err);
    }
    if (rc == 0 && create->pidfd_socket != NULL) {
        rc = container_send_pidfd(create->pidfd_socket, creation->pidfd, err);
    }
    return rc;
}

static int start_now(struct creation *creation, struct err *err)
{
    int rc = sync_send(creation->sync, SYNC_START, 0, NULL);
    if (rc < 0) {
        return err_set_errno(err, -rc, "write to the container's process");
    }
    rc = sync_expect(creation->sync, SYNC_START, err);
    if (rc != ERR_CLOSED) {
        return rc; /* an error came instead of the end that exec makes */
    }
    const struct spec_hook_list *hooks = &creation->spec.hooks.poststart;
    if (hooks->count == 0) {
        return 0;
    }
    CLEANUP(buf) struct buf state = BUF_INIT;
    state_append_public(&state, &creation->spec, creation->state.id, "running", creation->pid,
                        creation->state.bundle);
    creation->has_hooks_run = true;
    return hooks_run(hooks, "poststart", buf_text(&state), err);
}

/* As if it had never been attempted. */
static void undo(struct creation *creation)
{
    if (creation->pid > 0) {
        (void)kill(creation->pid, SIGKILL); /* our own child, not yet waited for */
        while (waitpid(creation->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    struct err err = {.code = 0};
    if (creation->has_cgroup &&
        cgroup_remove(&creation->cgroup, (unsigned)creation->state.cgroup_depth, &err) < 0) {
        report_warning("%s", err.text);
    }
    if (creation->has_hooks_run) {
        CLEANUP(buf) struct buf state = BUF_INIT;
        state_append_public(&state, &creation->spec, creation->state.id, "stopped", 0,
                            creation->state.bundle);
        if (hooks_run(&creation->spec.hooks.poststop, "poststop", buf_text(&state), &err) < 0) {
            report_warning("%s", err.text);
        }
    }
    if (creation->has_pid_file) {
        (void)unlink(creation->create->pid_file); /* may not have been written */
    }
    if (creation->has_directory && state_remove(creation->options->root, creation->state.id) < 0) {
        report_warning("the state directory of '%s' cannot be removed", creation->state.id);
    }
}

static int finish_run(struct creation *creation, int *ret_exit, struct err *err)
{
    if (creation->create->detach) {
        return 0;
    }
    CLEANUP(close_fd) int master = -1;
    if (creation->console_parent >= 0) {
        master = sync_receive_fd(creation->console_parent);
    }
    *ret_exit = container_wait(creation->pid, creation->pidfd, master);
    if (creation->create->keep) {
        return 0;
    }
    struct container container = {.options = creation->options,
                                  .directory = creation->directory,
                                  .state = creation->state,
                                  .cgroup = creation->cgroup};
    return container_destroy(&container, err);
}

static int create_steps(struct creation *creation, struct err *err)
{
    int rc = creation_prepare(creation, err);
    if (rc < 0) {
        return rc;
    }
    bool has_systemd = access("/run/systemd/system", F_OK) == 0;
    if (creation->options->is_systemd && has_systemd) {
        report_warning("--systemd-cgroup: systemd is not asked; the cgroup it would name is made "
                       "directly");
    } else if (creation->options->is_systemd) {
        return err_set(err, ERR_UNSUPPORTED,
                       "--systemd-cgroup: systemd does not run here; use the cgroupfs manager");
    }
    if (!creation->options->no_cgroup && (rc = cgroup_detect(&creation->cgroup, err)) < 0) {
        return rc;
    }
    if ((rc = make_state(creation, err)) < 0 || (rc = make_cgroup(creation, err)) < 0 ||
        (rc = prepare_init(creation, err)) < 0 || (rc = creation_clone(creation, err)) < 0) {
        return rc;
    }
    if (!creation->init.has_runtime_hooks && (rc = write_created(creation, err)) < 0) {
        return rc;
    }
    if ((rc = follow(creation, err)) < 0 || (rc = publish(creation, err)) < 0) {
        return rc;
    }
    return creation->create->is_run ? start_now(creation, err) : 0;
}

int container_create(const struct container_options *options,
                     const struct container_create_options *create, int *ret_exit, struct err *err)
{
    struct creation creation = {.options = options,
                                .create = create,
                                .config_text = BUF_INIT,
                                .directory = -1,
                                .sync = -1,
                                .console_parent = -1,
                                .pidfd = -1,
                                .join = {.v2_dir = -1}};
    cgroup_init(&creation.cgroup);
    int rc = create_steps(&creation, err);
    if (rc < 0) {
        undo(&creation);
    } else if (create->is_run) {
        rc = finish_run(&creation, ret_exit, err);
    }
    /* Descriptors and memory go with the process: create is the last thing it does. */
    buf_deinit(&creation.config_text);
    return rc;
}
