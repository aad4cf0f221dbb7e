/* Cutting the log, in two steps. In memory it is cut as soon as the store has the entries (a
 * snapshot can then be made for whoever needs older ones) and every follower that answers has them;
 * on disk when the store has them durably, at a place where memory was cut before. */
#include "kvstore/node/node_internal.h"

static bool is_answering(const struct node *node, const struct raft_peer_status *peer)
{
    return peer->has_contact &&
           node->now < peer->contact_at + node->options.raft.election_timeout_ms;
}

/* How many of the log's entries, which may be large, fit in so many bytes. */
static uint64_t fitting(const struct raft_status *status, uint64_t bytes)
{
    uint64_t entries = status->last.index + 1 - status->first;
    return entries == 0 ? 0 : bytes / (status->log_bytes / entries + 1);
}

static raft_index before(raft_index index, uint64_t count)
{
    return index > count ? index - count : 0;
}

/* Up to where the log in memory may be forgotten; 0: it is not worth it yet. */
static raft_index find_cut(const struct node *node, raft_index stored)
{
    const struct node_options *options = &node->options;
    struct raft_status status;
    raft_get_status(node->raft, &status);
    if (stored < node->compacted_index + options->compact_entries &&
        status.log_bytes <= 2 * options->recent_bytes) {
        return 0;
    }
    uint64_t kept = fitting(&status, options->recent_bytes);
    raft_index cut =
        before(stored, kept < options->catchup_entries ? kept : options->catchup_entries);
    for (uint32_t i = 0; i < status.peer_count; i++) {
        if (is_answering(node, &status.peer[i]) && status.peer[i].match < cut) {
            cut = status.peer[i].match;
        }
    }
    if (status.log_bytes > options->compact_bytes) { /* it is too slow: it will get a snapshot */
        raft_index limit = before(stored, fitting(&status, options->compact_bytes / 2));
        cut = limit > cut ? limit : cut;
    }
    return cut;
}

/* More cuts than the disk's syncs: every second place is enough. */
static void thin_out(struct node *node)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < node->cut_count; i += 2) {
        node->cuts[kept++] = node->cuts[i];
    }
    node->cut_count = kept;
}

void node_cut_log(struct node *node)
{
    raft_index upto = find_cut(node, kv_stored(node->kv).index);
    struct raft_snapshot_meta meta = {.last = {.index = upto}};
    if (node->is_installing || upto <= node->compacted_index ||
        !raft_find_term(node->raft, upto, &meta.last.term)) {
        return;
    }
    meta.members = raft_members_at(node->raft, upto);
    const struct raft_event event = {
        .type = RAFT_COMPACTED, .now = node->now, .compacted = {.index = upto}};
    if (raft_step(node->raft, &event) != 0) {
        return;
    }
    node->compacted_index = upto;
    if (node->cut_count == NODE_CUTS_MAX) {
        thin_out(node);
    }
    node->cuts[node->cut_count++] = meta;
}

void node_forget_cuts(struct node *node)
{
    node->cut_count = 0;
}

void node_on_durable(struct node *node, raft_time_ms now, raft_index index)
{
    node->now = now;
    node->durable_index = index;
    uint32_t covered = 0;
    while (covered < node->cut_count && node->cuts[covered].last.index <= index) {
        covered++;
    }
    if (covered == 0 || node->is_installing) {
        return;
    }
    node->io.compact_log(node->io.context, &node->cuts[covered - 1]);
    node->cut_count -= covered;
    for (uint32_t i = 0; i < node->cut_count; i++) {
        node->cuts[i] = node->cuts[covered + i];
    }
}
