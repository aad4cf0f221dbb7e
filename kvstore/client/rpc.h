/* rpc.h - every unary method of the store as a typed function:
 *
 *     struct kv_call *kv_client_put(struct kv_client *, const Etcdserverpb__PutRequest *,
 *                                   const struct kv_call_options *, kv_call_done *, void *context);
 *
 * In done, reply->message is a `const Etcdserverpb__PutResponse *`. */
#ifndef KVSTORE_CLIENT_RPC_H
#define KVSTORE_CLIENT_RPC_H

#include "kvstore/client/client.h"

/* function, service, method, C type stem, response descriptor, kind. What etcd calls idempotent may
 * still tell two outcomes apart (revoking a revoked lease fails), so only true reads repeat. */
#define KV_METHOD_MAP(X)                                                                           \
    X(range, KV, Range, Range, range_response, READ)                                               \
    X(put, KV, Put, Put, put_response, WRITE)                                                      \
    X(delete_range, KV, DeleteRange, DeleteRange, delete_range_response, WRITE)                    \
    X(txn, KV, Txn, Txn, txn_response, WRITE)                                                      \
    X(compact, KV, Compact, Compaction, compaction_response, WRITE)                                \
    X(lease_grant, Lease, LeaseGrant, LeaseGrant, lease_grant_response, WRITE)                     \
    X(lease_revoke, Lease, LeaseRevoke, LeaseRevoke, lease_revoke_response, WRITE)                 \
    X(lease_time_to_live, Lease, LeaseTimeToLive, LeaseTimeToLive, lease_time_to_live_response,    \
      READ)                                                                                        \
    X(lease_leases, Lease, LeaseLeases, LeaseLeases, lease_leases_response, READ)                  \
    X(member_add, Cluster, MemberAdd, MemberAdd, member_add_response, WRITE)                       \
    X(member_remove, Cluster, MemberRemove, MemberRemove, member_remove_response, WRITE)           \
    X(member_update, Cluster, MemberUpdate, MemberUpdate, member_update_response, WRITE)           \
    X(member_list, Cluster, MemberList, MemberList, member_list_response, READ)                    \
    X(member_promote, Cluster, MemberPromote, MemberPromote, member_promote_response, WRITE)       \
    X(alarm, Maintenance, Alarm, Alarm, alarm_response, READ)                                      \
    X(status, Maintenance, Status, Status, status_response, READ)                                  \
    X(defragment, Maintenance, Defragment, Defragment, defragment_response, WRITE)                 \
    X(hash, Maintenance, Hash, Hash, hash_response, READ)                                          \
    X(hash_kv, Maintenance, HashKV, HashKV, hash_kvresponse, READ)                                 \
    X(move_leader, Maintenance, MoveLeader, MoveLeader, move_leader_response, WRITE)               \
    X(downgrade, Maintenance, Downgrade, Downgrade, downgrade_response, WRITE)                     \
    X(auth_enable, Auth, AuthEnable, AuthEnable, auth_enable_response, WRITE)                      \
    X(auth_disable, Auth, AuthDisable, AuthDisable, auth_disable_response, WRITE)                  \
    X(auth_status, Auth, AuthStatus, AuthStatus, auth_status_response, READ)                       \
    X(authenticate, Auth, Authenticate, Authenticate, authenticate_response, READ)                 \
    X(user_add, Auth, UserAdd, AuthUserAdd, auth_user_add_response, WRITE)                         \
    X(user_get, Auth, UserGet, AuthUserGet, auth_user_get_response, READ)                          \
    X(user_list, Auth, UserList, AuthUserList, auth_user_list_response, READ)                      \
    X(user_delete, Auth, UserDelete, AuthUserDelete, auth_user_delete_response, WRITE)             \
    X(user_change_password, Auth, UserChangePassword, AuthUserChangePassword,                      \
      auth_user_change_password_response, WRITE)                                                   \
    X(user_grant_role, Auth, UserGrantRole, AuthUserGrantRole, auth_user_grant_role_response,      \
      WRITE)                                                                                       \
    X(user_revoke_role, Auth, UserRevokeRole, AuthUserRevokeRole, auth_user_revoke_role_response,  \
      WRITE)                                                                                       \
    X(role_add, Auth, RoleAdd, AuthRoleAdd, auth_role_add_response, WRITE)                         \
    X(role_get, Auth, RoleGet, AuthRoleGet, auth_role_get_response, READ)                          \
    X(role_list, Auth, RoleList, AuthRoleList, auth_role_list_response, READ)                      \
    X(role_delete, Auth, RoleDelete, AuthRoleDelete, auth_role_delete_response, WRITE)             \
    X(role_grant_permission, Auth, RoleGrantPermission, AuthRoleGrantPermission,                   \
      auth_role_grant_permission_response, WRITE)                                                  \
    X(role_revoke_permission, Auth, RoleRevokePermission, AuthRoleRevokePermission,                \
      auth_role_revoke_permission_response, WRITE)

#define X(function, service, method, type, stem, kind) extern const struct kv_method kv_##function;
KV_METHOD_MAP(X)
#undef X
extern const struct kv_method kv_snapshot; /* for kv_client_stream: SnapshotResponse */

#define X(function, service, method, type, stem, kind)                                             \
    static inline struct kv_call *kv_client_##function(                                            \
        struct kv_client *client, const Etcdserverpb__##type##Request *request,                    \
        const struct kv_call_options *options, kv_call_done *done, void *context)                  \
    {                                                                                              \
        return kv_client_call(client, &kv_##function, &request->base, options, done, context);     \
    }
KV_METHOD_MAP(X)
#undef X

#endif
