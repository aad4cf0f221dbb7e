/* request.h - the store's requests, decoded without copies: every bytes field borrows the input.
 *
 * Source: etcdserverpb.RangeRequest and its neighbours (proto/rpc.proto). */
#ifndef KVSTORE_MVCC_REQUEST_H
#define KVSTORE_MVCC_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "kvstore/mvcc/key_index.h"

enum { REQUEST_TXN_DEPTH_MAX = 16 };

enum sort_order { SORT_NONE, SORT_ASCEND, SORT_DESCEND };
enum sort_target { SORT_KEY, SORT_VERSION, SORT_CREATE, SORT_MOD, SORT_VALUE };

struct range_request {
    struct bytes key;
    struct bytes range_end;
    int64_t limit;
    int64_t revision;
    int64_t sort_order; /* as sent: may be out of the enum */
    int64_t sort_target;
    int64_t min_mod_revision;
    int64_t max_mod_revision;
    int64_t min_create_revision;
    int64_t max_create_revision;
    bool serializable;
    bool keys_only;
    bool count_only;
};

struct put_request {
    struct bytes key;
    struct bytes value;
    int64_t lease;
    bool prev_kv;
    bool ignore_value;
    bool ignore_lease;
};

struct delete_request {
    struct bytes key;
    struct bytes range_end;
    bool prev_kv;
};

enum compare_result { COMPARE_EQUAL, COMPARE_GREATER, COMPARE_LESS, COMPARE_NOT_EQUAL };
enum compare_target { COMPARE_VERSION, COMPARE_CREATE, COMPARE_MOD, COMPARE_VALUE, COMPARE_LEASE };

struct compare_request {
    struct bytes key;
    struct bytes range_end;
    int64_t result;
    int64_t target;
    int64_t number; /* version, create, mod revision or lease */
    struct bytes value;
};

enum txn_op_kind { TXN_OP_NONE, TXN_OP_RANGE, TXN_OP_PUT, TXN_OP_DELETE, TXN_OP_TXN };

struct txn_request;

struct txn_op {
    enum txn_op_kind kind;
    union {
        struct range_request range;
        struct put_request put;
        struct delete_request delete_range;
        struct txn_request *txn;
    };
};

struct txn_ops {
    struct txn_op *ops;
    uint32_t count;
};

struct txn_request {
    struct compare_request *compares;
    uint32_t compare_count;
    struct txn_ops success;
    struct txn_ops failure;
    bool succeeded; /* set when the compares were evaluated */
};

/* 0 or ERR_MALFORMED. */
MUST_USE int range_request_decode(struct bytes message, struct range_request *ret_request);
MUST_USE int put_request_decode(struct bytes message, struct put_request *ret_request);
MUST_USE int delete_request_decode(struct bytes message, struct delete_request *ret_request);
/* Arrays come from the arena. ERR_TOO_LARGE: nested deeper than REQUEST_TXN_DEPTH_MAX, or
 * far too many operations. The arena was empty. */
MUST_USE int txn_request_decode(struct bytes message, struct arena *arena,
                                struct txn_request *ret_request);

/* What key and range_end mean in every request: no end is one key, end "\0" is everything from the
 * key on. Returns false for one key (range is then unset). */
bool request_range(struct bytes key, struct bytes range_end, struct key_range *ret_range);

#endif
