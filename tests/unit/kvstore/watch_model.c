/* The validators are those that etcd's robustness tests apply to recorded histories: filter,
 * ordered, unique, atomic, bookmarkable, resumable, reliable, is-create, prev-kv; and what happens
 * around creating, cancelling and compacting. */
#include "tests/unit/kvstore/watch_model.h"

#include "base/mem.h"
#include "base/prng.h"
#include "tests/unit/kvstore/watch_client.h"

enum {
    KEYS = 8,
    STREAMS = 3,
    WATCHERS_MAX = 400,
    EVENTS_MAX = 1 << 16,
    LARGE_VALUE = 60000,
};

struct event {
    int64_t main;
    bool is_delete;
    bool is_create;
    unsigned key;
    uint32_t value;    /* every put writes another number */
    uint32_t previous; /* the value before; 0: none */
    bool is_large;
};

struct expected {
    struct watch_create create;
    unsigned first_key;
    unsigned last_key;
    unsigned stream;
    int64_t id;
    bool created;
    bool canceled;    /* by us: until the answer events may still come */
    bool ended;       /* nothing may come any more */
    bool in_fragment; /* the rest of a response is to come */
    size_t next;      /* position in the log */
};

struct model {
    struct kv_world *world;
    struct prng prng;
    struct watch_stream *stream[STREAMS];
    struct event *log;
    size_t log_count;
    uint32_t value[KEYS]; /* 0: absent */
    uint32_t next_value;
    struct expected watcher[WATCHERS_MAX];
    size_t watcher_count;
    size_t unanswered[STREAMS]; /* the next created answer is for this watcher or a later one */
    struct watch_responses responses;
    const char *violation;
};

static const char *const KEY_NAMES[KEYS + 1] = {"k0", "k1", "k2", "k3", "k4",
                                                "k5", "k6", "k7", "k8"};

static void expect(struct model *model, bool holds, const char *violation)
{
    if (!holds && model->violation == NULL) {
        model->violation = violation;
    }
}

static uint64_t below(struct model *model, uint64_t bound)
{
    return prng_below(&model->prng, bound);
}

/* --- writes ---------------------------------------------------------------------------------- */

static void log_change(struct model *model, unsigned key, uint32_t value, int64_t main,
                       bool is_large)
{
    if (model->log_count == EVENTS_MAX) {
        expect(model, false, "the test's log is full");
        return;
    }
    model->log[model->log_count++] = (struct event){
        .main = main,
        .is_delete = value == 0,
        .is_create = value != 0 && model->value[key] == 0,
        .key = key,
        .value = value,
        .previous = model->value[key],
        .is_large = is_large,
    };
    model->value[key] = value;
}

static const char *value_text(uint32_t value, bool is_large)
{
    static char text[LARGE_VALUE + 1];
    int size = snprintf(text, sizeof text, "%u", value);
    if (is_large) {
        memset(text + size, '.', LARGE_VALUE - (size_t)size);
        text[LARGE_VALUE] = 0;
    }
    return text;
}

static void change_one(struct model *model)
{
    unsigned key = (unsigned)below(model, KEYS);
    int64_t main = kv_revision(model->world->kv) + 1;
    bool is_large = prng_chance(&model->prng, 1, 4);
    world_put_request(model->world, KEY_NAMES[key], value_text(++model->next_value, is_large), 0);
    assert_int_equal(world_apply(model->world, KV_OP_PUT), ETCD_OK);
    log_change(model, key, model->next_value, main, is_large);
}

static void delete_some(struct model *model)
{
    unsigned first = (unsigned)below(model, KEYS);
    unsigned end = first + 1 + (unsigned)below(model, KEYS - first);
    int64_t main = kv_revision(model->world->kv) + 1;
    (void)world_delete(model->world, KEY_NAMES[first], KEY_NAMES[end]);
    for (unsigned key = first; key < end; key++) {
        if (model->value[key] != 0) {
            log_change(model, key, 0, main, false);
        }
    }
}

static void change_many(struct model *model)
{
    struct buf *txn = &model->world->request;
    int64_t main = kv_revision(model->world->kv) + 1;
    buf_clear(txn);
    for (unsigned key = 0; key < KEYS; key++) {
        if (!prng_chance(&model->prng, 1, 2)) {
            continue;
        }
        bool is_delete = prng_chance(&model->prng, 1, 4);
        bool is_large = !is_delete && prng_chance(&model->prng, 1, 3);
        size_t op = pb_begin_message(txn, 2);
        size_t request = pb_begin_message(txn, is_delete ? 3 : 2);
        pb_put_text(txn, 1, KEY_NAMES[key]);
        if (!is_delete) {
            pb_put_text(txn, 2, value_text(++model->next_value, is_large));
        }
        pb_end_message(txn, request);
        pb_end_message(txn, op);
        if (!is_delete || model->value[key] != 0) {
            log_change(model, key, is_delete ? 0 : model->next_value, main, is_large);
        }
    }
    assert_int_equal(world_apply(model->world, KV_OP_TXN), ETCD_OK);
}

static void compact(struct model *model)
{
    int64_t now = kv_revision(model->world->kv);
    int64_t compacted = kv_compact_revision(model->world->kv);
    if (now > compacted) {
        int64_t at = compacted + 1 + (int64_t)below(model, (uint64_t)(now - compacted));
        assert_int_equal(world_compact(model->world, at), ETCD_OK);
    }
}

/* --- watchers -------------------------------------------------------------------------------- */

static void create_watcher(struct model *model)
{
    if (model->watcher_count == WATCHERS_MAX) {
        return;
    }
    struct expected *watcher = &model->watcher[model->watcher_count];
    unsigned first = (unsigned)below(model, KEYS);
    unsigned last = first + (unsigned)below(model, KEYS - first);
    int64_t now = kv_revision(model->world->kv);
    int64_t start = 0;
    if (prng_chance(&model->prng, 2, 3)) {
        start = 1 + (int64_t)below(model, (uint64_t)now + 4);
    }
    *watcher = (struct expected){
        .create = {.key = KEY_NAMES[first],
                   .range_end = first == last ? NULL : KEY_NAMES[last + 1],
                   .start_revision = start,
                   .progress_notify = prng_chance(&model->prng, 1, 2),
                   .no_put = prng_chance(&model->prng, 1, 8),
                   .no_delete = prng_chance(&model->prng, 1, 8),
                   .prev_kv = prng_chance(&model->prng, 1, 2),
                   .fragment = prng_chance(&model->prng, 1, 4)},
        .first_key = first,
        .last_key = last,
        .stream = (unsigned)below(model, STREAMS),
    };
    if (watch_client_create(model->stream[watcher->stream], &watcher->create) != 0) {
        return; /* too many answers wait */
    }
    if (start == 0) {
        watcher->create.start_revision = now + 1;
    }
    model->watcher_count += 1;
}

static struct expected *find(struct model *model, unsigned stream, int64_t id)
{
    for (size_t i = model->watcher_count; i > 0; i--) {
        struct expected *watcher = &model->watcher[i - 1];
        if (watcher->stream == stream && watcher->created && watcher->id == id && !watcher->ended) {
            return watcher;
        }
    }
    return NULL;
}

static void cancel_watcher(struct model *model)
{
    if (model->watcher_count == 0) {
        return;
    }
    struct expected *watcher = &model->watcher[below(model, model->watcher_count)];
    if (watcher->created && !watcher->ended && !watcher->canceled &&
        watch_client_cancel(model->stream[watcher->stream], watcher->id) == 0) {
        watcher->canceled = true;
    }
}

/* --- validators ------------------------------------------------------------------------------ */

static bool wants(const struct expected *watcher, const struct event *event)
{
    return event->main >= watcher->create.start_revision && event->key >= watcher->first_key &&
           event->key <= watcher->last_key &&
           !(event->is_delete ? watcher->create.no_delete : watcher->create.no_put);
}

/* The next event this watcher has to get; log_count: none. */
static size_t next_of(const struct model *model, const struct expected *watcher)
{
    size_t at = watcher->next;
    while (at < model->log_count && !wants(watcher, &model->log[at])) {
        at += 1;
    }
    return at;
}

static bool is_value(struct bytes bytes, uint32_t value)
{
    char text[16];
    size_t size = (size_t)snprintf(text, sizeof text, "%u", value);
    return bytes.size >= size && memcmp(bytes.data, text, size) == 0 &&
           (bytes.size == size || bytes.size == LARGE_VALUE);
}

static void check_previous(struct model *model, const struct expected *watcher,
                           const struct event *event, const Mvccpb__Event *found)
{
    bool may_miss = event->main - 1 < kv_compact_revision(model->world->kv);
    if (!watcher->create.prev_kv || event->previous == 0) {
        expect(model, found->prev_kv == NULL, "prev-kv: it is there unasked");
    } else if (found->prev_kv == NULL) {
        expect(model, may_miss, "prev-kv: it is missing");
    } else {
        expect(model, is_value(binary_bytes(found->prev_kv->value), event->previous),
               "prev-kv: another value");
    }
}

static void check_event(struct model *model, struct expected *watcher, const Mvccpb__Event *found)
{
    size_t at = next_of(model, watcher);
    expect(model, at < model->log_count, "unique: an event that never was, or came before");
    if (model->violation != NULL) {
        return;
    }
    const struct event *event = &model->log[at];
    expect(model, found->kv->mod_revision == event->main, "reliable: another revision was next");
    expect(model, bytes_equal(binary_bytes(found->kv->key), bytes_from_text(KEY_NAMES[event->key])),
           "ordered: another key was next");
    expect(model, (found->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) == event->is_delete,
           "filter: another type");
    bool is_create = found->kv->create_revision == found->kv->mod_revision;
    expect(model, is_create == event->is_create, "is-create");
    if (!event->is_delete) {
        expect(model, is_value(binary_bytes(found->kv->value), event->value), "another value");
    }
    check_previous(model, watcher, event, found);
    watcher->next = at + 1;
}

static void check_atomic(struct model *model, struct expected *watcher,
                         const Etcdserverpb__WatchResponse *response)
{
    expect(model, !response->fragment || watcher->create.fragment, "a fragment unasked");
    watcher->in_fragment = response->fragment;
    size_t at = next_of(model, watcher);
    if (!response->fragment && at < model->log_count) {
        expect(model, model->log[at].main != model->log[watcher->next - 1].main,
               "atomic: a revision was split");
    }
}

static bool has_all(const struct model *model, const struct expected *watcher, int64_t revision)
{
    size_t at = next_of(model, watcher);
    return at == model->log_count || model->log[at].main > revision;
}

static void check_progress(struct model *model, unsigned stream,
                           const Etcdserverpb__WatchResponse *response)
{
    int64_t revision = response->header->revision;
    for (size_t i = 0; i < model->watcher_count; i++) {
        const struct expected *watcher = &model->watcher[i];
        bool is_meant = response->watch_id == -1 || watcher->id == response->watch_id;
        if (watcher->stream == stream && watcher->created && !watcher->ended &&
            !watcher->canceled && is_meant) {
            expect(model, has_all(model, watcher, revision),
                   "bookmarkable: progress passed an event");
            expect(model, watcher->create.start_revision <= revision + 1,
                   "progress before the start");
        }
    }
}

static void check_created(struct model *model, unsigned stream,
                          const Etcdserverpb__WatchResponse *response)
{
    size_t at = model->unanswered[stream];
    while (at < model->watcher_count && model->watcher[at].stream != stream) {
        at += 1;
    }
    expect(model, at < model->watcher_count, "created without a request");
    expect(model, !response->canceled && response->n_events == 0, "created: not alone");
    if (model->violation != NULL) {
        return;
    }
    model->watcher[at].created = true;
    model->watcher[at].id = response->watch_id;
    model->unanswered[stream] = at + 1;
}

static void check_canceled(struct model *model, struct expected *watcher,
                           const Etcdserverpb__WatchResponse *response)
{
    if (response->compact_revision != 0) {
        expect(model, response->compact_revision <= kv_compact_revision(model->world->kv),
               "compacted to a revision that is not");
        expect(model, watcher->create.start_revision < response->compact_revision,
               "compacted although it starts later");
        expect(model, response->header->revision == 0, "compacted with a revision");
    } else {
        expect(model, watcher->canceled, "canceled without a request");
    }
    expect(model, !watcher->in_fragment, "canceled inside a response");
    watcher->ended = true;
}

static void check_response(struct model *model, unsigned stream,
                           const Etcdserverpb__WatchResponse *response)
{
    if (response->created) {
        check_created(model, stream, response);
        return;
    }
    if (response->n_events == 0 && !response->canceled) {
        check_progress(model, stream, response);
        return;
    }
    struct expected *watcher = find(model, stream, response->watch_id);
    expect(model, watcher != NULL, "a response for no watcher");
    if (watcher == NULL) {
        return;
    }
    if (response->canceled) {
        check_canceled(model, watcher, response);
        return;
    }
    for (size_t i = 0; i < response->n_events && model->violation == NULL; i++) {
        check_event(model, watcher, response->events[i]);
    }
    if (model->violation == NULL) {
        check_atomic(model, watcher, response);
    }
}

static void take(struct model *model, unsigned stream, size_t max_bytes)
{
    watch_client_take(model->stream[stream], max_bytes, &model->responses);
    for (size_t i = 0; i < model->responses.count && model->violation == NULL; i++) {
        check_response(model, stream, model->responses.response[i]);
    }
    watch_responses_clear(&model->responses);
}

/* --- the run --------------------------------------------------------------------------------- */

static void replace_store(struct model *model)
{
    struct err err;
    world_store(model->world);
    assert_int_equal(kv_restore(model->world->kv, model->world->backend, &err), 0);
}

static void step(struct model *model)
{
    struct kv_budget slice = {.items = 1 + (uint32_t)below(model, 20)};
    uint64_t choice = below(model, 100);
    if (choice < 35) {
        change_one(model);
    } else if (choice < 42) {
        delete_some(model);
    } else if (choice < 52) {
        change_many(model);
    } else if (choice < 60) {
        create_watcher(model);
    } else if (choice < 63) {
        cancel_watcher(model);
    } else if (choice < 66) {
        (void)watch_client_progress(model->stream[below(model, STREAMS)]);
    } else if (choice < 68) {
        watch_hub_progress(kv_watch_hub(model->world->kv));
    } else if (choice < 69) {
        compact(model);
    } else if (choice < 70) {
        replace_store(model);
    } else if (choice < 78) {
        world_store(model->world);
    } else if (choice < 93) {
        (void)kv_step(model->world->kv, slice);
    } else {
        /* Stream 0 reads everything, 1 a little, 2 seldom. */
        unsigned stream = (unsigned)below(model, STREAMS);
        if (stream < 2 || prng_chance(&model->prng, 1, 6)) {
            take(model, stream, stream == 0 ? SIZE_MAX : below(model, 200000));
        }
    }
}

/* Everybody reads: then everything must have come. */
static void drain(struct model *model)
{
    bool more = true;
    while (more && model->violation == NULL) {
        more = kv_step(model->world->kv, (struct kv_budget){.items = 50});
        for (unsigned stream = 0; stream < STREAMS; stream++) {
            more = more || watch_stream_has_output(model->stream[stream]);
            take(model, stream, SIZE_MAX);
        }
    }
    for (size_t i = 0; i < model->watcher_count; i++) {
        const struct expected *watcher = &model->watcher[i];
        expect(model, watcher->created, "never created");
        if (!watcher->ended) {
            expect(model, next_of(model, watcher) == model->log_count,
                   "reliable: an event never came");
        }
    }
}

const char *watch_model_run(uint64_t seed, uint32_t steps)
{
    struct model *model = mem_zalloc(sizeof *model);
    model->world = world_new();
    model->log = mem_reallocarray(NULL, EVENTS_MAX, sizeof *model->log);
    prng_init(&model->prng, seed);
    struct watch_hub *hub = kv_watch_hub(model->world->kv);
    watch_hub_set_fragment_bytes(hub, 100000);
    for (unsigned i = 0; i < STREAMS; i++) {
        model->stream[i] = watch_stream_new(hub, model);
    }
    for (uint32_t i = 0; i < steps && model->violation == NULL; i++) {
        step(model);
        if (i % 64 == 0) {
            kv_check(model->world->kv);
        }
    }
    if (model->violation == NULL) {
        drain(model);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        watch_stream_free(model->stream[i]);
    }
    const char *violation = model->violation;
    world_free(model->world);
    mem_free(model->log);
    mem_free(model);
    return violation;
}
