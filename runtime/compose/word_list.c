/* word_list.c - ps, ls, images, port, top, stats, volumes, logs, events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/compose/compose_words.h"
#include "runtime/compose/service.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/format.h"
#include "runtime/words/table.h"
#include "runtime/words/words.h"

/* ---- ps ---- */

struct ps {
    bool is_all, is_quiet, has_services, has_orphans;
    const char *format, *status, *filter;
};

static bool is_shown(const struct ps *ps, const struct text_list *names, const json_t *about)
{
    const char *status = json_get_text(about, "Status", "");
    bool is_ended = strcmp(status, "exited") == 0 || strcmp(status, "created") == 0 ||
                    strcmp(status, "dead") == 0;
    const char *wanted = ps->status;
    if (ps->filter != NULL && strncmp(ps->filter, "status=", 7) == 0) {
        wanted = ps->filter + 7;
    }
    if (wanted != NULL && strcmp(status, wanted) != 0) {
        return false;
    }
    return compose_is_chosen(names, json_get_text(about, "Service", "")) &&
           (ps->is_all || wanted != NULL || !is_ended);
}

static void describe_state(const json_t *about, char *out, size_t room)
{
    const char *status = json_get_text(about, "Status", "");
    const char *health = json_get_text(about, "Health", "");
    if (strcmp(status, "exited") == 0) {
        (void)snprintf(out, room, "exited (%lld)",
                       (long long)json_get_integer(about, "ExitCode", 0));
    } else if (health[0] != '\0') {
        (void)snprintf(out, room, "%s (%s)", status, health);
    } else {
        (void)snprintf(out, room, "%s", status);
    }
}

static void describe_ports(const struct container *container, struct buf *out)
{
    const char *key = NULL;
    json_t *list = NULL;
    json_object_foreach(json_object_get(container->state, "Ports"), key, list)
    {
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *binding = json_array_get(list, i);
            buf_append_format(out, "%s%s:%s->%s", buf_size(out) > 0 ? ", " : "",
                              json_get_text(binding, "HostIp", ""),
                              json_get_text(binding, "HostPort", ""), key);
        }
    }
}

static void add_row(struct compose *compose, const json_t *about, struct table *table, json_t *rows)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    CLEANUP(buf) struct buf ports = BUF_INIT;
    char state[64];
    if (container_find(&compose->store, json_get_text(about, "Id", ""), &container, NULL) != 0) {
        return;
    }
    describe_state(about, state, sizeof(state));
    describe_ports(&container, &ports);
    table_add(table,
              (const char *[]){json_get_text(about, "Name", ""),
                               json_get_text(container.document, "ImageName", ""),
                               json_get_text(about, "Service", ""), state, buf_text(&ports)});
    json_t *row = json_deep_copy(about);
    json_object_set_new(row, "State", json_text(json_get_text(about, "Status", "")));
    json_object_set_new(row, "Image",
                        json_text(json_get_text(container.document, "ImageName", "")));
    json_object_set_new(row, "ID", json_text(json_get_text(about, "Id", "")));
    json_object_set_new(row, "Ports", json_text(buf_text(&ports)));
    json_array_append_new(rows, row);
}

static int show_ps(struct compose *compose, const struct ps *ps, const struct text_list *names,
                   struct err *err)
{
    static const char *const titles[] = {"NAME", "IMAGE", "SERVICE", "STATUS", "PORTS"};
    CLEANUP(json) json_t *rows = json_array();
    CLEANUP(json) json_t *services = json_object();
    struct table table;
    int status = compose_refresh(compose, err);
    table_init(&table, titles, 5);
    for (size_t i = 0; status == 0 && i < json_array_size(compose->containers); i++) {
        const json_t *about = json_array_get(compose->containers, i);
        const char *service = json_get_text(about, "Service", "");
        if (!is_shown(ps, names, about)) {
            continue;
        }
        if (ps->has_services) {
            if (json_object_get(services, service) == NULL) {
                printf("%s\n", service);
            }
            json_object_set_new(services, service, json_true());
        } else if (ps->is_quiet) {
            printf("%s\n", json_get_text(about, "Id", ""));
        } else {
            add_row(compose, about, &table, rows);
        }
    }
    if (status == 0 && ps->format != NULL && strcmp(ps->format, "json") == 0) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        json_write(rows, false, &text);
        printf("%s\n", buf_text(&text));
    } else if (status == 0 && !ps->is_quiet && !ps->has_services) {
        table_print(&table);
    }
    table_deinit(&table);
    return status;
}

/* With the files, or with -p alone. */
static int open_any(struct compose *compose, const struct compose_options *options,
                    const struct text_list *names, struct err *err)
{
    int status = compose_open(compose, options, names, true, err);
    if (status == ERR_NOT_FOUND && options->file.count == 0 && options->name != NULL) {
        compose_close(compose);
        return compose_open_by_name(compose, options, err);
    }
    return status != 0 ? status : compose_check_names(compose, names, err);
}

int compose_word_ps(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose ps [OPTIONS] [SERVICE...]",
        .summary = "List the containers of the project.",
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    struct ps ps = {.format = NULL};
    const struct option_spec specs[] = {
        {'a', "all", OPTION_FLAG, &ps.is_all, NULL, "Those that ended, too"},
        {'q', "quiet", OPTION_FLAG, &ps.is_quiet, NULL, "Only ids"},
        {0, "services", OPTION_FLAG, &ps.has_services, NULL, "Only names of services"},
        {0, "orphans", OPTION_FLAG, &ps.has_orphans, NULL, "Accepted; they are listed"},
        {0, "format", OPTION_TEXT, &ps.format, "KIND", "table, json"},
        {0, "status", OPTION_TEXT, &ps.status, "STATUS", "running, exited, …"},
        {0, "filter", OPTION_TEXT, &ps.filter, "status=S", "Same"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int status = options_parse(&command, specs, argc, argv, &names, &err);
    if (status == 0 && (status = open_any(&compose, options, &names, &err)) == 0) {
        status = show_ps(&compose, &ps, &names, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

/* ---- ls ---- */

static void print_projects(json_t *projects, bool is_all, bool is_quiet, bool is_json)
{
    static const char *const titles[] = {"NAME", "STATUS", "CONFIG FILES"};
    CLEANUP(json) json_t *rows = json_array();
    struct table table;
    const char *name = NULL;
    json_t *project = NULL;
    table_init(&table, titles, 3);
    json_object_foreach(projects, name, project)
    {
        CLEANUP(buf) struct buf state = BUF_INIT;
        const char *key = NULL;
        json_t *count = NULL;
        json_object_foreach(json_object_get(project, "Counts"), key, count)
        {
            buf_append_format(&state, "%s%s(%lld)", buf_size(&state) > 0 ? ", " : "", key,
                              (long long)json_integer_value(count));
        }
        if (!is_all && strstr(buf_text(&state), "running") == NULL) {
            continue;
        }
        const char *files = json_get_text(project, "ConfigFiles", "");
        if (is_quiet) {
            printf("%s\n", name);
        }
        table_add(&table, (const char *[]){name, buf_text(&state), files});
        json_array_append_new(rows, json_pack("{ss ss ss}", "Name", name, "Status",
                                              buf_text(&state), "ConfigFiles", files));
    }
    if (is_json) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        json_write(rows, false, &text);
        printf("%s\n", buf_text(&text));
    } else if (!is_quiet) {
        table_print(&table);
    }
    table_deinit(&table);
}

int compose_word_ls(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose ls [OPTIONS]",
        .summary = "List the projects of this machine.",
    };
    struct err err = {.code = 0};
    bool is_all = false;
    bool is_quiet = false;
    const char *format = NULL;
    const struct option_spec specs[] = {
        {'a', "all", OPTION_FLAG, &is_all, NULL, "Those that do not run, too"},
        {'q', "quiet", OPTION_FLAG, &is_quiet, NULL, "Only names"},
        {0, "format", OPTION_TEXT, &format, "KIND", "table, json"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    json_t *projects = NULL;
    (void)options;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = store_open(&store, NULL, &err)) == 0) {
        status = compose_list_projects(&store, &projects, &err);
    }
    if (status == 0) {
        print_projects(projects, is_all, is_quiet, format != NULL && strcmp(format, "json") == 0);
        json_decref(projects);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

/* ---- for each container ---- */

typedef int show_container(const struct compose *compose, const json_t *about);

static int show_each(const struct compose_options *options, const struct command *command, int argc,
                     char **argv, show_container *show)
{
    struct err err = {.code = 0};
    bool is_quiet = false;
    bool has_no_stream = false;
    const struct option_spec specs[] = {
        {'q', "quiet", OPTION_FLAG, &is_quiet, NULL, "Accepted"},
        {0, "no-stream", OPTION_FLAG, &has_no_stream, NULL, "Accepted; it is always once"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int code = 0;
    int status = options_parse(command, specs, argc, argv, &names, &err);
    if (status == 0 && (status = open_any(&compose, options, &names, &err)) == 0) {
        status = compose_refresh(&compose, &err);
    }
    for (size_t i = 0; status == 0 && i < json_array_size(compose.containers); i++) {
        const json_t *about = json_array_get(compose.containers, i);
        if (compose_is_chosen(&names, json_get_text(about, "Service", ""))) {
            code |= show(&compose, about);
        }
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : code;
}

static bool is_running(const json_t *about)
{
    return strcmp(json_get_text(about, "Status", ""), "running") == 0;
}

static int show_top(const struct compose *compose, const json_t *about)
{
    char *arguments[] = {(char *)(uintptr_t) "top",
                         (char *)(uintptr_t)json_get_text(about, "Id", ""), NULL};
    (void)compose;
    if (!is_running(about)) {
        return 0;
    }
    printf("%s\n", json_get_text(about, "Name", ""));
    (void)fflush(stdout);
    return word_top(2, arguments);
}

int compose_word_top(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose top [SERVICE...]",
        .summary = "List the processes of containers.",
        .operands_max = 1000,
    };
    return show_each(options, &command, argc, argv, show_top);
}

static int show_stats(const struct compose *compose, const json_t *about)
{
    char *arguments[] = {(char *)(uintptr_t) "stats", (char *)(uintptr_t) "--no-stream",
                         (char *)(uintptr_t)json_get_text(about, "Id", ""), NULL};
    (void)compose;
    return is_running(about) ? word_stats(3, arguments) : 0;
}

int compose_word_stats(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose stats [SERVICE...]",
        .summary = "Show what containers use.",
        .operands_max = 1000,
    };
    return show_each(options, &command, argc, argv, show_stats);
}

static int show_image(const struct compose *compose, const json_t *about)
{
    struct image image = {.config = NULL};
    char size[16] = "";
    const char *id = json_get_text(about, "Image", "");
    if (image_find(&compose->store, id, &image, NULL) == 0) {
        format_size(image.size, size);
        image_deinit(&image);
    }
    const json_t *service = compose_service(compose, json_get_text(about, "Service", ""));
    printf("%-30s %-30s %.12s  %s\n", json_get_text(about, "Name", ""), service_image(service),
           strchr(id, ':') == NULL ? id : strchr(id, ':') + 1, size);
    return 0;
}

int compose_word_images(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose images [SERVICE...]",
        .summary = "List the images of containers.",
        .operands_max = 1000,
    };
    printf("%-30s %-30s %-13s %s\n", "CONTAINER", "IMAGE", "IMAGE ID", "SIZE");
    return show_each(options, &command, argc, argv, show_image);
}

/* ---- port ---- */

static int show_port(struct compose *compose, const char *service, const char *port,
                     const char *protocol, int number, struct err *err)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    int status = compose_refresh(compose, err);
    const json_t *about = status == 0 ? compose_find(compose, service, number) : NULL;
    if (status == 0 && about == NULL) {
        status = err_set(err, ERR_NOT_FOUND, "service %s has no such container", service);
    }
    if (status != 0 || (status = container_find(&compose->store, json_get_text(about, "Id", ""),
                                                &container, err)) != 0) {
        return status;
    }
    CLEANUP(free)
    char *key = strchr(port, '/') != NULL ? mem_strdup(port) : mem_printf("%s/%s", port, protocol);
    const json_t *binding =
        json_array_get(json_object_get(json_object_get(container.state, "Ports"), key), 0);
    if (binding == NULL) {
        return err_set(err, ERR_NOT_FOUND, "port %s of %s is not published", key,
                       container_name(&container));
    }
    printf("%s:%s\n", json_get_text(binding, "HostIp", ""), json_get_text(binding, "HostPort", ""));
    return 0;
}

int compose_word_port(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose port [OPTIONS] SERVICE PORT",
        .summary = "Show where a port of a service is published.",
        .operands_min = 2,
        .operands_max = 2,
    };
    struct err err = {.code = 0};
    const char *protocol = "tcp";
    const char *number = "0";
    const struct option_spec specs[] = {
        {0, "protocol", OPTION_TEXT, &protocol, "NAME", "tcp, udp"},
        {0, "index", OPTION_TEXT, &number, "N", "Of several containers"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = open_any(&compose, options, NULL, &err)) == 0) {
        status = show_port(&compose, operands.items[0], operands.items[1], protocol,
                           (int)strtol(number, NULL, 10), &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

/* ---- logs ---- */

int compose_word_logs(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose logs [OPTIONS] [SERVICE...]",
        .summary = "Show what containers have written.",
        .examples = "  kvctl compose logs -f --tail 20 web\n",
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    struct logs_options logs = {.tail = -1};
    const char *tail = NULL;
    const struct option_spec specs[] = {
        {'f', "follow", OPTION_FLAG, &logs.follows, NULL, "Go on until they end"},
        {'n', "tail", OPTION_TEXT, &tail, "N", "Only the last N lines of each"},
        {'t', "timestamps", OPTION_FLAG, &logs.has_times, NULL, "With times"},
        {0, "no-log-prefix", OPTION_FLAG, &logs.has_no_prefix, NULL, "No names before lines"},
        {0, "no-color", OPTION_FLAG, &logs.has_no_color, NULL, "No colors"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list names = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int signal_number = 0;
    int status = options_parse(&command, specs, argc, argv, &names, &err);
    if (status == 0 && tail != NULL && strcmp(tail, "all") != 0) {
        char *end = NULL;
        logs.tail = strtol(tail, &end, 10);
        if (*end != '\0' || end == tail || logs.tail < 0) {
            status = err_set(&err, ERR_INVALID, "--tail: '%.40s' is not a number", tail);
        }
    }
    if (status == 0 && (status = open_any(&compose, options, &names, &err)) == 0) {
        status = compose_logs(&compose, &names, &logs, &signal_number, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

/* ---- volumes ---- */

int compose_word_volumes(const struct compose_options *options, int argc, char **argv)
{
    static const struct command command = {
        .usage = "compose volumes",
        .summary = "List the volumes of the project.",
    };
    struct err err = {.code = 0};
    const struct option_spec specs[] = {{0, NULL, OPTION_FLAG, NULL, NULL, NULL}};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(compose) struct compose compose = {.options = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0) {
        status = compose_open(&compose, options, NULL, true, &err);
    }
    const char *key = NULL;
    json_t *volume = NULL;
    json_object_foreach(json_object_get(compose.project.document, "volumes"), key, volume)
    {
        printf("%s\n", json_get_text(volume, "name", key));
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}
