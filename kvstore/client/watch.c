#include "kvstore/client/watch.h"

#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "kvstore/client/duplex.h"
#include "kvstore/client/watch_position.h"
#include "proto/arena_allocator.h"

enum { TOKEN_REFRESHES_MAX = 2 };

enum watch_state {
    WATCH_NEW,      /* not known to the server */
    WATCH_CREATING, /* asked for, in hub->creating: answers come in the order of the requests */
    WATCH_ACTIVE,   /* in hub->by_id */
    WATCH_ENDED,
};

struct kv_watch {
    struct watch_hub *hub; /* NULL: the client is gone */
    struct list link;      /* in hub->watches */
    struct list creating;  /* in hub->creating */
    enum watch_state state;
    struct watch_position position;
    int64_t server_id;
    bool was_created;
    bool is_closed; /* by the user; freed as soon as nothing refers to it */
    unsigned notifying;
    unsigned token_refreshes;
    struct arena fragments; /* events so far of a batch that came in parts */
    Mvccpb__Event **fragment_events;
    size_t fragment_count;
    kv_watch_notify *notify;
    void *context;
    struct kv_watch_options options; /* key and range_end point into memory below */
    uint8_t memory[];
};

struct watch_hub {
    struct duplex duplex;
    struct list watches;
    struct list creating;
    struct u64_map by_id; /* server_id + 1, so that the key is never 0 */
};

static uint64_t map_key(int64_t server_id)
{
    return (uint64_t)server_id + 1;
}

static void free_watch(struct kv_watch *watch)
{
    CHECK(watch->notifying == 0);
    list_remove(&watch->link);
    list_remove(&watch->creating);
    mem_free(watch->fragment_events);
    arena_deinit(&watch->fragments);
    mem_free(watch);
}

/* Tell the user. Afterwards watch, and the hub, may be gone. */
static void notify(struct kv_watch *watch, const struct kv_watch_event *event)
{
    if (watch->is_closed) {
        return;
    }
    watch->notifying += 1;
    watch->notify(watch->context, event);
    watch->notifying -= 1;
    if (watch->is_closed && watch->notifying == 0) {
        free_watch(watch);
    }
}

static void drop_fragments(struct kv_watch *watch)
{
    watch->fragment_count = 0;
    arena_reset(&watch->fragments);
}

static void end_watch(struct kv_watch *watch, const struct kv_watch_event *event)
{
    if (watch->state == WATCH_ACTIVE && watch->hub != NULL) {
        (void)u64_map_remove(&watch->hub->by_id, map_key(watch->server_id));
    }
    list_remove(&watch->creating);
    watch->state = WATCH_ENDED;
    drop_fragments(watch);
    if (watch->is_closed) {
        free_watch(watch);
        return;
    }
    notify(watch, event);
}

/* Requests. */

static void send_create(struct watch_hub *hub, struct kv_watch *watch)
{
    const struct kv_watch_options *options = &watch->options;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest__FilterType filters[2];
    create.key = (ProtobufCBinaryData){options->key.size, watch->memory};
    create.range_end =
        (ProtobufCBinaryData){options->range_end.size, watch->memory + options->key.size};
    create.start_revision = watch->position.next_revision;
    create.prev_kv = options->prev_kv;
    create.progress_notify = options->progress_notify;
    create.fragment = options->fragment;
    create.filters = filters;
    if (options->no_put) {
        filters[create.n_filters++] = ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT;
    }
    if (options->no_delete) {
        filters[create.n_filters++] = ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE;
    }
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    watch->state = WATCH_CREATING;
    list_push_back(&hub->creating, &watch->creating);
    duplex_send(&hub->duplex, &request.base);
}

static void send_cancel(struct watch_hub *hub, int64_t server_id)
{
    Etcdserverpb__WatchCancelRequest cancel = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    cancel.watch_id = server_id;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    request.cancel_request = &cancel;
    duplex_send(&hub->duplex, &request.base);
}

void kv_client_request_progress(struct kv_client *client)
{
    struct watch_hub *hub = client->watch_hub;
    if (hub == NULL || hub->duplex.state != DUPLEX_OPEN) {
        return;
    }
    Etcdserverpb__WatchProgressRequest progress = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    duplex_send(&hub->duplex, &request.base);
}

/* Responses. */

static int64_t header_revision(const Etcdserverpb__WatchResponse *response)
{
    return response->header == NULL ? 0 : response->header->revision;
}

/* The status inside "rpc error: code = PermissionDenied desc = etcdserver: permission denied". */
static const char *reason_text(const char *reason)
{
    const char *description = strstr(reason, "desc = ");
    return description != NULL ? description + sizeof "desc = " - 1 : reason;
}

static void on_canceled(struct watch_hub *hub, struct kv_watch *watch,
                        const Etcdserverpb__WatchResponse *response)
{
    const char *text = reason_text(response->cancel_reason);
    if (watch->token_refreshes < TOKEN_REFRESHES_MAX && !watch->is_closed &&
        auth_is_refreshed(hub->duplex.client, GRPC_UNAUTHENTICATED, text,
                          hub->duplex.token_generation)) {
        /* The token belongs to the stream, so all watches move to a new one. */
        watch->token_refreshes += 1;
        hub->duplex.handler->on_broken(&hub->duplex, GRPC_UNAUTHENTICATED, text, false);
        duplex_restart(&hub->duplex);
        return;
    }
    const struct kv_watch_event event = {
        .type = response->compact_revision != 0 ? KV_WATCH_COMPACTED : KV_WATCH_CANCELED,
        .revision = header_revision(response),
        .compact_revision = response->compact_revision,
        .reason = response->cancel_reason,
        .response = response,
    };
    end_watch(watch, &event);
}

static void on_created(struct watch_hub *hub, const Etcdserverpb__WatchResponse *response)
{
    struct list *item = list_pop_front(&hub->creating);
    if (item == NULL) {
        return; /* not ours: the server is confused, and later ids will not match anything */
    }
    struct kv_watch *watch = container_of(item, struct kv_watch, creating);
    if (response->canceled) {
        on_canceled(hub, watch, response);
        return;
    }
    if (watch->is_closed) {
        send_cancel(hub, response->watch_id);
        free_watch(watch);
        return;
    }
    watch->state = WATCH_ACTIVE;
    watch->server_id = response->watch_id;
    (void)u64_map_set(&hub->by_id, map_key(watch->server_id), watch);
    watch_position_on_created(&watch->position, header_revision(response));
    if (watch->was_created) {
        return;
    }
    watch->was_created = true;
    const struct kv_watch_event event = {.type = KV_WATCH_CREATED,
                                         .revision = header_revision(response),
                                         .reason = "",
                                         .response = response};
    notify(watch, &event);
}

/* Keep the events of one part: decoded once more, because the message ends with this callback. */
static void keep_fragment(struct kv_watch *watch, const struct grpc_message *message)
{
    const ProtobufCMessage *copy =
        proto_decode(&etcdserverpb__watch_response__descriptor, message->raw, &watch->fragments);
    CHECK(copy != NULL); /* it could be decoded a moment ago */
    const Etcdserverpb__WatchResponse *part = (const void *)copy;
    watch->fragment_events =
        mem_reallocarray(watch->fragment_events, watch->fragment_count + part->n_events,
                         sizeof *watch->fragment_events);
    memcpy(watch->fragment_events + watch->fragment_count, part->events,
           part->n_events * sizeof *part->events);
    watch->fragment_count += part->n_events;
}

static void deliver(struct kv_watch *watch, const Etcdserverpb__WatchResponse *response,
                    Mvccpb__Event **events, size_t count)
{
    Etcdserverpb__WatchResponse whole = *response;
    size_t first = watch_position_on_events(&watch->position, events, count);
    if (first == count) {
        return;
    }
    whole.events = events + first;
    whole.n_events = count - first;
    const struct kv_watch_event event = {.type = KV_WATCH_EVENTS,
                                         .revision = header_revision(response),
                                         .reason = "",
                                         .response = &whole};
    notify(watch, &event);
}

static void notify_progress(struct kv_watch *watch, const Etcdserverpb__WatchResponse *response)
{
    watch_position_on_progress(&watch->position, header_revision(response));
    const struct kv_watch_event event = {.type = KV_WATCH_PROGRESS,
                                         .revision = header_revision(response),
                                         .reason = "",
                                         .response = response};
    notify(watch, &event);
}

static void on_watch_response(struct watch_hub *hub, struct kv_watch *watch,
                              const struct grpc_message *message)
{
    const Etcdserverpb__WatchResponse *response = (const void *)message->decoded;
    watch->token_refreshes = 0;
    if (response->canceled) {
        on_canceled(hub, watch, response);
    } else if (response->fragment) {
        keep_fragment(watch, message);
    } else if (watch->fragment_count > 0) {
        keep_fragment(watch, message);
        size_t count = watch->fragment_count;
        /* Out of the watch first, whose user may close it. */
        Mvccpb__Event **events = TAKE_PTR(watch->fragment_events);
        struct arena arena = watch->fragments;
        arena_init(&watch->fragments);
        watch->fragment_count = 0;
        deliver(watch, response, events, count);
        mem_free(events);
        arena_deinit(&arena);
    } else if (response->n_events > 0) {
        deliver(watch, response, response->events, response->n_events);
    } else {
        notify_progress(watch, response);
    }
}

/* An answer to kv_client_request_progress holds for every watch of the stream. A user may close any
 * watch, and the client, meanwhile, so each is looked up anew. */
static void on_progress_for_all(struct watch_hub *hub, const Etcdserverpb__WatchResponse *response)
{
    struct kv_client *client = hub->duplex.client;
    uint64_t *keys = mem_calloc(hub->by_id.count + 1, sizeof *keys);
    size_t count = 0;
    size_t cursor = 0;
    void *watch;
    while (u64_map_next(&hub->by_id, &cursor, &keys[count], &watch)) {
        count += 1;
    }
    for (size_t i = 0; i < count && client->watch_hub == hub; i++) {
        watch = u64_map_find(&hub->by_id, keys[i]);
        if (watch != NULL) {
            notify_progress(watch, response);
        }
    }
    mem_free(keys);
}

/* The one thing that the wire format permits and no user should have to look for. */
static bool is_sound(const Etcdserverpb__WatchResponse *response)
{
    for (size_t i = 0; i < response->n_events; i++) {
        if (response->events[i]->kv == NULL) {
            return false;
        }
    }
    return true;
}

static void on_message(struct duplex *duplex, const struct grpc_message *message)
{
    struct watch_hub *hub = container_of(duplex, struct watch_hub, duplex);
    const Etcdserverpb__WatchResponse *response = (const void *)message->decoded;
    if (!is_sound(response)) {
        duplex->handler->on_broken(duplex, GRPC_INTERNAL, "the server sent an event without a key",
                                   true);
        return;
    }
    duplex_note_success(duplex);
    if (response->created) {
        on_created(hub, response);
        return;
    }
    if (response->watch_id == -1) {
        on_progress_for_all(hub, response);
        return;
    }
    struct kv_watch *watch = u64_map_find(&hub->by_id, map_key(response->watch_id));
    if (watch != NULL) {
        on_watch_response(hub, watch, message);
    }
}

static void on_open(struct duplex *duplex)
{
    struct watch_hub *hub = container_of(duplex, struct watch_hub, duplex);
    for (struct list *item = hub->watches.next; item != &hub->watches; item = item->next) {
        struct kv_watch *watch = container_of(item, struct kv_watch, link);
        if (watch->state == WATCH_NEW) {
            send_create(hub, watch);
        }
    }
}

/* What the server knew is forgotten; positions stay. */
static void forget_server_state(struct watch_hub *hub)
{
    u64_map_deinit(&hub->by_id);
    u64_map_init(&hub->by_id);
    for (struct list *item = hub->watches.next; item != &hub->watches;) {
        struct kv_watch *watch = container_of(item, struct kv_watch, link);
        item = item->next;
        list_remove(&watch->creating);
        drop_fragments(watch);
        if (watch->is_closed && watch->notifying == 0) {
            free_watch(watch);
        } else if (watch->state != WATCH_ENDED) {
            watch->state = WATCH_NEW;
        }
    }
}

static void on_broken(struct duplex *duplex, enum grpc_status status, const char *text,
                      bool is_final)
{
    struct watch_hub *hub = container_of(duplex, struct watch_hub, duplex);
    struct kv_client *client = duplex->client;
    forget_server_state(hub);
    if (!is_final) {
        return;
    }
    duplex_stop(duplex);
    const struct kv_watch_event event = {
        .type = KV_WATCH_CANCELED, .status = status, .reason = text};
    /* From the front again after each: the user may close watches and the client in between. */
    for (bool found = true; found && client->watch_hub == hub;) {
        found = false;
        for (struct list *item = hub->watches.next; item != &hub->watches; item = item->next) {
            struct kv_watch *watch = container_of(item, struct kv_watch, link);
            if (watch->state == WATCH_NEW) {
                found = true;
                end_watch(watch, &event);
                break;
            }
        }
    }
}

static const struct duplex_handler handler = {
    .path = "/etcdserverpb.Watch/Watch",
    .response = &etcdserverpb__watch_response__descriptor,
    .needs_leader = true,
    .on_open = on_open,
    .on_message = on_message,
    .on_broken = on_broken,
};

static struct watch_hub *get_hub(struct kv_client *client)
{
    if (client->watch_hub == NULL) {
        struct watch_hub *hub = mem_zalloc(sizeof *hub);
        duplex_init(&hub->duplex, client, &handler);
        list_init(&hub->watches);
        list_init(&hub->creating);
        u64_map_init(&hub->by_id);
        client->watch_hub = hub;
    }
    return client->watch_hub;
}

struct kv_watch *kv_watch_open(struct kv_client *client, const struct kv_watch_options *options,
                               kv_watch_notify *notify_function, void *context)
{
    CHECK(!client->is_closing);
    struct watch_hub *hub = get_hub(client);
    struct bytes key = options->key.size == 0 ? BYTES_LITERAL("\0") : options->key;
    struct kv_watch *watch = mem_zalloc(sizeof *watch + key.size + options->range_end.size);
    watch->hub = hub;
    watch->notify = notify_function;
    watch->context = context;
    watch->options = *options;
    memcpy(watch->memory, key.data, key.size);
    if (options->range_end.size > 0) {
        memcpy(watch->memory + key.size, options->range_end.data, options->range_end.size);
    }
    watch->options.key = bytes_make(watch->memory, key.size);
    watch->options.range_end = bytes_make(watch->memory + key.size, options->range_end.size);
    watch_position_init(&watch->position, options->start_revision);
    arena_init(&watch->fragments);
    list_init(&watch->creating);
    list_push_back(&hub->watches, &watch->link);
    if (hub->duplex.state == DUPLEX_OPEN) {
        send_create(hub, watch);
    } else {
        duplex_start(&hub->duplex);
    }
    return watch;
}

void kv_watch_close(struct kv_watch *watch)
{
    CHECK(!watch->is_closed);
    watch->is_closed = true;
    struct watch_hub *hub = watch->hub;
    if (watch->state == WATCH_CREATING) {
        return; /* its answer tells the id to cancel, or the stream breaks */
    }
    if (watch->state == WATCH_ACTIVE) {
        (void)u64_map_remove(&hub->by_id, map_key(watch->server_id));
        if (hub->duplex.state == DUPLEX_OPEN) {
            send_cancel(hub, watch->server_id);
        }
        watch->state = WATCH_ENDED;
    }
    if (watch->notifying == 0) {
        free_watch(watch);
    }
}

int64_t kv_watch_next_revision(const struct kv_watch *watch)
{
    return watch->position.next_revision;
}

void watch_hub_close(struct watch_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    duplex_stop(&hub->duplex);
    for (struct list *item = list_pop_front(&hub->watches); item != NULL;
         item = list_pop_front(&hub->watches)) {
        struct kv_watch *watch = container_of(item, struct kv_watch, link);
        watch->hub = NULL;
        watch->is_closed = true;
        watch->state = WATCH_ENDED;
        list_remove(&watch->creating);
        if (watch->notifying == 0) {
            free_watch(watch);
        }
    }
    u64_map_deinit(&hub->by_id);
    mem_free(hub);
}
