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
/* For cmocka: each test in a world of its own, which is *state. */
int world_set_up(void **state);
int world_tear_down(void **state);
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

static const struct bytes WORLD_ALL = {(const uint8_t *)"\0", 1}; /* a range's end: every key */
/* What the node asks before it proposes the request in world->request. */
enum etcd_error world_check(struct kv_world *world, enum kv_op op);
/* The keys of a range answer in one text (static), one letter each. */
const char *world_keys_of(struct kv_world *world, bool *ret_more, int64_t *ret_count);
void world_put_letters(struct kv_world *world); /* a=5 b=4 c=3, then b=1 */
/* The range in world->request has these keys (of one letter), however it is sliced. */
void world_assert_range(struct kv_world *world, const char *keys, bool more, int64_t count);

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
