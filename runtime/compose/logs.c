/* logs.c - what the containers of a project write, line by line, with their names. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose.h"
#include "runtime/image/json.h"
#include "runtime/words/log_line.h"

enum { SOURCES_MAX = 1000 };
static const char log_name[] = "container.log";

struct source {
    struct container container;
    char *title; /* "web-1"; owned */
    const char *service;
    int fd; /* -1: no log yet */
    struct buf pending;
    bool is_over;
};

struct logs {
    struct compose *compose;
    const struct logs_options *options;
    struct source *sources;
    size_t count;
    int width;
    bool has_color;
    int notify;
};

static void print_line(const struct logs *logs, const struct source *source, struct bytes text)
{
    static const int colors[] = {36, 33, 32, 35, 34, 96, 93, 92, 95, 94};
    struct log_line line;
    if (!log_line_parse(text, &line)) {
        return;
    }
    if (!logs->options->has_no_prefix) {
        size_t number = (size_t)(source - logs->sources) % (sizeof(colors) / sizeof(colors[0]));
        if (logs->has_color) {
            printf("\033[%dm%-*s | \033[0m", colors[number], logs->width, source->title);
        } else {
            printf("%-*s | ", logs->width, source->title);
        }
    }
    if (logs->options->has_times) {
        printf("%.*s ", (int)line.time.size, (const char *)line.time.data);
    }
    (void)fwrite(line.text.data, 1, line.text.size, stdout);
    (void)fputc('\n', stdout);
}

static void print_lines(const struct logs *logs, struct source *source)
{
    for (;;) {
        struct bytes rest = buf_bytes(&source->pending);
        const uint8_t *newline = rest.size == 0 ? NULL : memchr(rest.data, '\n', rest.size);
        if (newline == NULL) {
            break;
        }
        size_t size = (size_t)(newline - rest.data);
        print_line(logs, source, bytes_make(rest.data, size));
        buf_consume(&source->pending, size + 1);
    }
    (void)fflush(stdout);
}

static void keep_tail(struct buf *pending, long lines)
{
    struct bytes all = buf_bytes(pending);
    size_t at = all.size;
    long seen = 0;
    while (at > 0 && !(all.data[at - 1] == '\n' && at != all.size && ++seen == lines)) {
        at--;
    }
    buf_consume(pending, lines == 0 ? all.size : at);
}

static bool has_ended(const struct source *source)
{
    struct container copy = source->container;
    copy.state = NULL;
    bool has = container_read_state(&copy, NULL) != 0;
    if (!has) {
        enum container_status now = container_refresh(&copy);
        has = now == CONTAINER_EXITED || now == CONTAINER_DEAD;
    }
    json_decref(copy.state);
    return has;
}

static void open_log(struct source *source)
{
    source->fd =
        openat(source->container.directory_fd, log_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static bool is_rotated(const struct source *source)
{
    struct stat open_file;
    struct stat named;
    return fstatat(source->container.directory_fd, log_name, &named, 0) == 0 &&
           fstat(source->fd, &open_file) == 0 && named.st_ino != open_file.st_ino;
}

static void drain(const struct logs *logs, struct source *source, bool is_first)
{
    if (source->fd < 0) {
        open_log(source);
    }
    for (;;) {
        ssize_t count =
            source->fd < 0 ? 0 : read(source->fd, buf_reserve(&source->pending, 65536), 65536);
        if (count > 0) {
            buf_commit(&source->pending, (size_t)count);
            if (!is_first || logs->options->tail < 0) {
                print_lines(logs, source);
            }
            continue;
        }
        if (source->fd >= 0 && is_rotated(source)) {
            (void)close(source->fd);
            open_log(source);
            continue;
        }
        break;
    }
    if (is_first && logs->options->tail >= 0) {
        keep_tail(&source->pending, logs->options->tail);
        print_lines(logs, source);
    }
}

static int add_source(struct logs *logs, const json_t *about, struct err *err)
{
    struct source *source = &logs->sources[logs->count];
    const char *name = json_get_text(about, "Name", "");
    *source = (struct source){.fd = -1, .container = {.directory_fd = -1}, .pending = BUF_INIT};
    int status = container_find(&logs->compose->store, json_get_text(about, "Id", ""),
                                &source->container, err);
    if (status != 0) {
        return status == ERR_NOT_FOUND ? 0 : status;
    }
    source->service = json_get_text(about, "Service", "");
    source->title =
        mem_printf("%s-%lld", source->service, (long long)json_get_integer(about, "Number", 0));
    if (json_get_flag(about, "Oneoff")) {
        mem_free(source->title);
        source->title = mem_strdup(name);
    }
    int size = (int)strlen(source->title);
    logs->width = size > logs->width ? size : logs->width;
    (void)inotify_add_watch(logs->notify, source->container.directory,
                            IN_MODIFY | IN_MOVED_TO | IN_CREATE);
    logs->count++;
    return 0;
}

/* True when there is nothing left to wait for. */
static bool check_ends(struct logs *logs)
{
    bool is_over = true;
    for (size_t i = 0; i < logs->count; i++) {
        struct source *source = &logs->sources[i];
        bool was_over = source->is_over;
        source->is_over = has_ended(source); /* before reading: its last words are read below */
        drain(logs, source, false);
        const char *wanted = logs->options->exit_with;
        if (source->is_over && !was_over &&
            (logs->options->aborts || (wanted != NULL && strcmp(wanted, source->service) == 0))) {
            return true;
        }
        is_over &= source->is_over;
    }
    return is_over;
}

static int follow(struct logs *logs)
{
    enum { CHECK_MS = 500 };
    CLEANUP(close_fd) int signals = -1;
    if (logs->options->stops_on_signal) {
        sigset_t wanted;
        sigemptyset(&wanted);
        sigaddset(&wanted, SIGINT);
        sigaddset(&wanted, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &wanted, NULL);
        signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    while (!check_ends(logs)) {
        struct signalfd_siginfo info;
        char events[4096];
        struct pollfd fds[] = {{.fd = logs->notify, .events = POLLIN},
                               {.fd = signals, .events = POLLIN}};
        (void)poll(fds, 2, CHECK_MS);
        while (read(logs->notify, events, sizeof(events)) > 0) {
        }
        if (signals >= 0 && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
            return (int)info.ssi_signo;
        }
        if (ferror(stdout)) {
            return SIGPIPE;
        }
    }
    return 0;
}

int compose_logs(struct compose *compose, const struct text_list *names,
                 const struct logs_options *options, int *ret_signal, struct err *err)
{
    struct logs logs = {
        .compose = compose,
        .options = options,
        .has_color = !options->has_no_color && isatty(STDOUT_FILENO) != 0,
        .notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
    };
    int status = compose_refresh(compose, err);
    size_t count = json_array_size(compose->containers);
    logs.sources = mem_calloc(count + 1, sizeof(*logs.sources));
    for (size_t i = 0; status == 0 && i < count && i < SOURCES_MAX; i++) {
        const json_t *about = json_array_get(compose->containers, i);
        if (compose_is_chosen(names, json_get_text(about, "Service", ""))) {
            status = add_source(&logs, about, err);
        }
    }
    *ret_signal = 0;
    for (size_t i = 0; status == 0 && i < logs.count; i++) {
        drain(&logs, &logs.sources[i], true);
    }
    if (status == 0 && options->follows) {
        *ret_signal = follow(&logs);
    }
    for (size_t i = 0; i < logs.count; i++) {
        cleanup_close_fd(&logs.sources[i].fd);
        buf_deinit(&logs.sources[i].pending);
        mem_free(logs.sources[i].title);
        container_close(&logs.sources[i].container);
    }
    mem_free(logs.sources);
    cleanup_close_fd(&logs.notify);
    return status;
}
