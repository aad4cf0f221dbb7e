#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/format.h"
#include "runtime/words/health.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/table.h"
#include "runtime/words/words.h"

struct ps_options {
    bool is_all, is_quiet, is_untruncated, is_latest;
    const char *last, *format;
    struct text_list filter;
};

struct ps {
    const struct ps_options *options;
    struct table table;
    long left;    /* how many more; -1: all */
    json_t *rows; /* for --format */
};

/* "Up 2 hours", "Exited (0) 3 minutes ago", … */
static void describe_status(const struct container *container, enum container_status status,
                            char *out, size_t room)
{
    char age[40];
    char health[HEALTH_TEXT_SIZE];
    time_t now = time(NULL);
    const json_t *state = container->state;
    switch (status) {
    case CONTAINER_RUNNING:
    case CONTAINER_PAUSED:
        format_age(now - parse_time(json_get_text(state, "StartedAt", "")), age);
        health_read(container, health);
        (void)snprintf(out, room, "Up %s%s%s%s%s", age,
                       status == CONTAINER_PAUSED ? " (Paused)" : "", health[0] == '\0' ? "" : " (",
                       strcmp(health, "starting") == 0 ? "health: starting" : health,
                       health[0] == '\0' ? "" : ")");
        return;
    case CONTAINER_EXITED:
        format_age(now - parse_time(json_get_text(state, "FinishedAt", "")), age);
        (void)snprintf(out, room, "Exited (%lld) %s ago",
                       (long long)json_get_integer(state, "ExitCode", 0), age);
        return;
    case CONTAINER_RESTARTING:
        (void)snprintf(out, room, "Restarting (%lld)",
                       (long long)json_get_integer(state, "ExitCode", 0));
        return;
    case CONTAINER_CREATED:
        (void)snprintf(out, room, "Created");
        return;
    case CONTAINER_DEAD:
        (void)snprintf(out, room, "Dead");
        return;
    }
}

/* "0.0.0.0:8080->80/tcp, 443/tcp" */
static void describe_ports(const struct container *container, struct buf *out)
{
    json_t *ports = json_object_get(container->state, "Ports");
    const char *key = NULL;
    json_t *list = NULL;
    json_object_foreach(ports, key, list)
    {
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *binding = json_array_get(list, i);
            buf_append_format(out, "%s%s:%s->%s", buf_size(out) > 0 ? ", " : "",
                              json_get_text(binding, "HostIp", ""),
                              json_get_text(binding, "HostPort", ""), key);
        }
    }
    json_t *exposed = json_object_get(container_config(container), "ExposedPorts");
    json_object_foreach(exposed, key, list)
    {
        if (json_object_get(ports, key) == NULL) {
            buf_append_format(out, "%s%s", buf_size(out) > 0 ? ", " : "", key);
        }
    }
}

/* The command in quotes, at most twenty characters as docker cuts it. */
static void describe_command(const struct container *container, bool is_untruncated,
                             struct buf *out)
{
    static const char *const keys[] = {"Entrypoint", "Cmd"};
    CLEANUP(buf) struct buf all = BUF_INIT;
    for (size_t k = 0; k < 2; k++) {
        const json_t *list = json_object_get(container_config(container), keys[k]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            buf_append_format(&all, "%s%s", buf_size(&all) > 0 ? " " : "",
                              json_string_value(json_array_get(list, i)));
        }
    }
    const char *text = buf_text(&all);
    bool is_cut = !is_untruncated && strlen(text) > 20;
    buf_append_format(out, is_cut ? "\"%.19s…\"" : "\"%s\"", text);
}

static bool matches_label(const struct container *container, const char *wanted)
{
    const json_t *labels = json_object_get(container_config(container), "Labels");
    size_t size = strcspn(wanted, "=");
    CLEANUP(free) char *key = mem_strdup(wanted);
    key[size] = '\0';
    const char *value = json_get_text(labels, key, NULL);
    return value != NULL && (wanted[size] == '\0' || strcmp(value, wanted + size + 1) == 0);
}

static bool matches(const struct container *container, enum container_status status,
                    const struct text_list *filters)
{
    for (size_t i = 0; i < filters->count; i++) {
        const char *text = filters->items[i];
        const char *value = strchr(text, '=');
        value = value == NULL ? "" : value + 1;
        bool ok = true;
        if (strncmp(text, "name=", 5) == 0) {
            ok = strstr(container_name(container), value) != NULL;
        } else if (strncmp(text, "id=", 3) == 0) {
            ok = strncmp(container->id, value, strlen(value)) == 0;
        } else if (strncmp(text, "label=", 6) == 0) {
            ok = matches_label(container, value);
        } else if (strncmp(text, "status=", 7) == 0) {
            ok = strcmp(container_status_text(status), value) == 0;
        } else if (strncmp(text, "ancestor=", 9) == 0) {
            ok = strcmp(json_get_text(container->document, "ImageName", ""), value) == 0;
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static int add_row(struct container *container, void *context)
{
    struct ps *ps = context;
    const struct ps_options *options = ps->options;
    enum container_status status = container_refresh(container);
    bool is_alive =
        status == CONTAINER_RUNNING || status == CONTAINER_PAUSED || status == CONTAINER_RESTARTING;
    bool has_status_filter = false;
    for (size_t i = 0; i < options->filter.count; i++) {
        has_status_filter |= strncmp(options->filter.items[i], "status=", 7) == 0;
    }
    if ((!is_alive && !options->is_all && ps->left < 0 && !has_status_filter) || ps->left == 0 ||
        !matches(container, status, &options->filter)) {
        return 0;
    }
    ps->left -= ps->left > 0;
    char id[CONTAINER_ID_SIZE + 1];
    (void)snprintf(id, sizeof(id), "%.*s", options->is_untruncated ? CONTAINER_ID_SIZE : 12,
                   container->id);
    if (options->is_quiet) {
        printf("%s\n", id);
        return 0;
    }
    char age[40];
    char created[48];
    char status_text[80];
    CLEANUP(buf) struct buf command = BUF_INIT;
    CLEANUP(buf) struct buf ports = BUF_INIT;
    format_age(time(NULL) - parse_time(json_get_text(container->document, "Created", "")), age);
    (void)snprintf(created, sizeof(created), "%s ago", age);
    describe_status(container, status, status_text, sizeof(status_text));
    describe_command(container, options->is_untruncated, &command);
    describe_ports(container, &ports);
    const char *image = json_get_text(container->document, "ImageName", "");
    if (options->format != NULL) {
        CLEANUP(json)
        json_t *row = json_pack("{ss ss ss ss ss ss ss ss}", "ID", id, "Image", image, "Command",
                                buf_text(&command), "RunningFor", created, "Status", status_text,
                                "State", container_status_text(status), "Ports", buf_text(&ports),
                                "Names", container_name(container));
        format_row(options->format, row);
        return 0;
    }
    table_add(&ps->table, (const char *[]){id, image, buf_text(&command), created, status_text,
                                           buf_text(&ports), container_name(container)});
    return 0;
}

int word_ps(int argc, char **argv)
{
    static const struct command command = {
        .usage = "ps [OPTIONS]",
        .summary = "List running containers.",
        .examples = "  kvctl ps -a\n  kvctl ps -q --filter label=app=web\n",
        .operands_max = 0,
    };
    static const char *const titles[] = {"CONTAINER ID", "IMAGE", "COMMAND", "CREATED",
                                         "STATUS",       "PORTS", "NAMES"};
    struct err err = {.code = 0};
    struct ps_options options = {.last = NULL};
    const struct option_spec specs[] = {
        {'a', "all", OPTION_FLAG, &options.is_all, NULL, "Also those that do not run"},
        {'q', "quiet", OPTION_FLAG, &options.is_quiet, NULL, "Only ids"},
        {'n', "last", OPTION_TEXT, &options.last, "N", "The last N made"},
        {'l', "latest", OPTION_FLAG, &options.is_latest, NULL, "The last one made"},
        {'f', "filter", OPTION_LIST, &options.filter, "NAME=VALUE",
         "name, id, label, status, ancestor"},
        {0, "no-trunc", OPTION_FLAG, &options.is_untruncated, NULL, "Do not cut"},
        {0, "format", OPTION_TEXT, &options.format, "TEMPLATE", "json, or '{{.ID}} {{.Names}}'"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    struct ps ps = {.options = &options, .left = -1};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (options.last != NULL || options.is_latest)) {
        ps.left = options.is_latest ? 1 : strtol(options.last, NULL, 10);
    }
    if (status == 0 && (status = store_open(&store, NULL, &err)) == 0 &&
        (status = lifecycle_reconcile(&store, &err)) == 0) {
        table_init(&ps.table, titles, sizeof(titles) / sizeof(titles[0]));
        status = container_list(&store, add_row, &ps, &err);
        if (status == 0 && !options.is_quiet && options.format == NULL) {
            table_print(&ps.table);
        }
        table_deinit(&ps.table);
    }
    text_list_deinit(&options.filter);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}
