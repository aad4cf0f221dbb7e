/* volumes.h - named volumes, <root>/volumes/<name>/_data, and the mounts of a container. */
#ifndef RUNTIME_WORDS_VOLUMES_H
#define RUNTIME_WORDS_VOLUMES_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/image/store.h"
#include "runtime/words/container.h"

/* Turn HostConfig.Mounts and the image's Volumes into mounts of the specification
 * (*ret_spec, for spec.h) and of docker inspect (*ret_points: Type Name Source Destination RW).
 * Makes volumes, fills new ones with what the image has there, makes missing sources of -v. */
MUST_USE int volumes_resolve(const struct store *store, const struct container *container,
                             int root_fd, json_t **ret_spec, json_t **ret_points, struct err *err);
/* Remove the volumes of a container that have no name of their own. */
void volumes_remove_anonymous(const struct store *store, const struct container *container);

#endif
