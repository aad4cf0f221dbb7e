#include "runtime/words/lifecycle.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/network/network.h"
#include "runtime/words/event_log.h"
#include "runtime/words/mount_root.h"
#include "runtime/words/name_files.h"
#include "runtime/words/network_join.h"
#include "runtime/words/shim_client.h"
#include "runtime/words/shim_spawn.h"
#include "runtime/words/spec.h"
#include "runtime/words/volumes.h"
#include "runtime/words/words.h"

/* ---- before it runs ---- */

static int look_up_user(const struct container *container, int root_fd, struct user *user,
                        struct err *err)
{
    const json_t *groups = json_object_get(container_host(container), "GroupAdd");
    const char *extra[USER_GROUPS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(groups) && count < USER_GROUPS_MAX; i++) {
        extra[count++] = json_string_value(json_array_get(groups, i));
    }
    return user_lookup(json_get_text(container_config(container), "User", ""), root_fd, extra,
                       count, user, err);
}

/* Docker makes the working directory if the image has none. */
static int make_workdir(const struct container *container, int root_fd, struct err *err)
{
    const char *path = json_get_text(container_config(container), "WorkingDir", "");
    int status = path[0] == '\0' ? 0 : in_root_make_directories(root_fd, path, 0755);
    return status == 0 ? 0 : err_set_errno(err, -status, "make the working directory '%s'", path);
}

struct joins {
    char network[64];
    char pid[64];
    char ipc[64];
};

/* "container:ID" to a namespace file of its process; "" is the host's; NULL a new one. */
static int resolve_join(const struct store *store, const char *mode, const char *type, char out[64],
                        const char **ret, struct err *err)
{
    if (strcmp(mode, "host") == 0) {
        *ret = "";
        return 0;
    }
    if (strncmp(mode, "container:", 10) != 0) {
        *ret = NULL;
        return 0;
    }
    CLEANUP(container) struct container other = {.directory_fd = -1};
    int status = container_find(store, mode + 10, &other, err);
    if (status == 0 && container_refresh(&other) != CONTAINER_RUNNING) {
        status = err_set(err, ERR_INVALID, "container %s does not run, so its %s cannot be joined",
                         mode + 10, type);
    }
    if (status == 0) {
        (void)snprintf(out, 64, "/proc/%d/ns/%s", (int)container_pid(&other), type);
        *ret = out;
    }
    return status;
}

static int write_spec(const struct container *container, const struct spec_input *input,
                      struct err *err)
{
    CLEANUP(json) json_t *spec = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = spec_make(input, &spec, err);
    if (status != 0) {
        return status;
    }
    json_write(spec, false, &text);
    return store_replace_file(container->directory_fd, "config.json", buf_bytes(&text), err);
}

static int prepare(const struct store *store, struct container *container, struct err *err)
{
    const json_t *host = container_host(container);
    const char *hostname = json_get_text(container_config(container), "Hostname", "");
    CLEANUP(close_fd) int root_fd = -1;
    CLEANUP(json) json_t *mounts = NULL;
    json_t *points = NULL;
    CLEANUP(free) struct user *user = mem_zalloc(sizeof(*user));
    CLEANUP(free) char *root_path = mem_printf("%s/merged", container->directory);
    struct joins joins;
    char init_path[PATH_MAX];
    struct spec_input input = {
        .id = container->id,
        .hostname = hostname,
        .root_path = root_path,
        .directory = container->directory,
        .init_path = init_path,
        .config = container_config(container),
        .host = host,
        .user = user,
    };
    int status;
    if ((status = mount_root(store, container, &root_fd, err)) != 0 ||
        (status = look_up_user(container, root_fd, user, err)) != 0 ||
        (status = make_workdir(container, root_fd, err)) != 0 ||
        (status = volumes_resolve(store, container, root_fd, &mounts, &points, err)) != 0) {
        return status;
    }
    json_object_set_new(container->state, "Mounts", points);
    find_sibling("kvinit", init_path);
    input.mounts = mounts;
    if ((status = resolve_join(store, json_get_text(host, "NetworkMode", "bridge"), "net",
                               joins.network, &input.network_path, err)) != 0 ||
        (status = resolve_join(store, json_get_text(host, "PidMode", ""), "pid", joins.pid,
                               &input.pid_path, err)) != 0 ||
        (status = resolve_join(store, json_get_text(host, "IpcMode", ""), "ipc", joins.ipc,
                               &input.ipc_path, err)) != 0 ||
        (status = name_files_write(store, container, hostname, err)) != 0) {
        return status;
    }
    return write_spec(container, &input, err);
}

/* ---- shim ---- */

static void forget_shim(const struct container *container)
{
    char path[PATH_MAX];
    struct shim_client client;
    if (container_socket_path(container, path, NULL) == 0 &&
        shim_client_open(&client, path, NULL) == 0) {
        int ignored = shim_client_delete(&client, true, NULL);
        (void)ignored; /* then the runtime is asked itself */
        shim_client_close(&client);
    }
    shim_force_delete(container);
}

static void undo_create(struct container *container)
{
    forget_shim(container);
    network_leave(container);
}

int lifecycle_create(const struct store *store, struct container *container,
                     const struct lifecycle_options *options, struct err *err)
{
    pid_t pid = 0;
    pid_t shim_pid = 0;
    json_object_del(container->state, "Networks");
    int status = mount_root_isolate(err);
    if (status == 0) {
        status = prepare(store, container, err);
    }
    if (status != 0) {
        return status;
    }
    (void)unlinkat(container->directory_fd, "exit.json", 0); /* of the last run */
    status = shim_spawn(container, options, &pid, &shim_pid, err);
    if (status != 0) {
        shim_force_delete(container);
        return status;
    }
    status = network_join(store, container, pid, err);
    if (status == 0 && json_object_size(json_object_get(container->state, "Networks")) > 0) {
        status = name_files_write(store, container,
                                  json_get_text(container_config(container), "Hostname", ""), err);
    }
    json_object_set_new(container->state, "Pid", json_integer(pid));
    json_object_set_new(container->state, "ShimPid", json_integer(shim_pid));
    json_object_set_new(container->state, "StartTicks", json_integer(container_start_ticks(pid)));
    if (status == 0) {
        status = container_write_state(container, err);
    }
    if (status != 0) {
        undo_create(container);
        json_object_set_new(container->state, "Pid", json_integer(0));
    }
    return status;
}

int lifecycle_start(const struct store *store, struct container *container, struct err *err)
{
    char path[PATH_MAX];
    char now[40];
    struct shim_client client;
    int status = container_socket_path(container, path, err);
    if (status == 0) {
        status = shim_client_open(&client, path, err);
    }
    if (status != 0) {
        return status;
    }
    /* Running first: a process that ends at once must not be taken for one that never started. */
    format_now(now);
    json_object_set_new(container->state, "Status", json_text("running"));
    json_object_set_new(container->state, "StartedAt", json_text(now));
    json_object_set_new(container->state, "ExitCode", json_integer(0));
    json_object_set_new(container->state, "OOMKilled", json_false());
    json_object_set_new(container->state, "StopRequested", json_false());
    json_object_set_new(container->state, "Error", json_text(""));
    status = container_write_state(container, err);
    if (status == 0) {
        name_files_update(store, json_object_get(container->state, "Networks"));
        status = shim_client_start(&client, err);
    }
    shim_client_close(&client);
    if (status == 0) {
        event_log(store, container, "start", NULL, NULL);
    }
    return status;
}

/* ---- after it ran ---- */

static void log_end(const struct store *store, const struct container *container)
{
    char code[24];
    (void)snprintf(code, sizeof(code), "%lld",
                   (long long)json_get_integer(container->state, "ExitCode", 0));
    if (json_get_flag(container->state, "OOMKilled")) {
        event_log(store, container, "oom", NULL, NULL);
    }
    event_log(store, container, "die", "exitCode", code);
}

int lifecycle_finish(const struct store *store, struct container *container, struct err *err)
{
    const char *before = json_get_text(container->state, "Status", "");
    bool never_ran = strcmp(before, "created") == 0;
    CLEANUP(json) json_t *networks = json_incref(json_object_get(container->state, "Networks"));
    (void)container_refresh(container); /* reads exit.json before the shim is told to go */
    bool has_ended = json_get_flag(container->state, "HasJustEnded");
    json_object_del(container->state, "HasJustEnded");
    forget_shim(container);
    network_leave(container);
    json_object_set_new(container->state, "Pid", json_integer(0));
    if (!never_ran) {
        json_object_set_new(container->state, "Status", json_text("exited"));
        if (json_get_text(container->state, "FinishedAt", "")[0] == '\0') {
            char now[40];
            format_now(now);
            json_object_set_new(container->state, "FinishedAt", json_text(now));
        }
    }
    int status = container_write_state(container, err);
    name_files_update(store, networks);
    if (has_ended) {
        log_end(store, container);
    }
    return status;
}

int lifecycle_remove(const struct store *store, struct container *container, bool removes_volumes,
                     struct err *err)
{
    forget_shim(container);
    network_leave(container);
    mount_root_unmount(container);
    if (removes_volumes) {
        volumes_remove_anonymous(store, container);
    }
    int status = container_remove_files(store, container, err);
    if (status == 0) {
        event_log(store, container, "destroy", NULL, NULL);
    }
    return status;
}

static int wait_by_shim(const struct container *container, int timeout_ms, int *ret_code,
                        struct err *err)
{
    char path[PATH_MAX];
    struct shim_client client;
    int status = container_socket_path(container, path, err);
    if (status == 0) {
        status = shim_client_open(&client, path, err);
    }
    if (status == 0) {
        status = shim_client_wait(&client, timeout_ms, ret_code, err);
        shim_client_close(&client);
    }
    return status;
}

int lifecycle_wait(struct container *container, int timeout_ms, int *ret_code, struct err *err)
{
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_monotonic_ms() + (uint64_t)timeout_ms;
    for (;;) {
        enum container_status now = container_refresh(container);
        if (now != CONTAINER_RUNNING && now != CONTAINER_PAUSED) {
            *ret_code = (int)json_get_integer(container->state, "ExitCode", 0);
            return 0;
        }
        uint64_t left = deadline - clock_monotonic_ms();
        int status = wait_by_shim(container, timeout_ms < 0 ? -1 : (int)left, ret_code, err);
        if (status == 0 || status == ERR_TIMEOUT) {
            return status;
        }
        /* Without its shim the process itself has to be watched. */
        if (clock_monotonic_ms() >= deadline) {
            return err_set(err, ERR_TIMEOUT, "container %.12s does not end", container->id);
        }
        usleep(20000);
    }
}

static int send_signal(struct container *container, int signal_number, struct err *err)
{
    char path[PATH_MAX];
    struct shim_client client;
    int status = container_socket_path(container, path, err);
    if (status == 0 && shim_client_open(&client, path, NULL) == 0) {
        /* With a pid namespace of its own the first process takes all others along. */
        bool is_all = signal_number == SIGKILL &&
                      json_get_text(container_host(container), "PidMode", "")[0] != '\0';
        status = shim_client_kill(&client, signal_number, is_all, NULL, err);
        shim_client_close(&client);
        return status;
    }
    if (container_is_process(container_pid(container),
                             json_get_integer(container->state, "StartTicks", 0)) &&
        kill(container_pid(container), signal_number) != 0 && errno != ESRCH) {
        return err_set_errno(err, errno, "signal container %.12s", container->id);
    }
    return 0;
}

/* The first process of a pid namespace does not get signals that it neither handles nor blocks:
 * waiting for it to obey would be waiting for nothing. */
static bool ignores_signal(const struct container *container, int signal_number)
{
    char path[64];
    char line[256];
    unsigned long long caught = 0;
    unsigned long long blocked = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)container_pid(container));
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL || json_get_text(container_host(container), "PidMode", "")[0] != '\0') {
        return false;
    }
    bool is_read = false;
    while (fgets(line, sizeof(line), file) != NULL) {
        is_read |= sscanf(line, "SigCgt: %llx", &caught) == 1;
        (void)sscanf(line, "SigBlk: %llx", &blocked); /* before SigCgt, in the same format */
    }
    return is_read && (((caught | blocked) >> (signal_number - 1)) & 1) == 0;
}

static bool is_alive(enum container_status status)
{
    return status == CONTAINER_RUNNING || status == CONTAINER_PAUSED ||
           status == CONTAINER_RESTARTING;
}

/* Note that it is meant to end, so that nobody restarts it. */
static int request_stop(struct container *container, bool *ret_is_alive, struct err *err)
{
    CLEANUP(close_fd) int lock = -1;
    int status = container_lock(container, &lock, err);
    if (status == 0) {
        status = container_read_state(container, err);
    }
    *ret_is_alive = status == 0 && is_alive(container_refresh(container));
    if (*ret_is_alive) {
        json_object_set_new(container->state, "StopRequested", json_true());
        status = container_write_state(container, err);
    }
    return status;
}

static int end_processes(struct container *container, int timeout_s, struct err *err)
{
    enum { TIMEOUT_DEFAULT_S = 10, KILL_TIMEOUT_MS = 60000 };
    int signal_number = SIGTERM;
    int code = 0;
    int status = signal_parse(json_get_text(container_config(container), "StopSignal", "SIGTERM"),
                              &signal_number, err);
    if (status != 0) {
        return status;
    }
    if (timeout_s < 0) {
        timeout_s =
            (int)json_get_integer(container_config(container), "StopTimeout", TIMEOUT_DEFAULT_S);
    }
    status = ERR_TIMEOUT;
    if (timeout_s > 0 && !ignores_signal(container, signal_number)) {
        status = send_signal(container, signal_number, err);
        status = status != 0 ? status : lifecycle_wait(container, timeout_s * 1000, &code, err);
    }
    if (status == ERR_TIMEOUT) {
        status = send_signal(container, SIGKILL, err);
        status = status != 0 ? status : lifecycle_wait(container, KILL_TIMEOUT_MS, &code, err);
    }
    /* The shim may have gone because somebody else has dealt with the end. */
    return container_is_process(container_pid(container),
                                json_get_integer(container->state, "StartTicks", 0))
               ? status
               : 0;
}

int lifecycle_stop(const struct store *store, struct container *container, int timeout_s,
                   struct err *err)
{
    bool was_alive = false;
    int status = request_stop(container, &was_alive, err);
    if (status != 0 || !was_alive) {
        return status;
    }
    const int64_t pid = container_pid(container);
    if ((status = end_processes(container, timeout_s, err)) != 0) {
        return status;
    }
    CLEANUP(close_fd) int lock = -1;
    status = container_lock(container, &lock, err);
    if (status == ERR_NOT_FOUND) {
        return 0; /* --rm */
    }
    if (status == 0) {
        status = container_read_state(container, err);
    }
    /* Whoever came first has finished it, and may even have started it again. */
    return status != 0 || container_pid(container) != pid ? status
                                                          : lifecycle_finish(store, container, err);
}

int lifecycle_exit_code(const struct err *err)
{
    const char *text = err->text;
    if (err->code == -ENOENT || strstr(text, "executable file") != NULL ||
        (strstr(text, "exec") != NULL && strstr(text, "o such file") != NULL)) {
        return EXIT_NOT_FOUND;
    }
    if (err->code == -EACCES || strstr(text, "ermission denied") != NULL ||
        strstr(text, "xec format error") != NULL) {
        return EXIT_NOT_EXECUTABLE;
    }
    return EXIT_RUN_FAILED;
}

int signal_parse(const char *text, int *ret, struct err *err)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    char *end = NULL;
    long number = strtol(name, &end, 10);
    if (isdigit((unsigned char)name[0]) && *end == '\0' && number > 0 && number < NSIG) {
        *ret = (int)number;
        return 0;
    }
    for (int i = 1; i < SIGRTMIN; i++) {
        const char *known = sigabbrev_np(i);
        if (known != NULL && strcasecmp(known, name) == 0) {
            *ret = i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "unknown signal '%.40s'", text);
}
