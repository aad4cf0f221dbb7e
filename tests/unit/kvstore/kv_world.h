/* kv_world.h - one state machine on the memory backend, for tests: requests by arguments, replies
 * decoded by the generated code, so that the bytes are checked against the published messages. */
#ifndef TESTS_UNIT_KVSTORE_KV_WORLD_H
#define TESTS_UNIT_KVSTORE_KV_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/pb.h"
#include "kvstore/backend/memory.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/state/kv.h"
#include "proto/rpc.pb-c.h"

enum { WORLD_CLUSTER = 0xc1, WORLD_MEMBER = 0xa1, WORLD_TERM = 7 };

struct kv_world {
    struct backend *backend;
    struct kv *kv;
    uint64_t index;
    struct kv_result result; /* of the last call */
    struct buf request;      /* scratch for builders */
    uint32_t slice;          /* items that world_apply takes at a time; 0: no limit */
    uint32_t slice_count;    /* slices of the last world_apply */
};

/* What the next world_new() puts the store on; NULL: a new memory backend. The world owns it. */
extern struct backend *world_next_backend;

struct kv_world *world_new(void);
void world_free(struct kv_world *world);

/* Apply the request in world->request as an entry; the reply is in world->result. */
enum etcd_error world_apply(struct kv_world *world, enum kv_op op);
/* Store everything applied. */
void world_store(struct kv_world *world);
/* Finish all background work, storing in between. */
void world_settle(struct kv_world *world);
/* Store, then a new state machine from the backend. */
void world_restart(struct kv_world *world);
/* Read with the request in world->request, in slices of this many items (0: at once). */
enum etcd_error world_read(struct kv_world *world, enum kv_op op, uint32_t slice);

/* Fill world->request. */
void world_put_request(struct kv_world *world, const char *key, const char *value, int64_t lease);
void world_range_request(struct kv_world *world, const char *key, struct bytes range_end);
void world_delete_request(struct kv_world *world, const char *key, struct bytes range_end);
void world_number_request(struct kv_world *world, uint32_t field, int64_t value);

/* Whole operations that have to succeed. */
int64_t world_put(struct kv_world *world, const char *key, const char *value); /* the revision */
int64_t world_put_leased(struct kv_world *world, const char *key, const char *value, int64_t lease);
int64_t world_delete(struct kv_world *world, const char *key, const char *range_end); /* deleted */
enum etcd_error world_compact(struct kv_world *world, int64_t revision);
enum etcd_error world_grant(struct kv_world *world, int64_t id, int64_t ttl_s);
/* The present value, NULL if there is no key; valid until the next call. */
const char *world_get(struct kv_world *world, const char *key);
uint32_t world_hash(struct kv_world *world, int64_t revision);

/* Decode world->result; free with protobuf_c_message_free_unpacked. Never NULL. */
Etcdserverpb__RangeResponse *world_range_response(const struct kv_world *world);
Etcdserverpb__PutResponse *world_put_response(const struct kv_world *world);
Etcdserverpb__DeleteRangeResponse *world_delete_response(const struct kv_world *world);
Etcdserverpb__TxnResponse *world_txn_response(const struct kv_world *world);

static inline void world_free_message(void *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

static inline struct bytes binary_bytes(ProtobufCBinaryData data)
{
    return bytes_make(data.data, data.len);
}

#endif
