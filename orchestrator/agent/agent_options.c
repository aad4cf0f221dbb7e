#include "orchestrator/agent/agent_options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/objects/quantity.h"

enum {
    PORT_DEFAULT = 10250,
    PODS_MAX_DEFAULT = 110,
    EVICTION_MEMORY_BYTES = 100 << 20,
    EVICTION_DISK_PERCENT = 3,
};

const char agent_help[] =
    "orchd agent - runs the pods of one node\n"
    "\n"
    "  orchd agent --kubeconfig F --node-name n1 --node-ip 192.0.2.1\n"
    "\n"
    "  --kubeconfig F           the API server, and as whom\n"
    "  --node-name NAME         (default: the host's name)\n"
    "  --node-ip ADDRESS        where other nodes reach this one\n"
    "  --data-dir DIR           (default: /var/lib/coracle-node)\n"
    "  --image-store DIR        images, may be shared by nodes (default: DATA-DIR/store)\n"
    "  --run-dir DIR            sockets; a short path (default: DATA-DIR/run)\n"
    "  --cgroup-parent PATH     (default: /coracle)\n"
    "  --pod-cidr CIDR          addresses of pods (default: what the API gives the node)\n"
    "  --bridge NAME            of the pod network (default: cni0)\n"
    "  --static-pod-path DIR    manifests of pods that run without the API\n"
    "  --cluster-dns ADDRESS    name server of pods (default: the node's)\n"
    "  --cluster-domain NAME    (default: cluster.local)\n"
    "  --node-labels LIST       a=b,c=d\n"
    "  --port N                 of logs, exec, stats for the API server (default: 10250; 0: any)\n"
    "  --cpu N --memory N       what the node offers (default: all of the machine)\n"
    "  --max-pods N             (default: 110)\n"
    "  --eviction-memory N      pods are evicted when less memory is available (default: 100Mi)\n"
    "  --eviction-disk PERCENT  and when less of the image store's disk is free (default: 3)\n";

static int parse_number(int64_t *ret, const char *flag, const char *text, int64_t max,
                        struct err *err)
{
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value > max) {
        return err_set(err, ERR_INVALID, "%s: '%s' is no number up to %lld", flag, text,
                       (long long)max);
    }
    *ret = value;
    return 0;
}

static int parse_other(struct agent_options *options, const char *flag, const char *value,
                       struct err *err)
{
    int64_t number = 0;
    quantity amount = 0;
    int status = 0;
    if (strcmp(flag, "--port") == 0) {
        status = parse_number(&number, flag, value, UINT16_MAX, err);
        options->port = status == 0 ? (uint16_t)number : options->port;
        return status;
    }
    if (strcmp(flag, "--max-pods") == 0) {
        return parse_number(&options->pods_max, flag, value, 10000, err);
    }
    if (strcmp(flag, "--eviction-disk") == 0) {
        return parse_number(&options->eviction_disk_percent, flag, value, 100, err);
    }
    bool is_cpu = strcmp(flag, "--cpu") == 0;
    bool is_eviction = strcmp(flag, "--eviction-memory") == 0;
    if (!is_cpu && !is_eviction && strcmp(flag, "--memory") != 0) {
        return err_set(err, ERR_INVALID, "unknown flag '%s'; see orchd agent --help", flag);
    }
    if (quantity_parse(value, &amount, NULL) != 0 || amount <= 0) {
        return err_set(err, ERR_INVALID, "%s: '%s' is no amount such as 2 or 4Gi", flag, value);
    }
    if (is_cpu) {
        options->cpu_milli = quantity_to_milli(amount);
    } else if (is_eviction) {
        options->eviction_memory_bytes = quantity_to_units(amount);
    } else {
        options->memory_bytes = quantity_to_units(amount);
    }
    return 0;
}

static int parse_flag(struct agent_options *options, const char *flag, const char *value,
                      struct err *err)
{
    const struct {
        const char *flag;
        const char **field;
    } texts[] = {
        {"--kubeconfig", &options->kubeconfig},
        {"--node-name", &options->node_name},
        {"--node-ip", &options->node_ip},
        {"--data-dir", &options->data_dir},
        {"--image-store", &options->image_store},
        {"--run-dir", &options->run_dir},
        {"--cgroup-parent", &options->cgroup_parent},
        {"--pod-cidr", &options->pod_cidr},
        {"--bridge", &options->bridge},
        {"--static-pod-path", &options->static_pod_path},
        {"--cluster-dns", &options->cluster_dns},
        {"--cluster-domain", &options->cluster_domain},
        {"--node-labels", &options->node_labels},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(flag, texts[i].flag) == 0) {
            *texts[i].field = value;
            return 0;
        }
    }
    return parse_other(options, flag, value, err);
}

static int check(struct agent_options *options, struct err *err)
{
    static char host[256];
    if (options->node_name == NULL && gethostname(host, sizeof(host) - 1) == 0) {
        options->node_name = host;
    }
    if (options->kubeconfig == NULL || options->node_ip == NULL || options->node_name == NULL) {
        return err_set(err, ERR_INVALID, "%s is needed",
                       options->kubeconfig == NULL ? "--kubeconfig"
                       : options->node_ip == NULL  ? "--node-ip"
                                                   : "--node-name");
    }
    if (options->data_dir[0] != '/') {
        return err_set(err, ERR_INVALID, "--data-dir: '%s' is no absolute path", options->data_dir);
    }
    if (options->cgroup_parent[0] != '/') {
        return err_set(err, ERR_INVALID, "--cgroup-parent: '%s' does not begin with /",
                       options->cgroup_parent);
    }
    return 0;
}

int agent_options_parse(struct agent_options *options, int argc, char *argv[], struct err *err)
{
    *options = (struct agent_options){
        .data_dir = "/var/lib/coracle-node",
        .cgroup_parent = "/coracle",
        .bridge = "cni0",
        .cluster_dns = "",
        .cluster_domain = "cluster.local",
        .node_labels = "",
        .port = PORT_DEFAULT,
        .pods_max = PODS_MAX_DEFAULT,
        .eviction_memory_bytes = EVICTION_MEMORY_BYTES,
        .eviction_disk_percent = EVICTION_DISK_PERCENT,
    };
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options->wants_help = true;
            return 0;
        }
        const char *flag = argv[i];
        if (value != NULL) {
            *value++ = '\0';
        } else if (i + 1 < argc) {
            value = argv[++i];
        } else {
            return err_set(err, ERR_INVALID, "%s: it needs a value", flag);
        }
        int status = parse_flag(options, flag, value, err);
        if (status != 0) {
            return status;
        }
    }
    return check(options, err);
}
