/* recipe.h - what the Lock and the Election service share: a call that is answered after several
 * requests to the core and some waiting, all of them in the name of the client.
 *
 * Both services are etcd's client recipes run by the server: whoever wants the lock puts a key
 * "<name>/<lease>" and waits until no key of the prefix is older than its own. Source: the public
 * v3lock and v3election services and the "concurrency" package that defines their keys.
 *
 *   ask --> reply --> ask ... --> watch --> event --> ask ... --> finish or fail
 *
 * Every request is authorised by itself, so the services need no rules of their own. */
#ifndef KVSTORE_SERVER_RECIPE_H
#define KVSTORE_SERVER_RECIPE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/list.h"
#include "kvstore/server/core.h"
#include "kvstore/server/watch_target.h"
#include "kvstore/watch/watch_hub.h"
#include "proto/kv.pb-c.h"
#include "proto/rpc.pb-c.h"

enum { RECIPE_TTL_S = 60 }; /* of the lease of a caller that names none; etcd's session default */

struct grpc_call;
struct recipe;
struct service;

/* The answer to what was asked, in recipe->step; valid until the next request. */
typedef void recipe_next(struct recipe *recipe, const ProtobufCMessage *reply);
/* The head of the queue is reached; header is that of the last look. */
typedef void recipe_turn(struct recipe *recipe, Etcdserverpb__ResponseHeader *header);
/* Something happened to a watched key. False: no more events, and the recipe may be gone. */
typedef bool recipe_event(struct recipe *recipe, const Etcdserverpb__WatchResponse *response);

struct recipe {
    struct watch_target target; /* the hub's context: first */
    struct list link;           /* of the service */
    struct service *service;
    struct grpc_call *call; /* NULL: the client has gone */
    struct core_call core_call;
    bool is_asking; /* core_call is under way */
    const ProtobufCMessageDescriptor *reply_type;
    recipe_next *next;
    recipe_event *on_event;
    struct watch_stream *stream; /* NULL: nothing is watched */
    struct buf request;          /* of core_call */
    struct buf caller_name;      /* of core_call */
    struct arena step;           /* of one reply or event */
    struct arena arena;          /* the texts below, and what the caller keeps */

    const char *expired_text; /* when the lease is gone before the turn comes */
    recipe_turn *on_turn;
    struct bytes prefix; /* "<name>/" */
    struct bytes key;    /* "<name>/<lease in hex>" */
    struct bytes value;
    int64_t lease;
    int64_t revision;  /* create revision of key; 0: not known */
    bool is_entering;  /* the transaction that may make key is under way */
    bool has_made_key; /* by this call: goes with it */
};

enum recipe_events { RECIPE_PUTS = 1, RECIPE_DELETES = 2 }; /* bits */

/* Attached to the call; ends by one of recipe_finish, recipe_fail, recipe_cancel. */
struct recipe *recipe_new(struct grpc_call *call);
void recipe_cancel(struct grpc_call *call); /* the service's on_cancel */
void recipe_finish(struct recipe *recipe, const ProtobufCMessage *response);
void recipe_fail(struct recipe *recipe, int status, const char *text);

/* Send recipe->request, which the caller has filled, to the core. Errors end the call. */
void recipe_ask(struct recipe *recipe, enum node_method method,
                const ProtobufCMessageDescriptor *reply_type, recipe_next *next);
/* Watch [key, range_end) from a revision on. The recipe's other watches stay. */
void recipe_watch(struct recipe *recipe, struct bytes key, struct bytes range_end,
                  int64_t start_revision, unsigned events, recipe_event *on_event);
void recipe_unwatch(struct recipe *recipe); /* all of it */
/* Take the events that wait; when a stream's call has room again. */
void recipe_take_events(struct recipe *recipe);

/* recipe_turn.c: put the key, wait for everybody older, look once more whether the lease lives. */
void recipe_enter(struct recipe *recipe, struct bytes name, int64_t lease, recipe_turn *on_turn);
void recipe_set_prefix(struct recipe *recipe, struct bytes name); /* recipe_enter does it */

/* recipe_request.c: requests, into recipe->request in place of what is there. */
enum recipe_order { RECIPE_OLDEST, RECIPE_NEWEST };
void recipe_request_first(struct recipe *recipe, enum recipe_order order, int64_t created_max);
void recipe_request_key(struct recipe *recipe, struct bytes key);
/* If nobody has the key yet: put it, else read it; either way read the oldest of the prefix. */
void recipe_request_enter(struct recipe *recipe);
/* If the key is still the one created at revision: put value, or delete it. */
void recipe_request_put_own(struct recipe *recipe, struct bytes key, int64_t revision,
                            int64_t lease, struct bytes value);
void recipe_request_delete_own(struct recipe *recipe, struct bytes key, int64_t revision);
struct bytes recipe_prefix_end(struct bytes prefix, struct arena *arena);

/* lock_service.c, election_service.c, election_observe.c: a request has arrived */
void lock_service_lock(struct grpc_call *call, struct bytes body);
void lock_service_unlock(struct grpc_call *call, struct bytes body);
void election_service_campaign(struct grpc_call *call, struct bytes body);
void election_service_proclaim(struct grpc_call *call, struct bytes body);
void election_service_leader(struct grpc_call *call, struct bytes body);
void election_service_resign(struct grpc_call *call, struct bytes body);
void election_observe_start(struct grpc_call *call, struct bytes body);
void election_observe_writable(struct grpc_call *call);

#endif
