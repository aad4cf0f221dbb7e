/* status_patch.h - what the API must be told so that it has this status. Pure. */
#ifndef ORCHESTRATOR_AGENT_STATUS_PATCH_H
#define ORCHESTRATOR_AGENT_STATUS_PATCH_H

#include <jansson.h>

/* A merge patch that makes before into after, for the fields of one level; new, {} when nothing is
 * to be told. null and {} are as good as absent: the API leaves them out. */
json_t *status_patch_make(const json_t *before, const json_t *after);

#endif
