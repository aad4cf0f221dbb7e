#include "kvstore/kvctl/queue_key.h"

#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "kvstore/client/key_range.h"
#include "kvstore/client/watch.h"

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static uv_loop_t *loop_of(struct queue_key *queue)
{
    return &queue->invocation->session->loop;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct queue_key *queue = handle->data;
    queue->is_signalled = true;
    uv_stop(loop_of(queue));
}

static void on_renewed(void *context, const Etcdserverpb__LeaseKeepAliveResponse *response)
{
    struct queue_key *queue = context;
    if (response == NULL) {
        queue->is_expired = true;
        uv_stop(loop_of(queue));
    }
}

static void start_signal(struct queue_key *queue, uv_signal_t *handle, int number)
{
    CHECK(uv_signal_init(loop_of(queue), handle) == 0);
    handle->data = queue;
    CHECK(uv_signal_start(handle, on_signal, number) == 0);
}

int queue_key_open(struct queue_key *queue, struct invocation *invocation, const char *name,
                   int64_t ttl_s)
{
    *queue = (struct queue_key){.invocation = invocation};
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    request.ttl = ttl_s;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(invocation, &kv_lease_grant, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__LeaseGrantResponse *granted = answer.message;
    queue->lease = granted->id;
    queue->prefix = arena_printf(invocation->arena, "%s/", name);
    queue->key =
        arena_printf(invocation->arena, "%s%llx", queue->prefix, (unsigned long long)granted->id);
    queue->keeper = lease_keeper_open(invocation->session->client, granted->id, granted->ttl,
                                      on_renewed, queue);
    start_signal(queue, &queue->interrupt, SIGINT);
    start_signal(queue, &queue->terminate, SIGTERM);
    return EXIT_CODE_OK;
}

/* Put the key unless it is there; either way learn its create revision. */
static int join(struct queue_key *queue, const char *value)
{
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare.key = binary(queue->key);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = binary(queue->key);
    put.value = binary(value);
    put.lease = queue->lease;
    Etcdserverpb__RangeRequest get = ETCDSERVERPB__RANGE_REQUEST__INIT;
    get.key = binary(queue->key);
    Etcdserverpb__RequestOp put_op = ETCDSERVERPB__REQUEST_OP__INIT;
    put_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    put_op.request_put = &put;
    Etcdserverpb__RequestOp get_op = ETCDSERVERPB__REQUEST_OP__INIT;
    get_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    get_op.request_range = &get;
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__RequestOp *puts[] = {&put_op};
    Etcdserverpb__RequestOp *gets[] = {&get_op};
    txn.n_compare = txn.n_success = txn.n_failure = 1;
    txn.compare = compares;
    txn.success = puts;
    txn.failure = gets;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(queue->invocation, &kv_txn, &txn.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__TxnResponse *response = answer.message;
    queue->header_revision = response->header == NULL ? 0 : response->header->revision;
    queue->revision = queue->header_revision;
    if (!response->succeeded) {
        const Etcdserverpb__ResponseOp *op =
            response->n_responses == 1 ? response->responses[0] : NULL;
        if (op == NULL || op->response_case != ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE ||
            op->response_range->n_kvs != 1) {
            return command_fail(EXIT_CODE_ERROR, "the server's answer to the lock is malformed");
        }
        queue->revision = op->response_range->kvs[0]->create_revision;
    }
    return EXIT_CODE_OK;
}

/* The key right before ours: the newest that is older. */
static int find_predecessor(struct queue_key *queue, struct answer *answer)
{
    CLEANUP(buf) struct buf end = BUF_INIT;
    key_range_append_prefix_end(&end, bytes_from_text(queue->prefix));
    struct bytes end_bytes = buf_bytes(&end);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = binary(queue->prefix);
    request.range_end = (ProtobufCBinaryData){end_bytes.size, (uint8_t *)(uintptr_t)end_bytes.data};
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    request.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    request.max_create_revision = queue->revision - 1;
    request.limit = 1;
    return session_call(queue->invocation, &kv_range, &request.base, answer);
}

struct waiting {
    struct queue_key *queue;
    bool is_deleted;
    bool is_broken;
};

static void on_predecessor(void *context, const struct kv_watch_event *event)
{
    struct waiting *waiting = context;
    if (event->type == KV_WATCH_COMPACTED || event->type == KV_WATCH_CANCELED) {
        waiting->is_broken = true; /* look again, the key may be gone */
    } else if (event->type == KV_WATCH_EVENTS) {
        for (size_t i = 0; i < event->response->n_events; i++) {
            waiting->is_deleted |=
                event->response->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
        }
    }
    if (waiting->is_deleted || waiting->is_broken) {
        uv_stop(loop_of(waiting->queue));
    }
}

static bool is_over(const struct queue_key *queue)
{
    return queue->is_signalled || queue->is_expired;
}

static void wait_for_delete(struct queue_key *queue, const Etcdserverpb__RangeResponse *found)
{
    struct waiting waiting = {.queue = queue};
    const struct kv_watch_options options = {
        .key = bytes_make(found->kvs[0]->key.data, found->kvs[0]->key.len),
        .start_revision = found->header == NULL ? 0 : found->header->revision + 1,
        .no_put = true,
    };
    struct kv_watch *watch =
        kv_watch_open(queue->invocation->session->client, &options, on_predecessor, &waiting);
    while (!waiting.is_deleted && !waiting.is_broken && !is_over(queue)) {
        (void)uv_run(loop_of(queue), UV_RUN_DEFAULT);
    }
    kv_watch_close(watch);
}

int queue_key_acquire(struct queue_key *queue, const char *value)
{
    int code = join(queue, value);
    while (code == EXIT_CODE_OK && !is_over(queue)) {
        CLEANUP(answer) struct answer answer = {0};
        code = find_predecessor(queue, &answer);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        const Etcdserverpb__RangeResponse *found = answer.message;
        if (found->n_kvs == 0) {
            queue->header_revision =
                found->header == NULL ? queue->header_revision : found->header->revision;
            return EXIT_CODE_OK;
        }
        wait_for_delete(queue, found);
    }
    if (code == EXIT_CODE_OK && queue->is_expired) {
        return command_fail(EXIT_CODE_ERROR, "session expired");
    }
    return code;
}

int queue_key_show(struct queue_key *queue)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = binary(queue->key);
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(queue->invocation, &kv_range, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__RangeResponse *response = answer.message;
    if (response->n_kvs == 0) {
        return command_fail(EXIT_CODE_ERROR, "lock lost on init");
    }
    struct err err;
    int result = print_range(&queue->invocation->session->printer, response, &err);
    return session_show(queue->invocation, result, &err);
}

void queue_key_hold(struct queue_key *queue)
{
    while (!is_over(queue)) {
        (void)uv_run(loop_of(queue), UV_RUN_DEFAULT);
    }
}

int queue_key_release(struct queue_key *queue)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = binary(queue->key);
    CLEANUP(answer) struct answer answer = {0};
    return session_call(queue->invocation, &kv_delete_range, &request.base, &answer);
}

void queue_key_close(struct queue_key *queue)
{
    if (queue->lease == 0) {
        return;
    }
    lease_keeper_close(queue->keeper);
    if (!queue->is_expired) {
        Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
        request.id = queue->lease;
        CLEANUP(answer) struct answer answer = {0};
        /* If that fails the lease runs out by itself. */
        session_ask(queue->invocation, queue->invocation->session->client, &kv_lease_revoke,
                    &request.base, SESSION_COMMAND_TIMEOUT, &answer);
    }
    uv_close((uv_handle_t *)&queue->interrupt, NULL);
    uv_close((uv_handle_t *)&queue->terminate, NULL);
    session_close(queue->invocation); /* the handles are in *queue, so they must go now */
}
