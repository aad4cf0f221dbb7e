/* kubernetes.h - a project as objects of a cluster: Deployments, Services, ConfigMaps, Secrets,
 * PersistentVolumeClaims, Jobs, DaemonSets. Pure but for the reader that is given.
 *
 * A service becomes a Deployment (deploy.mode global: a DaemonSet; restart "no" or on-failure: a
 * Job) and a Service of its name, so that services find each other by the names they have in
 * Compose. Named volumes become claims, binds hostPath volumes, tmpfs memory. */
#ifndef RUNTIME_COMPOSE_KUBERNETES_H
#define RUNTIME_COMPOSE_KUBERNETES_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

struct kubernetes_input {
    const json_t *project; /* in normal form */
    const json_t *environment;
    const char *namespace; /* NULL: the objects name none */
    int (*read_file)(void *context, const char *path, struct buf *out, struct err *err);
    void *context;
};

/* A list of objects, in the order in which they can be created. The caller owns it. ERR_INVALID
 * names the service and key. */
MUST_USE int kubernetes_convert(const struct kubernetes_input *input, json_t **ret,
                                struct err *err);

/* ---- internal ---- */

/* The pod's specification of one service: kubernetes_pod.c. */
MUST_USE int kubernetes_pod(const struct kubernetes_input *input, const char *name,
                            const json_t *service, json_t **ret, struct err *err);
/* "My_web" to "my-web"; out: 64. */
void kubernetes_name(const char *text, char *out);
/* "64m" of Compose to "64Mi". The caller owns it. */
json_t *kubernetes_size(const char *text);

#endif
