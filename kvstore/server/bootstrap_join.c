#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "kvstore/server/bootstrap.h"
#include "proto/arena_allocator.h"
#include "proto/grpc_channel.h"
#include "proto/rpc.pb-c.h"

enum { JOIN_TIMEOUT_MS = 5000 };

/* One question to one member. */
struct question {
    struct arena *arena;
    const Etcdserverpb__MemberListResponse *answer; /* NULL: none */
    bool is_done;
    bool is_closed;
    char why[200];
};

static void on_answer(void *data, enum grpc_status status, const char *text,
                      const struct grpc_message *response, bool was_sent)
{
    (void)was_sent;
    struct question *question = data;
    question->is_done = true;
    if (status == GRPC_OK) {
        question->answer = (const Etcdserverpb__MemberListResponse *)proto_decode(
            &etcdserverpb__member_list_response__descriptor, response->raw, question->arena);
    }
    if (question->answer == NULL) {
        (void)snprintf(question->why, sizeof question->why, "%s",
                       status == GRPC_OK ? "an answer that cannot be read" : text);
    }
}

static void on_closed(void *context)
{
    struct question *question = context;
    question->is_closed = true;
}

static void run_until(struct wire_loop *wire, const bool *is_done)
{
    while (!*is_done) {
        (void)uv_run(wire_loop_uv(wire), UV_RUN_ONCE);
    }
}

static void ask(struct question *question, struct wire_loop *wire, struct tls_context *tls,
                const struct config_url *url)
{
    const struct grpc_channel_options options = {
        .host = url->host,
        .port = url->port,
        .unix_path = url->is_unix ? url->host : NULL,
        .tls = url->is_tls ? tls : NULL,
    };
    struct grpc_channel *channel = grpc_channel_new(wire, &options);
    const struct grpc_call_options call = {.path = "/coracle.Peer/Members",
                                           .timeout_ms = JOIN_TIMEOUT_MS};
    const Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    (void)grpc_channel_unary(channel, &call, &request.base, on_answer, question);
    run_until(wire, &question->is_done);
    grpc_channel_close(channel, on_closed, question);
    run_until(wire, &question->is_closed);
}

static bool same_urls(const struct config_urls *urls, const Etcdserverpb__Member *member)
{
    if (urls->count != member->n_peerurls) {
        return false;
    }
    for (unsigned i = 0; i < urls->count; i++) {
        bool is_there = false;
        for (size_t j = 0; j < member->n_peerurls; j++) {
            is_there = is_there || strcmp(urls->url[i].text, member->peerurls[j]) == 0;
        }
        if (!is_there) {
            return false;
        }
    }
    return true;
}

static int take_members(struct config *config, const Etcdserverpb__MemberListResponse *answer,
                        struct bootstrap *ret, struct err *err)
{
    struct bootstrap bootstrap = {.cluster_id = answer->header->cluster_id};
    if (answer->n_members != config->member_count) {
        return err_set(err, ERR_WRONG_CLUSTER,
                       "error validating peerURLs: member count is unequal (--initial-cluster "
                       "names %u, the cluster has %zu)",
                       config->member_count, answer->n_members);
    }
    for (unsigned i = 0; i < config->member_count; i++) {
        const Etcdserverpb__Member *match = NULL;
        for (size_t j = 0; j < answer->n_members; j++) {
            if (same_urls(&config->members[i].peer_urls, answer->members[j])) {
                match = answer->members[j];
            }
        }
        if (match == NULL) {
            return err_set(err, ERR_WRONG_CLUSTER,
                           "error validating peerURLs: unmatched member while checking PeerURLs "
                           "(%s=%s is not in the cluster)",
                           config->members[i].name, config->members[i].peer_urls.url[0].text);
        }
        bootstrap.members[bootstrap.member_count++] =
            (struct bootstrap_member){.id = match->id,
                                      .name = config->members[i].name,
                                      .peer_urls = config->members[i].peer_urls,
                                      .is_learner = match->islearner != 0};
        if (strcmp(config->members[i].name, config->name) == 0) {
            bootstrap.member_id = match->id;
        }
    }
    CHECK(bootstrap.member_id != 0);
    *ret = bootstrap;
    return 0;
}

int bootstrap_join(struct config *config, struct wire_loop *wire, struct tls_context *tls,
                   struct bootstrap *ret, struct err *err)
{
    char last[256] = "--initial-cluster names nobody else";
    for (unsigned i = 0; i < config->member_count; i++) {
        const struct config_member *member = &config->members[i];
        if (strcmp(member->name, config->name) == 0) {
            continue;
        }
        for (unsigned j = 0; j < member->peer_urls.count; j++) {
            CLEANUP(arena) struct arena arena = ARENA_INIT;
            struct question question = {.arena = &arena};
            ask(&question, wire, tls, &member->peer_urls.url[j]);
            if (question.answer != NULL && question.answer->header != NULL &&
                question.answer->n_members > 0) {
                return take_members(config, question.answer, ret, err);
            }
            (void)snprintf(last, sizeof last, "%s: %s", member->peer_urls.url[j].text,
                           question.why);
        }
    }
    return err_set(err, ERR_TIMEOUT,
                   "cannot fetch cluster info from peer urls: could not retrieve cluster "
                   "information from the given URLs (%s)",
                   last);
}
