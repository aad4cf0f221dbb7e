#include "kvstore/server/peers.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "kvstore/server/peer_snapshot.h"
#include "raft/message_codec.h"

struct peer_link {
    struct list link;
    struct peers *peers;
    raft_id id;
    struct arena arena; /* the URLs' texts */
    struct config_urls urls;
    unsigned url_index;
    struct grpc_channel *channel;
    struct grpc_client_call *call; /* NULL: waits to try again */
    struct timer retry;
    struct buf out; /* frames of this run */
    bool is_connected;
    bool is_closing; /* the channel is going: nothing is started again */
    bool has_warned;
    struct metric_child *sent_bytes;
    struct metric_child *round_trip;
    struct metric_child *sent_failures;
    struct metric_child *active;
};

struct peers {
    struct peers_options options;
    struct list links;
    struct buf scratch;
    uint32_t closing; /* channels that are being closed */
    bool is_closing;
    void (*done)(void *context);
    void *done_context;
};

static void start_call(struct peer_link *link);

struct peers *peers_new(const struct peers_options *options)
{
    struct peers *peers = mem_zalloc(sizeof *peers);
    peers->options = *options;
    list_init(&peers->links);
    return peers;
}

static struct peer_link *find(const struct peers *peers, raft_id id)
{
    list_foreach (item, &peers->links) {
        struct peer_link *link = container_of(item, struct peer_link, link);
        if (link->id == id) {
            return link;
        }
    }
    return NULL;
}

static void set_connected(struct peer_link *link, bool is_connected, const char *why)
{
    if (link->is_connected == is_connected) {
        return;
    }
    link->is_connected = is_connected;
    metric_child_set(link->active, is_connected ? 1 : 0);
    if (is_connected) {
        link->has_warned = false;
        log_info("established a stream with a peer", LOG_ID("remote-peer-id", link->id));
    } else {
        log_warn("lost the stream with a peer", LOG_ID("remote-peer-id", link->id),
                 LOG_TEXT("error", why));
    }
    core_on_peer(link->peers->options.core, link->id, is_connected);
}

static void retry(struct timer *timer)
{
    struct peer_link *link = container_of(timer, struct peer_link, retry);
    if (link->call == NULL) {
        start_call(link);
    }
}

static void on_state(void *context, enum grpc_channel_state state, const struct err *err)
{
    struct peer_link *link = context;
    if (state == GRPC_CHANNEL_READY) {
        set_connected(link, link->call != NULL, "");
        return;
    }
    if (state == GRPC_CHANNEL_BACKOFF && !link->has_warned) {
        link->has_warned = true;
        log_warn("cannot reach a peer", LOG_ID("remote-peer-id", link->id),
                 LOG_TEXT("url", link->urls.url[link->url_index].text),
                 LOG_TEXT("error", err == NULL ? NULL : err->text));
    }
}

static void on_finish(struct grpc_client_call *call, enum grpc_status status, const char *text,
                      const struct http_headers *trailers, bool was_sent)
{
    (void)trailers;
    (void)was_sent;
    struct peer_link *link = grpc_client_call_data(call);
    link->call = NULL;
    set_connected(link, false, text);
    struct peers *peers = link->peers;
    if (status == GRPC_FAILED_PRECONDITION && !link->has_warned) {
        link->has_warned = true;
        log_warn("a peer refuses this member", LOG_ID("remote-peer-id", link->id),
                 LOG_TEXT("error", text));
    }
    if (status == GRPC_PERMISSION_DENIED && strcmp(text, PEER_REMOVED_TEXT) == 0) {
        peers->options.on_removed(peers->options.context);
    }
    if (status == GRPC_DATA_LOSS && strcmp(text, PEER_LOST_DATA_TEXT) == 0) {
        peers->options.on_lost_data(peers->options.context);
    }
    if (!link->is_closing) {
        struct timers *timers = wire_loop_timers(peers->options.wire);
        timers_set(timers, &link->retry, timers->now_ms + PEER_RECONNECT_MS);
    }
}

static void ignore_message(struct grpc_client_call *call, const struct grpc_message *message)
{
    (void)call;
    (void)message;
}

static void start_call(struct peer_link *link)
{
    static const struct grpc_client_handler handler = {.on_message = ignore_message,
                                                       .on_finish = on_finish};
    const struct peer_hello self = peer_hello_make(link->peers->options.core, link->id);
    link->call = grpc_channel_start(link->channel, &(struct grpc_call_options){
                                                       .path = "/coracle.Peer/Stream",
                                                       .wait_for_ready = true,
                                                       .handler = &handler,
                                                       .data = link,
                                                   });
    struct buf hello = BUF_INIT;
    peer_hello_encode(&hello, &self);
    grpc_client_call_send(link->call, buf_bytes(&hello));
    buf_deinit(&hello);
    if (grpc_channel_state(link->channel) == GRPC_CHANNEL_READY) {
        set_connected(link, true, "");
    }
}

static void open_channel(struct peer_link *link)
{
    const struct peers_options *options = &link->peers->options;
    const struct config_url *url = &link->urls.url[link->url_index];
    const struct grpc_channel_options channel = {
        .host = url->host,
        .port = url->port,
        .unix_path = url->is_unix ? url->host : NULL,
        .local_address = options->local_address,
        .tls = url->is_tls ? options->tls : NULL,
        .limits = {.keepalive_time_ms = 5000, .keepalive_timeout_ms = 5000},
        .backoff_min_ms = PEER_RECONNECT_MS,
        .backoff_max_ms = 1000,
        .seed = options->seed ^ link->id,
        .on_state = on_state,
        .context = link,
    };
    link->channel = grpc_channel_new(options->wire, &channel);
    start_call(link);
}

static void channel_closed(void *context)
{
    struct peers *peers = context;
    CHECK(peers->closing > 0);
    peers->closing -= 1;
    if (peers->is_closing && peers->closing == 0) {
        void (*done)(void *) = peers->done;
        void *done_context = peers->done_context;
        buf_deinit(&peers->scratch);
        mem_free(peers);
        done(done_context);
    }
}

struct closing_link {
    struct peers *peers;
    struct peer_link *link;
};

static void link_closed(void *context)
{
    struct closing_link *closing = context;
    arena_deinit(&closing->link->arena);
    buf_deinit(&closing->link->out);
    mem_free(closing->link);
    struct peers *peers = closing->peers;
    mem_free(closing);
    channel_closed(peers);
}

static void close_link(struct peer_link *link)
{
    struct peers *peers = link->peers;
    list_remove(&link->link);
    link->is_closing = true;
    timers_clear(wire_loop_timers(peers->options.wire), &link->retry);
    struct closing_link *closing = mem_alloc(sizeof *closing);
    *closing = (struct closing_link){.peers = peers, .link = link};
    peers->closing += 1;
    grpc_channel_close(link->channel, link_closed, closing);
}

static bool same_urls(const struct config_urls *a, const struct config_urls *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (unsigned i = 0; i < a->count; i++) {
        if (strcmp(a->url[i].text, b->url[i].text) != 0) {
            return false;
        }
    }
    return true;
}

static void make_metrics(struct peer_link *link)
{
    struct metrics *metrics = link->peers->options.metrics;
    char id[64];
    (void)snprintf(id, sizeof id, "%llx", (unsigned long long)link->id);
    link->sent_bytes = metric_get(metrics, METRIC_PEER_SENT, id);
    link->sent_failures = metric_get(metrics, METRIC_PEER_SENT_FAILURES, id);
    link->round_trip = metric_get(metrics, METRIC_PEER_ROUND_TRIP, id);
    (void)metric_get(metrics, METRIC_PEER_RECEIVED, id);
    (void)snprintf(id, sizeof id, "%llx,%llx",
                   (unsigned long long)core_member_id(link->peers->options.core),
                   (unsigned long long)link->id);
    link->active = metric_get(metrics, METRIC_ACTIVE_PEERS, id);
    metric_child_set(metric_get(metrics, METRIC_KNOWN_PEERS, id), 1);
}

void peers_put(struct peers *peers, raft_id id, const struct config_urls *urls)
{
    CHECK(urls->count > 0);
    struct peer_link *link = find(peers, id);
    if (link != NULL && same_urls(&link->urls, urls)) {
        return;
    }
    if (link != NULL) {
        close_link(link);
    }
    link = mem_zalloc(sizeof *link);
    link->peers = peers;
    link->id = id;
    for (unsigned i = 0; i < urls->count; i++) {
        struct err err = {0};
        int code = config_parse_url(&link->arena, urls->url[i].text, &link->urls.url[i], &err);
        CHECK(code == 0); /* it was parsed before */
    }
    link->urls.count = urls->count;
    timer_init(&link->retry, retry);
    list_push_back(&peers->links, &link->link);
    make_metrics(link);
    log_info("added a peer", LOG_ID("remote-peer-id", id), LOG_TEXT("url", urls->url[0].text));
    open_channel(link);
}

void peers_keep(struct peers *peers, const raft_id *ids, uint32_t count)
{
    list_foreach_safe (item, &peers->links) {
        struct peer_link *link = container_of(item, struct peer_link, link);
        bool is_kept = false;
        for (uint32_t i = 0; i < count; i++) {
            is_kept = is_kept || ids[i] == link->id;
        }
        if (!is_kept) {
            log_info("removed a peer", LOG_ID("remote-peer-id", link->id));
            close_link(link);
        }
    }
}

void peers_close(struct peers *peers, void (*done)(void *context), void *context)
{
    peers->is_closing = true;
    peers->done = done;
    peers->done_context = context;
    peers->closing += 1; /* so that the last of the links does not free what we walk */
    peers_keep(peers, NULL, 0);
    channel_closed(peers);
}

static void flush(struct peer_link *link)
{
    if (buf_size(&link->out) == 0) {
        return;
    }
    bool is_lost = !link->is_connected || link->call == NULL ||
                   grpc_client_call_queued_bytes(link->call) > PEER_QUEUE_BYTES_MAX;
    if (is_lost) {
        metric_child_add(link->sent_failures, 1);
    } else {
        metric_child_add(link->sent_bytes, buf_size(&link->out));
        grpc_client_call_send(link->call, buf_bytes(&link->out));
    }
    buf_clear(&link->out);
}

void peers_send(struct peers *peers, const struct raft_message *message)
{
    struct peer_link *link = find(peers, message->to);
    if (message->type == RAFT_MESSAGE_INSTALL_SNAPSHOT) {
        peer_snapshot_send(peers->options.core, link == NULL ? NULL : link->channel, message,
                           peers->options.metrics);
        return;
    }
    if (link == NULL || !link->is_connected) {
        return;
    }
    buf_clear(&peers->scratch);
    raft_message_encode(message, &peers->scratch);
    peer_frame_append(&link->out, PEER_FRAME_RAFT, buf_bytes(&peers->scratch));
    if (buf_size(&link->out) > PEER_MESSAGE_BYTES_MAX / 8) {
        flush(link);
    }
}

void peers_send_frame(struct peers *peers, raft_id to, struct bytes frame)
{
    struct peer_link *link = find(peers, to);
    if (link != NULL && link->is_connected) {
        peer_frame_append(&link->out, PEER_FRAME_NODE, frame);
    }
}

void peers_flush(struct peers *peers)
{
    list_foreach (item, &peers->links) {
        flush(container_of(item, struct peer_link, link));
    }
}

void peers_ping(struct peers *peers)
{
    list_foreach (item, &peers->links) {
        struct peer_link *link = container_of(item, struct peer_link, link);
        uint64_t now = uv_hrtime(); /* both ends of the measure are here: any byte order will do */
        if (link->is_connected) {
            peer_frame_append(&link->out, PEER_FRAME_PING, bytes_make(&now, sizeof now));
            flush(link);
        }
    }
}

void peers_on_ping(struct peers *peers, raft_id from, struct bytes payload)
{
    struct peer_link *link = find(peers, from);
    if (link != NULL && link->is_connected && payload.size == PEER_PING_BYTES) {
        peer_frame_append(&link->out, PEER_FRAME_PONG, payload);
        flush(link);
    }
}

void peers_on_pong(struct peers *peers, raft_id from, struct bytes payload)
{
    struct peer_link *link = find(peers, from);
    uint64_t sent = 0;
    if (link != NULL && payload.size == PEER_PING_BYTES) {
        memcpy(&sent, payload.data, sizeof sent);
        uint64_t now = uv_hrtime();
        metric_child_observe(link->round_trip, now < sent ? 0 : (double)(now - sent) / 1e9);
    }
}

struct grpc_channel *peers_channel(struct peers *peers, raft_id id)
{
    struct peer_link *link = find(peers, id);
    return link == NULL ? NULL : link->channel;
}

uint32_t peers_connected_count(const struct peers *peers)
{
    uint32_t count = 0;
    list_foreach (item, &peers->links) {
        count += container_of(item, struct peer_link, link)->is_connected;
    }
    return count;
}
