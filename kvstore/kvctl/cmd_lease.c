/* lease grant, revoke, timetolive, list, keep-alive. */
#include <stdio.h>

#include "base/cleanup.h"
#include "kvstore/client/lease_keeper.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/session.h"

static int parse_lease(const char *text, int64_t *ret)
{
    struct err err;
    if (go_text_parse_i64(text, 16, ret, &err) < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "bad lease ID arg (%s), expecting ID in Hex",
                            err.text);
    }
    return EXIT_CODE_OK;
}

/* A call whose failure is "failed to <verb> lease (<reason>)". */
static int lease_call(struct invocation *inv, const struct kv_method *method,
                      const ProtobufCMessage *request, const char *verb, struct answer *answer)
{
    *answer = (struct answer){.status = GRPC_UNKNOWN};
    int code = session_connect(inv);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    session_ask(inv, inv->session->client, method, request, SESSION_COMMAND_TIMEOUT, answer);
    if (answer->status == GRPC_OK) {
        return EXIT_CODE_OK;
    }
    char *text = mem_printf("failed to %s lease (%s)", verb, answer->text);
    mem_free(answer->text);
    answer->text = text;
    return session_fail(inv, inv->session->client, EXIT_CODE_ERROR, answer);
}

static int run_grant(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "lease grant command needs TTL argument");
    }
    struct err err;
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    if (go_text_parse_i64(inv->arguments[0], 10, &request.ttl, &err) < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "bad TTL (%s)", err.text);
    }
    CLEANUP(answer) struct answer answer = {0};
    int code = lease_call(inv, &kv_lease_grant, &request.base, "grant", &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    int result = print_lease_grant(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_revoke(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "lease revoke command needs 1 argument");
    }
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    int code = parse_lease(inv->arguments[0], &request.id);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    CLEANUP(answer) struct answer answer = {0};
    code = lease_call(inv, &kv_lease_revoke, &request.base, "revoke", &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_lease_revoke(&inv->session->printer, request.id, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_time_to_live(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "lease timetolive command needs lease ID as argument");
    }
    Etcdserverpb__LeaseTimeToLiveRequest request = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    int code = parse_lease(inv->arguments[0], &request.id);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    request.keys = flag_bool(&inv->flags, "keys");
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_lease_time_to_live, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code == EXIT_CODE_ERROR ? EXIT_CODE_BAD_CONNECTION : code;
    }
    struct err err;
    int result =
        print_lease_time_to_live(&inv->session->printer, answer.message, request.keys, &err);
    return session_show(inv, result, &err);
}

static int run_list(struct invocation *inv)
{
    Etcdserverpb__LeaseLeasesRequest request = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_lease_leases, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code == EXIT_CODE_ERROR ? EXIT_CODE_BAD_CONNECTION : code;
    }
    struct err err;
    int result = print_leases(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

struct keeping {
    struct invocation *inv;
    struct lease_keeper *keeper;
    bool is_once;
    bool is_gone;
    int code;
};

static void renewed(void *context, const Etcdserverpb__LeaseKeepAliveResponse *response)
{
    struct keeping *keeping = context;
    struct session *session = keeping->inv->session;
    keeping->is_gone = response == NULL;
    if (response != NULL) {
        struct err err;
        int result = print_lease_keep_alive(&session->printer, response, &err);
        keeping->code = session_show(keeping->inv, result, &err);
    }
    if (response == NULL || keeping->is_once || keeping->code != EXIT_CODE_OK) {
        uv_stop(&session->loop);
    }
}

static int run_keep_alive(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "lease keep-alive command needs lease ID as argument");
    }
    int64_t lease;
    int code = parse_lease(inv->arguments[0], &lease);
    if (code == EXIT_CODE_OK) {
        code = session_connect(inv);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct session *session = inv->session;
    struct keeping keeping = {.inv = inv, .is_once = flag_bool(&inv->flags, "once")};
    keeping.keeper = lease_keeper_open(session->client, lease, 0, renewed, &keeping);
    (void)uv_run(&session->loop, UV_RUN_DEFAULT);
    lease_keeper_close(keeping.keeper);
    if (keeping.code != EXIT_CODE_OK || !keeping.is_gone) {
        return keeping.code;
    }
    if (keeping.is_once) {
        return command_fail(EXIT_CODE_BAD_CONNECTION, "etcdserver: requested lease not found");
    }
    if (session->printer.format == OUTPUT_SIMPLE) {
        printf("lease %016llx expired or revoked.\n", (unsigned long long)lease);
    }
    return EXIT_CODE_OK;
}

static const struct flag time_to_live_flags[] = {
    {.name = "keys", .type = FLAG_BOOL, .help = "Get keys attached to this lease"},
    {.name = NULL},
};
static const struct flag keep_alive_flags[] = {
    {.name = "once", .type = FLAG_BOOL, .help = "renew once and exit"},
    {.name = NULL},
};

const struct command lease_commands[] = {
    {
        .path = "lease grant",
        .group = "leases",
        .summary = "Create a lease",
        .arguments = "<ttl>",
        .run = run_grant,
        .examples = "$ kvctl lease grant 60\n"
                    "lease 694d81417acd4f04 granted with TTL(60s)",
    },
    {
        .path = "lease revoke",
        .group = "leases",
        .summary = "End a lease and delete the keys attached to it",
        .arguments = "<lease>",
        .run = run_revoke,
        .examples = "$ kvctl lease revoke 694d81417acd4f04",
    },
    {
        .path = "lease timetolive",
        .group = "leases",
        .summary = "Show how long a lease will live",
        .arguments = "<lease>",
        .flags = time_to_live_flags,
        .run = run_time_to_live,
        .examples = "$ kvctl lease timetolive --keys 694d81417acd4f04",
    },
    {
        .path = "lease list",
        .group = "leases",
        .summary = "List all leases",
        .run = run_list,
        .examples = "$ kvctl lease list",
    },
    {
        .path = "lease keep-alive",
        .group = "leases",
        .summary = "Renew a lease, again and again",
        .arguments = "<lease>",
        .flags = keep_alive_flags,
        .run = run_keep_alive,
        .examples = "$ kvctl lease keep-alive 694d81417acd4f04\n"
                    "$ kvctl lease keep-alive --once 694d81417acd4f04",
    },
    {.path = NULL},
};
