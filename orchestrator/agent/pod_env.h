/* pod_env.h - the environment of a container, and $(NAME) in its words. Pure. */
#ifndef ORCHESTRATOR_AGENT_POD_ENV_H
#define ORCHESTRATOR_AGENT_POD_ENV_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "orchestrator/agent/pod_record.h"

/* Where referenced objects come from. find: an object, json_null() when the API has none of that
 * name, NULL when that is not known yet. Borrowed. */
struct object_source {
    const json_t *(*find)(void *context, const char *resource, const char *namespace,
                          const char *name);
    void *context;
};

struct pod_surroundings {
    struct object_source objects;
    const json_t *services; /* {"namespace/name": Service} */
    const char *node_name;
    const char *node_ip;
    const json_t *allocatable; /* of the node: {"cpu","memory"} */
};

/* {"NAME":"value"} in the order of definition; new. ERR_BUSY: a referenced object is not known yet;
 * ERR_NOT_FOUND, ERR_INVALID: what is wrong, as kubelet says it. */
MUST_USE int pod_env_make(const struct pod_record *record, const struct unit *unit,
                          const struct pod_surroundings *around, json_t **ret, struct err *err);

/* $(NAME) becomes its value, $$ a $; what is not defined stays as it is. Appended. */
void pod_env_expand(const char *text, const json_t *env, struct buf *out);

/* A field such as metadata.labels['a'] or status.podIP; false when there is no such field. The
 * caller frees *ret. */
bool pod_field(const struct pod_record *record, const struct pod_surroundings *around,
               const char *path, char **ret);
/* limits.cpu and the like of a container; ERR_INVALID. The caller frees. */
MUST_USE int pod_resource_field(const json_t *reference, const json_t *container,
                                const struct pod_surroundings *around, char **ret, struct err *err);

#endif
