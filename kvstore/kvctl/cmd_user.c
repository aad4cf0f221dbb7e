/* user add, delete, get, list, passwd, grant-role, revoke-role. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/password.h"
#include "kvstore/kvctl/session.h"

static char *writable(const struct invocation *inv, int index)
{
    return arena_strdup(inv->arena, inv->arguments[index]);
}

static int read_password(struct invocation *inv, const char *user, char **ret)
{
    struct err err;
    const char *password;
    int result = flag_bool(&inv->flags, "interactive")
                     ? password_ask_new(user, inv->arena, &password, &err)
                     : password_read_stdin(inv->arena, &password, &err);
    if (result < 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "%s", err.text);
    }
    *ret = arena_strdup(inv->arena, password);
    return EXIT_CODE_OK;
}

/* Name and password of the new user: "name:password", a flag, a question, or none at all. */
static int read_new_user(struct invocation *inv, Etcdserverpb__AuthUserAddRequest *request)
{
    const char *given = flag_text(&inv->flags, "new-user-password");
    request->name = writable(inv, 0);
    if (flag_bool(&inv->flags, "no-password")) {
        return EXIT_CODE_OK;
    }
    if (*given != '\0') {
        request->password = arena_strdup(inv->arena, given);
        return EXIT_CODE_OK;
    }
    char *colon = strchr(request->name, ':');
    if (colon == NULL) {
        return read_password(inv, request->name, &request->password);
    }
    *colon = '\0';
    request->password = colon + 1;
    if (*request->name == '\0') {
        return command_fail(EXIT_CODE_BAD_ARGS, "empty user name is not allowed");
    }
    return EXIT_CODE_OK;
}

static int run_add(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "user add command requires user name as its argument");
    }
    Etcdserverpb__AuthUserAddRequest request;
    etcdserverpb__auth_user_add_request__init(&request);
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    int code = read_new_user(inv, &request);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    options.no_password = flag_bool(&inv->flags, "no-password");
    request.options = &options;
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_user_add, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthUserAddResponse *response = answer.message;
    int result = print_header_only(&inv->session->printer, &response->base, response->header,
                                   arena_printf(inv->arena, "User %s created", request.name), &err);
    return session_show(inv, result, &err);
}

static int run_delete(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "user delete command requires user name as its argument");
    }
    Etcdserverpb__AuthUserDeleteRequest request;
    etcdserverpb__auth_user_delete_request__init(&request);
    request.name = writable(inv, 0);
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_user_delete, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthUserDeleteResponse *response = answer.message;
    int result = print_header_only(&inv->session->printer, &response->base, response->header,
                                   arena_printf(inv->arena, "User %s deleted", request.name), &err);
    return session_show(inv, result, &err);
}

/* The roles with what they permit. */
static int show_detail(struct invocation *inv, const char *name,
                       const Etcdserverpb__AuthUserGetResponse *user)
{
    printf("User: %s\n", name);
    for (size_t i = 0; i < user->n_roles; i++) {
        Etcdserverpb__AuthRoleGetRequest request;
        etcdserverpb__auth_role_get_request__init(&request);
        request.role = user->roles[i];
        CLEANUP(answer) struct answer answer = {0};
        printf("\n");
        int code = session_call(inv, &kv_role_get, &request.base, &answer);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        struct err err;
        int result = print_role(&inv->session->printer, user->roles[i], answer.message, &err);
        code = session_show(inv, result, &err);
        if (code != EXIT_CODE_OK) {
            return code;
        }
    }
    return EXIT_CODE_OK;
}

static int run_get(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "user get command requires user name as its argument");
    }
    Etcdserverpb__AuthUserGetRequest request;
    etcdserverpb__auth_user_get_request__init(&request);
    request.name = writable(inv, 0);
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_user_get, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (flag_bool(&inv->flags, "detail")) {
        return show_detail(inv, request.name, answer.message);
    }
    struct err err;
    int result = print_user(&inv->session->printer, request.name, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_list(struct invocation *inv)
{
    if (inv->argument_count != 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "user list command requires no arguments");
    }
    Etcdserverpb__AuthUserListRequest request = ETCDSERVERPB__AUTH_USER_LIST_REQUEST__INIT;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_user_list, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_user_list(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_passwd(struct invocation *inv)
{
    if (inv->argument_count != 1) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "user passwd command requires user name as its argument");
    }
    Etcdserverpb__AuthUserChangePasswordRequest request;
    etcdserverpb__auth_user_change_password_request__init(&request);
    request.name = writable(inv, 0);
    int code = read_password(inv, request.name, &request.password);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_user_change_password, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthUserChangePasswordResponse *response = answer.message;
    int result = print_header_only(&inv->session->printer, &response->base, response->header,
                                   "Password updated", &err);
    return session_show(inv, result, &err);
}

static int run_grant_role(struct invocation *inv)
{
    if (inv->argument_count != 2) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "user grant command requires user name and role name as its argument");
    }
    Etcdserverpb__AuthUserGrantRoleRequest request;
    etcdserverpb__auth_user_grant_role_request__init(&request);
    request.user = writable(inv, 0);
    request.role = writable(inv, 1);
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_user_grant_role, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthUserGrantRoleResponse *response = answer.message;
    const char *line =
        arena_printf(inv->arena, "Role %s is granted to user %s", request.role, request.user);
    int result =
        print_header_only(&inv->session->printer, &response->base, response->header, line, &err);
    return session_show(inv, result, &err);
}

static int run_revoke_role(struct invocation *inv)
{
    if (inv->argument_count != 2) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "user revoke-role requires user name and role name as its argument");
    }
    Etcdserverpb__AuthUserRevokeRoleRequest request;
    etcdserverpb__auth_user_revoke_role_request__init(&request);
    request.name = writable(inv, 0);
    request.role = writable(inv, 1);
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_user_revoke_role, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthUserRevokeRoleResponse *response = answer.message;
    const char *line =
        arena_printf(inv->arena, "Role %s is revoked from user %s", request.role, request.name);
    int result =
        print_header_only(&inv->session->printer, &response->base, response->header, line, &err);
    return session_show(inv, result, &err);
}

static const struct flag add_flags[] = {
    {.name = "interactive",
     .type = FLAG_BOOL,
     .initial = "true",
     .help = "ask on the terminal; =false: read the password from standard input"},
    {.name = "new-user-password", .type = FLAG_TEXT, .help = "the password (seen by ps)"},
    {.name = "no-password",
     .type = FLAG_BOOL,
     .help = "Create a user without password (CN based auth only)"},
    {.name = NULL},
};
static const struct flag get_user_flags[] = {
    {.name = "detail", .type = FLAG_BOOL, .help = "Show permissions of roles granted to the user"},
    {.name = NULL},
};
static const struct flag passwd_flags[] = {
    {.name = "interactive",
     .type = FLAG_BOOL,
     .initial = "true",
     .help = "ask on the terminal; =false: read the password from standard input"},
    {.name = NULL},
};

const struct command user_commands[] = {
    {
        .path = "user add",
        .group = "users",
        .summary = "Add a user",
        .arguments = "<name or name:password>",
        .flags = add_flags,
        .run = run_add,
        .examples = "$ kvctl user add alice\n"
                    "$ pass show kv/alice | kvctl user add alice --interactive=false",
    },
    {
        .path = "user delete",
        .group = "users",
        .summary = "Delete a user",
        .arguments = "<name>",
        .run = run_delete,
        .examples = "$ kvctl user delete alice",
    },
    {
        .path = "user get",
        .group = "users",
        .summary = "Show the roles of a user",
        .arguments = "<name>",
        .flags = get_user_flags,
        .run = run_get,
        .examples = "$ kvctl user get alice --detail",
    },
    {
        .path = "user list",
        .group = "users",
        .summary = "List all users",
        .run = run_list,
        .examples = "$ kvctl user list",
    },
    {
        .path = "user passwd",
        .group = "users",
        .summary = "Change a user's password",
        .arguments = "<name>",
        .flags = passwd_flags,
        .run = run_passwd,
        .examples = "$ kvctl user passwd alice",
    },
    {
        .path = "user grant-role",
        .group = "users",
        .summary = "Give a user a role",
        .arguments = "<name> <role>",
        .run = run_grant_role,
        .examples = "$ kvctl user grant-role alice reader",
    },
    {
        .path = "user revoke-role",
        .group = "users",
        .summary = "Take a role from a user",
        .arguments = "<name> <role>",
        .run = run_revoke_role,
        .examples = "$ kvctl user revoke-role alice reader",
    },
    {.path = NULL},
};
