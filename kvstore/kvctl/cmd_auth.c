/* auth enable, disable, status. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/session.h"

static int check_no_arguments(const struct invocation *inv, const char *verb)
{
    if (inv->argument_count == 0) {
        return EXIT_CODE_OK;
    }
    return command_fail(EXIT_CODE_BAD_ARGS, "auth %s command does not accept any arguments", verb);
}

static int run_status(struct invocation *inv)
{
    int code = check_no_arguments(inv, "status");
    if (code != EXIT_CODE_OK) {
        return code;
    }
    Etcdserverpb__AuthStatusRequest request = ETCDSERVERPB__AUTH_STATUS_REQUEST__INIT;
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_auth_status, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_auth_status(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

/* Root needs the role root; make it where only that is missing. */
static int grant_root(struct invocation *inv)
{
    char root[] = "root";
    Etcdserverpb__AuthRoleAddRequest add;
    etcdserverpb__auth_role_add_request__init(&add);
    add.name = root;
    CLEANUP(answer) struct answer added = {0};
    int code = session_call(inv, &kv_role_add, &add.base, &added);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    Etcdserverpb__AuthUserGrantRoleRequest grant;
    etcdserverpb__auth_user_grant_role_request__init(&grant);
    grant.user = root;
    grant.role = root;
    CLEANUP(answer) struct answer granted = {0};
    return session_call(inv, &kv_user_grant_role, &grant.base, &granted);
}

static int run_enable(struct invocation *inv)
{
    int code = check_no_arguments(inv, "enable");
    if (code == EXIT_CODE_OK) {
        code = session_connect(inv);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    Etcdserverpb__AuthEnableRequest request = ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;
    CLEANUP(answer) struct answer first = {0};
    session_ask(inv, inv->session->client, &kv_auth_enable, &request.base, SESSION_COMMAND_TIMEOUT,
                &first);
    if (first.status != GRPC_OK) {
        if (strcmp(first.text, "etcdserver: root user does not have root role") != 0) {
            return session_fail(inv, inv->session->client, EXIT_CODE_ERROR, &first);
        }
        code = grant_root(inv);
        CLEANUP(answer) struct answer second = {0};
        if (code == EXIT_CODE_OK) {
            code = session_call(inv, &kv_auth_enable, &request.base, &second);
        }
        if (code != EXIT_CODE_OK) {
            return code;
        }
    }
    printf("Authentication Enabled\n");
    return EXIT_CODE_OK;
}

static int run_disable(struct invocation *inv)
{
    int code = check_no_arguments(inv, "disable");
    if (code != EXIT_CODE_OK) {
        return code;
    }
    Etcdserverpb__AuthDisableRequest request = ETCDSERVERPB__AUTH_DISABLE_REQUEST__INIT;
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_auth_disable, &request.base, &answer);
    if (code == EXIT_CODE_OK) {
        printf("Authentication Disabled\n");
    }
    return code;
}

const struct command auth_commands[] = {
    {
        .path = "auth enable",
        .group = "users",
        .summary = "Require users to authenticate",
        .run = run_enable,
        .examples = "$ kvctl user add root\n"
                    "$ kvctl auth enable",
    },
    {
        .path = "auth disable",
        .group = "users",
        .summary = "Let everybody in again",
        .run = run_disable,
        .examples = "$ kvctl --user root auth disable",
    },
    {
        .path = "auth status",
        .group = "users",
        .summary = "Say whether authentication is on",
        .run = run_status,
        .examples = "$ kvctl auth status",
    },
    {.path = NULL},
};
