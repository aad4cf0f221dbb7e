/* Membership changes, one server at a time: thesis 4.1 to 4.3 and the erratum of 2015.
 *
 * A member set is in force from the moment its entry is appended, and goes away with it when it is
 * truncated (R30, R31). So a candidate cannot be unaware of a set that its log holds, and the guard
 * that activation on apply would need (R13) has nothing to guard. */
#include "raft/core.h"

int raft_membership_check_proposal(const struct raft *raft, const struct raft_entry *entry)
{
    struct raft_members members;
    if (raft_members_decode(blob_bytes(entry->data), &members, NULL) != 0 || members.count == 0) {
        return ERR_INVALID;
    }
    if (raft->config_index > raft->commit && !PLANTED(22)) {
        return ERR_CONFIG_PENDING;
    }
    if (raft->commit < raft->term_start && !PLANTED(23)) {
        return ERR_CONFIG_PENDING; /* R29 */
    }
    return raft_members_is_one_change(&raft->members, &members) ? 0 : ERR_INVALID;
}

static void use_members(struct raft *raft, const struct raft_members *members, raft_index index)
{
    raft->members = *members;
    raft->config_index = index;
    if (raft->role == RAFT_LEADER) {
        raft_membership_sync_peers(raft);
    }
}

void raft_membership_on_appended(struct raft *raft, const struct raft_entry *entry)
{
    struct raft_members members;
    int rc = raft_members_decode(blob_bytes(entry->data), &members, NULL);
    CHECK(rc == 0); /* the gateways decode it, too */
    use_members(raft, &members, entry->at.index);
}

/* The newest set at or below `last`; ret_index 0: the base's. */
static struct raft_members find_members(const struct raft *raft, raft_index last,
                                        raft_index *ret_index)
{
    struct raft_members members = raft->base_members;
    *ret_index = 0;
    for (raft_index i = last; i > raft->log.base.index; i--) {
        const struct raft_entry *entry = raft_log_at(&raft->log, i);
        if (entry->type == RAFT_ENTRY_CONFIG) {
            int rc = raft_members_decode(blob_bytes(entry->data), &members, NULL);
            CHECK(rc == 0);
            *ret_index = i;
            break;
        }
    }
    return members;
}

void raft_membership_on_truncated(struct raft *raft)
{
    raft_index index = 0;
    struct raft_members members = find_members(raft, raft_log_last_index(&raft->log), &index);
    use_members(raft, &members, index);
}

/* Learners, removed servers and those that wait to be contacted never campaign (R14). But "a server
 * that is not part of its own latest configuration should still start new elections, as it might
 * still be needed until the C_new entry is committed" (thesis 4.2.2): the others may lack that
 * entry, and can then elect nobody without it. It does not count its own vote. */
bool raft_membership_may_campaign(const struct raft *raft)
{
    if (raft_members_find(&raft->members, raft->options.id) != NULL) {
        return raft_is_voter(raft);
    }
    if (raft->config_index <= raft->commit) {
        return false;
    }
    raft_index index = 0;
    struct raft_members before = find_members(raft, raft->config_index - 1, &index);
    return raft_members_has_voter(&before, raft->options.id);
}

/* A leader L that was the only voter commits, alone, the entry that gives it a second one, and what
 * stands before it. Else a cluster of one could not grow: the second server learns of its place
 * only after the commit (etcd: "member add", then start). 0: does not apply.
 *
 * Why nothing committed so can be lost (leader completeness): let E be the entry at config_index,
 * of L's own term T (the caller compares), durable at L; S the set before, whose voters are {L};
 * S' the set of E, whose voters are {L, M} or {L}, because a change differs by one server.
 * 1. Every majority of S and of S' contains L.
 * 2. A later leader was elected by a majority of the newest set in its log. Nobody has a set
 * between S and S' (the next is proposed only after E is committed), and a newer set lies behind E
 * in the log, so whoever has it has E. Whoever is elected in S or S' needs L's vote, after T.
 * 3. L votes only for a log that is at least as long in (term, index) as its own, which ends at or
 *    behind E with term T or later. Such a log has an entry of term T behind E's place, which only
 *    L made, and so E by log matching; or one of a later term, whose leader had E by induction.
 * 4. L is never truncated at or below E by another leader of term T (there is none) or later (it
 * has E); and what L has lost with its disk, has_lost_log reports (R7). Entries behind E are not
 * covered: they need a majority of S'. tests/scenario/lone_voter_grows.txt walks through it, and
 * one simulated cluster in ten begins with one server. */
raft_index raft_membership_lone_commit(const struct raft *raft, raft_index own)
{
    if (raft->config_index <= raft->commit) {
        return 0;
    }
    raft_index found = 0;
    struct raft_members before = find_members(raft, raft->config_index - 1, &found);
    for (uint32_t i = 0; i < before.count; i++) {
        if (before.member[i].voter && before.member[i].id != raft->options.id) {
            return 0;
        }
    }
    if (!raft_members_has_voter(&before, raft->options.id) || !raft_is_voter(raft)) {
        return 0;
    }
    return own < raft->config_index ? own : raft->config_index;
}

struct raft_members raft_members_at(const struct raft *raft, raft_index index)
{
    CHECK(index >= raft->log.base.index && index <= raft_log_last_index(&raft->log));
    if (raft->config_index <= index) {
        return raft->members;
    }
    raft_index found = 0;
    return find_members(raft, index, &found);
}

/* A removed server still gets the entry that removes it, and its commit, so that it can stop by
 * itself and say why (R33); for a while, then it is forgotten. */
static void start_leaving(struct raft *raft, struct raft_progress *peer)
{
    if (peer->leaving) {
        return;
    }
    peer->leaving = true;
    peer->leave_index = raft->config_index;
    peer->leave_until = raft->now + 2 * (raft_time_ms)raft->options.election_timeout_ms;
}

static void forget_peer(struct raft *raft, uint32_t place)
{
    raft->peer_count--;
    if (place < raft->peer_count) {
        raft->peers[place] = raft->peers[raft->peer_count];
    }
}

void raft_membership_sync_peers(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if (raft_members_find(&raft->members, raft->peers[i].id) == NULL) {
            start_leaving(raft, &raft->peers[i]);
        }
    }
    for (uint32_t i = 0; i < raft->members.count; i++) {
        struct raft_member member = raft->members.member[i];
        if (member.id == raft->options.id) {
            continue;
        }
        struct raft_progress *peer = raft_peer_find(raft, member.id);
        if (peer != NULL) {
            peer->voter = member.voter;
            peer->leaving = false;
            continue;
        }
        if (raft->peer_count == RAFT_PEERS_MAX) {
            /* Full of servers that are leaving; of at most 9 members, one is gone for good. */
            uint32_t place = 0;
            while (!raft->peers[place].leaving) {
                place++;
            }
            forget_peer(raft, place);
        }
        raft_progress_init(&raft->peers[raft->peer_count++], member,
                           raft_log_last_index(&raft->log) + 1, raft->now);
    }
}

void raft_membership_forget_leaving(struct raft *raft)
{
    for (uint32_t i = raft->peer_count; i > 0; i--) {
        const struct raft_progress *peer = &raft->peers[i - 1];
        bool has_all = peer->match >= peer->leave_index && peer->commit_sent >= peer->leave_index;
        if (peer->leaving && (has_all || raft->now >= peer->leave_until)) {
            forget_peer(raft, i - 1);
        }
    }
}

/* "A leader that is removed from the configuration steps down once the C_new entry is committed"
 * (thesis 4.2.2), and asks the best of the others to take over at once. */
void raft_membership_on_committed(struct raft *raft)
{
    bool is_settled = raft->config_index <= raft->commit;
    if (is_settled && raft_members_find(&raft->members, raft->options.id) == NULL &&
        raft->members.count > 0 && !PLANTED(29)) {
        raft_transfer_hand_over(raft);
        raft_become_follower(raft, raft->term, 0);
    }
}
