/* authorize.h - the one function that says whether a request is allowed. Default: it is not.
 *
 * Every RPC that a client can send has a line in AUTH_RPC_MAP with its rule; the server's method
 * table is checked against it when it is compiled (same length) and by a unit test (same names, and
 * the same as in the .proto files). The whole request tree is walked, both branches of nested
 * transactions included, as it was sent. */
#ifndef KVSTORE_AUTH_AUTHORIZE_H
#define KVSTORE_AUTH_AUTHORIZE_H

#include "base/arena.h"
#include "kvstore/auth/auth.h"

struct lessor;

/* name, path, rule:
 *   PUBLIC      anybody
 *   USER        anybody who is known
 *   ADMIN       the role root
 *   ALARM       USER to read, ADMIN to change
 *   USER_SELF, ROLE_OWN    ADMIN, or about oneself
 *   STEPS       never asked: it is made of other requests, each asked by itself; denied
 *   RANGE ... LEASES_READ  the keys that the request touches */
#define AUTH_RPC_MAP(X)                                                                            \
    X(RANGE, "/etcdserverpb.KV/Range", RANGE)                                                      \
    X(RANGE_STREAM, "/etcdserverpb.KV/RangeStream", RANGE)                                         \
    X(PUT, "/etcdserverpb.KV/Put", PUT)                                                            \
    X(DELETE_RANGE, "/etcdserverpb.KV/DeleteRange", DELETE)                                        \
    X(TXN, "/etcdserverpb.KV/Txn", TXN)                                                            \
    X(COMPACT, "/etcdserverpb.KV/Compact", ADMIN)                                                  \
    X(WATCH, "/etcdserverpb.Watch/Watch", WATCH)                                                   \
    X(LEASE_GRANT, "/etcdserverpb.Lease/LeaseGrant", USER)                                         \
    X(LEASE_REVOKE, "/etcdserverpb.Lease/LeaseRevoke", LEASE_WRITE)                                \
    X(LEASE_KEEP_ALIVE, "/etcdserverpb.Lease/LeaseKeepAlive", LEASE_WRITE)                         \
    X(LEASE_TIME_TO_LIVE, "/etcdserverpb.Lease/LeaseTimeToLive", LEASE_READ)                       \
    X(LEASE_LEASES, "/etcdserverpb.Lease/LeaseLeases", LEASES_READ)                                \
    X(MEMBER_ADD, "/etcdserverpb.Cluster/MemberAdd", ADMIN)                                        \
    X(MEMBER_REMOVE, "/etcdserverpb.Cluster/MemberRemove", ADMIN)                                  \
    X(MEMBER_UPDATE, "/etcdserverpb.Cluster/MemberUpdate", ADMIN)                                  \
    X(MEMBER_LIST, "/etcdserverpb.Cluster/MemberList", USER)                                       \
    X(MEMBER_PROMOTE, "/etcdserverpb.Cluster/MemberPromote", ADMIN)                                \
    X(ALARM, "/etcdserverpb.Maintenance/Alarm", ALARM)                                             \
    X(STATUS, "/etcdserverpb.Maintenance/Status", USER)                                            \
    X(HASH, "/etcdserverpb.Maintenance/Hash", ADMIN)                                               \
    X(HASH_KV, "/etcdserverpb.Maintenance/HashKV", ADMIN)                                          \
    X(MOVE_LEADER, "/etcdserverpb.Maintenance/MoveLeader", ADMIN)                                  \
    X(DOWNGRADE, "/etcdserverpb.Maintenance/Downgrade", ADMIN)                                     \
    X(DEFRAGMENT, "/etcdserverpb.Maintenance/Defragment", ADMIN)                                   \
    X(SNAPSHOT, "/etcdserverpb.Maintenance/Snapshot", ADMIN)                                       \
    X(LOCK, "/v3lockpb.Lock/Lock", STEPS)                                                          \
    X(UNLOCK, "/v3lockpb.Lock/Unlock", STEPS)                                                      \
    X(CAMPAIGN, "/v3electionpb.Election/Campaign", STEPS)                                          \
    X(PROCLAIM, "/v3electionpb.Election/Proclaim", STEPS)                                          \
    X(LEADER, "/v3electionpb.Election/Leader", STEPS)                                              \
    X(OBSERVE, "/v3electionpb.Election/Observe", STEPS)                                            \
    X(RESIGN, "/v3electionpb.Election/Resign", STEPS)                                              \
    X(HEALTH_CHECK, "/grpc.health.v1.Health/Check", PUBLIC)                                        \
    X(HEALTH_WATCH, "/grpc.health.v1.Health/Watch", PUBLIC)                                        \
    X(AUTH_ENABLE, "/etcdserverpb.Auth/AuthEnable", ADMIN)                                         \
    X(AUTH_DISABLE, "/etcdserverpb.Auth/AuthDisable", ADMIN)                                       \
    X(AUTH_STATUS, "/etcdserverpb.Auth/AuthStatus", PUBLIC)                                        \
    X(AUTHENTICATE, "/etcdserverpb.Auth/Authenticate", PUBLIC)                                     \
    X(USER_ADD, "/etcdserverpb.Auth/UserAdd", ADMIN)                                               \
    X(USER_GET, "/etcdserverpb.Auth/UserGet", USER_SELF)                                           \
    X(USER_LIST, "/etcdserverpb.Auth/UserList", ADMIN)                                             \
    X(USER_DELETE, "/etcdserverpb.Auth/UserDelete", ADMIN)                                         \
    X(USER_CHANGE_PASSWORD, "/etcdserverpb.Auth/UserChangePassword", ADMIN)                        \
    X(USER_GRANT_ROLE, "/etcdserverpb.Auth/UserGrantRole", ADMIN)                                  \
    X(USER_REVOKE_ROLE, "/etcdserverpb.Auth/UserRevokeRole", ADMIN)                                \
    X(ROLE_ADD, "/etcdserverpb.Auth/RoleAdd", ADMIN)                                               \
    X(ROLE_GET, "/etcdserverpb.Auth/RoleGet", ROLE_OWN)                                            \
    X(ROLE_LIST, "/etcdserverpb.Auth/RoleList", ADMIN)                                             \
    X(ROLE_DELETE, "/etcdserverpb.Auth/RoleDelete", ADMIN)                                         \
    X(ROLE_GRANT_PERMISSION, "/etcdserverpb.Auth/RoleGrantPermission", ADMIN)                      \
    X(ROLE_REVOKE_PERMISSION, "/etcdserverpb.Auth/RoleRevokePermission", ADMIN)

enum auth_rpc {
    AUTH_RPC_NONE = 0, /* always denied while auth is on */
#define X(name, path, rule) AUTH_RPC_##name,
    AUTH_RPC_MAP(X)
#undef X
        AUTH_RPC_END
};

enum { AUTH_RPC_COUNT = AUTH_RPC_END - 1 };

/* Who asks. */
struct auth_caller {
    struct bytes username;  /* empty: nobody */
    uint64_t auth_revision; /* when the name was established */
};

/* "/package.Service/Method", AUTH_RPC_NONE if unlisted. */
enum auth_rpc auth_rpc_find(const char *path);
const char *auth_rpc_path(enum auth_rpc rpc);

/* ETCD_OK, ETCD_USER_EMPTY, ETCD_AUTH_OLD_REVISION, ETCD_PERMISSION_DENIED, or ETCD_INVALID_REQUEST
 * for a body that cannot be decoded. body is the encoded request (of Watch: one WatchRequest).
 * arena is used for decoding and reset. Auth off: always ETCD_OK. */
enum etcd_error auth_authorize(struct auth *auth, const struct lessor *lessor, struct arena *arena,
                               const struct auth_caller *caller, enum auth_rpc rpc,
                               struct bytes body);

#endif
