/* endpoint health, status, hashkv; defrag; move-leader: what is asked of each endpoint by itself.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/session.h"

/* One question to one endpoint, on a connection of its own. */
static int ask_endpoint(struct invocation *inv, const char *endpoint,
                        const struct kv_method *method, const ProtobufCMessage *request,
                        struct answer *answer)
{
    struct kv_client *client;
    int code = session_new_client(inv, endpoint, &client);
    if (code == EXIT_CODE_OK) {
        session_ask(inv, client, method, request, SESSION_COMMAND_TIMEOUT, answer);
        session_close_client(inv, client);
    }
    return code;
}

/* A connection to each endpoint, so that the slow ones are waited for together. */
struct endpoint_group {
    const char *const *endpoints;
    size_t count;
    struct kv_client **clients;
    struct answer *answers; /* of the last question */
};

static void close_group(struct invocation *inv, struct endpoint_group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        if (group->clients[i] != NULL) {
            session_close_client(inv, group->clients[i]);
        }
        answer_deinit(&group->answers[i]);
    }
}

static int open_group(struct invocation *inv, struct endpoint_group *group)
{
    *group = (struct endpoint_group){.count = 0};
    int code = session_endpoints(inv, &group->endpoints, &group->count);
    if (code != EXIT_CODE_OK) {
        group->count = 0;
        return code;
    }
    group->clients = arena_zalloc(inv->arena, (group->count + 1) * sizeof *group->clients);
    group->answers = arena_zalloc(inv->arena, (group->count + 1) * sizeof *group->answers);
    for (size_t i = 0; code == EXIT_CODE_OK && i < group->count; i++) {
        code = session_new_client(inv, group->endpoints[i], &group->clients[i]);
    }
    return code;
}

static void ask_group(struct invocation *inv, struct endpoint_group *group,
                      const struct kv_method *method, const ProtobufCMessage *request)
{
    session_ask_all(inv, group->clients, group->count, method, request, SESSION_COMMAND_TIMEOUT,
                    group->answers);
}

static const char *took_text(struct invocation *inv, uint64_t took_ns)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    go_text_append_duration(&text, took_ns);
    return arena_text(inv->arena, buf_bytes(&text));
}

/* "Active Alarm(s): NOSPACE ", or NULL if there are none. */
static const char *alarm_text(struct invocation *inv, const Etcdserverpb__AlarmResponse *response)
{
    if (response->n_alarms == 0) {
        return NULL;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "Active Alarm(s): ");
    for (size_t i = 0; i < response->n_alarms; i++) {
        switch (response->alarms[i]->alarm) {
        case ETCDSERVERPB__ALARM_TYPE__NOSPACE:
            buf_append_text(&text, "NOSPACE ");
            break;
        case ETCDSERVERPB__ALARM_TYPE__CORRUPT:
            buf_append_text(&text, "CORRUPT ");
            break;
        default:
            buf_append_text(&text, "UNKNOWN ");
            break;
        }
    }
    return arena_text(inv->arena, buf_bytes(&text));
}

/* A linearizable read of any key: it is answered only if the member sees a majority. */
static void ask_health(struct invocation *inv, struct endpoint_group *group,
                       struct endpoint_health *list)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t key[] = "health";
    range.key = (ProtobufCBinaryData){sizeof key - 1, key};
    ask_group(inv, group, &kv_range, &range.base);
    for (size_t i = 0; i < group->count; i++) {
        struct answer *answer = &group->answers[i];
        list[i] = (struct endpoint_health){.endpoint = group->endpoints[i], .error = ""};
        list[i].took = took_text(inv, answer->took_ns);
        /* To be told that one may not read it takes the same majority. */
        if (answer->status != GRPC_OK && answer->status != GRPC_PERMISSION_DENIED) {
            list[i].error = arena_strdup(inv->arena, answer->text);
        }
        answer_deinit(answer);
    }
    Etcdserverpb__AlarmRequest alarms = ETCDSERVERPB__ALARM_REQUEST__INIT;
    for (size_t i = 0; i < group->count; i++) {
        group->answers[i] = (struct answer){.status = GRPC_UNKNOWN};
        if (*list[i].error != '\0') {
            continue;
        }
        session_ask(inv, group->clients[i], &kv_alarm, &alarms.base, SESSION_COMMAND_TIMEOUT,
                    &group->answers[i]);
        const char *active = group->answers[i].status == GRPC_OK
                                 ? alarm_text(inv, group->answers[i].message)
                                 : "Unable to fetch the alarm list";
        list[i].error = active != NULL ? active : "";
        list[i].is_healthy = active == NULL;
    }
}

static int run_health(struct invocation *inv)
{
    struct endpoint_group group;
    int code = open_group(inv, &group);
    bool all_healthy = true;
    if (code == EXIT_CODE_OK) {
        struct endpoint_health *list = arena_zalloc(inv->arena, (group.count + 1) * sizeof *list);
        ask_health(inv, &group, list);
        for (size_t i = 0; i < group.count; i++) {
            all_healthy &= list[i].is_healthy;
        }
        struct err err;
        CLEANUP(buf) struct buf problems = BUF_INIT;
        int result =
            print_endpoint_health(&inv->session->printer, list, group.count, &problems, &err);
        code = session_show(inv, result, &err);
        (void)fputs(buf_text(&problems), stderr);
    }
    close_group(inv, &group);
    if (code == EXIT_CODE_OK && !all_healthy) {
        return command_fail(EXIT_CODE_ERROR, "unhealthy cluster");
    }
    return code;
}

static int run_status(struct invocation *inv)
{
    struct endpoint_group group;
    const Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    int code = open_group(inv, &group);
    if (code == EXIT_CODE_OK) {
        struct endpoint_status *list = arena_zalloc(inv->arena, (group.count + 1) * sizeof *list);
        size_t found = 0;
        ask_group(inv, &group, &kv_status, &request.base);
        for (size_t i = 0; i < group.count; i++) {
            const struct answer *answer = &group.answers[i];
            if (answer->status == GRPC_OK) {
                list[found++] = (struct endpoint_status){group.endpoints[i], answer->message};
            } else {
                fprintf(stderr, "Failed to get the status of endpoint %s (%s)\n",
                        group.endpoints[i], answer->text);
            }
        }
        struct err err;
        int result = print_endpoint_status(&inv->session->printer, list, found, &err);
        code = session_show(inv, result, &err);
        code = code == EXIT_CODE_OK && found < group.count ? EXIT_CODE_ERROR : code;
    }
    close_group(inv, &group);
    return code;
}

static int run_hashkv(struct invocation *inv)
{
    struct endpoint_group group;
    Etcdserverpb__HashKVRequest request = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    request.revision = flag_number(&inv->flags, "rev");
    int code = open_group(inv, &group);
    if (code == EXIT_CODE_OK) {
        struct endpoint_hash *list = arena_zalloc(inv->arena, (group.count + 1) * sizeof *list);
        size_t found = 0;
        const char *failure = NULL;
        ask_group(inv, &group, &kv_hash_kv, &request.base);
        for (size_t i = 0; i < group.count; i++) {
            const struct answer *answer = &group.answers[i];
            if (answer->status == GRPC_OK) {
                list[found++] = (struct endpoint_hash){group.endpoints[i], answer->message};
            } else {
                failure = answer->text;
                fprintf(stderr, "Failed to get the hash of endpoint %s (%s)\n", group.endpoints[i],
                        failure);
            }
        }
        struct err err;
        int result = print_endpoint_hash(&inv->session->printer, list, found, &err);
        code = session_show(inv, result, &err);
        if (code == EXIT_CODE_OK && failure != NULL) {
            code = command_fail(EXIT_CODE_ERROR, "%s", failure);
        }
    }
    close_group(inv, &group);
    return code;
}

static int run_defrag(struct invocation *inv)
{
    const char *const *endpoints;
    size_t count;
    int code = session_endpoints(inv, &endpoints, &count);
    bool all_done = true;
    for (size_t i = 0; code == EXIT_CODE_OK && i < count; i++) {
        Etcdserverpb__DefragmentRequest request = ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
        CLEANUP(answer) struct answer answer = {0};
        code = ask_endpoint(inv, endpoints[i], &kv_defragment, &request.base, &answer);
        if (code != EXIT_CODE_OK) {
            break;
        }
        const char *took = took_text(inv, answer.took_ns);
        if (answer.status == GRPC_OK) {
            printf("Finished defragmenting etcd member[%s]. took %s\n", endpoints[i], took);
        } else {
            all_done = false;
            fprintf(stderr, "Failed to defragment etcd member[%s]. took %s. (%s)\n", endpoints[i],
                    took, answer.text);
        }
        (void)fflush(stdout);
    }
    return code == EXIT_CODE_OK && !all_done ? EXIT_CODE_ERROR : code;
}

/* The endpoint that is the leader. ret_endpoint stays NULL if none of ours is. */
static int find_leader(struct invocation *inv, const char **ret_endpoint, uint64_t *ret_leader)
{
    const struct session *session = inv->session;
    for (size_t i = 0; i < session->endpoint_count && *ret_endpoint == NULL; i++) {
        Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
        CLEANUP(answer) struct answer answer = {0};
        int code = ask_endpoint(inv, session->endpoints[i], &kv_status, &request.base, &answer);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        if (answer.status != GRPC_OK) {
            return command_fail(EXIT_CODE_ERROR, "%s: %s", session->endpoints[i], answer.text);
        }
        const Etcdserverpb__StatusResponse *status = answer.message;
        if (status->header != NULL && status->header->member_id == status->leader) {
            *ret_endpoint = session->endpoints[i];
            *ret_leader = status->leader;
        }
    }
    return EXIT_CODE_OK;
}

static int run_move_leader(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "move-leader command needs 1 argument");
    }
    struct err err;
    Etcdserverpb__MoveLeaderRequest request = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    if (go_text_parse_u64(inv->arguments[0], 16, &request.targetid, &err) < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "%s", err.text);
    }
    int code = session_open(inv);
    const char *endpoint = NULL;
    uint64_t leader = 0;
    if (code == EXIT_CODE_OK) {
        code = find_leader(inv, &endpoint, &leader);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (endpoint == NULL) {
        return command_fail(EXIT_CODE_BAD_ARGS, "no leader endpoint given at [%s]",
                            flag_text(&inv->flags, "endpoints"));
    }
    CLEANUP(answer) struct answer answer = {0};
    code = ask_endpoint(inv, endpoint, &kv_move_leader, &request.base, &answer);
    if (code == EXIT_CODE_OK && answer.status != GRPC_OK) {
        code = command_fail(EXIT_CODE_ERROR, "%s", answer.text);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    int result =
        print_move_leader(&inv->session->printer, leader, request.targetid, answer.message, &err);
    return session_show(inv, result, &err);
}

static const struct flag cluster_flags[] = {
    {.name = "cluster",
     .type = FLAG_BOOL,
     .help = "use all endpoints from the cluster member list"},
    {.name = NULL},
};
static const struct flag hashkv_flags[] = {
    {.name = "cluster",
     .type = FLAG_BOOL,
     .help = "use all endpoints from the cluster member list"},
    {.name = "rev",
     .type = FLAG_NUMBER,
     .help = "maximum revision to hash (default: latest revision)"},
    {.name = NULL},
};

const struct command endpoint_commands[] = {
    {
        .path = "endpoint health",
        .group = "cluster",
        .summary = "Check that endpoints can commit",
        .flags = cluster_flags,
        .run = run_health,
        .has_table = true,
        .examples = "$ kvctl endpoint health --cluster",
    },
    {
        .path = "endpoint status",
        .group = "cluster",
        .summary = "Show version, size, leader, terms",
        .flags = cluster_flags,
        .run = run_status,
        .has_table = true,
        .examples = "$ kvctl endpoint status --cluster -w table",
        .more = "The simple format has these columns: endpoint, ID, version, storage version, db "
                "size, in\n"
                "use, percentage not in use, quota, is leader, is learner, raft term, raft index, "
                "raft\n"
                "applied index, errors, downgrade target version, downgrade enabled.",
    },
    {
        .path = "endpoint hashkv",
        .group = "cluster",
        .summary = "Print a hash of the keys' history, equal on all members",
        .flags = hashkv_flags,
        .run = run_hashkv,
        .has_table = true,
        .examples = "$ kvctl endpoint hashkv --cluster --rev 1000",
    },
    {
        .path = "move-leader",
        .group = "cluster",
        .summary = "Make another member the leader",
        .arguments = "<member>",
        .run = run_move_leader,
        .examples = "$ kvctl move-leader 8211f1d0f64f3269",
    },
    {
        .path = "defrag",
        .group = "maintenance",
        .summary = "Give free space back to the disk",
        .flags = cluster_flags,
        .run = run_defrag,
        .examples = "$ kvctl defrag --cluster",
    },
    {.path = NULL},
};
