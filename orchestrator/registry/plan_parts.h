/* plan_parts.h - the steps of plan.h, for the files of this folder. */
#ifndef ORCHESTRATOR_REGISTRY_PLAN_PARTS_H
#define ORCHESTRATOR_REGISTRY_PLAN_PARTS_H

#include "orchestrator/registry/plan.h"

struct status_subject request_subject(const struct request *request);

/* The body as a fresh object of the request's kind, conformed; warnings about unknown fields go to
 * plan. */
MUST_USE json_t *plan_decode(const struct request *request, const json_t *body, struct plan *plan,
                             json_t **ret_object);

/* Make object (owned by the caller, changed in place) ready to be stored for the first time. */
MUST_USE json_t *plan_prepare_create(const struct request *request, json_t *object,
                                     const struct plan_env *env, struct plan *plan);
/* The same for the next state of old. */
MUST_USE json_t *plan_prepare_update(const struct request *request, json_t *object,
                                     const json_t *old, const struct plan_env *env,
                                     struct plan *plan);
/* Decide between PUT, REMOVE (the last finalizer went) and NOTHING (no difference). */
void plan_finish_update(struct plan *plan, json_t *take_object, const json_t *old);

MUST_USE json_t *plan_patched(const struct request *request, const json_t *current,
                              json_t **ret_object);

MUST_USE json_t *plan_delete(const struct request *request, const json_t *current,
                             const struct plan_env *env, struct plan *plan);
MUST_USE json_t *plan_subresource(const struct request *request, const json_t *current,
                                  const struct plan_env *env, struct plan *plan);
MUST_USE json_t *plan_apply(const struct request *request, const json_t *current,
                            const struct plan_env *env, struct plan *plan);

/* Note in metadata.managedFields that the request's manager owns what differs from old (NULL for a
 * create), and that nobody owns what is gone. */
void plan_track_update(const struct request *request, json_t *object, const json_t *old,
                       int64_t now_ms);

/* Policies at the gate, for objects that are about to be stored. */
MUST_USE json_t *admit_create(const struct request *request, json_t *object,
                              const struct plan_env *env);
MUST_USE json_t *admit_delete(const struct request *request, const json_t *current);
/* LimitRanger: defaults and bounds for a new pod or claim. */
MUST_USE json_t *admit_limits(const struct request *request, json_t *object,
                              const struct plan_env *env);
/* ResourceQuota: would the namespace exceed one? */
MUST_USE json_t *admit_quota(const struct request *request, const json_t *object,
                             const struct plan_env *env);

/* What a resource quota counts for one object: a map of resource names to quantities; new. */
json_t *quota_usage_of(const struct kind *kind, const json_t *object);
/* The use of all objects in a namespace that the quota applies to, of the names in spec.hard; new.
 */
json_t *quota_usage(const struct cache *cache, const char *namespace, const json_t *quota);
bool quota_applies(const json_t *quota, const json_t *object, const struct kind *kind);

/* Cluster addresses and node ports of services. old is NULL for a create. */
MUST_USE json_t *service_allocate(json_t *service, const json_t *old, const struct plan_env *env,
                                  struct plan *plan);
/* What the service holds, to be released with it. */
void service_release(const json_t *service, struct plan *plan);

/* Between versions of a kind that are stored as one. New objects. */
json_t *convert_to_stored(const json_t *object, const struct kind *kind);
json_t *convert_from_stored(const json_t *object, const struct kind *kind);

/* Kinds with a desired number of replicas: an autoscaling/v1 Scale; new. */
json_t *scale_from_object(const json_t *object, const struct kind *kind);
void scale_to_object(const json_t *scale, json_t *object, const struct kind *kind);

/* Guaranteed, Burstable or BestEffort. */
const char *pod_qos_class(const json_t *pod_spec);

#endif
