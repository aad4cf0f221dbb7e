/* auth.c - who asks (certificates, tokens), and may they? */
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/apiserver/rbac.h"
#include "orchestrator/apiserver/token.h"
#include "proto/tls.h"

static void set_user(struct call *call, const char *name, const char *uid, json_t *take_groups)
{
    call->user_name = mem_strdup(name);
    call->user_uid = mem_strdup(uid);
    call->user_groups = take_groups;
}

static void set_known_user(struct call *call, const char *name, const char *uid,
                           json_t *take_groups)
{
    json_array_append_new(take_groups, json_string("system:authenticated"));
    set_user(call, name, uid, take_groups);
}

/* The values of one attribute of an RFC 2253 name ("CN=admin,O=system:masters"). Values with
 * escapes name no user of ours and are left out. */
static void append_attributes(json_t *list, const char *subject, const char *attribute)
{
    CLEANUP(free) char *copy = mem_strdup(subject);
    size_t size = strlen(attribute);
    char *rest = copy;
    for (char *part = strsep(&rest, ",+"); part != NULL; part = strsep(&rest, ",+")) {
        bool is_plain = strchr(part, '\\') == NULL;
        if (is_plain && strncmp(part, attribute, size) == 0 && part[size] == '=') {
            json_array_append_new(list, json_string(part + size + 1));
        }
    }
}

static bool use_certificate(struct call *call)
{
    const struct http_peer *peer = call->x->peer;
    if (peer == NULL || peer->tls == NULL || *peer->tls->common_name == '\0') {
        return false;
    }
    json_t *groups = json_array();
    append_attributes(groups, peer->tls->subject, "O");
    set_known_user(call, peer->tls->common_name, "", groups);
    return true;
}

static bool use_static_token(struct call *call, const char *token)
{
    const json_t *user = json_object_get(call->server->tokens, token);
    if (user == NULL) {
        return false;
    }
    set_known_user(call, tree_text_or(user, "name", ""), tree_text_or(user, "uid", ""),
                   json_deep_copy(json_object_get(user, "groups")));
    return true;
}

/* The account that a token names must still be the one that it was made for. */
static bool use_account_token(struct call *call, const char *token)
{
    const struct apiserver_options *options = &call->server->options;
    CLEANUP(json) json_t *claims = NULL;
    if (options->token_key.size == 0 || token_verify(token, options->token_key, &claims) != 0) {
        return false;
    }
    const json_t *kubernetes = json_object_get(claims, "kubernetes.io");
    const char *namespace = tree_text_or(kubernetes, "namespace", "");
    const char *name = tree_text_or(kubernetes, "serviceaccount.name", "");
    const char *uid = tree_text_or(kubernetes, "serviceaccount.uid", "");
    const json_t *account =
        cache_find(registry_cache(options->registry), "serviceaccounts", namespace, name);
    bool is_expired = registry_now_ms(options->registry) / 1000 >= tree_int(claims, "exp", 0);
    if (is_expired || account == NULL || !tree_has_text(account, "metadata.uid", uid)) {
        return false;
    }
    CLEANUP(free) char *group = mem_printf("system:serviceaccounts:%s", namespace);
    set_known_user(call, tree_text_or(claims, "sub", ""), uid,
                   json_pack("[s, s]", "system:serviceaccounts", group));
    return true;
}

static json_t *identify(struct call *call, const struct apiserver_entry *entry)
{
    const char *header = call_header(call, "authorization");
    if (strncasecmp(header, "Bearer ", 7) == 0) {
        const char *token = header + 7;
        if (use_static_token(call, token) || use_account_token(call, token)) {
            return NULL;
        }
        return status_new(401, "Unauthorized", "Unauthorized");
    }
    if (entry->is_trusted) {
        set_known_user(call, "system:admin", "", json_pack("[s]", "system:masters"));
        return NULL;
    }
    if (!use_certificate(call)) {
        set_user(call, "system:anonymous", "", json_pack("[s]", "system:unauthenticated"));
    }
    return NULL;
}

/* May the caller act as this user, account or group? NULL, or 403. */
static json_t *check_acting(const struct call *call, const char *resource, const char *namespace,
                            const char *name)
{
    const struct request_user user = {
        .name = call->user_name, .uid = call->user_uid, .groups = call->user_groups};
    const struct rbac_question question = {.user = &user,
                                           .verb = "impersonate",
                                           .path = "",
                                           .group = "",
                                           .resource = resource,
                                           .subresource = "",
                                           .namespace = namespace,
                                           .name = name};
    if (rbac_allows(registry_cache(call->server->options.registry), &question)) {
        return NULL;
    }
    const struct status_subject subject = {.resource = resource, .name = name};
    return status_forbidden(&subject,
                            "User \"%s\" cannot impersonate resource \"%s\" in API group "
                            "\"\" at the cluster scope",
                            call->user_name, resource);
}

/* The groups that are asked for. NULL, or 403 for one that is not allowed. */
static json_t *act_for_groups(const struct call *call, json_t *groups)
{
    const struct http_headers *headers = &call->x->headers;
    for (size_t i = 0; i < headers->count; i++) {
        if (!bytes_equal(headers->items[i].name, bytes_from_text("impersonate-group"))) {
            continue;
        }
        const struct bytes value = headers->items[i].value;
        CLEANUP(free) char *group = mem_printf("%.*s", (int)value.size, (const char *)value.data);
        json_t *refusal = check_acting(call, "groups", "", group);
        if (refusal != NULL) {
            return refusal;
        }
        json_array_append_new(groups, json_string(group));
    }
    return NULL;
}

/* Headers that are not carried out must not be passed over: the caller would act as more than it
 * meant to. */
static bool asks_for_more(const struct http_headers *headers, bool has_user)
{
    static const char prefix[] = "impersonate-";
    for (size_t i = 0; i < headers->count; i++) {
        const struct bytes name = headers->items[i].name;
        bool is_known = bytes_equal(name, bytes_from_text("impersonate-user")) ||
                        (has_user && bytes_equal(name, bytes_from_text("impersonate-group")));
        if (!is_known && name.size >= sizeof(prefix) - 1 &&
            memcmp(name.data, prefix, sizeof(prefix) - 1) == 0) {
            return true;
        }
    }
    return false;
}

/* Impersonate-User and Impersonate-Group: who may do that is served as somebody else. A service
 * account and everybody's groups come by themselves when none is named. */
static json_t *act_for(struct call *call)
{
    static const char account[] = "system:serviceaccount:";
    const char *name = call_header(call, "impersonate-user");
    if (asks_for_more(&call->x->headers, *name != '\0')) {
        return status_new(400, "BadRequest",
                          "impersonation takes Impersonate-User, and groups only with a user");
    }
    if (*name == '\0') {
        return NULL;
    }
    bool is_account = strncmp(name, account, sizeof(account) - 1) == 0 &&
                      strchr(name + sizeof(account) - 1, ':') != NULL;
    const char *rest = is_account ? name + sizeof(account) - 1 : name;
    size_t size = is_account ? strcspn(rest, ":") : 0;
    CLEANUP(free) char *namespace = mem_printf("%.*s", (int)size, rest);
    const char *short_name = is_account ? rest + size + 1 : rest;
    CLEANUP(json) json_t *groups = json_array();
    json_t *refusal =
        check_acting(call, is_account ? "serviceaccounts" : "users", namespace, short_name);
    refusal = refusal != NULL ? refusal : act_for_groups(call, groups);
    if (refusal != NULL) {
        return refusal;
    }
    if (json_array_size(groups) == 0 && is_account) {
        CLEANUP(free) char *group = mem_printf("system:serviceaccounts:%s", namespace);
        json_array_append_new(groups, json_string("system:serviceaccounts"));
        json_array_append_new(groups, json_string(group));
    }
    mem_free(call->user_name);
    mem_free(call->user_uid);
    json_decref(call->user_groups);
    set_known_user(call, name, "", json_incref(groups));
    return NULL;
}

json_t *call_authenticate(struct call *call, const struct apiserver_entry *entry)
{
    json_t *refusal = identify(call, entry);
    return refusal != NULL ? refusal : act_for(call);
}

static const char *verb_name(const struct request *request)
{
    switch (request->verb) {
    case REQUEST_GET:
        return "get";
    case REQUEST_LIST:
        return "list";
    case REQUEST_WATCH:
        return "watch";
    case REQUEST_CREATE:
        return "create";
    case REQUEST_UPDATE:
        return "update";
    case REQUEST_PATCH:
    case REQUEST_APPLY:
        return "patch";
    case REQUEST_DELETE:
        return "delete";
    case REQUEST_DELETE_COLLECTION:
        return "deletecollection";
    }
    return "get";
}

static bool is_public(const struct call *call)
{
    /* The page holds no data; what it shows it asks for with its user's token. */
    return call->route.type == ROUTE_HEALTH || call->route.type == ROUTE_VERSION ||
           call->route.type == ROUTE_UI;
}

static json_t *refuse_path(struct call *call, const char *verb, const char *path)
{
    json_t *status = status_new(403, "Forbidden", "forbidden: User \"%s\" cannot %s path \"%s\"",
                                call->user_name, verb, path);
    json_object_set_new(status, "details", json_object());
    return status;
}

static json_t *refuse_resource(struct call *call, const struct rbac_question *question)
{
    const struct status_subject subject = {.group = question->group,
                                           .resource = question->resource,
                                           .kind = call->request.kind->kind,
                                           .name = question->name};
    CLEANUP(free)
    char *resource = *question->subresource == '\0'
                         ? mem_strdup(question->resource)
                         : mem_printf("%s/%s", question->resource, question->subresource);
    CLEANUP(free)
    char *where = *question->namespace == '\0'
                      ? mem_strdup("at the cluster scope")
                      : mem_printf("in the namespace \"%s\"", question->namespace);
    return status_forbidden(&subject,
                            "User \"%s\" cannot %s resource \"%s\" in API group \"%s\" %s",
                            call->user_name, question->verb, resource, question->group, where);
}

json_t *call_authorize(struct call *call)
{
    const struct cache *cache = registry_cache(call->server->options.registry);
    struct rbac_question question = {.user = &call->request.user,
                                     .verb = "get",
                                     .path = "",
                                     .group = "",
                                     .resource = "",
                                     .subresource = call->route.subresource,
                                     .namespace = call->route.namespace,
                                     .name = call->route.name};
    if (is_public(call)) {
        return NULL;
    }
    if (call->route.type != ROUTE_RESOURCE) {
        CLEANUP(free) char *path = mem_printf("%.*s", (int)call->x->path.size, call->x->path.data);
        path[strcspn(path, "?")] = '\0';
        question.path = path;
        return rbac_allows(cache, &question) ? NULL : refuse_path(call, question.verb, path);
    }
    question.verb = verb_name(&call->request);
    question.group = call->route.kind->group;
    question.resource = call->route.kind->resource;
    return rbac_allows(cache, &question) ? NULL : refuse_resource(call, &question);
}
