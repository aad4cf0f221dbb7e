/* etcd_error.h - every error of the etcd v3 API: its gRPC code and its exact text.
 *
 * Clients compare the text, so it may never change. Source: the error list of the public client
 * package (api/v3rpc/rpctypes). */
#ifndef KVSTORE_STATE_ETCD_ERROR_H
#define KVSTORE_STATE_ETCD_ERROR_H

/* name, gRPC status code, text after "etcdserver: " */
#define ETCD_ERROR_MAP(X)                                                                          \
    X(EMPTY_KEY, 3, "key is not provided")                                                         \
    X(KEY_NOT_FOUND, 3, "key not found")                                                           \
    X(VALUE_PROVIDED, 3, "value is provided")                                                      \
    X(LEASE_PROVIDED, 3, "lease is provided")                                                      \
    X(TOO_MANY_OPS, 3, "too many operations in txn request")                                       \
    X(DUPLICATE_KEY, 3, "duplicate key given in txn request")                                      \
    X(INVALID_CLIENT_VERSION, 3, "invalid client api version")                                     \
    X(INVALID_SORT_OPTION, 3, "invalid sort option")                                               \
    X(BAD_MEMBER_URLS, 3, "given member URLs are invalid")                                         \
    X(REQUEST_TOO_LARGE, 3, "request is too large")                                                \
    X(USER_EMPTY, 3, "user name is empty")                                                         \
    X(ROLE_EMPTY, 3, "role name is empty")                                                         \
    X(AUTH_FAILED, 3, "authentication failed, invalid user ID or password")                        \
    X(PERMISSION_NOT_GIVEN, 3, "permission not given")                                             \
    X(INVALID_AUTH_MANAGEMENT, 3, "invalid auth management")                                       \
    X(AUTH_OLD_REVISION, 3, "revision of auth store is old")                                       \
    X(BAD_DOWNGRADE_FORMAT, 3, "wrong downgrade target version format")                            \
    X(BAD_DOWNGRADE_VERSION, 3, "invalid downgrade target version")                                \
    X(COMPACTED, 11, "mvcc: required revision has been compacted")                                 \
    X(FUTURE_REVISION, 11, "mvcc: required revision is a future revision")                         \
    X(LEASE_TTL_TOO_LARGE, 11, "too large lease TTL")                                              \
    X(NO_SPACE, 8, "mvcc: database space exceeded")                                                \
    X(TOO_MANY_REQUESTS, 2, "too many requests")                                                   \
    X(LEASE_NOT_FOUND, 5, "requested lease not found")                                             \
    X(MEMBER_NOT_FOUND, 5, "member not found")                                                     \
    X(LEASE_EXISTS, 9, "lease already exists")                                                     \
    X(MEMBER_EXISTS, 9, "member ID already exist")                                                 \
    X(PEER_URL_EXISTS, 9, "Peer URLs already exists")                                              \
    X(NOT_ENOUGH_STARTED, 9, "re-configuration failed due to not enough started members")          \
    X(MEMBER_NOT_LEARNER, 9, "can only promote a learner member")                                  \
    X(LEARNER_NOT_READY, 9, "can only promote a learner member which is in sync with leader")      \
    X(TOO_MANY_LEARNERS, 9, "too many learner members in cluster")                                 \
    X(CLUSTER_ID_MISMATCH, 9, "cluster ID mismatch")                                               \
    X(ROOT_USER_MISSING, 9, "root user does not exist")                                            \
    X(ROOT_ROLE_MISSING, 9, "root user does not have root role")                                   \
    X(USER_EXISTS, 9, "user name already exists")                                                  \
    X(USER_NOT_FOUND, 9, "user name not found")                                                    \
    X(ROLE_EXISTS, 9, "role name already exists")                                                  \
    X(ROLE_NOT_FOUND, 9, "role name not found")                                                    \
    X(ROLE_NOT_GRANTED, 9, "role is not granted to the user")                                      \
    X(PERMISSION_NOT_GRANTED, 9, "permission is not granted to the role")                          \
    X(AUTH_NOT_ENABLED, 9, "authentication is not enabled")                                        \
    X(NOT_LEADER, 9, "not leader")                                                                 \
    X(NOT_CAPABLE, 9, "not capable")                                                               \
    X(LEARNER_UNSUPPORTED, 9, "rpc not supported for learner")                                     \
    X(BAD_TRANSFEREE, 9, "bad leader transferee")                                                  \
    X(NO_CLUSTER_VERSION, 9, "cluster version not found during downgrade")                         \
    X(DOWNGRADE_IN_PROGRESS, 9, "cluster has a downgrade job in progress")                         \
    X(NO_DOWNGRADE, 9, "no inflight downgrade job")                                                \
    X(PERMISSION_DENIED, 7, "permission denied")                                                   \
    X(INVALID_TOKEN, 16, "invalid auth token")                                                     \
    X(WATCH_CANCELED, 1, "watch canceled")                                                         \
    X(REQUEST_CANCELED, 1, "request canceled")                                                     \
    X(DEADLINE, 4, "context deadline exceeded")                                                    \
    X(NO_LEADER, 14, "no leader")                                                                  \
    X(LEADER_CHANGED, 14, "leader changed")                                                        \
    X(STOPPED, 14, "server stopped")                                                               \
    X(TIMEOUT, 14, "request timed out")                                                            \
    X(TIMEOUT_LEADER_LOST, 14, "request timed out, possibly due to previous leader failure")       \
    X(TIMEOUT_CONNECTION_LOST, 14, "request timed out, possibly due to connection lost")           \
    X(TIMEOUT_APPLIED, 14, "request timed out, waiting for the applied index took too long")       \
    X(UNHEALTHY, 14, "unhealthy cluster")                                                          \
    X(CORRUPT, 15, "corrupt cluster")                                                              \
    /* Ours. */                                                                                    \
    X(INVALID_ENTRY, 13, "log entry cannot be decoded")                                            \
    X(TOO_MANY_MEMBERS, 9, "too many members in cluster")                                          \
    X(REPLY_TOO_LARGE, 8, "response is too large")                                                 \
    X(INVALID_REQUEST, 3, "malformed request")                                                     \
    X(TXN_TOO_DEEP, 3, "transaction is nested too deeply")                                         \
    X(STREAM_SORT, 12, "RangeStream does not support custom sort orders")                          \
    X(STREAM_FILTER, 12, "RangeStream does not support revision filters")

enum etcd_error {
    ETCD_OK = 0,
#define X(name, code, text) ETCD_##name,
    ETCD_ERROR_MAP(X)
#undef X
        ETCD_ERROR_COUNT
};

/* The gRPC status code (0 for ETCD_OK). */
int etcd_error_grpc_code(enum etcd_error error);
/* "etcdserver: ..."; "" for ETCD_OK. Never NULL. */
const char *etcd_error_text(enum etcd_error error);

#endif
