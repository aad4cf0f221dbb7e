#include "kvstore/node/lone_start.h"

#include "base/blob.h"
#include "base/buf.h"
#include "base/check.h"
#include "kvstore/cluster/cluster.h"
#include "raft/members.h"

/* The member set is that of the last CONFIG entry, committed or not. */
static struct raft_members last_members(const struct raft_restored *restored,
                                        struct raft_position *ret_last)
{
    struct raft_members members = restored->snapshot.members;
    *ret_last = restored->snapshot.last;
    for (uint32_t i = 0; i < restored->entry_count; i++) {
        const struct raft_entry *entry = &restored->entries[i];
        if (entry->at.index <= restored->snapshot.last.index) {
            continue;
        }
        *ret_last = entry->at;
        if (entry->type == RAFT_ENTRY_CONFIG) {
            int code = raft_members_decode(blob_bytes(entry->data), &members, NULL);
            CHECK(code == 0); /* raft_restored_check has decoded it */
        }
    }
    return members;
}

static void append(struct lone_start *start, struct raft_position at,
                   const struct raft_members *members, enum cluster_change_kind kind, raft_id id)
{
    struct cluster_change change = {.kind = kind, .member = {.id = id}};
    struct buf rest = BUF_INIT;
    cluster_change_encode(&rest, &change);
    CHECK(start->count < LONE_START_ENTRIES_MAX);
    start->entries[start->count++] =
        (struct raft_entry){.at = at,
                            .type = RAFT_ENTRY_CONFIG,
                            .data = raft_members_encode(members, buf_bytes(&rest))};
    buf_deinit(&rest);
}

int lone_start_make(const struct raft_restored *restored, raft_id self,
                    struct lone_start *ret_start)
{
    struct raft_position last;
    struct raft_members members = last_members(restored, &last);
    const struct raft_member *own = raft_members_find(&members, self);
    struct lone_start start = {.hard_state = restored->hard_state};
    if (own == NULL) {
        return ERR_NOT_FOUND;
    }
    raft_term term = last.term > start.hard_state.term ? last.term : start.hard_state.term;
    struct raft_position at = {.index = last.index, .term = term + 1};
    if (!own->voter) {
        int code = raft_members_put(&members, self, /* voter= */ true);
        CHECK(code == 0);
        at.index += 1;
        append(&start, at, &members, CLUSTER_PROMOTE, self);
    }
    const struct raft_members all = members;
    for (uint32_t i = 0; i < all.count; i++) {
        raft_id id = all.member[i].id;
        if (id != self) {
            int code = raft_members_remove(&members, id);
            CHECK(code == 0);
            at.index += 1;
            append(&start, at, &members, CLUSTER_REMOVE, id);
        }
    }
    if (start.count > 0) {
        start.hard_state.term = at.term;
        start.hard_state.vote = 0;
    }
    *ret_start = start;
    return 0;
}

void lone_start_deinit(struct lone_start *start)
{
    for (uint32_t i = 0; i < start->count; i++) {
        blob_unref(start->entries[i].data);
    }
    start->count = 0;
}
