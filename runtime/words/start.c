#include "runtime/words/start.h"

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/session.h"

/* Attach before the start, so that nothing of the output is missed. */
static int run_attached(const struct start *start, int *ret_code, struct err *err)
{
    struct container *container = start->container;
    const json_t *config = container_config(container);
    struct session session = {
        .has_input = json_get_flag(config, "OpenStdin"),
        .is_tty = json_get_flag(config, "Tty"),
        .forwards_signals = true,
        .detach_keys = start->detach_keys,
    };
    int status = session_open(&session, container, err);
    if (status != 0) {
        return status;
    }
    status = session_attach(&session, err);
    if (status == 0) {
        status = lifecycle_start(start->store, container, err);
    }
    if (status == 0) {
        status = session_run(&session, ret_code, err);
    }
    session_close(&session);
    return status;
}

static void clean_failed(const struct start *start, const struct err *why)
{
    struct err ignored;
    struct container *container = start->container;
    json_object_set_new(container->state, "Error", json_text(why->text));
    json_object_set_new(container->state, "ExitCode", json_integer(lifecycle_exit_code(why)));
    int status = json_get_flag(container_host(container), "AutoRemove")
                     ? lifecycle_remove(start->store, container, true, &ignored)
                     : lifecycle_finish(start->store, container, &ignored);
    (void)status; /* the first error is the one to tell */
}

/* After an attached run: clean up, unless a monitor does. */
static int finish_attached(const struct start *start, bool is_monitored, struct err *err)
{
    CLEANUP(close_fd) int lock = -1;
    if (is_monitored) {
        return 0;
    }
    int status = container_lock(start->container, &lock, err);
    if (status == 0) {
        status = lifecycle_finish(start->store, start->container, err);
    }
    if (status == 0 && json_get_flag(container_host(start->container), "AutoRemove")) {
        status = lifecycle_remove(start->store, start->container, true, err);
    }
    return status;
}

int start_container(const struct start *start, int *ret_code, struct err *err)
{
    struct container *container = start->container;
    struct lifecycle_options options = {.keeps_input_open = start->is_detached};
    bool is_monitored = lifecycle_needs_monitor(container, start->is_detached);
    if (!session_terminal_size(&options.width, &options.height)) {
        options.width = 0;
    }
    CLEANUP(close_fd) int lock = -1;
    int status = container_lock(container, &lock, err);
    if (status == 0) {
        status = lifecycle_create(start->store, container, &options, err);
    }
    if (status == 0 && is_monitored) {
        status = lifecycle_spawn_monitor(start->store, container, err);
    }
    if (status == 0 && start->is_detached) {
        status = lifecycle_start(start->store, container, err);
    }
    if (status != 0) {
        clean_failed(start, err);
        return status;
    }
    cleanup_close_fd(&lock);
    lock = -1;
    if (start->is_detached) {
        return 0;
    }
    status = run_attached(start, ret_code, err);
    if (status != 0) {
        clean_failed(start, err);
        return status;
    }
    if (*ret_code == SESSION_DETACHED) {
        *ret_code = 0;
        /* From here on nobody waits; --rm needs somebody. */
        return !is_monitored && lifecycle_needs_monitor(container, true)
                   ? lifecycle_spawn_monitor(start->store, container, err)
                   : 0;
    }
    return finish_attached(start, is_monitored, err);
}
