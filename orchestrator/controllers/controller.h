/* controller.h - what a controller is: two pure functions over the cache.
 *
 * wake says which keys of its own a change concerns; reconcile looks at the cluster as it is and
 * asks for what brings it closer to what a key wants. Level-triggered: a lost event costs only
 * time, and reconciling twice does no harm. controllers/runtime.h runs them; tests and the
 * simulator run them by hand. */
#ifndef ORCHESTRATOR_CONTROLLERS_CONTROLLER_H
#define ORCHESTRATOR_CONTROLLERS_CONTROLLER_H

#include "base/prng.h"
#include "orchestrator/cache/cache.h"
#include "orchestrator/objects/kinds.h"
#include "orchestrator/objects/tree.h"

struct controller_settings {
    const char *root_ca;       /* PEM that pods trust the API by; "" for none */
    uint32_t service_ip_first; /* of the API's own service, host byte order */
    uint32_t pod_cidr_first;   /* host byte order: 10.244.0.0 */
    uint32_t pod_cidr_count;   /* /24 ranges from there */
    int64_t node_grace_ms;     /* a node that says nothing for so long is unknown: 40 s */
};

/* What reconcile sees. key is "namespace/name" or "name", as wake made it. */
struct reconcile {
    const struct cache *cache;
    const struct kinds *kinds;
    const struct controller_settings *settings;
    const char *namespace;
    const char *name;
    int64_t now_ms; /* since 1970, UTC */
    struct prng *prng;
};

enum action_type {
    ACTION_CREATE = 1,
    ACTION_UPDATE,        /* the whole object; fails when it changed since */
    ACTION_UPDATE_STATUS, /* the same of its status */
    ACTION_PATCH,         /* a merge patch */
    ACTION_PATCH_STATUS,
    ACTION_DELETE,
    ACTION_FINALIZE, /* a namespace */
    ACTION_BIND,     /* a pod to a node */
};

struct action {
    enum action_type type;
    const struct kind *kind;
    char *namespace;
    char *name;   /* "" for a create */
    json_t *body; /* object, patch, DeleteOptions or Binding */
};

/* What reconcile wants, in the order in which it is to be done. */
struct actions {
    struct action *items;
    size_t count;
    size_t capacity;
    int64_t requeue_ms; /* look again after this; 0: only when something changes */
};

void actions_init(struct actions *actions);
void actions_deinit(struct actions *actions);
static inline void cleanup_actions(struct actions *actions)
{
    actions_deinit(actions);
}

void actions_create(struct actions *actions, const struct kind *kind, json_t *take_object);
void actions_update(struct actions *actions, const struct kind *kind, json_t *take_object);
/* Only when status differs from what current has. */
void actions_set_status(struct actions *actions, const struct kind *kind, const json_t *current,
                        json_t *take_status);
void actions_patch(struct actions *actions, const struct kind *kind, const json_t *object,
                   json_t *take_patch);
void actions_patch_status(struct actions *actions, const struct kind *kind, const json_t *object,
                          json_t *take_patch);
/* With a precondition on its uid. policy NULL: the kind's default. */
void actions_delete(struct actions *actions, const struct kind *kind, const json_t *object,
                    const char *policy);
/* At once, without grace. */
void actions_delete_now(struct actions *actions, const struct kind *kind, const json_t *object);
void actions_finalize(struct actions *actions, const json_t *namespace);
void actions_bind(struct actions *actions, const json_t *pod, const char *node);
/* An Event about object. type is Normal or Warning. */
__attribute__((format(printf, 6, 7))) void
actions_event(struct actions *actions, const struct reconcile *in, const json_t *object,
              const char *type, const char *reason, const char *format, ...);
/* Takes what the action owns. */
void actions_append(struct actions *actions, struct action *take_action);
/* The earliest wish counts. delay_ms <= 0: at once. */
void actions_requeue(struct actions *actions, int64_t delay_ms);

/* Keys to reconcile, from wake. */
struct wakeups {
    void (*add)(void *context, const char *namespace, const char *name);
    void *context;
};
static inline void wake_key(const struct wakeups *wakeups, const char *namespace, const char *name)
{
    wakeups->add(wakeups->context, namespace, name);
}
static inline void wake_object(const struct wakeups *wakeups, const json_t *object)
{
    wake_key(wakeups, object_namespace(object), object_name(object));
}
/* The controller of the object, if it is of this kind. */
void wake_controller_of(const struct wakeups *wakeups, const json_t *object, const char *kind);

struct controller {
    const char *name; /* of events, users and logs: "deployment-controller" */
    /* What keys name; each is reconciled at the start and after a new listing. "": every object
     * that has owners; NULL: the one key "cluster". */
    const char *storage;
    void (*wake)(const struct cache *cache, const char *storage, const struct cache_event *event,
                 const struct wakeups *wakeups);
    void (*reconcile)(const struct reconcile *in, struct actions *out);
};

/* All controllers; ends with NULL. */
extern const struct controller *const controllers_all[];

/* The kind in which a resource is stored. Never NULL for a built-in one. */
const struct kind *controller_kind(const char *storage);

#endif
