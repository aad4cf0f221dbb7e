#include "kvstore/state/etcd_error.h"

#include <stdint.h>

#include "base/check.h"

static const uint8_t GRPC_CODES[] = {0,
#define X(name, code, text) code,
                                     ETCD_ERROR_MAP(X)
#undef X
};

int etcd_error_grpc_code(enum etcd_error error)
{
    CHECK(error < ETCD_ERROR_COUNT);
    return GRPC_CODES[error];
}

/* A switch: a table of pointers would be writable data in position-independent code. */
const char *etcd_error_text(enum etcd_error error)
{
    switch (error) {
    case ETCD_OK:
        return "";
#define X(name, code, text)                                                                        \
    case ETCD_##name:                                                                              \
        return "etcdserver: " text;
        ETCD_ERROR_MAP(X)
#undef X
    case ETCD_ERROR_COUNT:
        break;
    }
    CHECK_UNREACHABLE();
}
