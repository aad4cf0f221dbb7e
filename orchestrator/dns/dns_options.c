#include "orchestrator/dns/dns_options.h"

#include <string.h>

#include "orchestrator/proxy/pod_peers.h"
#include "orchestrator/remote/flags.h"

const char dns_help[] =
    "orchd dns - names of services, on one node\n"
    "\n"
    "  orchd dns --kubeconfig F --node-name node1 --node-ip 192.168.1.11\n"
    "\n"
    "  --kubeconfig F           how to reach the API server (default: $KUBECONFIG, "
    "~/.kube/config)\n"
    "  --node-name NAME         of this node's Node object\n"
    "  --node-ip ADDRESS        of this node\n"
    "  --listen ADDRESS[:PORT]  where it is asked (default: the node's address, port 53)\n"
    "  --cluster-dns ADDRESS    of the service kube-dns, which pods ask (default: 10.96.0.10; it "
    "is\n"
    "                           made, and answered by the DNS of each pod's own node; '': "
    "neither)\n"
    "  --cluster-domain NAME    (default: cluster.local)\n"
    "  --upstream LIST          servers for all other names (default: those of --resolv-conf)\n"
    "  --resolv-conf F          (default: /etc/resolv.conf)\n"
    "  --cluster-cidr CIDR      addresses of pods (default: 10.244.0.0/16)\n"
    "  --service-cidr CIDR      addresses of services (default: 10.96.0.0/16)\n";

static int parse_range(struct dns_options *options, size_t at, const char *flag, const char *text,
                       struct err *err)
{
    return address_parse_range(text, &options->zone.ranges[at].first,
                               &options->zone.ranges[at].bits)
               ? 0
               : err_set(err, ERR_INVALID, "%s: '%s' is no range such as 10.96.0.0/16", flag, text);
}

int dns_options_parse(struct dns_options *options, int argc, char *argv[], struct err *err)
{
    const char *cluster_cidr = "10.244.0.0/16";
    const char *service_cidr = "10.96.0.0/16";
    uint32_t address = 0;
    *options = (struct dns_options){.cluster_dns = "10.96.0.10",
                                    .resolv_conf = "/etc/resolv.conf",
                                    .zone = {.domain = "cluster.local"}};
    const struct flag flags[] = {
        {.name = "--kubeconfig", .text = &options->kubeconfig},
        {.name = "--node-name", .text = &options->node_name},
        {.name = "--node-ip", .text = &options->node_ip},
        {.name = "--listen", .text = &options->listen},
        {.name = "--cluster-dns", .text = &options->cluster_dns},
        {.name = "--cluster-domain", .text = &options->zone.domain},
        {.name = "--upstream", .text = &options->upstream},
        {.name = "--resolv-conf", .text = &options->resolv_conf},
        {.name = "--cluster-cidr", .text = &cluster_cidr},
        {.name = "--service-cidr", .text = &service_cidr},
        {.name = "--help", .is_given = &options->wants_help},
    };
    int result = flags_parse(flags, sizeof(flags) / sizeof(flags[0]), argc, argv, err);
    if (result != 0 || options->wants_help) {
        return result;
    }
    if (options->node_name == NULL || !address_parse(options->node_ip, &address)) {
        return err_set(err, ERR_INVALID, "it needs --node-name and --node-ip, an IPv4 address");
    }
    if (*options->cluster_dns != '\0' && !address_parse(options->cluster_dns, &address)) {
        return err_set(err, ERR_INVALID, "--cluster-dns: '%s' is no IPv4 address",
                       options->cluster_dns);
    }
    options->listen = options->listen == NULL ? options->node_ip : options->listen;
    result = parse_range(options, 0, "--cluster-cidr", cluster_cidr, err);
    return result != 0 ? result : parse_range(options, 1, "--service-cidr", service_cidr, err);
}
