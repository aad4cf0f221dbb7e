/* printer.h - replies of the store as text: one function a reply, five formats.
 *
 * simple is for people, json and fields for scripts, table for lists, protobuf for pipes. The bytes
 * are etcdctl's, so that whatever parses its output parses ours. Pure: text is appended to `out`.
 */
#ifndef KVSTORE_KVCTL_PRINTER_H
#define KVSTORE_KVCTL_PRINTER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/rpc.pb-c.h"

enum output_format {
    OUTPUT_SIMPLE,
    OUTPUT_JSON,
    OUTPUT_FIELDS,
    OUTPUT_TABLE,
    OUTPUT_PROTOBUF,
};

struct printer {
    enum output_format format;
    bool is_hex;        /* --hex */
    bool is_value_only; /* get --print-value-only */
    struct buf *out;    /* borrowed */
};

/* "simple", "json", ...; ERR_INVALID: no such format. */
MUST_USE int output_format_parse(const char *text, enum output_format *ret);

/* Each returns 0, or ERR_UNSUPPORTED with a text when this reply has no such format. */
MUST_USE int print_range(struct printer *p, const Etcdserverpb__RangeResponse *r, struct err *err);
MUST_USE int print_put(struct printer *p, const Etcdserverpb__PutResponse *r, struct err *err);
MUST_USE int print_delete(struct printer *p, const Etcdserverpb__DeleteRangeResponse *r,
                          struct err *err);
MUST_USE int print_txn(struct printer *p, const Etcdserverpb__TxnResponse *r, struct err *err);
MUST_USE int print_watch(struct printer *p, const Etcdserverpb__WatchResponse *r, struct err *err);

MUST_USE int print_lease_grant(struct printer *p, const Etcdserverpb__LeaseGrantResponse *r,
                               struct err *err);
MUST_USE int print_lease_revoke(struct printer *p, int64_t id,
                                const Etcdserverpb__LeaseRevokeResponse *r, struct err *err);
MUST_USE int print_lease_keep_alive(struct printer *p,
                                    const Etcdserverpb__LeaseKeepAliveResponse *r, struct err *err);
MUST_USE int print_lease_time_to_live(struct printer *p,
                                      const Etcdserverpb__LeaseTimeToLiveResponse *r,
                                      bool with_keys, struct err *err);
MUST_USE int print_leases(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *r,
                          struct err *err);

MUST_USE int print_member_add(struct printer *p, const Etcdserverpb__MemberAddResponse *r,
                              struct err *err);
MUST_USE int print_member_remove(struct printer *p, uint64_t id,
                                 const Etcdserverpb__MemberRemoveResponse *r, struct err *err);
MUST_USE int print_member_update(struct printer *p, uint64_t id,
                                 const Etcdserverpb__MemberUpdateResponse *r, struct err *err);
MUST_USE int print_member_promote(struct printer *p, uint64_t id,
                                  const Etcdserverpb__MemberPromoteResponse *r, struct err *err);
MUST_USE int print_member_list(struct printer *p, const Etcdserverpb__MemberListResponse *r,
                               struct err *err);

struct endpoint_health {
    const char *endpoint;
    bool is_healthy;
    const char *took;  /* "" when the endpoint could not even be dialled */
    const char *error; /* "": none */
};
struct endpoint_status {
    const char *endpoint;
    const Etcdserverpb__StatusResponse *reply;
};
struct endpoint_hash {
    const char *endpoint;
    const Etcdserverpb__HashKVResponse *reply;
};
/* In the simple format unhealthy endpoints go to `problems` (standard error). */
MUST_USE int print_endpoint_health(struct printer *p, const struct endpoint_health *list,
                                   size_t count, struct buf *problems, struct err *err);
MUST_USE int print_endpoint_status(struct printer *p, const struct endpoint_status *list,
                                   size_t count, struct err *err);
MUST_USE int print_endpoint_hash(struct printer *p, const struct endpoint_hash *list, size_t count,
                                 struct err *err);

MUST_USE int print_alarms(struct printer *p, const Etcdserverpb__AlarmResponse *r, struct err *err);
MUST_USE int print_move_leader(struct printer *p, uint64_t from, uint64_t to,
                               const Etcdserverpb__MoveLeaderResponse *r, struct err *err);
/* verb: "validate", "enable" or "cancel". */
MUST_USE int print_downgrade(struct printer *p, const char *verb,
                             const Etcdserverpb__DowngradeResponse *r, struct err *err);
MUST_USE int print_auth_status(struct printer *p, const Etcdserverpb__AuthStatusResponse *r,
                               struct err *err);

/* Replies that carry nothing but a header: `simple` is the whole line of the simple format. */
MUST_USE int print_header_only(struct printer *p, const ProtobufCMessage *r,
                               const Etcdserverpb__ResponseHeader *header, const char *simple,
                               struct err *err);
MUST_USE int print_role(struct printer *p, const char *name,
                        const Etcdserverpb__AuthRoleGetResponse *r, struct err *err);
MUST_USE int print_role_list(struct printer *p, const Etcdserverpb__AuthRoleListResponse *r,
                             struct err *err);
MUST_USE int print_user(struct printer *p, const char *name,
                        const Etcdserverpb__AuthUserGetResponse *r, struct err *err);
MUST_USE int print_user_list(struct printer *p, const Etcdserverpb__AuthUserListResponse *r,
                             struct err *err);

/* Shared by the files that implement the above. */
void print_json_line(struct printer *p, const ProtobufCMessage *message);
void print_protobuf(struct printer *p, const ProtobufCMessage *message);
void print_fields_header(struct printer *p, const Etcdserverpb__ResponseHeader *header);
/* "Name" : <id>, decimal or, with --hex, hexadecimal. */
void print_fields_id(struct printer *p, const char *name, uint64_t id);
MUST_USE int print_unsupported(const struct printer *p, struct err *err);

#endif
