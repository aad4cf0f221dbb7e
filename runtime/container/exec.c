/* exec.c - another process in a container that runs.
 *
 * kvrun itself stays outside: its child joins the namespaces of the container's first process by
 * pidfd and then goes the same way as that one did (process.h). The child is not dumpable from its
 * first moment, because processes of the container can see it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/args.h"
#include "runtime/container/caps.h"
#include "runtime/container/console.h"
#include "runtime/container/container.h"
#include "runtime/container/file.h"
#include "runtime/container/kernel.h"
#include "runtime/container/notify.h"
#include "runtime/container/process.h"
#include "runtime/container/report.h"
#include "runtime/container/sync.h"

struct execution {
    const struct container_exec_options *exec;
    struct container container;
    struct spec spec;
    struct spec_process process;
    struct seccomp_program seccomp;
    bool has_seccomp;
    struct cgroup_join join;
    struct process_label label;
    int init_pidfd;
    bool joins_pid_first; /* kvrun's children are in the container's pid namespace */
    int namespaces;       /* CLONE_NEW flags that differ from ours */
    int sync;
    int console_socket;
    int console_parent;
    int pid;
    int pidfd;
};

static int read_process_file(struct execution *execution, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    const char *path = execution->exec->process_file;
    int rc =
        file_read(AT_FDCWD, strcmp(path, "-") == 0 ? "/dev/stdin" : path, JSON_SIZE_MAX, &text);
    if (rc < 0) {
        return err_set_errno(err, -rc, "--process: read '%s'", path);
    }
    return spec_parse_process(execution->container.options->arena, buf_bytes(&text),
                              &execution->process, err);
}

static int add_capabilities(struct execution *execution, struct err *err)
{
    struct spec_capabilities *caps = &execution->process.capabilities;
    for (size_t i = 0; i < execution->exec->capabilities.count; i++) {
        int number = caps_number(execution->exec->capabilities.items[i]);
        if (number < 0) {
            return err_set(err, ERR_INVALID, "--cap: unknown capability '%s'",
                           execution->exec->capabilities.items[i]);
        }
        uint64_t bit = UINT64_C(1) << number;
        caps->bounding |= bit;
        caps->effective |= bit;
        caps->permitted |= bit;
        caps->ambient |= caps->inheritable & bit;
    }
    return 0;
}

static int set_groups(struct execution *execution, struct err *err)
{
    const struct text_list *list = &execution->exec->additional_gids;
    struct spec_user *user = &execution->process.user;
    if (list->count == 0) {
        return 0;
    }
    user->additional_gids =
        arena_zalloc(execution->container.options->arena, list->count * sizeof(uint32_t));
    user->additional_gid_count = 0;
    for (size_t i = 0; i < list->count; i++) {
        long long gid = 0;
        if (!args_number(list->items[i], &gid)) {
            return err_set(err, ERR_INVALID, "--additional-gids: '%s' is no group id",
                           list->items[i]);
        }
        user->additional_gids[user->additional_gid_count++] = (uint32_t)gid;
    }
    return 0;
}

/* An addition replaces what has its name. */
static void set_env(struct text_list *env, char *item)
{
    size_t name_size = strcspn(item, "=") + 1;
    size_t at = 0;
    while (at < env->count && strncmp(env->items[at], item, name_size) != 0) {
        at++;
    }
    env->items[at] = item;
    env->count += at == env->count;
}

/* "exec ID command": as the container's own process, changed by the options. */
static int make_process(struct execution *execution, struct err *err)
{
    const struct container_exec_options *exec = execution->exec;
    struct arena *arena = execution->container.options->arena;
    if (exec->process_file != NULL) {
        int rc = read_process_file(execution, err);
        if (rc < 0) {
            return rc;
        }
        execution->process.terminal |= exec->terminal;
        return 0;
    }
    struct spec_process *process = &execution->process;
    *process = execution->spec.process;
    process->terminal = exec->terminal;
    process->console_size = (struct spec_console_size){0, 0};
    process->args = exec->args;
    if (process->args.count == 0) {
        return err_set(err, ERR_INVALID, "exec: process args cannot be empty");
    }
    process->cwd = exec->cwd != NULL ? exec->cwd : process->cwd;
    process->no_new_privileges |= exec->no_new_privs;
    struct text_list env = {
        arena_zalloc(arena, (process->env.count + exec->env.count + 1) * sizeof(char *)), 0};
    for (size_t i = 0; i < process->env.count; i++) {
        env.items[env.count++] = process->env.items[i];
    }
    for (size_t i = 0; i < exec->env.count; i++) {
        set_env(&env, exec->env.items[i]);
    }
    process->env = env;
    int rc = add_capabilities(execution, err);
    return rc < 0 ? rc : set_groups(execution, err);
}

/* The user by the container's own passwd file, through the root of its first process. */
static int find_user(struct execution *execution, struct err *err)
{
    if (execution->exec->user == NULL || execution->exec->process_file != NULL) {
        return 0;
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%lld/root", (long long)execution->container.state.pid);
    CLEANUP(close_fd) int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct user_identity identity;
    if (root < 0) {
        return err_set_errno(err, errno, "open the container's root");
    }
    int rc = user_parse(root, execution->exec->user, &identity, err);
    if (rc == 0) {
        execution->process.user.uid = identity.uid;
        execution->process.user.gid = identity.gid;
    }
    return rc;
}

static int find_namespaces(struct execution *execution, struct err *err)
{
    static const struct {
        const char *name;
        int flag;
    } types[] = {{"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID},      {"net", CLONE_NEWNET},
                 {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},      {"mnt", CLONE_NEWNS},
                 {"time", CLONE_NEWTIME}, {"cgroup", CLONE_NEWCGROUP}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char ours[64];
        char theirs[64];
        struct stat our_info;
        struct stat their_info;
        (void)snprintf(ours, sizeof ours, "/proc/self/ns/%s", types[i].name);
        (void)snprintf(theirs, sizeof theirs, "/proc/%lld/ns/%s",
                       (long long)execution->container.state.pid, types[i].name);
        if (stat(ours, &our_info) < 0) {
            continue; /* a kernel without this kind */
        }
        if (stat(theirs, &their_info) < 0) {
            return err_set_errno(err, errno, "exec: look at '%s'", theirs);
        }
        if (our_info.st_ino != their_info.st_ino) {
            execution->namespaces |= types[i].flag;
        }
    }
    execution->joins_pid_first =
        (execution->namespaces & CLONE_NEWPID) != 0 && (execution->namespaces & CLONE_NEWUSER) == 0;
    return 0;
}

static int check_status(struct execution *execution, struct err *err)
{
    struct container *container = &execution->container;
    enum state_status status = state_status(container->directory, &container->state);
    if (status == STATE_PAUSED && !execution->exec->ignore_paused) {
        return err_set(err, ERR_BUSY, "cannot exec in a paused container (use --ignore-paused)");
    }
    if (status != STATE_RUNNING && status != STATE_CREATED && status != STATE_PAUSED) {
        return err_set(err, ERR_INVALID, "cannot exec in a stopped container: '%s' is %s",
                       container->state.id, state_status_name(status));
    }
    execution->init_pidfd = state_open_process(&container->state);
    return execution->init_pidfd < 0
               ? err_set(err, ERR_INVALID, "container not running: '%s'", container->state.id)
               : 0;
}

static int check_terminal(const struct execution *execution, struct err *err)
{
    const struct container_exec_options *exec = execution->exec;
    if (execution->process.terminal && exec->detach && exec->console_socket == NULL) {
        return err_set(err, ERR_INVALID,
                       "cannot allocate tty if kvrun will detach without setting console socket");
    }
    return 0;
}

static int enter_sub_cgroups(struct execution *execution, struct err *err)
{
    const struct text_list *names = &execution->exec->cgroups;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < names->count; i++) {
        rc = names->items[i][0] == 0
                 ? 0
                 : container_enter_sub_cgroup(&execution->container, names->items[i], err);
    }
    return rc;
}

static int prepare(struct execution *execution, struct err *err)
{
    struct container *container = &execution->container;
    int rc = check_status(execution, err);
    if (rc < 0 ||
        (rc = state_read_config(container->directory, container->options->arena, &execution->spec,
                                err)) < 0 ||
        (rc = make_process(execution, err)) < 0 || (rc = find_user(execution, err)) < 0 ||
        (rc = check_terminal(execution, err)) < 0 || (rc = find_namespaces(execution, err)) < 0 ||
        (rc = enter_sub_cgroups(execution, err)) < 0) {
        return rc;
    }
    if (execution->spec.linux_.seccomp != NULL) {
        rc = seccomp_compile(container->options->arena, execution->spec.linux_.seccomp,
                             &execution->seccomp, err);
        execution->has_seccomp = rc == 0;
    }
    if (rc == 0 && !container->state.no_cgroup) {
        rc = cgroup_join_prepare(&container->cgroup, &execution->join, err);
    }
    if (rc < 0 || !execution->process.terminal) {
        return rc;
    }
    if (execution->exec->console_socket != NULL) {
        execution->console_socket = console_connect(execution->exec->console_socket, err);
        return execution->console_socket < 0 ? execution->console_socket : 0;
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        return err_set_errno(err, errno, "socket for the terminal");
    }
    execution->console_parent = ends[0];
    execution->console_socket = ends[1];
    return 0;
}

static void close_others(struct execution *execution)
{
    int first = 3 + (int)execution->exec->preserve_fds;
    int sync = fcntl(execution->sync, F_DUPFD_CLOEXEC, first + 1);
    report_close();
    execution->sync = dup3(sync, first, O_CLOEXEC);
    (void)close_range((unsigned)first + 1, ~0U, 0); /* Linux 5.9 */
}

static int load_seccomp(struct execution *execution, struct process *process, struct err *err)
{
    int listener = -1;
    int rc = process_load_seccomp(process, &listener, err);
    if (rc < 0 || listener < 0) {
        return rc;
    }
    rc = sync_send(execution->sync, SYNC_SECCOMP, listener, NULL);
    rc = rc < 0 ? err_set_errno(err, -rc, "write to kvrun")
                : sync_expect(execution->sync, SYNC_PROCEED, err);
    (void)close(listener); /* the receiver has its own */
    return rc;
}

/* The last process: in all namespaces, about to become the user's program. */
static int run_process(struct execution *execution, struct err *err)
{
    struct process process = {.spec = &execution->process,
                              .seccomp = execution->has_seccomp ? &execution->seccomp : NULL,
                              .arena = execution->container.options->arena};
    if (setsid() < 0) {
        return err_set_errno(err, errno, "setsid");
    }
    if ((execution->namespaces & CLONE_NEWUSER) != 0 &&
        (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)) {
        report_debug("no id 0 in the user namespace");
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "PR_SET_DUMPABLE");
    }
    int rc = 0;
    if (execution->process.terminal) {
        rc = console_open(-1, &execution->process, execution->console_socket,
                          execution->console_parent >= 0 ? CONSOLE_FORWARDED : 0, err);
    }
    if (rc < 0 || (rc = process_set_final_affinity(&execution->process, err)) < 0 ||
        (rc = process_set_oom_score(&execution->process, err)) < 0 ||
        (rc = process_limit(&execution->process, execution->spec.linux_.personality, err)) < 0 ||
        (execution->spec.linux_.memory_policy != NULL &&
         (rc = process_set_memory_policy(execution->spec.linux_.memory_policy, err)) < 0) ||
        (rc = process_write_label(&execution->process, &execution->label, err)) < 0) {
        return rc;
    }
    /* Before the working directory is entered, as in init.c. */
    close_others(execution);
    if ((rc = process_resolve(&process, err)) < 0 ||
        (rc = process_become_user(&process, err)) < 0 ||
        (rc = load_seccomp(execution, &process, err)) < 0) {
        return rc;
    }
    if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0) {
        return err_set_errno(err, errno, "PR_SET_PDEATHSIG");
    }
    if ((rc = sync_send(execution->sync, SYNC_CREATED, 0, NULL)) < 0 ||
        (rc = sync_expect(execution->sync, SYNC_START, err)) < 0) {
        return rc;
    }
    return process_exec(&process, err);
}

_Noreturn static void fail(struct execution *execution, int rc, const struct err *err)
{
    err_ignore(sync_send(execution->sync, SYNC_ERROR, rc, err->text)); /* the end tells as well */
    _exit(1);
}

/* Outside the pid namespace but in all others: one more clone, whose parent is kvrun. */
static void enter_and_clone(struct execution *execution, struct err *err)
{
    int rc = cgroup_join_enter(&execution->join, err);
    int others =
        execution->joins_pid_first ? execution->namespaces & ~CLONE_NEWPID : execution->namespaces;
    if (rc == 0 && others != 0 && setns(execution->init_pidfd, others) < 0) {
        rc = err_set_errno(err, errno, "exec: join the container's namespaces");
    }
    if (rc == 0 && (others & CLONE_NEWPID) != 0) {
        rc = kernel_clone(CLONE_PARENT, -1, NULL, 0);
        if (rc > 0) {
            err_ignore(sync_send(execution->sync, SYNC_CHILD, rc, NULL));
            _exit(0);
        }
        if (rc < 0) {
            rc = err_set_errno(err, -rc, "exec: fork in the container");
        }
    }
    if (rc == 0) {
        rc = run_process(execution, err);
    }
    fail(execution, rc, err);
}

_Noreturn static void child_main(struct execution *execution)
{
    struct err err = {.code = 0};
    /* Before any namespace of the container is joined: nobody there may trace us or open our
     * program. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        err_set_errno(&err, errno, "prctl");
        fail(execution, -EPERM, &err);
    }
    (void)umask(0);
    int rc = process_open_label(&execution->process, &execution->label, &err);
    if (rc == 0) {
        rc = process_set_initial_affinity(&execution->process, &err);
    }
    if (rc < 0) {
        fail(execution, rc, &err);
    }
    enter_and_clone(execution, &err);
    _exit(1);
}

static int spawn(struct execution *execution, struct err *err)
{
    int ends[2];
    int rc = sync_open(ends);
    if (rc < 0) {
        return err_set_errno(err, -rc, "socket to the new process");
    }
    /* Without a user namespace to join first, children can be made in the container's pid namespace
     * at once. They can be seen there from birth, so nobody may look into them from birth. */
    if (execution->joins_pid_first && (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
                                       setns(execution->init_pidfd, CLONE_NEWPID) < 0)) {
        return err_set_errno(err, errno, "exec: join the container's pid namespace");
    }
    report_debug("nsexec container setup");
    int pid = kernel_clone(0, execution->join.v2_dir, &execution->pidfd, SIGCHLD);
    if (pid == -EBUSY || pid == -EOPNOTSUPP) {
        /* The container made cgroups of its own below and enabled controllers: there are no
         * processes in the middle of a tree. Join where its first process is. */
        CLEANUP(close_fd)
        int dir =
            cgroup_open_v2_of(&execution->container.cgroup, (pid_t)execution->container.state.pid);
        pid = dir < 0 ? dir : kernel_clone(0, dir, &execution->pidfd, SIGCHLD);
    }
    if (pid < 0) {
        return err_set_errno(err, -pid, "fork");
    }
    if (pid == 0) {
        execution->sync = ends[1];
        child_main(execution);
    }
    report_debug("child process in init(): %d", pid);
    (void)close(ends[1]); /* the child's */
    if (execution->console_parent >= 0) {
        (void)close(execution->console_socket); /* or its end would never be seen */
    }
    execution->sync = ends[0];
    execution->pid = pid;
    return 0;
}

static int adopt(struct execution *execution, int pid, struct err *err)
{
    while (waitpid(execution->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    (void)close(execution->pidfd); /* of the one that was between */
    execution->pid = pid;
    execution->pidfd = pidfd_open(pid, 0);
    return execution->pidfd < 0 ? err_set_errno(err, errno, "pidfd_open") : 0;
}

static int fetch_listener(struct execution *execution, int number, struct err *err)
{
    CLEANUP(close_fd) int listener = pidfd_getfd(execution->pidfd, number, 0);
    if (listener < 0) {
        return err_set_errno(err, errno, "linux.seccomp: fetch the listener");
    }
    CLEANUP(buf) struct buf state = BUF_INIT;
    state_append_public(&state, &execution->spec, execution->container.state.id, "running",
                        (pid_t)execution->container.state.pid, execution->container.state.bundle);
    int rc = notify_send(execution->spec.linux_.seccomp, execution->spec.oci_version,
                         execution->pid, buf_text(&state), listener, err);
    return rc < 0 ? rc : sync_send(execution->sync, SYNC_PROCEED, 0, NULL);
}

static int follow(struct execution *execution, struct err *err)
{
    bool is_early_end = true;
    for (;;) {
        struct sync_message message;
        int rc = sync_receive(execution->sync, &message);
        if (rc <= 0) {
            return rc == 0 && !is_early_end
                       ? 0
                       : err_set(err, ERR_CLOSED, "exec: the new process has ended early");
        }
        switch (message.type) {
        case SYNC_CHILD:
            rc = adopt(execution, message.value, err);
            break;
        case SYNC_SECCOMP:
            rc = fetch_listener(execution, message.value, err);
            break;
        case SYNC_CREATED:
            report_debug("init: closing the pipe to signal completion");
            report_debug("setns_init: about to exec");
            is_early_end = false;
            if (execution->exec->pid_file != NULL) {
                rc = container_write_pid_file(execution->exec->pid_file, execution->pid, err);
            }
            if (rc >= 0 && execution->exec->pidfd_socket != NULL) {
                rc = container_send_pidfd(execution->exec->pidfd_socket, execution->pidfd, err);
            }
            rc = rc < 0 ? rc : sync_send(execution->sync, SYNC_START, 0, NULL);
            break;
        default:
            return err_set(err, message.value < 0 ? message.value : -EIO, "%s", message.text);
        }
        if (rc < 0) {
            return rc;
        }
    }
}

static int execute(struct execution *execution, int *ret_exit, struct err *err)
{
    int rc = prepare(execution, err);
    if (rc < 0 || (rc = spawn(execution, err)) < 0) {
        return rc;
    }
    rc = follow(execution, err);
    if (rc < 0) {
        (void)kill(execution->pid, SIGKILL); /* our own child, not yet waited for */
        while (waitpid(execution->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        return rc;
    }
    if (execution->exec->detach) {
        return 0;
    }
    CLEANUP(close_fd) int master = -1;
    if (execution->console_parent >= 0) {
        master = sync_receive_fd(execution->console_parent);
    }
    *ret_exit = container_wait(execution->pid, execution->pidfd, master);
    return 0;
}

int container_exec(const struct container_options *options,
                   const struct container_exec_options *exec, int *ret_exit, struct err *err)
{
    struct execution execution = {.exec = exec,
                                  .init_pidfd = -1,
                                  .sync = -1,
                                  .console_socket = -1,
                                  .console_parent = -1,
                                  .pidfd = -1,
                                  .join = {.v2_dir = -1}};
    int rc = container_open(options, exec->id, false, &execution.container, err);
    /* Descriptors and memory go with the process: exec is the last thing it does. */
    return rc < 0 ? rc : execute(&execution, ret_exit, err);
}
