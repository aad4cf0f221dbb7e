/* options.h - the command line of orchd. */
#ifndef ORCHESTRATOR_ORCHD_OPTIONS_H
#define ORCHESTRATOR_ORCHD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum orchd_role {
    ORCHD_API = 1 << 0,
    ORCHD_SCHEDULER = 1 << 1,
    ORCHD_CONTROLLERS = 1 << 2,
};

enum { ORCHD_ENDPOINTS_MAX = 16 };

/* Texts point into argv. */
struct orchd_options {
    unsigned roles;
    const char *endpoints[ORCHD_ENDPOINTS_MAX];
    size_t endpoint_count;
    const char *store_ca_file;
    const char *store_cert_file;
    const char *store_key_file;
    const char *host;       /* of the API server */
    uint16_t port;          /* with TLS */
    const char *advertise;  /* address by which pods reach this server; NULL: they do not */
    uint16_t insecure_port; /* plaintext on 127.0.0.1, everybody is system:masters; 0: none */
    const char *tls_cert_file;
    const char *tls_key_file;
    const char *client_ca_file;
    const char *token_file;
    const char *token_key_file; /* signs the tokens of service accounts */
    const char *service_cidr;   /* "10.96.0.0/16" */
    const char *cluster_cidr;   /* pods: "10.244.0.0/16" */
    const char *kubeconfig;     /* to be written at the start; NULL: none */
    int64_t node_grace_ms;      /* a node that says nothing for so long is unknown */
    const char *identity;       /* of leader leases; NULL: made up */
    bool wants_help;
    bool wants_version;
};

/* ERR_INVALID with a text that names the flag. */
MUST_USE int orchd_options_parse(struct orchd_options *options, int argc, char *argv[],
                                 struct err *err);
extern const char orchd_help[];

#endif
