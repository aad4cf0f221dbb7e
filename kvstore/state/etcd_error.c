#include "kvstore/state/etcd_error.h"

#include "base/check.h"

/* Switches, not tables: a table of pointers is writable data in position-independent code. */

int etcd_error_grpc_code(enum etcd_error error)
{
    switch (error) {
    case ETCD_OK:
        return 0;
#define X(name, code, text)                                                                        \
    case ETCD_##name:                                                                              \
        return code;
        ETCD_ERROR_MAP(X)
#undef X
    case ETCD_ERROR_COUNT:
        break;
    }
    CHECK_UNREACHABLE();
}

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
