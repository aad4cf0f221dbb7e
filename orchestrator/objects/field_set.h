/* field_set.h - which fields of an object somebody owns, in the form of managedFields' FieldsV1.
 *
 * A set is a JSON object: "f:name" for a field or a map key, `k:{"name":"web"}` for an item of a
 * list with keys, `v:"x"` for an item of a set; a leaf is {}, and "." in an inner node says that
 * the node itself is owned, too. Where no type is known, maps are granular and lists are one value.
 */
#ifndef ORCHESTRATOR_OBJECTS_FIELD_SET_H
#define ORCHESTRATOR_OBJECTS_FIELD_SET_H

#include "orchestrator/objects/schema.h"
#include "orchestrator/objects/tree.h"

/* All of these return new sets. schema may be NULL. */
json_t *field_set_of(const json_t *object, const struct schema *schema);
/* What is in value and was not, or was different, in old (may be NULL). */
json_t *field_set_changed(const json_t *old, const json_t *value, const struct schema *schema);
json_t *field_set_union(const json_t *a, const json_t *b);
json_t *field_set_intersection(const json_t *a, const json_t *b);
json_t *field_set_difference(const json_t *a, const json_t *b);
bool field_set_is_empty(const json_t *set);
/* Append the paths as people read them (.spec.containers[name="web"].image) to list. */
void field_set_append_paths(const json_t *set, json_t *list);

/* A new object: live with everything that applied says. */
json_t *field_merge(const json_t *live, const json_t *applied, const struct schema *schema);
/* Remove the fields of the set from object. */
void field_remove(json_t *object, const json_t *set, const struct schema *schema);

#endif
