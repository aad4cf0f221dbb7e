#include "kvstore/server/service.h"

#include <openssl/rand.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "kvstore/server/config.h"
#include "kvstore/server/recipe.h"

#define NAMED(package, service, method, number)                                                    \
    {                                                                                              \
        .path = "/" package "." service "/" method, .id = (number)                                 \
    }
#define UNARY(service, method, number) NAMED("etcdserverpb", service, method, number)

const struct grpc_method service_methods[] = {
    UNARY("KV", "Range", NODE_RANGE),
    {.path = "/etcdserverpb.KV/RangeStream", .server_stream = true, .id = NODE_RANGE_STREAM},
    UNARY("KV", "Put", NODE_PUT),
    UNARY("KV", "DeleteRange", NODE_DELETE_RANGE),
    UNARY("KV", "Txn", NODE_TXN),
    UNARY("KV", "Compact", NODE_COMPACT),
    {.path = "/etcdserverpb.Watch/Watch",
     .client_stream = true,
     .server_stream = true,
     .id = SERVICE_WATCH},
    UNARY("Lease", "LeaseGrant", NODE_LEASE_GRANT),
    UNARY("Lease", "LeaseRevoke", NODE_LEASE_REVOKE),
    {.path = "/etcdserverpb.Lease/LeaseKeepAlive",
     .client_stream = true,
     .server_stream = true,
     .id = SERVICE_LEASE_KEEP_ALIVE},
    UNARY("Lease", "LeaseTimeToLive", NODE_LEASE_TIME_TO_LIVE),
    UNARY("Lease", "LeaseLeases", NODE_LEASE_LEASES),
    UNARY("Cluster", "MemberAdd", NODE_MEMBER_ADD),
    UNARY("Cluster", "MemberRemove", NODE_MEMBER_REMOVE),
    UNARY("Cluster", "MemberUpdate", NODE_MEMBER_UPDATE),
    UNARY("Cluster", "MemberList", NODE_MEMBER_LIST),
    UNARY("Cluster", "MemberPromote", NODE_MEMBER_PROMOTE),
    UNARY("Maintenance", "Alarm", NODE_ALARM),
    UNARY("Maintenance", "Status", NODE_STATUS),
    UNARY("Maintenance", "Hash", NODE_HASH),
    UNARY("Maintenance", "HashKV", NODE_HASH_KV),
    UNARY("Maintenance", "MoveLeader", NODE_MOVE_LEADER),
    UNARY("Maintenance", "Downgrade", NODE_DOWNGRADE),
    UNARY("Maintenance", "Defragment", SERVICE_DEFRAGMENT),
    {.path = "/etcdserverpb.Maintenance/Snapshot", .server_stream = true, .id = SERVICE_SNAPSHOT},
    UNARY("Auth", "AuthEnable", NODE_AUTH_ENABLE),
    UNARY("Auth", "AuthDisable", NODE_AUTH_DISABLE),
    UNARY("Auth", "AuthStatus", NODE_AUTH_STATUS),
    UNARY("Auth", "Authenticate", SERVICE_AUTHENTICATE),
    UNARY("Auth", "UserAdd", SERVICE_USER_ADD),
    UNARY("Auth", "UserGet", NODE_USER_GET),
    UNARY("Auth", "UserList", NODE_USER_LIST),
    UNARY("Auth", "UserDelete", NODE_USER_DELETE),
    UNARY("Auth", "UserChangePassword", SERVICE_USER_CHANGE_PASSWORD),
    UNARY("Auth", "UserGrantRole", NODE_USER_GRANT_ROLE),
    UNARY("Auth", "UserRevokeRole", NODE_USER_REVOKE_ROLE),
    UNARY("Auth", "RoleAdd", NODE_ROLE_ADD),
    UNARY("Auth", "RoleGet", NODE_ROLE_GET),
    UNARY("Auth", "RoleList", NODE_ROLE_LIST),
    UNARY("Auth", "RoleDelete", NODE_ROLE_DELETE),
    UNARY("Auth", "RoleGrantPermission", NODE_ROLE_GRANT_PERMISSION),
    UNARY("Auth", "RoleRevokePermission", NODE_ROLE_REVOKE_PERMISSION),
    NAMED("v3lockpb", "Lock", "Lock", SERVICE_LOCK),
    NAMED("v3lockpb", "Lock", "Unlock", SERVICE_UNLOCK),
    NAMED("v3electionpb", "Election", "Campaign", SERVICE_CAMPAIGN),
    NAMED("v3electionpb", "Election", "Proclaim", SERVICE_PROCLAIM),
    NAMED("v3electionpb", "Election", "Leader", SERVICE_LEADER),
    NAMED("v3electionpb", "Election", "Resign", SERVICE_RESIGN),
    {.path = "/v3electionpb.Election/Observe", .server_stream = true, .id = SERVICE_OBSERVE},
    {.path = "/grpc.health.v1.Health/Check", .id = SERVICE_HEALTH_CHECK},
    {.path = "/grpc.health.v1.Health/Watch", .server_stream = true, .id = SERVICE_HEALTH_WATCH},
};
/* A method without a rule in kvstore/auth/authorize.h, or a rule without a method. */
_Static_assert(sizeof service_methods / sizeof service_methods[0] == AUTH_RPC_COUNT,
               "every RPC has exactly one authorisation rule");
const size_t service_method_count = sizeof service_methods / sizeof service_methods[0];

/* What may wait to be read by a client, on one connection, before its next answer to a Range is
 * dropped and made again when there is room. A client that opens a thousand streams, asks for
 * large ranges and reads nothing costs this much and not their sum. */
enum { UNREAD_BYTES_MAX = 4 << 20, UNREAD_RETRY_MS = 20 };

/* A unary call, or a RangeStream, under way in the core. */
struct unary_call {
    struct core_call core_call;
    struct list parked_link;
    struct grpc_call *call; /* NULL: the client has gone */
    uint8_t body[];
};

static void retry_parked(struct timer *timer);

void service_init(struct service *service, struct core *core, struct metrics *metrics,
                  struct timers *timers, const struct config *config)
{
    *service = (struct service){.core = core,
                                .metrics = metrics,
                                .timers = timers,
                                .slow_request_ms =
                                    (uint64_t)config->warning_unary_request_duration_ns / 1000000U};
    list_init(&service->parked);
    timer_init(&service->parked_timer, retry_parked);
    list_init(&service->watch_streams);
    list_init(&service->keep_alives);
    list_init(&service->snapshots);
    service->counters = service_counters_new(metrics, strcmp(config->metrics, "extensive") == 0);
}

void service_deinit(struct service *service)
{
    if (service->timers != NULL) { /* else it was never made */
        timers_clear(service->timers, &service->parked_timer);
    }
    auth_service_deinit(service);
    mem_free(service->counters);
}

void service_fail(struct grpc_call *call, enum etcd_error error)
{
    service_finish(call, (enum grpc_status)etcd_error_grpc_code(error), etcd_error_text(error));
}

bool service_lacks_leader(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    struct bytes wants = grpc_call_metadata(call, "hasleader");
    if (!bytes_equal(wants, BYTES_LITERAL("true")) || node_leader(core_node(service->core)) != 0) {
        return false;
    }
    service_fail(call, ETCD_NO_LEADER);
    return true;
}

static void set_parked_timer(struct service *service)
{
    if (!timer_is_set(&service->parked_timer)) {
        timers_set(service->timers, &service->parked_timer,
                   service->timers->now_ms + UNREAD_RETRY_MS);
    }
}

static void retry_parked(struct timer *timer)
{
    struct service *service = container_of(timer, struct service, parked_timer);
    list_foreach_safe (link, &service->parked) {
        struct unary_call *unary = container_of(link, struct unary_call, parked_link);
        if (grpc_call_connection_queued_bytes(unary->call) <= UNREAD_BYTES_MAX) {
            list_remove(link);
            core_submit(service->core, &unary->core_call);
        }
    }
    if (!list_is_empty(&service->parked)) {
        set_parked_timer(service);
    }
}

/* True: there is no room for this answer; the same will be asked again. */
static bool try_park(struct unary_call *unary, const struct node_reply *reply)
{
    if (unary->core_call.method != NODE_RANGE || reply->status != ETCD_OK ||
        grpc_call_connection_queued_bytes(unary->call) <= UNREAD_BYTES_MAX) {
        return false;
    }
    struct service *service = grpc_call_context(unary->call);
    list_push_back(&service->parked, &unary->parked_link);
    set_parked_timer(service);
    return true;
}

static void on_reply(struct core_call *core_call, const struct node_reply *reply)
{
    struct unary_call *unary = container_of(core_call, struct unary_call, core_call);
    struct grpc_call *call = unary->call;
    if (call != NULL && try_park(unary, reply)) {
        return;
    }
    if (call != NULL) {
        if (reply->status != ETCD_OK) {
            service_fail(call, reply->status);
        } else {
            service_send(call, reply->body);
            if (!reply->more) {
                service_finish(call, GRPC_OK, NULL);
            } else if (grpc_call_is_writable(call)) {
                struct service *service = grpc_call_context(call);
                core_resume(service->core, core_call);
            }
        }
    }
    if (!reply->more) {
        mem_free(unary);
    }
}

uint64_t service_fresh_id(void)
{
    uint64_t id = 0;
    int ok = RAND_bytes((unsigned char *)&id, sizeof id);
    CHECK(ok == 1); /* ids would collide */
    id &= INT64_MAX;
    return id == 0 ? 1 : id;
}

static void start_unary(struct grpc_call *call, enum node_method method, struct bytes body)
{
    struct service *service = grpc_call_context(call);
    struct auth_caller caller = {0};
    bool is_public = method == NODE_AUTH_STATUS;
    enum etcd_error error = is_public ? ETCD_OK : auth_service_identify(call, &caller);
    if (error != ETCD_OK) {
        service_fail(call, error);
        return;
    }
    size_t name_size = caller.username.size;
    struct unary_call *unary = mem_alloc(sizeof *unary + body.size + name_size);
    if (name_size > 0) {
        memcpy(unary->body + body.size, caller.username.data, name_size);
    }
    caller.username = bytes_make(unary->body + body.size, name_size);
    unary->call = call;
    list_init(&unary->parked_link);
    unary->core_call = (struct core_call){.method = method,
                                          .body = bytes_make(unary->body, body.size),
                                          .caller = caller,
                                          .on_reply = on_reply};
    if (method == NODE_LEASE_GRANT || method == NODE_MEMBER_ADD) {
        unary->core_call.fresh_id = service_fresh_id();
    }
    if (body.size > 0) {
        memcpy(unary->body, body.data, body.size);
    }
    grpc_call_set_data(call, unary);
    core_submit(service->core, &unary->core_call);
}

static void cancel_unary(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    struct unary_call *unary = grpc_call_data(call);
    if (unary == NULL) {
        return;
    }
    grpc_call_set_data(call, NULL);
    unary->call = NULL;
    if (!list_is_empty(&unary->parked_link)) {
        list_remove(&unary->parked_link);
        mem_free(unary);
        return;
    }
    core_abandon(service->core, &unary->core_call);
}

/* HealthCheckResponse{status: SERVING}: the one service is "". */
static void answer_health(struct grpc_call *call, bool is_watch)
{
    static const uint8_t serving[] = {0x08, 0x01};
    service_send(call, bytes_make(serving, sizeof serving));
    if (!is_watch) {
        service_finish(call, GRPC_OK, NULL);
    }
}

static void on_call_start(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    service_count_start(call);
    if (service->is_stopping) {
        service_fail(call, ETCD_STOPPED);
        return;
    }
    if (service_lacks_leader(call)) {
        return;
    }
    switch (grpc_call_method(call)->id) {
    case SERVICE_WATCH:
        watch_service_start(call);
        break;
    case SERVICE_LEASE_KEEP_ALIVE:
        lease_service_start(call);
        break;
    default:
        break;
    }
}

static void on_message(struct grpc_call *call, const struct grpc_message *message)
{
    int id = grpc_call_method(call)->id;
    service_count_received(call, message->raw.size);
    switch (id) {
    case SERVICE_WATCH:
        watch_service_message(call, message->raw);
        break;
    case SERVICE_LEASE_KEEP_ALIVE:
        lease_service_message(call, message->raw);
        break;
    case SERVICE_SNAPSHOT:
        maintenance_service_snapshot(call);
        break;
    case SERVICE_DEFRAGMENT:
        maintenance_service_defragment(call);
        break;
    case SERVICE_AUTHENTICATE:
        auth_service_authenticate(call, message->raw);
        break;
    case SERVICE_USER_ADD:
        auth_service_user_add(call, message->raw);
        break;
    case SERVICE_USER_CHANGE_PASSWORD:
        auth_service_change_password(call, message->raw);
        break;
    case SERVICE_HEALTH_CHECK:
    case SERVICE_HEALTH_WATCH:
        answer_health(call, id == SERVICE_HEALTH_WATCH);
        break;
    case SERVICE_LOCK:
        lock_service_lock(call, message->raw);
        break;
    case SERVICE_UNLOCK:
        lock_service_unlock(call, message->raw);
        break;
    case SERVICE_CAMPAIGN:
        election_service_campaign(call, message->raw);
        break;
    case SERVICE_PROCLAIM:
        election_service_proclaim(call, message->raw);
        break;
    case SERVICE_LEADER:
        election_service_leader(call, message->raw);
        break;
    case SERVICE_RESIGN:
        election_service_resign(call, message->raw);
        break;
    case SERVICE_OBSERVE:
        election_observe_start(call, message->raw);
        break;
    default:
        start_unary(call, (enum node_method)id, message->raw);
        break;
    }
}

static void on_half_close(struct grpc_call *call)
{
    if (grpc_call_method(call)->id == SERVICE_WATCH) {
        watch_service_half_close(call);
    } else if (grpc_call_method(call)->id == SERVICE_LEASE_KEEP_ALIVE) {
        lease_service_half_close(call);
    }
}

static void on_cancel(struct grpc_call *call, enum grpc_status reason)
{
    service_count_end(call, reason);
    switch (grpc_call_method(call)->id) {
    case SERVICE_WATCH:
        watch_service_cancel(call);
        break;
    case SERVICE_LEASE_KEEP_ALIVE:
        lease_service_cancel(call);
        break;
    case SERVICE_SNAPSHOT:
        maintenance_service_snapshot_cancel(call);
        break;
    case SERVICE_DEFRAGMENT:
    case SERVICE_AUTHENTICATE: /* its answer finds the call closed */
    case SERVICE_USER_ADD:
    case SERVICE_USER_CHANGE_PASSWORD:
    case SERVICE_HEALTH_CHECK:
    case SERVICE_HEALTH_WATCH:
        break;
    case SERVICE_LOCK:
    case SERVICE_UNLOCK:
    case SERVICE_CAMPAIGN:
    case SERVICE_PROCLAIM:
    case SERVICE_LEADER:
    case SERVICE_RESIGN:
    case SERVICE_OBSERVE:
        recipe_cancel(call);
        break;
    default:
        cancel_unary(call);
        break;
    }
}

static void on_writable(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    switch (grpc_call_method(call)->id) {
    case SERVICE_WATCH:
        watch_service_writable(call);
        break;
    case SERVICE_SNAPSHOT:
        maintenance_service_snapshot_writable(call);
        break;
    case SERVICE_OBSERVE:
        election_observe_writable(call);
        break;
    case NODE_RANGE_STREAM: {
        struct unary_call *unary = grpc_call_data(call);
        if (unary != NULL) {
            core_resume(service->core, &unary->core_call);
        }
        break;
    }
    default:
        break;
    }
}

const struct grpc_handler service_handler = {
    .on_call_start = on_call_start,
    .on_message = on_message,
    .on_half_close = on_half_close,
    .on_cancel = on_cancel,
    .on_writable = on_writable,
};
