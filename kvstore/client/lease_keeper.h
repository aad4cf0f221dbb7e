/* lease_keeper.h - keeps a lease alive: renews it at a third of its time to live, on one stream for
 * all leases of a client, on whatever endpoint is healthy. */
#ifndef KVSTORE_CLIENT_LEASE_KEEPER_H
#define KVSTORE_CLIENT_LEASE_KEEPER_H

#include "kvstore/client/client.h"

struct lease_keeper;

/* Each renewal with the server's response; then once, last, with response NULL when the lease is
 * gone: the server does not know it, or its time ran out without an answer. May close the keeper.
 */
typedef void lease_keeper_notify(void *context,
                                 const Etcdserverpb__LeaseKeepAliveResponse *response);

/* The first renewal is sent at once. ttl_s: what the grant returned; 0 if unknown (then 5 s is
 * assumed until the first answer). */
struct lease_keeper *lease_keeper_open(struct kv_client *client, int64_t lease, int64_t ttl_s,
                                       lease_keeper_notify *notify, void *context);
void lease_keeper_close(struct lease_keeper *keeper);

#endif
