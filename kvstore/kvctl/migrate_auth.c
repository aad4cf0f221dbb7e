/* Users and roles. Passwords cannot be read from a server: each user gets one from
 * --passwords-file, or a random one that nobody knows. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/migrate_live.h"

enum { RANDOM_BYTES = 24 };

/* "name:password" lines; NULL: not there, *ret_code says whether that is an error. */
static char *find_password(struct live *live, const char *user, int *ret_code)
{
    const char *path = flag_text(&live->target->flags, "passwords-file");
    char line[1024];
    *ret_code = EXIT_CODE_OK;
    if (*path == '\0') {
        return NULL;
    }
    CLEANUP(file) FILE *file = fopen(path, "re");
    if (file == NULL) {
        *ret_code = command_fail(EXIT_CODE_IO, "open %s: %s", path, strerror(errno));
        return NULL;
    }
    size_t size = strlen(user);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, user, size) == 0 && line[size] == ':') {
            line[strcspn(line, "\r\n")] = '\0';
            return mem_strdup(line + size + 1);
        }
    }
    return NULL;
}

static char *random_password(void)
{
    uint8_t bytes[RANDOM_BYTES];
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        buf_append_format(&text, "%02x", bytes[i]);
    }
    return mem_strdup(buf_text(&text));
}

/* A write that may have been done by an earlier run: what exists is fine. */
static int write_once(struct live *live, const struct kv_method *method,
                      const ProtobufCMessage *request)
{
    struct kv_client *client = live->target->session->client;
    CLEANUP(answer) struct answer answer = {0};
    session_ask(live->target, client, method, request, SESSION_COMMAND_TIMEOUT, &answer);
    if (answer.status == GRPC_OK || answer.status == GRPC_FAILED_PRECONDITION) {
        return EXIT_CODE_OK;
    }
    return session_fail(live->target, client, EXIT_CODE_ERROR, &answer);
}

static int copy_role(struct live *live, char *name)
{
    Etcdserverpb__AuthRoleGetRequest get;
    etcdserverpb__auth_role_get_request__init(&get);
    Etcdserverpb__AuthRoleAddRequest add;
    etcdserverpb__auth_role_add_request__init(&add);
    get.role = name;
    add.name = name;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(&live->source, &kv_role_get, &get.base, &answer);
    code = code != EXIT_CODE_OK ? code : write_once(live, &kv_role_add, &add.base);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__AuthRoleGetResponse *role = answer.message;
    for (size_t i = 0; code == EXIT_CODE_OK && strcmp(name, "root") != 0 && i < role->n_perm; i++) {
        Etcdserverpb__AuthRoleGrantPermissionRequest grant;
        etcdserverpb__auth_role_grant_permission_request__init(&grant);
        grant.name = name;
        grant.perm = role->perm[i];
        code = write_once(live, &kv_role_grant_permission, &grant.base);
    }
    return code;
}

static int copy_user(struct live *live, char *name, unsigned *ret_unknown)
{
    Etcdserverpb__AuthUserGetRequest get;
    etcdserverpb__auth_user_get_request__init(&get);
    Etcdserverpb__AuthUserAddRequest add;
    etcdserverpb__auth_user_add_request__init(&add);
    int code;
    CLEANUP(free) char *password = find_password(live, name, &code);
    if (code == EXIT_CODE_OK && password == NULL) {
        *ret_unknown += 1;
        password = random_password();
    }
    if (code != EXIT_CODE_OK || password == NULL) {
        return code != EXIT_CODE_OK ? code : command_fail(EXIT_CODE_ERROR, "no random bytes");
    }
    get.name = name;
    add.name = name;
    add.password = password;
    CLEANUP(answer) struct answer answer = {0};
    code = session_call(&live->source, &kv_user_get, &get.base, &answer);
    code = code != EXIT_CODE_OK ? code : write_once(live, &kv_user_add, &add.base);
    explicit_bzero(password, strlen(password));
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__AuthUserGetResponse *user = answer.message;
    for (size_t i = 0; code == EXIT_CODE_OK && i < user->n_roles; i++) {
        Etcdserverpb__AuthUserGrantRoleRequest grant;
        etcdserverpb__auth_user_grant_role_request__init(&grant);
        grant.user = name;
        grant.role = user->roles[i];
        code = write_once(live, &kv_user_grant_role, &grant.base);
    }
    return code;
}

int live_auth_copy(struct live *live)
{
    Etcdserverpb__AuthRoleListRequest list_roles;
    etcdserverpb__auth_role_list_request__init(&list_roles);
    Etcdserverpb__AuthUserListRequest list_users;
    etcdserverpb__auth_user_list_request__init(&list_users);
    CLEANUP(answer) struct answer roles = {0};
    CLEANUP(answer) struct answer users = {0};
    int code = session_call(&live->source, &kv_role_list, &list_roles.base, &roles);
    code = code != EXIT_CODE_OK
               ? code
               : session_call(&live->source, &kv_user_list, &list_users.base, &users);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__AuthRoleListResponse *role_list = roles.message;
    const Etcdserverpb__AuthUserListResponse *user_list = users.message;
    unsigned unknown = 0;
    for (size_t i = 0; code == EXIT_CODE_OK && i < role_list->n_roles; i++) {
        code = copy_role(live, role_list->roles[i]);
    }
    for (size_t i = 0; code == EXIT_CODE_OK && i < user_list->n_users; i++) {
        code = copy_user(live, user_list->users[i], &unknown);
    }
    if (code == EXIT_CODE_OK && user_list->n_users > 0) {
        printf("Copied %zu roles and %zu users. A server never tells passwords: %u of them got a "
               "random one; set it with kvctl user passwd, then kvctl auth enable\n",
               role_list->n_roles, user_list->n_users, unknown);
    }
    return code;
}
