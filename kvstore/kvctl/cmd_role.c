/* role add, delete, get, list, grant-permission, revoke-permission. */
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "kvstore/client/key_range.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/session.h"

static int check_name(const struct invocation *inv, const char *verb)
{
    if (inv->argument_count == 1) {
        return EXIT_CODE_OK;
    }
    return command_fail(EXIT_CODE_BAD_ARGS, "role %s command requires role name as its argument",
                        verb);
}

static char *writable(const struct invocation *inv, int index)
{
    return arena_strdup(inv->arena, inv->arguments[index]);
}

static int run_add(struct invocation *inv)
{
    int code = check_name(inv, "add");
    if (code != EXIT_CODE_OK) {
        return code;
    }
    Etcdserverpb__AuthRoleAddRequest request;
    etcdserverpb__auth_role_add_request__init(&request);
    request.name = writable(inv, 0);
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_role_add, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthRoleAddResponse *response = answer.message;
    int result = print_header_only(&inv->session->printer, &response->base, response->header,
                                   arena_printf(inv->arena, "Role %s created", request.name), &err);
    return session_show(inv, result, &err);
}

static int run_delete(struct invocation *inv)
{
    int code = check_name(inv, "delete");
    if (code != EXIT_CODE_OK) {
        return code;
    }
    Etcdserverpb__AuthRoleDeleteRequest request;
    etcdserverpb__auth_role_delete_request__init(&request);
    request.role = writable(inv, 0);
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_role_delete, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthRoleDeleteResponse *response = answer.message;
    int result = print_header_only(&inv->session->printer, &response->base, response->header,
                                   arena_printf(inv->arena, "Role %s deleted", request.role), &err);
    return session_show(inv, result, &err);
}

static int run_get(struct invocation *inv)
{
    int code = check_name(inv, "get");
    if (code != EXIT_CODE_OK) {
        return code;
    }
    Etcdserverpb__AuthRoleGetRequest request;
    etcdserverpb__auth_role_get_request__init(&request);
    request.role = writable(inv, 0);
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_role_get, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_role(&inv->session->printer, request.role, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_list(struct invocation *inv)
{
    if (inv->argument_count != 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "role list command requires no arguments");
    }
    Etcdserverpb__AuthRoleListRequest request = ETCDSERVERPB__AUTH_ROLE_LIST_REQUEST__INIT;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_role_list, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_role_list(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

/* Key and end of a permission, from the arguments after `first`. */
static int parse_range(struct invocation *inv, int first, struct bytes *ret_key,
                       struct bytes *ret_end)
{
    bool is_prefix = flag_bool(&inv->flags, "prefix");
    bool is_from_key = flag_bool(&inv->flags, "from-key");
    *ret_key = bytes_from_text(inv->arguments[first]);
    *ret_end = (struct bytes){NULL, 0};
    if (is_prefix && is_from_key) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "--from-key and --prefix flags are mutually exclusive");
    }
    if (inv->argument_count > first + 1) {
        if (is_prefix || is_from_key) {
            return command_fail(EXIT_CODE_BAD_ARGS, "unexpected endkey argument with --%s flag",
                                is_prefix ? "prefix" : "from-key");
        }
        *ret_end = bytes_from_text(inv->arguments[first + 1]);
    }
    if (ret_key->size == 0) {
        *ret_key = key_range_everything_after;
        is_from_key |= is_prefix;
    } else if (is_prefix) {
        CLEANUP(buf) struct buf end = BUF_INIT;
        key_range_append_prefix_end(&end, *ret_key);
        struct bytes bytes = buf_bytes(&end);
        *ret_end = bytes_make(arena_dup(inv->arena, bytes.data, bytes.size), bytes.size);
    }
    if (is_from_key) {
        *ret_end = key_range_everything_after;
    }
    return EXIT_CODE_OK;
}

static ProtobufCBinaryData binary(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}

static int parse_type(const char *text, Authpb__Permission__Type *ret)
{
    static const char *const names[] = {"read", "write", "readwrite"};
    for (int i = 0; i < 3; i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *ret = (Authpb__Permission__Type)i;
            return EXIT_CODE_OK;
        }
    }
    return command_fail(EXIT_CODE_BAD_ARGS,
                        "invalid permission type: %s (read, write or readwrite)", text);
}

static int run_grant(struct invocation *inv)
{
    if (inv->argument_count < 3 || inv->argument_count > 4) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "role grant command requires role name, permission type, and key "
                            "[endkey] as its argument");
    }
    Etcdserverpb__AuthRoleGrantPermissionRequest request;
    etcdserverpb__auth_role_grant_permission_request__init(&request);
    Authpb__Permission permission = AUTHPB__PERMISSION__INIT;
    struct bytes key;
    struct bytes end;
    int code = parse_type(inv->arguments[1], &permission.permtype);
    if (code == EXIT_CODE_OK) {
        code = parse_range(inv, 2, &key, &end);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    permission.key = binary(key);
    permission.range_end = binary(end);
    request.name = writable(inv, 0);
    request.perm = &permission;
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_role_grant_permission, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthRoleGrantPermissionResponse *response = answer.message;
    int result = print_header_only(&inv->session->printer, &response->base, response->header,
                                   arena_printf(inv->arena, "Role %s updated", request.name), &err);
    return session_show(inv, result, &err);
}

static const char *revoked_text(struct invocation *inv, struct bytes end)
{
    const char *role = inv->arguments[0];
    const char *key = inv->arguments[1];
    if (end.size == 0) {
        return arena_printf(inv->arena, "Permission of key %s is revoked from role %s", key, role);
    }
    if (bytes_equal(end, key_range_everything_after)) {
        return arena_printf(
            inv->arena, "Permission of range [%s, <open ended> is revoked from role %s", key, role);
    }
    return arena_printf(inv->arena, "Permission of range [%s, %.*s) is revoked from role %s", key,
                        (int)end.size, (const char *)end.data, role);
}

static int run_revoke(struct invocation *inv)
{
    if (inv->argument_count < 2 || inv->argument_count > 3) {
        return command_fail(EXIT_CODE_BAD_ARGS,
                            "role revoke-permission command requires role name and key [endkey] "
                            "as its argument");
    }
    struct bytes key;
    struct bytes end;
    int code = parse_range(inv, 1, &key, &end);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    Etcdserverpb__AuthRoleRevokePermissionRequest request;
    etcdserverpb__auth_role_revoke_permission_request__init(&request);
    request.role = writable(inv, 0);
    request.key = binary(key);
    request.range_end = binary(end);
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(inv, &kv_role_revoke_permission, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    const Etcdserverpb__AuthRoleRevokePermissionResponse *response = answer.message;
    int result = print_header_only(&inv->session->printer, &response->base, response->header,
                                   revoked_text(inv, end), &err);
    return session_show(inv, result, &err);
}

static const struct flag permission_flags[] = {
    {.name = "prefix", .type = FLAG_BOOL, .help = "all keys with that prefix"},
    {.name = "from-key", .type = FLAG_BOOL, .help = "all keys from that key on, in byte order"},
    {.name = NULL},
};

const struct command role_commands[] = {
    {
        .path = "role add",
        .group = "users",
        .summary = "Add a role",
        .arguments = "<role>",
        .run = run_add,
        .examples = "$ kvctl role add reader",
    },
    {
        .path = "role delete",
        .group = "users",
        .summary = "Delete a role",
        .arguments = "<role>",
        .run = run_delete,
        .examples = "$ kvctl role delete reader",
    },
    {
        .path = "role get",
        .group = "users",
        .summary = "Show what a role permits",
        .arguments = "<role>",
        .run = run_get,
        .examples = "$ kvctl role get reader",
    },
    {
        .path = "role list",
        .group = "users",
        .summary = "List all roles",
        .run = run_list,
        .examples = "$ kvctl role list",
    },
    {
        .path = "role grant-permission",
        .group = "users",
        .summary = "Let a role use keys",
        .arguments = "<role> <read|write|readwrite> <key> [endkey]",
        .flags = permission_flags,
        .run = run_grant,
        .examples = "$ kvctl role grant-permission reader read --prefix /jobs/",
    },
    {
        .path = "role revoke-permission",
        .group = "users",
        .summary = "Take keys from a role",
        .arguments = "<role> <key> [endkey]",
        .flags = permission_flags,
        .run = run_revoke,
        .examples = "$ kvctl role revoke-permission reader --prefix /jobs/",
    },
    {.path = NULL},
};
