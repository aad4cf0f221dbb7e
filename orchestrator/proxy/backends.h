/* backends.h - who stands behind each port of a service, as EndpointSlices say. Pure. */
#ifndef ORCHESTRATOR_PROXY_BACKENDS_H
#define ORCHESTRATOR_PROXY_BACKENDS_H

#include "base/map.h"
#include "orchestrator/cache/cache.h"

/* The EndpointSlices of each service. */
struct slice_index {
    struct bytes_map lists; /* "namespace/service" -> json_t list of slices, owned */
};

void slice_index_init(struct slice_index *index, const struct cache *cache);
void slice_index_deinit(struct slice_index *index);
/* Borrowed; NULL when there are none. */
const json_t *slice_index_find(const struct slice_index *index, const char *namespace,
                               const char *service);

struct backend {
    char address[16]; /* IPv4 as text */
    uint16_t port;
    bool is_local; /* on this node */
    bool is_ready;
    bool may_serve_last; /* it is ending and still answers: better than nobody */
};

struct backends {
    struct backend *items; /* sorted by address and port, each once */
    size_t count;
    size_t capacity;
};

/* Behind the service's port of this name, on all nodes; node_name says which are local. */
void backends_collect(struct backends *backends, const json_t *slices, const char *port_name,
                      const char *protocol, const char *node_name);
void backends_deinit(struct backends *backends);
static inline void cleanup_backends(struct backends *backends)
{
    backends_deinit(backends);
}
/* Those that get traffic: the ready ones, or, when there are none, the ending ones that still
 * serve (KEP-1669). only_local: of this node. */
void backends_choose(const struct backends *all, bool only_local, struct backends *chosen);

/* True for four numbers below 256 with dots, and nothing else: what may go into a rule. */
bool backend_is_address(const char *text);

#endif
