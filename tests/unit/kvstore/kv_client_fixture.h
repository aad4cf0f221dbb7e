/* kv_client_fixture.h - a client of the library on a scripted channel, and what its calls came to.
 */
#ifndef TESTS_UNIT_KVSTORE_KV_CLIENT_FIXTURE_H
#define TESTS_UNIT_KVSTORE_KV_CLIENT_FIXTURE_H

#include "tests/support/test.h"

#include "kvstore/client/client.h"
#include "kvstore/client/rpc.h"
#include "tests/unit/kvstore/fake_grpc_channel.h"

#define WATCH_PATH "/etcdserverpb.Watch/Watch"
#define RANGE_PATH "/etcdserverpb.KV/Range"
#define PUT_PATH "/etcdserverpb.KV/Put"
#define AUTH_PATH "/etcdserverpb.Auth/Authenticate"
#define KEEP_PATH "/etcdserverpb.Lease/LeaseKeepAlive"

struct fixture {
    uv_loop_t loop;
    uv_async_t presence;
    struct wire_loop *wire;
    struct kv_client *client;
    bool is_closed;
};

struct outcome {
    int count;
    enum grpc_status status;
    char text[200];
    int64_t revision;
};

void fixture_set_true(void *context);
void fixture_turn(struct fixture *f);
int fixture_set_up(void **state);
void fixture_close_client(struct fixture *f);
int fixture_tear_down(void **state);
void fixture_open_client(struct fixture *f, size_t endpoints, const char *user,
                         uint32_t dial_timeout_ms);
struct kv_call *fixture_get(struct fixture *f, uint64_t timeout_ms, struct outcome *outcome);
struct kv_call *fixture_put(struct fixture *f, struct outcome *outcome);
void fixture_answer_range(struct fake_call *call, int64_t revision);
void fixture_make_ready(struct fixture *f, size_t channel);

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

#endif
