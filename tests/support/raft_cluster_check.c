#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "tests/support/raft_cluster.h"

void raft_cluster_fail(struct raft_cluster *cluster, const char *format, ...)
{
    if (cluster->violation[0] != '\0') {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(cluster->violation, sizeof cluster->violation, format, arguments);
    va_end(arguments);
}

/* Figure 3: "at most one leader can be elected in a given term". */
static void check_election_safety(struct raft_cluster *cluster, const struct cluster_node *node)
{
    raft_term term = raft_term_current(node->raft);
    if (term >= CLUSTER_TERMS_MAX) {
        return;
    }
    raft_id *leader = &cluster->leader_of_term[term];
    if (*leader == 0) {
        *leader = node->id;
    } else if (*leader != node->id) {
        raft_cluster_fail(cluster, "election safety: %llu and %llu lead term %llu",
                          (unsigned long long)*leader, (unsigned long long)node->id,
                          (unsigned long long)term);
    }
}

/* Figure 3: "if a log entry is committed in a given term, then that entry will be present in the
 * logs of the leaders for all higher-numbered terms". */
static void check_leader_completeness(struct raft_cluster *cluster, const struct cluster_node *node)
{
    for (uint32_t i = cluster->chosen_count; i > 0; i--) {
        raft_index index = i;
        raft_term term = 0;
        struct raft_status status;
        raft_get_status(node->raft, &status);
        if (cluster->chosen_in[i - 1] >= status.term) {
            continue; /* late votes can still make a leader of an older term */
        }
        if (index + 1 < status.first) {
            return;
        }
        if (!raft_find_term(node->raft, index, &term) || term != cluster->chosen[i - 1].term) {
            raft_cluster_fail(cluster, "leader completeness: %llu leads term %llu without entry %u",
                              (unsigned long long)node->id, (unsigned long long)status.term,
                              (unsigned)i);
            return;
        }
    }
}

void raft_cluster_check_node(struct raft_cluster *cluster, struct cluster_node *node)
{
    raft_check(node->raft);
    enum raft_role role = raft_role(node->raft);
    raft_term term = raft_term_current(node->raft);
    if (role == RAFT_LEADER && (node->role_seen != RAFT_LEADER || node->term_seen != term)) {
        check_election_safety(cluster, node);
        check_leader_completeness(cluster, node);
    }
    raft_index commit = raft_commit(node->raft);
    if (commit < node->commit_seen) {
        raft_cluster_fail(cluster, "commit of %llu went back", (unsigned long long)node->id);
    }
    if (term < node->term_seen) {
        raft_cluster_fail(cluster, "term of %llu went back", (unsigned long long)node->id);
    }
    struct raft_status status;
    raft_get_status(node->raft, &status);
    if (status.has_lost_log) {
        raft_cluster_fail(cluster, "%llu lost what it had acknowledged",
                          (unsigned long long)node->id);
    }
    node->commit_seen = commit;
    if (commit > cluster->commit_max) {
        cluster->commit_max = commit;
    }
}

/* Figure 3: "if a server has applied a log entry at a given index to its state machine, no other
 * server will ever apply a different log entry for the same index". */
void raft_cluster_check_applied(struct raft_cluster *cluster, const struct cluster_node *node,
                                const struct raft_entry *entry, uint64_t hash)
{
    raft_index index = entry->at.index;
    if (index > cluster->chosen_count) {
        if (index != cluster->chosen_count + 1) {
            raft_cluster_fail(cluster, "%llu applied entry %llu before all entries below it",
                              (unsigned long long)node->id, (unsigned long long)index);
            return;
        }
        if (cluster->chosen_count == cluster->chosen_capacity) {
            cluster->chosen_capacity =
                cluster->chosen_capacity == 0 ? 256 : cluster->chosen_capacity * 2;
            cluster->chosen = mem_reallocarray(cluster->chosen, cluster->chosen_capacity,
                                               sizeof *cluster->chosen);
            cluster->chosen_hash = mem_reallocarray(cluster->chosen_hash, cluster->chosen_capacity,
                                                    sizeof *cluster->chosen_hash);
            cluster->chosen_in = mem_reallocarray(cluster->chosen_in, cluster->chosen_capacity,
                                                  sizeof *cluster->chosen_in);
        }
        cluster->chosen[cluster->chosen_count] = entry->at;
        cluster->chosen_in[cluster->chosen_count] = raft_term_current(node->raft);
        cluster->chosen_hash[cluster->chosen_count] = hash;
        cluster->chosen_count++;
        return;
    }
    if (cluster->chosen[index - 1].term != entry->at.term ||
        cluster->chosen_hash[index - 1] != hash) {
        raft_cluster_fail(cluster, "state machine safety: %llu applied another entry at %llu",
                          (unsigned long long)node->id, (unsigned long long)index);
    }
}

void raft_cluster_check_read(struct raft_cluster *cluster, raft_id id, const struct raft_read *read)
{
    struct cluster_read *asked = &cluster->reads[read->token % CLUSTER_READS_MAX];
    if (!asked->is_open || asked->token != read->token || asked->node != id) {
        raft_cluster_fail(cluster, "read %llu answered twice or by the wrong server",
                          (unsigned long long)read->token);
        return;
    }
    asked->is_open = false;
    cluster->reads_answered++;
    if (read->index < asked->at_least) {
        raft_cluster_fail(cluster, "stale read: %llu may answer at %llu, but %llu was committed",
                          (unsigned long long)id, (unsigned long long)read->index,
                          (unsigned long long)asked->at_least);
    }
}

/* Figure 3: "if two logs contain an entry with the same index and term, then the logs are identical
 * in all entries up through the given index". */
static void check_log_pair(struct raft_cluster *cluster, const struct raft *a, const struct raft *b)
{
    raft_index low =
        raft_last(a).index < raft_last(b).index ? raft_last(a).index : raft_last(b).index;
    bool must_agree = false;
    for (raft_index i = low; i > 0; i--) {
        raft_term term_a = 0;
        raft_term term_b = 0;
        if (!raft_find_term(a, i, &term_a) || !raft_find_term(b, i, &term_b)) {
            return;
        }
        if (must_agree && term_a != term_b) {
            raft_cluster_fail(cluster, "log matching: entry %llu differs below an equal one",
                              (unsigned long long)i);
            return;
        }
        must_agree = must_agree || term_a == term_b;
    }
}

void raft_cluster_check_logs(struct raft_cluster *cluster)
{
    for (uint32_t a = 1; a < CLUSTER_NODES_MAX; a++) {
        for (uint32_t b = a + 1; b < CLUSTER_NODES_MAX; b++) {
            if (cluster->nodes[a].raft != NULL && cluster->nodes[b].raft != NULL) {
                check_log_pair(cluster, cluster->nodes[a].raft, cluster->nodes[b].raft);
            }
        }
    }
}
