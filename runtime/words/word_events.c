/* word_events.c - events: what happened to containers, from the event log, and what happens. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/event_log.h"
#include "runtime/words/format.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/words.h"

enum { POLL_MS = 200, READ_SIZE = 65536 };

struct events {
    const struct store *store;
    const char *format;
    struct text_list filters;
    int64_t since; /* seconds since 1970 */
    int64_t until; /* 0: for ever */
    int fd;        /* of the log; -1: there is none yet */
    struct buf pending;
};

static bool matches_one(const json_t *event, const char *key, size_t key_size, const char *value)
{
    const json_t *attributes = json_object_get(json_object_get(event, "Actor"), "Attributes");
    const char *id = json_get_text(event, "id", "");
    if (key_size == 5 && strncmp(key, "event", 5) == 0) {
        return strcmp(json_get_text(event, "Action", ""), value) == 0;
    }
    if (key_size == 9 && strncmp(key, "container", 9) == 0) {
        return strcmp(json_get_text(attributes, "name", ""), value) == 0 ||
               (value[0] != '\0' && strncmp(id, value, strlen(value)) == 0);
    }
    if (key_size == 5 && strncmp(key, "image", 5) == 0) {
        return strcmp(json_get_text(attributes, "image", ""), value) == 0;
    }
    if (key_size == 4 && strncmp(key, "type", 4) == 0) {
        return strcmp(json_get_text(event, "Type", ""), value) == 0;
    }
    size_t name_size = strcspn(value, "=");
    CLEANUP(free) char *name = mem_strdup(value); /* label=NAME[=VALUE] */
    name[name_size] = '\0';
    const char *is = json_get_text(attributes, name, NULL);
    return is != NULL && (value[name_size] == '\0' || strcmp(is, value + name_size + 1) == 0);
}

/* Filters of one key are alternatives, different keys must all match. */
static bool matches(const struct events *events, const json_t *event)
{
    for (size_t i = 0; i < events->filters.count; i++) {
        const char *filter = events->filters.items[i];
        size_t size = strcspn(filter, "=");
        bool is_match = false;
        for (size_t k = 0; k < events->filters.count; k++) {
            const char *other = events->filters.items[k];
            is_match |= strncmp(other, filter, size + 1) == 0 &&
                        matches_one(event, other, size, other + size + 1);
        }
        if (!is_match) {
            return false;
        }
    }
    return true;
}

static int check_filters(const struct text_list *filters, struct err *err)
{
    static const char *const known[] = {"event=", "container=", "image=", "type=", "label="};
    for (size_t i = 0; i < filters->count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            is_known |= strncmp(filters->items[i], known[k], strlen(known[k])) == 0;
        }
        if (!is_known) {
            return err_set(err, ERR_INVALID,
                           "--filter: '%.60s' is not one of event= container= image= type= label=",
                           filters->items[i]);
        }
    }
    return 0;
}

/* "2026-01-02T03:04:05.000000006Z container start 0123… (image=bb, name=web)", as docker. */
static void print_event(const struct events *events, const json_t *event)
{
    if (events->format != NULL) {
        format_row(events->format, event);
        return;
    }
    char when[40];
    struct tm utc;
    const json_t *actor = json_object_get(event, "Actor");
    json_t *attributes = json_object_get(actor, "Attributes");
    const char *key = NULL;
    json_t *value = NULL;
    const char *separator = "(";
    long long nanoseconds = (long long)json_get_integer(event, "timeNano", 0);
    time_t seconds = (time_t)(nanoseconds / 1000000000);
    gmtime_r(&seconds, &utc);
    (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
    printf("%s.%09lldZ %s %s %s ", when, nanoseconds % 1000000000, json_get_text(event, "Type", ""),
           json_get_text(event, "Action", ""), json_get_text(actor, "ID", ""));
    json_object_foreach(attributes, key, value)
    {
        printf("%s%s=%s", separator, key,
               json_string_value(value) == NULL ? "" : json_string_value(value));
        separator = ", ";
    }
    printf("%s)\n", strcmp(separator, "(") == 0 ? "(" : "");
}

static void show_line(const struct events *events, struct bytes line)
{
    CLEANUP(json) json_t *event = NULL;
    if (json_parse(line, "an event", &event, NULL) != 0) {
        return; /* a line that a full disk cut */
    }
    int64_t when = json_get_integer(event, "time", 0);
    if (when >= events->since && (events->until == 0 || when <= events->until) &&
        matches(events, event)) {
        print_event(events, event);
    }
}

static void show_lines(struct events *events)
{
    for (;;) {
        struct bytes text = buf_bytes(&events->pending);
        const uint8_t *end = text.size == 0 ? NULL : memchr(text.data, '\n', text.size);
        if (end == NULL) {
            return;
        }
        size_t size = (size_t)(end - text.data);
        show_line(events, bytes_make(text.data, size));
        buf_consume(&events->pending, size + 1);
    }
}

static void show_old(struct events *events)
{
    if (in_root_read_file(events->store->root_fd, EVENT_LOG_OLD_NAME, 2 * EVENT_LOG_SIZE_MAX,
                          &events->pending) == 0) {
        show_lines(events);
    }
    buf_clear(&events->pending);
}

/* What has been appended since, also across a rotation. */
static void show_new(struct events *events)
{
    for (;;) {
        if (events->fd < 0) {
            events->fd =
                openat(events->store->root_fd, EVENT_LOG_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        }
        ssize_t size = 1;
        while (events->fd >= 0 && size > 0) {
            size = read(events->fd, buf_reserve(&events->pending, READ_SIZE), READ_SIZE);
            buf_commit(&events->pending, size < 0 ? 0 : (size_t)size);
            show_lines(events);
        }
        struct stat mine;
        struct stat now;
        bool is_rotated = events->fd >= 0 && fstat(events->fd, &mine) == 0 &&
                          fstatat(events->store->root_fd, EVENT_LOG_NAME, &now, 0) == 0 &&
                          now.st_ino != mine.st_ino;
        if (!is_rotated) {
            break;
        }
        cleanup_close_fd(&events->fd);
        events->fd = -1;
    }
    (void)fflush(stdout);
}

static int follow(struct events *events, struct err *err)
{
    show_old(events);
    for (;;) {
        /* Nobody waits for a detached container: whoever looks notes its end. */
        int status = lifecycle_reconcile(events->store, err);
        show_new(events);
        if (status != 0 || (events->until != 0 && time(NULL) >= events->until)) {
            return status;
        }
        struct pollfd out = {.fd = STDOUT_FILENO, .events = 0}; /* a reader that has gone */
        if (poll(&out, 1, POLL_MS) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0) {
            return 0;
        }
    }
}

static int read_moment(const char *text, int64_t *ret, struct err *err)
{
    char moment[64];
    int status = text == NULL ? 0 : parse_moment(text, moment, sizeof(moment), err);
    if (text != NULL && status == 0) {
        *ret = parse_time(moment);
    }
    return status;
}

int word_events(int argc, char **argv)
{
    static const struct command command = {
        .usage = "events [OPTIONS]",
        .summary = "What happens to containers, as it happens.",
        .examples = "  kvctl events --since 10m --until 0s\n"
                    "  kvctl events --filter event=die --format '{{.Actor.Attributes.name}}'\n",
        .operands_max = 0,
    };
    struct err err = {.code = 0};
    const char *since = NULL;
    const char *until = NULL;
    CLEANUP(store) struct store store = {.root = NULL};
    struct events events = {.store = &store, .since = time(NULL), .fd = -1};
    const struct option_spec specs[] = {
        {'f', "filter", OPTION_LIST, &events.filters, "KEY=VALUE", "event container image label"},
        {0, "format", OPTION_TEXT, &events.format, "TEMPLATE", "json, or '{{.Action}} {{.id}}'"},
        {0, "since", OPTION_TEXT, &since, "TIME", "Also what happened from then on"},
        {0, "until", OPTION_TEXT, &until, "TIME", "Stop at that time"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    buf_init(&events.pending);
    int status;
    if ((status = options_parse(&command, specs, argc, argv, &operands, &err)) == 0 &&
        (status = check_filters(&events.filters, &err)) == 0 &&
        (status = read_moment(since, &events.since, &err)) == 0 &&
        (status = read_moment(until, &events.until, &err)) == 0 &&
        (status = store_open(&store, NULL, &err)) == 0) {
        status = follow(&events, &err);
    }
    cleanup_close_fd(&events.fd);
    buf_deinit(&events.pending);
    text_list_deinit(&events.filters);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}
