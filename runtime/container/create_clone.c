/* create_clone.c - making the container's first process: directly, or through one that joins first.
 */
#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/create.h"
#include "runtime/container/kernel.h"
#include "runtime/container/report.h"
#include "runtime/container/sync.h"

enum { LATE_FLAGS = CLONE_NEWCGROUP | CLONE_NEWTIME };

/* Joining a user namespace, or others while making one, takes a process in between: it joins, makes
 * the real one as our child (CLONE_PARENT), tells its pid and ends. */
_Noreturn static void run_intermediate(struct creation *creation, int sync)
{
    struct init *init = &creation->init;
    struct err err = {.code = 0};
    int rc = cgroup_join_enter(&creation->join, &err);
    if (rc == 0) {
        rc = namespaces_join(&creation->namespaces, ~0, &err);
    }
    if (rc == 0) {
        uint64_t flags = (uint64_t)(creation->namespaces.new_flags & ~LATE_FLAGS) | CLONE_PARENT;
        init->joined_early = true;
        rc = kernel_clone(flags, -1, NULL, 0);
        if (rc == 0) {
            init_main(init);
        }
        if (rc < 0) {
            err_set_errno(&err, -rc, "clone the container's first process");
        }
    }
    err_ignore(rc < 0 ? sync_send(sync, SYNC_ERROR, rc, err.text)
                      : sync_send(sync, SYNC_CHILD, rc, NULL)); /* the end of the stream tells */
    _exit(rc < 0);
}

static int clone_through_intermediate(struct creation *creation, struct err *err)
{
    int ends[2];
    int rc = sync_open(ends);
    if (rc < 0) {
        return err_set_errno(err, -rc, "socket to the intermediate process");
    }
    CLEANUP(close_fd) int sync = ends[0];
    CLEANUP(close_fd) int far_sync = ends[1];
    int pid = kernel_clone(0, creation->join.v2_dir, NULL, SIGCHLD);
    if (pid < 0) {
        return err_set_errno(err, -pid, "fork");
    }
    if (pid == 0) {
        run_intermediate(creation, far_sync);
    }
    (void)close(TAKE_FD(creation->init.sync)); /* the child's end */
    (void)close(TAKE_FD(far_sync));            /* likewise */
    struct sync_message message;
    rc = sync_receive(sync, &message);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (rc <= 0 || message.type != SYNC_CHILD) {
        return err_set(err, rc > 0 && message.value < 0 ? message.value : ERR_CLOSED, "%s",
                       rc > 0 ? message.text : "the container's process has ended early");
    }
    creation->pid = message.value;
    creation->pidfd = pidfd_open(creation->pid, 0);
    return creation->pidfd < 0 ? err_set_errno(err, errno, "pidfd_open") : 0;
}

static int clone_directly(struct creation *creation, struct err *err)
{
    int pid_ns = namespaces_join_fd(&creation->namespaces, CLONE_NEWPID);
    CLEANUP(close_fd) int own_pid_ns = -1;
    if (pid_ns >= 0) {
        /* Only children are affected; ours that come later (hooks) belong where we are. */
        own_pid_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
        if (own_pid_ns < 0 || setns(pid_ns, CLONE_NEWPID) < 0) {
            return err_set_errno(err, errno, "linux.namespaces: join pid");
        }
    }
    uint64_t flags = (uint64_t)(creation->namespaces.new_flags & ~LATE_FLAGS);
    int pid = kernel_clone(flags, creation->join.v2_dir, &creation->pidfd, SIGCHLD);
    if (pid == 0) {
        init_main(&creation->init);
    }
    if (pid < 0) {
        return err_set_errno(err, -pid, "clone the container's first process");
    }
    creation->pid = pid;
    (void)close(TAKE_FD(creation->init.sync)); /* the child's end */
    if (own_pid_ns >= 0 && setns(own_pid_ns, CLONE_NEWPID) < 0) {
        return err_set_errno(err, errno, "return to the own pid namespace");
    }
    return 0;
}

int creation_clone(struct creation *creation, struct err *err)
{
    int ends[2];
    int rc = sync_open(ends);
    if (rc < 0) {
        return err_set_errno(err, -rc, "socket to the container's process");
    }
    creation->sync = ends[0];
    creation->init.sync = ends[1];
    bool joins_user = namespaces_join_fd(&creation->namespaces, CLONE_NEWUSER) >= 0;
    bool new_user = (creation->namespaces.new_flags & CLONE_NEWUSER) != 0;
    bool needs_intermediate = joins_user || (new_user && creation->namespaces.join_count > 0);
    report_debug("nsexec container setup");
    rc = needs_intermediate ? clone_through_intermediate(creation, err)
                            : clone_directly(creation, err);
    if (rc < 0) {
        return rc;
    }
    report_debug("child process in init(): %d", creation->pid);
    if (creation->console_parent >= 0) {
        (void)close(TAKE_FD(creation->init.console_socket)); /* or its end would never be seen */
    }
    creation->state.pid = creation->pid;
    creation->state.start_time = state_process_start_time(creation->pid);
    return 0;
}
