/* store_kv.h - the store interface over the replicated store's client (or etcd, whose API it is).
 */
#ifndef ORCHESTRATOR_REGISTRY_STORE_KV_H
#define ORCHESTRATOR_REGISTRY_STORE_KV_H

#include "kvstore/client/client.h"
#include "orchestrator/registry/store.h"

struct store_kv;

/* Both are borrowed and outlive it. */
struct store_kv *store_kv_new(struct kv_client *client, struct wire_loop *wire);
/* After kv_client_close has begun: nothing is called any more. */
void store_kv_free(struct store_kv *kv);
struct store *store_kv_store(struct store_kv *kv);

#endif
