#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/container.h"
#include "runtime/words/container_words.h"
#include "runtime/words/log_line.h"
#include "runtime/words/options.h"
#include "runtime/words/words.h"

enum { ROTATED_MAX = 64, TAIL_ALL = -1 };
static const char log_name[] = "container.log";

struct logs {
    const char *since; /* texts that times are compared with, or NULL */
    const char *until;
    bool has_times;
    bool is_line_open; /* the last one was partial */
    long tail;
};

static bool is_within(const struct logs *logs, const struct log_line *line)
{
    return (logs->since == NULL || bytes_compare(line->time, bytes_from_text(logs->since)) >= 0) &&
           (logs->until == NULL || bytes_compare(line->time, bytes_from_text(logs->until)) <= 0);
}

static void print_line(struct logs *logs, struct bytes text)
{
    struct log_line line;
    if (!log_line_parse(text, &line) || !is_within(logs, &line)) {
        return;
    }
    FILE *out = line.is_error ? stderr : stdout;
    if (logs->has_times && !logs->is_line_open) {
        fprintf(out, "%.*s ", (int)line.time.size, (const char *)line.time.data);
    }
    (void)fwrite(line.text.data, 1, line.text.size, out);
    if (!line.is_partial) {
        (void)fputc('\n', out);
    }
    logs->is_line_open = line.is_partial;
}

/* Print whole lines of the buffer and keep the rest. */
static void print_lines(struct logs *logs, struct buf *pending)
{
    for (;;) {
        struct bytes rest = buf_bytes(pending);
        const uint8_t *newline = rest.size == 0 ? NULL : memchr(rest.data, '\n', rest.size);
        if (newline == NULL) {
            break;
        }
        size_t size = (size_t)(newline - rest.data);
        print_line(logs, bytes_make(rest.data, size));
        buf_consume(pending, size + 1);
    }
    (void)fflush(stdout);
    (void)fflush(stderr);
}

static int read_more(int fd, struct buf *pending, struct err *err)
{
    for (;;) {
        ssize_t count = read(fd, buf_reserve(pending, 65536), 65536);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return err_set_errno(err, errno, "read the log");
        }
        buf_commit(pending, (size_t)count);
        if (count == 0 || buf_size(pending) > (8 << 20)) {
            return count == 0 ? 0 : 1;
        }
    }
}

/* Read a file to its end, printing as it comes unless only its tail is wanted. */
static int drain(struct logs *logs, int fd, struct buf *pending, struct err *err)
{
    int status;
    do {
        status = read_more(fd, pending, err);
        if (status >= 0 && logs->tail == TAIL_ALL) {
            print_lines(logs, pending);
        }
    } while (status > 0);
    return status;
}

static bool has_exited(const struct container *container)
{
    struct container copy = *container;
    copy.state = NULL;
    bool has = container_read_state(&copy, NULL) != 0 ||
               (container_refresh(&copy) != CONTAINER_RUNNING &&
                container_refresh(&copy) != CONTAINER_PAUSED &&
                container_refresh(&copy) != CONTAINER_RESTARTING);
    json_decref(copy.state);
    return has;
}

/* The file was rotated when its name means another one. */
static bool is_rotated(const struct container *container, int fd)
{
    struct stat open_file;
    struct stat named;
    return fstatat(container->directory_fd, log_name, &named, 0) == 0 &&
           fstat(fd, &open_file) == 0 &&
           (named.st_ino != open_file.st_ino || named.st_dev != open_file.st_dev);
}

static int follow(struct logs *logs, const struct container *container, int *fd,
                  struct buf *pending, struct err *err)
{
    enum { CHECK_MS = 500 };
    CLEANUP(close_fd) int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    (void)inotify_add_watch(notify, container->directory, IN_MODIFY | IN_MOVED_TO | IN_CREATE);
    for (;;) {
        bool is_over = has_exited(container); /* before reading: what it wrote last is read below */
        int status = drain(logs, *fd, pending, err);
        if (status < 0) {
            return status;
        }
        if (is_rotated(container, *fd)) {
            (void)close(*fd);
            *fd = openat(container->directory_fd, log_name, O_RDONLY | O_CLOEXEC);
            if (*fd < 0) {
                return err_set_errno(err, errno, "open the log");
            }
            continue;
        }
        if (is_over) {
            return 0;
        }
        struct pollfd poll_fd = {.fd = notify, .events = POLLIN};
        char events[4096];
        (void)poll(&poll_fd, 1, CHECK_MS);
        while (read(notify, events, sizeof(events)) > 0) {
        }
    }
}

/* Cut the buffer to its last lines. */
static void keep_tail(struct buf *pending, long lines)
{
    struct bytes all = buf_bytes(pending);
    size_t at = all.size;
    long seen = 0;
    while (at > 0) {
        bool is_end = all.data[at - 1] == '\n' && at != all.size;
        if (is_end && ++seen == lines) {
            break;
        }
        at--;
    }
    buf_consume(pending, lines == 0 ? all.size : at);
}

static int read_rotated(struct logs *logs, const struct container *container, struct buf *pending,
                        struct err *err)
{
    for (int number = ROTATED_MAX; number > 0; number--) {
        char name[40];
        (void)snprintf(name, sizeof(name), "%s.%d", log_name, number);
        CLEANUP(close_fd) int fd = openat(container->directory_fd, name, O_RDONLY | O_CLOEXEC);
        int status = fd < 0 ? 0 : drain(logs, fd, pending, err);
        if (status < 0) {
            return status;
        }
    }
    return 0;
}

static int show(struct logs *logs, const char *name, bool follows, struct err *err)
{
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    CLEANUP(buf) struct buf pending = BUF_INIT;
    int status;
    if ((status = store_open(&store, NULL, err)) != 0 ||
        (status = container_find(&store, name, &container, err)) != 0) {
        return status;
    }
    const json_t *log = json_object_get(container_host(&container), "LogConfig");
    if (strcmp(json_get_text(log, "Type", "file"), "none") == 0) {
        return err_set(err, ERR_UNSUPPORTED, "container %s has no log (--log-driver none)", name);
    }
    status = read_rotated(logs, &container, &pending, err);
    CLEANUP(close_fd) int fd = openat(container.directory_fd, log_name, O_RDONLY | O_CLOEXEC);
    if (status != 0 || (fd < 0 && errno == ENOENT)) {
        return status; /* it never ran */
    }
    if (fd < 0) {
        return err_set_errno(err, errno, "open the log");
    }
    status = drain(logs, fd, &pending, err);
    if (status == 0 && logs->tail != TAIL_ALL) {
        keep_tail(&pending, logs->tail);
        logs->tail = TAIL_ALL;
        print_lines(logs, &pending);
    }
    return status != 0 || !follows ? status : follow(logs, &container, &fd, &pending, err);
}

int word_logs(int argc, char **argv)
{
    static const struct command command = {
        .usage = "logs [OPTIONS] CONTAINER",
        .summary = "Show what a container has written.",
        .examples = "  kvctl logs -f --tail 20 web\n  kvctl logs --since 10m web\n",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    struct logs logs = {.tail = TAIL_ALL};
    bool follows = false;
    const char *tail = NULL;
    const char *since = NULL;
    const char *until = NULL;
    char since_text[64];
    char until_text[64];
    const struct option_spec specs[] = {
        {'f', "follow", OPTION_FLAG, &follows, NULL, "Go on until the container ends"},
        {'n', "tail", OPTION_TEXT, &tail, "N", "Only the last N lines"},
        {'t', "timestamps", OPTION_FLAG, &logs.has_times, NULL, "With times"},
        {0, "since", OPTION_TEXT, &since, "TIME", "From a time, or 10m before now"},
        {0, "until", OPTION_TEXT, &until, "TIME", "Up to a time"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && since != NULL) {
        status = parse_moment(since, since_text, sizeof(since_text), &err);
        logs.since = since_text;
    }
    if (status == 0 && until != NULL) {
        status = parse_moment(until, until_text, sizeof(until_text), &err);
        logs.until = until_text;
    }
    if (status == 0 && tail != NULL && strcmp(tail, "all") != 0) {
        char *end = NULL;
        logs.tail = strtol(tail, &end, 10);
        if (*end != '\0' || logs.tail < 0) {
            status = err_set(&err, ERR_INVALID, "--tail: '%.40s' is not a number", tail);
        }
    }
    if (status == 0) {
        status = show(&logs, operands.items[0], follows, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}
