#include "tests/sim/sim_check.h"

#include <stdio.h>

#include "base/check.h"
#include "base/map.h"

const char *sim_check_why_not_settled(struct sim *sim)
{
    const struct sim_member *newest = sim_newest(sim);
    if (newest == NULL) {
        return "nobody runs";
    }
    for (uint32_t i = 0; i < sim->member_count; i++) {
        const struct sim_member *member = &sim->members[i];
        if (!sim_is_member(sim, i)) {
            continue;
        }
        if (member->epoch == 0 || member->is_paused) {
            return "a member is down";
        }
        if (node_applied(member->node) != node_applied(newest->node)) {
            return "members have applied different entries";
        }
    }
    if (!sim_clients_are_done(sim->clients)) {
        return "clients got nothing done";
    }
    if (!sim_clients_watches_reached(sim->clients, sim_truth_revision(sim->truth))) {
        return "a watch has not seen everything";
    }
    return NULL;
}

/* For a failure's reader: who is there, and in what role. */
void sim_check_describe(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->member_count; i++) {
        const struct sim_member *member = &sim->members[i];
        if (member->epoch == 0) {
            printf("  member %u: %s\n", i, member->is_removed ? "removed" : "down");
            continue;
        }
        struct raft_status status;
        node_get_status(member->node, &status);
        struct raft_members members = node_members_at(member->node, status.last.index);
        printf("  member %u: role %d, term %llu, leader %llx, applied %llu, last %llu, members",
               i, (int)status.role, (unsigned long long)status.term,
               (unsigned long long)status.leader, (unsigned long long)node_applied(member->node),
               (unsigned long long)status.last.index);
        for (uint32_t j = 0; j < members.count; j++) {
            printf(" %llx%s", (unsigned long long)members.member[j].id,
                   members.member[j].voter ? "" : "(learner)");
        }
        printf("%s\n", member->is_paused ? ", paused" : "");
    }
}

bool sim_check_has_settled(struct sim *sim)
{
    return sim_check_why_not_settled(sim) == NULL;
}

static uint32_t hash_of(struct sim_member *member, int64_t revision)
{
    struct buf request = BUF_INIT;
    buf_append_u8(&request, 0x08); /* HashKVRequest{revision 1} */
    for (uint64_t rest = (uint64_t)revision;; rest >>= 7) {
        buf_append_u8(&request, (uint8_t)(rest >= 0x80 ? rest | 0x80U : rest));
        if (rest < 0x80) {
            break;
        }
    }
    struct kv_result result = {0};
    struct kv_read *read = kv_read_new(node_kv(member->node), KV_OP_HASH_KV, buf_bytes(&request));
    while (kv_read_step(read, (struct kv_budget){0, 0}, &result) != KV_READ_DONE) {
    }
    kv_read_free(read);
    /* The whole reply but its header (which names the member): equal hash, compaction, revision. */
    struct bytes reply = buf_bytes(&result.reply);
    size_t header = reply.size > 2 && reply.data[0] == 0x0a ? 2U + reply.data[1] : 0;
    uint32_t hash =
        result.status != ETCD_OK
            ? 0
            : (uint32_t)bytes_hash(bytes_make(reply.data + header, reply.size - header));
    kv_result_deinit(&result);
    buf_deinit(&request);
    return hash;
}

void sim_check_end(struct sim *sim)
{
    struct sim_member *newest = sim_newest(sim);
    int64_t revision = kv_revision(node_kv(newest->node));
    uint32_t first = hash_of(newest, revision);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        struct sim_member *member = &sim->members[i];
        if (!sim_is_member(sim, i)) {
            continue;
        }
        node_check(member->node);
        uint32_t hash = hash_of(member, revision);
        if (hash != first || hash == 0) {
            sim_fail(sim, SIM_CORRECTNESS,
                     "member %u hashes to %x, member %u to %x at revision %lld", i, hash,
                     newest->index, first, (long long)revision);
            return;
        }
    }
    sim_clients_check(sim->clients);
}
