/* objects.h - the few objects that the pods of this node refer to, each watched by name. */
#ifndef ORCHESTRATOR_AGENT_OBJECTS_H
#define ORCHESTRATOR_AGENT_OBJECTS_H

#include "orchestrator/agent/api.h"

struct objects;

/* on_change: an object came, changed or went (namespace "" for cluster-wide ones). */
struct objects *objects_new(struct api *api,
                            void (*on_change)(void *context, const char *resource,
                                              const char *namespace, const char *name),
                            void *context);
void objects_free(struct objects *objects);

/* An object; json_null() when there is none; NULL while it is being read, which begins now. */
const json_t *objects_find(struct objects *objects, const char *resource, const char *namespace,
                           const char *name);

/* Forget what nobody needs: mark what is needed between these two. */
void objects_begin_marks(struct objects *objects);
void objects_mark(struct objects *objects, const char *resource, const char *namespace,
                  const char *name);
void objects_sweep(struct objects *objects);

#endif
