#include "kvstore/state/etcd_error.h"

#include "base/check.h"

static const struct {
    int grpc_code;
    const char *text;
} ERRORS[] = {{0, ""},
#define X(name, code, text) {code, "etcdserver: " text},
              ETCD_ERROR_MAP(X)
#undef X
};

int etcd_error_grpc_code(enum etcd_error error)
{
    CHECK(error < ETCD_ERROR_COUNT);
    return ERRORS[error].grpc_code;
}

const char *etcd_error_text(enum etcd_error error)
{
    CHECK(error < ETCD_ERROR_COUNT);
    return ERRORS[error].text;
}
