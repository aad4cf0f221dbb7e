/* discovery.h - finding the members of a new cluster before it exists.
 *
 * By a running store (--discovery-endpoints, --discovery-token): each member writes its name and
 * URLs below the token and waits until as many are there as the size key says. The first ones by
 * creation are the cluster; who comes later is refused. The keys are etcd's, so either kind of
 * store serves:
 *
 *     /_etcd/registry/TOKEN/_config/size      how many
 *     /_etcd/registry/TOKEN/members/ID        name=URL[,name=URL]; ID in hex
 *
 * By DNS (--discovery-srv): SRV records _etcd-server-ssl._tcp.DOMAIN and _etcd-server._tcp.DOMAIN,
 * the record with our own address is us. Sources: etcd's v3discovery and pkg/srv; RFC 2782. */
#ifndef KVSTORE_SERVER_DISCOVERY_H
#define KVSTORE_SERVER_DISCOVERY_H

#include "kvstore/server/config.h"
#include "proto/wire_loop.h"

enum { DISCOVERY_RETRY_MS = 1000 };

/* Is it asked for? */
bool discovery_is_wanted(const struct config *config);
/* Sets the members of config, and the token that identifies them. Runs the loop of wire until all
 * members are there, however long that takes; a store that cannot be reached is asked again.
 * ERR_INVALID: bad size key or member; ERR_NOT_FOUND: no size key, no SRV record; ERR_TOO_LARGE:
 * the cluster is full.
 */
MUST_USE int discovery_run(struct config *config, struct wire_loop *wire, struct err *err);

/* discovery_srv.c: the value for --initial-cluster, in config's arena. Blocks in the resolver. */
MUST_USE int discovery_srv_cluster(struct config *config, const char **ret_text, struct err *err);

#endif
