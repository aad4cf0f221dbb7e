#include "tests/unit/kvstore/kv_client_fixture.h"

#include <string.h>

#include "base/mem.h"

void fixture_set_true(void *context)
{
    *(bool *)context = true;
}

/* The loop without sleeping: tasks and due timers. */
void fixture_turn(struct fixture *f)
{
    for (int i = 0; i < 4; i++) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

int fixture_set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    fake_reset();
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_async_init(&f->loop, &f->presence, NULL), 0);
    f->wire = wire_loop_new(&f->loop);
    *state = f;
    return 0;
}

void fixture_close_client(struct fixture *f)
{
    kv_client_close(f->client, fixture_set_true, &f->is_closed);
    f->client = NULL;
    for (int i = 0; i < 10 && !f->is_closed; i++) {
        fake_run();
        fixture_turn(f);
    }
    assert_true(f->is_closed);
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->client != NULL) {
        fixture_close_client(f);
    }
    bool is_gone = false;
    wire_loop_close(f->wire, fixture_set_true, &is_gone);
    uv_close((uv_handle_t *)&f->presence, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(is_gone);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fake_reset();
    mem_free(f);
    return 0;
}

void fixture_open_client(struct fixture *f, size_t endpoints, const char *user,
                         uint32_t dial_timeout_ms)
{
    static const char *const names[] = {"one:1", "two:2", "three:3"};
    const struct kv_client_options options = {
        .wire = f->wire,
        .endpoints = names,
        .endpoint_count = endpoints,
        .user = user,
        .password = "secret",
        .dial_timeout_ms = dial_timeout_ms,
        .seed = 7,
    };
    struct err err;
    assert_int_equal(kv_client_new(&options, &f->client, &err), 0);
}

static void fixture_call_done(void *context, const struct kv_reply *reply)
{
    struct outcome *outcome = context;
    outcome->count += 1;
    outcome->status = reply->status;
    (void)strncpy(outcome->text, reply->text, sizeof outcome->text - 1);
    if (reply->status == GRPC_OK) {
        const Etcdserverpb__RangeResponse *response = reply->message;
        outcome->revision = response->header->revision;
    }
}

struct kv_call *fixture_get(struct fixture *f, uint64_t timeout_ms, struct outcome *outcome)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t key[] = "k";
    request.key = (ProtobufCBinaryData){1, key};
    const struct kv_call_options options = {.timeout_ms = timeout_ms};
    *outcome = (struct outcome){.count = 0};
    return kv_client_range(f->client, &request, &options, fixture_call_done, outcome);
}

struct kv_call *fixture_put(struct fixture *f, struct outcome *outcome)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    uint8_t key[] = "k";
    request.key = (ProtobufCBinaryData){1, key};
    *outcome = (struct outcome){.count = 0};
    return kv_client_put(f->client, &request, NULL, fixture_call_done, outcome);
}

void fixture_answer_range(struct fake_call *call, int64_t revision)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    header.revision = revision;
    response.header = &header;
    fake_call_reply(call, &response.base);
    fake_call_finish(call, GRPC_OK, "", true);
}

void fixture_make_ready(struct fixture *f, size_t channel)
{
    fake_set_state(channel, GRPC_CHANNEL_READY, NULL);
    fixture_turn(f);
}
