#include "runtime/container/init.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "runtime/container/console.h"
#include "runtime/container/file.h"
#include "runtime/container/hooks.h"
#include "runtime/container/kernel.h"
#include "runtime/container/report.h"
#include "runtime/container/state.h"
#include "runtime/container/sync.h"
#include "runtime/container/target.h"

/* Ask kvrun to do its part and wait until it has. */
static int ask(struct init *init, enum sync_type what, int value, struct err *err)
{
    int rc = sync_send(init->sync, what, value, NULL);
    if (rc < 0) {
        return err_set_errno(err, -rc, "write to kvrun");
    }
    struct sync_message answer;
    rc = sync_receive(init->sync, &answer);
    if (rc <= 0 || answer.type != SYNC_PROCEED) {
        return err_set(err, ERR_CLOSED, "kvrun has given up");
    }
    init->pid = answer.value;
    return 0;
}

static int enter_user_namespace(struct init *init, struct err *err)
{
    bool has_joined = namespaces_join_fd(init->namespaces, CLONE_NEWUSER) >= 0;
    if (!init->parent_maps && !has_joined) {
        return 0;
    }
    int rc = init->parent_maps ? ask(init, SYNC_MAP, 0, err) : 0;
    if (rc < 0) {
        return rc;
    }
    /* Root of the namespace owns what is made from here on; a map without 0 leaves us as we
     * are. */
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) {
        report_debug("no id 0 in the user namespace");
    }
    return 0;
}

static int enter_namespaces(struct init *init, struct err *err)
{
    int rc = enter_user_namespace(init, err);
    if (rc < 0) {
        return rc;
    }
    if (setsid() < 0 && errno != EPERM) {
        return err_set_errno(err, errno, "setsid");
    }
    if (!init->joined_early) {
        rc = cgroup_join_enter(init->join, err);
        if (rc < 0 || (rc = namespaces_join(init->namespaces, ~CLONE_NEWPID, err)) < 0) {
            return rc;
        }
    }
    rc = namespaces_make_late(init->namespaces->new_flags, err);
    if (rc == 0 && (init->namespaces->new_flags & CLONE_NEWTIME) != 0) {
        rc = init->spec->linux_.time_offsets.count > 0 ? ask(init, SYNC_TIME, 0, err) : 0;
        rc = rc < 0 ? rc : namespaces_enter_time(err);
    }
    if (rc == 0 && (init->namespaces->new_flags & CLONE_NEWNET) != 0) {
        rc = namespaces_raise_loopback(err);
    }
    return rc;
}

/* So that keys of the host's session do not come along. */
static int new_keyring(const struct init *init, struct err *err)
{
    char name[300];
    (void)snprintf(name, sizeof name, "_ses.%s", init->id);
    if (init->no_new_keyring || syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) >= 0 ||
        errno == ENOSYS) {
        return 0;
    }
    return err_set_errno(err, errno,
                         "new session keyring (--no-new-keyring does without; see "
                         "kernel.keys.maxkeys)");
}

/* /proc of the container's own namespaces, attached nowhere: an image cannot put its own in the
 * way. */
static int open_private_proc(void)
{
    CLEANUP(close_fd) int context = fsopen("proc", FSOPEN_CLOEXEC);
    if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        return -errno;
    }
    return kernel_result(fsmount(context, FSMOUNT_CLOEXEC, 0));
}

static int set_sysctl(int proc, const struct text_pair *pair, struct err *err)
{
    char path[512];
    (void)snprintf(path, sizeof path, "sys/%s", pair->name);
    /* "net.ipv4.ip_forward" and "net/ipv4/ip_forward": what comes first is the separator. */
    size_t dot = strcspn(path + 4, "./");
    if (path[4 + dot] == '.') {
        for (char *p = path + 4; *p != 0; p++) {
            *p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
        }
    }
    CLEANUP(close_fd)
    int fd = kernel_openat2(proc, path, O_WRONLY, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    int rc = fd < 0 ? fd : file_write_all(fd, pair->value, strlen(pair->value));
    return rc < 0
               ? err_set_errno(err, -rc, "linux.sysctl: write '%s' to %s", pair->value, pair->name)
               : 0;
}

static int set_sysctls(const struct init *init, struct err *err)
{
    const struct text_map *sysctl = &init->spec->linux_.sysctl;
    if (sysctl->count == 0) {
        return 0;
    }
    CLEANUP(close_fd) int proc = open_private_proc();
    if (proc < 0) {
        /* Not allowed without an own pid namespace: the mounted one, if it really is procfs. */
        proc = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct statfs info;
        if (proc < 0 || fstatfs(proc, &info) < 0 || info.f_type != PROC_SUPER_MAGIC) {
            return err_set(err, ERR_DENIED, "linux.sysctl: /proc is no procfs");
        }
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sysctl->count; i++) {
        rc = set_sysctl(proc, &sysctl->items[i], err);
    }
    return rc;
}

static int set_names(const struct spec *spec, struct err *err)
{
    if (spec->hostname != NULL && spec->hostname[0] != 0 &&
        sethostname(spec->hostname, strlen(spec->hostname)) < 0) {
        return err_set_errno(err, errno, "hostname: '%s'", spec->hostname);
    }
    if (spec->domainname != NULL && spec->domainname[0] != 0 &&
        setdomainname(spec->domainname, strlen(spec->domainname)) < 0) {
        return err_set_errno(err, errno, "domainname: '%s'", spec->domainname);
    }
    return 0;
}

static int make_cwd(const struct init *init, struct err *err)
{
    if (!init->spec->has_process) {
        return 0;
    }
    /* Only a missing one is made; whether it can be entered is found out as the final user. */
    int fd = target_find(init->rootfs.root, init->spec->process.cwd, 0);
    if (fd == -ENOENT) {
        fd = target_make(init->rootfs.root, init->spec->process.cwd, true, 0, err);
        if (fd < 0 && fd != -EROFS && fd != -EACCES) {
            return err_prefix(err, "process.cwd");
        }
    }
    if (fd >= 0) {
        (void)close(fd); /* O_PATH */
    }
    return 0;
}

/* Mounts and everything else that is done while the host's tree is still there. */
static int build_tree(struct init *init, struct err *err)
{
    struct rootfs *rootfs = &init->rootfs;
    int rc = rootfs_attach(rootfs, err);
    if (rc < 0 || (rc = rootfs_mount_all(rootfs, err)) < 0 ||
        (rc = rootfs_make_devices(rootfs, err)) < 0 || (rc = make_cwd(init, err)) < 0) {
        return rc;
    }
    if (init->spec->process.terminal && init->console_socket >= 0) {
        return console_open(rootfs->root, &init->spec->process, init->console_socket,
                            init->console_flags | CONSOLE_MOUNT, err);
    }
    return 0;
}

static int run_create_hooks(struct init *init, struct err *err)
{
    /* The root is their working directory, as in runc; it will be ours anyway. */
    if (init->rootfs.root >= 0 && init->spec->hooks.create_container.count > 0 &&
        fchdir(init->rootfs.root) < 0) {
        return err_set_errno(err, errno, "enter the rootfs");
    }
    if (init->has_runtime_hooks) {
        int rc = ask(init, SYNC_HOOKS, 0, err);
        if (rc < 0) {
            return rc;
        }
    }
    const struct spec_hook_list *hooks = &init->spec->hooks.create_container;
    if (hooks->count == 0) {
        return 0;
    }
    CLEANUP(buf) struct buf state = BUF_INIT;
    state_append_public(&state, init->spec, init->id, "creating", init->pid, init->bundle);
    return hooks_run(hooks, "createContainer", buf_text(&state), err);
}

static int enter_tree(struct init *init, struct err *err)
{
    struct rootfs *rootfs = &init->rootfs;
    bool has_mount_ns = spec_find_namespace(init->spec, CLONE_NEWNS) != NULL;
    if (!has_mount_ns) {
        /* The mounts of the host are not ours to change: only the root is. The terminal is one of
         * the host's. */
        bool has_terminal = init->spec->process.terminal && init->console_socket >= 0;
        int rc = has_terminal ? console_open(-1, &init->spec->process, init->console_socket,
                                             init->console_flags, err)
                              : 0;
        if (rc < 0) {
            return rc;
        }
        if (chroot(rootfs->path) < 0 || chdir("/") < 0) {
            return err_set_errno(err, errno, "root.path: chroot to '%s'", rootfs->path);
        }
        rc = run_create_hooks(init, err);
        return rc < 0 ? rc : set_names(init->spec, err);
    }
    int rc = build_tree(init, err);
    if (rc < 0 || (rc = run_create_hooks(init, err)) < 0 ||
        (rc = rootfs_protect(rootfs, err)) < 0 ||
        (rc = rootfs_enter(rootfs, init->no_pivot, err)) < 0 || (rc = set_sysctls(init, err)) < 0 ||
        (rc = set_names(init->spec, err)) < 0) {
        return rc;
    }
    return rootfs_seal(rootfs, err);
}

/* Standard streams that are pipes or files belong to the container's user, so that /dev/stderr can
 * be opened again. */
static void own_streams(const struct spec_user *user)
{
    for (int fd = 0; fd < 3; fd++) {
        struct stat info;
        bool is_null =
            fstat(fd, &info) < 0 || (S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3));
        if (!is_null && (info.st_uid != user->uid || info.st_gid != user->gid)) {
            gid_t gid = isatty(fd) ? (gid_t)-1 : user->gid;
            if (fchown(fd, user->uid, gid) < 0) {
                report_debug("the owner of descriptor %d stays", fd);
            }
        }
    }
}

static int tell_created(struct init *init, struct err *err)
{
    int rc = sync_send(init->sync, SYNC_CREATED, 0, NULL);
    return rc < 0 ? err_set_errno(err, -rc, "write to kvrun") : 0;
}

/* Everything but the sync socket, the start socket and what the user wants to keep is closed. */
static void close_others(struct init *init)
{
    int first = 3 + (int)init->preserve_fds;
    int sync = fcntl(init->sync, F_DUPFD_CLOEXEC, first + 2);
    int start = init->start_socket < 0 ? -1 : fcntl(init->start_socket, F_DUPFD_CLOEXEC, first + 2);
    report_close();
    init->sync = dup3(sync, first, O_CLOEXEC);
    if (start >= 0) {
        init->start_socket = dup3(start, first + 1, O_CLOEXEC);
    }
    (void)close_range((unsigned)first + (start >= 0 ? 2U : 1U), ~0U, 0); /* Linux 5.9 */
}

_Noreturn static void end_by_signal(int number)
{
    _exit(128 + number);
}

/* As the first process of a pid namespace it would not even see a SIGTERM from outside. exec gives
 * back the default. */
static void die_of_sigterm(void)
{
    struct sigaction now;
    struct sigaction end = {.sa_handler = end_by_signal};
    if (sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        (void)sigaction(SIGTERM, &end, NULL); /* with valid arguments it cannot fail */
    }
}

/* Park until `kvrun start` connects; its connection then carries errors back as sync did. */
static int wait_for_start(struct init *init, struct err *err)
{
    if (init->start_socket < 0) {
        return sync_expect(init->sync, SYNC_START, err);
    }
    (void)close(init->sync); /* kvrun create may go */
    init->sync = -1;
    die_of_sigterm();
    for (;;) {
        int fd = accept4(init->start_socket, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            return err_set_errno(err, errno, "wait for start");
        }
        init->sync = fd;
        if (sync_expect(fd, SYNC_START, NULL) == 0) {
            (void)close(init->start_socket); /* started once */
            return 0;
        }
        (void)close(fd); /* one that hung up without a word */
        init->sync = -1;
    }
}

static int run_start_hooks(const struct init *init, const struct process *process, struct err *err)
{
    const struct spec_hook_list *hooks = &init->spec->hooks.start_container;
    if (hooks->count == 0) {
        return 0;
    }
    environ = process->env; /* a hook without an environment has the process's, not kvrun's */
    CLEANUP(buf) struct buf state = BUF_INIT;
    state_append_public(&state, init->spec, init->id, "created", init->pid, init->bundle);
    return hooks_run(hooks, "startContainer", buf_text(&state), err);
}

static int load_notifying(struct init *init, struct process *process, struct err *err)
{
    int listener = -1;
    int rc = process_load_seccomp(process, &listener, err);
    if (rc < 0 || listener < 0) {
        return rc;
    }
    rc = ask(init, SYNC_SECCOMP, listener, err);
    (void)close(listener); /* the receiver has its own */
    return rc;
}

/* For rootless containers that are to reach files by groups which cannot be mapped (crun's
 * annotation). */
static bool keeps_groups(const struct spec *spec)
{
    const char *value = spec_find_annotation(spec, "run.oci.keep_original_groups");
    return value != NULL && strcmp(value, "1") == 0;
}

/* A configuration without process may be created; starting it is the error. */
static int wait_without_process(struct init *init, struct err *err)
{
    close_others(init);
    int rc = prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0 ? err_set_errno(err, errno, "prctl") : 0;
    if (rc < 0 || (rc = tell_created(init, err)) < 0 || (rc = wait_for_start(init, err)) < 0) {
        return rc;
    }
    return err_set(err, ERR_INVALID, "process: property must not be empty to start");
}

static int run_process(struct init *init, struct err *err)
{
    const struct spec *spec = init->spec;
    struct process process = {.spec = &spec->process,
                              .seccomp = init->seccomp,
                              .arena = init->arena,
                              .keep_groups = keeps_groups(spec)};
    process_reset_affinity();
    int rc = process_limit(&spec->process, spec->linux_.personality, err);
    if (rc == 0 && spec->linux_.memory_policy != NULL) {
        rc = process_set_memory_policy(spec->linux_.memory_policy, err);
    }
    if (rc < 0) {
        return rc;
    }
    own_streams(&spec->process.user);
    if ((rc = process_write_label(&spec->process, &init->label, err)) < 0) {
        return rc;
    }
    /* Before the working directory is entered: "/proc/self/fd/N" must lead nowhere
     * (CVE-2024-21626). */
    close_others(init);
    if ((rc = process_resolve(&process, err)) < 0 ||
        (rc = process_become_user(&process, err)) < 0) {
        return rc;
    }
    bool is_loaded = init->seccomp != NULL && init->seccomp->has_notify;
    if (is_loaded && (rc = load_notifying(init, &process, err)) < 0) {
        return rc;
    }
    if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "PR_SET_PDEATHSIG");
    }
    if ((rc = tell_created(init, err)) < 0 || (rc = wait_for_start(init, err)) < 0) {
        return rc;
    }
    int listener = -1;
    if (!is_loaded && (rc = process_load_seccomp(&process, &listener, err)) < 0) {
        return rc;
    }
    /* Programs of the image: under the same filter as the image's own process. */
    if ((rc = run_start_hooks(init, &process, err)) < 0) {
        return rc;
    }
    return process_exec(&process, err);
}

static int run(struct init *init, struct err *err)
{
    /* Until it is created the container must not outlive kvrun. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "PR_SET_PDEATHSIG");
    }
    (void)umask(0);
    int rc = enter_namespaces(init, err);
    if (rc < 0) {
        return rc;
    }
    if (!init->parent_maps && (rc = process_set_oom_score(&init->spec->process, err)) < 0) {
        return rc;
    }
    /* Nobody in the container may look into this process or at its program (CVE-2019-5736). */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "PR_SET_DUMPABLE");
    }
    if (init->spec->has_process) {
        rc = process_open_label(&init->spec->process, &init->label, err);
    }
    if (rc < 0 || (rc = new_keyring(init, err)) < 0 || (rc = enter_tree(init, err)) < 0) {
        return rc;
    }
    return init->spec->has_process ? run_process(init, err) : wait_without_process(init, err);
}

_Noreturn void init_main(struct init *init)
{
    struct err err = {.code = 0};
    int rc = run(init, &err);
    if (init->sync >= 0) {
        err_ignore(
            sync_send(init->sync, SYNC_ERROR, rc, err.text)); /* then the exit status tells */
    }
    _exit(1);
}
