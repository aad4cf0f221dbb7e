#include "orchestrator/orchd/store_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/mem.h"
#include "kvstore/client/rpc.h"

enum { MEMBERS_MAX = 16, TIMEOUT_MS = 2000, FRESH_MS = 1000, URLS_MAX = 8 };

/* One member, asked over a client of its own: the shared one asks whichever answers. */
struct member {
    struct store_view *view;
    uint64_t id;
    char *urls; /* joined by spaces; another text: another client */
    struct kv_client *client;
    json_t *shown; /* borrowed from view->next */
    bool is_leaving;
};

struct waiting {
    struct list link;
    void (*done)(void *context, json_t *take_view);
    void *context;
};

struct store_view {
    struct kv_client *client;
    struct kv_client_options template;
    struct kv_call *listing; /* MemberList under way */
    struct member *members[MEMBERS_MAX];
    size_t member_count;
    struct list waiting;
    json_t *last; /* NULL: none yet */
    uint64_t last_ms;
    json_t *next;        /* being put together */
    unsigned unanswered; /* members */
    unsigned open_clients;
    bool is_closing;
    void (*closed)(void *context);
    void *closed_context;
};

struct store_view *store_view_new(struct kv_client *client,
                                  const struct kv_client_options *template)
{
    struct store_view *view = mem_zalloc(sizeof(*view));
    view->client = client;
    view->template = *template;
    list_init(&view->waiting);
    return view;
}

static uint64_t now_ms(const struct store_view *view)
{
    return wire_loop_timers(view->template.wire)->now_ms;
}

static void answer(struct store_view *view)
{
    for (struct list *item; (item = list_pop_front(&view->waiting)) != NULL;) {
        struct waiting *waiting = container_of(item, struct waiting, link);
        waiting->done(waiting->context, view->last == NULL ? json_pack("{s:[], s:s}", "members",
                                                                       "problem", "stopping")
                                                           : json_incref(view->last));
        mem_free(waiting);
    }
}

static void complete(struct store_view *view)
{
    json_decref(view->last);
    view->last = view->next;
    view->last_ms = now_ms(view);
    view->next = NULL;
    answer(view);
}

static void free_when_closed(struct store_view *view)
{
    if (!view->is_closing || view->open_clients > 0) {
        return;
    }
    void (*closed)(void *context) = view->closed;
    void *context = view->closed_context;
    json_decref(view->last);
    json_decref(view->next);
    mem_free(view);
    closed(context);
}

static void member_closed(void *context)
{
    struct member *member = context;
    struct store_view *view = member->view;
    mem_free(member->urls);
    mem_free(member);
    view->open_clients--;
    free_when_closed(view);
}

static void drop_member(struct member *member)
{
    member->is_leaving = true;
    kv_client_close(member->client, member_closed, member);
}

static void set_hex(json_t *object, const char *key, uint64_t id)
{
    char text[17];
    (void)snprintf(text, sizeof(text), "%" PRIx64, id);
    json_object_set_new(object, key, json_string(text));
}

static void status_came(void *context, const struct kv_reply *reply)
{
    struct member *member = context;
    struct store_view *view = member->view;
    if (member->is_leaving) {
        return;
    }
    json_t *shown = member->shown;
    member->shown = NULL;
    if (reply->status != GRPC_OK) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        kv_error_append_text(&text, reply->status, reply->text);
        json_object_set_new(shown, "problem", json_string(buf_text(&text)));
    } else {
        const Etcdserverpb__StatusResponse *status = reply->message;
        json_t *errors = json_array();
        for (size_t i = 0; i < status->n_errors; i++) {
            json_array_append_new(errors, json_string(status->errors[i]));
        }
        json_t *known = json_pack(
            "{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "isLeader",
            status->leader == member->id, "term", (json_int_t)status->raftterm, "raftIndex",
            (json_int_t)status->raftindex, "appliedIndex", (json_int_t)status->raftappliedindex,
            "dbSize", (json_int_t)status->dbsize, "dbSizeInUse", (json_int_t)status->dbsizeinuse,
            "revision", (json_int_t)(status->header == NULL ? 0 : status->header->revision),
            "version", status->version, "errors", errors);
        json_object_update(shown, known);
        json_decref(known);
    }
    if (--view->unanswered == 0) {
        complete(view);
    }
}

static char *join_urls(const Etcdserverpb__Member *member)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    for (size_t i = 0; i < member->n_clienturls; i++) {
        buf_append_format(&text, "%s%s", i == 0 ? "" : " ", member->clienturls[i]);
    }
    return mem_strdup(buf_text(&text));
}

/* NULL: the member says nothing about where it can be reached. */
static struct member *find_member(struct store_view *view, const Etcdserverpb__Member *told)
{
    CLEANUP(free) char *urls = join_urls(told);
    for (size_t i = 0; i < view->member_count; i++) {
        struct member *member = view->members[i];
        if (member->id == told->id && strcmp(member->urls, urls) == 0) {
            return member;
        }
    }
    if (view->member_count == MEMBERS_MAX || told->n_clienturls == 0) {
        return NULL;
    }
    struct kv_client_options options = view->template;
    const char *endpoints[URLS_MAX];
    options.endpoints = endpoints;
    options.endpoint_count = 0;
    for (size_t i = 0; i < told->n_clienturls && i < URLS_MAX; i++) {
        endpoints[options.endpoint_count++] = told->clienturls[i];
    }
    options.seed = view->template.seed ^ told->id;
    options.dial_timeout_ms = TIMEOUT_MS;
    struct err err = {0};
    struct kv_client *client = NULL;
    if (kv_client_new(&options, &client, &err) != 0) {
        return NULL;
    }
    struct member *member = mem_zalloc(sizeof(*member));
    *member = (struct member){.view = view, .id = told->id, .client = client};
    member->urls = mem_strdup(urls);
    view->members[view->member_count++] = member;
    view->open_clients++;
    return member;
}

/* Members that are not asked any more leave the list. */
static void drop_unasked(struct store_view *view)
{
    size_t kept = 0;
    for (size_t i = 0; i < view->member_count; i++) {
        if (view->members[i]->shown != NULL) {
            view->members[kept++] = view->members[i];
        } else {
            drop_member(view->members[i]);
        }
    }
    view->member_count = kept;
}

static void show_member(struct store_view *view, json_t *list, const Etcdserverpb__Member *told)
{
    json_t *urls = json_array();
    for (size_t i = 0; i < told->n_clienturls; i++) {
        json_array_append_new(urls, json_string(told->clienturls[i]));
    }
    json_t *shown = json_pack("{s:s, s:o, s:b}", "name", told->name, "clientURLs", urls,
                              "isLearner", told->islearner);
    set_hex(shown, "id", told->id);
    json_array_append_new(list, shown);
    struct member *member = find_member(view, told);
    if (member == NULL || member->shown != NULL) {
        json_object_set_new(shown, "problem", json_string("it has not started yet"));
    } else {
        member->shown = shown;
        view->unanswered++;
    }
}

static void members_came(void *context, const struct kv_reply *reply)
{
    struct store_view *view = context;
    view->listing = NULL;
    view->next = json_pack("{s:[], s:s}", "members", "problem", "");
    if (reply->status != GRPC_OK) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        kv_error_append_text(&text, reply->status, reply->text);
        json_object_set_new(view->next, "problem", json_string(buf_text(&text)));
        complete(view);
        return;
    }
    const Etcdserverpb__MemberListResponse *response = reply->message;
    for (size_t i = 0; i < response->n_members; i++) {
        show_member(view, json_object_get(view->next, "members"), response->members[i]);
    }
    drop_unasked(view);
    const struct kv_call_options options = {.timeout_ms = TIMEOUT_MS};
    Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    for (size_t i = 0; i < view->member_count; i++) {
        (void)kv_client_status(view->members[i]->client, &request, &options, status_came,
                               view->members[i]);
    }
    if (view->unanswered == 0) {
        complete(view);
    }
}

void store_view_ask(struct store_view *view, void (*done)(void *context, json_t *take_view),
                    void *context)
{
    bool is_fresh = view->last != NULL && now_ms(view) - view->last_ms < FRESH_MS;
    struct waiting *waiting = mem_zalloc(sizeof(*waiting));
    waiting->done = done;
    waiting->context = context;
    list_push_back(&view->waiting, &waiting->link);
    if (is_fresh || view->is_closing) {
        answer(view);
        return;
    }
    if (view->listing == NULL && view->next == NULL) {
        const struct kv_call_options options = {.timeout_ms = TIMEOUT_MS};
        Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
        view->listing = kv_client_member_list(view->client, &request, &options, members_came, view);
    }
}

void store_view_close(struct store_view *view, void (*closed)(void *context), void *context)
{
    view->is_closing = true;
    view->closed = closed;
    view->closed_context = context;
    if (view->listing != NULL) {
        kv_call_cancel(view->listing);
        view->listing = NULL;
    }
    answer(view);
    for (size_t i = 0; i < view->member_count; i++) {
        drop_member(view->members[i]);
    }
    view->member_count = 0;
    free_when_closed(view);
}
