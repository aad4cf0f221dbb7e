#include "base/arena.h"
#include "kvstore/backend/backend.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/node/node_internal.h"
#include "proto/arena_allocator.h"
#include "proto/rpc.pb-c.h"

/* Small decodings of requests; malformed ones read as the default and are refused later. */

raft_id node_decode_move_leader(struct node *node, struct bytes body)
{
    (void)node;
    struct arena arena = ARENA_INIT;
    const ProtobufCMessage *message =
        proto_decode(&etcdserverpb__move_leader_request__descriptor, body, &arena);
    raft_id target =
        message == NULL ? 0 : ((const Etcdserverpb__MoveLeaderRequest *)message)->targetid;
    arena_deinit(&arena);
    return target;
}

bool node_decode_is_linearizable(struct node *node, const struct node_request *request)
{
    (void)node;
    struct arena arena = ARENA_INIT;
    const ProtobufCMessage *message =
        proto_decode(&etcdserverpb__member_list_request__descriptor, request->body, &arena);
    bool is_linearizable =
        message != NULL && ((const Etcdserverpb__MemberListRequest *)message)->linearizable != 0;
    arena_deinit(&arena);
    return is_linearizable;
}

bool node_decode_is_alarm_get(struct node *node, struct bytes body)
{
    (void)node;
    struct arena arena = ARENA_INIT;
    const ProtobufCMessage *message =
        proto_decode(&etcdserverpb__alarm_request__descriptor, body, &arena);
    bool is_get = message != NULL && ((const Etcdserverpb__AlarmRequest *)message)->action ==
                                         ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET;
    arena_deinit(&arena);
    return is_get;
}

/* A tag and a length at the start of input; false if there is no field 1 of bytes. */
static bool split_header(struct bytes input, struct bytes *header, struct bytes *rest)
{
    if (input.size < 2 || input.data[0] != 0x0a) {
        return false;
    }
    size_t size = 0;
    size_t at = 1;
    for (unsigned shift = 0; at < input.size && shift < 28; shift += 7) {
        uint8_t byte = input.data[at++];
        size |= (size_t)(byte & 0x7fU) << shift;
        if ((byte & 0x80U) == 0) {
            if (size > input.size - at) {
                return false;
            }
            *header = bytes_make(input.data + at, size);
            *rest = bytes_make(input.data + at + size, input.size - at - size);
            return true;
        }
    }
    return false;
}

/* The leader made this answer for us: put our own member id in its header. */
void node_rehead(struct node *node, struct bytes answer, struct buf *out)
{
    struct bytes header_bytes;
    struct bytes rest;
    if (!split_header(answer, &header_bytes, &rest)) {
        buf_append_bytes(out, answer);
        return;
    }
    struct arena arena = ARENA_INIT;
    ProtobufCMessage *message =
        proto_decode(&etcdserverpb__response_header__descriptor, header_bytes, &arena);
    if (message == NULL) {
        buf_append_bytes(out, answer);
    } else {
        ((Etcdserverpb__ResponseHeader *)message)->member_id = kv_member_id(node->kv);
        struct bytes header = proto_encode(message, &arena);
        buf_append_u8(out, 0x0a);
        size_t size = header.size;
        for (; size >= 0x80; size >>= 7) {
            buf_append_u8(out, (uint8_t)(size | 0x80U));
        }
        buf_append_u8(out, (uint8_t)size);
        buf_append_bytes(out, header);
        buf_append_bytes(out, rest);
    }
    arena_deinit(&arena);
}

enum { STATUS_ERRORS_MAX = 1 + 2 * RAFT_MEMBERS_MAX };

static void fill_errors(struct node *node, const struct raft_status *raft,
                        Etcdserverpb__StatusResponse *response, struct arena *arena)
{
    struct kv_alarm_member alarms[2 * RAFT_MEMBERS_MAX];
    uint32_t count = kv_alarms(node->kv, alarms, 2 * RAFT_MEMBERS_MAX);
    response->errors = arena_alloc(arena, STATUS_ERRORS_MAX * sizeof *response->errors);
    if (raft->leader == 0) {
        response->errors[response->n_errors++] = arena_strdup(arena, "etcdserver: no leader");
    }
    for (uint32_t i = 0; i < count && i < 2 * RAFT_MEMBERS_MAX; i++) {
        response->errors[response->n_errors++] =
            arena_printf(arena, "memberID:%llu alarm:%s ", (unsigned long long)alarms[i].member_id,
                         alarms[i].alarm == KV_ALARM_NO_SPACE ? "NOSPACE" : "CORRUPT");
    }
}

/* Answered by every member for itself, with or without a leader. */
void node_status_reply(struct node *node, uint64_t token)
{
    struct raft_status raft;
    struct backend_stats backend;
    raft_get_status(node->raft, &raft);
    backend_stats(node->options.kv.backend, &backend);
    struct arena arena = ARENA_INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    header.cluster_id = kv_cluster_id(node->kv);
    header.member_id = kv_member_id(node->kv);
    header.revision = kv_revision(node->kv);
    header.raft_term = raft.term;
    Etcdserverpb__StatusResponse response;
    etcdserverpb__status_response__init(&response);
    response.header = &header;
    response.version = arena_strdup(&arena, node->options.version);
    response.dbsize = (int64_t)backend.size_bytes;
    response.dbsizeinuse = (int64_t)backend.size_in_use_bytes;
    int64_t quota = node->options.kv.quota_bytes;
    response.dbsizequota = quota == 0 ? (INT64_C(2) << 30) : quota;
    response.leader = raft.leader;
    response.raftindex = raft.commit;
    response.raftterm = raft.term;
    response.raftappliedindex = kv_applied(node->kv).index;
    response.islearner = node_is_learner(node);
    response.storageversion = arena_strdup(&arena, "3.7.0");
    Etcdserverpb__DowngradeInfo downgrade;
    etcdserverpb__downgrade_info__init(&downgrade);
    downgrade.targetversion = arena_strdup(&arena, cluster_downgrade(kv_cluster(node->kv)));
    downgrade.enabled = downgrade.targetversion[0] != 0;
    response.downgradeinfo = &downgrade;
    fill_errors(node, &raft, &response, &arena);
    node_reply_bytes(node, token, 0, 0, proto_encode(&response.base, &arena));
    arena_deinit(&arena);
}
