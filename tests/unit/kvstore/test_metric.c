#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/server/metric.h"

static void expect_line(struct buf *text, const char *line)
{
    if (strstr(buf_text(text), line) == NULL) {
        fail_msg("no line %s", line);
    }
}

static void test_families_are_written_with_type_labels_and_buckets(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    metric_add(metrics, METRIC_PUTS, 3);
    metric_set(metrics, METRIC_HAS_LEADER, 1);
    metric_child_add(metric_get(metrics, METRIC_PEER_SENT, "ab\"c"), 7);
    metric_child_add(metric_get(metrics, METRIC_GRPC_HANDLED, "unary,etcdserverpb.KV,Put,OK"), 5);
    metric_observe(metrics, METRIC_WAL_FSYNC, 0.0015);
    metric_observe(metrics, METRIC_WAL_FSYNC, 100);
    CLEANUP(buf) struct buf text = BUF_INIT;
    metrics_write(metrics, &text);
    expect_line(&text, "# TYPE etcd_mvcc_put_total counter\netcd_mvcc_put_total 3\n");
    expect_line(&text, "\netcd_server_has_leader 1\n");
    expect_line(&text, "\netcd_network_peer_sent_bytes_total{To=\"ab\\\"c\"} 7\n");
    expect_line(&text, "\ngrpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\","
                       "grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 5\n");
    expect_line(&text, "\netcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 0\n");
    expect_line(&text, "\netcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} 1\n");
    expect_line(&text, "\netcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 2\n");
    expect_line(&text, "\netcd_disk_wal_fsync_duration_seconds_sum 100.0015\n");
    expect_line(&text, "\netcd_disk_wal_fsync_duration_seconds_count 2\n");
    assert_null(strstr(buf_text(&text), "process_resident_memory_bytes 0\n"));
    metrics_free(metrics);
}

static void test_a_label_that_changes_leaves_one_series(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    metric_set_only(metrics, METRIC_CLUSTER_VERSION, "3.6", 1);
    metric_set_only(metrics, METRIC_CLUSTER_VERSION, "3.7", 1);
    CLEANUP(buf) struct buf text = BUF_INIT;
    metrics_write(metrics, &text);
    expect_line(&text, "\netcd_cluster_version{cluster_version=\"3.7\"} 1\n");
    assert_null(strstr(buf_text(&text), "\"3.6\""));
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families_are_written_with_type_labels_and_buckets),
        cmocka_unit_test(test_a_label_that_changes_leaves_one_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
