#include "kvstore/server/auth_service.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/server/config.h"
#include "kvstore/server/service.h"
#include "proto/base64.h"
#include "proto/tls.h"

enum { TOKEN_LETTERS = 16, AUTHENTICATE_TRIES = 8, NAME_SIZE_MAX = 4096 };

int auth_service_init(struct service *service, uv_loop_t *loop, const struct config *config,
                      struct err *err)
{
    struct auth_service *auth = &service->auth;
    *auth = (struct auth_service){.loop = loop,
                                  .bcrypt_cost = (unsigned)config->bcrypt_cost,
                                  .trusts_certificates = config->client_tls.client_cert_auth,
                                  .cache = mem_alloc(sizeof *auth->cache)};
    password_cache_init(auth->cache);
    auth_set_token_ttl(kv_auth(node_kv(core_node(service->core))),
                       (uint64_t)config->auth_token_ttl_s * 1000);
    if (strcmp(config->auth_token, "simple") == 0 || config->auth_token[0] == 0) {
        return 0;
    }
    if (strncmp(config->auth_token, "jwt", 3) != 0) {
        return err_set(err, ERR_INVALID, "--auth-token is neither simple nor jwt");
    }
    return jwt_new(config->auth_token, &auth->jwt, err);
}

void auth_service_deinit(struct service *service)
{
    CHECK(service->auth.open_jobs == 0);
    jwt_free(service->auth.jwt);
    arena_deinit(&service->auth.arena);
    mem_free(service->auth.cache);
}

void auth_service_drain(struct service *service)
{
    while (service->auth.open_jobs > 0) {
        (void)uv_run(service->auth.loop, UV_RUN_ONCE);
    }
}

static struct auth *store_of(const struct service *service)
{
    return kv_auth(node_kv(core_node(service->core)));
}

/* --- who is it ------------------------------------------------------------------------------- */

static struct bytes find_token(struct grpc_call *call)
{
    struct bytes token = grpc_call_metadata(call, "token");
    if (token.size == 0) {
        token = grpc_call_metadata(call, "authorization");
    }
    struct bytes bearer = BYTES_LITERAL("Bearer ");
    if (bytes_has_prefix(token, bearer)) {
        token = bytes_make(token.data + bearer.size, token.size - bearer.size);
    }
    return token;
}

enum etcd_error auth_service_identify(struct grpc_call *call, struct auth_caller *ret_caller)
{
    struct service *service = grpc_call_context(call);
    struct auth *auth = store_of(service);
    *ret_caller = (struct auth_caller){.auth_revision = auth_revision(auth)};
    if (!auth_is_enabled(auth)) {
        return ETCD_OK;
    }
    struct bytes token = find_token(call);
    if (token.size > 0 && service->auth.jwt != NULL) {
        arena_reset(&service->auth.arena);
        int code =
            jwt_verify(service->auth.jwt, token, clock_realtime_ms() / 1000, &service->auth.arena,
                       &ret_caller->username, &ret_caller->auth_revision);
        return code == 0 ? ETCD_OK : ETCD_INVALID_TOKEN;
    }
    if (token.size > 0) {
        ret_caller->username = auth_token_user(auth, token, core_now(service->core));
        return ret_caller->username.size > 0 ? ETCD_OK : ETCD_INVALID_TOKEN;
    }
    const struct http_peer *peer = grpc_call_peer(call);
    if (service->auth.trusts_certificates && peer != NULL && peer->tls != NULL) {
        ret_caller->username = bytes_from_text(peer->tls->common_name);
    }
    return ETCD_OK;
}

enum etcd_error auth_service_authorize(struct grpc_call *call, struct bytes body)
{
    struct service *service = grpc_call_context(call);
    struct auth_caller caller;
    enum etcd_error error = auth_service_identify(call, &caller);
    if (error != ETCD_OK) {
        return error;
    }
    enum auth_rpc rpc = auth_rpc_find(grpc_call_method(call)->path);
    return kv_authorize(node_kv(core_node(service->core)), &caller, (int)rpc, body);
}

/* --- calls with a password ------------------------------------------------------------------- */

/* From the first message to the answer. The client may go meanwhile: call is a reference. */
struct auth_call {
    struct password_job job;
    struct core_call core_call;
    struct grpc_call *call;
    struct service *service;
    enum node_method method;
    struct buf name;
    struct buf password; /* Authenticate only: a changed user needs another check */
    struct buf options;
    struct buf caller_name;
    struct buf body; /* what is proposed */
    uint64_t auth_revision;
    uint8_t digest[PASSWORD_DIGEST_SIZE];
    unsigned tries;
};

static void wipe(struct buf *buf)
{
    if (buf->data != NULL) {
        OPENSSL_cleanse(buf->data, buf->capacity);
    }
    buf_deinit(buf);
}

static void auth_call_free(struct auth_call *auth_call)
{
    wipe(&auth_call->password);
    buf_deinit(&auth_call->name);
    buf_deinit(&auth_call->options);
    buf_deinit(&auth_call->caller_name);
    buf_deinit(&auth_call->body);
    grpc_call_unref(auth_call->call);
    mem_free(auth_call);
}

static void fail(struct auth_call *auth_call, enum etcd_error error)
{
    if (grpc_call_is_open(auth_call->call)) {
        service_fail(auth_call->call, error);
    }
    auth_call_free(auth_call);
}

/* AuthenticateRequest, AuthUserAddRequest and AuthUserChangePasswordRequest agree in what counts.
 */
static struct auth_call *auth_call_new(struct grpc_call *call, enum node_method method,
                                       struct bytes body)
{
    struct auth_call *auth_call = mem_zalloc(sizeof *auth_call);
    struct pb_reader reader = pb_reader_make(body);
    struct pb_field field;
    auth_call->call = grpc_call_ref(call);
    auth_call->service = grpc_call_context(call);
    auth_call->method = method;
    while (pb_next(&reader, &field)) {
        struct buf *to = field.key == PB_BYTES(1)   ? &auth_call->name
                         : field.key == PB_BYTES(2) ? &auth_call->password
                         : field.key == PB_BYTES(3) ? &auth_call->options
                                                    : NULL;
        if (to != NULL) {
            buf_clear(to);
            buf_append_bytes(to, field.bytes);
        }
    }
    if (reader.failed || buf_size(&auth_call->name) > NAME_SIZE_MAX) {
        fail(auth_call, ETCD_INVALID_REQUEST);
        return NULL;
    }
    return auth_call;
}

static void check(struct auth_call *auth_call);

/* With JWT the token is added to what the entry answered: its header. */
static void answer(struct auth_call *auth_call, struct bytes body)
{
    const struct jwt *jwt = auth_call->service->auth.jwt;
    if (jwt == NULL || auth_call->method != NODE_AUTHENTICATE) {
        service_send(auth_call->call, body);
        service_finish(auth_call->call, GRPC_OK, NULL);
        return;
    }
    CLEANUP(buf) struct buf token = BUF_INIT;
    CLEANUP(buf) struct buf response = BUF_INIT;
    int code = jwt_sign(jwt, buf_bytes(&auth_call->name), auth_call->auth_revision,
                        clock_realtime_ms() / 1000, &token);
    if (code != 0) {
        service_finish(auth_call->call, GRPC_UNKNOWN,
                       "auth: token signing attempted with verify-only key");
        return;
    }
    buf_append_bytes(&response, body);
    pb_put_bytes(&response, 2, buf_bytes(&token));
    service_send(auth_call->call, buf_bytes(&response));
    service_finish(auth_call->call, GRPC_OK, NULL);
}

static void on_reply(struct core_call *core_call, const struct node_reply *reply)
{
    struct auth_call *auth_call = container_of(core_call, struct auth_call, core_call);
    if (auth_call->method == NODE_AUTHENTICATE && reply->status == ETCD_AUTH_OLD_REVISION &&
        auth_call->tries < AUTHENTICATE_TRIES && grpc_call_is_open(auth_call->call) &&
        !auth_call->service->is_stopping) {
        check(auth_call);
        return;
    }
    if (reply->status != ETCD_OK) {
        fail(auth_call, reply->status);
        return;
    }
    if (grpc_call_is_open(auth_call->call)) {
        answer(auth_call, reply->body);
    }
    auth_call_free(auth_call);
}

static void propose(struct auth_call *auth_call)
{
    if (auth_call->service->is_stopping) {
        fail(auth_call, ETCD_STOPPED);
        return;
    }
    auth_call->core_call =
        (struct core_call){.method = auth_call->method,
                           .body = buf_bytes(&auth_call->body),
                           .caller = {.username = buf_bytes(&auth_call->caller_name),
                                      .auth_revision = auth_call->auth_revision},
                           .on_reply = on_reply};
    core_submit(auth_call->service->core, &auth_call->core_call);
}

/* --- Authenticate ---------------------------------------------------------------------------- */

static void append_token(struct buf *out)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    uint8_t random[TOKEN_LETTERS];
    int ok = RAND_bytes(random, sizeof random);
    CHECK(ok == 1); /* tokens could be guessed */
    for (size_t i = 0; i < sizeof random; i++) {
        buf_append_u8(out, (uint8_t)letters[random[i] % (sizeof letters - 1)]);
    }
}

static void propose_authenticate(struct auth_call *auth_call)
{
    struct buf token = BUF_INIT;
    if (auth_call->service->auth.jwt == NULL) {
        append_token(&token);
    } /* else every member can verify what this one signs: the log keeps no token */
    buf_clear(&auth_call->body);
    pb_put_bytes(&auth_call->body, 1, buf_bytes(&auth_call->name));
    pb_put_bytes(&auth_call->body, 3, buf_bytes(&token));
    buf_deinit(&token);
    propose(auth_call);
}

static void on_checked(struct password_job *job)
{
    struct auth_call *auth_call = container_of(job, struct auth_call, job);
    auth_call->service->auth.open_jobs -= 1;
    if (!job->is_ok) {
        fail(auth_call, ETCD_AUTH_FAILED);
        return;
    }
    password_cache_keep(auth_call->service->auth.cache, auth_call->digest);
    propose_authenticate(auth_call);
}

static void check(struct auth_call *auth_call)
{
    struct service *service = auth_call->service;
    const struct auth *auth = store_of(service);
    if (!auth_is_enabled(auth)) {
        fail(auth_call, ETCD_AUTH_NOT_ENABLED);
        return;
    }
    CLEANUP(arena) struct arena arena = {0};
    struct bytes stored = auth_password_hash(auth, buf_bytes(&auth_call->name));
    struct bytes hash = {NULL, 0};
    if (!base64_parse(stored, &arena, &hash)) {
        hash = (struct bytes){NULL, 0}; /* no password matches it */
    }
    auth_call->tries += 1;
    auth_call->auth_revision = auth_revision(auth);
    struct bytes password = buf_bytes(&auth_call->password);
    password_cache_digest(service->auth.cache, auth_call->auth_revision,
                          buf_bytes(&auth_call->name), hash, password, auth_call->digest);
    if (hash.size > 0 && password_cache_has(service->auth.cache, auth_call->digest)) {
        propose_authenticate(auth_call);
        return;
    }
    auth_call->job.done = on_checked;
    if (!password_check(service->auth.loop, &auth_call->job, password, hash)) {
        fail(auth_call, ETCD_AUTH_FAILED);
        return;
    }
    service->auth.open_jobs += 1;
}

void auth_service_authenticate(struct grpc_call *call, struct bytes body)
{
    struct auth_call *auth_call = auth_call_new(call, NODE_AUTHENTICATE, body);
    if (auth_call != NULL) {
        check(auth_call);
    }
}

/* --- UserAdd and UserChangePassword ---------------------------------------------------------- */

/* Name and hash; never the password. */
static void propose_user(struct auth_call *auth_call, struct bytes hash)
{
    struct buf text = BUF_INIT;
    base64_append(&text, hash);
    pb_put_bytes(&auth_call->body, 1, buf_bytes(&auth_call->name));
    if (auth_call->method == NODE_USER_ADD) {
        pb_put_bytes(&auth_call->body, 3, buf_bytes(&auth_call->options));
        pb_put_bytes(&auth_call->body, 4, buf_bytes(&text));
    } else {
        pb_put_bytes(&auth_call->body, 3, buf_bytes(&text));
    }
    buf_deinit(&text);
    propose(auth_call);
}

static void on_hashed(struct password_job *job)
{
    struct auth_call *auth_call = container_of(job, struct auth_call, job);
    auth_call->service->auth.open_jobs -= 1;
    if (!job->is_ok) {
        fail(auth_call, ETCD_AUTH_FAILED);
        return;
    }
    propose_user(auth_call, bytes_from_text(job->hash));
}

static bool wants_no_password(const struct auth_call *auth_call)
{
    struct pb_reader reader = pb_reader_make(buf_bytes(&auth_call->options));
    struct pb_field field;
    bool result = false;
    while (pb_next(&reader, &field)) {
        result = field.key == PB_VARINT(1) ? field.value != 0 : result;
    }
    return result && !reader.failed;
}

/* Hashing costs a processor, so who may not change users does not get that far. */
static void start_user(struct grpc_call *call, enum node_method method, struct bytes body)
{
    struct auth_caller caller;
    enum etcd_error error = auth_service_authorize(call, body);
    error = error != ETCD_OK ? error : auth_service_identify(call, &caller);
    if (error != ETCD_OK) {
        service_fail(call, error);
        return;
    }
    struct auth_call *auth_call = auth_call_new(call, method, body);
    if (auth_call == NULL) {
        return;
    }
    auth_call->auth_revision = caller.auth_revision;
    buf_append_bytes(&auth_call->caller_name, caller.username);
    if (method == NODE_USER_ADD && wants_no_password(auth_call)) {
        propose_user(auth_call, (struct bytes){NULL, 0});
        return;
    }
    auth_call->job.done = on_hashed;
    struct auth_service *auth = &auth_call->service->auth;
    if (!password_hash(auth->loop, &auth_call->job, buf_bytes(&auth_call->password),
                       auth->bcrypt_cost)) {
        service_finish(call, GRPC_UNKNOWN, "bcrypt: password length exceeds 72 bytes");
        auth_call_free(auth_call);
        return;
    }
    auth->open_jobs += 1;
    wipe(&auth_call->password);
}

void auth_service_user_add(struct grpc_call *call, struct bytes body)
{
    start_user(call, NODE_USER_ADD, body);
}

void auth_service_change_password(struct grpc_call *call, struct bytes body)
{
    start_user(call, NODE_USER_CHANGE_PASSWORD, body);
}
