/* lifecycle.c - start, kill, delete, pause, resume, update: operations on a container that exists.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/container.h"
#include "runtime/container/file.h"
#include "runtime/container/hooks.h"
#include "runtime/container/kernel.h"
#include "runtime/container/report.h"
#include "runtime/container/sync.h"

enum { KILL_WAIT_MS = 10000 };

int container_open(const struct container_options *options, const char *id, bool lock,
                   struct container *ret, struct err *err)
{
    struct container container = {.options = options};
    cgroup_init(&container.cgroup);
    int rc = state_check_id(id, err);
    if (rc < 0) {
        return rc;
    }
    CLEANUP(close_fd) int directory = state_open_directory(options->root, id, err);
    if (directory < 0) {
        return directory;
    }
    if (lock && (rc = state_lock(directory, err)) < 0) {
        return rc;
    }
    if ((rc = state_read(directory, options->arena, &container.state, err)) < 0) {
        return rc;
    }
    if (!container.state.no_cgroup) {
        rc = cgroup_detect(&container.cgroup, err);
        if (rc == 0) {
            rc = cgroup_open(&container.cgroup, container.state.cgroup_path, err);
        }
    }
    container.directory = TAKE_FD(directory);
    if (rc < 0) {
        container_close(&container);
        return rc;
    }
    *ret = container;
    return 0;
}

void container_close(struct container *container)
{
    cgroup_deinit(&container->cgroup);
    if (container->directory >= 0) {
        (void)close(container->directory); /* a directory; the lock ends with it */
        container->directory = -1;
    }
}

static int connect_start(const struct container *container, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start",
                   container->directory);
    CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        return err_set_errno(err, errno, "start: connect to the container's process");
    }
    return TAKE_FD(fd);
}

static int run_poststart(struct container *container, struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct spec spec;
    int rc = file_read(container->directory, "config.json", JSON_SIZE_MAX, &text);
    if (rc < 0) {
        return err_set_errno(err, -rc, "read the saved config.json");
    }
    if (strstr(buf_text(&text), "\"poststart\"") == NULL) {
        return 0;
    }
    rc = spec_parse(container->options->arena, buf_bytes(&text), &spec, err);
    if (rc < 0 || spec.hooks.poststart.count == 0) {
        return rc;
    }
    CLEANUP(buf) struct buf state = BUF_INIT;
    state_append_public(&state, &spec, container->state.id, "running", (pid_t)container->state.pid,
                        container->state.bundle);
    rc = hooks_run(&spec.hooks.poststart, "poststart", buf_text(&state), err);
    return rc < 0 ? ERR_CANCELLED : 0;
}

static int start(struct container *container, struct err *err)
{
    enum state_status status = state_status(container->directory, &container->state);
    if (status != STATE_CREATED) {
        return err_set(err, ERR_INVALID, "cannot start a container that is not created: '%s' is %s",
                       container->state.id, state_status_name(status));
    }
    if (!container->state.no_cgroup && cgroup_is_frozen(&container->cgroup)) {
        return err_set(err, ERR_BUSY, "cannot start '%s': its cgroup is frozen",
                       container->state.id);
    }
    CLEANUP(close_fd) int fd = connect_start(container, err);
    if (fd < 0) {
        return fd;
    }
    int rc = sync_send(fd, SYNC_START, 0, NULL);
    if (rc < 0) {
        return err_set_errno(err, -rc, "start: write to the container's process");
    }
    rc = sync_expect(fd, SYNC_START, err);
    if (unlinkat(container->directory, "start", 0) < 0 && errno != ENOENT) {
        return err_set_errno(err, errno, "start: remove the start socket");
    }
    if (rc != ERR_CLOSED) {
        return rc < 0 ? rc : err_set(err, ERR_PROTOCOL, "start: unexpected answer");
    }
    return run_poststart(container, err);
}

static int signal_init(const struct container *container, int signal, struct err *err)
{
    CLEANUP(close_fd) int pidfd = state_open_process(&container->state);
    int rc = pidfd < 0 ? pidfd : 0;
    if (rc == 0 && pidfd_send_signal(pidfd, signal, NULL, 0) < 0) {
        rc = -errno;
    }
    if (rc == -ESRCH) {
        return err_set(err, ERR_INVALID, "container not running: '%s'", container->state.id);
    }
    return rc < 0 ? err_set_errno(err, -rc, "kill '%s'", container->state.id) : 0;
}

/* With an own pid namespace the death of the first process takes the others along. */
static bool shares_pid_namespace(struct container *container)
{
    struct spec spec;
    if (state_read_config(container->directory, container->options->arena, &spec, NULL) < 0) {
        return true;
    }
    const struct spec_namespace *ns = spec_find_namespace(&spec, CLONE_NEWPID);
    return ns == NULL || ns->path != NULL;
}

static int kill_container(struct container *container, int signal, bool all, struct err *err)
{
    enum state_status status = state_status(container->directory, &container->state);
    if (status == STATE_STOPPED && all && !container->state.no_cgroup) {
        /* engines clean up with it: what is left in the cgroup is still ours */
        err_ignore(cgroup_kill(&container->cgroup, signal));
        return 0;
    }
    if (status == STATE_STOPPED || status == STATE_CREATING) {
        return err_set(err, ERR_INVALID, "container not running: '%s' is %s", container->state.id,
                       state_status_name(status));
    }
    int rc = 0;
    if (all && !container->state.no_cgroup) {
        rc = cgroup_kill(&container->cgroup, signal);
        rc = rc < 0 ? err_set_errno(err, -rc, "kill all of '%s'", container->state.id) : 0;
    } else if (signal == SIGKILL && !container->state.no_cgroup &&
               shares_pid_namespace(container)) {
        rc = cgroup_kill(&container->cgroup, SIGKILL);
        rc = rc < 0 ? signal_init(container, signal, err) : 0;
    } else {
        rc = signal_init(container, signal, err);
    }
    /* A frozen process cannot die: let SIGKILL work at once. */
    if (rc == 0 && signal == SIGKILL && status == STATE_PAUSED) {
        rc = cgroup_freeze(&container->cgroup, false, err);
    }
    return rc;
}

int container_kill(const struct container_options *options, const char *id, int signal, bool all,
                   struct err *err)
{
    struct container container;
    int rc = container_open(options, id, false, &container, err);
    if (rc < 0) {
        return rc;
    }
    rc = kill_container(&container, signal, all, err);
    container_close(&container);
    return rc;
}

static int kill_and_wait(struct container *container, struct err *err)
{
    CLEANUP(close_fd) int pidfd = state_open_process(&container->state);
    if (!container->state.no_cgroup) {
        err_ignore(cgroup_kill(&container->cgroup, SIGKILL)); /* cgroup_remove does it again */
        err_ignore(cgroup_freeze(&container->cgroup, false, NULL));
    }
    if (pidfd < 0) {
        return 0;
    }
    if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH) {
        return err_set_errno(err, errno, "kill '%s'", container->state.id);
    }
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    if (poll(&end, 1, KILL_WAIT_MS) <= 0) {
        return err_set(err, ERR_TIMEOUT, "the process of '%s' does not end", container->state.id);
    }
    return 0;
}

static int delete_container(struct container *container, bool force, struct err *err)
{
    enum state_status status = state_status(container->directory, &container->state);
    /* A created container never ran: deleting it is what engines expect, as runc and crun do. */
    if (status != STATE_STOPPED && status != STATE_CREATED && !force) {
        return err_set(err, ERR_BUSY, "cannot delete container '%s' that is not stopped: %s",
                       container->state.id, state_status_name(status));
    }
    if (status != STATE_STOPPED) {
        int rc = kill_and_wait(container, err);
        if (rc < 0) {
            return rc;
        }
    }
    return container_destroy(container, err);
}

int container_start(const struct container_options *options, const char *id, struct err *err)
{
    struct container container;
    int rc = container_open(options, id, true, &container, err);
    if (rc < 0) {
        return rc;
    }
    rc = start(&container, err);
    if (rc == ERR_CANCELLED) {
        /* A poststart hook failed: the specification (1.3) wants the container gone. */
        struct err ignored;
        err_ignore(delete_container(&container, true, &ignored));
        rc = err->code;
    }
    container_close(&container);
    return rc;
}

/* A create that was killed half-way may leave a directory without a state. */
static int delete_unreadable(const struct container_options *options, const char *id,
                             struct err *err)
{
    int rc = state_remove(options->root, id);
    return rc < 0 ? err_set_errno(err, -rc, "remove the state of '%s'", id) : 0;
}

int container_delete(const struct container_options *options, const char *id, bool force,
                     struct err *err)
{
    struct container container;
    int rc = container_open(options, id, true, &container, err);
    if (rc == ERR_NOT_FOUND && force) {
        return 0;
    }
    if (rc == -ENOENT && force) {
        return delete_unreadable(options, id, err);
    }
    if (rc < 0) {
        return rc;
    }
    rc = delete_container(&container, force, err);
    container_close(&container);
    return rc;
}

int container_each(const struct container_options *options, const char *pattern,
                   int (*action)(const struct container_options *, const char *, void *,
                                 struct err *),
                   void *context, struct err *err)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return err_set(err, ERR_INVALID, "--regex: '%s' is no regular expression", pattern);
    }
    CLEANUP(buf) struct buf ids = BUF_INIT;
    int rc = container_list(options, false, true, &ids, err);
    char *rest = rc < 0 ? NULL : arena_strdup(options->arena, buf_text(&ids));
    for (char *id = strsep(&rest, "\n"); id != NULL && rc == 0; id = strsep(&rest, "\n")) {
        if (id[0] != 0 && regexec(&regex, id, 0, NULL, 0) == 0) {
            rc = action(options, id, context, err);
        }
    }
    regfree(&regex);
    return rc;
}

static int pause_container(struct container *container, bool pause, struct err *err)
{
    enum state_status status = state_status(container->directory, &container->state);
    bool is_right =
        pause ? status == STATE_RUNNING || status == STATE_CREATED : status == STATE_PAUSED;
    if (!is_right) {
        return err_set(err, ERR_INVALID,
                       pause ? "container not running: '%s' is %s"
                             : "container not paused: '%s' is %s",
                       container->state.id, state_status_name(status));
    }
    return cgroup_freeze(&container->cgroup, pause, err);
}

int container_pause(const struct container_options *options, const char *id, bool pause,
                    struct err *err)
{
    struct container container;
    int rc = container_open(options, id, true, &container, err);
    if (rc < 0) {
        return rc;
    }
    rc = pause_container(&container, pause, err);
    container_close(&container);
    return rc;
}

int container_update(const struct container_options *options, const char *id,
                     const struct spec_resources *resources, struct err *err)
{
    struct container container;
    int rc = container_open(options, id, true, &container, err);
    if (rc < 0) {
        return rc;
    }
    if (state_status(container.directory, &container.state) == STATE_STOPPED) {
        rc = err_set(err, ERR_INVALID, "container not running: '%s' is stopped", id);
    } else if (container.state.no_cgroup) {
        rc = err_set(err, ERR_UNSUPPORTED, "container '%s' has no cgroup to update", id);
    } else {
        rc = cgroup_apply(&container.cgroup, resources, err);
    }
    container_close(&container);
    return rc;
}
