#include "base/check.h"
#include "base/mem.h"
#include "kvstore/node/node_internal.h"
#include "raft/planted.h"

/* new_reads --(RAFT_READ, one for all that wait)--> read_batches --(confirmed, applied)-->
 * ready_reads --(slices)--> answered. Serializable reads start in ready_reads. */

static void read_free(struct node_read *read)
{
    list_remove(&read->link);
    kv_read_free(read->job);
    blob_unref(read->body);
    blob_unref(read->username);
    mem_free(read);
}

static void fail(struct node *node, struct node_read *read, enum etcd_error status)
{
    node_reply_status(node, read->token, read->peer, read->peer_id, status);
    read_free(read);
}

static enum kv_op read_op(enum node_method method)
{
    switch (method) {
    case NODE_RANGE:
        return KV_OP_RANGE;
    case NODE_RANGE_STREAM:
        return KV_OP_RANGE_STREAM;
    case NODE_TXN:
        return KV_OP_TXN;
    case NODE_HASH:
        return KV_OP_HASH;
    case NODE_HASH_KV:
        return KV_OP_HASH_KV;
    default:
        return KV_OP_NONE; /* small answers, see answer_small */
    }
}

static struct kv_budget slice(void)
{
    return (struct kv_budget){.items = NODE_READ_ITEMS_PER_SLICE,
                              .bytes = NODE_READ_BYTES_PER_SLICE};
}

static void finish(struct node *node, uint64_t token, raft_id peer, uint64_t peer_id)
{
    if (node->result.status != ETCD_OK) {
        node_reply_status(node, token, peer, peer_id, node->result.status);
    } else {
        node_reply_bytes(node, token, peer, peer_id, buf_bytes(&node->result.reply));
    }
}

/* A read that needs no waiting and fits one slice is answered here without an allocation. */
static bool try_now(struct node *node, const struct node_request *request, raft_id peer,
                    uint64_t peer_id)
{
    enum kv_op op = read_op(request->method);
    if ((op != KV_OP_RANGE && op != KV_OP_TXN) || kv_is_applying(node->kv)) {
        return false;
    }
    enum etcd_error error = node_authorize(node, request);
    if (error != ETCD_OK) {
        node_reply_status(node, request->token, peer, peer_id, error);
        return true;
    }
    kv_result_clear(&node->result);
    struct kv_read *job = kv_read_now(node->kv, op, request->body, slice(), &node->result);
    if (job == NULL) {
        finish(node, request->token, peer, peer_id);
        return true;
    }
    kv_read_free(job); /* a long one: it takes its turn with the others */
    return false;
}

void node_read_start(struct node *node, const struct node_request *request, raft_id peer,
                     uint64_t peer_id, bool is_linearizable)
{
    if (!is_linearizable && try_now(node, request, peer, peer_id)) {
        return;
    }
    struct node_read *read = mem_zalloc(sizeof *read);
    read->token = request->token;
    read->peer = peer;
    read->peer_id = peer_id;
    read->method = request->method;
    read->deadline = node->now + node->options.request_timeout_ms;
    read->body = blob_new_copy(request->body.data, request->body.size);
    read->auth_revision = request->caller.auth_revision;
    read->is_internal = request->is_internal;
    if (request->caller.username.size > 0) {
        read->username =
            blob_new_copy(request->caller.username.data, request->caller.username.size);
    }
    list_push_back(is_linearizable ? &node->new_reads : &node->ready_reads, &read->link);
}

void node_flush_reads(struct node *node)
{
    if (list_is_empty(&node->new_reads) || node->now < node->read_retry_at) {
        return;
    }
    if (PLANTED(65) && !list_is_empty(&node->read_batches)) { /* with an older read point */
        list_splice_back(
            &container_of(node->read_batches.prev, struct node_read_batch, link)->reads,
            &node->new_reads);
        return;
    }
    uint64_t token = node->next_read_token++;
    const struct raft_event event = {.type = RAFT_READ, .now = node->now, .read = {.token = token}};
    if (raft_step(node->raft, &event) != 0) {
        /* No leader, or too many: they wait for another chance until their deadlines. */
        node->read_retry_at = node->now + node->options.raft.heartbeat_interval_ms;
        return;
    }
    struct node_read_batch *batch = mem_zalloc(sizeof *batch);
    batch->token = token;
    list_init(&batch->reads);
    list_splice_back(&batch->reads, &node->new_reads);
    list_push_back(&node->read_batches, &batch->link);
}

static struct node_read_batch *find_batch(struct node *node, uint64_t token)
{
    list_foreach (link, &node->read_batches) {
        struct node_read_batch *batch = container_of(link, struct node_read_batch, link);
        if (batch->token == token) {
            return batch;
        }
    }
    return NULL;
}

void node_on_read_point(struct node *node, const struct raft_read *read)
{
    struct node_read_batch *batch = find_batch(node, read->token);
    if (batch != NULL) {
        batch->index = read->index;
    }
}

/* The leader changed before it confirmed: ask again, with another token (R26). */
void node_on_read_failed(struct node *node, uint64_t token)
{
    struct node_read_batch *batch = find_batch(node, token);
    if (batch == NULL) {
        return;
    }
    node->stats.read_indexes_failed += 1;
    list_splice_back(&node->new_reads, &batch->reads);
    list_remove(&batch->link);
    mem_free(batch);
    node->read_retry_at = node->now + node->options.raft.heartbeat_interval_ms;
}

void node_release_reads(struct node *node)
{
    raft_index applied = kv_applied(node->kv).index;
    list_foreach_safe (link, &node->read_batches) {
        struct node_read_batch *batch = container_of(link, struct node_read_batch, link);
        if (batch->index != 0 && (batch->index <= applied || PLANTED(11))) {
            list_splice_back(&node->ready_reads, &batch->reads);
            list_remove(&batch->link);
            mem_free(batch);
        }
    }
}

/* Judged by what is known at the read point; a change then goes through the log. */
static bool propose_downgrade(struct node *node, struct node_read *read)
{
    struct buf proposal = BUF_INIT;
    kv_request_downgrade(node->kv, blob_bytes(read->body), &node->result, &proposal);
    bool is_proposed = buf_size(&proposal) > 0;
    if (is_proposed) {
        const struct node_request request = {
            .token = read->token,
            .method = read->method,
            .caller = {.username = read->username == NULL ? (struct bytes){NULL, 0}
                                                          : blob_bytes(read->username),
                       .auth_revision = read->auth_revision}};
        node_propose(node, &request, read->peer, read->peer_id, KV_OP_DOWNGRADE_INFO_SET,
                     buf_bytes(&proposal));
    }
    buf_deinit(&proposal);
    return is_proposed;
}

/* What needs no slices. */
static void answer_small(struct node *node, struct node_read *read)
{
    kv_result_clear(&node->result);
    switch (read->method) {
    case NODE_DOWNGRADE:
        if (propose_downgrade(node, read)) {
            read_free(read);
            return;
        }
        break;
    case NODE_LEASE_LEASES:
        kv_lease_list(node->kv, &node->result);
        break;
    case NODE_MEMBER_LIST:
        kv_list_members(node->kv, &node->result);
        break;
    case NODE_ALARM:
        kv_alarm_get(node->kv, blob_bytes(read->body), &node->result);
        break;
    default:
        CHECK_UNREACHABLE();
    }
    finish(node, read->token, read->peer, read->peer_id);
    read_free(read);
}

/* Against the users at the read point. */
static enum etcd_error authorize(struct node *node, const struct node_read *read)
{
    const struct node_request request = {
        .method = read->method,
        .body = blob_bytes(read->body),
        .caller = {.username = read->username == NULL ? (struct bytes){NULL, 0}
                                                      : blob_bytes(read->username),
                   .auth_revision = read->auth_revision},
        .is_internal = read->is_internal,
    };
    return node_authorize(node, &request);
}

/* One slice; true while the read stays in the list and can go on at once. */
static bool run(struct node *node, struct node_read *read)
{
    enum etcd_error error = read->job == NULL ? authorize(node, read) : ETCD_OK;
    if (error != ETCD_OK) {
        fail(node, read, error);
        return false;
    }
    if (read_op(read->method) == KV_OP_NONE) {
        answer_small(node, read);
        return false;
    }
    kv_result_clear(&node->result);
    if (read->method == NODE_HASH_KV && read->job == NULL) {
        enum kv_kept_state kept = kv_kept_hash(node->kv, blob_bytes(read->body), &node->result);
        if (kept == KV_KEPT_SOON) {
            return true;
        }
        if (kept == KV_KEPT_HERE) {
            finish(node, read->token, read->peer, read->peer_id);
            read_free(read);
            return false;
        }
    }
    enum kv_read_state state = KV_READ_DONE;
    if (read->job == NULL && read->method != NODE_RANGE_STREAM) {
        read->job = kv_read_now(node->kv, read_op(read->method), blob_bytes(read->body), slice(),
                                &node->result);
        state = read->job == NULL ? KV_READ_DONE : KV_READ_MORE;
    } else {
        if (read->job == NULL) {
            read->job = kv_read_new(node->kv, read_op(read->method), blob_bytes(read->body));
        }
        state = kv_read_step(read->job, slice(), &node->result);
    }
    if (state == KV_READ_MORE) {
        return true;
    }
    if (state == KV_READ_CHUNK) {
        const struct node_reply reply = {.body = buf_bytes(&node->result.reply), .more = true};
        read->is_parked = true;
        node->io.reply(node->io.context, read->token, &reply);
        return false;
    }
    finish(node, read->token, read->peer, read->peer_id);
    read_free(read);
    return false;
}

bool node_run_reads(struct node *node)
{
    bool has_more = false;
    uint32_t long_reads = 0;
    list_foreach_safe (link, &node->ready_reads) {
        struct node_read *read = container_of(link, struct node_read, link);
        if (read->is_parked) {
            continue;
        }
        if (long_reads > 0 && read->job != NULL) {
            has_more = true; /* one long slice an iteration; short reads overtake it */
            continue;
        }
        if (run(node, read)) {
            has_more = true;
            long_reads += 1;
            list_remove(&read->link);
            list_push_back(&node->ready_reads, &read->link);
            if (link_next == &node->ready_reads) {
                break;
            }
        }
    }
    return has_more;
}

void node_resume(struct node *node, uint64_t token)
{
    list_foreach (link, &node->ready_reads) {
        struct node_read *read = container_of(link, struct node_read, link);
        if (read->token == token) {
            read->is_parked = false;
            return;
        }
    }
}

static void cancel_in(struct node *node, struct list *reads, uint64_t token)
{
    list_foreach_safe (link, reads) {
        struct node_read *read = container_of(link, struct node_read, link);
        if (read->token == token && read->peer == 0) {
            fail(node, read, ETCD_REQUEST_CANCELED);
        }
    }
}

void node_cancel(struct node *node, uint64_t token)
{
    cancel_in(node, &node->new_reads, token);
    cancel_in(node, &node->ready_reads, token);
    list_foreach (link, &node->read_batches) {
        cancel_in(node, &container_of(link, struct node_read_batch, link)->reads, token);
    }
}

/* Lists are in the order of submission, so of deadlines, but for reads that were retried. */
static void expire_in(struct node *node, struct list *reads)
{
    list_foreach_safe (link, reads) {
        struct node_read *read = container_of(link, struct node_read, link);
        if (read->deadline <= node->now) {
            fail(node, read, ETCD_TIMEOUT);
        }
    }
}

void node_expire_reads(struct node *node)
{
    expire_in(node, &node->new_reads);
    list_foreach_safe (link, &node->read_batches) {
        struct node_read_batch *batch = container_of(link, struct node_read_batch, link);
        expire_in(node, &batch->reads);
        if (list_is_empty(&batch->reads)) {
            list_remove(&batch->link);
            mem_free(batch);
        }
    }
}

static raft_time_ms first_deadline(const struct list *reads)
{
    return list_is_empty(reads) ? RAFT_TIME_NEVER
                                : container_of(reads->next, struct node_read, link)->deadline;
}

raft_time_ms node_reads_deadline(const struct node *node)
{
    raft_time_ms deadline = first_deadline(&node->new_reads);
    if (!list_is_empty(&node->new_reads) && node->read_retry_at < deadline) {
        deadline = node->read_retry_at;
    }
    list_foreach (link, &node->read_batches) {
        const struct node_read_batch *batch = container_of(link, struct node_read_batch, link);
        raft_time_ms first = first_deadline(&batch->reads);
        deadline = first < deadline ? first : deadline;
    }
    return deadline;
}

static void fail_all(struct node *node, struct list *reads)
{
    list_foreach_safe (link, reads) {
        fail(node, container_of(link, struct node_read, link), ETCD_STOPPED);
    }
}

void node_free_reads(struct node *node)
{
    fail_all(node, &node->new_reads);
    fail_all(node, &node->ready_reads);
    list_foreach_safe (link, &node->read_batches) {
        struct node_read_batch *batch = container_of(link, struct node_read_batch, link);
        fail_all(node, &batch->reads);
        mem_free(batch);
    }
}
