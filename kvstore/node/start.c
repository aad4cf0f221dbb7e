#include "kvstore/node/start.h"

#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "kvstore/cluster/cluster.h"

#include "raft/members.h"

/* index (8), term (8), both little-endian, and the members as a CONFIG entry has them. */
enum { POSITION_BYTES = 16 };

static const struct bytes key = {(const uint8_t *)"raft_installed", 14};

/* Cluster id (8) and member id (8), both little-endian. */
static const struct bytes identity_key = {(const uint8_t *)"raft_identity", 13};
enum { IDENTITY_BYTES = 16 };

int start_read_installed(struct backend *backend, struct raft_snapshot_meta *ret, struct err *err)
{
    struct bytes value;
    struct raft_snapshot_meta meta = {0};
    int code = backend_meta_get(backend, key, &value, err);
    if (code == ERR_NOT_FOUND) {
        *ret = meta;
        return 0;
    }
    if (code != 0) {
        return code;
    }
    if (value.size < POSITION_BYTES) {
        return err_set(err, ERR_CORRUPT, "the store's start position is cut short");
    }
    memcpy(&meta.last.index, value.data, 8);
    memcpy(&meta.last.term, value.data + 8, 8);
    struct bytes members = bytes_make(value.data + POSITION_BYTES, value.size - POSITION_BYTES);
    if (raft_members_decode(members, &meta.members, NULL) != 0) {
        return err_set(err, ERR_CORRUPT, "the store's start members cannot be read");
    }
    *ret = meta;
    return 0;
}

void start_add_installed(struct backend_batch *batch, const struct raft_snapshot_meta *meta)
{
    struct buf value = BUF_INIT;
    buf_append(&value, &meta->last.index, 8);
    buf_append(&value, &meta->last.term, 8);
    struct blob *members = raft_members_encode(&meta->members, (struct bytes){NULL, 0});
    buf_append_bytes(&value, blob_bytes(members));
    blob_unref(members);
    backend_batch_meta_put(batch, key, buf_bytes(&value));
    backend_batch_meta_delete(batch, identity_key); /* its sender's */
    buf_deinit(&value);
}

static int note_identity(struct backend *backend, struct bytes identity, struct err *err)
{
    struct backend_batch *batch = backend_batch_new(0);
    backend_batch_meta_put(batch, identity_key, identity);
    int code = backend_commit(backend, &batch, 1, err);
    backend_batch_free(batch);
    return code != 0 ? code : backend_renew(backend, err);
}

int start_check_identity(struct backend *backend, uint64_t cluster_id, raft_id member_id,
                         struct err *err)
{
    uint8_t own[IDENTITY_BYTES];
    struct bytes found;
    memcpy(own, &cluster_id, 8);
    memcpy(own + 8, &member_id, 8);
    int code = backend_meta_get(backend, identity_key, &found, err);
    if (code == ERR_NOT_FOUND) {
        return note_identity(backend, bytes_make(own, sizeof own), err);
    }
    if (code == 0 && !bytes_equal(found, bytes_make(own, sizeof own))) {
        code = err_set(err, ERR_WRONG_CLUSTER,
                       "the store and the log belong to different members: was one of them copied "
                       "from elsewhere?");
    }
    return code;
}

int start_seed(struct backend *backend, const struct cluster_member *members, uint32_t count,
               struct raft_snapshot_meta *ret, struct err *err)
{
    struct backend_batch *batch = backend_batch_new(0);
    struct cluster *cluster = cluster_new();
    struct raft_snapshot_meta meta = {.last = {.index = 1, .term = 1}};
    for (uint32_t i = 0; i < count; i++) {
        cluster_add_initial(cluster, &members[i], batch);
        int put = raft_members_put(&meta.members, members[i].id, /* voter= */ true);
        CHECK(put == 0); /* the caller has no more than RAFT_MEMBERS_MAX */
    }
    cluster_free(cluster);
    start_add_installed(batch, &meta);
    backend_batch_set_applied(batch, (struct backend_position){.index = 1, .term = 1});
    struct backend_position durable;
    int code = backend_commit(backend, &batch, 1, err);
    backend_batch_free(batch);
    code = code != 0 ? code : backend_sync(backend, &durable, err);
    code = code != 0 ? code : backend_renew(backend, err);
    if (code == 0) {
        *ret = meta;
    }
    return code;
}

void start_restore(struct raft_restored *restored, const struct raft_snapshot_meta *installed,
                   struct backend_position applied)
{
    restored->applied = applied.index;
    if (installed->last.index > restored->snapshot.last.index) {
        restored->snapshot = *installed;
    }
    if (restored->hard_state.term < restored->snapshot.last.term) {
        restored->hard_state = (struct raft_hard_state){.term = restored->snapshot.last.term,
                                                        .commit = restored->snapshot.last.index};
    }
}
