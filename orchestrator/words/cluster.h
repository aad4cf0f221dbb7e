/* cluster.h - an API server as a command line sees it: one request after the other. */
#ifndef ORCHESTRATOR_WORDS_CLUSTER_H
#define ORCHESTRATOR_WORDS_CLUSTER_H

#include <jansson.h>
#include <sys/types.h>

#include "base/buf.h"
#include "orchestrator/objects/kinds.h"
#include "orchestrator/remote/kubeconfig.h"

enum { CLUSTER_CONNECT_S = 10, CLUSTER_ANSWER_SIZE_MAX = 512 * 1024 * 1024 };

struct cluster {
    struct kubeconfig config;
    void *curl; /* CURL *, kept so that one connection serves a whole command */
    struct kinds kinds;
    bool has_custom_kinds;
};

/* path NULL: where kubectl looks. */
MUST_USE int cluster_open(struct cluster *cluster, const char *kubeconfig_path, struct err *err);
void cluster_close(struct cluster *cluster);
static inline void cleanup_cluster(struct cluster *cluster)
{
    cluster_close(cluster);
}

struct cluster_call {
    const char *method;
    const char *path;
    const char *content_type; /* NULL: application/json when there is a body */
    const json_t *body;       /* NULL: none */
    bool wants_table;         /* rows for people instead of objects */
};

/* *ret_code is HTTP's. *ret_body is new, NULL when the answer is not JSON. 0 for codes below 300;
 * otherwise err has the message of the answer's Status: ERR_NOT_FOUND (404), ERR_EXISTS (409),
 * ERR_BUSY (429), ERR_DENIED (401, 403), ERR_INVALID (other 4xx), ERR_IO. ret_body and ret_code may
 * be NULL. */
MUST_USE int cluster_ask(struct cluster *cluster, const struct cluster_call *call, long *ret_code,
                         json_t **ret_body, struct err *err);
/* GET of one path. */
MUST_USE int cluster_get(struct cluster *cluster, const char *path, json_t **ret_body,
                         struct err *err);

/* Bytes of an answer as they come; false ends it. */
typedef bool cluster_bytes(void *context, struct bytes data);
MUST_USE int cluster_stream(struct cluster *cluster, const char *path, cluster_bytes *on_bytes,
                            void *context, struct err *err);

/* A bare connection (with TLS) to the server, for protocols on top of HTTP/1.1. It takes the place
 * of the one that requests use. *ret_socket is for poll(2), and borrowed. */
MUST_USE int cluster_connect(struct cluster *cluster, int *ret_socket, struct err *err);
/* Bytes sent or received; 0 none now; ERR_CLOSED at the end of the stream; ERR_IO. */
ssize_t cluster_send(struct cluster *cluster, const void *data, size_t size);
ssize_t cluster_receive(struct cluster *cluster, void *data, size_t size);

#endif
