#include "orchestrator/proxy/proxy_options.h"

#include <string.h>

#include "orchestrator/remote/flags.h"

const char proxy_help[] =
    "orchd proxy - services and pod routes of one node\n"
    "\n"
    "  orchd proxy --kubeconfig F --node-name node1 --node-ip 192.168.1.11\n"
    "  orchd proxy --cleanup --node-name node1 --node-ip 192.168.1.11\n"
    "\n"
    "  --kubeconfig F           how to reach the API server (default: $KUBECONFIG, "
    "~/.kube/config)\n"
    "  --node-name NAME         of this node's Node object\n"
    "  --node-ip ADDRESS        by which other nodes reach this one\n"
    "  --cluster-cidr CIDR      addresses of pods (default: 10.244.0.0/16)\n"
    "  --service-cidr CIDR      addresses of services (default: 10.96.0.0/16)\n"
    "  --pod-routes HOW         auto, plain, vxlan or none (default: auto: plain routes to nodes "
    "on\n"
    "                           the same link, VXLAN to others)\n"
    "  --cleanup                remove the rules, the routes and the VXLAN device, and end\n";

static int parse_mode(struct proxy_options *options, const char *text, struct err *err)
{
    static const char *const names[] = {"auto", "plain", "vxlan", "none"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            options->routes = (enum pod_routes_mode)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "--pod-routes: '%s' is not auto, plain, vxlan or none", text);
}

static int check_range(const char *flag, const char *text, struct err *err)
{
    uint32_t address = 0;
    uint8_t bits = 0;
    return address_parse_range(text, &address, &bits)
               ? 0
               : err_set(err, ERR_INVALID, "%s: '%s' is no range such as 10.96.0.0/16", flag, text);
}

int proxy_options_parse(struct proxy_options *options, int argc, char *argv[], struct err *err)
{
    const char *node_ip = NULL;
    const char *mode = "auto";
    *options =
        (struct proxy_options){.cluster_cidr = "10.244.0.0/16", .service_cidr = "10.96.0.0/16"};
    const struct flag flags[] = {
        {.name = "--kubeconfig", .text = &options->kubeconfig},
        {.name = "--node-name", .text = &options->node_name},
        {.name = "--node-ip", .text = &node_ip},
        {.name = "--cluster-cidr", .text = &options->cluster_cidr},
        {.name = "--service-cidr", .text = &options->service_cidr},
        {.name = "--pod-routes", .text = &mode},
        {.name = "--cleanup", .is_given = &options->cleans},
        {.name = "--help", .is_given = &options->wants_help},
    };
    int result = flags_parse(flags, sizeof(flags) / sizeof(flags[0]), argc, argv, err);
    if (result != 0 || options->wants_help) {
        return result;
    }
    if (options->node_name == NULL || node_ip == NULL ||
        !address_parse(node_ip, &options->node_address)) {
        return err_set(err, ERR_INVALID, "it needs --node-name and --node-ip, an IPv4 address");
    }
    result = parse_mode(options, mode, err);
    result = result != 0 ? result : check_range("--cluster-cidr", options->cluster_cidr, err);
    return result != 0 ? result : check_range("--service-cidr", options->service_cidr, err);
}
