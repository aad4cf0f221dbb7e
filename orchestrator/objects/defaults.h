/* defaults.h - what Kubernetes fills in where a manifest says nothing (kubernetes-api 2.6). */
#ifndef ORCHESTRATOR_OBJECTS_DEFAULTS_H
#define ORCHESTRATOR_OBJECTS_DEFAULTS_H

#include "orchestrator/objects/kinds.h"
#include "orchestrator/objects/schema.h"

/* Fill the defaults of the field tables into object. A field that is an object, not a pointer to
 * one, gets the defaults of its own fields even where it is absent, as in Go. */
void defaults_fill(json_t *object, const struct schema *schema);
/* The same, and those defaults that depend on other fields, for a whole object. Idempotent. */
void defaults_apply(json_t *object, const struct kind *kind);
/* For a template inside of something that is no kind: pod.spec. */
void defaults_apply_pod_spec(json_t *spec);

#endif
