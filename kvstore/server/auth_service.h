/* auth_service.h - who a client is, and the Auth calls that need a password's hash.
 *
 * A caller is known by the metadata "token" or "authorization" ("Bearer ..."), else by the common
 * name of a verified client certificate, else not at all. */
#ifndef KVSTORE_SERVER_AUTH_SERVICE_H
#define KVSTORE_SERVER_AUTH_SERVICE_H

#include <uv.h>

#include "kvstore/auth/authorize.h"
#include "kvstore/server/password.h"

struct config;
struct grpc_call;
struct service;

struct auth_service {
    uv_loop_t *loop;
    unsigned bcrypt_cost;
    bool trusts_certificates; /* --client-cert-auth */
    uint32_t open_jobs;       /* on worker threads */
    struct password_cache *cache;
};

void auth_service_init(struct service *service, uv_loop_t *loop, const struct config *config);
void auth_service_deinit(struct service *service);
/* Run the loop until no job is on a worker thread; before connections are freed. */
void auth_service_drain(struct service *service);

/* Who makes the call: ETCD_OK, or ETCD_INVALID_TOKEN. The name is borrowed until the next entry is
 * applied. With auth off nobody is anybody. */
enum etcd_error auth_service_identify(struct grpc_call *call, struct auth_caller *ret_caller);
/* Is the call with this body allowed? For what does not go through the node. */
enum etcd_error auth_service_authorize(struct grpc_call *call, struct bytes body);

/* Authenticate, UserAdd and UserChangePassword. */
void auth_service_authenticate(struct grpc_call *call, struct bytes body);
void auth_service_user_add(struct grpc_call *call, struct bytes body);
void auth_service_change_password(struct grpc_call *call, struct bytes body);

#endif
