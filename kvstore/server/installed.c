#include "kvstore/server/installed.h"

#include <string.h>

#include "base/buf.h"

#include "raft/members.h"

/* index (8), term (8), both little-endian, and the members as a CONFIG entry has them. */
enum { POSITION_BYTES = 16 };

static const struct bytes key = {(const uint8_t *)"raft_installed", 14};

int installed_read(struct backend *backend, struct raft_snapshot_meta *ret, struct err *err)
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

void installed_add(struct backend_batch *batch, const struct raft_snapshot_meta *meta)
{
    struct buf value = BUF_INIT;
    buf_append(&value, &meta->last.index, 8);
    buf_append(&value, &meta->last.term, 8);
    struct blob *members = raft_members_encode(&meta->members, (struct bytes){NULL, 0});
    buf_append_bytes(&value, blob_bytes(members));
    blob_unref(members);
    backend_batch_meta_put(batch, key, buf_bytes(&value));
    buf_deinit(&value);
}
