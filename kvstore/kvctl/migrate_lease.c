/* Leases keep id and TTL. While the migration runs it keeps them alive on the target; whether one
 * ends is decided by the source, whose deletions come as events. After the cut-over each has its
 * full TTL, as after a change of the leader. */
#include <inttypes.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/migrate_live.h"

/* Gone on the target: only if we could not renew in time. Then it is granted again when needed. */
static void on_renewed(void *context, const Etcdserverpb__LeaseKeepAliveResponse *response)
{
    (void)context;
    (void)response;
}

static int grant(struct live *live, int64_t id, int64_t ttl_s)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    request.id = id;
    request.ttl = ttl_s;
    CLEANUP(answer) struct answer answer = {0};
    struct kv_client *client = live->target->session->client;
    session_ask(live->target, client, &kv_lease_grant, &request.base, SESSION_COMMAND_TIMEOUT,
                &answer);
    /* Granted before an earlier run was killed: fine. */
    if (answer.status != GRPC_OK && answer.status != GRPC_FAILED_PRECONDITION) {
        return session_fail(live->target, client, EXIT_CODE_ERROR, &answer);
    }
    struct lease_keeper *keeper = lease_keeper_open(client, id, ttl_s, on_renewed, live);
    (void)u64_map_set(&live->leases, (uint64_t)id, keeper);
    return EXIT_CODE_OK;
}

int live_lease_need(struct live *live, int64_t id, bool *ret_is_there)
{
    *ret_is_there = true;
    if (u64_map_find(&live->leases, (uint64_t)id) != NULL) {
        return EXIT_CODE_OK;
    }
    Etcdserverpb__LeaseTimeToLiveRequest request = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    request.id = id;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(&live->source, &kv_lease_time_to_live, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__LeaseTimeToLiveResponse *found = answer.message;
    if (found->ttl < 0 || found->grantedttl <= 0) {
        *ret_is_there = false; /* it ended meanwhile: the deletion of its keys follows */
        return EXIT_CODE_OK;
    }
    return grant(live, id, found->grantedttl);
}

int live_leases_copy(struct live *live)
{
    Etcdserverpb__LeaseLeasesRequest request = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(&live->source, &kv_lease_leases, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__LeaseLeasesResponse *found = answer.message;
    for (size_t i = 0; code == EXIT_CODE_OK && i < found->n_leases; i++) {
        bool is_there;
        code = live_lease_need(live, found->leases[i]->id, &is_there);
    }
    return code;
}

void live_leases_close(struct live *live)
{
    size_t cursor = 0;
    uint64_t id;
    void *keeper;
    while (u64_map_next(&live->leases, &cursor, &id, &keeper)) {
        lease_keeper_close(keeper);
    }
    u64_map_deinit(&live->leases);
}
