#include "base/mem.h"
#include "kvstore/auth/auth_internal.h"

void auth_init_tokens(struct auth *auth)
{
    list_init(&auth->tokens);
    for (uint32_t i = 0; i < AUTH_TOKEN_BUCKETS; i++) {
        list_init(&auth->token_buckets[i]);
    }
    auth->token_ttl_ms = AUTH_TOKEN_TTL_DEFAULT_MS;
}

void auth_set_token_ttl(struct auth *auth, uint64_t ttl_ms)
{
    auth->token_ttl_ms = ttl_ms == 0 ? AUTH_TOKEN_TTL_DEFAULT_MS : ttl_ms;
}

uint32_t auth_token_count(const struct auth *auth)
{
    return auth->token_count;
}

/* FNV-1a; the texts are random. */
static struct list *bucket_of(struct auth *auth, struct bytes text)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < text.size; i++) {
        hash = (hash ^ text.data[i]) * 16777619u;
    }
    return &auth->token_buckets[hash % AUTH_TOKEN_BUCKETS];
}

static void token_free(struct auth *auth, struct auth_token *token)
{
    list_remove(&token->link);
    list_remove(&token->hash_link);
    auth_drop(token->text);
    auth_drop(token->user);
    mem_free(token);
    auth->token_count -= 1;
}

/* Sorted by last use, and all have the same TTL. */
static void expire(struct auth *auth, uint64_t now_ms)
{
    list_foreach_safe (link, &auth->tokens) {
        struct auth_token *token = container_of(link, struct auth_token, link);
        if (token->deadline_ms > now_ms && auth->token_count <= AUTH_TOKENS_MAX) {
            return;
        }
        token_free(auth, token);
    }
}

void auth_add_token(struct auth *auth, struct bytes text, struct bytes user, uint64_t now_ms)
{
    struct auth_token *token = mem_zalloc(sizeof *token);
    token->text = auth_copy(text);
    token->user = auth_copy(user);
    token->deadline_ms = now_ms + auth->token_ttl_ms;
    list_push_back(&auth->tokens, &token->link);
    list_push_back(bucket_of(auth, text), &token->hash_link);
    auth->token_count += 1;
    expire(auth, now_ms);
}

/* As long for a wrong byte at the start as at the end. */
static bool equal_in_constant_time(struct bytes a, struct bytes b)
{
    if (a.size != b.size) {
        return false;
    }
    uint8_t difference = 0;
    for (size_t i = 0; i < a.size; i++) {
        difference |= a.data[i] ^ b.data[i];
    }
    return difference == 0;
}

struct bytes auth_token_user(struct auth *auth, struct bytes text, uint64_t now_ms)
{
    expire(auth, now_ms);
    list_foreach (link, bucket_of(auth, text)) {
        struct auth_token *token = container_of(link, struct auth_token, hash_link);
        if (equal_in_constant_time(token->text, text)) {
            token->deadline_ms = now_ms + auth->token_ttl_ms;
            list_remove(&token->link);
            list_push_back(&auth->tokens, &token->link);
            return token->user;
        }
    }
    return (struct bytes){NULL, 0};
}

void auth_drop_tokens_of(struct auth *auth, struct bytes user)
{
    list_foreach_safe (link, &auth->tokens) {
        struct auth_token *token = container_of(link, struct auth_token, link);
        if (bytes_equal(token->user, user)) {
            token_free(auth, token);
        }
    }
}

void auth_drop_all_tokens(struct auth *auth)
{
    list_foreach_safe (link, &auth->tokens) {
        token_free(auth, container_of(link, struct auth_token, link));
    }
}
