/* client_internal.h - what the files of the client library share. Not for others. */
#ifndef KVSTORE_CLIENT_CLIENT_INTERNAL_H
#define KVSTORE_CLIENT_CLIENT_INTERNAL_H

#include "base/cleanup.h"
#include "base/list.h"
#include "base/mem.h"
#include "kvstore/client/client.h"
#include "kvstore/client/picker.h"
#include "proto/grpc_channel.h"
#include "proto/timers.h"
#include "proto/tls.h"

struct client_endpoint {
    struct kv_client *client;
    size_t index;
    char *name; /* as the user wrote it */
    struct grpc_channel *channel;
    struct err problem; /* of the last failure; code 0: none since it was ready */
    bool was_ready;
};

/* Something that needs a healthy endpoint (and a token): a call, a stream, the watch stream.
 * Exactly one of its functions runs from the loop, unless it is cancelled. */
struct client_waiter {
    struct list link;
    uint64_t since_ms;
    bool needs_token;
    void (*ready)(struct client_waiter *waiter, struct client_endpoint *endpoint);
    void (*failed)(struct client_waiter *waiter, enum grpc_status status, const char *text);
};

enum auth_state {
    AUTH_NONE,   /* no user was given, or the cluster has authentication disabled */
    AUTH_WANTED, /* a token must be asked for */
    AUTH_ASKING,
    AUTH_HAVE,
};

struct client_auth {
    enum auth_state state;
    char *user;
    char *password;
    char *token;
    uint64_t generation; /* of the token */
};

struct watch_hub;
struct keeper_hub;

struct kv_client {
    struct wire_loop *wire;
    struct timers *timers;
    struct tls_context *tls; /* NULL: plaintext only */
    struct client_endpoint endpoints[KV_CLIENT_ENDPOINTS_MAX];
    size_t endpoint_count;
    size_t open_channel_count;
    struct picker picker;
    struct prng prng; /* of retry delays */
    uint64_t dial_timeout_ms;
    struct client_auth auth;
    struct list waiting; /* client_waiter */
    struct list calls;   /* kv_call */
    struct list streams; /* kv_stream */
    struct timer dial_timer;
    struct wire_task pump;
    struct watch_hub *watch_hub;   /* NULL until the first watch */
    struct keeper_hub *keeper_hub; /* NULL until the first keeper */
    struct buf problems;
    bool is_closing;
    void (*close_done)(void *context);
    void *close_context;
};

uint64_t client_now_ms(const struct kv_client *client);
/* Queue for an endpoint; cancel is harmless when not queued. */
void client_wait(struct kv_client *client, struct client_waiter *waiter);
void client_wait_cancel(struct client_waiter *waiter);
/* The endpoint to use at once, if one is ready and so is the token; else NULL. */
struct client_endpoint *client_try_endpoint(struct kv_client *client, bool needs_token);
/* Look again, from the loop, whether waiters can go on. */
void client_pump_soon(struct kv_client *client);
void client_fail_waiters(struct kv_client *client, bool only_needing_token, enum grpc_status status,
                         const char *text);
/* A member's answer says it is of no use for now (no leader, stopping): look elsewhere. */
void client_on_status(struct kv_client *client, struct client_endpoint *endpoint,
                      enum grpc_status status, const char *text);
/* A delay with jitter before the attempt of that number (1, 2, ...), 25 ms to 1 s. */
uint64_t client_retry_delay_ms(struct kv_client *client, uint32_t attempt);
/* After a part is gone: is the client closing and was it the last? Then frees it, from the loop. */
void client_part_gone(struct kv_client *client);

/* auth.c */
enum { AUTH_METADATA_MAX = 2 };
void auth_init(struct client_auth *auth, const struct kv_client_options *options);
void auth_deinit(struct client_auth *auth);
void auth_ask(struct kv_client *client); /* from AUTH_WANTED */
/* Did the call fail because of its token? Then a new one is asked for and the call may be tried
 * again. generation: of the token it used. */
bool auth_is_refreshed(struct kv_client *client, enum grpc_status status, const char *text,
                       uint64_t generation);
/* The token as metadata; returns the number of fields written. */
size_t auth_metadata(const struct client_auth *auth, struct http_header *fields);

/* call.c, watch.c, lease_keeper.c */
void calls_cancel_paused(struct kv_client *client); /* the others end with waiters and channels */
void watch_hub_close(struct watch_hub *hub);   /* frees the hub and its watches; NULL is fine */
void keeper_hub_close(struct keeper_hub *hub); /* the same */

#endif
