/* kvd - one member of the replicated store. Takes etcd's flags, so it can stand in its place. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crash.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "kvstore/server/server.h"

extern char **environ;

static void print_version(void)
{
    printf("etcd Version: %s\nGit SHA: coracle\nGo Version: none (C)\nGo OS/Arch: linux/%s\n",
           KVD_VERSION,
#if defined(__x86_64__)
           "amd64"
#else
           "arm64"
#endif
    );
}

static enum log_level level_of(const char *text)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {{"debug", LOG_DEBUG}, {"info", LOG_INFO},   {"warn", LOG_WARN},
                  {"error", LOG_ERROR}, {"panic", LOG_FATAL}, {"dpanic", LOG_FATAL},
                  {"fatal", LOG_FATAL}};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(levels[i].name, text) == 0) {
            return levels[i].level;
        }
    }
    return LOG_INFO;
}

/* Descriptors of --log-outputs; lines go to each of them. */
enum { OUTPUTS_MAX = 8 };
static int outputs[OUTPUTS_MAX] = {STDERR_FILENO};
static unsigned output_count = 1;

static void write_line(void *context, enum log_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    for (unsigned i = 0; i < output_count; i++) {
        struct iovec parts[] = {{(void *)(uintptr_t)line, size}, {(char[]){'\n'}, 1}};
        ssize_t written = writev(outputs[i], parts, 2);
        (void)written; /* a log that cannot be written must not stop the member (etcd#22214) */
    }
}

static int open_output(const char *name, struct err *err)
{
    if (strcmp(name, "default") == 0 || strcmp(name, "stderr") == 0) {
        return STDERR_FILENO;
    }
    if (strcmp(name, "stdout") == 0) {
        return STDOUT_FILENO;
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : err_set_errno(err, errno, "--log-outputs: open %s", name);
}

static int set_up_log(const struct config *config, struct err *err)
{
    char names[1024];
    (void)snprintf(names, sizeof names, "%s", config->log_outputs);
    output_count = 0;
    char *rest = names;
    for (char *name = strsep(&rest, ","); name != NULL; name = strsep(&rest, ",")) {
        int fd = output_count == OUTPUTS_MAX
                     ? err_set(err, ERR_TOO_LARGE, "--log-outputs names too many files")
                     : open_output(name, err);
        if (fd < 0) {
            return fd;
        }
        outputs[output_count++] = fd;
    }
    log_set_level(level_of(config->log_level));
    log_set_format(strcmp(config->log_format, "console") == 0 ? LOG_FORMAT_CONSOLE
                                                              : LOG_FORMAT_JSON);
    log_set_sink(write_line, NULL);
    crash_install("kvd", outputs, output_count);
    return 0;
}

static void log_start(const struct config *config)
{
    for (unsigned i = 0; i < config->warning_count; i++) {
        log_warn(config->warnings[i]);
    }
    log_info("starting an etcd server", LOG_TEXT("etcd-version", KVD_VERSION),
             LOG_TEXT("name", config->name), LOG_TEXT("data-dir", config->data_dir),
             LOG_I64("heartbeat-interval-ms", config->heartbeat_interval_ms),
             LOG_I64("election-timeout-ms", config->election_timeout_ms),
             LOG_I64("snapshot-count", config->snapshot_count),
             LOG_I64("snapshot-catchup-entries", config->snapshot_catchup_entries),
             LOG_TEXT("initial-cluster", config->initial_cluster_text),
             LOG_TEXT("initial-cluster-state", config->initial_cluster_state),
             LOG_TEXT("initial-cluster-token", config->initial_cluster_token),
             LOG_TEXT("listen-client-urls", config->listen_client_urls_text),
             LOG_TEXT("listen-peer-urls", config->listen_peer_urls_text),
             LOG_I64("quota-backend-bytes", config->quota_backend_bytes),
             LOG_TEXT("v2-deprecation", config->v2_deprecation));
    if (config->bootstrap_defrag_threshold_megabytes > 0) {
        log_info("Skipping defragmentation", LOG_TEXT("reason", "freed pages are used again, and "
                                                                "defragment stops nobody"));
    }
}

static void log_serving(const struct config *config)
{
    for (unsigned i = 0; i < config->listen_client_urls.count; i++) {
        const struct config_url *url = &config->listen_client_urls.url[i];
        log_info(url->is_tls ? "serving client traffic securely"
                             : "serving client traffic insecurely; this is strongly discouraged!",
                 LOG_TEXT("address", url->text));
    }
}

static int run(struct config *config)
{
    static struct server server;
    struct err err = {0};
    int exit_code = 1;
    uv_loop_t *loop = uv_default_loop();
    if (loop == NULL) {
        log_fatal("cannot start the event loop");
        return 1;
    }
    log_start(config);
    int code = server_open(&server, config, loop, &exit_code, &err);
    if (code != 0) {
        log_fatal("cannot start", LOG_TEXT("error", err.text), LOG_I64("exit-code", exit_code));
    } else {
        log_serving(config);
        exit_code = server_run(&server);
    }
    server_close(&server);
    (void)uv_run(loop, UV_RUN_DEFAULT); /* closing handles finish */
    int busy = uv_loop_close(loop);
    if (busy != 0) {
        log_error("the event loop still has handles");
    }
    log_info("stopped", LOG_I64("exit-code", exit_code));
    return exit_code;
}

int main(int argc, char **argv)
{
    struct config config;
    struct err err = {0};
    memory_keeper_set_up();
    (void)signal(SIGPIPE, SIG_IGN); /* a closed socket is an error code */
    int code = config_load(&config, argc, argv, environ, &err);
    if (code != 0) {
        fprintf(stderr, "%s\nTry 'kvd --help'.\n", err.text);
        config_deinit(&config);
        return EXIT_WRONG_USAGE;
    }
    int exit_code = 0;
    if (config.print_version) {
        print_version();
    } else if (config.print_help) {
        fputs(config_help(&config.arena), stdout);
    } else if (set_up_log(&config, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        exit_code = 1;
    } else {
        exit_code = run(&config);
    }
    config_deinit(&config);
    return exit_code;
}
