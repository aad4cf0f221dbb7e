#include "raft/members.h"

#include <string.h>

#include "base/check.h"

enum { MEMBERS_VERSION = 1, MEMBER_SIZE = 9, MEMBER_FLAG_VOTER = 1 };

bool raft_members_valid(const struct raft_members *members)
{
    if (members->count > RAFT_MEMBERS_MAX) {
        return false;
    }
    raft_id before = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        if (members->member[i].id <= before) {
            return false;
        }
        before = members->member[i].id;
    }
    return members->count == 0 || raft_members_voter_count(members) > 0;
}

const struct raft_member *raft_members_find(const struct raft_members *members, raft_id id)
{
    for (uint32_t i = 0; i < members->count; i++) {
        if (members->member[i].id == id) {
            return &members->member[i];
        }
    }
    return NULL;
}

bool raft_members_has_voter(const struct raft_members *members, raft_id id)
{
    const struct raft_member *member = raft_members_find(members, id);
    return member != NULL && member->voter;
}

uint32_t raft_members_voter_count(const struct raft_members *members)
{
    uint32_t voters = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        voters += members->member[i].voter ? 1 : 0;
    }
    return voters;
}

bool raft_members_equal(const struct raft_members *a, const struct raft_members *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->member[i].id != b->member[i].id || a->member[i].voter != b->member[i].voter) {
            return false;
        }
    }
    return true;
}

int raft_members_put(struct raft_members *members, raft_id id, bool voter)
{
    CHECK(id != 0);
    uint32_t place = 0;
    while (place < members->count && members->member[place].id < id) {
        place++;
    }
    if (place < members->count && members->member[place].id == id) {
        members->member[place].voter = voter;
        return 0;
    }
    if (members->count == RAFT_MEMBERS_MAX) {
        return ERR_TOO_LARGE;
    }
    memmove(&members->member[place + 1], &members->member[place],
            (members->count - place) * sizeof members->member[0]);
    members->member[place] = (struct raft_member){id, voter};
    members->count++;
    return 0;
}

int raft_members_remove(struct raft_members *members, raft_id id)
{
    const struct raft_member *member = raft_members_find(members, id);
    if (member == NULL) {
        return ERR_NOT_FOUND;
    }
    uint32_t place = (uint32_t)(member - members->member);
    memmove(&members->member[place], &members->member[place + 1],
            (members->count - place - 1) * sizeof members->member[0]);
    members->count--;
    return 0;
}

bool raft_members_is_one_change(const struct raft_members *from, const struct raft_members *to)
{
    uint32_t changes = 0;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct raft_member *now = raft_members_find(to, from->member[i].id);
        if (now == NULL) {
            changes++;
        } else if (from->member[i].voter && !now->voter) {
            return false;
        } else if (from->member[i].voter != now->voter) {
            changes++;
        }
    }
    for (uint32_t i = 0; i < to->count; i++) {
        changes += raft_members_find(from, to->member[i].id) == NULL ? 1 : 0;
    }
    return changes <= 1 && raft_members_voter_count(to) > 0;
}

static void put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get_u64(const uint8_t *in)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

struct blob *raft_members_encode(const struct raft_members *members, struct bytes rest)
{
    CHECK(raft_members_valid(members));
    size_t head = 2 + (size_t)MEMBER_SIZE * members->count;
    struct blob *blob = blob_new(head + rest.size);
    blob->data[0] = MEMBERS_VERSION;
    blob->data[1] = (uint8_t)members->count;
    uint8_t *out = blob->data + 2;
    for (uint32_t i = 0; i < members->count; i++) {
        put_u64(out, members->member[i].id);
        out[8] = members->member[i].voter ? MEMBER_FLAG_VOTER : 0;
        out += MEMBER_SIZE;
    }
    if (rest.size > 0) {
        memcpy(out, rest.data, rest.size);
    }
    return blob;
}

int raft_members_decode(struct bytes data, struct raft_members *members, struct bytes *rest)
{
    if (data.size < 2 || data.data[0] != MEMBERS_VERSION || data.data[1] > RAFT_MEMBERS_MAX) {
        return ERR_MALFORMED;
    }
    size_t head = 2 + (size_t)MEMBER_SIZE * data.data[1];
    if (data.size < head) {
        return ERR_MALFORMED;
    }
    struct raft_members decoded = {.count = data.data[1]};
    for (uint32_t i = 0; i < decoded.count; i++) {
        const uint8_t *in = data.data + 2 + (size_t)MEMBER_SIZE * i;
        if (in[8] > MEMBER_FLAG_VOTER) {
            return ERR_MALFORMED;
        }
        decoded.member[i] = (struct raft_member){get_u64(in), in[8] == MEMBER_FLAG_VOTER};
    }
    if (!raft_members_valid(&decoded)) {
        return ERR_MALFORMED;
    }
    *members = decoded;
    if (rest != NULL) {
        *rest = bytes_make(data.data + head, data.size - head);
    }
    return 0;
}
