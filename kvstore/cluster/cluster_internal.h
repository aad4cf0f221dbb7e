/* cluster_internal.h - for the files of this folder. */
#ifndef KVSTORE_CLUSTER_CLUSTER_INTERNAL_H
#define KVSTORE_CLUSTER_CLUSTER_INTERNAL_H

#include "kvstore/cluster/cluster.h"

char *cluster_text(struct bytes bytes); /* an owned, NUL-terminated copy */
void cluster_urls_deinit(struct cluster_urls *urls);
MUST_USE int cluster_urls_add(struct cluster_urls *urls, struct bytes url);
void cluster_urls_copy(struct cluster_urls *to, const struct cluster_urls *from);
struct cluster_member cluster_member_copy(const struct cluster_member *member);

#endif
