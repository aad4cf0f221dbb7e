#include <stdio.h>

#include "base/check.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/server/server.h"
#include "kvstore/watch/watch_hub.h"

static void on_send(void *context, const struct raft_message *message)
{
    struct server *server = context;
    if (server->peers != NULL) {
        peers_send(server->peers, message);
    }
}

static void on_send_frame(void *context, raft_id to, struct bytes frame)
{
    struct server *server = context;
    if (server->peers != NULL) {
        peers_send_frame(server->peers, to, frame);
    }
}

static void on_flush(void *context)
{
    struct server *server = context;
    if (server->peers != NULL) {
        peers_flush(server->peers);
    }
}

static void on_watch_ready(void *context, void *stream)
{
    (void)context;
    watch_service_ready(stream);
}

static void on_role_changed(void *context, enum raft_role role, raft_id leader, raft_term term)
{
    static const char *const names[] = {"follower", "pre-candidate", "candidate", "leader"};
    struct server *server = context;
    log_info("raft role changed", LOG_ID("local-member-id", core_member_id(server->core)),
             LOG_TEXT("role", names[role]), LOG_ID("leader", leader), LOG_U64("term", term));
    if (server->has_leader != (leader != 0)) {
        server->has_leader = leader != 0;
        service_on_leader(&server->service, server->has_leader);
    }
}

/* The peers are the members that the state machine knows, at the addresses it knows. */
void server_update_peers(struct server *server)
{
    const struct cluster *cluster = kv_cluster(node_kv(core_node(server->core)));
    uint64_t self = core_member_id(server->core);
    raft_id ids[CLUSTER_MEMBERS_MAX];
    uint32_t count = 0;
    if (cluster_count(cluster) == 0) {
        return; /* joining: the configuration's addresses are all there is */
    }
    for (uint32_t i = 0; i < cluster_count(cluster); i++) {
        const struct cluster_member *member = cluster_at(cluster, i);
        struct arena arena = ARENA_INIT;
        struct config_urls urls = {0};
        for (uint32_t j = 0; j < member->peer_urls.count && j < CONFIG_URLS_MAX; j++) {
            if (config_parse_url(&arena, member->peer_urls.url[j], &urls.url[urls.count], NULL) ==
                0) {
                urls.count += 1;
            }
        }
        if (member->id != self && urls.count > 0) {
            peers_put(server->peers, member->id, &urls);
            ids[count++] = member->id;
        }
        arena_deinit(&arena);
    }
    peers_keep(server->peers, ids, count);
    peer_service_drop_removed(&server->peer_service);
}

static void on_members_changed(void *context)
{
    struct server *server = context;
    if (server->peers != NULL && server->state < SERVER_CLOSING) {
        server_update_peers(server);
    }
}

static void on_failed(void *context, int exit_code, const char *text)
{
    server_fail(context, exit_code, text);
}

struct core_events server_core_events(struct server *server)
{
    return (struct core_events){
        .context = server,
        .send = on_send,
        .send_frame = on_send_frame,
        .flush = on_flush,
        .watch_ready = on_watch_ready,
        .role_changed = on_role_changed,
        .members_changed = on_members_changed,
        .failed = on_failed,
    };
}

void server_on_removed(void *context)
{
    server_fail(context, EXIT_MEMBER_REMOVED, PEER_REMOVED_TEXT);
}

void server_on_lost_data(void *context)
{
    server_fail(context, EXIT_CORRUPT_LOG, PEER_LOST_DATA_TEXT);
}

static void refresh_store_metrics(struct server *server)
{
    struct metrics *metrics = server->metrics;
    struct kv *kv = node_kv(core_node(server->core));
    struct kv_stats kv_figures;
    struct backend_stats store;
    struct watch_stats watch;
    kv_stats(kv, &kv_figures);
    backend_stats(core_backend(server->core), &store);
    watch_hub_stats(kv_watch_hub(kv), &watch);
    metric_set(metrics, METRIC_CURRENT_REVISION, kv_revision(kv));
    metric_set(metrics, METRIC_COMPACT_REVISION, kv_compact_revision(kv));
    metric_set(metrics, METRIC_KEYS, (int64_t)kv_figures.keys);
    metric_set(metrics, METRIC_PUTS, (int64_t)kv_figures.puts);
    metric_set(metrics, METRIC_DELETES, (int64_t)kv_figures.deletes);
    metric_set(metrics, METRIC_RANGES, (int64_t)kv_figures.ranges);
    metric_set(metrics, METRIC_TXNS, (int64_t)kv_figures.txns);
    metric_set(metrics, METRIC_PUT_BYTES, (int64_t)kv_figures.put_bytes);
    metric_set(metrics, METRIC_EVENTS, (int64_t)kv_figures.events);
    metric_set(metrics, METRIC_COMPACTION_KEYS, (int64_t)kv_figures.compacted_revisions);
    metric_set(metrics, METRIC_LEASE_GRANTED, (int64_t)kv_figures.leases_granted);
    metric_set(metrics, METRIC_LEASE_REVOKED, (int64_t)kv_figures.leases_revoked);
    metric_set(metrics, METRIC_LEASE_RENEWED, (int64_t)kv_figures.leases_renewed);
    metric_set(metrics, METRIC_AUTH_REVISION, (int64_t)auth_revision(kv_auth(kv)));
    metric_set(metrics, METRIC_DB_SIZE, (int64_t)store.size_bytes);
    metric_set(metrics, METRIC_DB_SIZE_IN_USE, (int64_t)store.size_in_use_bytes);
    metric_set(metrics, METRIC_OPEN_READS, 1 + (int64_t)store.snapshot_count);
    metric_set(metrics, METRIC_WATCHERS, (int64_t)watch.watchers);
    metric_set(metrics, METRIC_WATCH_STREAMS, (int64_t)watch.streams);
    metric_set(metrics, METRIC_SLOW_WATCHERS, (int64_t)watch.slow_watchers);
    metric_set(metrics, METRIC_PENDING_EVENTS, (int64_t)watch.pending_events);
    int64_t quota = server->config->quota_backend_bytes;
    metric_set(metrics, METRIC_QUOTA, quota == 0 ? INT64_C(2) << 30 : quota);
}

/* etcd_debugging_server_alarms{server_id, alarm_type}: 1 while raised, 0 after. */
static void refresh_alarms(struct server *server)
{
    struct kv_alarm_member alarms[2 * RAFT_MEMBERS_MAX];
    uint32_t count = kv_alarms(node_kv(core_node(server->core)), alarms, 2 * RAFT_MEMBERS_MAX);
    metric_zero(server->metrics, METRIC_ALARMS);
    for (uint32_t i = 0; i < count && i < 2 * RAFT_MEMBERS_MAX; i++) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "%llx,%s", (unsigned long long)alarms[i].member_id,
                       alarms[i].alarm == KV_ALARM_NO_SPACE ? "NOSPACE" : "CORRUPT");
        metric_child_set(metric_get(server->metrics, METRIC_ALARMS, labels), 1);
    }
}

static void refresh_raft_metrics(struct server *server)
{
    struct metrics *metrics = server->metrics;
    struct node *node = core_node(server->core);
    struct raft_status status;
    struct node_stats stats;
    node_get_status(node, &status);
    node_get_stats(node, &stats);
    metric_set(metrics, METRIC_HAS_LEADER, status.leader != 0);
    metric_set(metrics, METRIC_IS_LEADER, status.role == RAFT_LEADER);
    metric_set(metrics, METRIC_IS_LEARNER, node_is_learner(node));
    metric_set(metrics, METRIC_LEADER_CHANGES, (int64_t)stats.leader_changes);
    metric_set(metrics, METRIC_LEASE_EXPIRED, (int64_t)stats.lease_expired);
    metric_set(metrics, METRIC_PROPOSALS_COMMITTED, (int64_t)status.commit);
    metric_set(metrics, METRIC_PROPOSALS_APPLIED, (int64_t)node_applied(node));
    metric_set(metrics, METRIC_PROPOSALS_PENDING, (int64_t)stats.proposals_pending);
    metric_set(metrics, METRIC_PROPOSALS_FAILED, (int64_t)stats.proposals_failed);
    metric_set(metrics, METRIC_READ_INDEXES_FAILED, (int64_t)stats.read_indexes_failed);
}

void server_refresh_metrics(void *context)
{
    struct server *server = context;
    refresh_store_metrics(server);
    refresh_raft_metrics(server);
    refresh_alarms(server);
    int64_t connections = 0;
    for (unsigned i = 0; i < server->listener_count; i++) {
        connections += listener_connection_count(server->listeners[i]);
    }
    metric_set(server->metrics, METRIC_KVD_CONNECTIONS, connections);
}
