/* patch.h - the ways to change an object: JSON patch (RFC 6902), merge patch (RFC 7396) and
 * Kubernetes' strategic merge patch. Server-side apply is in apply.h.
 *
 * Each returns a new document and leaves its inputs alone; a refusal is a Status. */
#ifndef ORCHESTRATOR_OBJECTS_PATCH_H
#define ORCHESTRATOR_OBJECTS_PATCH_H

#include "orchestrator/objects/schema.h"
#include "orchestrator/objects/status.h"

enum { PATCH_OPERATIONS_MAX = 10000 };

/* NULL and *ret_result, or 400 for a malformed patch and 422 for one that does not apply. */
MUST_USE json_t *patch_json(const json_t *document, const json_t *operations, json_t **ret_result);
/* Cannot fail. */
json_t *patch_merge(const json_t *document, const json_t *patch);
/* By the merge keys in the field tables; schema may be NULL (then lists are replaced). Directives:
 * $patch, $deleteFromPrimitiveList, $setElementOrder, $retainKeys. */
MUST_USE json_t *patch_strategic(const json_t *document, const json_t *patch,
                                 const struct schema *schema, json_t **ret_result);

#endif
