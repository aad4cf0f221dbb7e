/* raft_cluster_internal.h - what the files of the test cluster call in each other. */
#ifndef TESTS_SUPPORT_RAFT_CLUSTER_INTERNAL_H
#define TESTS_SUPPORT_RAFT_CLUSTER_INTERNAL_H

#include "tests/support/raft_cluster.h"

void cluster_deliver_place(struct raft_cluster *cluster, uint32_t place);
void cluster_lose_wire(struct raft_cluster *cluster, uint32_t place);
void cluster_start_node(struct raft_cluster *cluster, struct cluster_node *node);
void cluster_trace_changes(struct raft_cluster *cluster, struct cluster_node *node);
void cluster_drain(struct raft_cluster *cluster, struct cluster_node *node);
void cluster_send_message(struct raft_cluster *cluster, struct cluster_node *node,
                          const struct raft_message *message);
void cluster_queue_batch(struct raft_cluster *cluster, struct cluster_node *node,
                         const struct raft_ready *ready);
void cluster_finish_batch(struct raft_cluster *cluster, struct cluster_node *node);
void cluster_drop_batches(struct cluster_node *node);
void cluster_drop_stored_entries(struct cluster_node *node, uint32_t from);

#endif
