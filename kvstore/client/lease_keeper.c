#include "kvstore/client/lease_keeper.h"

#include "base/check.h"
#include "kvstore/client/duplex.h"

enum { TTL_ASSUMED_S = 5 };

struct lease_keeper {
    struct keeper_hub *hub;
    struct list link;
    int64_t lease;
    struct timer renewal; /* the next request is due */
    struct timer expiry;  /* the lease is gone if no answer came until then */
    bool is_ended;
    bool is_closed;
    unsigned notifying;
    lease_keeper_notify *notify;
    void *context;
};

struct keeper_hub {
    struct duplex duplex;
    struct list keepers;
};

static struct timers *timers_of(const struct lease_keeper *keeper)
{
    return keeper->hub->duplex.client->timers;
}

static void stop_timers(struct lease_keeper *keeper)
{
    timers_clear(timers_of(keeper), &keeper->renewal);
    timers_clear(timers_of(keeper), &keeper->expiry);
}

static void free_keeper(struct lease_keeper *keeper)
{
    list_remove(&keeper->link);
    mem_free(keeper);
}

static void notify(struct lease_keeper *keeper,
                   const Etcdserverpb__LeaseKeepAliveResponse *response)
{
    keeper->notifying += 1;
    keeper->notify(keeper->context, response);
    keeper->notifying -= 1;
    if (keeper->is_closed && keeper->notifying == 0) {
        free_keeper(keeper);
    }
}

static void end_keeper(struct lease_keeper *keeper)
{
    stop_timers(keeper);
    keeper->is_ended = true;
    notify(keeper, NULL);
}

static void renew(struct lease_keeper *keeper)
{
    struct keeper_hub *hub = keeper->hub;
    if (hub->duplex.state != DUPLEX_OPEN) {
        return; /* on_open renews all */
    }
    Etcdserverpb__LeaseKeepAliveRequest request = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    request.id = keeper->lease;
    duplex_send(&hub->duplex, &request.base);
}

static void renewal_fired(struct timer *timer)
{
    renew(container_of(timer, struct lease_keeper, renewal));
}

static void expiry_fired(struct timer *timer)
{
    end_keeper(container_of(timer, struct lease_keeper, expiry));
}

static void set_timers(struct lease_keeper *keeper, int64_t ttl_s, bool with_renewal)
{
    uint64_t now_ms = client_now_ms(keeper->hub->duplex.client);
    uint64_t ttl_ms = (uint64_t)ttl_s * 1000;
    timers_set(timers_of(keeper), &keeper->expiry, now_ms + ttl_ms);
    if (with_renewal) {
        timers_set(timers_of(keeper), &keeper->renewal, now_ms + ttl_ms / 3);
    }
}

static struct lease_keeper *find(const struct keeper_hub *hub, int64_t lease,
                                 const struct lease_keeper *after)
{
    const struct list *start = after == NULL ? &hub->keepers : &after->link;
    for (struct list *item = start->next; item != &hub->keepers; item = item->next) {
        struct lease_keeper *keeper = container_of(item, struct lease_keeper, link);
        if (keeper->lease == lease && !keeper->is_ended) {
            return keeper;
        }
    }
    return NULL;
}

static void on_message(struct duplex *duplex, const struct grpc_message *message)
{
    struct keeper_hub *hub = container_of(duplex, struct keeper_hub, duplex);
    const Etcdserverpb__LeaseKeepAliveResponse *response = (const void *)message->decoded;
    duplex_note_success(duplex);
    /* Each keeper has its own request and so its own answer: the one that waits longest is due. */
    struct lease_keeper *due = NULL;
    for (struct lease_keeper *keeper = find(hub, response->id, NULL); keeper != NULL;
         keeper = find(hub, response->id, keeper)) {
        if (due == NULL || keeper->expiry.deadline_ms < due->expiry.deadline_ms) {
            due = keeper;
        }
    }
    if (due == NULL) {
        return;
    }
    if (response->ttl <= 0) {
        end_keeper(due);
        return;
    }
    set_timers(due, response->ttl, true);
    notify(due, response);
}

static void on_open(struct duplex *duplex)
{
    struct keeper_hub *hub = container_of(duplex, struct keeper_hub, duplex);
    for (struct list *item = hub->keepers.next; item != &hub->keepers; item = item->next) {
        struct lease_keeper *keeper = container_of(item, struct lease_keeper, link);
        if (!keeper->is_ended) {
            timers_clear(timers_of(keeper), &keeper->renewal);
            renew(keeper);
        }
    }
}

/* Whatever the reason, it is tried again until the leases run out: nothing else would help them. */
static void on_broken(struct duplex *duplex, enum grpc_status status, const char *text,
                      bool is_final)
{
    (void)duplex;
    (void)status;
    (void)text;
    (void)is_final;
}

static const struct duplex_handler handler = {
    .path = "/etcdserverpb.Lease/LeaseKeepAlive",
    .response = &etcdserverpb__lease_keep_alive_response__descriptor,
    .needs_leader = true,
    .on_open = on_open,
    .on_message = on_message,
    .on_broken = on_broken,
};

static struct keeper_hub *get_hub(struct kv_client *client)
{
    if (client->keeper_hub == NULL) {
        struct keeper_hub *hub = mem_zalloc(sizeof *hub);
        duplex_init(&hub->duplex, client, &handler);
        list_init(&hub->keepers);
        client->keeper_hub = hub;
    }
    return client->keeper_hub;
}

struct lease_keeper *lease_keeper_open(struct kv_client *client, int64_t lease, int64_t ttl_s,
                                       lease_keeper_notify *notify_function, void *context)
{
    CHECK(!client->is_closing);
    struct lease_keeper *keeper = mem_zalloc(sizeof *keeper);
    keeper->hub = get_hub(client);
    keeper->lease = lease;
    keeper->notify = notify_function;
    keeper->context = context;
    timer_init(&keeper->renewal, renewal_fired);
    timer_init(&keeper->expiry, expiry_fired);
    list_push_back(&keeper->hub->keepers, &keeper->link);
    set_timers(keeper, ttl_s > 0 ? ttl_s : TTL_ASSUMED_S, false);
    duplex_start(&keeper->hub->duplex);
    renew(keeper);
    return keeper;
}

void lease_keeper_close(struct lease_keeper *keeper)
{
    CHECK(!keeper->is_closed);
    keeper->is_closed = true;
    stop_timers(keeper);
    keeper->is_ended = true;
    if (keeper->notifying == 0) {
        free_keeper(keeper);
    }
}

void keeper_hub_close(struct keeper_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    duplex_stop(&hub->duplex);
    for (struct list *item = hub->keepers.next; item != &hub->keepers;) {
        struct lease_keeper *keeper = container_of(item, struct lease_keeper, link);
        item = item->next;
        stop_timers(keeper);
        keeper->is_ended = true;
        keeper->is_closed = true;
        list_remove(&keeper->link);
        if (keeper->notifying == 0) {
            free_keeper(keeper);
        }
    }
    mem_free(hub);
}
