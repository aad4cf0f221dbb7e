#include "kvstore/client/rpc.h"

#define X(function, service, method, type, stem, method_kind)                                      \
    const struct kv_method kv_##function = {                                                       \
        .path = "/etcdserverpb." #service "/" #method,                                             \
        .response = &etcdserverpb__##stem##__descriptor,                                           \
        .kind = KV_METHOD_##method_kind,                                                           \
    };
KV_METHOD_MAP(X)
#undef X

const struct kv_method kv_snapshot = {
    .path = "/etcdserverpb.Maintenance/Snapshot",
    .response = &etcdserverpb__snapshot_response__descriptor,
    .kind = KV_METHOD_READ,
};
