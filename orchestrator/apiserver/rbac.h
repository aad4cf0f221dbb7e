/* rbac.h - may somebody do something? Roles and bindings from the cache. Pure. */
#ifndef ORCHESTRATOR_APISERVER_RBAC_H
#define ORCHESTRATOR_APISERVER_RBAC_H

#include "orchestrator/cache/cache.h"
#include "orchestrator/registry/plan.h"

/* What is asked for: a resource, or a path. Texts are never NULL. */
struct rbac_question {
    const struct request_user *user;
    const char *verb;
    const char *path; /* not "": it is about this path, the rest is not looked at */
    const char *group;
    const char *resource;
    const char *subresource;
    const char *namespace; /* "": cluster-wide */
    const char *name;      /* "": any */
};

bool rbac_allows(const struct cache *cache, const struct rbac_question *question);
/* All rules of a user in a namespace: {"resourceRules","nonResourceRules"} as
 * SelfSubjectRulesReview shows them; new. */
json_t *rbac_rules(const struct cache *cache, const struct request_user *user,
                   const char *namespace);

#endif
