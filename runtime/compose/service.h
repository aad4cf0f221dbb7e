/* service.h - from a service in normal form to what `kvctl run` takes. Pure. */
#ifndef RUNTIME_COMPOSE_SERVICE_H
#define RUNTIME_COMPOSE_SERVICE_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "runtime/words/run_options.h"

enum { SERVICE_SCALE_MAX = 1000 };

/* deploy.replicas or scale; 1. */
int service_scale(const json_t *service);

/* One container of a service. Everything lives in the arena or belongs to the project. */
struct service_container {
    struct run_options options;
    const char *image;
    const char **command;
    size_t command_size;
    json_t *config_patch; /* Entrypoint, Healthcheck */
    json_t *host_patch;   /* Networks */
};

struct service_input {
    const json_t *project; /* the document */
    const char *name;
    const json_t *service;
    int number;       /* from 1; 0: a one-off of `run`, -1: one that publishes ports, too */
    const char *hash; /* label config-hash */
    const char *config_files;
    const char *directory;
    const char *container_name; /* NULL: <project>-<service>-<number> */
    /* "container:ID" for network_mode, pid, ipc of service:NAME; NULL: none. */
    const char *network_mode, *pid, *ipc;
    const char *secrets_directory; /* where files of secrets and configs lie: <this>/<n> */
};

void service_translate(const struct service_input *input, struct arena *arena,
                       struct service_container *ret);
void service_container_deinit(struct service_container *container);

/* What a container depends on, as one text: its hash tells whether `up` has to make a new one. */
json_t *service_fingerprint(const json_t *project, const char *name, const json_t *service);
/* The image that a service runs: `image`, or the name of what is built. */
const char *service_image(const json_t *service);
/* The name of a container; in the arena. */
const char *service_container_name(const json_t *project, const char *name, const json_t *service,
                                   int number, struct arena *arena);

#define LABEL_PREFIX "com.docker.compose."

#endif
