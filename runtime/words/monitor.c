/* monitor.c - the process that waits for a container with a restart policy, or for a detached one
 * with --rm; and the reconciliation that makes up for monitors that were killed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/image/json.h"
#include "runtime/network/network.h"
#include "runtime/words/health.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/shim_client.h"
#include "runtime/words/words.h"

/* Docker's: 100 ms, doubled each time, at most a minute, and anew after 10 s of running. */
enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 60000, STEADY_MS = 10000 };

bool lifecycle_needs_monitor(const struct container *container, bool is_detached)
{
    const json_t *host = container_host(container);
    const json_t *policy = json_object_get(host, "RestartPolicy");
    bool restarts = strcmp(json_get_text(policy, "Name", "no"), "no") != 0;
    return restarts || health_is_wanted(container) ||
           (is_detached && json_get_flag(host, "AutoRemove"));
}

/* The monitor is there before the start: until then the state says "created". */
static int wait_for_run(struct container *container, int *ret_code, struct err *err)
{
    char path[PATH_MAX];
    struct shim_client client;
    int status = container_socket_path(container, path, err);
    if (status == 0 && (status = shim_client_open(&client, path, err)) == 0) {
        status = shim_client_wait(&client, -1, ret_code, err);
        shim_client_close(&client);
    }
    if (status == 0) {
        return 0;
    }
    /* The shim has gone: it was killed, or somebody else has dealt with the end. */
    status = container_read_state(container, err);
    return status != 0 ? status : lifecycle_wait(container, -1, ret_code, err);
}

static bool should_restart(const struct container *container, int code)
{
    const json_t *policy = json_object_get(container_host(container), "RestartPolicy");
    const char *name = json_get_text(policy, "Name", "no");
    if (json_get_flag(container->state, "StopRequested")) {
        return false;
    }
    if (strcmp(name, "always") == 0 || strcmp(name, "unless-stopped") == 0) {
        return true;
    }
    int64_t limit = json_get_integer(policy, "MaximumRetryCount", 0);
    return strcmp(name, "on-failure") == 0 && code != 0 &&
           (limit == 0 || json_get_integer(container->state, "RestartCount", 0) < limit);
}

/* 1: it runs again. */
static int restart(const struct store *store, struct container *container, unsigned *backoff_ms)
{
    struct err err;
    const struct lifecycle_options options = {.keeps_input_open = true};
    usleep(*backoff_ms * 1000);
    *backoff_ms = *backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : *backoff_ms * 2;
    CLEANUP(close_fd) int lock = -1;
    if (container_lock(container, &lock, &err) != 0 || container_read_state(container, &err) != 0 ||
        container_refresh(container) != CONTAINER_RESTARTING || /* somebody else started it */
        json_get_flag(container->state, "StopRequested")) {
        return 0;
    }
    json_object_set_new(container->state, "RestartCount",
                        json_integer(json_get_integer(container->state, "RestartCount", 0) + 1));
    int status = lifecycle_create(store, container, &options, &err);
    if (status == 0) {
        status = lifecycle_start(store, container, &err);
    }
    if (status != 0) {
        json_object_set_new(container->state, "Error", json_text(err.text));
        status = lifecycle_finish(store, container, &err);
        return 0;
    }
    return 1;
}

/* Clean up after one run. True: it is to be restarted, and its state says so. */
static bool finish_run(const struct store *store, struct container *container, pid_t pid, int code)
{
    struct err err;
    CLEANUP(close_fd) int lock = -1;
    if (container_lock(container, &lock, &err) != 0 || container_read_state(container, &err) != 0) {
        return false; /* removed meanwhile */
    }
    if (container_pid(container) != 0 && container_pid(container) != pid) {
        return false; /* started again meanwhile: that run has a monitor of its own */
    }
    int status = 0;
    if (container_pid(container) != 0) {
        status = lifecycle_finish(store, container, &err);
    }
    if (json_get_flag(container_host(container), "AutoRemove")) {
        status = lifecycle_remove(store, container, true, &err);
        return false;
    }
    if (status != 0 || !should_restart(container, code)) {
        return false;
    }
    json_object_set_new(container->state, "Status", json_text("restarting"));
    return container_write_state(container, &err) == 0;
}

static void monitor(const struct store *store, struct container *container)
{
    unsigned backoff_ms = BACKOFF_FIRST_MS;
    for (;;) {
        struct err err;
        int code = 255;
        pid_t pid = container_pid(container);
        uint64_t started = clock_monotonic_ms();
        pid_t prober = health_spawn(container);
        int status = wait_for_run(container, &code, &err);
        health_stop(prober);
        if (clock_monotonic_ms() - started >= STEADY_MS) {
            backoff_ms = BACKOFF_FIRST_MS;
        }
        if (status != 0 || !finish_run(store, container, pid, code) ||
            restart(store, container, &backoff_ms) == 0) {
            return;
        }
    }
}

static void detach_from_caller(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
    }
    (void)setsid();
    if (chdir("/") != 0) {
        _exit(EXIT_FAILED); /* the root is always there */
    }
    (void)signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_NAME, "kvmonitor");
}

static void run_monitor(const char *root, const char *id)
{
    struct store store;
    struct container container = {.directory_fd = -1};
    if (store_open(&store, root, NULL) == 0 && container_find(&store, id, &container, NULL) == 0) {
        monitor(&store, &container);
    }
}

int lifecycle_spawn_monitor(const struct store *store, const struct container *container,
                            struct err *err)
{
    pid_t child = fork();
    if (child < 0) {
        return err_set_errno(err, errno, "start the container's monitor");
    }
    if (child > 0) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
        return 0;
    }
    /* Nothing of the caller is kept, and that before it goes on: an inherited descriptor would hold
     * its locks and pipes. */
    detach_from_caller();
    (void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
    /* Twice, so that nobody has to wait for the monitor. */
    if (fork() == 0) {
        run_monitor(store->root, container->id);
    }
    _exit(0);
}

static int reconcile_one(struct container *container, void *context)
{
    const struct store *store = context;
    const char *before = json_get_text(container->state, "Status", "");
    bool ran = strcmp(before, "running") == 0 || strcmp(before, "paused") == 0;
    CLEANUP(close_fd) int lock = -1;
    struct err err;
    if (!ran || container_is_process(container_pid(container),
                                     json_get_integer(container->state, "StartTicks", 0))) {
        return 0;
    }
    /* It has ended, and what is on disk does not say so: whoever should wait is slow, or gone. */
    int status = container_lock(container, &lock, &err);
    if (status == 0) {
        status = container_read_state(container, &err);
    }
    if (status == 0 && container_refresh(container) == CONTAINER_EXITED) {
        status = lifecycle_finish(store, container, &err);
        if (status == 0 && json_get_flag(container_host(container), "AutoRemove")) {
            status = lifecycle_remove(store, container, true, &err);
        }
    }
    return 0; /* one that cannot be cleaned must not hide the others */
}

int lifecycle_reconcile(const struct store *store, struct err *err)
{
    struct store copy = *store;
    container_sweep(store);
    return container_list(store, reconcile_one, &copy, err);
}
