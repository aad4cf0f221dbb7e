/* kv_request.h - requests of get, put and del from their flags and arguments: for the commands of
 * that name and for the lines of a txn. Pure. */
#ifndef KVSTORE_KVCTL_KV_REQUEST_H
#define KVSTORE_KVCTL_KV_REQUEST_H

#include "base/arena.h"
#include "kvstore/kvctl/flag.h"
#include "proto/rpc.pb-c.h"

extern const struct flag get_flags[];
extern const struct flag put_flags[];
extern const struct flag del_flags[];

/* Requests live in arena and borrow the arguments' text. Errors: ERR_INVALID: bad arguments
 * (EXIT_CODE_BAD_ARGS); ERR_UNSUPPORTED: a value that a flag does not know (EXIT_CODE_BAD_FEATURE).
 */
MUST_USE int get_request_build(const struct flag_set *flags, const char *const *arguments,
                               int count, struct arena *arena, Etcdserverpb__RangeRequest **ret,
                               struct err *err);
/* value: read from standard input by the caller if the arguments have none; data NULL: there is
 * none either. */
MUST_USE int put_request_build(const struct flag_set *flags, const char *const *arguments,
                               int count, struct bytes value, struct arena *arena,
                               Etcdserverpb__PutRequest **ret, struct err *err);
/* ret_is_range: a range_end was given without --range, so the user is to be warned first. */
MUST_USE int del_request_build(const struct flag_set *flags, const char *const *arguments,
                               int count, struct arena *arena,
                               Etcdserverpb__DeleteRangeRequest **ret, bool *ret_is_range,
                               struct err *err);

#endif
