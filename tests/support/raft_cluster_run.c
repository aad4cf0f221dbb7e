#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/members.h"
#include "tests/support/raft_cluster_internal.h"

void raft_cluster_tick(struct raft_cluster *cluster, raft_id id)
{
    raft_time_ms deadline = raft_deadline(raft_cluster_raft(cluster, id));
    if (deadline > cluster->now && deadline != RAFT_TIME_NEVER) {
        cluster->now = deadline;
    }
    (void)raft_cluster_step(cluster, id, (struct raft_event){.type = RAFT_TICK});
}

void raft_cluster_disk_finish(struct raft_cluster *cluster, raft_id id, uint32_t count)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    for (uint32_t i = 0; i < count && node->batch_count > 0; i++) {
        cluster_finish_batch(cluster, node);
    }
}

static bool finish_some_disk(struct raft_cluster *cluster)
{
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (node->raft != NULL && node->batch_count > 0 && !node->is_disk_held) {
            cluster_finish_batch(cluster, node);
            return true;
        }
    }
    return false;
}

bool raft_cluster_deliver_one(struct raft_cluster *cluster, raft_id from, raft_id to)
{
    for (uint32_t i = 0; i < cluster->wire_count; i++) {
        if (cluster->wires[i].from == from && cluster->wires[i].to == to) {
            cluster_deliver_place(cluster, i);
            return true;
        }
    }
    return false;
}

static bool deliver_some_wire(struct raft_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->wire_count; i++) {
        const struct cluster_wire *wire = &cluster->wires[i];
        if (cluster->links[wire->from][wire->to] != CLUSTER_LINK_HELD) {
            cluster_deliver_place(cluster, i);
            return true;
        }
    }
    return false;
}

void raft_cluster_deliver(struct raft_cluster *cluster)
{
    uint32_t rounds = 0;
    while (finish_some_disk(cluster) || deliver_some_wire(cluster)) {
        if (cluster->violation[0] != '\0') {
            return;
        }
        if (++rounds > 100000) {
            raft_cluster_fail(cluster, "the messages never end");
            return;
        }
    }
}

void raft_cluster_drop(struct raft_cluster *cluster, raft_id from, raft_id to)
{
    for (uint32_t i = cluster->wire_count; i > 0; i--) {
        if (cluster->wires[i - 1].from == from && cluster->wires[i - 1].to == to) {
            cluster_lose_wire(cluster, i - 1);
        }
    }
}

void raft_cluster_elect(struct raft_cluster *cluster, raft_id id)
{
    for (int i = 0; i < 10 && raft_role(raft_cluster_raft(cluster, id)) != RAFT_LEADER; i++) {
        raft_cluster_tick(cluster, id);
        raft_cluster_deliver(cluster);
    }
    if (raft_role(raft_cluster_raft(cluster, id)) != RAFT_LEADER) {
        raft_cluster_fail(cluster, "%llu cannot be elected", (unsigned long long)id);
    }
}

int raft_cluster_propose(struct raft_cluster *cluster, raft_id id, const char *text)
{
    struct blob *data = blob_new_copy(text, strlen(text));
    struct raft_entry entry = {.type = RAFT_ENTRY_COMMAND, .data = data};
    struct raft_event event = {.type = RAFT_PROPOSE, .propose = {.entries = &entry, .count = 1}};
    int rc = raft_cluster_step(cluster, id, event);
    blob_unref(data);
    return rc;
}

int raft_cluster_change(struct raft_cluster *cluster, raft_id id,
                        const struct raft_members *members)
{
    struct blob *data = raft_members_encode(members, BYTES_LITERAL("names"));
    struct raft_entry entry = {.type = RAFT_ENTRY_CONFIG, .data = data};
    struct raft_event event = {.type = RAFT_PROPOSE, .propose = {.entries = &entry, .count = 1}};
    int rc = raft_cluster_step(cluster, id, event);
    blob_unref(data);
    return rc;
}

uint64_t raft_cluster_read(struct raft_cluster *cluster, raft_id id, int *ret_rc)
{
    uint64_t token = cluster->next_token++;
    struct cluster_read *read = &cluster->reads[token % CLUSTER_READS_MAX];
    *read = (struct cluster_read){
        .token = token, .node = id, .at_least = cluster->commit_max, .is_open = true};
    struct raft_event event = {.type = RAFT_READ, .read = {.token = token}};
    *ret_rc = raft_cluster_step(cluster, id, event);
    if (*ret_rc != 0) {
        read->is_open = false;
    }
    return token;
}

void raft_cluster_set_link(struct raft_cluster *cluster, raft_id from, raft_id to,
                           enum cluster_link link)
{
    CHECK(from < CLUSTER_NODES_MAX && to < CLUSTER_NODES_MAX);
    cluster->links[from][to] = link;
}

void raft_cluster_isolate(struct raft_cluster *cluster, raft_id id)
{
    for (raft_id other = 1; other < CLUSTER_NODES_MAX; other++) {
        raft_cluster_set_link(cluster, id, other, CLUSTER_LINK_CUT);
        raft_cluster_set_link(cluster, other, id, CLUSTER_LINK_CUT);
    }
}

void raft_cluster_heal(struct raft_cluster *cluster)
{
    memset(cluster->links, 0, sizeof cluster->links);
}

void raft_cluster_restart(struct raft_cluster *cluster, raft_id id)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    cluster_start_node(cluster, node);
    if (node->raft == NULL) {
        return;
    }
    cluster_trace_changes(cluster, node);
    cluster_drain(cluster, node);
    raft_cluster_check_node(cluster, node);
}

void raft_cluster_join(struct raft_cluster *cluster, raft_id id)
{
    struct cluster_node *node = raft_cluster_node(cluster, id);
    CHECK(!node->exists);
    node->exists = true;
    raft_cluster_restart(cluster, id);
}

struct next_event {
    raft_time_ms at;
    int kind; /* 0 none, 1 wire, 2 disk, 3 deadline */
    uint32_t place;
};

static void consider(struct next_event *next, raft_time_ms at, int kind, uint32_t place)
{
    if (next->kind == 0 || at < next->at) {
        *next = (struct next_event){at, kind, place};
    }
}

static struct next_event find_next(const struct raft_cluster *cluster)
{
    struct next_event next = {.at = RAFT_TIME_NEVER};
    for (uint32_t i = 0; i < cluster->wire_count; i++) {
        const struct cluster_wire *wire = &cluster->wires[i];
        if (cluster->links[wire->from][wire->to] != CLUSTER_LINK_HELD &&
            !cluster->nodes[wire->to].is_paused) {
            consider(&next, wire->at, 1, i);
        }
    }
    for (uint32_t i = 1; i < CLUSTER_NODES_MAX; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        if (node->raft == NULL || node->is_paused) {
            continue;
        }
        if (node->batch_count > 0 && !node->is_disk_held) {
            consider(&next, node->batches[0].done_at, 2, i);
        }
        consider(&next, raft_deadline(node->raft), 3, i);
    }
    return next;
}

void raft_cluster_run(struct raft_cluster *cluster, raft_time_ms until)
{
    while (cluster->violation[0] == '\0') {
        struct next_event next = find_next(cluster);
        if (next.kind == 0 || next.at > until) {
            break;
        }
        if (next.at > cluster->now) {
            cluster->now = next.at;
        }
        if (next.kind == 1) {
            cluster_deliver_place(cluster, next.place);
        } else if (next.kind == 2) {
            cluster_finish_batch(cluster, &cluster->nodes[next.place]);
        } else {
            (void)raft_cluster_step(cluster, next.place, (struct raft_event){.type = RAFT_TICK});
        }
    }
    if (until > cluster->now) {
        cluster->now = until;
    }
}
