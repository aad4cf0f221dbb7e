/* word_change.c - rename and update: what can be changed of a container that exists. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/json.h"
#include "runtime/words/container_words.h"
#include "runtime/words/event_log.h"
#include "runtime/words/lifecycle.h"
#include "runtime/words/options.h"
#include "runtime/words/run_options.h"
#include "runtime/words/shim_client.h"
#include "runtime/words/spec.h"
#include "runtime/words/words.h"

/* Claimed first, then written, then the old name is given up: at each moment one of them leads to
 * the container. */
static int rename_container(const struct store *store, struct container *container,
                            const char *name, struct err *err)
{
    char old[CONTAINER_NAME_MAX + 16];
    CLEANUP(close_fd) int lock = -1;
    int status = container_lock(container, &lock, err);
    if (status != 0 || (status = container_claim_name(store, name, container->id, err)) != 0) {
        return status;
    }
    CLEANUP(free) char *old_name = mem_strdup(container_name(container));
    (void)snprintf(old, sizeof(old), "names/%s", old_name);
    json_object_set_new(container->document, "Name", json_text(name));
    status = container_write_document(container, true, err);
    if (status != 0) {
        (void)snprintf(old, sizeof(old), "names/%s", name);
    }
    (void)unlinkat(store->root_fd, old, 0); /* one that stays leads to the same container */
    if (status == 0) {
        event_log(store, container, "rename", "oldName", old_name);
    }
    return status;
}

int word_rename(int argc, char **argv)
{
    static const struct command command = {
        .usage = "rename CONTAINER NAME",
        .summary = "Give a container another name.",
        .operands_min = 2,
        .operands_max = 2,
    };
    struct err err = {.code = 0};
    const struct option_spec specs[] = {{0, NULL, OPTION_FLAG, NULL, NULL, NULL}};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(container) struct container container = {.directory_fd = -1};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = store_open(&store, NULL, &err)) != 0 ||
        (status = container_find(&store, operands.items[0], &container, &err)) != 0 ||
        (status = rename_container(&store, &container, operands.items[1], &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    return 0;
}

/* ---- update ---- */

/* What `update` may change of a HostConfig, and what makes room for it. */
static void merge_host(json_t *host, const json_t *changes, bool has_restart)
{
    static const char *const keys[] = {
        "Memory",    "MemorySwap", "MemoryReservation", "CpuShares",  "CpuQuota",
        "CpuPeriod", "NanoCpus",   "CpusetCpus",        "CpusetMems", "PidsLimit"};
    if (json_object_get(changes, "NanoCpus") != NULL) {
        json_object_del(host, "CpuQuota");
        json_object_del(host, "CpuPeriod");
    }
    if (json_object_get(changes, "CpuQuota") != NULL) {
        json_object_del(host, "NanoCpus");
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_t *value = json_object_get(changes, keys[i]);
        if (value != NULL) {
            json_object_set(host, keys[i], value);
        }
    }
    if (has_restart) {
        json_object_set(host, "RestartPolicy", json_object_get(changes, "RestartPolicy"));
    }
}

static int update_running(const struct container *container, const json_t *host, struct err *err)
{
    char path[PATH_MAX];
    struct shim_client client;
    CLEANUP(json) json_t *resources = spec_make_resources(host);
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status;
    if (json_object_size(resources) == 0) {
        return 0;
    }
    json_write(resources, false, &text);
    if ((status = container_socket_path(container, path, err)) != 0 ||
        (status = shim_client_open(&client, path, err)) != 0) {
        return status;
    }
    status = shim_client_update(&client, buf_text(&text), err);
    shim_client_close(&client);
    return status;
}

static int update_one(const struct store *store, const char *name,
                      const struct run_options *options, const json_t *changes, struct err *err)
{
    CLEANUP(container) struct container container = {.directory_fd = -1};
    CLEANUP(close_fd) int lock = -1;
    int status;
    if ((status = container_find(store, name, &container, err)) != 0 ||
        (status = container_lock(&container, &lock, err)) != 0 ||
        (status = container_read_state(&container, err)) != 0) {
        return status;
    }
    CLEANUP(json) json_t *host = json_deep_copy(container_host(&container));
    merge_host(host, changes, options->restart != NULL);
    enum container_status now = container_refresh(&container);
    if (now == CONTAINER_RUNNING || now == CONTAINER_PAUSED) {
        status = update_running(&container, host, err);
    }
    json_object_set(container.document, "HostConfig", host);
    if (status == 0) {
        status = container_write_document(&container, true, err);
    }
    if (status == 0) {
        event_log(store, &container, "update", NULL, NULL);
        printf("%s\n", name);
    }
    return status;
}

int word_update(int argc, char **argv)
{
    static const struct command command = {
        .usage = "update [OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Change the limits of containers, also while they run.",
        .examples = "  kvctl update --memory 128m --cpus 1.5 web\n",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    CLEANUP(run_options) struct run_options options = {.name = NULL};
    const struct option_spec specs[] = {
        {'m', "memory", OPTION_TEXT, &options.memory, "SIZE", "At most so much memory"},
        {0, "memory-swap", OPTION_TEXT, &options.memory_swap, "SIZE", "Memory and swap together"},
        {0, "memory-reservation", OPTION_TEXT, &options.memory_reservation, "SIZE", "Soft limit"},
        {0, "cpus", OPTION_TEXT, &options.cpus, "N", "At most so many processors, like 0.5"},
        {'c', "cpu-shares", OPTION_TEXT, &options.cpu_shares, "N", "Weight among others"},
        {0, "cpu-quota", OPTION_TEXT, &options.cpu_quota, "US", "Time in each period"},
        {0, "cpu-period", OPTION_TEXT, &options.cpu_period, "US", "Length of a period"},
        {0, "cpuset-cpus", OPTION_TEXT, &options.cpuset_cpus, "LIST", "Processors, like 0-3"},
        {0, "cpuset-mems", OPTION_TEXT, &options.cpuset_mems, "LIST", "Memory nodes"},
        {0, "pids-limit", OPTION_TEXT, &options.pids_limit, "N", "Processes; -1: no limit"},
        {0, "restart", OPTION_TEXT, &options.restart, "POLICY", "From the next start on"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(json) json_t *changes = NULL;
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = run_host_config(&options, &changes, &err)) != 0 ||
        (status = store_open(&store, NULL, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    for (size_t i = 0; i < operands.count; i++) {
        if (update_one(&store, operands.items[i], &options, changes, &err) != 0) {
            code = word_fail(&err, EXIT_FAILED);
        }
    }
    return code;
}
