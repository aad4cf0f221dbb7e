#include "runtime/words/start.h"

#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/session.h"

static void unlock(struct start *start)
{
    cleanup_close_fd(&start->lock);
    start->lock = -1;
}

/* Attach before the start, so that nothing of the output is missed. */
static int run_attached(struct start *start, int *ret_code, struct err *err)
{
    const json_t *config = container_config(start->container);
    struct session session = {
        .has_input = json_get_flag(config, "OpenStdin"),
        .is_tty = json_get_flag(config, "Tty"),
        .forwards_signals = true,
        .detach_keys = start->detach_keys,
    };
    int status = session_open(&session, start->container, err);
    if (status != 0) {
        return status;
    }
    status = session_attach(&session, err);
    if (status == 0) {
        status = lifecycle_start(start->store, start->container, err);
    }
    unlock(start);
    if (status == 0) {
        status = session_run(&session, ret_code, err);
    }
    session_close(&session);
    return status;
}

/* 0: locked and up to date; ERR_NOT_FOUND: somebody else has removed it. */
static int lock_again(struct start *start, struct err *err)
{
    if (start->lock >= 0) {
        return 0;
    }
    int status = container_lock(start->container, &start->lock, err);
    return status != 0 ? status : container_read_state(start->container, err);
}

static void clean_failed(struct start *start, const struct err *why)
{
    struct err ignored;
    struct container *container = start->container;
    if (lock_again(start, &ignored) != 0) {
        return;
    }
    json_object_set_new(container->state, "Error", json_text(why->text));
    json_object_set_new(container->state, "ExitCode", json_integer(lifecycle_exit_code(why)));
    int status = json_get_flag(container_host(container), "AutoRemove")
                     ? lifecycle_remove(start->store, container, true, &ignored)
                     : lifecycle_finish(start->store, container, &ignored);
    (void)status; /* the first error is the one to tell */
}

/* After an attached run: clean up, unless a monitor does or somebody else has. */
static int finish_attached(struct start *start, pid_t pid, struct err *err)
{
    int status = lock_again(start, err);
    if (status == ERR_NOT_FOUND) {
        return 0;
    }
    if (status == 0 && container_pid(start->container) == pid) {
        status = lifecycle_finish(start->store, start->container, err);
    }
    bool is_over = container_pid(start->container) == 0; /* else it was started again */
    if (status == 0 && is_over && json_get_flag(container_host(start->container), "AutoRemove")) {
        status = lifecycle_remove(start->store, start->container, true, err);
    }
    return status;
}

/* With the lock held: up to the parked process, or to the running one of a detached container. */
static int create_process(const struct start *start, bool is_monitored, struct err *err)
{
    struct lifecycle_options options = {.keeps_input_open = start->is_detached};
    if (!session_terminal_size(&options.width, &options.height)) {
        options.width = 0;
    }
    int status = lifecycle_create(start->store, start->container, &options, err);
    if (status == 0 && is_monitored) {
        status = lifecycle_spawn_monitor(start->store, start->container, err);
    }
    if (status == 0 && start->is_detached) {
        status = lifecycle_start(start->store, start->container, err);
    }
    return status;
}

static int start_locked(struct start *start, int *ret_code, struct err *err)
{
    struct container *container = start->container;
    bool is_monitored = lifecycle_needs_monitor(container, start->is_detached);
    int status = create_process(start, is_monitored, err);
    const pid_t pid = container_pid(container);
    if (status == 0 && !start->is_detached) {
        status = run_attached(start, ret_code, err);
    }
    if (status != 0) {
        clean_failed(start, err);
        return status;
    }
    if (start->is_detached) {
        return 0;
    }
    if (*ret_code == SESSION_DETACHED) {
        *ret_code = 0;
        /* From here on nobody waits; --rm needs somebody. */
        return !is_monitored && lifecycle_needs_monitor(container, true)
                   ? lifecycle_spawn_monitor(start->store, container, err)
                   : 0;
    }
    return is_monitored ? 0 : finish_attached(start, pid, err);
}

int start_container(struct start *start, int *ret_code, struct err *err)
{
    struct container *container = start->container;
    start->lock = -1;
    int status = lock_again(start, err);
    if (status != 0) {
        return status;
    }
    bool is_unfinished = container_pid(container) != 0; /* if it has ended, nobody has noted it */
    enum container_status now = container_refresh(container);
    if (now == CONTAINER_DEAD || now == CONTAINER_PAUSED) {
        status = err_set(err, ERR_INVALID, "container %s is %s and cannot be started",
                         container_name(container), container_status_text(now));
    } else if (now == CONTAINER_EXITED && is_unfinished) {
        status = lifecycle_finish(start->store, container, err);
    }
    if (status == 0 && now != CONTAINER_RUNNING && now != CONTAINER_RESTARTING) {
        status = start_locked(start, ret_code, err);
    }
    unlock(start);
    return status;
}
