/* word_stats.c - stats, top, port: what a running container does. */
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/container.h"
#include "runtime/words/container_words.h"
#include "runtime/words/format.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/shim_client.h"
#include "runtime/words/table.h"
#include "runtime/words/words.h"

/* ---- stats ---- */

struct sample {
    char id[CONTAINER_ID_SIZE + 1];
    uint64_t cpu_ns;
    int64_t taken_ns;
};

struct stats {
    const struct text_list *names; /* empty: all that run */
    const char *format;
    struct sample *before; /* owned */
    size_t before_count;
    struct sample *now; /* owned */
    size_t now_count;
    struct table table;
};

static int read_stats(const struct container *container, Coracle__Shim__ShimReply **ret,
                      struct err *err)
{
    char path[PATH_MAX];
    struct shim_client client;
    Coracle__Shim__ShimRequest request = CORACLE__SHIM__SHIM_REQUEST__INIT;
    Coracle__Shim__ShimStatsRequest stats = CORACLE__SHIM__SHIM_STATS_REQUEST__INIT;
    int status = container_socket_path(container, path, err);
    if (status == 0) {
        status = shim_client_open(&client, path, err);
    }
    if (status == 0) {
        request.command_case = CORACLE__SHIM__SHIM_REQUEST__COMMAND_STATS;
        request.stats = &stats;
        status = shim_client_call(&client, &request, ret, err);
        shim_client_close(&client);
    }
    return status;
}

/* Percent of one processor since the last sample. */
static double cpu_percent(struct stats *stats, const struct container *container,
                          const Coracle__Shim__ShimStats *values)
{
    double percent = 0;
    for (size_t i = 0; i < stats->before_count; i++) {
        const struct sample *old = &stats->before[i];
        int64_t elapsed = values->taken_at_ns - old->taken_ns;
        if (strcmp(old->id, container->id) == 0 && elapsed > 0 &&
            values->cpu_usage_ns >= old->cpu_ns) {
            percent = 100.0 * (double)(values->cpu_usage_ns - old->cpu_ns) / (double)elapsed;
        }
    }
    stats->now = mem_reallocarray(stats->now, stats->now_count + 1, sizeof(*stats->now));
    struct sample *sample = &stats->now[stats->now_count++];
    memcpy(sample->id, container->id, sizeof(sample->id));
    sample->cpu_ns = values->cpu_usage_ns;
    sample->taken_ns = values->taken_at_ns;
    return percent;
}

static int64_t machine_memory(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

static void add_stats_row(struct stats *stats, const struct container *container,
                          const Coracle__Shim__ShimStats *values)
{
    char cpu[16];
    char used[16];
    char limit[16];
    char percent[16];
    char received[16];
    char sent[16];
    char read_text[16];
    char written[16];
    char memory[40];
    char network[40];
    char block[40];
    char pids[24];
    char id[13];
    uint64_t receive = 0;
    uint64_t transmit = 0;
    for (size_t i = 0; i < values->n_networks; i++) {
        receive += values->networks[i]->receive_bytes;
        transmit += values->networks[i]->transmit_bytes;
    }
    int64_t limit_bytes =
        values->memory_limit_bytes != 0 ? (int64_t)values->memory_limit_bytes : machine_memory();
    (void)snprintf(cpu, sizeof(cpu), "%.2f%%", cpu_percent(stats, container, values));
    format_memory((int64_t)values->memory_working_set_bytes, used);
    format_memory(limit_bytes, limit);
    (void)snprintf(percent, sizeof(percent), "%.2f%%",
                   100.0 * (double)values->memory_working_set_bytes / (double)limit_bytes);
    format_size((int64_t)receive, received);
    format_size((int64_t)transmit, sent);
    format_size((int64_t)values->block_read_bytes, read_text);
    format_size((int64_t)values->block_write_bytes, written);
    (void)snprintf(memory, sizeof(memory), "%s / %s", used, limit);
    (void)snprintf(network, sizeof(network), "%s / %s", received, sent);
    (void)snprintf(block, sizeof(block), "%s / %s", read_text, written);
    (void)snprintf(pids, sizeof(pids), "%llu", (unsigned long long)values->pids);
    (void)snprintf(id, sizeof(id), "%.12s", container->id);
    if (stats->format != NULL) {
        CLEANUP(json)
        json_t *row =
            json_pack("{ss ss ss ss ss ss ss ss ss}", "ID", id, "Container", id, "Name",
                      container_name(container), "CPUPerc", cpu, "MemUsage", memory, "MemPerc",
                      percent, "NetIO", network, "BlockIO", block, "PIDs", pids);
        format_row(stats->format, row);
        return;
    }
    table_add(&stats->table, (const char *[]){id, container_name(container), cpu, memory, percent,
                                              network, block, pids});
}

static bool is_named(const struct stats *stats, const struct container *container)
{
    for (size_t i = 0; i < stats->names->count; i++) {
        const char *name = stats->names->items[i];
        if (strcmp(name, container_name(container)) == 0 ||
            strncmp(name, container->id, strlen(name)) == 0) {
            return true;
        }
    }
    return stats->names->count == 0;
}

static int add_container(struct container *container, void *context)
{
    struct stats *stats = context;
    struct err ignored;
    Coracle__Shim__ShimReply *reply = NULL;
    if (!is_named(stats, container) || container_refresh(container) != CONTAINER_RUNNING ||
        read_stats(container, &reply, &ignored) != 0) {
        return 0;
    }
    if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_STATS) {
        add_stats_row(stats, container, reply->stats);
    }
    coracle__shim__shim_reply__free_unpacked(reply, NULL);
    return 0;
}

static int sample_all(const struct store *store, struct stats *stats, bool is_printed,
                      struct err *err)
{
    static const char *const titles[] = {"CONTAINER ID",      "NAME",  "CPU %",
                                         "MEM USAGE / LIMIT", "MEM %", "NET I/O",
                                         "BLOCK I/O",         "PIDS"};
    const char *format = stats->format;
    stats->format = is_printed ? format : NULL;
    table_init(&stats->table, titles, 8);
    int status = container_list(store, add_container, stats, err);
    stats->format = format;
    if (status == 0 && is_printed && format == NULL) {
        if (isatty(STDOUT_FILENO)) {
            printf("\x1b[H\x1b[J");
        }
        table_print(&stats->table);
        (void)fflush(stdout);
    }
    table_deinit(&stats->table);
    mem_free(stats->before);
    stats->before = stats->now;
    stats->before_count = stats->now_count;
    stats->now = NULL;
    stats->now_count = 0;
    return status;
}

int word_stats(int argc, char **argv)
{
    static const struct command command = {
        .usage = "stats [OPTIONS] [CONTAINER...]",
        .summary = "What running containers use, live.",
        .operands_max = 1000,
    };
    enum { FIRST_INTERVAL_US = 200000, INTERVAL_US = 1000000 };
    struct err err = {.code = 0};
    bool is_once = false;
    bool is_all = false;
    bool is_untruncated = false;
    struct stats stats = {.format = NULL};
    const struct option_spec specs[] = {
        {0, "no-stream", OPTION_FLAG, &is_once, NULL, "Only once"},
        {'a', "all", OPTION_FLAG, &is_all, NULL, "Accepted; only running ones use anything"},
        {0, "no-trunc", OPTION_FLAG, &is_untruncated, NULL, "Accepted"},
        {0, "format", OPTION_TEXT, &stats.format, "TEMPLATE", "json, or '{{.Name}} {{.CPUPerc}}'"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = store_open(&store, NULL, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    stats.names = &operands;
    for (size_t i = 0; i < operands.count; i++) {
        CLEANUP(container) struct container container = {.directory_fd = -1};
        if (container_find(&store, operands.items[i], &container, &err) != 0) {
            return word_fail(&err, EXIT_FAILED);
        }
    }
    status = sample_all(&store, &stats, false, &err); /* what the first percentages refer to */
    usleep(FIRST_INTERVAL_US);
    do {
        status = status == 0 ? sample_all(&store, &stats, true, &err) : status;
        usleep(is_once ? 0 : INTERVAL_US);
    } while (status == 0 && !is_once);
    mem_free(stats.before);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

/* ---- top ---- */

struct process {
    unsigned uid;
    int ppid;
    char tty[16];
    char start[16];
    char time[16];
    char command[256];
};

static void read_command(int pid, const char *fallback, char *out, size_t room)
{
    char path[40];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    CLEANUP(file) FILE *file = fopen(path, "re");
    size_t size = file == NULL ? 0 : fread(out, 1, room - 1, file);
    for (size_t i = 0; i + 1 < size; i++) {
        out[i] = isprint((unsigned char)out[i]) ? out[i] : ' '; /* NULs between, and tricks */
    }
    out[size] = '\0';
    if (size == 0) {
        (void)snprintf(out, room, "[%s]", fallback);
    }
}

static bool read_process(int pid, struct process *out)
{
    char path[40];
    char text[1024];
    struct stat about;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    CLEANUP(file) FILE *file = fopen(path, "re");
    size_t size = file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file);
    text[size] = '\0';
    char *name = strchr(text, '(');
    char *end = strrchr(text, ')');
    int tty = 0;
    unsigned long user = 0;
    unsigned long system = 0;
    unsigned long long start = 0;
    if (name == NULL || end == NULL || fstat(fileno(file), &about) != 0 ||
        sscanf(end + 1,
               " %*c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu",
               &out->ppid, &tty, &user, &system, &start) != 5) {
        return false;
    }
    long ticks = sysconf(_SC_CLK_TCK);
    struct timespec boot;
    struct tm local;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    time_t started = time(NULL) - boot.tv_sec + (time_t)(start / (unsigned long long)ticks);
    unsigned long seconds = (user + system) / (unsigned long)ticks;
    localtime_r(&started, &local);
    out->uid = about.st_uid;
    (void)strftime(out->start, sizeof(out->start), "%H:%M", &local);
    (void)snprintf(out->time, sizeof(out->time), "%02lu:%02lu:%02lu", seconds / 3600 % 100,
                   seconds / 60 % 60, seconds % 60);
    (void)snprintf(out->tty, sizeof(out->tty), tty == 0 ? "?" : "pts/%d", tty & 0xff);
    *end = '\0';
    read_command(pid, name + 1, out->command, sizeof(out->command));
    return true;
}

static void add_process(struct table *table, int pid)
{
    struct process process;
    char uid[32];
    char pid_text[16];
    char ppid[16];
    if (!read_process(pid, &process)) {
        return;
    }
    const struct passwd *user = getpwuid(process.uid);
    if (user != NULL) {
        (void)snprintf(uid, sizeof(uid), "%.31s", user->pw_name);
    } else {
        (void)snprintf(uid, sizeof(uid), "%u", process.uid);
    }
    (void)snprintf(pid_text, sizeof(pid_text), "%d", pid);
    (void)snprintf(ppid, sizeof(ppid), "%d", process.ppid);
    table_add(table, (const char *[]){uid, pid_text, ppid, process.start, process.tty, process.time,
                                      process.command});
}

/* The host's own /proc, never a program of the container (CVE-2022-1227). */
static int list_processes(const struct container *container, struct table *table, struct err *err)
{
    char path[64];
    struct stat wanted;
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)container_pid(container));
    if (stat(path, &wanted) != 0) {
        return err_set(err, ERR_INVALID, "container %.12s does not run", container->id);
    }
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return err_set(err, ERR_IO, "open /proc");
    }
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        struct stat here;
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 0) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "/proc/%ld/ns/pid", pid);
        if (stat(path, &here) == 0 && here.st_ino == wanted.st_ino &&
            here.st_dev == wanted.st_dev) {
            add_process(table, (int)pid);
        }
    }
    (void)closedir(proc);
    return 0;
}

int word_top(int argc, char **argv)
{
    static const struct command command = {
        .usage = "top CONTAINER",
        .summary = "List the processes of a container.",
        .operands_min = 1,
        .operands_max = 1,
    };
    static const char *const titles[] = {"UID", "PID", "PPID", "STIME", "TTY", "TIME", "CMD"};
    struct err err = {.code = 0};
    const struct option_spec specs[] = {{0, NULL, OPTION_FLAG, NULL, NULL, NULL}};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    struct table table;
    if (options_parse(&command, specs, argc, argv, &operands, &err) != 0 ||
        store_open(&store, NULL, &err) != 0 ||
        container_find(&store, operands.items[0], &container, &err) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    enum container_status now = container_refresh(&container);
    if (now != CONTAINER_RUNNING && now != CONTAINER_PAUSED) {
        (void)err_set(&err, ERR_INVALID, "container %s does not run", operands.items[0]);
        return word_fail(&err, EXIT_FAILED);
    }
    table_init(&table, titles, 7);
    int status = list_processes(&container, &table, &err);
    if (status == 0) {
        table_print(&table);
    }
    table_deinit(&table);
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

/* ---- port ---- */

int word_port(int argc, char **argv)
{
    static const struct command command = {
        .usage = "port CONTAINER [PORT[/PROTOCOL]]",
        .summary = "Show where the ports of a container are published.",
        .operands_min = 1,
        .operands_max = 2,
    };
    struct err err = {.code = 0};
    const struct option_spec specs[] = {{0, NULL, OPTION_FLAG, NULL, NULL, NULL}};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    if (options_parse(&command, specs, argc, argv, &operands, &err) != 0 ||
        store_open(&store, NULL, &err) != 0 || lifecycle_reconcile(&store, &err) != 0 ||
        container_find(&store, operands.items[0], &container, &err) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    CLEANUP(free) char *wanted = NULL;
    if (operands.count == 2) {
        const char *text = operands.items[1];
        wanted = mem_printf("%s%s", text, strchr(text, '/') == NULL ? "/tcp" : "");
    }
    bool is_found = false;
    const char *key = NULL;
    json_t *list = NULL;
    json_object_foreach(json_object_get(container.state, "Ports"), key, list)
    {
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *binding = json_array_get(list, i);
            if (wanted == NULL || strcmp(wanted, key) == 0) {
                is_found = true;
                printf("%s%s%s:%s\n", wanted == NULL ? key : "", wanted == NULL ? " -> " : "",
                       json_get_text(binding, "HostIp", ""),
                       json_get_text(binding, "HostPort", ""));
            }
        }
    }
    if (wanted != NULL && !is_found) {
        (void)err_set(&err, ERR_NOT_FOUND, "port %s of container %s is not published", wanted,
                      operands.items[0]);
        return word_fail(&err, EXIT_FAILED);
    }
    return 0;
}
