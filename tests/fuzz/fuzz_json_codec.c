/* The JSON codec, from both ends: text that is accepted is written the same way after a second
 * round; a message that protobuf accepts survives the way through JSON. */
#include "base/check.h"
#include "proto/arena_allocator.h"
#include "proto/json_codec.h"
#include "proto/raft_internal.pb-c.h"
#include "proto/rpc.pb-c.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &etcdserverpb__range_request__descriptor,
    &etcdserverpb__txn_request__descriptor,
    &etcdserverpb__watch_request__descriptor,
    &etcdserverpb__internal_raft_request__descriptor,
    &etcdserverpb__txn_response__descriptor,
    &etcdserverpb__status_response__descriptor,
    &etcdserverpb__auth_role_get_response__descriptor,
    &etcdserverpb__lease_time_to_live_response__descriptor,
};

static struct bytes to_json(const ProtobufCMessage *message, struct arena *arena)
{
    struct buf text = BUF_INIT;
    json_encode(&text, message);
    struct bytes copy =
        bytes_make(arena_dup(arena, buf_bytes(&text).data, buf_size(&text)), buf_size(&text));
    buf_deinit(&text);
    return copy;
}

static void from_text(const ProtobufCMessageDescriptor *type, struct bytes input,
                      struct arena *arena)
{
    struct err err = {0};
    const ProtobufCMessage *message = json_decode(type, input, arena, &err);
    if (message == NULL) {
        CHECK(err.code == ERR_MALFORMED && err.text[0] != 0);
        return;
    }
    CHECK(protobuf_c_message_check(message));
    struct bytes once = to_json(message, arena);
    const ProtobufCMessage *again = json_decode(type, once, arena, &err);
    CHECK(again != NULL && bytes_equal(to_json(again, arena), once));
    const ProtobufCMessage *binary = proto_decode(type, proto_encode(message, arena), arena);
    CHECK(binary != NULL && bytes_equal(to_json(binary, arena), once));
}

static void from_message(const ProtobufCMessageDescriptor *type, struct bytes input,
                         struct arena *arena)
{
    struct err err = {0};
    const ProtobufCMessage *message = proto_decode(type, input, arena);
    if (message == NULL) {
        return;
    }
    struct bytes text = to_json(message, arena);
    const ProtobufCMessage *back = json_decode(type, text, arena, &err);
    CHECK(back != NULL && bytes_equal(to_json(back, arena), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 10000) {
        return 0;
    }
    struct arena arena = ARENA_INIT;
    const ProtobufCMessageDescriptor *type = types[data[0] >> 1 & 7];
    struct bytes input = bytes_make(data + 1, size - 1);
    if ((data[0] & 1) != 0) {
        from_message(type, input, &arena);
    } else {
        from_text(type, input, &arena);
    }
    arena_deinit(&arena);
    return 0;
}
