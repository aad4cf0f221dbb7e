/* route.h - what a path and its query ask for. Pure. */
#ifndef ORCHESTRATOR_APISERVER_ROUTE_H
#define ORCHESTRATOR_APISERVER_ROUTE_H

#include "base/bytes.h"
#include "orchestrator/objects/kinds.h"

enum route_type {
    ROUTE_UNKNOWN = 0,
    ROUTE_RESOURCE,      /* objects: kind, namespace, name, subresource */
    ROUTE_API_VERSIONS,  /* /api */
    ROUTE_API_GROUPS,    /* /apis */
    ROUTE_API_GROUP,     /* /apis/G */
    ROUTE_API_RESOURCES, /* /api/v1, /apis/G/V */
    ROUTE_OPENAPI_INDEX, /* /openapi/v3 */
    ROUTE_OPENAPI,       /* /openapi/v3/api/v1, /openapi/v3/apis/G/V */
    ROUTE_VERSION,
    ROUTE_HEALTH, /* /healthz /livez /readyz and below */
    ROUTE_METRICS,
    ROUTE_UI,       /* /ui, /ui/FILE: name is the file */
    ROUTE_UI_STORE, /* /ui/store: the members of the store */
};

enum { ROUTE_PATH_SIZE_MAX = 4096, ROUTE_QUERY_COUNT_MAX = 256 };

struct route {
    enum route_type type;
    const struct kind *kind;
    char *group; /* owned, as all texts here; "" where there is none */
    char *version;
    char *namespace;
    char *name;
    char *subresource;
    char *rest;    /* what follows the subresource: /proxy/a/b */
    json_t *query; /* owned: name to list of texts */
};

/* target is path and query as they came. Never fails: what it cannot read is ROUTE_UNKNOWN. */
void route_parse(struct route *route, struct bytes target, const struct kinds *kinds);
void route_deinit(struct route *route);

/* First value of a query parameter; NULL when absent. */
const char *route_query(const struct route *route, const char *name);
bool route_query_bool(const struct route *route, const char *name);
/* fallback when absent or not a number. */
int64_t route_query_int(const struct route *route, const char *name, int64_t fallback);

#endif
