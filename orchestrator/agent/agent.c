#include "orchestrator/agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "orchestrator/agent/agent_options.h"
#include "orchestrator/agent/node.h"
#include "orchestrator/agent/pods.h"
#include "orchestrator/agent/server.h"
#include "orchestrator/agent/stats.h"
#include "orchestrator/agent/upkeep.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/tree.h"

enum { EXIT_USAGE = 2, NETWORK_RETRY_MS = 1000, SOCKET_DIRECTORY_MAX = 76 };

struct agent {
    struct agent_options options;
    uv_loop_t loop;
    uv_signal_t interrupt;
    uv_signal_t terminate;
    struct wire_loop *wire;
    struct kubeconfig kubeconfig;
    struct api *api;
    struct programs *programs;
    struct events events;
    struct pods *pods;
    struct node *node;
    struct server *server;
    struct stats *stats;
    struct upkeep *upkeep;
    struct timer network_timer;
    char *range;
    char *store;
    char *run;
    int lock;
};

/* ---- the pod network ---- */

static void set_network(struct agent *agent);

static void on_network_timer(struct timer *timer)
{
    set_network(container_of(timer, struct agent, network_timer));
}

static void on_network(void *context, const json_t *answer, const char *reason, const char *message)
{
    struct agent *agent = context;
    (void)reason;
    if (answer != NULL) {
        pods_set_network_ready(agent->pods);
        node_set_network_ready(agent->node, NULL);
        return;
    }
    struct timers *timers = wire_loop_timers(agent->wire);
    log_warn("the pod network cannot be set up", LOG_TEXT("reason", message));
    node_set_network_ready(agent->node, message);
    timers_set(timers, &agent->network_timer, timers->now_ms + NETWORK_RETRY_MS);
}

static void set_network(struct agent *agent)
{
    programs_pod(agent->programs, "network-set",
                 json_pack("{s:s, s:s, s:s}", "state", agent->options.data_dir, "subnet",
                           agent->range, "bridge", agent->options.bridge),
                 on_network, agent);
}

static void on_range(void *context, const char *cidr)
{
    struct agent *agent = context;
    mem_free(agent->range);
    agent->range = mem_strdup(cidr);
    set_network(agent);
}

/* ---- start and stop ---- */

static int open_directories(struct agent *agent, struct err *err)
{
    const struct agent_options *options = &agent->options;
    agent->store = options->image_store != NULL ? mem_strdup(options->image_store)
                                                : mem_printf("%s/store", options->data_dir);
    agent->run = options->run_dir != NULL ? mem_strdup(options->run_dir)
                                          : mem_printf("%s/run", options->data_dir);
    CLEANUP(free) char *pods = mem_printf("%s/pods", options->data_dir);
    CLEANUP(free) char *lock = mem_printf("%s/lock", options->data_dir);
    int status;
    if (strlen(agent->run) > SOCKET_DIRECTORY_MAX) {
        return err_set(err, ERR_INVALID, "'%s' is too long for sockets; give a shorter --run-dir",
                       agent->run);
    }
    if ((status = disk_make_directory(pods, 0710, err)) != 0 ||
        (status = disk_make_directory(agent->run, 0700, err)) != 0) {
        return status;
    }
    agent->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (agent->lock < 0) {
        return err_set_errno(err, errno, "open '%s'", lock);
    }
    if (flock(agent->lock, LOCK_EX | LOCK_NB) != 0) {
        return err_set(err, ERR_LOCKED, "another agent uses '%s'", options->data_dir);
    }
    return 0;
}

/* The folder of this program: the runtime's programs are beside it. */
static char *program_folder(void)
{
    char path[PATH_MAX] = "";
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[size < 0 ? 0 : size] = '\0';
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    return mem_strdup(path);
}

static int open_pods(struct agent *agent, struct err *err)
{
    const struct agent_options *options = &agent->options;
    int64_t cpu_milli = options->cpu_milli > 0 ? options->cpu_milli : node_machine_cpu_milli();
    int64_t memory =
        options->memory_bytes > 0 ? options->memory_bytes : node_machine_memory_bytes();
    const struct pods_options pods_options = {
        .wire = agent->wire,
        .api = agent->api,
        .programs = agent->programs,
        .events = &agent->events,
        .node_name = options->node_name,
        .node_ip = options->node_ip,
        .data_dir = options->data_dir,
        .run_dir = agent->run,
        .cgroup_parent = options->cgroup_parent,
        .cluster_dns = options->cluster_dns,
        .cluster_domain = options->cluster_domain,
        .static_path = options->static_pod_path,
        .cpu_milli = cpu_milli,
        .memory_bytes = memory,
    };
    agent->pods = pods_new(&pods_options);
    agent->stats = stats_new(agent->wire, agent->pods, options->node_name);
    const struct server_options server_options = {
        .wire = agent->wire,
        .api = agent->api,
        .pods = agent->pods,
        .node_name = options->node_name,
        .host = options->node_ip,
        .port = options->port,
        .data_dir = options->data_dir,
        .stats = stats_report,
        .stats_context = agent->stats,
    };
    agent->server = server_new(&server_options, err);
    if (agent->server == NULL) {
        return err->code;
    }
    const struct node_options node_options = {
        .wire = agent->wire,
        .api = agent->api,
        .events = &agent->events,
        .name = options->node_name,
        .ip = options->node_ip,
        .pod_cidr = options->pod_cidr,
        .labels = options->node_labels,
        .data_dir = options->data_dir,
        .port = server_port(agent->server),
        .cpu_milli = cpu_milli,
        .memory_bytes = memory,
        .pods_max = options->pods_max,
        .on_range = on_range,
        .context = agent,
    };
    agent->node = node_new(&node_options);
    pods_start(agent->pods);
    const struct upkeep_options upkeep_options = {
        .wire = agent->wire,
        .node = agent->node,
        .pods = agent->pods,
        .stats = agent->stats,
        .programs = agent->programs,
        .image_store = agent->store,
        .memory_min_bytes = options->eviction_memory_bytes,
        .disk_min_percent = options->eviction_disk_percent,
    };
    agent->upkeep = upkeep_new(&upkeep_options);
    return 0;
}

static int start(struct agent *agent, struct err *err)
{
    CLEANUP(free) char *bin = program_folder();
    int status = open_directories(agent, err);
    if (status == 0) {
        status = kubeconfig_read(&agent->kubeconfig, agent->options.kubeconfig, err);
    }
    if (status != 0) {
        return status;
    }
    agent->api = api_new(agent->wire, &agent->kubeconfig, err);
    if (agent->api == NULL) {
        return err->code;
    }
    agent->programs = programs_new(&agent->loop, bin, agent->store, agent->run);
    agent->events = (struct events){.api = agent->api, .node_name = agent->options.node_name};
    timer_init(&agent->network_timer, on_network_timer);
    return open_pods(agent, err);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    log_info("stopping; containers go on");
    uv_stop(handle->loop);
}

static void listen_to_signals(struct agent *agent)
{
    uv_signal_init(&agent->loop, &agent->interrupt);
    uv_signal_init(&agent->loop, &agent->terminate);
    uv_signal_start(&agent->interrupt, on_signal, SIGINT);
    uv_signal_start(&agent->terminate, on_signal, SIGTERM);
}

int agent_main(int argc, char *argv[])
{
    static struct agent agent;
    struct err err = {.code = 0};
    int status = agent_options_parse(&agent.options, argc, argv, &err);
    if (agent.options.wants_help) {
        printf("%s", agent_help);
        return EXIT_SUCCESS;
    }
    if (status != 0) {
        fprintf(stderr, "orchd agent: %s\n", err.text);
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(022);
    uv_loop_init(&agent.loop);
    agent.wire = wire_loop_new(&agent.loop);
    if (start(&agent, &err) != 0) {
        fprintf(stderr, "orchd agent: %s\n", err.text);
        return EXIT_FAILURE;
    }
    listen_to_signals(&agent);
    uv_run(&agent.loop, UV_RUN_DEFAULT);
    /* The process ends here: sockets and memory go with it, containers have their shims. */
    return EXIT_SUCCESS;
}
