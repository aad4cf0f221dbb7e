/* kubeconfig.h - how to reach an API server, from the file that kubectl uses
 * (client-go clientcmd/api/v1: clusters, users, contexts, current-context). */
#ifndef ORCHESTRATOR_REMOTE_KUBECONFIG_H
#define ORCHESTRATOR_REMOTE_KUBECONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { KUBECONFIG_SIZE_MAX = 4 * 1024 * 1024 };

/* All texts are owned; NULL is none. Certificates that are in the file itself are kept in files of
 * memory, whose names stand here: they live as long as this does. */
struct kubeconfig {
    bool is_tls;
    char *host; /* without brackets */
    uint16_t port;
    char *namespace; /* of the context; "default" */
    char *token;
    char *ca_file;
    char *certificate_file;
    char *key_file;
    bool skips_verify;
    int memory_fds[3]; /* -1: none */
};

/* path NULL: the first file of $KUBECONFIG, else ~/.kube/config. err names the file and what is
 * wrong with it. */
MUST_USE int kubeconfig_read(struct kubeconfig *config, const char *path, struct err *err);
void kubeconfig_deinit(struct kubeconfig *config);
/* "https://host:port"; the caller frees. */
char *kubeconfig_url(const struct kubeconfig *config);

#endif
