/* discovery.h - documents that say what this API serves. Pure; all are new. */
#ifndef ORCHESTRATOR_APISERVER_DISCOVERY_H
#define ORCHESTRATOR_APISERVER_DISCOVERY_H

#include "orchestrator/objects/kinds.h"

#define DISCOVERY_GIT_VERSION "v1.32.5+coracle"

/* apidiscovery.k8s.io/<version> APIGroupDiscoveryList of /api (is_core) or /apis. */
json_t *discovery_aggregated(const struct kinds *kinds, bool is_core, const char *version);
json_t *discovery_versions(void);                                      /* /api */
json_t *discovery_groups(const struct kinds *kinds);                   /* /apis */
json_t *discovery_group(const struct kinds *kinds, const char *group); /* NULL: not served */
json_t *discovery_resources(const struct kinds *kinds, const char *group,
                            const char *version); /* NULL: not served */
json_t *discovery_version(void);                  /* /version */

/* OpenAPI v3: the index, and the document of a group's version; NULL: not served. */
json_t *openapi_index(const struct kinds *kinds);
json_t *openapi_document(const struct kinds *kinds, const char *group, const char *version);

#endif
