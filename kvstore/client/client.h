/* client.h - an asynchronous client of the store (and of etcd, whose v3 API it speaks) on one libuv
 * loop.
 *
 * One client talks to one cluster through any number of endpoints. It uses one of them and stays
 * with it while it is healthy; all calls share that one HTTP/2 connection, so thousands may be
 * under way at once. When the connection breaks, or the member answers that it has no leader, the
 * client moves on: reads are tried again, writes only if the server certainly never saw them;
 * watches and lease keepers resume by themselves.
 *
 * Everything runs on the loop's thread. Callbacks come from the loop, never inside the function
 * that asked for the work; inside a callback every function here may be called, kv_client_close
 * too. Requests are borrowed for the call; replies are valid during the callback. */
#ifndef KVSTORE_CLIENT_CLIENT_H
#define KVSTORE_CLIENT_CLIENT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "proto/grpc.h"
#include "proto/rpc.pb-c.h"
#include "proto/wire_loop.h"

enum { KV_CLIENT_ENDPOINTS_MAX = 64 };

struct kv_client;
struct kv_call;

/* Texts are copied. Times are milliseconds. */
struct kv_client_options {
    struct wire_loop *wire;       /* borrowed; must outlive the client */
    const char *const *endpoints; /* "host:port", "http://…", "https://…", "unix:path", … */
    size_t endpoint_count;
    const char *ca_file; /* any of these three makes "host:port" mean TLS */
    const char *cert_file;
    const char *key_file;
    const char *server_name;   /* to verify instead of the endpoint's host; NULL: that host */
    bool insecure_skip_verify; /* accept any certificate */
    bool secure_transport;     /* "host:port" means TLS, with the system's authorities */
    const char *user;          /* NULL: no authentication */
    const char *password;
    const char *token;          /* instead of user and password: a JWT made elsewhere */
    uint32_t dial_timeout_ms;   /* a call that finds no endpoint fails after this; 0: never */
    uint32_t keepalive_time_ms; /* ping a quiet connection after this, 10 s at least; 0: never */
    uint32_t keepalive_timeout_ms;
    size_t receive_bytes_max; /* of one message; 0: 2 GiB */
    uint64_t seed;            /* of jitter; clients must not share one */
    bool spread;              /* begin at a random endpoint instead of the first */
};

/* ERR_INVALID: an endpoint that cannot be read, too many of them, or unusable TLS files. Does not
 * connect before the first call. */
MUST_USE int kv_client_new(const struct kv_client_options *options, struct kv_client **ret,
                           struct err *err);
/* Whatever is under way ends with GRPC_CANCELED; watches and keepers are closed without a word.
 * done (may be NULL) runs from the loop after everything else, when the client is freed. */
void kv_client_close(struct kv_client *client, void (*done)(void *context), void *context);

/* The endpoint in use, or NULL while there is none. Valid until the next loop iteration. */
const char *kv_client_endpoint(const struct kv_client *client);
/* Why endpoints cannot be reached: "127.0.0.1:2379: connection refused; ...". "" if none failed.
 * Valid until the next call of it. */
const char *kv_client_problems(struct kv_client *client);

struct kv_reply {
    enum grpc_status status;
    const char *text;     /* the server's words; "" with GRPC_OK */
    const void *message;  /* the decoded response, of the method's type; NULL unless GRPC_OK */
    struct arena *memory; /* where message lives; use kv_reply_take */
};
/* Inside done: message outlives it; ret (not initialised before) owns its memory. */
void kv_reply_take(const struct kv_reply *reply, struct arena *ret);
typedef void kv_call_done(void *context, const struct kv_reply *reply);

enum kv_method_kind {
    KV_METHOD_READ,  /* harmless to repeat: tried again on Unavailable */
    KV_METHOD_WRITE, /* tried again only if no server can have seen it */
};

struct kv_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    const ProtobufCMessageDescriptor *response;
    enum kv_method_kind kind;
};

struct kv_call_options {
    uint64_t timeout_ms; /* of the whole call, retries included; 0: none */
};

/* Start a call; options may be NULL. done runs exactly once, unless the call is cancelled. The
 * typed functions of rpc.h are nicer to use. */
struct kv_call *kv_client_call(struct kv_client *client, const struct kv_method *method,
                               const ProtobufCMessage *request,
                               const struct kv_call_options *options, kv_call_done *done,
                               void *context);
/* Before done: the call is dropped, done never runs, the pointer is dead. A write may still take
 * effect. */
void kv_call_cancel(struct kv_call *call);

/* A stream of responses to one request (Snapshot, RangeStream). Not resumed when it breaks. */
struct kv_stream;
struct kv_stream_handler {
    void (*on_message)(void *context, const void *message);
    /* Exactly once, last; not after kv_stream_close. */
    void (*on_finish)(void *context, enum grpc_status status, const char *text);
};
struct kv_stream *kv_client_stream(struct kv_client *client, const struct kv_method *method,
                                   const ProtobufCMessage *request,
                                   const struct kv_call_options *options,
                                   const struct kv_stream_handler *handler, void *context);
void kv_stream_pause(struct kv_stream *stream); /* no on_message until kv_stream_resume */
void kv_stream_resume(struct kv_stream *stream);
void kv_stream_close(struct kv_stream *stream); /* no callback runs after this */

/* What kvctl and logs show for a failed call, in the words of etcd's Go client: the server's text
 * for its own errors, "rpc error: code = … desc = …" for all others. Appended to out. */
void kv_error_append_text(struct buf *out, enum grpc_status status, const char *text);

#endif
