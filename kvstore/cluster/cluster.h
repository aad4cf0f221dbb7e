/* cluster.h - who the members are: ids, names, addresses, learners; and who was removed.
 *
 * Replicated: changed only by applied entries. Adding, removing and promoting go through raft's
 * CONFIG entries, whose opaque part is a struct cluster_change; the node derives raft's member set
 * from the change's kind and id (raft_members_put, raft_members_remove). A removed id never comes
 * back. Source: the Cluster service of the public API; membershippb for attributes. */
#ifndef KVSTORE_CLUSTER_CLUSTER_H
#define KVSTORE_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "kvstore/state/etcd_error.h"

struct backend;
struct backend_batch;
struct cluster;

enum {
    CLUSTER_MEMBERS_MAX = 9, /* as RAFT_MEMBERS_MAX */
    CLUSTER_URLS_MAX = 16,   /* of one kind, for each member */
    CLUSTER_URL_SIZE_MAX = 1024,
};

struct cluster_urls {
    uint32_t count;
    char *url[CLUSTER_URLS_MAX]; /* owned by whoever owns the struct */
};

struct cluster_member {
    uint64_t id;
    char *name; /* "" until the member has published itself; never NULL */
    struct cluster_urls peer_urls;
    struct cluster_urls client_urls;
    bool is_learner;
};

void cluster_member_deinit(struct cluster_member *member);
/* Append the encoded etcdserverpb.Member. */
void cluster_member_encode(struct buf *out, const struct cluster_member *member);
/* An owned copy; 0, ERR_MALFORMED, ERR_TOO_LARGE (too many or too long URLs). */
MUST_USE int cluster_member_decode(struct bytes encoded, struct cluster_member *ret_member);

/* The numbers are etcd's raftpb.ConfChangeType; promoting is etcd's "add" of a known learner. */
enum cluster_change_kind {
    CLUSTER_ADD = 0,
    CLUSTER_REMOVE = 1,
    CLUSTER_UPDATE = 2, /* peer URLs; raft's member set stays as it is */
    CLUSTER_PROMOTE = 3,
};

struct cluster_change {
    enum cluster_change_kind kind;
    struct cluster_member member; /* REMOVE and PROMOTE: only the id counts */
};

/* The opaque part of a CONFIG entry. */
void cluster_change_encode(struct buf *out, const struct cluster_change *change);
MUST_USE int cluster_change_decode(struct bytes encoded, struct cluster_change *ret_change);
void cluster_change_deinit(struct cluster_change *change);

struct cluster *cluster_new(void);
void cluster_free(struct cluster *cluster); /* NULL is fine */
void cluster_clear(struct cluster *cluster);
/* Load from the backend's meta table: 0, ERR_CORRUPT or the backend's error. */
MUST_USE int cluster_restore(struct cluster *cluster, struct backend *backend, struct err *err);

/* A first start: put a member of the initial cluster in place, into the batch too. */
void cluster_add_initial(struct cluster *cluster, const struct cluster_member *member,
                         struct backend_batch *batch);

/* What etcd answers to the change in this state, before proposing and again at apply.
 * learners_max: 0 is no limit (as at apply, where configuration may not count). */
enum etcd_error cluster_check(const struct cluster *cluster, const struct cluster_change *change,
                              uint32_t learners_max);
/* Check and apply; nothing changes on an error. */
enum etcd_error cluster_apply(struct cluster *cluster, const struct cluster_change *change,
                              struct backend_batch *batch);
/* A member publishes its name and client URLs; an unknown one is ignored, as in etcd. */
MUST_USE int cluster_apply_attributes(struct cluster *cluster, struct bytes request,
                                      struct backend_batch *batch);
MUST_USE int cluster_apply_version(struct cluster *cluster, struct bytes request,
                                   struct backend_batch *batch);

/* DowngradeInfoSetRequest{enabled, version}. */
MUST_USE int cluster_apply_downgrade(struct cluster *cluster, struct bytes request,
                                     struct backend_batch *batch);

/* Sorted by id; borrowed until the next change. */
uint32_t cluster_count(const struct cluster *cluster);
const struct cluster_member *cluster_at(const struct cluster *cluster, uint32_t position);
const struct cluster_member *cluster_find(const struct cluster *cluster, uint64_t id);
bool cluster_is_removed(const struct cluster *cluster, uint64_t id);
const char *cluster_version(const struct cluster *cluster); /* "": not decided yet */
/* The version that a downgrade under way leads to; "": none is. */
const char *cluster_downgrade(const struct cluster *cluster);

/* Append all members as field `number` of a message. */
void cluster_append_members(const struct cluster *cluster, struct buf *out, uint32_t number);

#endif
