/* remote_internal.h - one exchange with the API server, shared by requests and followers. */
#ifndef ORCHESTRATOR_REMOTE_REMOTE_INTERNAL_H
#define ORCHESTRATOR_REMOTE_REMOTE_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "orchestrator/remote/remote.h"
#include "proto/dialer.h"

struct remote_call;

/* on_line is NULL for an answer that is read as a whole. Then on_end: code 0 without an answer. */
typedef void remote_line(void *context, struct bytes line);
typedef void remote_call_end(void *context, unsigned code, struct bytes body);

struct remote_call_options {
    const char *method;
    const char *path;
    const char *content_type; /* NULL: no body */
    struct bytes body;
    remote_line *on_line;
    remote_call_end *on_end;
    void *context;
};

/* NULL without a connection. on_end comes exactly once, and the call is gone then. */
struct remote_call *remote_call_begin(struct remote *remote,
                                      const struct remote_call_options *options);
/* on_end comes no more. */
void remote_call_forget(struct remote_call *call);

struct follower {
    struct remote *remote;
    char *path;
    char *storage;
    char *version; /* resourceVersion to watch from; NULL: list first */
    struct remote_call *call;
    struct timer retry;
    uint32_t backoff_ms;
    bool is_synced;
};

void follower_start(struct follower *follower); /* there is a connection */
void follower_stop(struct follower *follower);  /* there is none any more */

struct remote {
    struct remote_options options;
    struct tls_context *tls;
    struct dialer *dialer;
    struct connection *connection; /* NULL: not established */
    char *authority;
    char *authorization; /* NULL: none */
    struct timer redial;
    uint32_t backoff_ms;
    struct follower followers[REMOTE_FOLLOWS_MAX];
    size_t follower_count;
    struct list calls;
    struct wire_task changed;
    struct wire_task failures;
    struct list failed; /* requests without a connection */
    bool is_closing;
};

void remote_note_change(struct remote *remote);

#endif
