/* review.c - questions that are asked by creating an object which is never stored: who am I, may
 * I, whose token is this; and the tokens of service accounts. */
#include <string.h>

#include "orchestrator/apiserver/call.h"
#include "orchestrator/apiserver/rbac.h"
#include "orchestrator/apiserver/token.h"
#include "orchestrator/objects/timestamp.h"

static void answer(struct call *call, json_t *object)
{
    if (call->form == CALL_TABLE && strchr(call_header(call, "accept"), ',') == NULL) {
        call_refuse(call, status_new(406, "NotAcceptable",
                                     "only the following media types are accepted: "
                                     "application/json"));
        return;
    }
    call->form = CALL_JSON; /* an answer that is no stored object has no table */
    json_t *metadata = tree_make_object(object, "metadata");
    (void)metadata;
    call_reply_object(call, 201, object, NULL);
}

static json_t *user_info(const struct request_user *user)
{
    json_t *info = json_pack("{s:s, s:O}", "username", user->name, "groups", user->groups);
    if (*user->uid != '\0') {
        json_object_set_new(info, "uid", json_string(user->uid));
    }
    return info;
}

static void review_access(struct call *call, json_t *object, const struct request_user *user)
{
    const struct cache *cache = registry_cache(call->server->options.registry);
    const json_t *resource = tree_find(object, "spec.resourceAttributes");
    const json_t *path = tree_find(object, "spec.nonResourceAttributes");
    const json_t *asked = resource == NULL ? path : resource;
    const struct rbac_question question = {
        .user = user,
        .verb = tree_text_or(asked, "verb", ""),
        .path = resource == NULL ? tree_text_or(path, "path", "/") : "",
        .group = tree_text_or(resource, "group", ""),
        .resource = tree_text_or(resource, "resource", ""),
        .subresource = tree_text_or(resource, "subresource", ""),
        .namespace = tree_text_or(resource, "namespace", ""),
        .name = tree_text_or(resource, "name", ""),
    };
    if (asked == NULL) {
        call_refuse(call, status_new(422, "Invalid",
                                     "SubjectAccessReview.authorization.k8s.io \"\" is invalid: "
                                     "spec.resourceAttributes: Invalid value: null: exactly one of "
                                     "nonResourceAttributes or resourceAttributes must be "
                                     "specified"));
        return;
    }
    tree_set_bool(object, "status.allowed", rbac_allows(cache, &question));
    answer(call, object);
}

static void review_other(struct call *call, json_t *object)
{
    CLEANUP(json) json_t *groups = tree_copy(tree_find(object, "spec.groups"));
    groups = groups == NULL ? json_array() : groups;
    const struct request_user user = {.name = tree_text_or(object, "spec.user", ""),
                                      .uid = tree_text_or(object, "spec.uid", ""),
                                      .groups = groups};
    review_access(call, object, &user);
}

static void review_self(struct call *call, json_t *object)
{
    review_access(call, object, &call->request.user);
}

static void review_rules(struct call *call, json_t *object)
{
    json_t *rules = rbac_rules(registry_cache(call->server->options.registry), &call->request.user,
                               tree_text_or(object, "spec.namespace", ""));
    json_object_set_new(object, "status", rules);
    answer(call, object);
}

static void review_whoami(struct call *call, json_t *object)
{
    tree_set(object, "status.userInfo", user_info(&call->request.user));
    answer(call, object);
}

static void review_token(struct call *call, json_t *object)
{
    const struct apiserver_options *options = &call->server->options;
    CLEANUP(json) json_t *claims = NULL;
    const char *token = tree_text_or(object, "spec.token", "");
    bool is_good = options->token_key.size > 0 &&
                   token_verify(token, options->token_key, &claims) == 0 &&
                   registry_now_ms(options->registry) / 1000 < tree_int(claims, "exp", 0);
    tree_set_bool(object, "status.authenticated", is_good);
    if (is_good) {
        tree_set_text(object, "status.user.username", tree_text_or(claims, "sub", ""));
        tree_set_text(
            object, "status.user.uid",
            tree_text_or(json_object_get(claims, "kubernetes.io"), "serviceaccount.uid", ""));
    }
    answer(call, object);
}

void call_serve_review(struct call *call)
{
    static const struct {
        const char *resource;
        void (*serve)(struct call *call, json_t *object);
    } reviews[] = {
        {"selfsubjectreviews", review_whoami},       {"selfsubjectaccessreviews", review_self},
        {"selfsubjectrulesreviews", review_rules},   {"subjectaccessreviews", review_other},
        {"localsubjectaccessreviews", review_other}, {"tokenreviews", review_token},
    };
    json_t *refusal = call_decode_body(call);
    if (refusal == NULL && !json_is_object(call->decoded)) {
        refusal = status_bad_request("the request has no object in its body");
    }
    if (refusal != NULL) {
        call_refuse(call, refusal);
        return;
    }
    for (size_t i = 0; i < sizeof(reviews) / sizeof(reviews[0]); i++) {
        if (strcmp(call->request.kind->resource, reviews[i].resource) == 0) {
            reviews[i].serve(call, call->decoded);
            return;
        }
    }
    call_refuse(call, status_unknown_path());
}

/* A service account's token, bound to its uid. */
static void account_found(void *context, const struct registry_reply *reply)
{
    struct call *call = context;
    const struct apiserver_options *options = &call->server->options;
    if (reply->code >= 400) {
        call_reply(call, (unsigned)reply->code, reply->body);
        call_unref(call);
        return;
    }
    int64_t now_s = registry_now_ms(options->registry) / 1000;
    int64_t length_s = tree_int(call->decoded, "spec.expirationSeconds", 3600);
    length_s = length_s < 600 ? 600 : length_s;
    const char *namespace = object_namespace(reply->body);
    const char *name = object_name(reply->body);
    CLEANUP(free) char *subject = mem_printf("system:serviceaccount:%s:%s", namespace, name);
    CLEANUP(json)
    json_t *claims = json_pack(
        "{s:s, s:s, s:[s], s:I, s:I, s:I, s:{s:s, s:{s:s, s:s}}}", "iss", TOKEN_ISSUER, "sub",
        subject, "aud", TOKEN_ISSUER, "iat", (json_int_t)now_s, "nbf", (json_int_t)now_s, "exp",
        (json_int_t)(now_s + length_s), "kubernetes.io", "namespace", namespace, "serviceaccount",
        "name", name, "uid", object_uid(reply->body));
    CLEANUP(free) char *token = token_sign(claims, options->token_key);
    char time[TIMESTAMP_SIZE];
    CLEANUP(json) json_t *object = json_deep_copy(call->decoded);
    json_object_set_new(object, "kind", json_string("TokenRequest"));
    json_object_set_new(object, "apiVersion", json_string("authentication.k8s.io/v1"));
    tree_set_text(object, "metadata.name", name);
    tree_set_text(object, "metadata.namespace", namespace);
    tree_set_int(object, "spec.expirationSeconds", length_s);
    tree_set(object, "spec.audiences", json_pack("[s]", TOKEN_ISSUER));
    tree_set_text(object, "status.token", token);
    tree_set_text(object, "status.expirationTimestamp",
                  timestamp_format((now_s + length_s) * 1000, time));
    call_reply(call, 201, object);
    call_unref(call);
}

void call_serve_token(struct call *call)
{
    json_t *refusal = call_decode_body(call);
    if (refusal == NULL && call->server->options.token_key.size == 0) {
        refusal = status_new(503, "ServiceUnavailable", "this API server has no key for tokens");
    }
    if (refusal != NULL) {
        call_refuse(call, refusal);
        return;
    }
    if (!json_is_object(call->decoded)) {
        json_decref(call->decoded);
        call->decoded = json_object();
    }
    struct request request = call->request;
    request.verb = REQUEST_GET;
    request.subresource = "";
    request.body = NULL;
    call_ref(call);
    registry_submit(call->server->options.registry, &request, account_found, call);
}
