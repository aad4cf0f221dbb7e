/* main.c - kvrun's command line (containers.md 2.4, 2.5). */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/args.h"
#include "runtime/container/container.h"
#include "runtime/container/file.h"
#include "runtime/container/help.h"
#include "runtime/container/protect.h"
#include "runtime/container/report.h"
#include "runtime/container/update.h"

#define VERSION "0.1.0"

struct cli {
    struct arena arena;
    struct container_options options;
    char **argv;
    int argc;
    int at;                 /* next word of argv */
    struct text_list words; /* the command's words that are no options */
    int exit_status;
};

static int read_words(struct cli *cli, const struct args_option *options, bool stop_at_word,
                      struct err *err)
{
    const char *next = cli->at < cli->argc ? cli->argv[cli->at] : "";
    if (strcmp(next, "-h") == 0 || strcmp(next, "--help") == 0) {
        help_print_command(cli->argv[cli->at - 1], options);
        return ERR_CANCELLED;
    }
    cli->words.items = arena_zalloc(&cli->arena, ((size_t)cli->argc + 1) * sizeof(char *));
    return args_parse(cli->argc, cli->argv, &cli->at, options, stop_at_word, &cli->words, err);
}

static int expect_words(const struct cli *cli, size_t min, size_t max, struct err *err)
{
    if (cli->words.count < min) {
        return err_set(err, ERR_INVALID, "a container ID is needed");
    }
    return cli->words.count > max
               ? err_set(err, ERR_INVALID, "unexpected argument '%s'", cli->words.items[max])
               : 0;
}

static int print(struct buf *out, int rc, struct err *err)
{
    if (rc == 0) {
        rc = file_write_all(STDOUT_FILENO, out->data, out->end);
        rc = rc < 0 ? err_set_errno(err, -rc, "write to standard output") : 0;
    }
    buf_deinit(out);
    return rc;
}

/* --preserve-fds N promises descriptors 3 .. 3+N-1; LISTEN_FDS (systemd) is added. */
static int read_preserve_fds(const char *text, unsigned *ret, struct err *err)
{
    long long count = 0;
    long long listen = 0;
    const char *listen_fds = getenv("LISTEN_FDS");
    if (text != NULL && (!args_number(text, &count) || count < 0 || count > 10000)) {
        return err_set(err, ERR_INVALID, "--preserve-fds: '%s' is no number of descriptors", text);
    }
    if (listen_fds != NULL && args_number(listen_fds, &listen) && listen > 0 && listen < 1000) {
        count += listen;
    }
    /* Only up to the last that is open; holes are filled with what closes at exec, so that no
     * descriptor of ours can come to lie among them. */
    while (count > 0 && fcntl(2 + (int)count, F_GETFD) < 0) {
        count--;
    }
    for (int fd = 3; fd < 3 + (int)count; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            CLEANUP(close_fd) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
            if (null != fd && dup3(null, fd, O_CLOEXEC) < 0) {
                return err_set_errno(err, errno, "--preserve-fds");
            }
            if (null == fd) {
                (void)TAKE_FD(null); /* it stays open */
            }
        }
    }
    *ret = (unsigned)count;
    return 0;
}

static int command_create(struct cli *cli, bool is_run, struct err *err)
{
    struct container_create_options create = {.is_run = is_run};
    const char *preserve_fds = NULL;
    const struct args_option options[] = {
        {"bundle", 'b', ARGS_TEXT, &create.bundle},
        {"config", 'f', ARGS_TEXT, &create.config},
        {"console-socket", 0, ARGS_TEXT, &create.console_socket},
        {"pidfd-socket", 0, ARGS_TEXT, &create.pidfd_socket},
        {"pid-file", 0, ARGS_TEXT, &create.pid_file},
        {"no-pivot", 0, ARGS_BOOL, &create.no_pivot},
        {"no-new-keyring", 0, ARGS_BOOL, &create.no_new_keyring},
        {"preserve-fds", 0, ARGS_TEXT, &preserve_fds},
        {"no-subreaper", 0, ARGS_BOOL, NULL},
        {"detach", 'd', ARGS_BOOL, &create.detach},
        {"keep", 0, ARGS_BOOL, &create.keep},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    int rc = read_words(cli, options, false, err);
    if (rc < 0 || (rc = expect_words(cli, 1, 1, err)) < 0 ||
        (rc = read_preserve_fds(preserve_fds, &create.preserve_fds, err)) < 0) {
        return rc;
    }
    create.id = cli->words.items[0];
    /* Paths are the caller's; the bundle becomes the working directory. */
    const char **const paths[] = {&create.pid_file, &create.console_socket, &create.pidfd_socket};
    for (size_t i = 0; i < 3; i++) {
        if (*paths[i] != NULL && (*paths[i])[0] != '/') {
            CLEANUP(free) char *here = getcwd(NULL, 0);
            *paths[i] = arena_printf(&cli->arena, "%s/%s", here == NULL ? "" : here, *paths[i]);
        }
    }
    return container_create(&cli->options, &create, &cli->exit_status, err);
}

static int command_with_id(struct cli *cli, struct err *err)
{
    const struct args_option options[] = {{NULL, 0, ARGS_BOOL, NULL}};
    int rc = read_words(cli, options, false, err);
    return rc < 0 ? rc : expect_words(cli, 1, 1, err);
}

static int command_start(struct cli *cli, struct err *err)
{
    int rc = command_with_id(cli, err);
    return rc < 0 ? rc : container_start(&cli->options, cli->words.items[0], err);
}

static int command_state(struct cli *cli, struct err *err)
{
    struct buf out = BUF_INIT;
    int rc = command_with_id(cli, err);
    return rc < 0
               ? rc
               : print(&out, container_print_state(&cli->options, cli->words.items[0], &out, err),
                       err);
}

static int command_pause(struct cli *cli, bool pause, struct err *err)
{
    int rc = command_with_id(cli, err);
    return rc < 0 ? rc : container_pause(&cli->options, cli->words.items[0], pause, err);
}

struct kill_options {
    int signal;
    bool all;
};

static int kill_one(const struct container_options *options, const char *id, void *context,
                    struct err *err)
{
    const struct kill_options *kill = context;
    return container_kill(options, id, kill->signal, kill->all, err);
}

static int delete_one(const struct container_options *options, const char *id, void *context,
                      struct err *err)
{
    return container_delete(options, id, *(bool *)context, err);
}

static int command_kill(struct cli *cli, struct err *err)
{
    struct kill_options kill = {.all = false};
    bool is_regex = false;
    const struct args_option options[] = {
        {"all", 'a', ARGS_BOOL, &kill.all},
        {"regex", 'r', ARGS_BOOL, &is_regex},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    int rc = read_words(cli, options, false, err);
    if (rc < 0 || (rc = expect_words(cli, 1, 2, err)) < 0) {
        return rc;
    }
    const char *name = cli->words.count > 1 ? cli->words.items[1] : "TERM";
    kill.signal = args_signal(name);
    if (kill.signal < 0) {
        return err_set(err, ERR_INVALID, "unknown signal '%s'", name);
    }
    const char *id = cli->words.items[0];
    return is_regex ? container_each(&cli->options, id, kill_one, &kill, err)
                    : kill_one(&cli->options, id, &kill, err);
}

static int command_delete(struct cli *cli, struct err *err)
{
    bool force = false;
    bool is_regex = false;
    const struct args_option options[] = {
        {"force", 'f', ARGS_BOOL, &force},
        {"regex", 'r', ARGS_BOOL, &is_regex},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    int rc = read_words(cli, options, false, err);
    if (rc < 0 || (rc = expect_words(cli, 1, 1, err)) < 0) {
        return rc;
    }
    const char *id = cli->words.items[0];
    return is_regex ? container_each(&cli->options, id, delete_one, &force, err)
                    : delete_one(&cli->options, id, &force, err);
}

static int read_format(const char *format, bool *ret_json, struct err *err)
{
    *ret_json = format != NULL && strcmp(format, "json") == 0;
    return format == NULL || *ret_json || strcmp(format, "table") == 0
               ? 0
               : err_set(err, ERR_INVALID, "--format: invalid format option '%s'", format);
}

static int command_list(struct cli *cli, struct err *err)
{
    const char *format = NULL;
    bool is_quiet = false;
    bool is_json = false;
    const struct args_option options[] = {
        {"format", 'f', ARGS_TEXT, &format},
        {"quiet", 'q', ARGS_BOOL, &is_quiet},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    struct buf out = BUF_INIT;
    int rc = read_words(cli, options, false, err);
    if (rc < 0 || (rc = expect_words(cli, 0, 0, err)) < 0 ||
        (rc = read_format(format, &is_json, err)) < 0) {
        return rc;
    }
    return print(&out, container_list(&cli->options, is_json, is_quiet, &out, err), err);
}

static int command_ps(struct cli *cli, struct err *err)
{
    const char *format = NULL;
    bool is_json = false;
    const struct args_option options[] = {
        {"format", 'f', ARGS_TEXT, &format},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    struct buf out = BUF_INIT;
    int rc = read_words(cli, options, true, err);
    if (rc < 0 || (rc = read_format(format, &is_json, err)) < 0) {
        return rc;
    }
    if (cli->at == cli->argc) {
        return err_set(err, ERR_INVALID, "ps: a container ID is needed");
    }
    const char *id = cli->argv[cli->at++];
    const struct text_list arguments = {cli->argv + cli->at, (size_t)(cli->argc - cli->at)};
    return print(&out, container_ps(&cli->options, id, &arguments, is_json, &out, err), err);
}

static int command_update(struct cli *cli, struct err *err)
{
    struct update_options u = {.resources = NULL};
    const struct args_option options[] = {
        {"resources", 'r', ARGS_TEXT, &u.resources},
        {"blkio-weight", 0, ARGS_TEXT, &u.blkio_weight},
        {"cpu-period", 0, ARGS_TEXT, &u.cpu_period},
        {"cpu-quota", 0, ARGS_TEXT, &u.cpu_quota},
        {"cpu-burst", 0, ARGS_TEXT, &u.cpu_burst},
        {"cpu-share", 0, ARGS_TEXT, &u.cpu_share},
        {"cpu-idle", 0, ARGS_TEXT, &u.cpu_idle},
        {"cpu-rt-period", 0, ARGS_TEXT, &u.cpu_rt_period},
        {"cpu-rt-runtime", 0, ARGS_TEXT, &u.cpu_rt_runtime},
        {"cpuset-cpus", 0, ARGS_TEXT, &u.cpuset_cpus},
        {"cpuset-mems", 0, ARGS_TEXT, &u.cpuset_mems},
        {"memory", 0, ARGS_TEXT, &u.memory},
        {"memory-reservation", 0, ARGS_TEXT, &u.memory_reservation},
        {"memory-swap", 0, ARGS_TEXT, &u.memory_swap},
        {"kernel-memory", 0, ARGS_TEXT, NULL},
        {"kernel-memory-tcp", 0, ARGS_TEXT, NULL},
        {"pids-limit", 0, ARGS_TEXT, &u.pids_limit},
        {"l3-cache-schema", 0, ARGS_TEXT, NULL},
        {"mem-bw-schema", 0, ARGS_TEXT, NULL},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    struct spec_resources resources;
    int rc = read_words(cli, options, false, err);
    if (rc < 0 || (rc = expect_words(cli, 1, 1, err)) < 0 ||
        (rc = update_read(&cli->arena, &u, &resources, err)) < 0) {
        return rc;
    }
    return container_update(&cli->options, cli->words.items[0], &resources, err);
}

static int command_events(struct cli *cli, struct err *err)
{
    bool only_stats = false;
    const char *interval = "5s";
    const struct args_option options[] = {
        {"stats", 0, ARGS_BOOL, &only_stats},
        {"interval", 0, ARGS_TEXT, &interval},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    int rc = read_words(cli, options, false, err);
    if (rc < 0 || (rc = expect_words(cli, 1, 1, err)) < 0) {
        return rc;
    }
    if (only_stats) {
        struct buf out = BUF_INIT;
        return print(&out, container_stats(&cli->options, cli->words.items[0], &out, err), err);
    }
    /* Go's durations as callers write them: "5s", "1m", "100ms" (rounded up). */
    char *unit = NULL;
    long value = strtol(interval, &unit, 10);
    long seconds = strcmp(unit, "ms") == 0  ? (value + 999) / 1000
                   : strcmp(unit, "m") == 0 ? value * 60
                                            : value;
    if (seconds <= 0 || seconds > 86400) {
        return err_set(err, ERR_INVALID, "--interval: duration interval must be greater than 0");
    }
    return container_events(&cli->options, cli->words.items[0], (unsigned)seconds, err);
}

static int command_features(struct cli *cli, struct err *err)
{
    struct buf out = BUF_INIT;
    const struct args_option options[] = {{NULL, 0, ARGS_BOOL, NULL}};
    int rc = read_words(cli, options, false, err);
    if (rc == 0) {
        container_print_features(&out);
    }
    return print(&out, rc, err);
}

static int command_spec(struct cli *cli, struct err *err)
{
    const char *bundle = NULL;
    bool is_rootless = false;
    const struct args_option options[] = {
        {"bundle", 'b', ARGS_TEXT, &bundle},
        {"rootless", 0, ARGS_BOOL, &is_rootless},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    int rc = read_words(cli, options, false, err);
    if (rc < 0) {
        return rc;
    }
    if (bundle != NULL && chdir(bundle) < 0) {
        return err_set_errno(err, errno, "--bundle: chdir to '%s'", bundle);
    }
    CLEANUP(buf) struct buf out = BUF_INIT;
    container_print_spec(&out, is_rootless);
    CLEANUP(close_fd)
    int fd = open("config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return err_set_errno(err, errno, "file config.json exists. Remove it first: config.json");
    }
    rc = file_write_all(fd, out.data, out.end);
    return rc < 0 ? err_set_errno(err, -rc, "write config.json") : 0;
}

static int command_exec(struct cli *cli, struct err *err)
{
    struct container_exec_options exec = {.id = NULL};
    const char *preserve_fds = NULL;
    const struct args_option options[] = {
        {"detach", 'd', ARGS_BOOL, &exec.detach},
        {"tty", 't', ARGS_BOOL, &exec.terminal},
        {"env", 'e', ARGS_LIST, &exec.env},
        {"user", 'u', ARGS_TEXT, &exec.user},
        {"additional-gids", 'g', ARGS_LIST, &exec.additional_gids},
        {"cwd", 0, ARGS_TEXT, &exec.cwd},
        {"process", 'p', ARGS_TEXT, &exec.process_file},
        {"pid-file", 0, ARGS_TEXT, &exec.pid_file},
        {"console-socket", 0, ARGS_TEXT, &exec.console_socket},
        {"pidfd-socket", 0, ARGS_TEXT, &exec.pidfd_socket},
        {"cap", 'c', ARGS_LIST, &exec.capabilities},
        {"no-new-privs", 0, ARGS_BOOL, &exec.no_new_privs},
        {"apparmor", 0, ARGS_TEXT, NULL},
        {"process-label", 0, ARGS_TEXT, NULL},
        {"preserve-fds", 0, ARGS_TEXT, &preserve_fds},
        {"cgroup", 0, ARGS_LIST, &exec.cgroups},
        {"ignore-paused", 0, ARGS_BOOL, &exec.ignore_paused},
        {"no-subreaper", 0, ARGS_BOOL, NULL},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    int rc = read_words(cli, options, true, err);
    if (rc < 0 || (rc = read_preserve_fds(preserve_fds, &exec.preserve_fds, err)) < 0) {
        return rc;
    }
    if (cli->at == cli->argc) {
        return err_set(err, ERR_INVALID, "exec: a container ID is needed");
    }
    exec.id = cli->argv[cli->at++];
    exec.args.items = cli->argv + cli->at;
    exec.args.count = (size_t)(cli->argc - cli->at);
    rc = container_exec(&cli->options, &exec, &cli->exit_status, err);
    if (rc < 0) {
        cli->exit_status = 255; /* as runc: not to be taken for the command's own 1 */
    }
    return rc;
}

/* Said before anything is looked at: engines offer these and show the text. */
static int command_unsupported(struct cli *cli, const char *name, struct err *err)
{
    const struct args_option options[] = {{NULL, 0, ARGS_BOOL, NULL}};
    const char *next = cli->at < cli->argc ? cli->argv[cli->at] : "";
    if (strcmp(next, "-h") == 0 || strcmp(next, "--help") == 0) {
        help_print_command(name, options);
        return 0;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "%s is not supported: kvrun does not save and restore processes (no CRIU)",
                   name);
}

enum command {
    COMMAND_CREATE,
    COMMAND_RUN,
    COMMAND_START,
    COMMAND_STATE,
    COMMAND_KILL,
    COMMAND_DELETE,
    COMMAND_EXEC,
    COMMAND_LIST,
    COMMAND_PS,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_UPDATE,
    COMMAND_EVENTS,
    COMMAND_FEATURES,
    COMMAND_SPEC,
    COMMAND_CHECKPOINT,
    COMMAND_RESTORE,
    COMMAND_COUNT,
};

static enum command find_command(const char *name)
{
    static const char *const names[COMMAND_COUNT] = {
        "create", "run",    "start",  "state",  "kill",     "delete", "exec",       "list",   "ps",
        "pause",  "resume", "update", "events", "features", "spec",   "checkpoint", "restore"};
    int i = 0;
    while (i < COMMAND_COUNT && strcmp(names[i], name) != 0) {
        i++;
    }
    return (enum command)i;
}

static int run_command(struct cli *cli, enum command command, struct err *err)
{
    switch (command) {
    case COMMAND_CREATE:
        return command_create(cli, false, err);
    case COMMAND_RUN:
        return command_create(cli, true, err);
    case COMMAND_START:
        return command_start(cli, err);
    case COMMAND_STATE:
        return command_state(cli, err);
    case COMMAND_KILL:
        return command_kill(cli, err);
    case COMMAND_DELETE:
        return command_delete(cli, err);
    case COMMAND_EXEC:
        return command_exec(cli, err);
    case COMMAND_LIST:
        return command_list(cli, err);
    case COMMAND_PS:
        return command_ps(cli, err);
    case COMMAND_PAUSE:
        return command_pause(cli, true, err);
    case COMMAND_RESUME:
        return command_pause(cli, false, err);
    case COMMAND_UPDATE:
        return command_update(cli, err);
    case COMMAND_EVENTS:
        return command_events(cli, err);
    case COMMAND_FEATURES:
        return command_features(cli, err);
    case COMMAND_SPEC:
        return command_spec(cli, err);
    case COMMAND_CHECKPOINT:
        return command_unsupported(cli, "checkpoint", err);
    case COMMAND_RESTORE:
        return command_unsupported(cli, "restore", err);
    case COMMAND_COUNT:
        break;
    }
    return err_set(err, ERR_INVALID, "unknown command");
}

struct global_options {
    const char *root;
    const char *log;
    const char *log_format;
    const char *cgroup_manager;
    bool debug;
    bool version;
    bool help;
};

static int read_global(struct cli *cli, struct global_options *global, struct err *err)
{
    const struct args_option options[] = {
        {"root", 0, ARGS_TEXT, &global->root},
        {"log", 0, ARGS_TEXT, &global->log},
        {"log-format", 0, ARGS_TEXT, &global->log_format},
        {"log-level", 0, ARGS_TEXT, NULL},
        {"debug", 0, ARGS_BOOL, &global->debug},
        {"systemd-cgroup", 's', ARGS_BOOL, &cli->options.is_systemd},
        {"rootless", 0, ARGS_TEXT, NULL},
        {"cgroup-manager", 0, ARGS_TEXT, &global->cgroup_manager},
        {"criu", 0, ARGS_TEXT, NULL},
        {"version", 'v', ARGS_BOOL, &global->version},
        {"help", 'h', ARGS_BOOL, &global->help},
        {NULL, 0, ARGS_BOOL, NULL},
    };
    int rc = args_parse(cli->argc, cli->argv, &cli->at, options, true, NULL, err);
    if (rc < 0) {
        return rc;
    }
    const char *format = global->log_format;
    if (format != NULL && strcmp(format, "json") != 0 && strcmp(format, "text") != 0) {
        return err_set(err, ERR_INVALID, "unknown log-format \"%s\"", format);
    }
    const char *manager = global->cgroup_manager;
    if (manager != NULL && strcmp(manager, "systemd") == 0) {
        cli->options.is_systemd = true;
    } else if (manager != NULL && strcmp(manager, "disabled") == 0) {
        cli->options.no_cgroup = true;
    } else if (manager != NULL && strcmp(manager, "cgroupfs") != 0) {
        return err_set(err, ERR_INVALID, "--cgroup-manager: unknown manager '%s'", manager);
    }
    /* A log path may come with its kind (crun): file:PATH. */
    const char *log = global->log;
    if (log != NULL && strncmp(log, "file:", 5) == 0) {
        log += 5;
    }
    rc = report_open(log, format != NULL && strcmp(format, "json") == 0, global->debug, err);
    if (rc < 0) {
        return rc;
    }
    cli->options.arena = &cli->arena;
    cli->options.is_root_given = global->root != NULL;
    cli->options.root = global->root != NULL ? global->root : state_default_root(&cli->arena);
    return 0;
}

static int run(struct cli *cli, struct err *err)
{
    struct global_options global = {.root = NULL};
    int rc = read_global(cli, &global, err);
    if (rc < 0) {
        return rc;
    }
    if (global.version) {
        (void)printf("kvrun version %s\nspec: 1.3.0\n", VERSION);
        return 0;
    }
    if (global.help || cli->at == cli->argc || strcmp(cli->argv[cli->at], "help") == 0) {
        help_print(global.help || cli->at < cli->argc ? stdout : stderr);
        cli->exit_status = global.help || cli->at < cli->argc ? 0 : 1;
        return 0;
    }
    const char *name = cli->argv[cli->at++];
    enum command command = find_command(name);
    if (command == COMMAND_COUNT) {
        return err_set(err, ERR_INVALID,
                       "No help topic for '%s': unknown command; see kvrun --help", name);
    }
    if (command == COMMAND_CREATE || command == COMMAND_RUN || command == COMMAND_EXEC) {
        rc = protect_self(cli->argv, err);
    }
    rc = rc < 0 ? rc : run_command(cli, command, err);
    return rc == ERR_CANCELLED ? 0 : rc; /* help was printed */
}

int main(int argc, char **argv)
{
    (void)mallopt(M_TOP_PAD,
                  512 * 1024); /* one brk instead of twenty; untouched pages cost nothing */
    struct cli cli = {.arena = ARENA_INIT, .argv = argv, .argc = argc, .at = 1};
    struct err err = {.code = 0};
    int rc = run(&cli, &err);
    if (rc < 0) {
        report_error("%s", err.text);
        return cli.exit_status != 0 ? cli.exit_status : 1;
    }
    return cli.exit_status;
}
