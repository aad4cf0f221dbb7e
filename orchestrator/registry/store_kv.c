#include "orchestrator/registry/store_kv.h"

#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "kvstore/client/key_range.h"
#include "kvstore/client/rpc.h"
#include "kvstore/client/watch.h"

enum {
    TIMEOUT_MS = 10 * 1000,
    PAGE_COUNT = 500,
    PROGRESS_WAIT_MS = 50, /* for an event that makes the question needless */
    PROGRESS_RETRY_MS = 100,
    LISTING_RETRY_MS = 500,
};

struct store_kv {
    struct store store;
    struct kv_client *client;
    struct wire_loop *wire;
    const struct store_follower *follower;
    void *follower_context;
    struct buf prefix;
    struct buf prefix_end;
    struct buf next_key; /* of the listing under way */
    int64_t listing_revision;
    struct kv_watch *watch;
    struct timer timer; /* asks again for progress, or lists again */
    bool wants_progress;
    uint64_t wanted_revision; /* of the progress */
    bool wants_listing;
};

/* A read or a commit that waits for its answer. */
struct pending {
    store_read_done *read_done;
    store_commit_done *commit_done;
    void *context;
};

static const struct kv_call_options call_options = {.timeout_ms = TIMEOUT_MS};

static struct store_kv *from_store(struct store *store)
{
    return container_of(store, struct store_kv, store);
}

static ProtobufCBinaryData binary(struct bytes bytes)
{
    /* protobuf-c reads from it only. */
    return (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)(uintptr_t)bytes.data};
}

static struct err *reply_problem(const struct kv_reply *reply, struct err *err)
{
    if (reply->status == GRPC_OK) {
        return NULL;
    }
    int code = reply->status == GRPC_DEADLINE_EXCEEDED ? ERR_TIMEOUT : ERR_IO;
    CLEANUP(buf) struct buf text = BUF_INIT;
    kv_error_append_text(&text, reply->status, reply->text);
    (void)err_set(err, code, "%s", buf_text(&text));
    return err;
}

static struct store_value value_of(const Etcdserverpb__RangeResponse *range)
{
    if (range == NULL || range->n_kvs == 0) {
        return (struct store_value){.revision = 0};
    }
    const Mvccpb__KeyValue *kv = range->kvs[0];
    return (struct store_value){.data = bytes_make(kv->value.data, kv->value.len),
                                .revision = (uint64_t)kv->mod_revision};
}

static void read_answered(void *context, const struct kv_reply *reply)
{
    struct pending *pending = context;
    struct err err;
    const Etcdserverpb__RangeResponse *range = reply->message;
    const struct store_value value = value_of(range);
    uint64_t revision = range == NULL ? 0 : (uint64_t)range->header->revision;
    pending->read_done(pending->context, reply_problem(reply, &err), &value, revision);
    mem_free(pending);
}

static void kv_read(struct store *store, const char *key, store_read_done *done, void *context)
{
    struct pending *pending = mem_zalloc(sizeof(*pending));
    pending->read_done = done;
    pending->context = context;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = binary(bytes_from_text(key));
    request.limit = 1;
    (void)kv_client_range(from_store(store)->client, &request, &call_options, read_answered,
                          pending);
}

static void commit_answered(void *context, const struct kv_reply *reply)
{
    struct pending *pending = context;
    struct err err;
    const Etcdserverpb__TxnResponse *txn = reply->message;
    struct store_outcome outcome = {0};
    if (txn != NULL) {
        outcome.is_committed = txn->succeeded;
        outcome.revision = (uint64_t)txn->header->revision;
        if (!txn->succeeded && txn->n_responses > 0) {
            outcome.current = value_of(txn->responses[0]->response_range);
        }
    }
    pending->commit_done(pending->context, reply_problem(reply, &err), &outcome);
    mem_free(pending);
}

/* The parts of one transaction, on the stack: requests are borrowed for the call. */
struct transaction {
    Etcdserverpb__Compare compares[STORE_WRITES_MAX];
    Etcdserverpb__Compare *compare_pointers[STORE_WRITES_MAX];
    Etcdserverpb__PutRequest puts[STORE_WRITES_MAX];
    Etcdserverpb__DeleteRangeRequest deletes[STORE_WRITES_MAX];
    Etcdserverpb__RequestOp operations[STORE_WRITES_MAX];
    Etcdserverpb__RequestOp *operation_pointers[STORE_WRITES_MAX];
    Etcdserverpb__RangeRequest range;
    Etcdserverpb__RequestOp range_operation;
    Etcdserverpb__RequestOp *failure[1];
    size_t compare_count;
};

static void add_compare(struct transaction *txn, const struct store_write *write)
{
    if (write->expected == STORE_REVISION_ANY) {
        return;
    }
    size_t at = txn->compare_count++;
    Etcdserverpb__Compare *compare = &txn->compares[at];
    etcdserverpb__compare__init(compare);
    compare->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare->key = binary(bytes_from_text(write->key));
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare->mod_revision = (int64_t)write->expected;
    txn->compare_pointers[at] = compare;
}

static void add_operation(struct transaction *txn, size_t at, const struct store_write *write)
{
    Etcdserverpb__RequestOp *operation = &txn->operations[at];
    etcdserverpb__request_op__init(operation);
    if (write->data.data == NULL) {
        etcdserverpb__delete_range_request__init(&txn->deletes[at]);
        txn->deletes[at].key = binary(bytes_from_text(write->key));
        operation->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        operation->request_delete_range = &txn->deletes[at];
    } else {
        etcdserverpb__put_request__init(&txn->puts[at]);
        txn->puts[at].key = binary(bytes_from_text(write->key));
        txn->puts[at].value = binary(write->data);
        operation->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        operation->request_put = &txn->puts[at];
    }
    txn->operation_pointers[at] = operation;
}

static void kv_commit(struct store *store, const struct store_write *writes, size_t count,
                      store_commit_done *done, void *context)
{
    CHECK(count > 0 && count <= STORE_WRITES_MAX);
    struct transaction *txn = mem_zalloc(sizeof(*txn));
    for (size_t i = 0; i < count; i++) {
        add_compare(txn, &writes[i]);
        add_operation(txn, i, &writes[i]);
    }
    etcdserverpb__range_request__init(&txn->range);
    txn->range.key = binary(bytes_from_text(writes[0].key));
    etcdserverpb__request_op__init(&txn->range_operation);
    txn->range_operation.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    txn->range_operation.request_range = &txn->range;
    txn->failure[0] = &txn->range_operation;
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    request.n_compare = txn->compare_count;
    request.compare = txn->compare_pointers;
    request.n_success = count;
    request.success = txn->operation_pointers;
    request.n_failure = 1;
    request.failure = txn->failure;
    struct pending *pending = mem_zalloc(sizeof(*pending));
    pending->commit_done = done;
    pending->context = context;
    (void)kv_client_txn(from_store(store)->client, &request, &call_options, commit_answered,
                        pending);
    mem_free(txn);
}

static void list_page(struct store_kv *kv);
static void start_listing(struct store_kv *kv);

static void set_timer(struct store_kv *kv, uint64_t delay_ms)
{
    struct timers *timers = wire_loop_timers(kv->wire);
    timers_set(timers, &kv->timer, timers->now_ms + delay_ms);
}

static void list_again(struct store_kv *kv, const char *why)
{
    log_warn("the cache starts again with a new listing", LOG_TEXT("reason", why));
    kv->wants_listing = true;
    set_timer(kv, LISTING_RETRY_MS);
}

static char *key_text(const Mvccpb__KeyValue *kv)
{
    return mem_printf("%.*s", (int)kv->key.len, (const char *)kv->key.data);
}

static void end_progress(struct store_kv *kv)
{
    kv->wants_progress = false;
    kv->wanted_revision = 0;
    if (!kv->wants_listing) {
        timers_clear(wire_loop_timers(kv->wire), &kv->timer);
    }
}

static void tell_event(struct store_kv *kv, const Mvccpb__Event *event)
{
    char *key = key_text(event->kv);
    uint64_t revision = (uint64_t)event->kv->mod_revision;
    if (event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
        kv->follower->on_delete(kv->follower_context, key, revision);
    } else {
        kv->follower->on_put(kv->follower_context, key,
                             bytes_make(event->kv->value.data, event->kv->value.len), revision);
    }
    mem_free(key);
    if (kv->wants_progress && revision >= kv->wanted_revision) {
        end_progress(kv);
    }
}

static void progressed(struct store_kv *kv, int64_t revision)
{
    if ((uint64_t)revision >= kv->wanted_revision) {
        end_progress(kv);
    }
    kv->follower->on_progress(kv->follower_context, (uint64_t)revision);
}

static void watch_notified(void *context, const struct kv_watch_event *event)
{
    struct store_kv *kv = context;
    switch (event->type) {
    case KV_WATCH_CREATED:
        break;
    case KV_WATCH_EVENTS:
        for (size_t i = 0; i < event->response->n_events; i++) {
            tell_event(kv, event->response->events[i]);
        }
        break;
    case KV_WATCH_PROGRESS:
        progressed(kv, event->revision);
        break;
    case KV_WATCH_COMPACTED:
    case KV_WATCH_CANCELED:
        kv_watch_close(kv->watch);
        kv->watch = NULL;
        list_again(kv, event->type == KV_WATCH_COMPACTED ? "compacted" : event->reason);
        break;
    }
}

static void start_watch(struct store_kv *kv)
{
    const struct kv_watch_options options = {
        .key = buf_bytes(&kv->prefix),
        .range_end = buf_bytes(&kv->prefix_end),
        .start_revision = kv->listing_revision + 1,
        .progress_notify = true,
    };
    kv->watch = kv_watch_open(kv->client, &options, watch_notified, kv);
    if (kv->wants_progress) {
        set_timer(kv, PROGRESS_WAIT_MS);
    }
}

static void page_answered(void *context, const struct kv_reply *reply)
{
    struct store_kv *kv = context;
    struct err err;
    const Etcdserverpb__RangeResponse *range = reply->message;
    if (reply_problem(reply, &err) != NULL) {
        /* A listing that has begun is told to its end before the next one begins. */
        if (kv->listing_revision != 0) {
            kv->follower->on_listing_end(kv->follower_context, (uint64_t)kv->listing_revision);
        }
        list_again(kv, err.text);
        return;
    }
    if (kv->listing_revision == 0) {
        kv->listing_revision = range->header->revision;
        kv->follower->on_listing_begin(kv->follower_context);
    }
    for (size_t i = 0; i < range->n_kvs; i++) {
        const Mvccpb__KeyValue *pair = range->kvs[i];
        char *key = key_text(pair);
        kv->follower->on_put(kv->follower_context, key,
                             bytes_make(pair->value.data, pair->value.len),
                             (uint64_t)pair->mod_revision);
        mem_free(key);
    }
    if (range->more && range->n_kvs > 0) {
        const Mvccpb__KeyValue *last = range->kvs[range->n_kvs - 1];
        buf_clear(&kv->next_key);
        buf_append(&kv->next_key, last->key.data, last->key.len);
        buf_append_u8(&kv->next_key, 0);
        list_page(kv);
        return;
    }
    kv->follower->on_listing_end(kv->follower_context, (uint64_t)kv->listing_revision);
    start_watch(kv);
}

static void list_page(struct store_kv *kv)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = binary(buf_bytes(&kv->next_key));
    request.range_end = binary(buf_bytes(&kv->prefix_end));
    request.limit = PAGE_COUNT;
    request.revision = kv->listing_revision;
    (void)kv_client_range(kv->client, &request, &call_options, page_answered, kv);
}

static void start_listing(struct store_kv *kv)
{
    kv->listing_revision = 0;
    buf_clear(&kv->next_key);
    buf_append_bytes(&kv->next_key, buf_bytes(&kv->prefix));
    list_page(kv);
}

static void kv_follow(struct store *store, const char *prefix,
                      const struct store_follower *follower, void *context)
{
    struct store_kv *kv = from_store(store);
    CHECK(kv->follower == NULL);
    kv->follower = follower;
    kv->follower_context = context;
    buf_append_text(&kv->prefix, prefix);
    key_range_append_prefix_end(&kv->prefix_end, buf_bytes(&kv->prefix));
    start_listing(kv);
}

/* The server answers only when no watch of the stream is catching up: ask until it does. Not asked
 * at once, because an event mostly comes first, and because etcd before 3.4.25 may answer too early
 * (etcd issue 15220): what it had not sent yet would be lost. */
static void timer_fired_kv(struct timer *timer)
{
    struct store_kv *kv = container_of(timer, struct store_kv, timer);
    if (kv->wants_listing) {
        kv->wants_listing = false;
        start_listing(kv);
    } else if (kv->wants_progress) {
        kv_client_request_progress(kv->client);
        set_timer(kv, PROGRESS_RETRY_MS);
    }
}

static void kv_request_progress(struct store *store, uint64_t revision)
{
    struct store_kv *kv = from_store(store);
    if (!kv->wants_progress && !kv->wants_listing) {
        set_timer(kv, PROGRESS_WAIT_MS);
    }
    kv->wants_progress = true;
    kv->wanted_revision = revision > kv->wanted_revision ? revision : kv->wanted_revision;
}

static const struct store_ops kv_ops = {
    .read = kv_read,
    .commit = kv_commit,
    .follow = kv_follow,
    .request_progress = kv_request_progress,
};

struct store_kv *store_kv_new(struct kv_client *client, struct wire_loop *wire)
{
    struct store_kv *kv = mem_zalloc(sizeof(*kv));
    kv->store.ops = &kv_ops;
    kv->client = client;
    kv->wire = wire;
    timer_init(&kv->timer, timer_fired_kv);
    return kv;
}

void store_kv_free(struct store_kv *kv)
{
    if (kv == NULL) {
        return;
    }
    timers_clear(wire_loop_timers(kv->wire), &kv->timer);
    buf_deinit(&kv->prefix);
    buf_deinit(&kv->prefix_end);
    buf_deinit(&kv->next_key);
    mem_free(kv);
}

struct store *store_kv_store(struct store_kv *kv)
{
    return &kv->store;
}
