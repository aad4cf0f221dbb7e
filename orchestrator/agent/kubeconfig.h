/* kubeconfig.h - which API server, and as whom: the current context of a kubeconfig file. */
#ifndef ORCHESTRATOR_AGENT_KUBECONFIG_H
#define ORCHESTRATOR_AGENT_KUBECONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Texts are owned; NULL where the file says nothing. */
struct kubeconfig {
    char *server; /* as it stands there */
    char *host;
    uint16_t port;
    bool is_tls;
    bool skips_verify;
    char *ca_file;
    char *certificate_file;
    char *key_file;
    char *token;
};

/* Embedded certificates ("…-data") are written to files in directory, 0600. ERR_INVALID with what
 * is wrong with which field. */
MUST_USE int kubeconfig_read(struct kubeconfig *config, const char *path, const char *directory,
                             struct err *err);
void kubeconfig_deinit(struct kubeconfig *config);

/* "https://host:port" apart. Pure. ERR_INVALID. */
MUST_USE int kubeconfig_parse_server(struct kubeconfig *config, const char *server,
                                     struct err *err);

#endif
