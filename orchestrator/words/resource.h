/* resource.h - KIND/NAME as people write it: "deploy/web", "pods", "deployment.apps/web". */
#ifndef ORCHESTRATOR_WORDS_RESOURCE_H
#define ORCHESTRATOR_WORDS_RESOURCE_H

#include "orchestrator/words/cluster.h"

struct resource {
    const struct kind *kind;
    const char *name; /* "" for all of them; borrowed from the text */
};

/* By plural, singular, kind or short name, in any case, with ".group" or not; kinds of
 * CustomResourceDefinitions are asked for when no other fits. ERR_NOT_FOUND. */
MUST_USE int resource_find_kind(struct cluster *cluster, const char *text,
                                const struct kind **ret_kind, struct err *err);
MUST_USE int resource_parse(struct cluster *cluster, const char *text, struct resource *ret,
                            struct err *err);
/* As resource_parse, of one object: ERR_INVALID where the text names none. */
MUST_USE int resource_parse_named(struct cluster *cluster, const char *text, struct resource *ret,
                                  struct err *err);
/* The kind of an object, by apiVersion and kind. ERR_NOT_FOUND. */
MUST_USE int resource_of_object(struct cluster *cluster, const json_t *object, struct resource *ret,
                                struct err *err);

/* The path of the API; namespace "" is all of them. name "" is the collection; subresource may be
 * "". The caller frees. */
char *resource_path(const struct kind *kind, const char *namespace, const char *name,
                    const char *subresource);
/* "deployment.apps/web"; the caller frees. */
char *resource_title(const struct kind *kind, const char *name);

#endif
