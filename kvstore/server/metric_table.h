/* metric_table.h - every metric family: names, types, labels and buckets are etcd 3.7's, so that
 * its dashboards and alert rules work unchanged; kvd_* are ours. Buckets: first, factor, count (a
 * family without buckets says 0, 0, 0; factor 0: Prometheus' default buckets). Sources: etcd's
 * server/ and pkg/ registrations; etcd-api appendix A. */
#ifndef KVSTORE_SERVER_METRIC_TABLE_H
#define KVSTORE_SERVER_METRIC_TABLE_H

/* id, type, name, labels, first bucket, factor, bucket count, help */
/* clang-format off */
#define METRIC_TABLE(X) \
    X(CLUSTER_VERSION, GAUGE, "etcd_cluster_version", "cluster_version", 0, 0, 0, "Which cluster version is running: 1 for the label's version.") \
    X(AUTH_REVISION, GAUGE, "etcd_debugging_auth_revision", "", 0, 0, 0, "Revision of the auth store.") \
    X(COMMIT_REBALANCE, HISTOGRAM, "etcd_debugging_disk_backend_commit_rebalance_duration_seconds", "", 0.001, 2, 14, "Always empty: LMDB does not rebalance at commit.") \
    X(COMMIT_SPILL, HISTOGRAM, "etcd_debugging_disk_backend_commit_spill_duration_seconds", "", 0.001, 2, 14, "Always empty: LMDB does not spill at commit.") \
    X(COMMIT_WRITE, HISTOGRAM, "etcd_debugging_disk_backend_commit_write_duration_seconds", "", 0.001, 2, 14, "Time to write a store transaction.") \
    X(LEASE_GRANTED, COUNTER, "etcd_debugging_lease_granted_total", "", 0, 0, 0, "Leases granted.") \
    X(LEASE_RENEWED, COUNTER, "etcd_debugging_lease_renewed_total", "", 0, 0, 0, "Lease renewals, seen by the leader.") \
    X(LEASE_REVOKED, COUNTER, "etcd_debugging_lease_revoked_total", "", 0, 0, 0, "Leases revoked.") \
    X(LEASE_TTL, HISTOGRAM, "etcd_debugging_lease_ttl_total", "", 1, 2, 24, "Time to live of granted leases.") \
    X(COMPACT_REVISION, GAUGE, "etcd_debugging_mvcc_compact_revision", "", 0, 0, 0, "Revision of the last compaction.") \
    X(CURRENT_REVISION, GAUGE, "etcd_debugging_mvcc_current_revision", "", 0, 0, 0, "Current revision of the store.") \
    X(COMPACTION_KEYS, COUNTER, "etcd_debugging_mvcc_db_compaction_keys_total", "", 0, 0, 0, "Revisions removed by compaction.") \
    X(COMPACTION_LAST, GAUGE, "etcd_debugging_mvcc_db_compaction_last", "", 0, 0, 0, "Unix time of the last compaction.") \
    X(COMPACTION_PAUSE, HISTOGRAM, "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds", "", 1, 2, 13, "Longest slice of compaction on the core thread.") \
    X(COMPACTION_TOTAL, HISTOGRAM, "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds", "", 100, 2, 14, "Whole duration of a compaction.") \
    X(EVENTS, COUNTER, "etcd_debugging_mvcc_events_total", "", 0, 0, 0, "Events sent to watchers.") \
    X(INDEX_COMPACTION_PAUSE, HISTOGRAM, "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds", "", 0.5, 2, 14, "Slices of index compaction.") \
    X(KEYS, GAUGE, "etcd_debugging_mvcc_keys_total", "", 0, 0, 0, "Live keys.") \
    X(PENDING_EVENTS, GAUGE, "etcd_debugging_mvcc_pending_events_total", "", 0, 0, 0, "Events waiting to be sent.") \
    X(SLOW_WATCHERS, GAUGE, "etcd_debugging_mvcc_slow_watcher_total", "", 0, 0, 0, "Watchers that are catching up.") \
    X(PUT_BYTES, GAUGE, "etcd_debugging_mvcc_total_put_size_in_bytes", "", 0, 0, 0, "Bytes of all keys and values put since the start.") \
    X(WATCH_STREAMS, GAUGE, "etcd_debugging_mvcc_watch_stream_total", "", 0, 0, 0, "Watch streams.") \
    X(WATCHERS, GAUGE, "etcd_debugging_mvcc_watcher_total", "", 0, 0, 0, "Watchers.") \
    X(ALARMS, GAUGE, "etcd_debugging_server_alarms", "server_id,alarm_type", 0, 0, 0, "Alarms: 1 while active.") \
    X(LEASE_EXPIRED, COUNTER, "etcd_debugging_server_lease_expired_total", "", 0, 0, 0, "Leases that expired.") \
    X(WATCH_CONTROL, HISTOGRAM, "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds", "", 0.001, 2, 14, "Sending of watch control messages.") \
    X(WATCH_PROGRESS, HISTOGRAM, "etcd_debugging_server_watch_send_loop_progress_duration_seconds", "", 0.001, 2, 14, "Sending of watch progress.") \
    X(WATCH_PER_EVENT, HISTOGRAM, "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds", "", 0.001, 2, 14, "Sending of one watch event.") \
    X(WATCH_SEND, HISTOGRAM, "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds", "", 0.001, 2, 14, "Sending of watch events.") \
    X(SNAP_MARSHAL, HISTOGRAM, "etcd_debugging_snap_save_marshalling_duration_seconds", "", 0.001, 2, 14, "Always empty: there are no snapshot files.") \
    X(SNAP_SAVE, HISTOGRAM, "etcd_debugging_snap_save_total_duration_seconds", "", 0.001, 2, 14, "Always empty: there are no snapshot files.") \
    X(STORE_EXPIRES, COUNTER, "etcd_debugging_store_expires_total", "", 0, 0, 0, "Always 0: there is no v2 store.") \
    X(STORE_READS_FAILED, COUNTER, "etcd_debugging_store_reads_failed_total", "action", 0, 0, 0, "Always 0: there is no v2 store.") \
    X(STORE_READS, COUNTER, "etcd_debugging_store_reads_total", "action", 0, 0, 0, "Always 0: there is no v2 store.") \
    X(STORE_WATCH_REQUESTS, COUNTER, "etcd_debugging_store_watch_requests_total", "", 0, 0, 0, "Always 0: there is no v2 store.") \
    X(STORE_WATCHERS, GAUGE, "etcd_debugging_store_watchers", "", 0, 0, 0, "Always 0: there is no v2 store.") \
    X(STORE_WRITES_FAILED, COUNTER, "etcd_debugging_store_writes_failed_total", "action", 0, 0, 0, "Always 0: there is no v2 store.") \
    X(STORE_WRITES, COUNTER, "etcd_debugging_store_writes_total", "action", 0, 0, 0, "Always 0: there is no v2 store.") \
    X(BACKEND_COMMIT, HISTOGRAM, "etcd_disk_backend_commit_duration_seconds", "", 0.001, 2, 14, "Time of a store transaction, with its sync.") \
    X(BACKEND_DEFRAG, HISTOGRAM, "etcd_disk_backend_defrag_duration_seconds", "", 0.1, 2, 13, "Time of a defragmentation.") \
    X(BACKEND_SNAPSHOT, HISTOGRAM, "etcd_disk_backend_snapshot_duration_seconds", "", 0.01, 2, 17, "Time to stream a snapshot.") \
    X(DEFRAG_INFLIGHT, GAUGE, "etcd_disk_defrag_inflight", "", 0, 0, 0, "1 while a defragmentation runs.") \
    X(WAL_FSYNC, HISTOGRAM, "etcd_disk_wal_fsync_duration_seconds", "", 0.001, 2, 14, "Time of fdatasync on the write-ahead log.") \
    X(WAL_BYTES, GAUGE, "etcd_disk_wal_write_bytes_total", "", 0, 0, 0, "Bytes written to the write-ahead log.") \
    X(WAL_WRITE, HISTOGRAM, "etcd_disk_wal_write_duration_seconds", "", 0.001, 2, 14, "Time of a write to the write-ahead log.") \
    X(PROXY_HITS, GAUGE, "etcd_grpc_proxy_cache_hits_total", "", 0, 0, 0, "Always 0: no proxy.") \
    X(PROXY_KEYS, GAUGE, "etcd_grpc_proxy_cache_keys_total", "", 0, 0, 0, "Always 0: no proxy.") \
    X(PROXY_MISSES, GAUGE, "etcd_grpc_proxy_cache_misses_total", "", 0, 0, 0, "Always 0: no proxy.") \
    X(PROXY_EVENTS, COUNTER, "etcd_grpc_proxy_events_coalescing_total", "", 0, 0, 0, "Always 0: no proxy.") \
    X(PROXY_WATCHERS, GAUGE, "etcd_grpc_proxy_watchers_coalescing_total", "", 0, 0, 0, "Always 0: no proxy.") \
    X(OPEN_READS, GAUGE, "etcd_mvcc_db_open_read_transactions", "", 0, 0, 0, "Open read transactions.") \
    X(DB_SIZE, GAUGE, "etcd_mvcc_db_total_size_in_bytes", "", 0, 0, 0, "Bytes the store has allocated.") \
    X(DB_SIZE_IN_USE, GAUGE, "etcd_mvcc_db_total_size_in_use_in_bytes", "", 0, 0, 0, "Bytes of the store in use.") \
    X(DELETES, COUNTER, "etcd_mvcc_delete_total", "", 0, 0, 0, "Deletes applied.") \
    X(HASH_DURATION, HISTOGRAM, "etcd_mvcc_hash_duration_seconds", "", 0.01, 2, 15, "Time of a hash of the store.") \
    X(HASH_REV_DURATION, HISTOGRAM, "etcd_mvcc_hash_rev_duration_seconds", "", 0.01, 2, 15, "Time of a hash at a revision.") \
    X(PUTS, COUNTER, "etcd_mvcc_put_total", "", 0, 0, 0, "Puts applied.") \
    X(RANGES, COUNTER, "etcd_mvcc_range_total", "", 0, 0, 0, "Ranges served.") \
    X(TXNS, COUNTER, "etcd_mvcc_txn_total", "", 0, 0, 0, "Transactions applied.") \
    X(ACTIVE_PEERS, GAUGE, "etcd_network_active_peers", "Local,Remote", 0, 0, 0, "Peers with a live connection.") \
    X(CLIENT_RECEIVED, COUNTER, "etcd_network_client_grpc_received_bytes_total", "", 0, 0, 0, "Bytes received from gRPC clients.") \
    X(CLIENT_SENT, COUNTER, "etcd_network_client_grpc_sent_bytes_total", "", 0, 0, 0, "Bytes sent to gRPC clients.") \
    X(DISCONNECTED_PEERS, COUNTER, "etcd_network_disconnected_peers_total", "Local,Remote", 0, 0, 0, "Lost connections to peers.") \
    X(KNOWN_PEERS, GAUGE, "etcd_network_known_peers", "Local,Remote", 0, 0, 0, "Peers in the configuration.") \
    X(PEER_RECEIVED, COUNTER, "etcd_network_peer_received_bytes_total", "From", 0, 0, 0, "Bytes received from peers.") \
    X(PEER_RECEIVED_FAILURES, COUNTER, "etcd_network_peer_received_failures_total", "From", 0, 0, 0, "Failed receives from peers.") \
    X(PEER_ROUND_TRIP, HISTOGRAM, "etcd_network_peer_round_trip_time_seconds", "To", 0.0001, 2, 16, "Round trips between peers.") \
    X(PEER_SENT, COUNTER, "etcd_network_peer_sent_bytes_total", "To", 0, 0, 0, "Bytes sent to peers.") \
    X(PEER_SENT_FAILURES, COUNTER, "etcd_network_peer_sent_failures_total", "To", 0, 0, 0, "Failed sends to peers.") \
    X(STREAM_FAILURES, COUNTER, "etcd_network_server_stream_failures_total", "Type,API", 0, 0, 0, "Failed streams of clients.") \
    X(SNAPSHOT_RECEIVE_FAILURES, COUNTER, "etcd_network_snapshot_receive_failures", "From", 0, 0, 0, "Failed snapshot receives.") \
    X(SNAPSHOT_RECEIVING, GAUGE, "etcd_network_snapshot_receive_inflights_total", "From", 0, 0, 0, "Snapshots being received.") \
    X(SNAPSHOT_RECEIVED, COUNTER, "etcd_network_snapshot_receive_success", "From", 0, 0, 0, "Snapshots received.") \
    X(SNAPSHOT_RECEIVE_TIME, HISTOGRAM, "etcd_network_snapshot_receive_total_duration_seconds", "From", 0.1, 2, 10, "Time to receive a snapshot.") \
    X(SNAPSHOT_SEND_FAILURES, COUNTER, "etcd_network_snapshot_send_failures", "To", 0, 0, 0, "Failed snapshot sends.") \
    X(SNAPSHOT_SENDING, GAUGE, "etcd_network_snapshot_send_inflights_total", "To", 0, 0, 0, "Snapshots being sent.") \
    X(SNAPSHOT_SENT, COUNTER, "etcd_network_snapshot_send_success", "To", 0, 0, 0, "Snapshots sent.") \
    X(SNAPSHOT_SEND_TIME, HISTOGRAM, "etcd_network_snapshot_send_total_duration_seconds", "To", 0.1, 2, 10, "Time to send a snapshot.") \
    X(APPLY, HISTOGRAM, "etcd_server_apply_duration_seconds", "version,op,success", 0.0001, 2, 20, "Time to apply the entries of one iteration: op is Batch.") \
    X(CLIENT_REQUESTS, COUNTER, "etcd_server_client_requests_total", "type,client_api_version", 0, 0, 0, "Requests by client API version.") \
    X(FEATURE_ENABLED, GAUGE, "etcd_server_feature_enabled", "name,stage", 0, 0, 0, "Feature gates: 1 where enabled.") \
    X(GO_VERSION, GAUGE, "etcd_server_go_version", "server_go_version", 0, 0, 0, "What the server was built with.") \
    X(HAS_LEADER, GAUGE, "etcd_server_has_leader", "", 0, 0, 0, "1 while this member knows a leader.") \
    X(HEALTH_FAILURES, COUNTER, "etcd_server_health_failures", "", 0, 0, 0, "Failed health checks.") \
    X(HEALTH_SUCCESS, COUNTER, "etcd_server_health_success", "", 0, 0, 0, "Passed health checks.") \
    X(HEALTHCHECK, GAUGE, "etcd_server_healthcheck", "type,name", 0, 0, 0, "Result of each health check.") \
    X(HEALTHCHECKS, COUNTER, "etcd_server_healthchecks_total", "type,name,status", 0, 0, 0, "Results of each health check.") \
    X(HEARTBEAT_FAILURES, COUNTER, "etcd_server_heartbeat_send_failures_total", "", 0, 0, 0, "Heartbeats sent late.") \
    X(SERVER_ID, GAUGE, "etcd_server_id", "server_id", 0, 0, 0, "Id of this member.") \
    X(IS_LEADER, GAUGE, "etcd_server_is_leader", "", 0, 0, 0, "1 while this member leads.") \
    X(IS_LEARNER, GAUGE, "etcd_server_is_learner", "", 0, 0, 0, "1 while this member is a learner.") \
    X(LEADER_CHANGES, COUNTER, "etcd_server_leader_changes_seen_total", "", 0, 0, 0, "Changes of the leader.") \
    X(PROMOTE_FAILURES, COUNTER, "etcd_server_learner_promote_failures", "Reason", 0, 0, 0, "Refused promotions.") \
    X(PROMOTE_SUCCESSES, COUNTER, "etcd_server_learner_promote_successes", "", 0, 0, 0, "Promotions.") \
    X(PROPOSALS_APPLIED, GAUGE, "etcd_server_proposals_applied_total", "", 0, 0, 0, "Index of the last applied entry.") \
    X(PROPOSALS_COMMITTED, GAUGE, "etcd_server_proposals_committed_total", "", 0, 0, 0, "Index of the last committed entry.") \
    X(PROPOSALS_FAILED, COUNTER, "etcd_server_proposals_failed_total", "", 0, 0, 0, "Failed proposals.") \
    X(PROPOSALS_PENDING, GAUGE, "etcd_server_proposals_pending", "", 0, 0, 0, "Proposals waiting to be committed.") \
    X(QUOTA, GAUGE, "etcd_server_quota_backend_bytes", "", 0, 0, 0, "Size limit of the store.") \
    X(RANGE_DURATION, HISTOGRAM, "etcd_server_range_duration_seconds", "success", 0.0001, 2, 20, "Time of a range.") \
    X(READ_INDEXES_FAILED, COUNTER, "etcd_server_read_indexes_failed_total", "", 0, 0, 0, "Failed linearizable read points.") \
    X(REQUEST_DURATION, HISTOGRAM, "etcd_server_request_duration_seconds", "type,success", 0.001, 2, 14, "Time of a request.") \
    X(SLOW_APPLY, COUNTER, "etcd_server_slow_apply_total", "", 0, 0, 0, "Applies slower than the warning limit.") \
    X(SLOW_READ_INDEXES, COUNTER, "etcd_server_slow_read_indexes_total", "", 0, 0, 0, "Read points that took too long.") \
    X(SNAPSHOT_APPLYING, GAUGE, "etcd_server_snapshot_apply_in_progress_total", "", 0, 0, 0, "1 while a snapshot is installed.") \
    X(SERVER_VERSION, GAUGE, "etcd_server_version", "server_version", 0, 0, 0, "Which version runs: 1 for the label's.") \
    X(SNAP_DB_FSYNC, HISTOGRAM, "etcd_snap_db_fsync_duration_seconds", "", 0.001, 2, 14, "Sync of a received snapshot.") \
    X(SNAP_DB_SAVE, HISTOGRAM, "etcd_snap_db_save_total_duration_seconds", "", 0.1, 2, 10, "Time to save a received snapshot.") \
    X(SNAP_FSYNC, HISTOGRAM, "etcd_snap_fsync_duration_seconds", "", 0.001, 2, 14, "Always empty: there are no snapshot files.") \
    X(GRPC_STARTED, COUNTER, "grpc_server_started_total", "grpc_type,grpc_service,grpc_method", 0, 0, 0, "RPCs started.") \
    X(GRPC_HANDLED, COUNTER, "grpc_server_handled_total", "grpc_type,grpc_service,grpc_method,grpc_code", 0, 0, 0, "RPCs finished, by status code.") \
    X(GRPC_RECEIVED, COUNTER, "grpc_server_msg_received_total", "grpc_type,grpc_service,grpc_method", 0, 0, 0, "Messages received.") \
    X(GRPC_SENT, COUNTER, "grpc_server_msg_sent_total", "grpc_type,grpc_service,grpc_method", 0, 0, 0, "Messages sent.") \
    X(GRPC_HANDLING, HISTOGRAM, "grpc_server_handling_seconds", "grpc_type,grpc_service,grpc_method", 0.005, 0, 11, "Time of RPCs (--metrics=extensive).") \
    X(FD_LIMIT, GAUGE, "os_fd_limit", "", 0, 0, 0, "Limit of open files.") \
    X(FD_USED, GAUGE, "os_fd_used", "", 0, 0, 0, "Open files.") \
    X(PROCESS_CPU, COUNTER, "process_cpu_seconds_total", "", 0, 0, 0, "Processor time used.") \
    X(PROCESS_MAX_FDS, GAUGE, "process_max_fds", "", 0, 0, 0, "Limit of open files.") \
    X(PROCESS_OPEN_FDS, GAUGE, "process_open_fds", "", 0, 0, 0, "Open files.") \
    X(PROCESS_RSS, GAUGE, "process_resident_memory_bytes", "", 0, 0, 0, "Resident memory.") \
    X(PROCESS_START, GAUGE, "process_start_time_seconds", "", 0, 0, 0, "Unix time of the start.") \
    X(PROCESS_VIRTUAL, GAUGE, "process_virtual_memory_bytes", "", 0, 0, 0, "Virtual memory.") \
    X(PROCESS_VIRTUAL_MAX, GAUGE, "process_virtual_memory_max_bytes", "", 0, 0, 0, "Limit of virtual memory (-1: none).") \
    X(KVD_BATCH_ENTRIES, HISTOGRAM, "kvd_wal_batch_entries", "", 1, 2, 14, "Entries made durable by one sync.") \
    X(KVD_STORE_BATCH, HISTOGRAM, "kvd_store_batch_revisions", "", 1, 2, 20, "Revisions in one store transaction.") \
    X(KVD_LOOP, HISTOGRAM, "kvd_core_iteration_seconds", "", 0.00001, 2, 18, "Work of the core thread between two waits.") \
    X(KVD_COMMIT, HISTOGRAM, "kvd_proposal_commit_seconds", "", 0.0001, 2, 18, "From a proposal to its commit.") \
    X(KVD_CORRUPTION_CHECKS, COUNTER, "kvd_corruption_checks_total", "", 0, 0, 0, "Comparisons of the members' hashes that this member made as leader.") \
    X(KVD_CORRUPTIONS, COUNTER, "kvd_corruptions_found_total", "", 0, 0, 0, "Members found to differ from the majority.") \
    X(KVD_FENCED, GAUGE, "kvd_fenced", "", 0, 0, 0, "1 while this member answers no request about keys: its data differs.") \
    X(KVD_CONNECTIONS, GAUGE, "kvd_connections", "", 0, 0, 0, "Open connections of clients.")
/* clang-format on */

#endif
