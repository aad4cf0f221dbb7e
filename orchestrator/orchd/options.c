#include "orchestrator/orchd/options.h"

#include <stdlib.h>
#include <string.h>

const char orchd_help[] =
    "orchd - the orchestrator on one machine\n"
    "\n"
    "  orchd --endpoints 127.0.0.1:2379 --insecure-port 8080\n"
    "  orchd --endpoints A:2379,B:2379,C:2379 --port 6443 --tls-cert-file F --tls-key-file F \\\n"
    "        --client-ca-file F --token-key-file F\n"
    "  orchd proxy|dns --help   the roles of a node have flags of their own\n"
    "\n"
    "  --roles LIST             api,scheduler,controllers (default: all)\n"
    "  --endpoints LIST         members of the store (default: 127.0.0.1:2379)\n"
    "  --store-ca-file F --store-cert-file F --store-key-file F\n"
    "  --host ADDRESS           where the API listens (default: 0.0.0.0)\n"
    "  --port N                 with TLS (default: 6443; needs --tls-cert-file)\n"
    "  --advertise-address A    where pods find this server as kubernetes.default.svc (default: "
    "none)\n"
    "  --insecure-port N        plaintext on 127.0.0.1 without access control (default: 0, none)\n"
    "  --tls-cert-file F --tls-key-file F --client-ca-file F\n"
    "  --token-file F           static tokens: token,user,uid,\"group,group\"\n"
    "  --token-key-file F       key that signs service account tokens, 32 bytes or more\n"
    "  --service-cidr CIDR      addresses of services (default: 10.96.0.0/16)\n"
    "  --cluster-cidr CIDR      addresses of pods (default: 10.244.0.0/16)\n"
    "  --node-grace SECONDS     until a silent node is given up and its pods move (default: 40)\n"
    "  --write-kubeconfig F     with which kubectl reaches this server as administrator\n"
    "  --identity NAME          of this process in leader leases\n";

static int parse_roles(unsigned *ret, const char *text, struct err *err)
{
    static const struct {
        const char *name;
        enum orchd_role role;
    } roles[] = {
        {"api", ORCHD_API}, {"scheduler", ORCHD_SCHEDULER}, {"controllers", ORCHD_CONTROLLERS}};
    unsigned found = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        unsigned role = 0;
        for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
            if (strlen(roles[i].name) == size && strncmp(roles[i].name, text, size) == 0) {
                role = roles[i].role;
            }
        }
        if (role == 0) {
            return err_set(err, ERR_INVALID, "--roles: unknown role '%.*s'", (int)size, text);
        }
        found |= role;
        text += size + (text[size] == ',');
    }
    *ret = found;
    return 0;
}

static int parse_endpoints(struct orchd_options *options, char *text, struct err *err)
{
    options->endpoint_count = 0;
    char *rest = text;
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        if (options->endpoint_count == ORCHD_ENDPOINTS_MAX) {
            return err_set(err, ERR_INVALID, "--endpoints: more than %d", ORCHD_ENDPOINTS_MAX);
        }
        options->endpoints[options->endpoint_count++] = part;
    }
    return 0;
}

static int parse_number(uint16_t *ret, const char *flag, const char *text, struct err *err)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value > UINT16_MAX) {
        return err_set(err, ERR_INVALID, "%s: '%s' is no number up to 65535", flag, text);
    }
    *ret = (uint16_t)value;
    return 0;
}

static int parse_flag(struct orchd_options *options, const char *flag, char *value, struct err *err)
{
    const struct {
        const char *flag;
        const char **field;
    } texts[] = {
        {"--store-ca-file", &options->store_ca_file},
        {"--store-cert-file", &options->store_cert_file},
        {"--store-key-file", &options->store_key_file},
        {"--host", &options->host},
        {"--advertise-address", &options->advertise},
        {"--tls-cert-file", &options->tls_cert_file},
        {"--tls-key-file", &options->tls_key_file},
        {"--client-ca-file", &options->client_ca_file},
        {"--token-file", &options->token_file},
        {"--token-key-file", &options->token_key_file},
        {"--service-cidr", &options->service_cidr},
        {"--cluster-cidr", &options->cluster_cidr},
        {"--write-kubeconfig", &options->kubeconfig},
        {"--identity", &options->identity},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(flag, texts[i].flag) == 0) {
            *texts[i].field = value;
            return 0;
        }
    }
    if (strcmp(flag, "--roles") == 0) {
        return parse_roles(&options->roles, value, err);
    }
    if (strcmp(flag, "--endpoints") == 0) {
        return parse_endpoints(options, value, err);
    }
    if (strcmp(flag, "--node-grace") == 0) {
        uint16_t seconds = 0;
        int result = parse_number(&seconds, flag, value, err);
        options->node_grace_ms = (int64_t)seconds * 1000;
        return result;
    }
    if (strcmp(flag, "--port") == 0) {
        return parse_number(&options->port, flag, value, err);
    }
    if (strcmp(flag, "--insecure-port") == 0) {
        return parse_number(&options->insecure_port, flag, value, err);
    }
    return err_set(err, ERR_INVALID, "unknown flag '%s'; see orchd --help", flag);
}

int orchd_options_parse(struct orchd_options *options, int argc, char *argv[], struct err *err)
{
    *options = (struct orchd_options){
        .roles = ORCHD_API | ORCHD_SCHEDULER | ORCHD_CONTROLLERS,
        .endpoints = {"127.0.0.1:2379"},
        .endpoint_count = 1,
        .host = "0.0.0.0",
        .port = 6443,
        .service_cidr = "10.96.0.0/16",
        .cluster_cidr = "10.244.0.0/16",
        .node_grace_ms = 40 * 1000,
    };
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options->wants_help = true;
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            options->wants_version = true;
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
        int result = parse_flag(options, flag, value, err);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}
