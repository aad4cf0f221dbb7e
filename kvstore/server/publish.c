#include "base/log.h"
#include "base/service_notify.h"
#include "kvstore/server/server.h"
#include "proto/arena_allocator.h"
#include "proto/membership.pb-c.h"

enum { PUBLISH_RETRY_MS = 500 };

static void encode(struct server *server)
{
    const struct config_urls *urls = &server->config->advertise_client_urls;
    struct arena arena = ARENA_INIT;
    Membershippb__Attributes attributes;
    membershippb__attributes__init(&attributes);
    Membershippb__ClusterMemberAttrSetRequest request =
        MEMBERSHIPPB__CLUSTER_MEMBER_ATTR_SET_REQUEST__INIT;
    attributes.name = arena_strdup(&arena, server->config->name);
    attributes.client_urls = arena_alloc(&arena, (urls->count + 1) * sizeof(char *));
    for (unsigned i = 0; i < urls->count; i++) {
        attributes.client_urls[i] = arena_strdup(&arena, urls->url[i].text);
    }
    attributes.n_client_urls = urls->count;
    request.member_id = core_member_id(server->core);
    request.member_attributes = &attributes;
    buf_clear(&server->publish_body);
    buf_append_bytes(&server->publish_body, proto_encode(&request.base, &arena));
    arena_deinit(&arena);
}

static void submit(struct server *server);

static void retry(struct timer *timer)
{
    submit(container_of(timer, struct server, publish_timer));
}

static void on_reply(struct core_call *call, const struct node_reply *reply)
{
    struct server *server = container_of(call, struct server, publish_call);
    if (reply->status == ETCD_OK) {
        server->is_published = true;
        log_info("published local member to cluster through raft",
                 LOG_ID("local-member-id", core_member_id(server->core)),
                 LOG_TEXT("name", server->config->name));
        log_info("ready to serve client requests");
        service_notify("READY=1");
        return;
    }
    if (server->state >= SERVER_DRAINING) {
        return;
    }
    log_warn("failed to publish local member to cluster through raft",
             LOG_TEXT("error", etcd_error_text(reply->status)));
    struct timers *timers = wire_loop_timers(server->wire);
    timers_set(timers, &server->publish_timer, timers->now_ms + PUBLISH_RETRY_MS);
}

static void submit(struct server *server)
{
    server->publish_call = (struct core_call){.method = NODE_MEMBER_ATTR_SET,
                                              .body = buf_bytes(&server->publish_body),
                                              .is_internal = true,
                                              .on_reply = on_reply};
    core_submit(server->core, &server->publish_call);
}

void publish_start(struct server *server)
{
    encode(server);
    timer_init(&server->publish_timer, retry);
    submit(server);
}

void publish_stop(struct server *server)
{
    if (server->publish_call.on_reply == NULL) {
        return; /* never started: a listener could not be opened */
    }
    timers_clear(wire_loop_timers(server->wire), &server->publish_timer);
}
