/* conform.h - does a document have the shape of its type? */
#ifndef ORCHESTRATOR_OBJECTS_CONFORM_H
#define ORCHESTRATOR_OBJECTS_CONFORM_H

#include "orchestrator/objects/kinds.h"
#include "orchestrator/objects/schema.h"

enum field_validation { FIELD_VALIDATION_IGNORE, FIELD_VALIDATION_WARN, FIELD_VALIDATION_STRICT };

enum { CONFORM_DEPTH_MAX = 64 };

/* Bring object into the form in which Kubernetes would write it: unknown fields, nulls and empty
 * optional values are dropped. What was unknown is told to unknown (a list of texts such as
 * `unknown field "spec.foo"`). A value of a wrong type is a 400. */
MUST_USE json_t *conform_object(json_t *object, const struct kind *kind, json_t *unknown);

#endif
