/* cluster_id.h - how etcd makes the ids of members and clusters: the first eight bytes of a SHA-1.
 * Not part of the pure core: it uses OpenSSL. */
#ifndef KVSTORE_CLUSTER_CLUSTER_ID_H
#define KVSTORE_CLUSTER_CLUSTER_ID_H

#include <stdint.h>

/* From peer URLs in any order and the cluster token. unix_seconds is the time for a member added to
 * a running cluster, 0 (left out) for an initial member. */
uint64_t cluster_member_id(const char *const *peer_urls, uint32_t count, const char *token,
                           uint64_t unix_seconds);
/* From the ids of the initial members in any order. */
uint64_t cluster_id_from_members(const uint64_t *member_ids, uint32_t count);

#endif
