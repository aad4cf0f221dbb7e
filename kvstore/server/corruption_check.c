#include "kvstore/server/corruption_check.h"

#include "base/log.h"
#include "base/pb.h"

/* --- the end --------------------------------------------------------------------------------- */

static void raise_next(struct corruption_check *check);

static void on_alarm_raised(struct core_call *call, const struct node_reply *reply)
{
    struct corruption_check *check = container_of(call, struct corruption_check, alarm_call);
    if (reply->status != ETCD_OK) {
        log_error("cannot raise the CORRUPT alarm", /* the next check finds the same */
                  LOG_TEXT("error", etcd_error_text(reply->status)));
    }
    raise_next(check);
}

static bool has_alarm(struct corruption_check *check, uint64_t member)
{
    struct kv_alarm_member alarms[2 * RAFT_MEMBERS_MAX];
    uint32_t count = kv_alarms(node_kv(core_node(check->core)), alarms, 2 * RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < count && i < 2 * RAFT_MEMBERS_MAX; i++) {
        if (alarms[i].alarm == KV_ALARM_CORRUPT && alarms[i].member_id == member) {
            return true;
        }
    }
    return false;
}

static void raise_next(struct corruption_check *check)
{
    while (check->accused_count > 0) {
        uint64_t member = check->accused[--check->accused_count];
        if (has_alarm(check, member)) {
            continue;
        }
        log_error("found data inconsistency between members; raising the CORRUPT alarm",
                  LOG_ID("member-id", member), LOG_I64("revision", check->revision),
                  LOG_I64("compact-revision", check->compact_revision));
        metric_add(check->metrics, METRIC_KVD_CORRUPTIONS, 1);
        buf_clear(&check->alarm_body);
        kv_encode_alarm_corrupt(member, &check->alarm_body);
        check->alarm_call = (struct core_call){.method = NODE_ALARM,
                                               .body = buf_bytes(&check->alarm_body),
                                               .is_internal = true,
                                               .on_reply = on_alarm_raised};
        core_submit(check->core, &check->alarm_call);
        return;
    }
    check->is_running = false;
}

static void vote(struct corruption_check *check)
{
    struct hash_vote votes[CLUSTER_MEMBERS_MAX + 1] = {check->own};
    uint32_t count = 1;
    for (uint32_t i = 0; i < check->ask_count; i++) {
        if (check->asks[i].is_open || check->asks[i].is_waiting) {
            return; /* not all are known yet */
        }
        if (check->asks[i].has_hash) {
            votes[count++] = (struct hash_vote){check->asks[i].member, check->asks[i].hash};
        }
    }
    check->accused_count = hash_vote_accuse(votes, count, check->ask_count + 1, check->accused);
    metric_add(check->metrics, METRIC_KVD_CORRUPTION_CHECKS, 1);
    if (check->is_of_compaction) {
        check->checked_compaction = check->revision;
    }
    if (check->accused_count == 0) {
        log_debug(check->is_of_compaction ? "finished compaction hash check"
                                          : "finished peer corruption check",
                  LOG_U64("number-of-peers-checked", count - 1),
                  LOG_I64("revision", check->revision),
                  LOG_I64("compact-revision", check->compact_revision));
    }
    raise_next(check);
}

/* --- the others ------------------------------------------------------------------------------ */

struct hash_answer {
    uint32_t hash;
    int64_t compact_revision;
    int64_t revision;
};

/* HashKVResponse. */
static struct hash_answer read_answer(struct bytes body)
{
    struct hash_answer answer = {0};
    struct pb_reader reader = pb_reader_make(body);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_VARINT(2):
            answer.hash = (uint32_t)field.value;
            break;
        case PB_VARINT(3):
            answer.compact_revision = (int64_t)field.value;
            break;
        case PB_VARINT(4):
            answer.revision = (int64_t)field.value;
            break;
        default:
            break;
        }
    }
    return answer;
}

static void on_answer(struct core_call *call, const struct node_reply *reply)
{
    struct corruption_ask *ask = container_of(call, struct corruption_ask, call);
    struct corruption_check *check = ask->check;
    ask->is_open = false;
    if (reply->status == ETCD_OK) {
        struct hash_answer answer = read_answer(reply->body);
        ask->has_hash = answer.compact_revision == check->compact_revision;
        ask->hash = answer.hash;
    } else if (reply->status == ETCD_FUTURE_REVISION && ask->tries < CORRUPTION_CHECK_TRIES) {
        ask->is_waiting = true;
    }
    if (reply->status != ETCD_STOPPED) {
        vote(check);
    }
}

static void ask_member(struct corruption_check *check, struct corruption_ask *ask)
{
    ask->tries += 1;
    ask->is_waiting = false;
    ask->is_open = true;
    ask->call = (struct core_call){.method = NODE_HASH_KV,
                                   .body = buf_bytes(&check->body),
                                   .member = ask->member,
                                   .is_internal = true,
                                   .on_reply = on_answer};
    core_submit(check->core, &ask->call);
}

static void on_own_hash(struct core_call *call, const struct node_reply *reply)
{
    struct corruption_check *check = container_of(call, struct corruption_check, own_call);
    if (reply->status != ETCD_OK) {
        check->is_running = false;
        return;
    }
    struct hash_answer answer = read_answer(reply->body);
    const struct cluster *cluster = kv_cluster(node_kv(core_node(check->core)));
    uint64_t self = core_member_id(check->core);
    check->revision = answer.revision;
    check->compact_revision = answer.compact_revision;
    check->own = (struct hash_vote){self, answer.hash};
    check->ask_count = 0;
    buf_clear(&check->body);
    pb_put_i64(&check->body, 1, check->revision);
    for (uint32_t i = 0; i < cluster_count(cluster); i++) {
        uint64_t member = cluster_at(cluster, i)->id;
        if (member != self) {
            check->asks[check->ask_count++] =
                (struct corruption_ask){.check = check, .member = member, .is_waiting = true};
        }
    }
    for (uint32_t i = 0; i < check->ask_count; i++) {
        ask_member(check, &check->asks[i]);
    }
    vote(check); /* a member that became alone meanwhile */
}

/* --- the beginning --------------------------------------------------------------------------- */

static void start(struct corruption_check *check, int64_t compaction)
{
    check->is_running = true;
    check->started_ms = core_now(check->core);
    check->connections = node_connections(core_node(check->core));
    check->is_of_compaction = compaction != 0;
    buf_clear(&check->body);
    pb_put_i64(&check->body, 1, compaction);
    check->own_call = (struct core_call){.method = NODE_HASH_KV,
                                         .body = buf_bytes(&check->body),
                                         .is_internal = true,
                                         .on_reply = on_own_hash};
    core_submit(check->core, &check->own_call);
}

static void ask_again(struct corruption_check *check)
{
    for (uint32_t i = 0; i < check->ask_count; i++) {
        if (check->asks[i].is_waiting) {
            ask_member(check, &check->asks[i]);
        }
    }
}

void corruption_check_tick(struct corruption_check *check)
{
    struct node *node = core_node(check->core);
    struct kv *kv = node_kv(node);
    uint64_t passed = core_now(check->core) - check->started_ms;
    if (check->is_running) {
        ask_again(check);
        return;
    }
    if (!node_is_leader(node) || cluster_count(kv_cluster(kv)) < 2 ||
        passed < CORRUPTION_CHECK_PAUSE_MS) {
        return;
    }
    struct kv_kept_hash newest = {0};
    bool has_compaction =
        kv_kept_hashes(kv, &newest, 1) == 1 && newest.revision > check->checked_compaction;
    if (has_compaction) {
        start(check, newest.revision);
    } else if (passed >= check->interval_ms || node_connections(node) != check->connections) {
        start(check, 0);
    }
}

void corruption_check_init(struct corruption_check *check, struct core *core,
                           struct metrics *metrics, uint64_t interval_ms)
{
    *check = (struct corruption_check){.core = core, .metrics = metrics};
    bool is_shorter = interval_ms > 0 && interval_ms < CORRUPTION_CHECK_MAX_MS;
    check->interval_ms = is_shorter ? interval_ms : CORRUPTION_CHECK_MAX_MS;
    check->started_ms = core_now(core);
}

void corruption_check_deinit(struct corruption_check *check)
{
    buf_deinit(&check->body);
    buf_deinit(&check->alarm_body);
}
