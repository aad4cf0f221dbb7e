/* structural.h - custom resources and the structural schemas of their definitions
 * (apiextensions.k8s.io/v1: JSONSchemaProps). */
#ifndef ORCHESTRATOR_OBJECTS_STRUCTURAL_H
#define ORCHESTRATOR_OBJECTS_STRUCTURAL_H

#include "orchestrator/objects/status.h"

enum { STRUCTURAL_DEPTH_MAX = 64 };

/* Drop what the schema does not know, except below x-kubernetes-preserve-unknown-fields; unknown
 * (a list, may be NULL) is told of it. At the root apiVersion, kind and metadata are always known.
 */
void structural_prune(json_t *object, const json_t *schema, json_t *unknown);
/* Fill in defaults where a field is absent (or null and not nullable). */
void structural_default(json_t *object, const json_t *schema);
/* Types, required fields, enums, bounds, lengths, patterns of items. */
void structural_validate(const json_t *object, const json_t *schema, struct causes *causes);

#endif
