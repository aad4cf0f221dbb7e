/* shim_request.c - what each request of shim.proto does. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/container/file.h"
#include "runtime/container/shim/shim_state.h"
#include "runtime/container/stats.h"

struct answer {
    Coracle__Shim__ShimReply reply;
    Coracle__Shim__ShimDone done;
    Coracle__Shim__ShimState state;
    Coracle__Shim__ShimExited exited;
    Coracle__Shim__ShimExecStarted exec;
    Coracle__Shim__ShimStats stats;
    Coracle__Shim__ShimError error;
    bool is_later; /* nothing is sent now */
};

void shim_request_fill_exited(const struct shim_process *process, Coracle__Shim__ShimExited *exited)
{
    exited->exec_id = process->id;
    exited->exit_code = process->exit_code;
    exited->signal = process->signal;
    exited->oom_killed = process->oom_killed;
    exited->started_at_ns = process->started_at_ns;
    exited->finished_at_ns = process->finished_at_ns;
}

static struct shim_process *find_process(struct shim *shim, const char *exec_id)
{
    if (exec_id == NULL || exec_id[0] == 0) {
        return &shim->main;
    }
    list_foreach (item, &shim->execs) {
        struct shim_process *process = container_of(item, struct shim_process, link);
        if (strcmp(process->id, exec_id) == 0) {
            return process;
        }
    }
    return NULL;
}

static int need_process(struct shim *shim, const char *exec_id, struct shim_process **ret,
                        struct err *err)
{
    *ret = find_process(shim, exec_id);
    return *ret == NULL ? err_set(err, ERR_NOT_FOUND, "no exec '%s' here", exec_id) : 0;
}

static void answer_done(struct answer *answer)
{
    coracle__shim__shim_done__init(&answer->done);
    answer->reply.result_case = CORACLE__SHIM__SHIM_REPLY__RESULT_DONE;
    answer->reply.done = &answer->done;
}

static void answer_state(struct shim *shim, struct answer *answer)
{
    Coracle__Shim__ShimState *state = &answer->state;
    coracle__shim__shim_state__init(state);
    state->container_id = (char *)(uintptr_t)shim->options.id;
    state->pid = shim->main.pid;
    state->shim_pid = getpid();
    state->created_at_ns = shim->created_at_ns;
    state->started_at_ns = shim->is_started ? shim->main.started_at_ns : 0;
    state->terminal = shim->main.has_terminal;
    state->phase = CORACLE__SHIM__SHIM_PHASE__SHIM_PHASE_CREATED;
    list_foreach (item, &shim->execs) {
        state->exec_count += !container_of(item, struct shim_process, link)->has_exited;
    }
    if (shim->main.has_exited) {
        coracle__shim__shim_exited__init(&answer->exited);
        shim_request_fill_exited(&shim->main, &answer->exited);
        state->exited = &answer->exited;
        state->phase = CORACLE__SHIM__SHIM_PHASE__SHIM_PHASE_STOPPED;
    } else if (shim->is_started) {
        state->phase = shim->has_cgroup && cgroup_is_frozen(&shim->cgroup)
                           ? CORACLE__SHIM__SHIM_PHASE__SHIM_PHASE_PAUSED
                           : CORACLE__SHIM__SHIM_PHASE__SHIM_PHASE_RUNNING;
    }
    answer->reply.result_case = CORACLE__SHIM__SHIM_REPLY__RESULT_STATE;
    answer->reply.state = state;
}

static void answer_exited(const struct shim_process *process, struct answer *answer)
{
    coracle__shim__shim_exited__init(&answer->exited);
    shim_request_fill_exited(process, &answer->exited);
    answer->reply.result_case = CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED;
    answer->reply.exited = &answer->exited;
}

static int do_kill(struct shim *shim, const Coracle__Shim__ShimKillRequest *request,
                   struct err *err)
{
    struct shim_process *process = NULL;
    int rc = need_process(shim, request->exec_id, &process, err);
    if (rc < 0) {
        return rc;
    }
    if (process != &shim->main) {
        /* Our child until it is waited for: the pid cannot be another's. */
        if (process->has_exited || kill(process->pid, request->signal) < 0) {
            return err_set(err, -ESRCH, "the process of exec '%s' has ended", process->id);
        }
        return 0;
    }
    char number[16];
    (void)snprintf(number, sizeof number, "%d", request->signal);
    const char *const all[] = {"kill", "--all", shim->options.id, number, NULL};
    const char *const one[] = {"kill", shim->options.id, number, NULL};
    return shim_runtime_call(shim, request->all ? all : one, NULL, err);
}

static bool is_exec_id(const char *id)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t size = strlen(id);
    return size > 0 && size <= SHIM_EXEC_ID_SIZE_MAX && strspn(id, allowed) == size && id[0] != '.';
}

static void attach(struct shim_client *client, struct shim_process *process, uint64_t id,
                   bool wants_output, bool gives_input)
{
    client->stream = process;
    client->stream_id = id;
    client->wants_output = wants_output;
    client->gives_input = gives_input;
}

/* Ended execs are remembered for a late wait, the oldest forgotten first. */
static void forget_old_execs(struct shim *shim)
{
    list_foreach_safe (item, &shim->execs) {
        struct shim_process *process = container_of(item, struct shim_process, link);
        if (shim->exec_count < SHIM_EXECS_MAX) {
            return;
        }
        if (process->has_exited) {
            shim_process_deinit(shim, process);
            mem_free(process);
            shim->exec_count--;
        }
    }
}

static int do_exec(struct shim *shim, struct shim_client *client, uint64_t id,
                   const Coracle__Shim__ShimExecRequest *request, struct answer *answer,
                   struct err *err)
{
    char chosen[32];
    const char *exec_id = request->exec_id;
    if (exec_id[0] == 0) {
        (void)snprintf(chosen, sizeof chosen, "exec-%u", ++shim->exec_next);
        exec_id = chosen;
    }
    forget_old_execs(shim);
    if (!is_exec_id(exec_id) || find_process(shim, exec_id) != NULL) {
        return err_set(err, ERR_INVALID, "exec id '%.64s' is in use or no id", exec_id);
    }
    if (shim->main.has_exited || shim->exec_count >= SHIM_EXECS_MAX) {
        return err_set(err, ERR_INVALID,
                       shim->main.has_exited ? "the container has stopped" : "too many execs");
    }
    struct shim_process *process = mem_alloc(sizeof *process);
    shim_process_init(process, exec_id);
    list_push_back(&shim->execs, &process->link);
    shim->exec_count++;
    /* Attached first: nothing that it writes is missed. */
    int rc = shim_runtime_exec(shim, process, request, err);
    if (rc < 0) {
        shim_process_deinit(shim, process);
        mem_free(process);
        shim->exec_count--;
        return rc;
    }
    if (request->attach) {
        attach(client, process, id, true, request->input);
    }
    coracle__shim__shim_exec_started__init(&answer->exec);
    answer->exec.exec_id = process->id;
    answer->exec.pid = process->pid;
    answer->reply.result_case = CORACLE__SHIM__SHIM_REPLY__RESULT_EXEC;
    answer->reply.exec = &answer->exec;
    return 0;
}

static int do_attach(struct shim *shim, struct shim_client *client, uint64_t id,
                     const Coracle__Shim__ShimAttachRequest *request, struct err *err)
{
    if (shim->main.has_exited) {
        return err_set(err, ERR_INVALID, "the container has stopped");
    }
    if (request->input && !shim->options.has_input && !shim->main.has_terminal) {
        return err_set(err, ERR_INVALID, "the container has no standard input (kvshim --stdin)");
    }
    attach(client, &shim->main, id, !request->no_output, request->input);
    return 0;
}

static void do_wait(struct shim *shim, struct shim_client *client, uint64_t id,
                    struct shim_process *process, struct answer *answer)
{
    if (process->has_exited) {
        answer_exited(process, answer);
        return;
    }
    struct shim_waiter *waiter = mem_zalloc(sizeof *waiter);
    waiter->client = client;
    waiter->id = id;
    waiter->process = process;
    list_push_back(&shim->waiters, &waiter->link);
    answer->is_later = true;
}

static int do_delete(struct shim *shim, bool force, struct err *err)
{
    const char *const forced[] = {"delete", "--force", shim->options.id, NULL};
    const char *const plain[] = {"delete", shim->options.id, NULL};
    int rc = shim->is_deleted ? 0 : shim_runtime_call(shim, force ? forced : plain, NULL, err);
    if (rc == 0) {
        shim->is_deleted = true;
        shim->should_end = true;
    }
    return rc;
}

static int do_stats(struct shim *shim, struct answer *answer, struct err *err)
{
    if (!shim->has_cgroup) {
        return err_set(err, ERR_UNSUPPORTED, "the container has no cgroup");
    }
    struct stats stats;
    stats_read(&shim->cgroup, &stats);
    Coracle__Shim__ShimStats *out = &answer->stats;
    coracle__shim__shim_stats__init(out);
    out->cpu_usage_ns = stats.cpu_usage_ns;
    out->cpu_user_ns = stats.cpu_user_ns;
    out->cpu_system_ns = stats.cpu_system_ns;
    out->cpu_throttled_ns = stats.throttled_ns;
    out->memory_usage_bytes = stats.memory_usage;
    out->memory_working_set_bytes = stats.memory_usage > stats.memory_inactive_file
                                        ? stats.memory_usage - stats.memory_inactive_file
                                        : 0;
    out->memory_limit_bytes = stats.memory_limit;
    out->memory_peak_bytes = stats.memory_peak;
    out->memory_rss_bytes = stats.memory_rss;
    out->memory_cache_bytes = stats.memory_cache;
    out->pids = stats.pids;
    out->pids_limit = stats.pids_limit;
    out->block_read_bytes = stats.read_bytes;
    out->block_write_bytes = stats.write_bytes;
    out->oom_kills = stats.oom_kills;
    out->taken_at_ns = shim_now_ns();
    answer->reply.result_case = CORACLE__SHIM__SHIM_REPLY__RESULT_STATS;
    answer->reply.stats = out;
    return 0;
}

/* Interfaces of the container, from its first process's /proc/PID/net/dev. */
enum { NETWORKS_MAX = 32 };

struct networks {
    Coracle__Shim__ShimNetworkStats items[NETWORKS_MAX];
    Coracle__Shim__ShimNetworkStats *pointers[NETWORKS_MAX];
    char names[NETWORKS_MAX][32];
};

static void add_networks(struct shim *shim, struct answer *answer, struct networks *networks)
{
    char path[64];
    char text[16384];
    (void)snprintf(path, sizeof path, "/proc/%d/net/dev", shim->main.pid);
    if (shim->main.pid == 0 || file_read_text(AT_FDCWD, path, text, sizeof text) <= 0) {
        return;
    }
    size_t count = 0;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL && count < NETWORKS_MAX;
         line = strsep(&rest, "\n")) {
        Coracle__Shim__ShimNetworkStats *item = &networks->items[count];
        coracle__shim__shim_network_stats__init(item);
        if (sscanf(line, " %31[^:]: %lu %lu %*u %*u %*u %*u %*u %*u %lu %lu",
                   networks->names[count], &item->receive_bytes, &item->receive_packets,
                   &item->transmit_bytes, &item->transmit_packets) != 5) {
            continue;
        }
        item->name = networks->names[count];
        networks->pointers[count++] = item;
    }
    answer->stats.n_networks = count;
    answer->stats.networks = networks->pointers;
}

static int do_pause(struct shim *shim, bool resume, struct err *err)
{
    const char *const words[] = {resume ? "resume" : "pause", shim->options.id, NULL};
    return shim_runtime_call(shim, words, NULL, err);
}

static int do_update(struct shim *shim, const char *resources, struct err *err)
{
    const char *const words[] = {"update", "--resources", "-", shim->options.id, NULL};
    return shim_runtime_call(shim, words, resources, err);
}

static int do_resize(struct shim *shim, const struct shim_client *client,
                     const Coracle__Shim__ShimResizeRequest *request, struct err *err)
{
    struct shim_process *process = client->stream;
    if (process == NULL || request->exec_id[0] != 0) {
        int rc = need_process(shim, request->exec_id, &process, err);
        if (rc < 0) {
            return rc;
        }
    }
    int rc = shim_process_resize(process, request->width, request->height);
    return rc < 0 ? err_set_errno(err, -rc, "resize") : 0;
}

/* Input has no answer; so a lost one would be silent: the client sees the stream's end instead. */
static void do_input(struct shim *shim, struct shim_client *client,
                     const Coracle__Shim__ShimRequest *request, struct answer *answer)
{
    answer->is_later = true;
    if (client->stream != NULL && client->gives_input) {
        shim_process_give_input(shim, client->stream,
                                bytes_make(request->input.data, request->input.len));
    }
}

static int carry_out(struct shim *shim, struct shim_client *client,
                     const Coracle__Shim__ShimRequest *request, struct answer *answer,
                     struct networks *networks, struct err *err)
{
    struct shim_process *process = NULL;
    int rc = 0;
    answer_done(answer);
    switch (request->command_case) {
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_STATE:
        answer_state(shim, answer);
        return 0;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_START:
        rc = shim_runtime_start(shim, err);
        answer_state(shim, answer);
        return rc;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_KILL:
        return do_kill(shim, request->kill, err);
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_EXEC:
        return do_exec(shim, client, request->id, request->exec, answer, err);
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_ATTACH:
        return do_attach(shim, client, request->id, request->attach, err);
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_RESIZE:
        return do_resize(shim, client, request->resize, err);
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_WAIT:
        rc = need_process(shim, request->wait->exec_id, &process, err);
        if (rc == 0) {
            do_wait(shim, client, request->id, process, answer);
        }
        return rc;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_DELETE_CONTAINER:
        return do_delete(shim, request->delete_container->force, err);
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_STATS:
        rc = do_stats(shim, answer, err);
        if (rc == 0) {
            add_networks(shim, answer, networks);
        }
        return rc;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_PAUSE:
        rc = do_pause(shim, request->pause->resume, err);
        answer_state(shim, answer);
        return rc;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_UPDATE:
        return do_update(shim, request->update->resources_json, err);
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_REOPEN_LOG:
        return shim_log_reopen(&shim->log, err);
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_INPUT:
        do_input(shim, client, request, answer);
        return 0;
    case CORACLE__SHIM__SHIM_REQUEST__COMMAND_CLOSE_INPUT:
        process = client->stream;
        if (process == NULL || request->close_input->exec_id[0] != 0) {
            rc = need_process(shim, request->close_input->exec_id, &process, err);
        }
        if (rc == 0) {
            shim_process_close_input(shim, process);
        }
        return rc;
    default:
        return err_set(err, ERR_UNSUPPORTED, "unknown request");
    }
}

void shim_request_handle(struct shim *shim, struct shim_client *client,
                         const Coracle__Shim__ShimRequest *request)
{
    struct answer answer = {.is_later = false};
    struct networks networks;
    struct err err = {.code = 0};
    coracle__shim__shim_reply__init(&answer.reply);
    int rc = carry_out(shim, client, request, &answer, &networks, &err);
    answer.reply.id = request->id;
    if (rc < 0) {
        coracle__shim__shim_error__init(&answer.error);
        answer.error.code = rc;
        answer.error.text = err.text;
        answer.reply.error = &answer.error;
        answer.reply.result_case = CORACLE__SHIM__SHIM_REPLY__RESULT__NOT_SET;
        answer.is_later = false;
    }
    if (!answer.is_later) {
        shim_client_send(shim, client, &answer.reply);
    }
}
