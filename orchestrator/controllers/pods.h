/* pods.h - what the controllers that make pods have in common. */
#ifndef ORCHESTRATOR_CONTROLLERS_PODS_H
#define ORCHESTRATOR_CONTROLLERS_PODS_H

#include "orchestrator/controllers/controller.h"

bool pod_is_finished(const json_t *pod); /* phase Succeeded or Failed */
bool pod_is_active(const json_t *pod);   /* neither finished nor going away */
bool pod_is_ready(const json_t *pod);
/* Ready for at least min_ready_s. *ret_wait_ms (may be NULL) is what is missing, else untouched. */
bool pod_is_available(const json_t *pod, int64_t min_ready_s, int64_t now_ms, int64_t *ret_wait_ms);

/* A list of borrowed objects that grows. */
struct object_list {
    const json_t **items;
    size_t count;
    size_t capacity;
};
void object_list_add(struct object_list *list, const json_t *object);
/* compare gets pointers to pointers to objects, as qsort gives them. */
void object_list_sort(struct object_list *list, int (*compare)(const void *a, const void *b));
void object_list_deinit(struct object_list *list);
static inline void cleanup_object_list(struct object_list *list)
{
    object_list_deinit(list);
}

/* Which objects of storage belong to owner: those it controls, and orphans that its selector (an
 * object, or a plain map) matches, which it adopts. What it controls but no longer selects is
 * released. Adopting and releasing are asked for in out. */
void owned_objects(const struct reconcile *in, const json_t *owner, const char *storage,
                   struct object_list *ret, struct actions *out);

/* A pod from a template: labels, annotations and spec are copied, the owner is its controller.
 * generateName is the owner's name and a dash; set a name to override. */
json_t *pod_from_template(const json_t *owner, const json_t *template);
json_t *owner_reference(const json_t *owner);

/* A count or a percentage of total. */
int64_t scaled_value(const json_t *value, int64_t total, bool rounds_up, int64_t fallback);

/* The hash of a value, independent of the order of fields. */
uint64_t object_hash(const json_t *value);

/* Set a condition in a list: lastTransitionTime changes with the status only. True if it differs.
 */
bool condition_set(json_t *conditions, const char *type, const char *status, const char *reason,
                   const char *message, int64_t now_ms);

#endif
