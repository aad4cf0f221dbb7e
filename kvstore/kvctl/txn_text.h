/* txn_text.h - the lines of `kvctl txn`. Pure.
 *
 *     compare:   TARGET("key") OPERATOR "value"      e.g.  mod("key1") > "0"
 *     TARGET     value val | create c | mod m | version ver | lease
 *     OPERATOR   = != < >
 *     request:   get ... | put ... | del ...         with the flags of those commands
 *
 * Strings are quoted as in Go; numbers are decimal, leases hexadecimal, both in quotes. */
#ifndef KVSTORE_KVCTL_TXN_TEXT_H
#define KVSTORE_KVCTL_TXN_TEXT_H

#include "base/arena.h"
#include "base/err.h"
#include "proto/rpc.pb-c.h"

/* Results live in arena. ERR_INVALID with etcdctl's text. */
MUST_USE int txn_compare_parse(const char *line, struct arena *arena, Etcdserverpb__Compare **ret,
                               struct err *err);
/* As kv_request.h; ERR_MALFORMED: not a request at all. */
MUST_USE int txn_request_parse(const char *line, struct arena *arena, Etcdserverpb__RequestOp **ret,
                               struct err *err);

#endif
