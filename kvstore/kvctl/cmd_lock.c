/* lock: hold a named lock until interrupted, or while a command runs. */
#include <signal.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/queue_key.h"

extern char **environ;

struct command_run_state {
    struct queue_key *queue;
    uv_process_t process;
    bool is_exited;
    int status;
};

static void on_exit_command(uv_process_t *process, int64_t status, int signal_number)
{
    struct command_run_state *state = process->data;
    state->is_exited = true;
    state->status = signal_number != 0 ? 128 + signal_number : (int)status;
    uv_stop(&state->queue->invocation->session->loop);
}

static size_t count_texts(char *const *texts)
{
    size_t count = 0;
    while (texts[count] != NULL) {
        count += 1;
    }
    return count;
}

/* Our environment with the lock's key and revision in front. */
static char **lock_environment(struct queue_key *queue)
{
    struct arena *arena = queue->invocation->arena;
    size_t count = count_texts(environ);
    char **texts = arena_zalloc(arena, (count + 3) * sizeof *texts);
    texts[0] = arena_printf(arena, "ETCD_LOCK_KEY=%s", queue->key);
    texts[1] = arena_printf(arena, "ETCD_LOCK_REV=%lld", (long long)queue->header_revision);
    for (size_t i = 0; i < count; i++) {
        texts[i + 2] = environ[i];
    }
    return texts;
}

/* The loop goes on while the command runs, so that the lease stays alive. */
static int run_locked(struct queue_key *queue, const char *const *words)
{
    struct command_run_state state = {.queue = queue};
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++) {
        stdio[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = i};
    }
    const uv_process_options_t options = {
        .exit_cb = on_exit_command,
        .file = words[0],
        .args = (char **)(uintptr_t)words,
        .env = lock_environment(queue),
        .stdio_count = 3,
        .stdio = stdio,
    };
    state.process.data = &state;
    uv_loop_t *loop = &queue->invocation->session->loop;
    int result = uv_spawn(loop, &state.process, &options);
    if (result < 0) {
        uv_close((uv_handle_t *)&state.process, NULL);
        (void)uv_run(loop, UV_RUN_NOWAIT);
        return command_fail(EXIT_CODE_ERROR, "run \"%s\": %s", words[0], uv_strerror(result));
    }
    while (!state.is_exited) {
        (void)uv_run(loop, UV_RUN_DEFAULT);
        if (queue->is_signalled && !state.is_exited) {
            /* From the terminal it got the signal, too; elsewhere we pass it on. */
            queue->is_signalled = false;
            (void)uv_process_kill(&state.process, SIGTERM);
        }
    }
    uv_close((uv_handle_t *)&state.process, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT);
    return state.status;
}

static int hold_lock(struct queue_key *queue)
{
    const struct invocation *inv = queue->invocation;
    int code = queue_key_acquire(queue, "");
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (queue->is_signalled) {
        return command_fail(EXIT_CODE_ERROR, "context canceled");
    }
    if (inv->argument_count > 1) {
        code = run_locked(queue, inv->arguments + 1);
        int released = queue_key_release(queue);
        return code != 0 ? code : released;
    }
    code = queue_key_show(queue);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    queue_key_hold(queue);
    if (queue->is_expired) {
        return command_fail(EXIT_CODE_ERROR, "session expired");
    }
    return queue_key_release(queue);
}

static int run_lock(struct invocation *inv)
{
    if (inv->argument_count == 0) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "lock takes a lock name argument and an optional command to execute");
    }
    struct queue_key queue;
    int code = queue_key_open(&queue, inv, inv->arguments[0], flag_number(&inv->flags, "ttl"));
    if (code == EXIT_CODE_OK) {
        code = hold_lock(&queue);
    }
    queue_key_close(&queue);
    return code;
}

static const struct flag lock_flags[] = {
    {.name = "ttl",
     .type = FLAG_NUMBER,
     .initial = "10",
     .help = "seconds until the lock is free after this program died"},
    {.name = NULL},
};

const struct command lock_commands[] = {
    {
        .path = "lock",
        .group = "coordination",
        .summary = "Hold a named lock",
        .arguments = "<name> [-- command...]",
        .flags = lock_flags,
        .run = run_lock,
        .examples = "$ kvctl lock nightly-job -- ./job.sh\n"
                    "$ kvctl lock nightly-job            # until Ctrl-C",
        .more =
            "The command gets ETCD_LOCK_KEY and ETCD_LOCK_REV in its environment. The revision\n"
            "grows with each holder: give it to whatever the lock protects, and let that refuse\n"
            "smaller ones (fencing), because a paused holder may wake up after its lease.",
    },
    {.path = NULL},
};
