/* validate.h - is an object, or a change of one, allowed? Errors are collected as causes. */
#ifndef ORCHESTRATOR_OBJECTS_VALIDATE_H
#define ORCHESTRATOR_OBJECTS_VALIDATE_H

#include "orchestrator/objects/kinds.h"
#include "orchestrator/objects/schema.h"

/* A new or changed object, after defaulting. NULL, or 422 with all causes. */
MUST_USE json_t *validate_object(const json_t *object, const struct kind *kind);
/* What may not change. Both have passed defaulting. NULL, or 422. */
MUST_USE json_t *validate_update(const json_t *object, const json_t *old, const struct kind *kind);

/* The parts, for the modules of validation. Fields are paths as users write them. */
void validate_metadata(const json_t *object, const struct kind *kind, struct causes *causes);
/* Required fields and allowed values from the field tables. */
void validate_fields(const json_t *value, const struct schema *schema, const char *field,
                     struct causes *causes);
void validate_pod_spec(const json_t *spec, const char *field, struct causes *causes);
void validate_container(const json_t *container, const char *field, struct causes *causes);
void validate_kind(const json_t *object, const struct kind *kind, struct causes *causes);
void validate_not_negative(const json_t *object, const char *path, struct causes *causes);
void validate_port(const json_t *value, const char *field, struct causes *causes);
bool validate_is_ipv4(const char *text);

#endif
