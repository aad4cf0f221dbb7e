/* plan.h - what has to be done so that the containers of a service are what they should be. Pure.
 */
#ifndef RUNTIME_COMPOSE_PLAN_H
#define RUNTIME_COMPOSE_PLAN_H

#include <jansson.h>
#include <stdbool.h>

enum plan_action {
    PLAN_KEEP,     /* runs as it should */
    PLAN_START,    /* is as it should be, and does not run */
    PLAN_CREATE,   /* is missing */
    PLAN_RECREATE, /* is of an older configuration or image */
    PLAN_REMOVE,   /* is one too many */
};

const char *plan_action_text(enum plan_action action);

struct plan_options {
    bool is_forced; /* --force-recreate */
    bool keeps_old; /* --no-recreate */
    bool starts;    /* false: `create`, containers are made and not started */
};

struct plan_service {
    const char *name;
    int scale;
    const char *hash;  /* of its configuration */
    const char *image; /* its id; "" when it is not known */
};

/* existing: the project's containers as snapshot.h has them. A list of {"Action": enum plan_action,
 * "Number", "Container": the existing one, or absent}, in the order of numbers; removals last. The
 * caller owns it. */
json_t *plan_make(const struct plan_service *service, const json_t *existing,
                  const struct plan_options *options);

/* Containers of services that the project does not have. The caller owns the list. */
json_t *plan_orphans(const json_t *services, const json_t *services_off, const json_t *existing);

#endif
