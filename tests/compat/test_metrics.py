#!/usr/bin/python3
"""/metrics: every name that etcd's own test asks for and every one that its alert rules use, with figures that move."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, etcdctl, free_ports, http_get, require, wait_until  # noqa: E402
from grpc_wire import Wire  # noqa: E402

# Of etcd 3.7's TestNoMetricsMissing, without a Go runtime's own.
NAMES = """etcd_cluster_version etcd_debugging_auth_revision etcd_debugging_disk_backend_commit_rebalance_duration_seconds
etcd_debugging_disk_backend_commit_spill_duration_seconds etcd_debugging_disk_backend_commit_write_duration_seconds
etcd_debugging_lease_granted_total etcd_debugging_lease_renewed_total etcd_debugging_lease_revoked_total
etcd_debugging_lease_ttl_total etcd_debugging_mvcc_compact_revision etcd_debugging_mvcc_current_revision
etcd_debugging_mvcc_db_compaction_keys_total etcd_debugging_mvcc_db_compaction_last
etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds etcd_debugging_mvcc_db_compaction_total_duration_milliseconds
etcd_debugging_mvcc_events_total etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds etcd_debugging_mvcc_keys_total
etcd_debugging_mvcc_pending_events_total etcd_debugging_mvcc_slow_watcher_total etcd_debugging_mvcc_total_put_size_in_bytes
etcd_debugging_mvcc_watch_stream_total etcd_debugging_mvcc_watcher_total etcd_debugging_server_lease_expired_total
etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds
etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds
etcd_debugging_server_watch_send_loop_control_stream_duration_seconds
etcd_debugging_server_watch_send_loop_progress_duration_seconds etcd_debugging_snap_save_marshalling_duration_seconds
etcd_debugging_snap_save_total_duration_seconds etcd_debugging_store_expires_total etcd_debugging_store_watch_requests_total
etcd_debugging_store_watchers etcd_disk_backend_commit_duration_seconds etcd_disk_backend_defrag_duration_seconds
etcd_disk_backend_snapshot_duration_seconds etcd_disk_defrag_inflight etcd_disk_wal_fsync_duration_seconds
etcd_disk_wal_write_bytes_total etcd_disk_wal_write_duration_seconds etcd_grpc_proxy_cache_hits_total
etcd_grpc_proxy_cache_keys_total etcd_grpc_proxy_cache_misses_total etcd_grpc_proxy_events_coalescing_total
etcd_grpc_proxy_watchers_coalescing_total etcd_mvcc_db_open_read_transactions etcd_mvcc_db_total_size_in_bytes
etcd_mvcc_db_total_size_in_use_in_bytes etcd_mvcc_delete_total etcd_mvcc_hash_duration_seconds etcd_mvcc_hash_rev_duration_seconds
etcd_mvcc_put_total etcd_mvcc_range_total etcd_mvcc_txn_total etcd_network_client_grpc_received_bytes_total
etcd_network_client_grpc_sent_bytes_total etcd_network_known_peers etcd_server_apply_duration_seconds
etcd_server_client_requests_total etcd_server_go_version etcd_server_has_leader etcd_server_health_failures
etcd_server_health_success etcd_server_heartbeat_send_failures_total etcd_server_id etcd_server_is_leader etcd_server_is_learner
etcd_server_leader_changes_seen_total etcd_server_learner_promote_successes etcd_server_proposals_applied_total
etcd_server_proposals_committed_total etcd_server_proposals_failed_total etcd_server_proposals_pending
etcd_server_quota_backend_bytes etcd_server_range_duration_seconds etcd_server_read_indexes_failed_total
etcd_server_request_duration_seconds etcd_server_slow_apply_total etcd_server_slow_read_indexes_total
etcd_server_snapshot_apply_in_progress_total etcd_server_version etcd_snap_db_fsync_duration_seconds
etcd_snap_db_save_total_duration_seconds etcd_snap_fsync_duration_seconds grpc_server_handled_total grpc_server_msg_received_total
grpc_server_msg_sent_total grpc_server_started_total os_fd_limit os_fd_used process_resident_memory_bytes
etcd_network_active_peers etcd_network_peer_received_bytes_total etcd_network_peer_sent_bytes_total
etcd_network_peer_sent_failures_total etcd_network_peer_round_trip_time_seconds grpc_server_handling_seconds
kvd_wal_batch_entries kvd_store_batch_revisions kvd_core_iteration_seconds kvd_connections kvd_corruption_checks_total kvd_fenced
promhttp_metric_handler_requests_total go_goroutines go_memstats_alloc_bytes go_sched_gomaxprocs_threads""".split()


def scrape(port):
    status, body = http_get(port, "/metrics")
    assert status == 200
    values = {}
    for line in body.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    return values


def names_of(values):
    found = set()
    for series in values:
        name = series.split("{")[0]
        found.add(name)
        for end in ("_bucket", "_sum", "_count"):
            found.add(name.removesuffix(end))
    return found


def main():
    require("etcdctl")
    with Cluster(extra=["--metrics=extensive"]) as cluster:
        (metrics_port,) = free_ports(1)
        cluster.members[0].extra = [f"--listen-metrics-urls=http://127.0.0.1:{metrics_port}"]
        cluster.start()
        cluster.wait_leader()
        member = cluster.members[0]
        wire = Wire(member.client_port, [("client-api-version", "3.7.1")])
        before = scrape(member.client_port)
        for i in range(5):
            wire.call("KV", "Put", key=b"m", value=b"v" * 100)
        wire.call("KV", "Range", key=b"m")
        wire.call("Maintenance", "HashKV")
        wire.refused("KV", "Range", "key is not provided")
        missing = sorted(set(NAMES) - names_of(before) - names_of(scrape(member.client_port)))
        assert not missing, missing

        def moved(series, least):
            now = scrape(member.client_port)
            assert now.get(series, 0) - before.get(series, 0) >= least, (series, before.get(series), now.get(series))

        put = 'grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
        moved(f"grpc_server_started_total{{{put}}}", 5)
        moved(f"grpc_server_handling_seconds_count{{{put}}}", 5)
        moved(f'grpc_server_handled_total{{grpc_code="OK",{put}}}', 5)
        moved('grpc_server_handled_total{grpc_code="InvalidArgument",grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"}', 1)
        moved("etcd_network_client_grpc_received_bytes_total", 500)
        moved("etcd_network_client_grpc_sent_bytes_total", 100)
        moved('etcd_server_client_requests_total{client_api_version="3.7.1",type="unary"}', 8)
        moved('etcd_server_request_duration_seconds_count{success="true",type="put"}', 5)
        moved('etcd_server_range_duration_seconds_count{success="false"}', 1)
        moved("etcd_mvcc_hash_rev_duration_seconds_count", 1)
        moved('etcd_server_apply_duration_seconds_count{op="Batch",success="true",version="v3"}', 1)

        def is_measured():
            now = scrape(member.client_port)
            trips = [v for k, v in now.items() if k.startswith("etcd_network_peer_round_trip_time_seconds_count")]
            received = [v for k, v in now.items() if k.startswith("etcd_network_peer_received_bytes_total")]
            return len(trips) == 2 and all(trips) and len(received) == 2 and all(received)
        wait_until(is_measured, 60, "the round trips to both peers")

        assert http_get(metrics_port, "/health")[0] == 200 and http_get(metrics_port, "/version")[0] == 200
        assert "etcd_server_has_leader" in {k.split("{")[0] for k in scrape(metrics_port)}
        assert http_get(metrics_port, "/v3/kv/range")[0] == 404
        status, body = http_get(member.client_port, "/readyz?verbose&exclude=non_learner")
        assert status == 200 and body == "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n", body
        assert http_get(member.client_port, "/livez/serializable_read")[1] == "ok\n"
        assert http_get(member.client_port, "/readyz/nothing")[0] == 404
        wire.close()
        print(f"metrics: ok, {len(NAMES)} names")


if __name__ == "__main__":
    main()
