/* bootstrap.h - who this member is at its first start: ids computed from the configuration, or
 * learned from the members of the cluster that it joins. */
#ifndef KVSTORE_SERVER_BOOTSTRAP_H
#define KVSTORE_SERVER_BOOTSTRAP_H

#include "kvstore/server/config.h"
#include "proto/tls.h"
#include "proto/wire_loop.h"
#include "raft/raft.h"

struct bootstrap_member {
    raft_id id;
    const char *name; /* "" if it has not started yet */
    struct config_urls peer_urls;
    bool is_learner;
};

struct bootstrap {
    uint64_t cluster_id;
    uint64_t member_id;
    unsigned member_count;
    struct bootstrap_member members[CONFIG_MEMBERS_MAX];
};

/* --initial-cluster-state new: every initial member computes the same. */
MUST_USE int bootstrap_new_cluster(const struct config *config, struct bootstrap *ret,
                                   struct err *err);
/* existing: ask the other members of --initial-cluster, on the loop of wire, which runs meanwhile.
 * Texts are kept in config's arena. */
MUST_USE int bootstrap_join(struct config *config, struct wire_loop *wire, struct tls_context *tls,
                            struct bootstrap *ret, struct err *err);

#endif
