/* revision.h - ControllerRevisions: the templates a DaemonSet or StatefulSet has had. */
#ifndef ORCHESTRATOR_CONTROLLERS_REVISION_H
#define ORCHESTRATOR_CONTROLLERS_REVISION_H

#include "orchestrator/controllers/controller.h"

enum { REVISION_HASH_SIZE = 16 };

/* The hash of the owner's template, as pods carry it in controller-revision-hash. */
const char *revision_hash(const json_t *owner, char text[REVISION_HASH_SIZE]);
/* Make the revision of the current template where it is missing, renumber it when the template went
 * back to an old one, and delete old ones beyond spec.revisionHistoryLimit. live is a list of
 * hashes that pods still have. */
void revision_sync(const struct reconcile *in, const json_t *owner, const json_t *live,
                   struct actions *out);
/* The template of the revision with this hash; NULL when it is gone. Borrowed. */
const json_t *revision_template(const struct reconcile *in, const json_t *owner, const char *hash);

#endif
