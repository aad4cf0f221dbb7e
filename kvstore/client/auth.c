/* Tokens: asked for before the first call, and again when the cluster no longer takes the one we
 * have (it expired, the member restarted, users changed). */
#include <string.h>

#include "base/check.h"
#include "kvstore/client/client_internal.h"
#include "kvstore/client/rpc.h"

enum { AUTHENTICATE_TIMEOUT_MS = 5000 };

static char *duplicate(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

/* A secret must not stay behind in freed memory. */
static void free_secret(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        mem_free(text);
    }
}

void auth_init(struct client_auth *auth, const struct kv_client_options *options)
{
    *auth = (struct client_auth){.state = AUTH_NONE};
    if (options->token != NULL) {
        auth->token = duplicate(options->token);
        auth->state = AUTH_HAVE;
    } else if (options->user != NULL) {
        auth->user = duplicate(options->user);
        auth->password = duplicate(options->password != NULL ? options->password : "");
        auth->state = AUTH_WANTED;
    }
}

void auth_deinit(struct client_auth *auth)
{
    mem_free(auth->user);
    free_secret(auth->password);
    free_secret(auth->token);
}

static void authenticate_done(void *context, const struct kv_reply *reply)
{
    struct kv_client *client = context;
    struct client_auth *auth = &client->auth;
    if (client->is_closing) {
        return;
    }
    if (reply->status == GRPC_OK) {
        const Etcdserverpb__AuthenticateResponse *response = reply->message;
        free_secret(auth->token);
        auth->token = mem_strdup(response->token);
        auth->generation += 1;
        auth->state = AUTH_HAVE;
        client_pump_soon(client);
        return;
    }
    if (strcmp(reply->text, "etcdserver: authentication is not enabled") == 0) {
        auth->generation += 1;
        auth->state = AUTH_NONE; /* the user's name does no harm */
        client_pump_soon(client);
        return;
    }
    auth->state = AUTH_WANTED; /* the next call tries again */
    client_fail_waiters(client, true, reply->status, reply->text);
}

void auth_ask(struct kv_client *client)
{
    struct client_auth *auth = &client->auth;
    CHECK(auth->state == AUTH_WANTED);
    auth->state = AUTH_ASKING;
    Etcdserverpb__AuthenticateRequest request;
    etcdserverpb__authenticate_request__init(&request);
    request.name = auth->user;
    request.password = auth->password;
    const struct kv_call_options options = {.timeout_ms = AUTHENTICATE_TIMEOUT_MS};
    (void)kv_client_authenticate(client, &request, &options, authenticate_done, client);
}

bool auth_is_refreshed(struct kv_client *client, enum grpc_status status, const char *text,
                       uint64_t generation)
{
    struct client_auth *auth = &client->auth;
    if (status != GRPC_UNAUTHENTICATED && status != GRPC_INVALID_ARGUMENT) {
        return false;
    }
    if (auth->user == NULL || (strcmp(text, "etcdserver: invalid auth token") != 0 &&
                               strcmp(text, "etcdserver: revision of auth store is old") != 0 &&
                               strcmp(text, "etcdserver: user name is empty") != 0)) {
        return false;
    }
    /* Of many calls that failed with the same token only the first asks for another. */
    bool is_settled = auth->state == AUTH_HAVE || auth->state == AUTH_NONE;
    if (is_settled && auth->generation == generation) {
        auth->state = AUTH_WANTED;
    }
    return true;
}

size_t auth_metadata(const struct client_auth *auth, struct http_header *fields)
{
    if (auth->state != AUTH_HAVE || auth->token == NULL) {
        return 0;
    }
    fields[0] = (struct http_header){.name = BYTES_LITERAL("token"),
                                     .value = bytes_from_text(auth->token),
                                     .flags = HTTP_HEADER_VARYING};
    return 1;
}
