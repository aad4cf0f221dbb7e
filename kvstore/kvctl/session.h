/* session.h - a command's connection to the cluster, used one call at a time: the loop runs until
 * the answer is there. Commands that wait for events (watch, lock) use the client directly. */
#ifndef KVSTORE_KVCTL_SESSION_H
#define KVSTORE_KVCTL_SESSION_H

#include <uv.h>

#include "kvstore/client/client.h"
#include "kvstore/client/rpc.h"
#include "kvstore/kvctl/command.h"
#include "kvstore/kvctl/printer.h"

struct session {
    uv_loop_t loop;
    struct wire_loop *wire;
    uv_async_t presence;      /* keeps the loop running while only timers are due */
    struct kv_client *client; /* to all endpoints; NULL until it is needed */
    struct printer printer;
    struct buf output;
    const char *const *endpoints;
    size_t endpoint_count;
};

/* All of these print "Error: ..." and return a command_exit when they fail. */

/* The loop, the endpoints and the output format; no client yet. */
MUST_USE int session_open(struct invocation *invocation);
void session_close(struct invocation *invocation); /* fine if it never was opened */

/* session_open and the client to all endpoints. */
MUST_USE int session_connect(struct invocation *invocation);
/* Another client with the same settings to one endpoint; end it with session_close_client. */
MUST_USE int session_new_client(struct invocation *invocation, const char *endpoint,
                                struct kv_client **ret);
void session_close_client(struct invocation *invocation, struct kv_client *client);

/* The answer to one call. */
struct answer {
    enum grpc_status status;
    const void *message; /* NULL unless GRPC_OK */
    char *text;          /* of the error, as kv_error_append_text words it; else NULL */
    uint64_t took_ns;
    struct arena memory;
};
void answer_deinit(struct answer *answer);

static inline void cleanup_answer(struct answer *answer)
{
    answer_deinit(answer);
}

enum { SESSION_COMMAND_TIMEOUT = -1, SESSION_NO_TIMEOUT = 0 };

/* Run one call to its end; never prints. timeout_ms may be one of the constants above. */
void session_ask(struct invocation *invocation, struct kv_client *client,
                 const struct kv_method *method, const ProtobufCMessage *request,
                 int64_t timeout_ms, struct answer *ret);
/* The same question on several clients at once; ret has an answer for each. */
void session_ask_all(struct invocation *invocation, struct kv_client *const *clients, size_t count,
                     const struct kv_method *method, const ProtobufCMessage *request,
                     int64_t timeout_ms, struct answer *ret);
/* The same on the session's client; a failure is printed and is the exit code. */
MUST_USE int session_call(struct invocation *invocation, const struct kv_method *method,
                          const ProtobufCMessage *request, struct answer *ret);
MUST_USE int session_call_within(struct invocation *invocation, const struct kv_method *method,
                                 const ProtobufCMessage *request, int64_t timeout_ms,
                                 struct answer *ret);
/* Print the failure of an answer, with a hint when no member could be reached. */
int session_fail(struct invocation *invocation, struct kv_client *client, enum command_exit code,
                 const struct answer *answer);

/* Write what the printer holds; printed is the print function's result. */
MUST_USE int session_show(struct invocation *invocation, int printed, const struct err *err);
/* Write what the printer holds to standard output now. */
void session_flush(struct session *session);

/* Endpoints of --endpoints, or with --cluster those of the member list. In the invocation's arena.
 */
MUST_USE int session_endpoints(struct invocation *invocation, const char *const **ret,
                               size_t *ret_count);

#endif
