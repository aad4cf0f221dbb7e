/* F1: every request message: refused, or decoded into something that encodes and decodes again. */
#include "base/check.h"
#include "proto/arena_allocator.h"
#include "proto/election.pb-c.h"
#include "proto/health.pb-c.h"
#include "proto/lock.pb-c.h"
#include "proto/raft_internal.pb-c.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &etcdserverpb__kv__descriptor,
    &etcdserverpb__watch__descriptor,
    &etcdserverpb__lease__descriptor,
    &etcdserverpb__cluster__descriptor,
    &etcdserverpb__maintenance__descriptor,
    &etcdserverpb__auth__descriptor,
    &v3lockpb__lock__descriptor,
    &v3electionpb__election__descriptor,
    &grpc__health__v1__health__descriptor,
};

static const ProtobufCMessageDescriptor *choose(unsigned number)
{
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (number < services[i]->n_methods) {
            return services[i]->methods[number].input;
        }
        number -= services[i]->n_methods;
    }
    return &etcdserverpb__internal_raft_request__descriptor;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 20000) {
        return 0;
    }
    struct arena arena = ARENA_INIT;
    const ProtobufCMessageDescriptor *type = choose(data[0]);
    const ProtobufCMessage *message = proto_decode(type, bytes_make(data + 1, size - 1), &arena);
    if (message != NULL) {
        CHECK(protobuf_c_message_check(message));
        struct bytes once = proto_encode(message, &arena);
        const ProtobufCMessage *again = proto_decode(type, once, &arena);
        CHECK(again != NULL);
        CHECK(bytes_equal(proto_encode(again, &arena), once));
    }
    arena_deinit(&arena);
    return 0;
}
