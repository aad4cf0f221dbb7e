/* plan.h - what a write request does: the pure heart of the API.
 *
 * plan_write takes a request and the object as it is now, and says what the store should hold and
 * what the client is told; or it refuses with a Status. Validation, defaults, patches, admission,
 * generations, finalizers and subresources are all in here; nothing here waits, and time and
 * randomness come in. The registry (registry.h) runs it between a read and a transaction, and again
 * when somebody else was faster. */
#ifndef ORCHESTRATOR_REGISTRY_PLAN_H
#define ORCHESTRATOR_REGISTRY_PLAN_H

#include "base/prng.h"
#include "orchestrator/cache/cache.h"
#include "orchestrator/objects/conform.h"
#include "orchestrator/objects/kinds.h"

enum request_verb {
    REQUEST_GET = 1,
    REQUEST_LIST,
    REQUEST_WATCH,
    REQUEST_CREATE,
    REQUEST_UPDATE,
    REQUEST_PATCH, /* JSON, merge and strategic */
    REQUEST_APPLY, /* server-side */
    REQUEST_DELETE,
    REQUEST_DELETE_COLLECTION,
};

enum request_patch { REQUEST_PATCH_JSON = 1, REQUEST_PATCH_MERGE, REQUEST_PATCH_STRATEGIC };

/* Who asks. groups is a list of texts; both are borrowed. */
struct request_user {
    const char *name;
    const char *uid; /* "" for none */
    const json_t *groups;
};

/* Texts are never NULL. Borrowed by every function that takes a request. */
struct request {
    enum request_verb verb;
    enum request_patch patch;
    const struct kind *kind;
    const char *namespace;   /* "" for cluster-wide */
    const char *name;        /* "" for a create, a list, a watch */
    const char *subresource; /* "" for the object itself; else status, scale, binding, … */
    const json_t *body;      /* an object, a patch, or DeleteOptions; NULL for none */
    const char *field_manager;
    bool force;   /* REQUEST_APPLY: take fields over */
    bool dry_run; /* everything but the store */
    enum field_validation field_validation;
    struct request_user user;
};

/* The cluster's settings that objects depend on. */
struct plan_settings {
    uint32_t service_ip_first; /* host byte order; the first usable address: 10.96.0.1 */
    uint32_t service_ip_count; /* addresses from there */
    uint16_t node_port_first;  /* 30000 */
    uint16_t node_port_count;  /* 2768 */
};

struct plan_env {
    int64_t now_ms; /* since 1970, UTC */
    struct prng *prng;
    const struct cache *cache;
    const struct kinds *kinds;
    const struct plan_settings *settings;
};

enum plan_change { PLAN_NOTHING = 0, PLAN_PUT, PLAN_REMOVE };

struct plan {
    enum plan_change change;
    json_t *object;   /* owned: as it will be stored; for PLAN_REMOVE and PLAN_NOTHING as it is */
    json_t *answer;   /* owned: what the client gets instead of the object; NULL: the object */
    int code;         /* 200 or 201 */
    json_t *warnings; /* owned: list of texts; NULL for none */
    /* Keys that only one object may hold (cluster addresses, node ports): to be written in the same
     * transaction, which fails when a claimed key exists. Lists of texts; NULL for none. */
    json_t *claims;   /* owned */
    json_t *releases; /* owned */
    /* A second object that this one is about: {"storage","namespace","name","object"} to be put
     * when its revision is unchanged; NULL for none. */
    json_t *also; /* owned */
};

void plan_init(struct plan *plan);
void plan_deinit(struct plan *plan);
static inline void cleanup_plan(struct plan *plan)
{
    plan_deinit(plan);
}

/* current is the stored object with its resourceVersion, or NULL. */
MUST_USE json_t *plan_write(const struct request *request, const json_t *current,
                            const struct plan_env *env, struct plan *plan);

/* The name that a create with generateName gets is drawn anew with each call. After a collision of
 * such a name the registry plans again. */
bool plan_name_is_generated(const struct request *request);

#endif
